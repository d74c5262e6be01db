"""Issues access tokens: service tokens by scope, disclosure tokens by decision. One unit of work a batch.

In order: the client proves itself and its DPoP proof is burned; a service token takes scopes the system is registered
for; a disclosure token is decided field by field, for each subject it names, exactly as its redemption will be decided
again. What the policy narrows is narrowed in the token, so that the caller learns now what it can have. Granted or
refused, there is an entry in the log before there is an answer.

One refusal covers "no such reference", "another brand's", "erased" and "nothing permitted", and a list is refused
whole: asking for a token is no way to find out who exists.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from api import rar
from api.authn.dpop import Proof
from api.oauth import detail, evidence, narrowing
from api.oauth.clients import ClientCredential, actor_of, authenticate
from api.oauth.errors import OAuthError
from api.oauth.grants import GrantedEntry, combine
from api.oauth.narrowing import Exchange, Narrowed
from api.trail import explained, request_macs
from audit.entry import Asker
from policies.decision import decide
from policies.errors import PolicyError
from policies.model import Caller, Decision, DecisionRequest
from vault import facts, honey, references, tokens
from vault.errors import VaultError
from vault.facts import Known
from vault.intake import day_of
from vault.staff import staff_hashes
from vault.systems import SystemRecord
from vault.tokens import IssuedToken, Kind, Named, NewToken
from vault.unit import Commit, Finish, UnitOfWork

SERVICE_SECONDS: Final = 300


@dataclass(frozen=True, slots=True)
class TokenRequest:
    """A token asked for: `scopes` for a service token, or `disclosure`; never both."""

    client: ClientCredential
    proof: Proof
    scopes: frozenset[str]
    disclosure: rar.Disclosure | None
    exchange: Exchange | None = None  # with a disclosure: it is to be narrowed from this token (RFC 8693)
    staff: str = field(default="", repr=False)  # who asks for a service token, if told; a disclosure says so itself


@dataclass(slots=True)
class _Item:
    """A request on its way. `error` ends it."""

    request: TokenRequest = field(repr=False)
    system: SystemRecord | None = None
    narrowed: Narrowed | None = None
    known: tuple[Known, ...] = ()
    log_keys: tuple[bytes, ...] = field(default=(), repr=False)
    decisions: tuple[Decision, ...] = ()
    granted: GrantedEntry | None = None
    issued: IssuedToken | None = None
    staff: str = field(default="", repr=False)  # keyed hash
    error: OAuthError | None = None

    @property
    def holder(self) -> SystemRecord | None:
        """The system that gets the token: the one that asks, unless it hands a narrower one on."""
        return self.system if self.narrowed is None else self.narrowed.holder


def issue_tokens(uow: UnitOfWork, requests: Sequence[TokenRequest]) -> Finish[dict[str, Any]]:
    """Issue a batch of tokens. Each answer is the token response (RFC 6749 §5.1, RFC 9396 §7) or an `OAuthError`."""
    items = [_Item(request) for request in requests]
    _authenticate(uow, items)
    _check_scopes(items)
    _name_staff(uow, items)
    _narrow(uow, items)
    _identify(uow, items)
    _spring(uow, items)
    _decide(uow, items)
    _set_apart(uow, items)
    _issue(uow, items)
    _record(uow, items)

    def finish(_commit: Commit) -> list[dict[str, Any] | VaultError]:
        return [item.error or _answer(item, uow.now) for item in items]

    return finish


def _authenticate(uow: UnitOfWork, items: Sequence[_Item]) -> None:
    for item, outcome in zip(items, authenticate(uow, [item.request.client for item in items]), strict=True):
        if isinstance(outcome, OAuthError):
            item.error = outcome
        else:
            item.system = outcome
    alive = _alive(items)
    proofs = [(item.request.proof.proof_hash, item.request.proof.expires_at) for item, _ in alive]
    for (item, _), fresh in zip(alive, tokens.claim_proofs(uow, proofs), strict=True):
        if not fresh:
            item.error = OAuthError("invalid_dpop_proof", audit="proof_replayed")


def _check_scopes(items: Sequence[_Item]) -> None:
    for item, system in _alive(items):
        if not item.request.scopes <= system.scopes:
            item.error = OAuthError("invalid_scope")


def _name_staff(uow: UnitOfWork, items: Sequence[_Item]) -> None:
    alive = _alive(items)
    named = [(system.brand, (item.request.disclosure or item.request).staff) for item, system in alive]
    for (item, _), who in zip(alive, staff_hashes(uow.vault.keys, named), strict=True):
        item.staff = who


def _narrow(uow: UnitOfWork, items: Sequence[_Item]) -> None:
    """Find the tokens that exchanges narrow, and hold what is asked against what they grant."""
    asked = [
        (item, disclosure, (item.request.exchange, system, item.request.proof))
        for item, system, disclosure in _disclosures(items)
        if item.request.exchange is not None
    ]
    if not asked:
        return
    found = narrowing.find(uow, [question for _, _, question in asked])
    for (item, disclosure, _), outcome in zip(asked, found, strict=True):
        if isinstance(outcome, OAuthError):
            item.error = outcome
        else:
            item.narrowed = outcome
            if not narrowing.is_within(disclosure, item.staff, outcome, uow.vault.bundle.purposes):
                item.error = OAuthError("invalid_authorization_details", "beyond_parent")
            # Who stands behind the wider token stands behind the narrower one too.
            item.staff = item.staff or outcome.granted.staff


def _identify(uow: UnitOfWork, items: Sequence[_Item]) -> None:
    """Find the subjects each request names, for its own brand, with one query for all; all of them or none."""
    wanted = _disclosures(items)
    for item, system, asked in wanted:
        item.error = _catalogue_error(uow, item.holder or system, asked)
    wanted = _disclosures(items)
    pairs = [(system.brand, reference) for _, system, asked in wanted for reference in asked.subjects]
    located = references.locate(uow, pairs)
    found = [(brand, subject) for (brand, _), subject in zip(pairs, located, strict=True) if subject is not None]
    loaded = dict(zip(found, facts.load_each(uow, found), strict=True))
    position = 0
    for item, system, asked in wanted:
        own = located[position : position + len(asked.subjects)]
        position += len(asked.subjects)
        known = [loaded.get((system.brand, subject)) if subject is not None else None for subject in own]
        item.known = tuple(
            each for each in known if each is not None and each.facts.known_to_brand and not each.facts.erased
        )
        if len(item.known) != len(asked.subjects):
            item.error = OAuthError("invalid_authorization_details", "not_granted", audit="unknown_reference")
    for item, _, _ in _disclosures(items):
        if item.narrowed is not None and not narrowing.is_open(uow, item.narrowed, item.known):
            item.error = OAuthError("invalid_authorization_details", "not_granted", audit="beyond_parent")


def _spring(uow: UnitOfWork, items: Sequence[_Item]) -> None:
    """Freeze systems that ask about somebody who does not exist; refuse all that they ask for here."""
    asked = [(item, system, item.known) for item, system, _ in _disclosures(items)]
    keys = iter(facts.log_keys(uow.vault.keys, [each for _, _, known in asked for each in known]))
    looks = []
    for item, system, known in asked:
        item.log_keys = tuple([next(keys) for _ in known])
        looks += [(system, key) for key in item.log_keys]
    frozen = honey.spring(uow, looks)
    for item, system in _alive(items):
        if system.id in frozen:
            item.error = OAuthError("invalid_client", audit="system_frozen")


def _catalogue_error(uow: UnitOfWork, system: SystemRecord, asked: rar.Disclosure) -> OAuthError | None:
    """Refuse what no subject could change: a field or purpose that is not in the bundle or not this system's."""
    try:
        uow.vault.bundle.purposes.get(asked.purpose)
        for wanted in asked.wanted:
            uow.vault.bundle.catalogue.field(wanted.field)
    except PolicyError as error:
        return OAuthError("invalid_authorization_details", error.code)
    if asked.purpose not in system.purposes:
        return OAuthError("invalid_authorization_details", "purpose_not_registered")
    if asked.as_known_on is not None and asked.as_known_on > day_of(uow.now):
        return OAuthError("invalid_authorization_details", "invalid_as_known_on")
    return None


def _decide(uow: UnitOfWork, items: Sequence[_Item]) -> None:
    bundle = uow.vault.bundle  # read once: a policy load must not split the batch
    for item, system, asked in _disclosures(items):
        holder = item.holder or system
        caller = Caller(holder.id, holder.brand, holder.purposes, staffed=bool(asked.staff))
        item.decisions = tuple(
            decide(DecisionRequest(caller, known.facts, asked.purpose, asked.wanted), bundle) for known in item.known
        )
        item.granted = combine(asked.wanted, item.decisions)
        if not item.granted.levels:
            item.error = OAuthError("invalid_authorization_details", "not_granted")


def _set_apart(uow: UnitOfWork, items: Sequence[_Item]) -> None:
    """Take the uses of a narrower token from its parent, in the unit of work that makes it."""
    for item, _, asked in _disclosures(items):
        if item.narrowed is not None:
            parent, subjects = item.narrowed.parent.token_hash, [each.subject_id for each in item.known]
            if not tokens.set_apart(uow, parent, subjects, asked.max_uses):
                item.error = OAuthError("invalid_authorization_details", "uses_beyond_parent")


def _issue(uow: UnitOfWork, items: Sequence[_Item]) -> None:
    alive = _alive(items)
    issued = tokens.issue(uow, [_new_token(uow, item, system) for item, system in alive]) if alive else []
    for (item, _), made in zip(alive, issued, strict=True):
        item.issued = made


def _new_token(uow: UnitOfWork, item: _Item, system: SystemRecord) -> NewToken:
    asked, jkt, x5t = item.request.disclosure, item.request.proof.jkt, item.request.proof.x5t
    if asked is None or item.granted is None:
        return NewToken(system, Kind.SERVICE, jkt, item.request.scopes, SERVICE_SECONDS, x5t=x5t)
    purposes = uow.vault.bundle.purposes
    named = [
        Named(
            each.subject_id,
            uow.vault.shard_of(each.subject_id),
            each.subject_epoch,
            each.consent_epoch(asked.purpose, purposes),
            asked.max_uses,
        )
        for each in item.known
    ]
    life = rar.life(item.granted.levels)
    narrowed = item.narrowed
    if narrowed is not None:
        system, jkt, x5t = narrowed.holder, narrowed.jkt, narrowed.x5t
        life = min(life, narrowed.parent.expires_at - uow.now)
    return NewToken(
        system,
        Kind.DISCLOSURE,
        jkt,
        frozenset(),
        life,
        purpose=asked.purpose,
        detail=detail.write(item.granted.stored(), asked.max_uses, item.staff, asked.as_known_on),
        policy_hash=uow.vault.bundle.hash,
        subjects=tuple(named),
        parent=None if narrowed is None else narrowed.parent.token_hash,
        actors=() if narrowed is None else narrowed.actors,
        x5t=x5t,
    )


def _record(uow: UnitOfWork, items: Sequence[_Item]) -> None:
    """Record every outcome but failed authentication, which `authenticate` has recorded."""
    for item, req in zip(items, request_macs(uow, [item.request.client.request_id for item in items]), strict=True):
        if item.system is not None:
            single = len(item.log_keys) == 1 and bool(item.decisions)
            wish = item.request
            token = b"" if item.issued is None else item.issued.token_hash
            asker = Asker(item.system.brand, bytes.fromhex(item.staff), token)
            actor = actor_of(item.system, asker)
            why = explained(item.decisions[0], item.decisions[0].answers) if single else None
            outcome = item.granted, item.narrowed, item.error
            for entry in evidence.entries(wish.disclosure, wish.scopes, *outcome, actor, req, why):
                uow.record(entry, log_key=item.log_keys[0] if single else None)


def _answer(item: _Item, now: int) -> dict[str, Any]:
    issued, asked = item.issued, item.request.disclosure
    if issued is None:
        raise TypeError("an answer needs a token")
    answer: dict[str, Any] = {
        "access_token": issued.token,
        "token_type": "DPoP",
        "expires_in": issued.expires_at - now,
    }
    if item.narrowed is not None:
        answer["issued_token_type"] = narrowing.ACCESS_TOKEN  # RFC 8693 §2.2.1
    if asked is None or item.granted is None:
        return answer | {"scope": " ".join(sorted(item.request.scopes))}
    whom = {"subject": asked.subjects[0]} if asked.single else {"subjects": list(asked.subjects)}
    entry: dict[str, Any] = {"type": rar.TYPE, **whom, "purpose": asked.purpose, "basis": item.granted.basis}
    entry |= {"fields": item.granted.told(), "max_uses": asked.max_uses, **detail.day_asked(asked.as_known_on)}
    return answer | {"authorization_details": [entry]}


def _alive(items: Sequence[_Item]) -> list[tuple[_Item, SystemRecord]]:
    return [(item, item.system) for item in items if item.error is None and item.system is not None]


def _disclosures(items: Sequence[_Item]) -> list[tuple[_Item, SystemRecord, rar.Disclosure]]:
    alive = [(item, system, item.request.disclosure) for item, system in _alive(items)]
    return [(item, system, asked) for item, system, asked in alive if asked is not None]
