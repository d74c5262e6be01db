"""The census: counts, for each brand and field, how many subjects share each generalised value and its coarser steps.

Values are opened page by page, counted and forgotten; what is kept is a keyed hash with a count, rounded down, for groups
that reach the least that matters, and nothing that leads from a subject to a group (docs/decisions/0036-crowds.md). It
runs beside the requests, works a fraction of the time, and is due when the log has grown by a tenth or a day is over.
One process counts, all take the result up. Whoever has no census younger than a week releases nothing.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, date, datetime
from time import perf_counter
from typing import Any, Final, NamedTuple, cast

from sqlalchemy import Connection, bindparam, delete, insert, select, update

from audit import ledger
from audit.entry import Act, Actor, ActorKind, Entry, Outcome
from policies import crowds as policy
from policies import transforms
from policies.catalogue import Field
from policies.crowds import LEAST_GROUP
from policies.errors import TransformUnavailable
from policies.levels import Level
from vault import crowds, values
from vault.compartments import ACTIVE
from vault.crowds import Crowds
from vault.errors import Conflict, IntegrityFailure
from vault.openings import STORED, Stored, opened
from vault.store.bulk import insert_rows
from vault.store.keysets import padded
from vault.store.tables import CensusGroup, metadata
from vault.unit import UnitOfWork, Vault
from vault.values import JsonValue

TURN_SECONDS: Final = 10.0
PAGE: Final = 16  # subjects opened at once: some twenty milliseconds
REST: Final = 9  # times as long as a page took
GROWTH: Final = 10  # per cent of the log
LEAST_REST: Final = 60  # seconds between two censuses, and twenty times what the last one took
LONGEST_REST: Final = 86_400
OLDEST: Final = 7 * 86_400  # seconds after which a census is believed no more
PATIENCE: Final = 120  # seconds after which a census that nobody touched is taken for dead
ROUNDED: Final = 5

Wait = Callable[[float], bool]
"""Waits so many seconds; True when the census is to be given up."""

_RUN: Final = metadata.tables["census_run"]
_GROUP: Final = metadata.tables["census_group"]
_SUBJECT: Final = metadata.tables["subject"]
_VALUE: Final = metadata.tables["field_value"]
_COMPARTMENT: Final = metadata.tables["compartment"]

_NEXT: Final = (
    select(_SUBJECT.c.id)
    # Counting is using: who is restricted is stored and no more (GDPR Art. 18(2)).
    .where(_SUBJECT.c.id > bindparam("after"), _SUBJECT.c.state == ACTIVE, ~_SUBJECT.c.restricted)
    .order_by(_SUBJECT.c.id)
    .limit(PAGE)
)
_VALUES: Final = STORED.where(
    _VALUE.c.subject_id.in_(bindparam("subjects", expanding=True)),
    _VALUE.c.field_id.in_(bindparam("fields", expanding=True)),
    _VALUE.c.current,
    _COMPARTMENT.c.state == ACTIVE,
)


class Last(NamedTuple):
    """The last census that came to its end."""

    number: int
    started_at: int
    finished_at: int
    log_size: int


class Page(NamedTuple):
    """A page of subjects: how many, how many of them are in each group, and how many of their values nobody can read."""

    subjects: int
    groups: Counter[bytes]
    unreadable: int


@dataclass(frozen=True, slots=True)
class Counted:
    """A census that came to its end. `unreadable` values were altered, or of a compartment that was just being erased."""

    people: int
    unreadable: int


def turn(vault: Vault, wait: Wait) -> Counted | None:
    """Count if a census is due and nobody else counts, and take up the newest. One turn of a periodic job."""
    counted = count(vault, wait) if is_due(vault) else None
    take_up(vault)
    return counted


def take_up(vault: Vault) -> None:
    """Put the newest census in memory, if it is another one; forget one that has grown too old."""
    with vault.reading() as conn:
        last = _last(conn)
        if last is None or last.finished_at < vault.clock.now() - OLDEST:
            if vault.crowds.number:
                vault.crowds = Crowds()
            return
        if last.number == vault.crowds.number:
            return
        rows = conn.execute(select(_GROUP.c.bucket, _GROUP.c.subjects).where(_GROUP.c.number == last.number))
        groups = {row.bucket: row.subjects for row in rows}
    vault.crowds = Crowds(last.number, groups)


def is_due(vault: Vault) -> bool:
    """Whether enough has happened since the last census, or enough time has passed."""
    now = vault.clock.now()
    with vault.reading() as conn:
        last = _last(conn)
        if last is None:  # of fewer people than the least group no census would keep anything
            return len(conn.execute(select(_SUBJECT.c.id).limit(LEAST_GROUP)).all()) == LEAST_GROUP
        since = now - last.finished_at
        rest = max(LEAST_REST, 20 * (last.finished_at - last.started_at))
        grown = (_log_size(conn, vault.shards) - last.log_size) * 100 >= GROWTH * last.log_size
    return since >= LONGEST_REST or (grown and since >= rest)


def count(vault: Vault, wait: Wait) -> Counted | None:
    """Count everybody. None if another process counts, or `wait` said to give up; nothing is then changed.

    A value that does not open or decode is counted for nobody, and the entry of the census says how many there were.
    """
    number = _begin(vault)
    if number is None:
        return None
    people = unreadable = 0
    groups: Counter[bytes] = Counter()
    touched = vault.clock.now()
    for page in _pages(vault, wait):
        people += page.subjects
        unreadable += page.unreadable
        groups.update(page.groups)
        if vault.clock.now() - touched > PATIENCE // 4:
            touched = vault.clock.now()
            if not _touch(vault, number):
                return None
    if wait(0):
        return None
    counted = Counted(people, unreadable)
    _finish(vault, number, counted, groups)
    return counted


def _begin(vault: Vault) -> int | None:
    """Start a run, unless one is under way. Two that start at once meet at the primary key, and one of them counts."""
    with suppress(Conflict), vault.unit() as uow:
        newest = uow.conn.execute(select(_RUN).order_by(_RUN.c.number.desc()).limit(1)).one_or_none()
        if newest is not None and newest.finished_at is None and newest.touched_at > uow.now - PATIENCE:
            return None
        number = 1 if newest is None else int(newest.number) + 1
        size = _log_size(uow.conn, vault.shards)
        started = {
            "number": number,
            "started_at": uow.now,
            "touched_at": uow.now,
            "finished_at": None,
            "log_size": size,
        }
        uow.conn.execute(insert(_RUN), started)
        uow.commit()
        return number
    return None


def _touch(vault: Vault, number: int) -> bool:
    """Say that the run lives. False if another one has taken its place."""
    with vault.unit() as uow:
        later = uow.conn.scalar(select(_RUN.c.number).where(_RUN.c.number > number).limit(1))
        uow.conn.execute(update(_RUN).where(_RUN.c.number == number).values(touched_at=uow.now))
        uow.commit()
    return later is None


def _finish(vault: Vault, number: int, counted: Counted, groups: Mapping[bytes, int]) -> None:
    rows = [
        {"number": number, "bucket": bucket, "subjects": subjects // ROUNDED * ROUNDED}
        for bucket, subjects in groups.items()
        if subjects >= LEAST_GROUP
    ]
    with vault.unit() as uow:
        insert_rows(uow.conn, CensusGroup, rows)
        uow.conn.execute(update(_RUN).where(_RUN.c.number == number).values(finished_at=uow.now))
        _forget(uow, number)
        actor = Actor(ActorKind.VAULT, vault.deployment)
        told = (f"groups:{len(rows)}", *([f"unreadable:{counted.unreadable}"] if counted.unreadable else []))
        uow.record(Entry(Act.CROWD_COUNTED, Outcome.ALLOW, actor, pol=told, n=counted.people))
        uow.commit()


def _forget(uow: UnitOfWork, number: int) -> None:
    uow.conn.execute(delete(_GROUP).where(_GROUP.c.number < number))
    uow.conn.execute(delete(_RUN).where(_RUN.c.number < number))


def _pages(vault: Vault, wait: Wait) -> Iterator[Page]:
    """Go through everybody, a page at a time."""
    fields = {each.id: each for each in vault.bundle.catalogue.fields.values() if Level.GENERALISED in each.levels}
    after = b""
    while fields:
        began = perf_counter()
        with vault.reading() as conn:
            subjects = list(conn.scalars(_NEXT, {"after": after}))
            if not subjects:
                return
            asked = {"subjects": padded(subjects), "fields": padded(sorted(fields))}
            rows = [Stored._make(row) for row in conn.execute(_VALUES, asked)]
        after = subjects[-1]
        yield Page(len(subjects), *_counted(vault, rows, fields))
        if wait(REST * (perf_counter() - began)):
            return


def _counted(vault: Vault, rows: list[Stored], fields: Mapping[int, Field]) -> tuple[Counter[bytes], int]:
    """Count each subject once per group, however many of its values are in it; and the values that cannot be read."""
    today = datetime.fromtimestamp(vault.clock.now(), UTC).date()
    memberships: set[tuple[bytes, bytes]] = set()
    unreadable = 0
    for row, plain in zip(rows, opened(vault.keys, vault.deployment, rows), strict=True):
        try:
            value = None if plain is None else values.decode(plain)
        except IntegrityFailure:
            value = None
        if value is None:
            unreadable += 1
            continue
        spelled = _spelled(row, value.value, fields[row.field_id], today)
        memberships |= {(row.subject, each) for each in spelled}
    distinct = list({spelled for _, spelled in memberships})
    hashed = dict(zip(distinct, crowds.buckets(vault.keys, distinct) if distinct else [], strict=True))
    return Counter(hashed[spelled] for _, spelled in memberships), unreadable


def _spelled(row: Stored, value: Any, field: Field, today: date) -> Iterator[bytes]:
    if value is None:
        return
    try:
        generalised = transforms.apply(field, Level.GENERALISED, "", value, today)
    except TransformUnavailable:
        return
    for step in policy.steps(field, generalised):
        yield crowds.spell(row.holder, row.field_id, cast("JsonValue", step))


def _last(conn: Connection) -> Last | None:
    row = conn.execute(
        select(_RUN.c.number, _RUN.c.started_at, _RUN.c.finished_at, _RUN.c.log_size)
        .where(_RUN.c.finished_at.is_not(None))
        .order_by(_RUN.c.number.desc())
        .limit(1)
    ).one_or_none()
    return None if row is None else Last(*row)


def _log_size(conn: Connection, shards: int) -> int:
    return sum(ledger.head(conn, shard).size for shard in range(shards))
