"""Disclosure: from grants to what they let be seen, with a durable log entry in between.

Two steps, because plaintext may exist only after the entry that records it is durable (design §3, §4):

* `select` runs inside the unit of work and reads sealed rows, one statement for all grants;
* `reveal` runs after COMMIT, and refuses without a `Commit` that covers the entry of every grant. It unwraps all data
  keys with one call, then opens, checks, and shows each value at its granted level and no higher.

A compartment that is being erased is as one that was never filled. One that is re-keyed between the two steps is read
once more: its rows are the same, under another leaf.

What a grant reaches: the current values that its own brand holds, and those of sister brands only if the grant says so
(`group_values`). Of a single field the own value comes first, else the newest shared one; of lists and journals all
items. A value outside its days of validity is not shown, and one that its person contests is as one that was never
recorded until that is decided (GDPR Art. 18(1)(a); `vault.requests.contesting`). A row that does not open fails its field alone, also where
another row could have answered: what was tampered with is never papered over.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from typing import NamedTuple, cast

from policies import transforms
from policies.catalogue import Field, FieldKind
from policies.decision import OWN, Grant, GrantedField
from policies.errors import TransformUnavailable
from policies.levels import Level
from policies.purposes import Basis
from vault import crowds, envelope, values
from vault.compartments import domain
from vault.envelope import FieldContext
from vault.errors import IntegrityFailure, UnrecordedDisclosure
from vault.keys.service import Slot
from vault.revealed import DisclosedField, Revealed
from vault.store.valuerows import Which, value_rows
from vault.unit import Commit, UnitOfWork, Vault
from vault.values import FieldValue, JsonValue

_tuple = tuple.__new__  # what a named tuple's own constructor calls in the end, in a third of the time


class SealedRow(NamedTuple):
    """A value row as stored, and the leaf that opens it now."""

    subject: bytes
    category_id: int
    field_id: int
    item: int
    version: int
    holder: str
    schema_version: int
    envelope: bytes
    slot: int
    generation: int
    contested: bool


_Reading = tuple[SealedRow, FieldValue | None]  # None: the row did not open


@dataclass(frozen=True, slots=True)
class Kept:
    """A value as it is kept, with the number that tells it from others of its field; 0 for a single one.

    `replaced_at`: when it was replaced or closed, in UTC seconds; None for what stands.
    """

    item: int
    value: FieldValue = field(repr=False)
    replaced_at: int | None
    version: int


@dataclass(frozen=True, slots=True)
class Selection:
    """Sealed rows for a batch of grants, in their order. Holds no plaintext and no key."""

    grants: tuple[Grant, ...]
    rows: tuple[Mapping[int, Sequence[SealedRow]], ...] = field(repr=False)  # per grant: field id -> rows
    today: date
    known_on: tuple[date | None, ...]  # per grant: the day as known on which it is answered; None for today


def select(uow: UnitOfWork, grants: Sequence[Grant], *, as_known_on: Sequence[date | None] | None = None) -> Selection:
    """Read the sealed rows that `grants` reach: current ones, or the whole history of the fields.

    `as_known_on` names for each grant the day whose knowledge it is to be answered by, None for today's. Left out, it is
    today for all, in one statement.
    """
    today = datetime.fromtimestamp(uow.now, UTC).date()
    if as_known_on is None:
        return Selection(tuple(grants), _select(uow, grants, Which.CURRENT), today, (None,) * len(grants))
    rows: dict[int, Mapping[int, Sequence[SealedRow]]] = {}
    for past, which in ((False, Which.CURRENT), (True, Which.PAST)):
        places = [place for place, day in enumerate(as_known_on) if (day is not None) is past]
        rows |= zip(places, _select(uow, [grants[place] for place in places], which), strict=True)
    return Selection(tuple(grants), tuple([rows[place] for place in range(len(grants))]), today, tuple(as_known_on))


def _select(uow: UnitOfWork, grants: Sequence[Grant], which: Which) -> tuple[Mapping[int, Sequence[SealedRow]], ...]:
    wanted = {(grant.subject, each.field.id) for grant in grants for each in grant.fields}
    found: dict[tuple[bytes, int], list[SealedRow]] = {}
    if wanted:
        fields = {each.field.id: each.field.category_id for grant in grants for each in grant.fields}
        people = list({subject for subject, _ in wanted})
        for row in map(SealedRow._make, value_rows(uow.conn, people, fields, which)):
            at = (row.subject, row.field_id)
            if at in wanted:
                found.setdefault(at, []).append(row)
    return tuple(
        {
            each.field.id: [
                row
                for row in found.get((grant.subject, each.field.id), ())
                # Brand isolation: what a sister brand holds is not even a candidate unless the grant reaches it.
                # What its person contests is used for nothing but legal claims, and shown to the person.
                if (row.holder == grant.brand or grant.group_values) and (not row.contested or _sees_contested(grant))
            ]
            for each in grant.fields
        }
        for grant in grants
    )


def _sees_contested(grant: Grant) -> bool:
    return grant.purpose == OWN or grant.basis == Basis.LEGAL_CLAIMS  # GDPR Art. 18(2)


def reveal(vault: Vault, commit: Commit, selection: Selection, entry_ids: Sequence[bytes]) -> list[Revealed]:
    """Open what was selected, one `Revealed` per grant. `entry_ids` are the grants' log entries, in their order.

    Raises `UnrecordedDisclosure` unless `commit` covers every one of them: nothing has then been unwrapped.
    """
    revealed = []
    opened = _readings(vault, commit, selection, entry_ids)
    for grant, readings, known_on in zip(selection.grants, opened, selection.known_on, strict=True):
        parts = {
            (each.field.name, each.level, each.predicate): _part(
                each, readings[each.field.id], grant, known_on, selection.today
            )
            for each in grant.fields
        }
        for each in grant.fields:
            if each.least_group > 1:
                at = (each.field.name, each.level, each.predicate)
                parts[at] = _released(vault, grant, each, parts[at])
        revealed.append(Revealed(parts))
    return revealed


def reveal_own(
    vault: Vault, commit: Commit, selection: Selection, entry_ids: Sequence[bytes], *, past: bool = False
) -> list[Mapping[str, tuple[Kept, ...] | IntegrityFailure]]:
    """Open what persons were granted of themselves, by field name, with where it is from and which days it is for.

    Unlike `reveal` it shows values of days to come as well, and none that is over; with `past` every earlier value that
    was selected too, oldest first. Raises `UnrecordedDisclosure` as `reveal`, and for a grant not a person's own.
    """
    if any(grant.purpose != OWN for grant in selection.grants):
        raise UnrecordedDisclosure
    since = date.min if past else selection.today
    opened = _readings(vault, commit, selection, entry_ids)
    return [
        {each.field.name: _kept(readings[each.field.id], since) for each in grant.fields}
        for grant, readings in zip(selection.grants, opened, strict=True)
    ]


def _kept(readings: Sequence[_Reading], since: date) -> tuple[Kept, ...] | IntegrityFailure:
    readable = [(row, value) for row, value in readings if value is not None]
    if len(readable) != len(readings):
        return IntegrityFailure()
    found: list[Kept] = []
    after: dict[tuple[str, int], int] = {}  # when the next version of an item was recorded
    for row, value in reversed(_by_version(readable)):
        at = (row.holder, row.item)
        if value.value is not None and (value.valid_until is None or value.valid_until >= since):
            found.append(Kept(row.item, value, after.get(at), row.version))
        after[at] = value.recorded_at
    return tuple(reversed(found))


def _readings(
    vault: Vault, commit: Commit, selection: Selection, entry_ids: Sequence[bytes]
) -> list[Mapping[int, Sequence[_Reading]]]:
    """Open what was selected, per grant and field id, if `commit` covers the entry of every grant."""
    if len(entry_ids) != len(selection.grants) or not all(map(commit.covers, entry_ids)):
        raise UnrecordedDisclosure
    flat = [row for rows in selection.rows for group in rows.values() for row in group]
    opened = iter(_open(vault, flat))
    return [
        {field_id: [(row, next(opened)) for row in group] for field_id, group in rows.items()}
        for rows in selection.rows
    ]


def _released(
    vault: Vault, grant: Grant, granted: GrantedField, part: DisclosedField | IntegrityFailure
) -> DisclosedField | IntegrityFailure:
    """Hold back a generalised value that too few subjects of the asking brand share (`policies.crowds`)."""
    if isinstance(part, IntegrityFailure):
        return part
    return crowds.released(vault.crowds, vault.keys, grant.brand, granted, part)


def _open(vault: Vault, rows: Sequence[SealedRow]) -> list[FieldValue | None]:
    """Unwrap all data keys with one call and open each row in its own context: subject, field, item, version, holder."""
    deks = _unwrap(vault, rows)
    if None in deks:
        rows, deks = _read_again(vault, rows, deks)
    domains = {holder: domain(vault.deployment, holder) for holder in {row.holder for row in rows}}
    contexts = [
        _tuple(FieldContext, (domains[holder], subject, category, field_id, item, schema, version))
        for subject, category, field_id, item, version, holder, schema, *_ in rows
    ]
    plain = envelope.open_each([row.envelope for row in rows], deks, contexts)
    return [None if each is None else _decoded(each) for each in plain]


def _decoded(plain: bytes) -> FieldValue | None:
    try:
        return values.decode(plain)
    except IntegrityFailure:
        return None


def _unwrap(vault: Vault, rows: Sequence[SealedRow]) -> list[bytes | None]:
    wrapped = envelope.WRAPPED
    asked = [(_tuple(Slot, (row.slot, row.generation)), row.envelope[wrapped]) for row in rows]
    return vault.keys.unwrap(asked) if asked else []


def _read_again(
    vault: Vault, rows: Sequence[SealedRow], deks: Sequence[bytes | None]
) -> tuple[list[SealedRow], list[bytes | None]]:
    """Replace the rows that did not open by what stands in their place now, if their leaf is another by now."""
    places = [place for place, dek in enumerate(deks) if dek is None]
    people = list({rows[place].subject for place in places})
    fields = {rows[place].field_id: rows[place].category_id for place in places}
    with vault.reading() as conn:
        now = {row[:5]: row for row in map(SealedRow._make, value_rows(conn, people, fields, Which.HISTORY))}
    moved = {
        place: row
        for place in places
        if (row := now.get(rows[place][:5])) is not None
        and (row.slot, row.generation) != (rows[place].slot, rows[place].generation)
    }
    opened = dict(zip(moved, _unwrap(vault, list(moved.values())), strict=True))
    again = [moved.get(place, row) for place, row in enumerate(rows)]
    return again, [opened.get(place, dek) for place, dek in enumerate(deks)]


def _part(
    granted: GrantedField, readings: Sequence[_Reading], grant: Grant, known_on: date | None, today: date
) -> DisclosedField | IntegrityFailure:
    if len(readings) == 1 and known_on is None:  # nearly always: nothing to order, nothing to choose
        ((row, value),) = readings
        if value is None:
            return IntegrityFailure()
        standing = [(row, value)] if _holds(value, today) else []
    else:
        readable = [(row, value) for row, value in readings if value is not None]
        if len(readable) != len(readings):
            return IntegrityFailure()
        standing = _standing(readable, known_on, today)
    if granted.field.kind is FieldKind.SINGLE and len(standing) > 1:
        # The own value first, else the newest: versions of a compartment grow with time.
        standing = [max(standing, key=lambda each: (each[0].holder == grant.brand, each[0].version))]
    present = bool(standing)
    if granted.level is Level.PRESENCE:
        return DisclosedField(granted.level, present, present)
    if not present:
        return DisclosedField(granted.level, present, None)
    try:
        return DisclosedField(granted.level, present, _shown(granted, standing, today))
    except TransformUnavailable:
        return IntegrityFailure()


def _standing(
    readings: Sequence[tuple[SealedRow, FieldValue]], known_on: date | None, today: date
) -> list[tuple[SealedRow, FieldValue]]:
    """Keep the values that hold on the day in question, as known on that day; oldest first."""
    day = known_on or today
    if known_on is None:  # at most one current row per item
        return [each for each in _by_version(readings) if _holds(each[1], day)]
    latest: dict[tuple[str, int], tuple[SealedRow, FieldValue]] = {}
    for row, value in _by_version(readings):
        if datetime.fromtimestamp(value.recorded_at, UTC).date() <= day:
            latest[row.holder, row.item] = (row, value)
    return [each for each in latest.values() if _holds(each[1], day)]


def _by_version(readings: Sequence[tuple[SealedRow, FieldValue]]) -> Sequence[tuple[SealedRow, FieldValue]]:
    return readings if len(readings) < 2 else sorted(readings, key=lambda each: each[0].version)  # noqa: PLR2004


def _holds(value: FieldValue, day: date) -> bool:
    return (
        value.value is not None  # a closing row: what it closes holds no more
        and (value.valid_from is None or value.valid_from <= day)
        and (value.valid_until is None or value.valid_until >= day)
    )


def _shown(granted: GrantedField, standing: Sequence[tuple[SealedRow, FieldValue]], today: date) -> JsonValue:
    of, level, predicate = granted.field, granted.level, granted.predicate
    if of.kind is FieldKind.SINGLE:
        return _apply(of, level, predicate, standing[0][1].value, today)
    if level is Level.PREDICATE:
        return any(_apply(of, level, predicate, value.value, today) for _, value in standing)
    return [{"item": row.item, "value": _apply(of, level, predicate, value.value, today)} for row, value in standing]


# The same JSON on both sides of the border: policies know no binary fractions, and never let one in.
_apply = cast("Callable[[Field, Level, str, JsonValue, date], JsonValue]", transforms.apply)
