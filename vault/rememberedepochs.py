"""What is remembered of requests, from one epoch to the next: all but what names somebody who goes.

Called before an old root is destroyed, as `vault.searchepochs` is. A row is opened under the old epoch, the references in
it are resolved, and it is kept under the new one if all of them are of subjects of whom nothing waits to be erased. Any
other row stays behind: of somebody erased, of whom a single field is, or of nobody. What is left behind can be opened and
compared by nobody once the root is gone, in no backup either; asked again, such a request is new.

A row that is written under the old epoch after this has passed ends with it too. Only a unit that began before the new
epoch was built can write one; until the old root is gone it is found.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

import orjson
from sqlalchemy import Table, bindparam, delete, exists, select, tuple_

from vault import idempotency, imports, locked, references, remembering
from vault.remembering import Handle
from vault.store.bulk import insert_rows
from vault.store.keysets import padded
from vault.store.tables import metadata
from vault.unit import UnitOfWork, Vault

ROWS_PER_UNIT: Final = 1000

_SUBJECT: Final = metadata.tables["subject"]
_ERASURE: Final = metadata.tables["erasure"]
_SYSTEM: Final = metadata.tables["system"]
_REQUEST: Final = metadata.tables["idempotent_request"]
_ROW: Final = metadata.tables["import_row"]

_STAYING: Final = select(_SUBJECT.c.id).where(
    _SUBJECT.c.id.in_(bindparam("subjects", expanding=True)),
    _SUBJECT.c.state == locked.ACTIVE,
    ~exists().where(_ERASURE.c.subject_id == _SUBJECT.c.id, _ERASURE.c.state != "done"),
)
_BRANDS: Final = select(_SYSTEM.c.id, _SYSTEM.c.brand)

_Named = list[tuple[str, str]]  # (brand, reference)


@dataclass(frozen=True, slots=True)
class _Kind:
    """One table of what is remembered: its label, the columns of its handles, and whom an outcome names."""

    table: Table
    label: str
    key: str
    content: str
    named: Callable[[Any, bytes, dict[str, str]], _Named]


def _of_request(row: Any, packed: bytes, brands: dict[str, str]) -> _Named:
    brand = brands.get(row.system_id, "")
    return [(brand, each) for each in idempotency.named(packed)]


def _of_row(_row: Any, packed: bytes, _brands: dict[str, str]) -> _Named:
    return list(orjson.loads(packed).items())


_KINDS: Final = (
    _Kind(_REQUEST, idempotency.KIND, "key_mac", "request_mac", _of_request),
    _Kind(_ROW, imports.KIND, "row_mac", "content_mac", _of_row),
)


def move(vault: Vault, most: int = ROWS_PER_UNIT) -> int:
    """Take to the newest epoch what may live on, `most` rows in a unit of work. Returns how many were taken.

    Raises `Conflict` when a writer was quicker; nothing is lost by asking again.
    """
    new, *older = vault.keys.index_epochs()
    return sum(_move(vault, kind, old, new, most) for kind in _KINDS for old in older)


def _move(vault: Vault, kind: _Kind, old: int, new: int, most: int) -> int:
    table, moved = kind.table, 0
    key = tuple(table.primary_key.columns)
    while True:
        with vault.unit() as uow:
            due = select(table).where(table.c.epoch == old).order_by(*key).limit(most).with_for_update(skip_locked=True)
            rows = uow.conn.execute(due).all()
            if rows:
                moved += _take(uow, kind, rows, new)
                gone = [tuple(getattr(row, column.name) for column in key) for row in rows]
                uow.conn.execute(delete(table).where(tuple_(*key).in_(padded(gone))))
                uow.commit()
        if len(rows) < most:
            return moved


def _take(uow: UnitOfWork, kind: _Kind, rows: Sequence[Any], new: int) -> int:
    """Write under the new epoch what of these rows may live on and is not there yet."""
    keys = uow.vault.keys
    held = [Handle(row.epoch, getattr(row, kind.key), getattr(row, kind.content)) for row in rows]
    opened = remembering.opened(
        keys, kind.label, [(handle, row.outcome) for handle, row in zip(held, rows, strict=True)]
    )
    brands = {row.id: row.brand for row in uow.conn.execute(_BRANDS)} if kind.table is _REQUEST else {}
    live = [
        (row, handle, packed, named)
        for row, handle, packed in zip(rows, held, opened, strict=True)
        if packed is not None and row.expires_at > uow.now and (named := kind.named(row, packed, brands))
    ]
    asked = list(dict.fromkeys(pair for *_, named in live for pair in named))
    subjects = dict(zip(asked, references.locate(uow, asked), strict=True))
    known = {each for each in subjects.values() if each is not None}
    staying = set(uow.conn.scalars(_STAYING, {"subjects": padded(list(known))})) if known else set()
    live = [each for each in live if all(subjects[pair] in staying for pair in each[3])]
    fresh = remembering.moved(keys, [handle for _, handle, *_ in live], new)
    there = _there(uow, kind, fresh)
    kept = [
        (row, handle, packed)
        for (row, _, packed, _), handle in zip(live, fresh, strict=True)
        if handle.key not in there
    ]
    sealed = remembering.seal(keys, kind.label, [(handle, packed) for _, handle, packed in kept])
    imported = _imports(uow, kind, [row for row, *_ in kept], new)
    insert_rows(
        uow.conn,
        kind.table,
        [
            {
                **row._asdict(),
                **also,
                kind.key: handle.key,
                kind.content: handle.content,
                "epoch": new,
                "outcome": outcome,
            }
            for (row, handle, _), outcome, also in zip(kept, sealed, imported, strict=True)
        ],
    )
    return len(kept)


def _there(uow: UnitOfWork, kind: _Kind, fresh: Sequence[Handle]) -> set[bytes]:
    """Which of these stand already: a request that came while the epoch retired was kept under both."""
    column = kind.table.c[kind.key]
    keys = padded([handle.key for handle in fresh])
    return set(uow.conn.scalars(select(column).where(column.in_(keys)))) if keys else set()


def _imports(uow: UnitOfWork, kind: _Kind, rows: Sequence[Any], new: int) -> list[dict[str, bytes]]:
    """Move the other half of an import row's key: which import it is of."""
    if kind.table is not _ROW:
        return [{}] * len(rows)
    olds = sorted({(row.epoch, row.import_mac) for row in rows})
    moved = {old: uow.vault.keys.reblind([old], epoch, new)[0] for epoch, old in olds}
    return [{"import_mac": moved[row.import_mac]} for row in rows]
