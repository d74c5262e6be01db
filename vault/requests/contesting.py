"""Contested values: what a person says is wrong is out of use until somebody has decided (GDPR Art. 16, 18(1)(a)).

Value by value, and at the brand that was asked: whoever contests one purchase does not lose the rest of the record. From
when it is known who asks until the request is answered, taken back or turned down such a value is given to nobody but for
legal claims (`vault.disclosure`); to the asking system it looks as if it had not been recorded. The person sees it, and may
have it in a package. Systems of the brand hear which fields it is about, when it begins and when it ends (Art. 19).

What the person wishes about being contacted is not taken out: those values only narrow, and without them more would pass.
"""

from collections.abc import Iterable, Mapping
from typing import Any, Final

from sqlalchemy import delete, select, update

from policies.catalogue import Catalogue, Field, FieldKind
from policies.contactability import WISHES
from vault import outbox, references
from vault.outbox import EventKind, Happened
from vault.store.bulk import insert_rows
from vault.store.tables import metadata
from vault.unit import UnitOfWork

EVERY: Final = -1  # instead of an item: the whole list

_CONTESTED: Final = metadata.tables["contested_value"]


def coordinates(catalogue: Catalogue, values: Mapping[str, object]) -> list[tuple[Field, int]]:
    """Return what a correction is of, as (field, item): 0 for a single field, `EVERY` for a list given as a whole."""
    found: list[tuple[Field, int]] = []
    for name, value in values.items():
        of = catalogue.fields.get(name)
        if of is None:
            continue
        if of.kind is FieldKind.SINGLE:
            found.append((of, 0))
        elif isinstance(value, list) and value and all(_is_item(each) for each in value):
            found += [(of, each["item"]) for each in value]
        else:
            found.append((of, EVERY))
    return found


def spelt(coordinates: Iterable[tuple[Field, int]]) -> tuple[str, ...]:
    """Write coordinates for the register: `ring_size`, `purchases#12`. No value is in them."""
    return tuple(sorted({of.name if item <= 0 else f"{of.name}#{item}" for of, item in coordinates}))


def contest(
    uow: UnitOfWork, subject: bytes, shard: int, brand: str, request_id: bytes, values: Mapping[str, object]
) -> None:
    """Note what a request contests. It stands from `stand` on: nobody stops anything in another's name."""
    rows: list[dict[str, Any]] = [
        {
            "subject_id": subject,
            "field_id": of.id,
            "item": item,
            "request_id": request_id,
            "shard": shard,
            "holder": brand,
            "stands": False,
        }
        for of, item in sorted(
            set(coordinates(uow.vault.bundle.catalogue, values)), key=lambda each: (each[0].id, each[1])
        )
        if of.name not in WISHES
    ]
    insert_rows(uow.conn, _CONTESTED, rows)


def stand(uow: UnitOfWork, request_id: bytes, subject: bytes, brand: str) -> None:
    """Take what a request contests out of use, and tell the brand's systems."""
    mine = _CONTESTED.c.request_id == request_id
    if uow.conn.execute(update(_CONTESTED).where(mine, ~_CONTESTED.c.stands).values(stands=True)).rowcount:
        _tell(uow, EventKind.CONTESTED, request_id, subject, brand)


def settle(uow: UnitOfWork, request_id: bytes, subject: bytes | None, brand: str) -> None:
    """Put what a request contested into use again, whatever was decided, and tell the brand's systems that it is."""
    mine = _CONTESTED.c.request_id == request_id
    standing = uow.conn.execute(select(_CONTESTED.c.stands).where(mine)).scalars().all()
    if not standing:
        return
    if any(standing) and subject is not None:
        _tell(uow, EventKind.CONTEST_ENDED, request_id, subject, brand)
    uow.conn.execute(delete(_CONTESTED).where(mine))


def standing(uow: UnitOfWork, subject: bytes, brand: str) -> frozenset[tuple[int, int]]:
    """Return what a person contests at a brand now, as (field id, item)."""
    mine = (_CONTESTED.c.subject_id == subject, _CONTESTED.c.holder == brand, _CONTESTED.c.stands)
    rows = uow.conn.execute(select(_CONTESTED.c.field_id, _CONTESTED.c.item).where(*mine))
    return frozenset((field_id, item) for field_id, item in rows)


def _tell(uow: UnitOfWork, kind: EventKind, request_id: bytes, subject: bytes, brand: str) -> None:
    (reference,) = references.of(uow, brand, [subject])
    if reference is None:
        return
    ids = uow.conn.execute(select(_CONTESTED.c.field_id).where(_CONTESTED.c.request_id == request_id)).scalars()
    names = sorted({uow.vault.bundle.catalogue.field_by_id(each).name for each in ids})
    outbox.queue(uow, [Happened(brand, reference, kind, {"fields": " ".join(names)})])


def _is_item(value: object) -> bool:
    return isinstance(value, dict) and type(value.get("item")) is int and value["item"] >= 0
