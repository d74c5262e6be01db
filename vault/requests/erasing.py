"""Erasure on request: what would go is worked out, shown, approved by another officer as shown, and then carried out.

The approval is of one plan, named by its hash: if a hold was placed or the years of a law ran out since, the plan is another
one and has to be shown again. What a hold or a law keeps stays sealed and denied (`vault.erasure`); what goes, goes with
its keys. Afterwards the request follows by itself: recipients acknowledge, the old root is destroyed and every backup with
it, the certificate stands (`follow`).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any, Final

from sqlalchemy import Connection, bindparam, select, update

from audit.certificate import parse_certificate
from audit.note import split_note
from policies.rights import Right
from vault import outbox
from vault.compartments import ACTIVE
from vault.erasure import keeping, settling
from vault.erasure import requests as erasures
from vault.erasure.requests import Erase, Requested
from vault.errors import Conflict, LetterWaiting, NothingToErase, VaultError
from vault.leftleaves import retire_left
from vault.outbox import EventState, Standing
from vault.requests import letters, records
from vault.requests.handling import granted
from vault.requests.letters import LetterState
from vault.requests.records import Outcome, Request, Wanted
from vault.requests.states import IllegalMove, Move, State
from vault.requests.steps import By, Held, another, by_vault, denials, lock, take
from vault.store.engine import clear_journal
from vault.store.keysets import padded
from vault.store.tables import metadata
from vault.unit import UnitOfWork, Vault

_ERASURE: Final = metadata.tables["erasure"]
_REQUEST: Final = metadata.tables["subject_request"]
_STANDING: Final = select(_ERASURE.c.id, _ERASURE.c.epoch, _ERASURE.c.state, _ERASURE.c.certificate).where(
    _ERASURE.c.id.in_(bindparam("ids", expanding=True))
)
WAIVED: Final = "letter:waived"  # an officer said that the number is told in another way
_FOLLOWED: Final = (State.EXECUTED, State.RECIPIENTS_NOTIFIED, State.BACKUPS_EXPIRED)


@dataclass(frozen=True, slots=True)
class KeptBack:
    """A category that stays, and why: `because` is `hold`, `law` or `refused`; `until` UTC seconds, None if unknown."""

    category: str
    because: str
    reason: str
    until: int | None


@dataclass(frozen=True, slots=True)
class Plan:
    """What an erasure would do now: categories by name. `whole`: the person, and not parts of them."""

    whole: bool
    destroyed: tuple[str, ...]
    kept: tuple[KeptBack, ...]

    @property
    def hash(self) -> str:
        """Return what an approval is of, hexadecimal: what is kept until when moves with no day that passes."""
        parts = [
            str(self.whole),
            *self.destroyed,
            *(f"{each.category}={each.because}:{each.reason}" for each in self.kept),
        ]
        return sha256("\n".join(parts).encode()).hexdigest()[:32]


def check_holds(vault: Vault, request_id: bytes, by: By) -> tuple[Request, Plan]:
    """Look what may not be destroyed, by hold or by law. Raises as `handling.advance`."""
    with denials(vault, request_id, Move.CHECK_HOLDS, by), vault.unit() as uow:
        held = _held(uow, request_id)
        plan = _plan(uow, held)
        said = tuple(f"{each.because}:{each.category}" for each in plan.kept)
        held = take(uow, held, Move.CHECK_HOLDS, by, said=said)
        uow.commit()
    return held.request, plan


def rehearse(vault: Vault, request_id: bytes, by: By) -> tuple[Request, Plan]:
    """Work out what would be destroyed, and touch nothing: this plan is what another officer approves.

    Raises as `handling.advance`, and `NothingToErase` where everything is kept: then the request is to be refused on
    that ground.
    """
    with denials(vault, request_id, Move.REHEARSE, by), vault.unit() as uow:
        held = _held(uow, request_id)
        plan = _plan(uow, held)
        if not plan.destroyed:
            raise NothingToErase
        held = take(uow, held, Move.REHEARSE, by, said=(f"plan:{plan.hash}", *_named(plan)))
        uow.commit()
    return held.request, plan


def approve(vault: Vault, request_id: bytes, by: By) -> Request:
    """Approve the plan that another officer rehearsed, as the second one.

    Raises as `handling.advance`, `NotSigned` for who rehearsed it, `Conflict` if it would go otherwise by now.
    """
    with denials(vault, request_id, Move.APPROVE, by), vault.unit() as uow:
        held = _held(uow, request_id)
        another(uow, held.request, by, Move.REHEARSE)
        plan = _same(uow, held)
        held = take(uow, held, Move.APPROVE, by, said=(f"plan:{plan.hash}",))
        uow.commit()
    return held.request


def execute(vault: Vault, request_id: bytes, by: By, *, without_letter: bool = False) -> Request:
    """Carry out what was approved. When this returns it is denied to everybody and its leaves are refused.

    Raises as `approve`, and `LetterWaiting` while the letter that tells the person the number of the certificate has not
    gone and an address is on file. `without_letter`: the officer says that it is told in another way, which the step keeps.
    """
    with denials(vault, request_id, Move.EXECUTE, by), vault.unit() as uow:
        held = _held(uow, request_id)
        plan = _same(uow, held)
        if held.person is None or held.request.state is not State.SECOND_APPROVAL:
            raise IllegalMove
        if not without_letter and _leaves_nobody(uow, plan) and letter_waits(uow, held.request):
            raise LetterWaiting
        waived = (WAIVED,) if without_letter else ()
        partly = {"outcome": Outcome.PARTIALLY_GRANTED.value} if plan.kept else granted(held.request)
        names = _erasures_of(vault, held.person.subject, plan, by)
        # The step first: what follows takes the person's log key out of reach.
        held = take(uow, held, Move.EXECUTE, by, said=(f"plan:{plan.hash}", *waived), **partly)
        done = [each for each in erasures.request(uow, names) if not isinstance(each, NothingToErase)]
        ids = [_id_of(each) for each in done]
        if not ids:
            raise NothingToErase
        carried = update(_REQUEST).where(_REQUEST.c.id == request_id)
        uow.conn.execute(carried.values(erasures=" ".join(each.hex() for each in ids)))
        found = records.get(uow.conn, request_id)
        uow.commit()
    settling.queue(vault, ids)
    retire_left(vault)
    clear_journal(vault.engine)
    return found


def letter_waits(uow: UnitOfWork, request: Request) -> bool:
    """Whether the letter with the number of the certificate has not gone, although there is an address to send it to.

    Of a letter that went more than a week ago nothing is known any more.
    """
    sent = letters.standing(uow, letters.number_letter(request.id)) is LetterState.SENT
    return not sent and request.subject is not None and bool(letters.addresses(uow, request.subject, request.brand))


def notices(vault: Vault, request: Request) -> list[Standing]:
    """Return who was told of the erasure, and who has acknowledged it (GDPR Art. 19)."""
    with vault.reading() as conn:
        return [line for each in request.erasures for line in outbox.notices(conn, each)]


def follow(vault: Vault) -> int:
    """Take further every erasure that recipients, the epoch or a certificate have taken further. May be repeated.

    Returns how many steps were taken.
    """
    taken = 0
    with vault.reading() as conn:
        waiting = records.listed(conn, Wanted(rights=[Right.ERASURE], states=_FOLLOWED))
    for request in waiting:
        while (step := _next(vault, request)) is not None:
            move, said = step
            with vault.unit() as uow:
                held = lock(uow, request.id)
                if held.request.version != request.version:
                    break  # another process was quicker
                held = take(uow, held, move, by_vault(vault), said=said)
                uow.commit()
            request = held.request  # noqa: PLW2901 - the same one, a step further
            taken += 1
    return taken


def _next(vault: Vault, request: Request) -> tuple[Move, tuple[str, ...]] | None:
    if request.state is State.EXECUTED:
        told = notices(vault, request)
        waits = any(each.state is not EventState.ACKNOWLEDGED for each in told)
        return None if waits else (Move.NOTE_NOTIFIED, (f"recipients:{len(told)}",))
    with vault.reading() as conn:
        standing = _standing(conn, request.erasures)
    certificates = [row.certificate for row in standing]
    if any(each is None for each in certificates):
        return None
    if request.state is State.RECIPIENTS_NOTIFIED:
        ends = [_effective(each) for each in certificates]
        return (Move.NOTE_EXPIRED, ()) if max(ends, default=0) <= vault.clock.now() else None
    if request.state is State.BACKUPS_EXPIRED:
        return Move.CERTIFY, tuple(f"certificate:{row.id.hex()}" for row in standing)
    return None


def _standing(conn: Connection, ids: Sequence[bytes]) -> list[Any]:
    return list(conn.execute(_STANDING, {"ids": padded(list(ids))})) if ids else []


def _effective(note: str) -> int:
    moment = parse_certificate(split_note(note).text).effective
    return int(datetime.strptime(moment, "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC).timestamp())


def _held(uow: UnitOfWork, request_id: bytes) -> Held:
    held = lock(uow, request_id)
    if held.request.right is not Right.ERASURE or held.person is None:
        raise IllegalMove
    return held


def _plan(uow: UnitOfWork, held: Held) -> Plan:
    request, person, catalogue = held.request, held.person, uow.vault.bundle.catalogue
    if person is None:  # pragma: no cover - `_held` saw to it
        raise IllegalMove
    filled = keeping.filled(uow.conn, [person.subject])
    back = keeping.kept(uow.conn, catalogue, filled, uow.now)
    destroyed: list[str] = []
    kept: list[KeptBack] = []
    for category_id, compartment in sorted(filled[person.subject].items()):
        name = keeping.name_of(catalogue, category_id)
        if (request.names and name not in request.names) or compartment.state != ACTIVE:
            continue
        held_back = back.get((person.subject, category_id))
        if name in request.kept:
            kept.append(KeptBack(name, "refused", str(request.ground), None))
        elif held_back is not None:
            kept.append(KeptBack(name, held_back.because.value, held_back.reason, held_back.until))
        else:
            destroyed.append(name)
    return Plan(not request.names and not request.kept, tuple(destroyed), tuple(kept))


def _same(uow: UnitOfWork, held: Held) -> Plan:
    """Return the plan as it is now. Raises `Conflict` unless it is the one that was rehearsed."""
    plan = _plan(uow, held)
    rehearsed = [each for each in records.steps(uow.conn, held.request.id) if each.move is Move.REHEARSE]
    if not rehearsed:
        raise IllegalMove
    if f"plan:{plan.hash}" not in rehearsed[-1].said:
        raise Conflict("plan")
    return plan


def _erasures_of(vault: Vault, subject: bytes, plan: Plan, by: By) -> list[Erase]:
    if plan.whole:
        return [Erase(subject, by.actor)]
    # What only a refusal keeps is left as it is; what a hold or a law keeps is denied as well.
    return [erasures.of_category(vault.bundle.catalogue, subject, each, by.actor) for each in _out_of_reach(plan)]


def _out_of_reach(plan: Plan) -> list[str]:
    return [*plan.destroyed, *(each.category for each in plan.kept if each.because != "refused")]


def _leaves_nobody(uow: UnitOfWork, plan: Plan) -> bool:
    """Whether nobody can be written to afterwards: a letter that waits still is void then."""
    mail = uow.vault.bundle.catalogue.fields.get(letters.MAIL)
    return plan.whole or (mail is not None and mail.category in _out_of_reach(plan))


def _id_of(answer: Requested | VaultError) -> bytes:
    if isinstance(answer, VaultError):
        raise answer
    return answer.erasure


def _named(plan: Plan) -> tuple[str, ...]:
    return (*(f"destroys:{each}" for each in plan.destroyed), *(f"keeps:{each.category}" for each in plan.kept))
