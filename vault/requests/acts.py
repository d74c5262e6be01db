"""What a request leads to: values written anew, processing restricted. What is destroyed: `vault.requests.erasing`."""

from dataclasses import replace

from policies.catalogue import FieldKind
from policies.decision import OWN
from policies.rights import Right
from vault import amendments, outbox, references, restrictions
from vault.amendments import Update
from vault.erasure import keeping
from vault.erasure.keeping import Because
from vault.errors import Conflict, InvalidFields, VaultError
from vault.outbox import EventKind, Happened
from vault.requests import entries
from vault.requests.content import Content
from vault.requests.handling import granted, view
from vault.requests.records import Request
from vault.requests.states import IllegalMove, Move
from vault.requests.steps import By, Held, denials, lock, take
from vault.restrictions import Ground, Restrict
from vault.unit import UnitOfWork, Vault


def rectify(vault: Vault, request_id: bytes, by: By) -> Request:
    """Write the values that the person gave, as they gave them, in the place of the wrong ones (GDPR Art. 16).

    What was wrong is deleted with its key where it can be named: a single value, an item of a list or an entry of a journal
    by its number; of what a hold keeps it leaves the current values and stays. Of an entry the members that were given take
    the place of those it has (`vault.requests.entries`). The brand's systems are told. Raises as `handling.advance`, and
    `InvalidFields` for values that do not fit.
    """
    request, written = view(vault, request_id, by)
    written = replace(written, values=entries.whole(vault, request, written.values, by))
    with denials(vault, request_id, Move.CARRY_OUT, by), vault.unit() as uow:
        held, reference = _ready(uow, request_id, Right.RECTIFICATION)
        if held.request.version != request.version:
            raise Conflict("subject_request")
        update = _update(uow, held, reference, written)
        (answer,) = amendments.amend(uow, [update])
        if isinstance(answer, InvalidFields) and update.correct:
            # Nothing is there yet that could be wrong: then it is told for the first time.
            plain = {
                name: update.correct[name] for name in update.correct if not isinstance(update.correct[name], list)
            }
            rest = {name: value for name, value in update.correct.items() if name not in plain}
            again = replace(update, set={**update.set, **plain}, correct=rest)
            (answer,) = amendments.amend(uow, [again])
        if isinstance(answer, VaultError):
            raise answer
        told = Happened(held.request.brand, reference, EventKind.RECTIFIED, {"version": answer.version})
        outbox.queue(uow, [told])
        said = tuple(sorted(f"field:{each}" for each in written.values))
        held = take(uow, held, Move.CARRY_OUT, by, said=said, **granted(held.request))
        uow.commit()
    return held.request


def restrict(vault: Vault, request_id: bytes, by: By) -> Request:
    """Restrict processing, on the ground that the request names (GDPR Art. 18). Raises as `handling.advance`."""
    with denials(vault, request_id, Move.CARRY_OUT, by), vault.unit() as uow:
        held, reference = _ready(uow, request_id, Right.RESTRICTION)
        ground = Ground(held.request.names[0])
        (answer,) = restrictions.restrict(uow, [Restrict(held.request.brand, reference, ground, by.actor)])
        if isinstance(answer, VaultError):
            raise answer
        held = take(uow, held, Move.CARRY_OUT, by, said=(f"ground:{ground}",), **granted(held.request))
        uow.commit()
    return held.request


def _ready(uow: UnitOfWork, request_id: bytes, right: Right) -> tuple[Held, str]:
    held = lock(uow, request_id)
    if held.request.right is not right or held.person is None:
        raise IllegalMove
    (reference,) = references.of(uow, held.request.brand, [held.person.subject])
    if reference is None:
        raise IllegalMove
    return held, reference


def _update(uow: UnitOfWork, held: Held, reference: str, written: Content) -> Update:
    fields = uow.vault.bundle.catalogue.fields
    correct: dict[str, object] = {}
    whole: dict[str, object] = {}
    for name, value in written.values.items():
        single = name in fields and fields[name].kind is FieldKind.SINGLE
        by_item = isinstance(value, list) and value and all(isinstance(each, dict) and "item" in each for each in value)
        (correct if single or by_item else whole)[name] = value
    return Update(
        reference, held.request.brand, OWN, None, set=whole, correct=correct, entries=True, held=_on_hold(uow, held)
    )


def _on_hold(uow: UnitOfWork, held: Held) -> frozenset[int]:
    if held.person is None:  # pragma: no cover - `_ready` saw to it
        return frozenset()
    filled = keeping.filled(uow.conn, [held.person.subject])
    kept = keeping.kept(uow.conn, uow.vault.bundle.catalogue, filled, uow.now)
    return frozenset(category for (_, category), each in kept.items() if each.because is Because.HOLD)
