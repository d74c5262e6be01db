"""Reports made in the background: asked for, made by whichever process is free, kept signed, taken away.

    queued --a process takes the lease--> running --> done
    running --its lease ran out, the process died--> queued again, by whoever looks next; after a few times: failed
    running --the process is stopped--> queued
    running --the report cannot be made as asked--> failed

A log of a million entries takes a report half a minute, longer than an answer may. The result is the document that
`running.run` would have given, with the same entry in the log, recorded in the unit that stores it; handing it out is
another entry. A report about one person is never kept: in it their entries stand together, and they would go on doing so
after the person is erased.
"""

from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from typing import Any, Final

import orjson
from sqlalchemy import Connection, Row, and_, func, or_, select, update

from audit.entry import Act, Actor, ActorKind, Entry, Outcome
from audit.reports import document
from audit.reports.asked import Asked
from vault.errors import (
    Conflict,
    InvalidReport,
    KeyHolderUnavailable,
    Refused,
    ReportNotReady,
    Sealed,
    StoreUnavailable,
    UnknownReport,
    VaultError,
)
from vault.reports import running
from vault.reports.view import Beat
from vault.store.bulk import insert_rows
from vault.store.tables import ReportRun
from vault.unit import UnitOfWork, Vault

LEASE_SECONDS: Final = 60
RENEW_SECONDS: Final = 10
MOST_ATTEMPTS: Final = 3
MOST_WAITING: Final = 20  # of one system or officer
KEPT_SECONDS: Final = 30 * 86_400

_ID: Final = 16
_DEFECT: Final = "internal_error"
_NOBODY: Final = bytes(_ID)
_RUN: Final = ReportRun.__table__  # type: ignore[attr-defined]
_ALL_BUT_THE_DOCUMENT: Final = tuple([each for each in _RUN.c if each.name != "document"])


class RunState(StrEnum):
    """How far a report has come."""

    QUEUED = "queued"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Run:
    """Where one report stands. Times in UTC seconds, `finished_at` 0 until it is over; `seen` of `size` entries are read.

    `problem` is a code, of a failed one. `saved` names the plan that it was made for, if it was for one.
    """

    id: bytes
    name: str
    filter: Mapping[str, str]
    actor: Actor
    state: RunState
    seen: int
    size: int
    problem: str
    created_at: int
    finished_at: int
    expires_at: int
    saved: bytes | None


@dataclass(frozen=True, slots=True)
class Taken:
    """A finished report: the signed JSON, the CSV, and the note that holds for both."""

    run: Run
    json: bytes = field(repr=False)
    csv: bytes = field(repr=False)
    note: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Made:
    """A report as whoever made it hands it over: its name, its filter in words, its number of rows, the signed JSON."""

    name: str
    filter: Mapping[str, str]
    rows: int
    document: bytes = field(repr=False)


Make = Callable[[Vault, str, Asked, Beat], Made]
"""Who makes a report: given its name, what is asked, and what to call meanwhile."""


class Lost(Exception):
    """Whoever was making the report is gone; it is made again, a few times."""


class NotMade(Exception):
    """The report cannot be made as asked. `code` says why; `stands_for` names the class of a defect elsewhere, if it was one."""

    def __init__(self, code: str, stands_for: str = "") -> None:
        super().__init__(code)
        self.code = code
        self.stands_for = stands_for


class _Over(Exception):
    """The work on a report ends here, without a result."""


def queue(vault: Vault, name: str, asked: Asked, actor: Actor) -> Run:
    """Ask for a report. Raises `UnknownReport` and `InvalidReport`, also for one about a person: that is never kept.

    Raises `Refused` of who has many waiting already.
    """
    with vault.unit() as uow:
        run_id = enqueue(uow, name, asked, actor)
        uow.commit()
    return standing(vault, run_id)


def enqueue(uow: UnitOfWork, name: str, asked: Asked, actor: Actor, saved: bytes | None = None) -> bytes:
    """Do the same within a unit of work; returns the id."""
    running.check(name, asked)
    if asked.reference:
        raise InvalidReport("a report about one person is made at once and never kept")
    by = orjson.dumps([actor.kind, actor.id, actor.via]).decode()
    going = (RunState.QUEUED.value, RunState.RUNNING.value)
    waiting = select(func.count()).select_from(_RUN).where(_RUN.c.actor == by, _RUN.c.state.in_(going))
    if saved is None and (uow.conn.scalar(waiting) or 0) >= MOST_WAITING:
        raise Refused("too_many_requests")  # each reads the whole log, and the others wait for it
    run_id = uow.vault.entropy.bytes(_ID)
    row = {
        "id": run_id,
        "name": name,
        "asked": orjson.dumps(asdict(asked)).decode(),
        "actor": by,
        "saved": saved,
        "state": RunState.QUEUED.value,
        "attempts": 0,
        "holder": _NOBODY,
        "lease_until": 0,
        "seen": 0,
        "size": 0,
        "problem": "",
        "document": b"",
        "created_at": uow.now,
        "finished_at": 0,
        "expires_at": uow.now + KEPT_SECONDS,
    }
    insert_rows(uow.conn, ReportRun, [row])
    return run_id


def standing(vault: Vault, run_id: bytes) -> Run:
    """Tell how far a report has come. Raises `UnknownReport`."""
    with vault.reading() as conn:
        return find(conn, run_id)


def find(conn: Connection, run_id: bytes) -> Run:
    """Do the same within a transaction."""
    row = conn.execute(select(*_ALL_BUT_THE_DOCUMENT).where(_RUN.c.id == run_id)).one_or_none()
    if row is None:
        raise UnknownReport
    return _run(row)


def listed(vault: Vault, most: int = 100) -> list[Run]:
    """List the newest reports, the newest first."""
    newest = select(*_ALL_BUT_THE_DOCUMENT).order_by(_RUN.c.created_at.desc(), _RUN.c.id).limit(most)
    with vault.reading() as conn:
        return [_run(row) for row in conn.execute(newest)]


def taken(vault: Vault, run_id: bytes, actor: Actor) -> Taken:
    """Hand a finished report out; that is in the log before. Raises `UnknownReport` and `ReportNotReady`."""
    with vault.unit() as uow:
        given = take(uow, run_id, actor)
        uow.commit()
    return given


def take(uow: UnitOfWork, run_id: bytes, actor: Actor) -> Taken:
    """Do the same within a unit of work, whose commit comes before anybody sees it."""
    row = uow.conn.execute(select(_RUN).where(_RUN.c.id == run_id)).one_or_none()
    if row is None:
        raise UnknownReport
    run, content = _run(row), bytes(row.document)
    if run.state is not RunState.DONE:
        raise ReportNotReady
    opened, note = document.opened(content)
    said = (f"report:{run.name}", f"run:{run_id.hex()}")
    uow.record(Entry(Act.AUDIT_VIEWED, Outcome.ALLOW, actor, pol=said, n=opened["row_count"]))
    return Taken(run, content, document.csv_of(opened), note)


def here(vault: Vault, name: str, asked: Asked, beat: Beat) -> Made:
    """Make a report in this process."""
    report = running.made(vault, name, asked, beat)
    return Made(name, report.filter, len(report.body.rows) + report.body.more, document.to_json(report))


def turn(vault: Vault, stopping: Callable[[], bool] = lambda: False, make: Make = here) -> bool:
    """Have one report made that waits, if there is one; whether there was.

    While `stopping` says so nothing is begun and what is under way is put back. Raises what a defect raised, after it
    was put on record as the report's problem; and `Lost`, after it was put back.
    """
    if stopping() or (work := _claim(vault)) is None:
        return False
    try:
        made = make(vault, work.run.name, work.asked, work.beat(stopping))
        done = {"state": RunState.DONE.value, "document": made.document, "finished_at": vault.clock.now()}
        with vault.unit() as uow:
            if work.update(uow, done):
                which = f"run:{work.run.id.hex()}"
                uow.record(running.entry(made.name, made.filter, made.rows, work.run.actor, which))
                uow.commit()
    except _Over:
        pass
    except (Sealed, KeyHolderUnavailable, StoreUnavailable):  # no fault of the report's: it waits until all is there
        with suppress(StoreUnavailable):
            work.end(vault, state=RunState.QUEUED.value, lease_until=0, attempts=0)
        raise
    except Lost:  # its attempt stays counted: one that takes its process down each time is given up
        work.end(vault, state=RunState.QUEUED.value, lease_until=0)
        raise
    except (VaultError, NotMade) as error:
        work.fail(vault, error.code)
        if error.code == _DEFECT:
            raise
    except Exception:
        work.fail(vault, _DEFECT)
        raise
    return True


@dataclass(frozen=True, slots=True)
class _Work:
    """A report that this process makes: its lease is known by `holder`."""

    vault: Vault
    run: Run
    asked: Asked = field(repr=False)
    holder: bytes

    def beat(self, stopping: Callable[[], bool]) -> Callable[[int, int], None]:
        """Return what the reading of the log calls for every piece: it keeps the lease, and ends work that is no longer ours."""
        renewed = self.vault.clock.now()

        def beat(seen: int, size: int) -> None:
            nonlocal renewed
            if stopping():
                self.end(self.vault, state=RunState.QUEUED.value, lease_until=0, attempts=0)
                raise _Over
            now = self.vault.clock.now()
            if now - renewed < RENEW_SECONDS:
                return
            renewed = now
            with self.vault.unit() as uow:
                if not self.update(uow, {"lease_until": now + LEASE_SECONDS, "seen": seen, "size": size}):
                    raise _Over
                uow.commit()

        return beat

    def update(self, uow: UnitOfWork, changes: Mapping[str, Any]) -> bool:
        """Change the row, if the lease is still ours."""
        ours = and_(_RUN.c.id == self.run.id, _RUN.c.holder == self.holder, _RUN.c.state == RunState.RUNNING.value)
        return bool(uow.conn.execute(update(_RUN).where(ours).values(**changes)).rowcount)

    def end(self, vault: Vault, **changes: object) -> None:
        """Change the row in a unit of its own."""
        with vault.unit() as uow:
            if self.update(uow, changes):
                uow.commit()

    def fail(self, vault: Vault, problem: str) -> None:
        """Put on record that it cannot be made."""
        self.end(vault, state=RunState.FAILED.value, problem=problem[:32], finished_at=vault.clock.now())


def _claim(vault: Vault) -> _Work | None:
    """Take the lease of the oldest report that waits or whose process is gone."""
    holder = vault.entropy.bytes(_ID)
    with vault.unit() as uow:
        free = or_(
            _RUN.c.state == RunState.QUEUED.value,
            and_(_RUN.c.state == RunState.RUNNING.value, _RUN.c.lease_until < uow.now),
        )
        oldest = select(*_ALL_BUT_THE_DOCUMENT).where(free).order_by(_RUN.c.created_at, _RUN.c.id).limit(1)
        row = uow.conn.execute(oldest).one_or_none()
        if row is None:
            return None
        begun = {"state": RunState.RUNNING.value, "holder": holder, "lease_until": uow.now + LEASE_SECONDS}
        # A report that was begun so often and never ended takes the process down each time: nobody tries it again.
        lost = {"state": RunState.FAILED.value, "problem": "given_up", "finished_at": uow.now}
        changes = lost if row.attempts >= MOST_ATTEMPTS else begun | {"attempts": row.attempts + 1}
        try:
            won = uow.conn.execute(update(_RUN).where(_RUN.c.id == row.id, free).values(**changes)).rowcount
            uow.commit()
        except Conflict:
            return None
    if not won or changes is lost:
        return None
    return _Work(vault, _run(row), _asked(row), holder)


def _run(row: Row[Any]) -> Run:
    kind, who, via = orjson.loads(row.actor)
    return Run(
        bytes(row.id),
        row.name,
        _asked(row).said(),
        Actor(ActorKind(kind), who, via),
        RunState(row.state),
        row.seen,
        row.size,
        row.problem,
        row.created_at,
        row.finished_at,
        row.expires_at,
        None if row.saved is None else bytes(row.saved),
    )


def _asked(row: Row[Any]) -> Asked:
    return Asked(**orjson.loads(row.asked))
