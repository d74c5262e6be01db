"""The whole way of a request, in order: authenticate, decide, vault, audit, respond (design §3, §4).

A route hands a `Call` to the batcher, the batcher hands batches of calls to the functions here, on the database
thread, inside one unit of work. Each batch function runs the first four stages for all its calls at once and returns
the fifth, which needs the `Commit`: nothing is unwrapped, opened or answered before its log entry is durable.

    socket -> middleware -> route -> api.authn.credential      proof of possession, no database
           -> Batcher.submit -> a batch function of this file  1 authenticate  token, key, replay
                                                               2 decide        floors, consent, Cedar; mint the grant
                                                               3 vault         charge the budgets, count the use, read the sealed rows
                                                               4 audit         record the entry; COMMIT
                                                               5 respond       unwrap, open, transform, sign the receipt
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from api import trail
from api.disclosed import answer
from api.looks import Call, Given, Item, Look, going
from api.oauth import detail
from policies.decision import decide, mint
from policies.errors import PolicyError
from policies.model import Caller, DecisionRequest
from vault import budgets, disclosure, facts, honey, predicates, receipts, references, tokens
from vault.budgets import Looked
from vault.errors import IntegrityFailure, Refused, UnknownReference, VaultError
from vault.predicates import Questions
from vault.tokens import Kind
from vault.unit import Commit, Finish, UnitOfWork, Vault

ALL_FIELDS: Final[frozenset[str]] = frozenset()


def disclosures(uow: UnitOfWork, calls: Sequence[Call[tuple[Look, ...]]]) -> Finish[list[dict[str, Any] | VaultError]]:
    """Disclose fields of one or many subjects per call.

    A call's result is a list, an answer or an error per look; or the one error of a call whose credential is no good.
    All answers of a call name one receipt, which promises the entries of all.
    """
    return looked(uow, calls)[0]


def looked(
    uow: UnitOfWork, calls: Sequence[Call[tuple[Look, ...]]]
) -> tuple[Finish[list[dict[str, Any] | VaultError]], list[Given | None]]:
    """Do as `disclosures`, and tell what is granted look by look, for whoever records more in the same unit."""
    items = [Item(call, look) for call in calls for look in call.asked]

    turned_away = _authenticate(uow, calls, items)
    _identify(uow, items)
    keys = _log_keys(uow, items)
    turned_away |= _spring(uow, items, keys)
    _decide(uow, items)
    _charge(uow, items)
    _charge_predicates(uow, items)
    _count_uses(uow, items)
    granted = [item for item in items if item.error is None and item.grant is not None]
    selection = disclosure.select(
        uow,
        [item.grant for item in granted if item.grant is not None],
        as_known_on=[item.known_on for item in granted] if any(item.known_on for item in granted) else None,
    )
    _record(uow, [item for item in items if item.look is item.call.asked[0] or id(item.call) not in turned_away], keys)

    def respond(commit: Commit) -> list[list[dict[str, Any] | VaultError] | VaultError]:
        entries = [item.entry for item in granted]
        try:
            revealed = disclosure.reveal(uow.vault, commit, selection, entries)
            signed = _receipts(uow, commit, granted)
        except VaultError as error:
            _record_failures(uow.vault, [(item, ALL_FIELDS, error) for item in granted])
            raise
        failed = [(item, *each) for item, part in zip(granted, revealed, strict=True) for each in part.failures()]
        _record_failures(uow.vault, failed)
        answers = {
            id(item): answer(
                item.decision, item.session.purpose, item.reference, item.entry, part, signed[id(item.call)]
            )
            for item, part in zip(granted, revealed, strict=True)
            if item.decision is not None and item.session is not None
        }
        results: list[list[dict[str, Any] | VaultError] | VaultError] = []
        position = 0
        for call in calls:
            own = items[position : position + len(call.asked)]
            position += len(call.asked)
            told = [answers.get(id(item)) or item.error or Refused("not_permitted") for item in own]
            results.append(turned_away.get(id(call)) or told)
        return results

    given = [
        Given(item.session, item.named, item.decision, item.trace[0])
        if item.error is None and item.grant is not None and item.session and item.named and item.decision
        else None
        for item in items
    ]
    return respond, given


def _authenticate(uow: UnitOfWork, calls: Sequence[Call[Any]], items: Sequence[Item]) -> dict[int, Refused]:
    """Stage 1: the token lives, its system is active, the proof's key is the token's, the proof is new, and newly made.

    Returns the refusals by the call's identity. Such a call has looked at nobody: it is answered once and logged once,
    or else a stranger could write five hundred entries with one request.
    """
    sessions = dict(zip(map(id, calls), tokens.authenticate(uow, [call.credential for call in calls]), strict=True))
    nonced = {id(call): call.credential.nonced for call in calls}
    turned_away: dict[int, Refused] = {}
    for call, session in sessions.items():
        if isinstance(session, Refused):
            turned_away[call] = session
        elif session.kind is not Kind.DISCLOSURE:
            turned_away[call] = Refused("insufficient_scope")
        elif session.staff and trail.token_staff(session) not in {"", session.staff}:
            turned_away[call] = Refused("staff_mismatch")
        elif not nonced[call] and detail.opens_raw(session.detail):
            turned_away[call] = Refused("use_dpop_nonce")
    for item in items:
        session = sessions[id(item.call)]
        item.error = turned_away.get(id(item.call))
        item.session = None if isinstance(session, Refused) else session
    return turned_away


def _identify(uow: UnitOfWork, items: Sequence[Item]) -> None:
    """Still stage 1: the subject is one that the token names, and neither it nor its consent changed since."""
    alive = going(items)
    named = tokens.named(uow, list(dict.fromkeys(session.token_hash for _, session in alive)))
    located = iter(
        references.locate(uow, [(s.system.brand, i.look.reference) for i, s in alive if i.look.reference is not None])
    )
    for item, session in alive:
        subjects = named.get(session.token_hash, {})
        if item.look.reference is None:
            item.subject = next(iter(subjects)) if len(subjects) == 1 else None
        else:
            item.subject, item.reference = next(located), item.look.reference
        item.named = subjects.get(item.subject) if item.subject is not None else None
        if item.named is None:
            item.error = UnknownReference()
    alive = going(items)
    loaded = facts.load_each(uow, [(s.system.brand, i.subject) for i, s in alive if i.subject is not None])
    purposes = uow.vault.bundle.purposes
    for (item, session), found in zip(alive, loaded, strict=True):
        # Being erased is being nobody, for the log too: the key that would relate the entry is going.
        item.known = known = None if found is not None and found.facts.erased else found
        try:
            if (
                known is None
                or item.named is None
                or known.subject_epoch != item.named.subject_epoch
                or known.consent_epoch(session.purpose, purposes) != item.named.consent_epoch
            ):
                item.error = Refused("invalid_token", "stale_epoch")
        except PolicyError:  # a bundle loaded since has dropped the purpose
            item.error = Refused("invalid_token", "bundle_changed")
    unspelt = [item for item, _ in going(items) if not item.reference]
    spelt = references.of_pairs(uow, [(i.subject, i.session.system.brand) for i in unspelt if i.subject and i.session])
    for item, reference in zip(unspelt, spelt, strict=True):
        item.reference = reference or ""


def _log_keys(uow: UnitOfWork, items: Sequence[Item]) -> dict[bytes, bytes]:
    """Open the log key of everybody found: subject id -> 32 bytes."""
    known = {item.known.subject_id: item.known for item in items if item.known is not None}
    return dict(zip(known, facts.log_keys(uow.vault.keys, list(known.values())), strict=True))


def _spring(uow: UnitOfWork, items: Sequence[Item], keys: Mapping[bytes, bytes]) -> dict[int, Refused]:
    """Freeze systems that look at somebody who does not exist; refuse every call of theirs in the batch."""
    frozen = honey.spring(uow, [(s.system, keys[i.known.subject_id]) for i, s in going(items) if i.known])
    turned_away = {}
    for item in items if frozen else ():
        if item.session is not None and (refused := frozen.get(item.session.system.id)) is not None:
            item.error = turned_away[id(item.call)] = refused
    return turned_away


def _decide(uow: UnitOfWork, items: Sequence[Item]) -> None:
    """Stage 2: decide again, now, by the bundle in force; mint a grant for what is left of the token's fields."""
    bundle = uow.vault.bundle
    for item, session in going(items):
        try:
            entry = detail.read(session.detail)
        except IntegrityFailure:
            item.error = IntegrityFailure()
            continue
        keep = item.look.fields
        item.known_on = entry.known_on
        item.wanted = entry.wanted if keep is None else tuple(want for want in entry.wanted if want.field in keep)
        if keep is not None and len({want.field for want in item.wanted}) != len(set(keep)):
            item.error = Refused("insufficient_scope", "field_beyond_token")
            continue
        if item.look.only is not None and not all(want.level in item.look.only for want in item.wanted):
            item.error = Refused("not_attestable")
            continue
        caller = Caller(session.system.id, session.system.brand, session.system.purposes, bool(trail.staff_of(session)))
        if item.known is None or item.subject is None:
            continue
        try:
            item.decision = decide(DecisionRequest(caller, item.known.facts, session.purpose, item.wanted), bundle)
        except PolicyError:  # a bundle loaded since has dropped a field: what was granted is gone
            item.error = Refused("invalid_token", "bundle_changed")
            continue
        if any(answer.granted is not None for answer in item.decision.answers):
            item.grant = mint(item.decision, caller, session.purpose, item.subject)
        else:
            item.error = Refused("not_permitted")


def _charge(uow: UnitOfWork, items: Sequence[Item]) -> None:
    """Stage 3: each look against every budget. Before the uses: one that does not fit must not cost one."""
    catalogue = uow.vault.bundle.catalogue
    alive, looks = [], []
    for item, session in going(items):
        if item.decision is not None and item.subject is not None:
            alive.append(item)
            shape, weight = budgets.weigh(catalogue, item.decision.granted)
            staff = trail.staff_of(session)
            looks.append(Looked(session.system, item.subject, session.purpose, staff, shape, weight))
    for item, exhausted in zip(alive, budgets.charge(uow, looks), strict=True):
        item.error = exhausted


def _charge_predicates(uow: UnitOfWork, items: Sequence[Item]) -> None:
    """Still stage 3: the questions of each look against the day's. Nothing where no predicate is granted."""
    asking = [
        (item, Questions(session.system.id, item.subject, asked))
        for item, session in going(items)
        if item.decision is not None
        and item.subject is not None
        and (asked := frozenset([f"{g.field.name}.{g.predicate}" for g in item.decision.granted if g.predicate]))
    ]
    for (item, _), refused in zip(asking, predicates.charge(uow, [each for _, each in asking]), strict=True):
        item.error = refused


def _count_uses(uow: UnitOfWork, items: Sequence[Item]) -> None:
    """Still stage 3: one use of this token for this subject, atomically, in the transaction of the entry."""
    alive = [(item, session, item.subject) for item, session in going(items) if item.subject is not None]
    taken = tokens.consume(uow, [(session.token_hash, subject) for _, session, subject in alive])
    for (item, _, _), took in zip(alive, taken, strict=True):
        if not took:
            item.error = Refused("uses_exhausted")


def _record(uow: UnitOfWork, items: Sequence[Item], keys: Mapping[bytes, bytes]) -> None:
    """Stage 4: an entry per look, granted or denied, with field names and levels and never a value."""
    hidden = trail.request_macs(uow, [item.call.request_id for item in items])
    for item, req in zip(items, hidden, strict=True):
        log_key = keys[item.known.subject_id] if item.known is not None else None
        item.trace = (log_key, req)
        for entry in trail.entries(item.session, item.decision, item.error, req, past=item.known_on is not None):
            if trail.tells(uow, item.call.credential.address, entry):
                item.entry = uow.record(entry, log_key=log_key)


def _receipts(uow: UnitOfWork, commit: Commit, granted: Sequence[Item]) -> dict[int, str]:
    """Stage 5: a receipt per call, by the call's identity, that promises the entry of each of its looks."""
    promised: dict[int, list[bytes]] = {}
    for item in granted:
        promised.setdefault(id(item.call), []).append(item.entry)
    return dict(zip(promised, receipts.issue(uow, commit, list(promised.values())), strict=True))


def _record_failures(vault: Vault, failed: Sequence[tuple[Item, frozenset[str], VaultError]]) -> None:
    """Log what was authorised, and logged so, but could not be opened or signed for (in a unit of its own).

    The first entry stands: over-reporting is allowed, under-reporting never. If this one cannot be made durable, the
    caller gets that error and no value.
    """
    if not failed:
        return
    with vault.unit() as uow:
        for item, names, error in failed:
            if item.session is not None and item.decision is not None:
                entry = trail.failed(item.session, item.decision, names, error, item.trace[1])
                uow.record(entry, log_key=item.trace[0])
        uow.commit()
