"""What people can be found by, opened from their stored values: for indexes and lists of hashes, and for nothing else."""

from collections.abc import Collection, Sequence
from typing import Any, Final, NamedTuple

from sqlalchemy import bindparam

from policies.catalogue import Field
from vault import search, values
from vault.compartments import ACTIVE
from vault.normalise import NotNormalisable
from vault.openings import STORED, Stored, opened
from vault.store.keysets import padded
from vault.store.tables import metadata
from vault.unit import UnitOfWork

_VALUE: Final = metadata.tables["field_value"]
_COMPARTMENT: Final = metadata.tables["compartment"]
_FINDABLE: Final = STORED.where(
    _VALUE.c.subject_id.in_(bindparam("subjects", expanding=True)),
    _VALUE.c.field_id.in_(bindparam("fields", expanding=True)),
    _VALUE.c.current,
    _COMPARTMENT.c.state == ACTIVE,
)


class Findable(NamedTuple):
    """A current value of a searchable field; `message` is its normal form."""

    subject: bytes
    shard: int
    brand: str
    field: Field
    item: int
    version: int
    message: bytes

    def __repr__(self) -> str:
        return "Findable(…)"


def stored(uow: UnitOfWork, subjects: Collection[bytes], fields: Sequence[Field]) -> list[Findable]:
    """Open the current values of `fields` that brands hold of `subjects`, in compartments that are not being erased.

    What was altered, or retired in this moment, is left out: nobody is to be found by it.
    """
    by_id = {each.id: each for each in fields}
    if not subjects or not by_id:
        return []
    asked: dict[str, Any] = {"subjects": padded(sorted(subjects)), "fields": padded(sorted(by_id))}
    rows = [Stored._make(row) for row in uow.conn.execute(_FINDABLE, asked)]
    found = []
    for row, plain in zip(rows, opened(uow.vault.keys, uow.vault.deployment, rows), strict=True):
        if plain is None:
            continue
        of = by_id[row.field_id]
        try:
            message = search.message(of, values.decode(plain).value)
        except NotNormalisable:
            continue
        found.append(Findable(row.subject, row.shard, row.holder, of, row.item, row.version, message))
    return found
