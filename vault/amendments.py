"""Amendments: changes of a known subject's values by one brand, all of one `Update` or none.

`set` supersedes: the old values stay in the history. `append` adds list items and journal entries. `end` closes a list
item (or a single value, item 0) as of today. `correct` puts a value in the place of a wrong current one and deletes
the wrong row, its data key with it (GDPR Art. 16): a rectified error is not history. Entries of journals a brand adds and
does not touch again; one is put right, or taken out, where an officer decided so on the person's request (`entries`). What a
hold keeps is not deleted even then: it leaves the current values, and stays.

A brand changes its own holdings and nobody else's. Two updates of one subject in a batch see each other in order.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Final

from sqlalchemy import bindparam
from sqlalchemy import update as sql_update

from audit.entry import Act, Actor, ActorKind, Asker, Entry, Outcome
from policies.bundle import Bundle
from policies.catalogue import Catalogue, Field, FieldKind
from vault import carried, intake, locked, search
from vault.compartments import Row, Writing
from vault.errors import InvalidFields, UnknownReference, VaultError, VersionConflict
from vault.intake import Correction, Given, Problem, day_of
from vault.locked import Locked
from vault.search import Forgotten, Indexed
from vault.store.tables import metadata
from vault.unit import UnitOfWork, settled

BIRTH_DATE: Final = "birth_date"  # the one field that code knows: the floor for minors rests on it
MOST_NAMES: Final = 48  # names or versions in one log entry, so that it stays under the log's 4 KiB

_SUBJECT = metadata.tables["subject"]
_STEP = (
    sql_update(_SUBJECT)
    .where(_SUBJECT.c.id == bindparam("at_subject"))
    .values(version=bindparam("to_version"), minor=bindparam("to_minor"))
)


@dataclass(frozen=True, slots=True)
class Update:
    """Changes that one brand's system wants. `expected_version` None skips the check for a change in between.

    `set`, `append`: inputs per field name (forms: `vault.intake`). `end`: item numbers per field name. `correct`: a
    value for a single field, `[{"item": …, "value": …}]` for a list field, with `entries` for a journal too. `held`: ids of
    categories of which nothing may be deleted.
    """

    reference: str = field(repr=False)
    brand: str
    system_id: str
    expected_version: int | None
    set: Mapping[str, object] = field(default_factory=dict, repr=False)
    append: Mapping[str, object] = field(default_factory=dict, repr=False)
    end: Mapping[str, Sequence[int]] = field(default_factory=dict)
    correct: Mapping[str, object] = field(default_factory=dict, repr=False)
    entries: bool = False
    held: frozenset[int] = frozenset()
    asker: Asker | None = None  # who stands behind the system, if it named them


@dataclass(frozen=True, slots=True)
class Amended:
    """A subject changed: its new version, and the log entries that name the fields and value versions written."""

    reference: str = field(repr=False)
    version: int
    entries: tuple[bytes, ...]


@dataclass(frozen=True, slots=True, repr=False)
class _Order:
    """An update whose input has passed every check that needs no stored row."""

    update: Update
    clearing: list[Field]  # what `set` names: an empty list clears a field and brings nothing
    replacing: list[Given]
    adding: list[Given]
    ending: list[tuple[Field, list[int]]]
    correcting: list[Correction]

    def fields(self) -> set[Field]:
        given = {each.field for each in (*self.replacing, *self.adding)}
        return given | set(self.clearing) | {each for each, _ in self.ending} | {each.field for each in self.correcting}


def amend(uow: UnitOfWork, updates: Sequence[Update]) -> list[Amended | VaultError]:
    """Apply a batch. An item fails alone: `UnknownReference`, `VersionConflict` or `InvalidFields`."""
    outcomes: list[Amended | VaultError] = []
    catalogue = uow.vault.bundle.catalogue  # once: a policy load may swap it while the batch runs
    orders = [_read(catalogue, day_of(uow.now), each) for each in updates]
    rows = locked.by_reference(uow, [(each.brand, each.reference) for each in updates])
    amending = _Amending(uow)
    amending.writing.load(
        {row.subject for row in rows if isinstance(row, Locked)},
        set().union(*(order.fields() for order in orders if isinstance(order, _Order))),
    )
    for order, row in zip(orders, rows, strict=True):
        # Whose reference it is comes before what is wrong with the input: a stranger learns nothing but "unknown".
        if isinstance(row, UnknownReference):
            outcomes.append(row)
        elif isinstance(order, InvalidFields):
            outcomes.append(order)
        else:
            outcomes.append(amending.apply(order, row))
    amending.flush()
    return outcomes


update = settled(amend)


def pages(names: Iterable[str]) -> list[tuple[str, ...]]:
    """Spread names over as many log entries as they need: at least one, possibly of no name."""
    ordered = sorted(names)
    return [tuple(ordered[start : start + MOST_NAMES]) for start in range(0, len(ordered), MOST_NAMES)] or [()]


def adult_age(bundle: Bundle, region: str, today: date) -> int:
    """Return the age of majority where a subject lives, on a day."""
    return bundle.law.age_of_majority((region, bundle.purposes.jurisdiction(region)), today)


def is_minor(given: Given, today: date, adult: int) -> bool:
    """Whether a value is the birth date of somebody not yet of age."""
    born = given.dated.value
    if given.field.name != BIRTH_DATE or not isinstance(born, str):
        return False
    day = date.fromisoformat(born)
    age = today.year - day.year - ((today.month, today.day) < (day.month, day.day))
    return age < adult


def _read(catalogue: Catalogue, today: date, asked: Update) -> _Order | InvalidFields:
    problems: list[Problem] = []
    order = _Order(
        asked,
        [catalogue.fields[name] for name in asked.set if name in catalogue.fields],
        intake.read(catalogue, asked.set, today, problems),
        intake.read(catalogue, asked.append, today, problems),
        intake.read_items(catalogue, asked.end, problems),
        intake.read_corrections(catalogue, asked.correct, today, problems, entries=asked.entries),
    )
    problems += [(each.name, "journal_entries_stand") for each in order.clearing if each.kind is FieldKind.JOURNAL]
    problems += [(each.field.name, "not_a_list") for each in order.adding if each.field.kind is FieldKind.SINGLE]
    once = [set(asked.set), set(asked.append), set(asked.end), set(asked.correct)]
    twice = {name for place, names in enumerate(once) for other in once[place + 1 :] for name in names & other}
    problems += [(name, "changed_twice") for name in sorted(twice & catalogue.fields.keys())]
    if not any(once):
        problems.append(("fields", "nothing_to_change"))
    return InvalidFields(tuple(dict.fromkeys(problems))) if problems else order


class _Amending:
    """The amendments of one unit of work, applied to rows in memory and stored at the end."""

    def __init__(self, uow: UnitOfWork) -> None:
        self.uow = uow
        self.writing = Writing(uow)
        self.today = day_of(uow.now)
        self._indexed: list[Indexed] = []
        self._forgotten: list[Forgotten] = []
        self._stepped: dict[bytes, Locked] = {}

    def apply(self, order: _Order, row: Locked) -> Amended | VaultError:
        """Apply one order, or change nothing and return what is wrong with it."""
        asked = order.update
        if asked.expected_version is not None and asked.expected_version != row.version:
            return VersionConflict()
        if denied := self.writing.denied(row.subject, order.fields()):
            # Being erased: to a brand that looks like any value it may not reach.
            return InvalidFields(tuple(sorted((each.name, "unavailable") for each in denied)))
        targets, problems = self._targets(order, row)
        if problems:
            return InvalidFields(tuple(problems))
        written = [self._close(target, row, asked) for target in targets]
        for cleared in order.clearing:
            written += self._clear(cleared, row, asked)
        for given in (*order.replacing, *order.adding):
            written.append(self._put(given, row, asked, item=None))
        taken_out = sorted({each.field.name for each in order.correcting if each.given is None})
        for correction in order.correcting:
            self._drop(correction, row, asked)
            if correction.given is None:
                continue
            item = None if correction.field.kind is FieldKind.SINGLE else correction.item
            written.append(self._put(correction.given, row, asked, item=item))
        self._weigh_age(order, row)
        row.version += 1
        self._stepped[row.subject] = row
        actor = Actor(ActorKind.SYSTEM, asked.system_id, asker=asked.asker)
        told = [Entry(Act.FIELD_DELETED, Outcome.ALLOW, actor, page) for page in pages(taken_out) if page]
        if written or not told:
            told += [Entry(Act.FIELD_WRITTEN, Outcome.ALLOW, actor, page) for page in pages(written)]
        entries = tuple(self.uow.record(each, log_key=row.log_key) for each in told)
        return Amended(asked.reference, row.version, entries)

    def flush(self) -> None:
        """Store everything."""
        self.writing.flush()
        search.index(self.uow, self._indexed, self._forgotten)
        carried.to_known(self.uow, self.uow.vault.bundle, self._stepped, self._indexed)
        if self._stepped:
            self.uow.conn.execute(
                _STEP,
                [
                    {"at_subject": row.subject, "to_version": row.version, "to_minor": row.minor}
                    for row in self._stepped.values()
                ],
            )

    def _targets(self, order: _Order, row: Locked) -> tuple[list[tuple[Field, Row]], list[Problem]]:
        """Find the current rows that are to end, and check that the items to correct exist."""
        targets: list[tuple[Field, Row]] = []
        problems: list[Problem] = []
        for each, items in order.ending:
            by_item = {held.item: held for held in self._current(row, each, order.update.brand)}
            problems += [(each.name, "unknown_item")] * (not by_item.keys() >= set(items))
            targets += [(each, by_item[item]) for item in items if item in by_item]
        for of, item, _ in order.correcting:
            current = self._current(row, of, order.update.brand)
            if not any(held.item == item for held in current):
                problems.append((of.name, "unknown_item"))
        return targets, problems

    def _current(self, row: Locked, each: Field, holder: str) -> list[Row]:
        return [held for held in self.writing.held(row.subject, each, holder) if held.current]

    def _close(self, target: tuple[Field, Row], row: Locked, asked: Update) -> str:
        each, held = target
        closing = self.writing.close(held, row.shard, each, asked.system_id, self.today)
        self.writing.remember(closing)
        self._forget(row, each, held)
        return f"{each.name}:v{closing.version}"

    def _clear(self, each: Field, row: Locked, asked: Update) -> list[str]:
        """Make room for what `set` brings: a single value is superseded, every list item is closed."""
        current = self._current(row, each, asked.brand)
        if each.kind is FieldKind.LIST:
            return [self._close((each, held), row, asked) for held in current]
        for held in current:
            self.writing.retire(held)
            self._forget(row, each, held)
        return []

    def _drop(self, correction: Correction, row: Locked, asked: Update) -> None:
        each = correction.field
        for held in self._current(row, each, asked.brand):
            if held.item == correction.item:
                self._forget(row, each, held)
                if each.category_id in asked.held:
                    self.writing.retire(held)
                else:
                    self.writing.drop(held)

    def _put(self, given: Given, row: Locked, asked: Update, *, item: int | None) -> str:
        put = self.writing.put(
            row.subject, row.shard, given.field, asked.brand, asked.system_id, given.dated, item=item
        )
        self.writing.remember(put)
        if given.message is not None:
            indexed = Indexed(row.subject, row.shard, asked.brand, given.field, put.item, given.message)
            self._indexed.append(indexed)
        return f"{given.field.name}:v{put.version}"

    def _forget(self, row: Locked, each: Field, held: Row) -> None:
        if each.search is not None:
            self._forgotten.append(Forgotten(row.subject, held.holder, each, held.item))
            self._indexed = [
                kept
                for kept in self._indexed
                if (kept.subject, kept.brand, kept.field.id, kept.item)
                != (row.subject, held.holder, each.id, held.item)
            ]

    def _weigh_age(self, order: _Order, row: Locked) -> None:
        """Recompute minority when a birth date was written: it ends only where no other brand says otherwise."""
        born = [
            given
            for given in (*order.replacing, *(each.given for each in order.correcting))
            if given is not None and given.field.name == BIRTH_DATE
        ]
        for given in born:
            others = [
                held
                for held in self.writing.held(row.subject, given.field)
                if held.current and held.holder != order.update.brand
            ]
            adult = adult_age(self.uow.vault.bundle, row.region, self.today)
            row.minor = is_minor(given, self.today, adult) or (row.minor and bool(others))
