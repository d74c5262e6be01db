"""Contact points: the single addresses for which a consent to a channel is given.

A point is named by its field and the version of its row, `202:7`, and never by the address. A version is never given
out twice and a correction is a new one: so a new address, and one that took the place of another, has no consent.
"""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from sqlalchemy import bindparam, select

from policies.catalogue import Field
from policies.errors import InvalidValue
from policies.fieldtypes import validate
from vault import search
from vault.errors import VaultError
from vault.normalise import NotNormalisable
from vault.store.keysets import padded
from vault.store.tables import metadata
from vault.unit import UnitOfWork

_VALUE = metadata.tables["field_value"]
_CURRENT: Final = (
    select(_VALUE.c.subject_id, _VALUE.c.holder, _VALUE.c.field_id, _VALUE.c.item, _VALUE.c.version)
    .where(
        _VALUE.c.subject_id.in_(bindparam("subjects", expanding=True)),
        _VALUE.c.category_id.in_(bindparam("categories", expanding=True)),
        _VALUE.c.field_id.in_(bindparam("fields", expanding=True)),
        _VALUE.c.current,
    )
    .order_by(_VALUE.c.version)
)


class UnknownContact(VaultError):
    """The brand holds no such address of the subject, or what was given is none."""

    code = "unknown_contact"


@dataclass(frozen=True, slots=True)
class Point:
    """One address on file: its field, its item, and the version that names it."""

    field_id: int
    item: int
    version: int

    def __str__(self) -> str:
        return f"{self.field_id}:{self.version}"


def held(
    uow: UnitOfWork, subjects: Collection[bytes], fields: Iterable[Field]
) -> Mapping[tuple[bytes, str, int], tuple[Point, ...]]:
    """Return the addresses on file, by (subject, brand that holds them, field id), oldest first."""
    wanted = {each.id: each.category_id for each in fields}
    found: dict[tuple[bytes, str, int], list[Point]] = {}
    if subjects and wanted:
        keys = {
            "subjects": padded(sorted(subjects)),
            "categories": padded(sorted(set(wanted.values()))),
            "fields": padded(sorted(wanted)),
        }
        for row in uow.conn.execute(_CURRENT, keys):
            point = Point(row.field_id, row.item, row.version)
            found.setdefault((row.subject_id, row.holder, row.field_id), []).append(point)
    return {at: tuple(points) for at, points in found.items()}


def named(
    uow: UnitOfWork, subject: bytes, brand: str, of: Field, address: str, points: Iterable[Point]
) -> tuple[Point, ...]:
    """Return the points among `points` that are this address. Raises `UnknownContact`."""
    items = search.items_of(uow, subject, brand, of, normal_form(of, address))
    found = tuple(each for each in points if each.item in items)
    if not found:
        raise UnknownContact
    return found


def normal_form(of: Field, address: str) -> bytes:
    """Return what the index hashes for an address. Raises `UnknownContact` for what is none."""
    try:
        return search.message(of, validate(of, address))
    except (InvalidValue, NotNormalisable):
        pass
    raise UnknownContact  # outside the handler, so that nothing of the input hangs on it


def written(points: Iterable[Point]) -> str:
    """Write points as events and states hold them."""
    return " ".join(sorted(map(str, points)))
