"""What a disclosure leaves in the log: who, which fields at which level, for which purpose, by which rules.

Never a value, never a reference, never the caller's own words. A look that was decided partly is two entries: what was
given, and what was refused.
"""

from collections.abc import Collection, Iterable, Sequence
from typing import Any, Final

from api.oauth import detail
from audit.entry import UNKNOWN, Act, Actor, ActorKind, Asker, Entry, Outcome
from policies.floors import TOO_FEW
from policies.model import Decision, FieldAnswer
from vault.errors import IntegrityFailure, Refused, TooFew, VaultError
from vault.tokens import Kind, Session
from vault.unit import UnitOfWork, Vault

REQUEST_KEY_SECONDS: Final = 30 * 86_400  # the key that hides external request ids changes this often
AS_KNOWN_ON: Final = "history.as_known_on"  # beside the rules of an entry that let earlier values be seen
_REQUEST_MAC: Final = 16


def actor_of(session: Session) -> Actor:
    """Name the system behind a session, the one from which its token came by exchange, and the member of staff it named."""
    return _actor(session, asker_of(session))


def asker_of(session: Session) -> Asker | None:
    """Name the member of staff that a request named; None where it named nobody."""
    return Asker(session.system.brand, bytes.fromhex(session.staff)) if session.staff else None


def looker_of(session: Session) -> Actor:
    """Name who looks at somebody: the same, and the token behind it, as the log's pseudonyms are drawn from."""
    return _actor(session, Asker(session.system.brand, bytes.fromhex(staff_of(session)), session.token_hash))


def staff_of(session: Session) -> str:
    """Return the keyed hash of the member of staff that the request named, or else its token; 32 hex digits or empty."""
    return session.staff or token_staff(session)


def token_staff(session: Session) -> str:
    """Return the keyed hash of the member of staff for whom the token was asked, or an empty text."""
    try:
        return detail.read(session.detail).staff if session.detail else ""
    except IntegrityFailure:
        return ""  # told when it is read for the decision


def _actor(session: Session, asker: Asker | None) -> Actor:
    via = session.actors[-1] if session.actors else None
    return Actor(ActorKind.SYSTEM, session.system.id, None if via == session.system.id else via, asker)


def request_macs(uow: UnitOfWork, request_ids: Sequence[str]) -> list[bytes]:
    """Hide external request ids under a key that is replaced every 30 days.

    A bare id would tie an entry to the callers' own logs, also after the subject was erased (audit study §2.1).
    """
    label = f"audit/request/{uow.now // REQUEST_KEY_SECONDS}"
    return [mac[:_REQUEST_MAC] for mac in uow.vault.keys.mac(label, [each.encode() for each in request_ids])]


def auth_failed(session: Session | None, refused: VaultError, req: bytes | None) -> Entry:
    """Build the entry of a request that was turned away before anything was decided."""
    actor = UNKNOWN if session is None else actor_of(session)
    return Entry(Act.AUTH_FAILED, Outcome.DENY, actor, pol=(f"auth.{cause(refused)}",), req=req)


def tells(uow: UnitOfWork, address: str, entry: Entry) -> bool:
    """Whether an entry is to be recorded: failed authentications beyond an address's limit are counted instead."""
    return entry.act is not Act.AUTH_FAILED or uow.vault.failures.admit(address, entry.pol[0], uow.now)


def turn_away(uow: UnitOfWork, session: Session | None, refused: VaultError, req: bytes | None, address: str) -> None:
    """Record that a request was turned away, or count it."""
    entry = auth_failed(session, refused, req)
    if tells(uow, address, entry):
        uow.record(entry)


def record_untold(vault: Vault) -> None:
    """Record how many failed authentications were counted and not recorded: one entry per cause."""
    counts = vault.failures.take()
    if not counts:
        return
    try:
        with vault.unit() as uow:
            for why, count in sorted(counts.items()):
                uow.record(Entry(Act.AUTH_FAILED, Outcome.DENY, UNKNOWN, pol=(why, "auth.counted"), n=count))
            uow.commit()
    except BaseException:
        vault.failures.give_back(counts)
        raise


def entries(
    session: Session | None,
    decision: Decision | None,
    error: VaultError | None,
    req: bytes | None,
    *,
    past: bool = False,
) -> list[Entry]:
    """Build the entries of one look, the disclosing one last. `past`: it was answered as known on an earlier day."""
    if session is None or session.kind is not Kind.DISCLOSURE:
        return [auth_failed(session, error or Refused("invalid_token"), req)]
    actor = looker_of(session)
    if decision is None:
        why = (f"token.{cause(error or Refused('not_permitted'))}",)
        return [Entry(Act.FIELD_DENIED, Outcome.DENY, actor, pur=session.purpose, pol=why, req=req)]
    refused = [answer for answer in decision.answers if answer.granted is None]
    given = [answer for answer in decision.answers if answer.granted is not None]
    if error is not None and given:  # the rules would have allowed it; the token had no use left
        why = (f"token.{cause(error)}",)
        return [_entry(Act.FIELD_DENIED, Outcome.DENY, actor, session, decision, decision.answers, why, req)]
    found = []
    if refused:
        found.append(_entry(Act.FIELD_DENIED, Outcome.DENY, actor, session, decision, refused, _policies(refused), req))
    if given:
        why = (*_policies(given), *((AS_KNOWN_ON,) if past else ()))
        found.append(_entry(Act.FIELD_DISCLOSED, Outcome.ALLOW, actor, session, decision, given, why, req))
    return found


def failed(session: Session, decision: Decision, names: Collection[str], error: VaultError, req: bytes | None) -> Entry:
    """Build the entry of what was allowed and then failed or was held back, for the fields named, or for all if none is."""
    given = [a for a in decision.answers if a.granted is not None and (not names or a.wanted.field in names)]
    if isinstance(error, TooFew):
        return _entry(Act.FIELD_DENIED, Outcome.DENY, looker_of(session), session, decision, given, (TOO_FEW.id,), req)
    why = (f"failed.{cause(error)}",)
    return _entry(Act.FIELD_DISCLOSED, Outcome.ERROR, looker_of(session), session, decision, given, why, req)


def cause(error: VaultError) -> str:
    """Return the cause of a refusal as the log names it, which may be more exact than what the caller was told."""
    return error.audit if isinstance(error, Refused) else error.code


def _entry(
    act: Act,
    out: Outcome,
    actor: Actor,
    session: Session,
    decision: Decision,
    answers: Sequence[FieldAnswer],
    policies: tuple[str, ...],
    req: bytes | None,
) -> Entry:
    fields = tuple([f"{each.wanted.field}:{each.granted or each.wanted.level}" for each in answers])
    return Entry(
        act,
        out,
        actor,
        fields,
        session.purpose,
        decision.basis,
        policies,
        req=req,
        detail=explained(decision, answers),
    )


def explained(decision: Decision, answers: Sequence[FieldAnswer]) -> dict[str, Any] | None:
    """Explain a decision field by field where it gave less than was asked for; else the entry says it all."""
    if all(each.granted is each.wanted.level for each in answers):
        return None
    return {
        "policies": decision.policy_hash.hex(),
        "fields": [
            {
                "field": each.wanted.field,
                "asked": each.wanted.level.value,
                "given": each.granted and each.granted.value,
                "rules": list(each.policies),
                "reason": each.reason and each.reason.value,
            }
            for each in answers
        ],
    }


def _policies(answers: Iterable[FieldAnswer]) -> tuple[str, ...]:
    return tuple(dict.fromkeys([policy for answer in answers for policy in answer.policies]))
