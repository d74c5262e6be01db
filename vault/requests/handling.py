"""Handling: the steps that officers, brands and the person take, and what an officer reads.

Each is one unit of work: the step, the register and the log entry stand together. A step that is turned away is on record
as well. What destroys, writes or gives out has a module of its own.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, Final

from sqlalchemy import update

from audit.entry import Act, Entry
from audit.entry import Outcome as Ended
from policies.rights import Assurance
from vault import references
from vault.errors import IntegrityFailure, InvalidFields
from vault.leftleaves import retire_left
from vault.requests import content, records, stopping
from vault.requests.content import Content
from vault.requests.intake import required
from vault.requests.records import Ground, Outcome, Request, Step, Wanted
from vault.requests.states import IllegalMove, Move, State
from vault.requests.steps import DECIDED, STOPPING, By, Held, another, checked, denials, handling, lock, take, vouched
from vault.store.tables import metadata
from vault.unit import UnitOfWork, Vault

DISOWNED: Final = "not_the_person"  # the reason that a person gives who did not ask

_REQUEST: Final = metadata.tables["subject_request"]
_CODE: Final = re.compile(r"[a-z][a-z0-9_.:-]{0,63}")
_PLAIN: Final = frozenset(
    {
        Move.ACKNOWLEDGE, Move.ASK_IDENTITY, Move.FAIL_IDENTITY, Move.COLLECT, Move.REVIEW, Move.DELIVER, Move.CLOSE,
        Move.HALT, Move.RESUME, Move.EXTEND, Move.WITHDRAW,
    }
)  # fmt: skip
_WITH_REASON: Final = frozenset({Move.HALT, Move.EXTEND, Move.FAIL_IDENTITY})
_SEEN_BY_STAFF: Final = frozenset({Assurance.PURCHASE, Assurance.DOCUMENT, Assurance.SIGNED_IN})


def advance(
    vault: Vault, request_id: bytes, move: Move, by: By, *, reason: str = "", brand: str | None = None
) -> Request:
    """Take a step that needs nothing but its place in the table. `reason` is a code, for a halt and for more time.

    Raises `UnknownRequest`, `IllegalMove`, `InvalidFields`, `NotSigned`, `UnknownOfficer`, `Refused`.
    """
    with denials(vault, request_id, move, by), vault.unit() as uow:
        if move not in _PLAIN:
            raise IllegalMove
        checked([("reason", "not_a_code")] if bool(reason) != (move in _WITH_REASON) or not _is_code(reason) else [])
        said = (f"reason:{reason}",) if reason else ()
        held = take(uow, lock(uow, request_id, brand), move, by, said=said)
        uow.commit()
    _settle(vault, held)
    return held.request


def accept(vault: Vault, request_id: bytes, rung: Assurance, by: By) -> Request:
    """Note that staff satisfied themselves of who asks: of a purchase that the person knew, or a document they showed.

    Of a document nothing is kept but that it was seen (EDPB 01/2022). Raises as `advance`.
    """
    with denials(vault, request_id, Move.ACCEPT_IDENTITY, by), vault.unit() as uow:
        held = lock(uow, request_id)
        if rung not in _SEEN_BY_STAFF or rung.rank < required(vault.bundle, held.request).rank:
            raise InvalidFields((("assurance", "not_enough"),))
        held = proven(uow, held, rung, by)
        uow.commit()
    _settle(vault, held)
    return held.request


def proven(uow: UnitOfWork, held: Held, rung: Assurance, by: By) -> Held:
    """Take the step that makes the person known, on a rung that was checked by the caller.

    What only stops something is then carried out, as it is where nobody has to be asked.
    """
    best = max(rung, held.request.assurance, key=lambda each: each.rank)
    held = take(uow, held, Move.ACCEPT_IDENTITY, by, said=(f"assurance:{rung}",), assurance=best.value)
    if held.request.right in STOPPING and held.person is not None:
        (reference,) = references.of(uow, held.request.brand, [held.person.subject])
        if reference is not None:
            held = stopping.at_once(uow, held, reference)
    return held


def confirm(vault: Vault, request_id: bytes, by: By, brand: str) -> Request:
    """Take the word of the person, who signed in with a code sent to an address on file, that a request is theirs.

    Raises as `advance`, and `IllegalMove` where nobody was to be asked.
    """
    with denials(vault, request_id, Move.ACCEPT_IDENTITY, by), vault.unit() as uow:
        held = proven(uow, lock(uow, request_id, brand), Assurance.CODE, by)
        uow.commit()
    _settle(vault, held)
    return held.request


def disown(vault: Vault, request_id: bytes, by: By, brand: str) -> Request:
    """End a request at the word of the person that somebody else made it in their name. Raises as `confirm`."""
    with denials(vault, request_id, Move.FAIL_IDENTITY, by), vault.unit() as uow:
        held = lock(uow, request_id, brand)
        if held.request.state is State.ACKNOWLEDGED:
            held = take(uow, held, Move.ASK_IDENTITY, by)
        for move in (Move.FAIL_IDENTITY, Move.CLOSE):
            said = (f"reason:{DISOWNED}",) if move is Move.FAIL_IDENTITY else ()
            held = take(uow, held, move, by, said=said)
        uow.commit()
    _settle(vault, held)
    return held.request


def propose_refusal(vault: Vault, request_id: bytes, ground: Ground, by: By, kept: Sequence[str] = ()) -> Request:
    """Propose to refuse a request on a ground, or with `kept` only what it asks of these categories.

    Nothing follows until another officer confirms. Raises as `advance`.
    """
    with denials(vault, request_id, Move.PROPOSE_REFUSAL, by), vault.unit() as uow:
        known = {each.name for each in vault.bundle.catalogue.categories}
        checked([("kept", "unknown_category") for each in kept if each not in known])
        names = tuple(sorted(set(kept)))
        said = (f"ground:{ground}", *(f"kept:{each}" for each in names))
        held = take(
            uow, lock(uow, request_id), Move.PROPOSE_REFUSAL, by, said=said, ground=ground.value, kept=" ".join(names)
        )
        uow.commit()
    return held.request


def decide_refusal(vault: Vault, request_id: bytes, by: By, *, confirm: bool) -> Request:
    """Confirm or turn down what another officer proposed. A refusal in part goes on with the rest.

    Raises as `advance`; `NotSigned` for the officer who proposed it.
    """
    move = Move.CONFIRM_REFUSAL if confirm else Move.REJECT_REFUSAL
    with denials(vault, request_id, move, by), vault.unit() as uow:
        held = lock(uow, request_id)
        request = held.request
        if request.state is not State.REFUSAL_PROPOSED or request.ground is None:
            raise IllegalMove
        another(uow, request, by, Move.PROPOSE_REFUSAL)
        said = (f"ground:{request.ground}", *(f"kept:{each}" for each in request.kept))
        if not confirm:
            held = take(uow, held, move, by, said=said, ground="", kept="")
        elif request.kept:
            held = take(uow, held, Move.CONFIRM_PARTIAL, by, said=said, outcome=Outcome.PARTIALLY_GRANTED.value)
        else:
            held = take(uow, held, move, by, said=said, outcome=Outcome.REFUSED.value)
        uow.commit()
    return held.request


def decide(vault: Vault, request_id: bytes, by: By, decision: str, answer: str) -> Request:
    """Decide what only a person can: a decision made by a machine looked at anew, a complaint. `decision` is a code.

    `answer` says it to whoever asked, in words (GDPR Art. 12(3), 22(3)): it is sealed with what they wrote, theirs to read and
    to take along, and forgotten when the request is closed. Raises as `advance`.
    """
    with denials(vault, request_id, Move.CARRY_OUT, by), vault.unit() as uow:
        held = lock(uow, request_id)
        if held.request.right not in DECIDED:
            raise IllegalMove
        checked([] if _is_code(decision) and decision else [("decision", "not_a_code")])
        checked([] if answer.strip() else [("answer", "missing")])
        held = take(uow, held, Move.CARRY_OUT, by, said=(f"decision:{decision}",), **granted(held.request))
        _rewrite(uow, held, held.request, lambda written: replace(written, answer=answer.strip()))
        uow.commit()
    retire_left(vault)
    return held.request


def view(vault: Vault, request_id: bytes, by: By) -> tuple[Request, Content]:
    """Give an officer a request with what the person wrote. Recorded, as `request.viewed`, before anything opens.

    Empty content where there was none, or where it died with the person. Raises `UnknownRequest`, `NotSigned`,
    `UnknownOfficer`, `IntegrityFailure`.
    """
    with vault.unit() as uow:
        handling(uow, by.actor.id, Move.VIEW)
        held = lock(uow, request_id)
        signed = vouched(uow, by, held.request, Move.VIEW)
        sealed = content.stored(uow, request_id)
        pol = (f"request:{held.request.name}", f"right:{held.request.right}", *signed)
        uow.record(Entry(Act.REQUEST_VIEWED, Ended.ALLOW, by.actor, pol=pol), log_key=held.log_key)
        uow.commit()
    if sealed is None or held.request.subject is None:
        return held.request, Content()
    return held.request, content.opened(vault, held.request.subject, request_id, sealed) or Content()


def annotate(vault: Vault, request_id: bytes, note: str, by: By) -> None:
    """Add an officer's note to the sealed content: words about a person do not belong into the register.

    Raises as `view`, and `InvalidFields`.
    """
    request, _ = view(vault, request_id, by)
    with vault.unit() as uow:
        held = lock(uow, request_id)
        _rewrite(uow, held, request, lambda written: replace(written, notes=(*written.notes, note)))
        pol = (f"request:{request.name}", "change:note")
        uow.record(Entry(Act.REQUEST_ADVANCED, Ended.ALLOW, by.actor, pol=pol), log_key=held.log_key)
        uow.commit()
    retire_left(vault)


def register(vault: Vault, wanted: Wanted, by: By) -> list[Request]:
    """Show rows of the register, and put on record that it was looked at."""
    with vault.unit() as uow:
        found = records.listed(uow.conn, wanted)
        pol = (f"brand:{wanted.brand}",) if wanted.brand else ()
        uow.record(Entry(Act.REQUEST_LISTED, Ended.ALLOW, by.actor, pol=pol, n=len(found)))
        uow.commit()
    return found


def history(vault: Vault, request_id: bytes, brand: str | None = None) -> tuple[Request, list[Step]]:
    """Return a request and its steps. No personal data is in either. Raises `UnknownRequest`."""
    with vault.reading() as conn:
        return records.get(conn, request_id, brand), records.steps(conn, request_id)


def granted(request: Request) -> dict[str, Any]:
    """Return the columns that say that what was asked for was done, but for what was refused before."""
    return {} if request.outcome is Outcome.PARTIALLY_GRANTED else {"outcome": Outcome.GRANTED.value}


def _rewrite(uow: UnitOfWork, held: Held, seen: Request, change: Callable[[Content], Content]) -> None:
    """Seal the content anew with a change, under another leaf. Raises `IllegalMove` if the request moved since it was seen."""
    vault, request = uow.vault, held.request
    # Opened again now that its row is locked: another officer's note may have come in between.
    sealed = content.stored(uow, request.id)
    if request.version != seen.version or request.subject is None or not request.is_open:
        raise IllegalMove
    written = Content() if sealed is None else content.opened(vault, request.subject, request.id, sealed) or Content()
    (sealed,) = content.seal(uow, [(request.subject, request.id, change(written))])
    if sealed is None:  # pragma: no cover - a change is content
        raise IntegrityFailure
    content.forget(uow, [request.id])
    uow.conn.execute(update(_REQUEST).where(_REQUEST.c.id == request.id).values(**content.columns(sealed)))


def _is_code(text: str) -> bool:
    return not text or _CODE.fullmatch(text) is not None


def _settle(vault: Vault, held: Held) -> None:
    """Have the leaf of what was forgotten refused from now on; a crash in between leaves it to the next sweep."""
    if not held.request.is_open:
        retire_left(vault)
