"""Reviewed texts: which free texts of a person an officer read before the person was given them (ADR 0078).

Kept by the place and the version of a text, never by what it says: a version is one text for good (`vault.compartments`),
so what is written in its place later was read by nobody. A row is made when the text opens in the review of a request, and
counts once that review ended with a package: until then whoever reads may still keep it back. The rows go with the category
whose texts they were about, and with the person.
"""

from collections.abc import Collection, Iterable
from typing import Final

from sqlalchemy import ColumnElement, Connection, and_, delete, or_, select, tuple_, update

from policies.catalogue import Field
from vault.disclosure import SealedRow
from vault.store.bulk import insert_rows
from vault.store.keysets import padded
from vault.store.tables import metadata
from vault.store.valuerows import Which, value_rows
from vault.unit import UnitOfWork

Version = tuple[int, int, int]  # field id, item, version

_REVIEWED: Final = metadata.tables["reviewed_text"]
_PLACE: Final = (_REVIEWED.c.field_id, _REVIEWED.c.item)


def given(conn: Connection, subject: bytes, brand: str) -> frozenset[Version]:
    """Return what of a person at a brand was read in a review that ended with a package."""
    return _versions(conn, subject, brand, _REVIEWED.c.given)


def read(conn: Connection, subject: bytes, brand: str, request_id: bytes) -> frozenset[Version]:
    """Return what was read in a review that ended with a package, or in the one of this request so far."""
    return _versions(conn, subject, brand, or_(_REVIEWED.c.given, _REVIEWED.c.request_id == request_id))


def there(conn: Connection, subject: bytes, brand: str, fields: Iterable[Field]) -> frozenset[Version]:
    """Return every version that a package would give of some fields, earlier ones too, without opening any.

    A row that only closes an item holds nothing (`vault.compartments`): the newest of an item that has no current one.
    """
    wanted = {each.id: each.category_id for each in fields}
    past, current = (
        frozenset(
            (row.field_id, row.item, row.version)
            for row in map(SealedRow._make, value_rows(conn, [subject], wanted, which))
            if row.holder == brand
        )
        for which in (Which.PAST, Which.CURRENT)
    )
    newest: dict[tuple[int, int], int] = {}
    for field_id, item, version in past:
        newest[field_id, item] = max(version, newest.get((field_id, item), 0))
    return past - ({(*place, version) for place, version in newest.items()} - current)


def note(uow: UnitOfWork, subject: bytes, brand: str, request_id: bytes, versions: Collection[Version]) -> None:
    """Note what an officer has read in the review of a request. What was read already is not noted again."""
    fresh = sorted(set(versions) - read(uow.conn, subject, brand, request_id))
    rows = [
        {
            "subject_id": subject,
            "holder": brand,
            "field_id": field_id,
            "item": item,
            "version": version,
            "request_id": request_id,
            "shard": uow.shard,
            "given": False,
        }
        for field_id, item, version in fresh
    ]
    insert_rows(uow.conn, _REVIEWED, rows)


def give(
    uow: UnitOfWork,
    subject: bytes,
    brand: str,
    request_id: bytes,
    fields: Iterable[Field],
    but: Collection[tuple[int, int]],
) -> list[Version]:
    """End a review: what was read in it, of these fields and without the places kept back, counts from now on."""
    ids = {each.id for each in fields}
    mine = (_REVIEWED.c.subject_id == subject, _REVIEWED.c.request_id == request_id)
    seen = _versions(uow.conn, subject, brand, and_(_REVIEWED.c.request_id == request_id, ~_REVIEWED.c.given))
    wanted = sorted(each for each in seen if each[0] in ids and each[:2] not in but)
    if wanted:
        these = tuple_(*_PLACE, _REVIEWED.c.version).in_(padded(wanted))
        uow.conn.execute(update(_REVIEWED).where(*mine, these).values(given=True))
    forget(uow, subject, request_id)
    return wanted


def take_back(uow: UnitOfWork, subject: bytes, brand: str, of: Field, item: int) -> None:
    """Let a text count as read no longer: it is kept back, and to be read anew before it is given after all."""
    mine = (_REVIEWED.c.subject_id == subject, _REVIEWED.c.holder == brand, _REVIEWED.c.given)
    uow.conn.execute(delete(_REVIEWED).where(*mine, _REVIEWED.c.field_id == of.id, _REVIEWED.c.item == item))


def forget(uow: UnitOfWork, subject: bytes, request_id: bytes) -> None:
    """Drop what was read in a review that ended without it being given."""
    mine = (_REVIEWED.c.subject_id == subject, _REVIEWED.c.request_id == request_id)
    uow.conn.execute(delete(_REVIEWED).where(*mine, ~_REVIEWED.c.given))


def _versions(conn: Connection, subject: bytes, brand: str, which: ColumnElement[bool]) -> frozenset[Version]:
    rows = select(*_PLACE, _REVIEWED.c.version).where(
        _REVIEWED.c.subject_id == subject, _REVIEWED.c.holder == brand, which
    )
    return frozenset((field_id, item, version) for field_id, item, version in conn.execute(rows))
