"""Re-keying: a compartment gets another leaf, and every data key in it is wrapped anew, without any plaintext.

What is left under the old leaf then is only what backups hold: what was deleted from the compartment before dies with
that leaf, and what stays goes on under the new one. The messages of the envelopes do not change, nor does the
generation in their headers (ADR 0009). Readers that hold the old rows find the new ones by asking again
(`vault.disclosure`).
"""

from collections.abc import Sequence
from typing import Final

from sqlalchemy import bindparam, delete, exists, select, tuple_, update

from vault import envelope, leftleaves
from vault.erasure.keeping import Filled
from vault.erasure.records import Leaf, LeafState
from vault.errors import IntegrityFailure, KeyUnavailable
from vault.keys.service import Slot
from vault.store.keysets import padded
from vault.store.tables import metadata
from vault.unit import UnitOfWork

_COMPARTMENT: Final = metadata.tables["compartment"]
_VALUE: Final = metadata.tables["field_value"]
_AT: Final = (_VALUE.c.subject_id, _VALUE.c.category_id, _VALUE.c.field_id, _VALUE.c.item, _VALUE.c.version)

_ROWS: Final = select(*_AT, _VALUE.c.envelope).where(
    tuple_(_VALUE.c.subject_id, _VALUE.c.category_id).in_(bindparam("compartments", expanding=True))
)
_DELETE: Final = delete(_VALUE).where(
    _VALUE.c.subject_id == bindparam("of_subject"),
    _VALUE.c.category_id == bindparam("of_category"),
    _VALUE.c.field_id == bindparam("of_field"),
    _VALUE.c.version <= bindparam("through"),
)
# What officers decided of texts that are gone. A text that was written after what is deleted keeps what was decided of it.
_FORGET: Final = tuple(
    delete(table).where(
        table.c.subject_id == bindparam("of_subject"),
        table.c.field_id == bindparam("of_field"),
        ~exists().where(
            _VALUE.c.subject_id == table.c.subject_id,
            _VALUE.c.category_id == bindparam("of_category"),
            *(_VALUE.c[name] == table.c[name] for name in ("field_id", "item", "version") if name in table.c),
        ),
    )
    for table in (metadata.tables["withheld_text"], metadata.tables["reviewed_text"])
)
_STORE: Final = (
    update(_VALUE)
    .where(*(column == bindparam(f"at_{column.name}") for column in _AT))
    .values(envelope=bindparam("to_envelope"))
)
_MOVE: Final = (
    update(_COMPARTMENT)
    .where(_COMPARTMENT.c.subject_id == bindparam("at_subject"), _COMPARTMENT.c.category_id == bindparam("at_category"))
    .values(slot=bindparam("to_slot"), generation=bindparam("to_generation"))
)


def rekey(uow: UnitOfWork, compartments: Sequence[Filled]) -> list[tuple[Slot, Slot]]:
    """Move compartments to fresh leaves; returns the leaf that each left and its new one, in order.

    The caller sees to those that were left. The subjects' rows must be locked by the unit. A row that does not parse or
    whose wrapped key is altered stays as it is, unreadable as before. Raises `KeyUnavailable` when a leaf itself is gone:
    nothing may be moved off it then; `LeavesExhausted` when there are no more.
    """
    if not compartments:
        return []
    keys = uow.vault.keys
    if not all(keys.alive([each.slot for each in compartments])):
        raise KeyUnavailable
    homes = dict(zip([(each.subject, each.category_id) for each in compartments], compartments, strict=True))
    fresh = dict(zip(homes, keys.reserve(len(homes)), strict=True))
    readable = []
    for row in uow.conn.execute(_ROWS, {"compartments": padded(list(homes))}).all():
        try:
            readable.append((row, envelope.parse(row.envelope).wrapped))
        except IntegrityFailure:
            continue
    wrapped = keys.rewrap([(homes[row[:2]].slot, fresh[row[:2]], old) for row, old in readable]) if readable else []
    steps = [
        {f"at_{column.name}": value for column, value in zip(_AT, row[:5], strict=True)}
        | {"to_envelope": envelope.rewrapped(row.envelope, new)}
        for (row, _), new in zip(readable, wrapped, strict=True)
        if new is not None
    ]
    if steps:
        uow.conn.execute(_STORE, steps)
    uow.conn.execute(
        _MOVE,
        [
            {"at_subject": subject, "at_category": category, "to_slot": slot.number, "to_generation": slot.generation}
            for (subject, category), slot in fresh.items()
        ],
    )
    return [(each.slot, fresh[each.subject, each.category_id]) for each in compartments]


def delete_field(uow: UnitOfWork, field_id: int, through: int, compartment: Filled) -> Leaf:
    """Delete a field's values up to a version and re-key the compartment; returns the leaf that it left, to be queued."""
    subject, category_id, *_ = compartment
    at = {"of_subject": subject, "of_category": category_id, "of_field": field_id, "through": through}
    uow.conn.execute(_DELETE, at)
    for forgetting in _FORGET:
        uow.conn.execute(forgetting, at)
    ((left, _),) = rekey(uow, [compartment])
    leftleaves.release(uow, [left])
    return Leaf(category_id, left, LeafState.QUEUED)
