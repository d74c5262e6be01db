"""Compartments: one subject's one category, its values as sealed rows, and the versions that number them.

A value row is never rewritten. Writing makes a new row with the next `version` of its compartment (strictly growing,
never given out twice), and what it replaces loses `current` and stays, so that history can answer "as known on". The
three kinds of field differ only in `item`:

* single: item 0; per holder at most one current row;
* list: an item's number is the version of its first row; each item has its own data key and its own life;
* journal: as list, but rows are only ever added.

When a value ends without a successor, a *closing* row is added: sealed like any value, holding null and the last day
of validity, never current. So a reader of the history sees when the end became known, and no old row is touched.

`Writing` gathers everything one unit of work wants to write and stores it with one call per key verb and one
statement per table.
"""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import date
from operator import attrgetter
from typing import Final, NamedTuple, TypedDict

from sqlalchemy import bindparam, delete, select, update

from policies.catalogue import Field, FieldKind
from vault import envelope, values
from vault.envelope import FieldContext
from vault.errors import KeyUnavailable
from vault.keys.service import Slot
from vault.store.bulk import insert_rows
from vault.store.keysets import padded
from vault.store.tables import metadata
from vault.unit import UnitOfWork
from vault.values import Dated, FieldValue

DEK_BYTES: Final = 32
ACTIVE: Final = "active"
ERASING: Final = "erasing"  # denied until its leaf is destroyed

_COMPARTMENT = metadata.tables["compartment"]
_VALUE = metadata.tables["field_value"]

_COMPARTMENTS_OF = select(
    _COMPARTMENT.c.subject_id,
    _COMPARTMENT.c.category_id,
    _COMPARTMENT.c.shard,
    _COMPARTMENT.c.slot,
    _COMPARTMENT.c.generation,
    _COMPARTMENT.c.writes,
    _COMPARTMENT.c.state,
).where(_COMPARTMENT.c.subject_id.in_(bindparam("subjects", expanding=True)))

_ROWS_OF = select(
    _VALUE.c.subject_id,
    _VALUE.c.category_id,
    _VALUE.c.field_id,
    _VALUE.c.item,
    _VALUE.c.version,
    _VALUE.c.holder,
    _VALUE.c.current,
).where(
    _VALUE.c.subject_id.in_(bindparam("subjects", expanding=True)),
    _VALUE.c.category_id.in_(bindparam("categories", expanding=True)),
    _VALUE.c.field_id.in_(bindparam("fields", expanding=True)),
)

_THIS_ROW = (
    (_VALUE.c.subject_id == bindparam("at_subject"))
    & (_VALUE.c.category_id == bindparam("at_category"))
    & (_VALUE.c.field_id == bindparam("at_field"))
    & (_VALUE.c.item == bindparam("at_item"))
    & (_VALUE.c.version == bindparam("at_version"))
)
_RETIRE = update(_VALUE).where(_THIS_ROW).values(current=False)
_DELETE = delete(_VALUE).where(_THIS_ROW)
_COUNT = (
    update(_COMPARTMENT)
    .where(
        _COMPARTMENT.c.subject_id == bindparam("at_subject"),
        _COMPARTMENT.c.category_id == bindparam("at_category"),
    )
    .values(writes=bindparam("given_out"), written_at=bindparam("at"))
)


_COMPARTMENT_OF: Final = attrgetter("subject", "category_id")


@dataclass(slots=True, repr=False)
class Row:
    """One value row, stored or about to be. `plaintext` is None once stored, and is gone after the flush."""

    subject: bytes
    category_id: int
    field_id: int
    item: int
    version: int
    holder: str
    current: bool
    schema_version: int = 0
    plaintext: bytes | None = None
    dropped: bool = False


class ValueRow(NamedTuple):
    """A row of `field_value`: its columns in their order."""

    subject_id: bytes
    category_id: int
    field_id: int
    item: int
    version: int
    shard: int
    holder: str
    current: bool
    schema_version: int
    envelope: bytes


class CompartmentRow(TypedDict):
    """A row of `compartment`."""

    subject_id: bytes
    category_id: int
    shard: int
    slot: int
    generation: int
    writes: int
    written_at: int
    state: str


@dataclass(slots=True)
class _Compartment:
    shard: int
    slot: Slot | None  # None until the flush reserves its leaf
    writes: int
    state: str = ACTIVE
    grown: bool = False


_NONE: Final = _Compartment(0, None, 0)
_tuple = tuple.__new__  # as the row's own constructor, in a third of the time


def domain(deployment: str, holder: str) -> bytes:
    """Return the deployment item of a value's context: the deployment and, within it, the holding brand.

    Bound so that a row whose `holder` was edited in the database opens for nobody.
    Why unambiguous: brand keys contain no `/`, so the last one splits the two parts.
    """
    return f"{deployment}/{holder}".encode()


class Writing:
    """The value writes of one unit of work. Gather with `put`, `retire`, `close` and `drop`; `flush` stores them.

    Subjects made by this unit need no `load`. The rows of all others must be locked by the unit before it.
    """

    __slots__ = ("_compartments", "_drops", "_leaf_keys", "_retired", "_rows", "_stored", "_uow")

    def __init__(self, uow: UnitOfWork) -> None:
        self._uow = uow
        self._compartments: dict[tuple[bytes, int], _Compartment] = {}
        self._rows: list[Row] = []
        self._stored: dict[tuple[bytes, int], list[Row]] = {}
        self._retired: list[Row] = []
        self._drops: list[Row] = []
        self._leaf_keys: list[bytes] = []

    def load(self, subjects: Collection[bytes], fields: Collection[Field]) -> None:
        """Read the compartments of `subjects`, and the coordinates (no envelopes) of their rows of `fields`."""
        if not subjects or not fields:
            return
        ids = padded(list(subjects))
        for row in self._uow.conn.execute(_COMPARTMENTS_OF, {"subjects": ids}).all():
            subject, category_id, shard, slot, generation, writes, state = row
            self._compartments[subject, category_id] = _Compartment(shard, Slot(slot, generation), writes, state)
        wanted = {
            "subjects": ids,
            "categories": padded(sorted({field.category_id for field in fields})),
            "fields": padded(sorted({field.id for field in fields})),
        }
        for coordinates in self._uow.conn.execute(_ROWS_OF, wanted).all():
            held = Row(*coordinates)
            self._stored.setdefault((held.subject, held.field_id), []).append(held)

    def denied(self, subject: bytes, fields: Iterable[Field]) -> list[Field]:
        """Return the fields whose category is being erased: they cannot be written."""
        held = self._compartments
        return [each for each in fields if held.get((subject, each.category_id), _NONE).state != ACTIVE]

    def held(self, subject: bytes, field: Field, holder: str | None = None) -> list[Row]:
        """Return the rows of a field as this unit sees them, oldest first: all holders' or one's. Dropped rows are gone."""
        rows = self._stored.get((subject, field.id), [])
        kept = [row for row in rows if not row.dropped and (holder is None or row.holder == holder)]
        return sorted(kept, key=lambda row: row.version)

    def put(
        self,
        subject: bytes,
        shard: int,
        field: Field,
        holder: str,
        source: str,
        dated: Dated,
        *,
        item: int | None = None,
        current: bool = True,
    ) -> Row:
        """Add a value. `item` continues an existing list item; None starts one (and is item 0 for single fields)."""
        at = (subject, field.category_id)
        compartment = self._compartments.get(at)
        if compartment is None:
            compartment = self._compartments[at] = _Compartment(shard, None, 0)
        if compartment.state != ACTIVE:  # see `denied`
            raise KeyUnavailable
        compartment.writes = version = compartment.writes + 1
        compartment.grown = True
        if item is None:
            item = 0 if field.kind is FieldKind.SINGLE else version
        value = FieldValue(dated.value, source, self._uow.now, dated.valid_from, dated.valid_until)
        row = Row(
            subject,
            field.category_id,
            field.id,
            item,
            version,
            holder,
            current,
            field.schema_version,
            values.encode(value),
        )
        self._rows.append(row)
        return row

    def remember(self, row: Row) -> None:
        """Let later items of the same unit see a row that `put` made: two updates of one subject in one batch."""
        self._stored.setdefault((row.subject, row.field_id), []).append(row)

    def retire(self, row: Row) -> None:
        """Mark a row as superseded; it stays in the history."""
        if row.current:
            row.current = False
            if row.plaintext is None:
                self._retired.append(row)

    def close(self, row: Row, shard: int, field: Field, source: str, last_day: date) -> Row:
        """End a row's value without a successor: retire it, and add the closing row that says so."""
        self.retire(row)
        closing = Dated(None, None, last_day)
        return self.put(row.subject, shard, field, row.holder, source, closing, item=row.item, current=False)

    def drop(self, row: Row) -> None:
        """Delete a row for good, its data key with it: rectification keeps no copy of what was wrong."""
        row.dropped = True
        if row.plaintext is None:
            self._drops.append(row)

    def own_leaf(self, key: bytes) -> int:
        """Ask for a leaf of its own for a 32-byte key (a subject's log key): the place in what `flush` returns."""
        self._leaf_keys.append(key)
        return len(self._leaf_keys) - 1

    def flush(self) -> list[tuple[Slot, bytes]]:
        """Store everything. Returns the slot and the 40 wrapped bytes of each key given to `own_leaf`.

        Raises `KeyUnavailable` if a leaf is gone; the unit must then roll back.
        """
        uow = self._uow
        fresh = [at for at, compartment in self._compartments.items() if compartment.grown and compartment.slot is None]
        # By compartment: the key service then finds each leaf once, and rows enter their B-tree in order.
        pending = sorted([row for row in self._rows if not row.dropped], key=_COMPARTMENT_OF)
        slots = uow.vault.keys.reserve(len(fresh) + len(self._leaf_keys)) if fresh or self._leaf_keys else []
        leaves = slots[len(fresh) :]
        for at, slot in zip(fresh, slots, strict=False):
            self._compartments[at].slot = slot
        # Why safe: one fresh key per value, never used for another message.
        gulp = uow.vault.entropy.bytes(DEK_BYTES * len(pending))
        deks = [gulp[start : start + DEK_BYTES] for start in range(0, len(gulp), DEK_BYTES)]
        homes = [self._home(row) for row in pending]
        wanted = [*zip(homes, deks, strict=True), *zip(leaves, self._leaf_keys, strict=True)]
        wrapped = uow.vault.keys.wrap(wanted) if wanted else []
        found = [each for each in wrapped if each is not None]
        if len(found) != len(wanted):
            raise KeyUnavailable
        sealed = self._seal(pending, homes, deks, found)
        self._store(fresh, sealed)
        return list(zip(leaves, found[len(pending) :], strict=True))

    def _home(self, row: Row) -> Slot:
        slot = self._compartments[row.subject, row.category_id].slot
        if slot is None:  # pragma: no cover - `flush` gave every grown compartment a slot
            raise KeyUnavailable
        return slot

    def _seal(
        self,
        pending: Sequence[Row],
        homes: Sequence[Slot],
        deks: Sequence[bytes],
        wrapped: Sequence[bytes],
    ) -> list[ValueRow]:
        deployment = self._uow.vault.deployment
        domains = {holder: domain(deployment, holder) for holder in {row.holder for row in pending}}
        sealed: list[ValueRow] = []
        shards = {at: compartment.shard for at, compartment in self._compartments.items()}
        for row, home, dek, wrap in zip(pending, homes, deks, wrapped, strict=False):
            subject, category, field, item = row.subject, row.category_id, row.field_id, row.item
            version, holder, schema = row.version, row.holder, row.schema_version
            context = _tuple(FieldContext, (domains[holder], subject, category, field, item, schema, version))
            stored = envelope.seal(dek, wrap, home.generation, context, row.plaintext or b"")
            shard = shards[subject, category]
            columns = (subject, category, field, item, version, shard, holder, row.current, schema, stored)
            sealed.append(_tuple(ValueRow, columns))
            row.plaintext = None
        return sealed

    def _store(self, fresh: Iterable[tuple[bytes, int]], sealed: list[ValueRow]) -> None:
        conn = self._uow.conn
        new = set(fresh)
        made: list[CompartmentRow] = []
        counted = []
        for (subject, category_id), compartment in self._compartments.items():
            if (subject, category_id) in new and compartment.slot is not None:
                made.append(
                    {
                        "subject_id": subject,
                        "category_id": category_id,
                        "shard": compartment.shard,
                        "slot": compartment.slot.number,
                        "generation": compartment.slot.generation,
                        "writes": compartment.writes,
                        "written_at": self._uow.now,
                        "state": ACTIVE,
                    },
                )
            elif compartment.grown:
                counted.append(
                    {
                        "at_subject": subject,
                        "at_category": category_id,
                        "given_out": compartment.writes,
                        "at": self._uow.now,
                    }
                )
        # Rows retired and then dropped by the same unit are only deleted.
        retired = [_coordinates(row) for row in self._retired if not row.dropped]
        if retired:
            conn.execute(_RETIRE, retired)
        if self._drops:
            conn.execute(_DELETE, [_coordinates(row) for row in self._drops])
        if counted:
            conn.execute(_COUNT, counted)
        insert_rows(conn, _COMPARTMENT, made)
        insert_rows(conn, _VALUE, sealed)


def _coordinates(row: Row) -> dict[str, object]:
    return {
        "at_subject": row.subject,
        "at_category": row.category_id,
        "at_field": row.field_id,
        "at_item": row.item,
        "at_version": row.version,
    }
