"""The unit of work: data and its log entries become durable together, or not at all.

A unit rolls back unless it commits. Entries are encoded when they are recorded and appended last, so that the lock on
the log head is held for the shortest time and no entry can be added after the root was computed. `Commit` is proof
that a unit became durable; the way to plaintext asks for one that covers the disclosure's entry (design §3, §4), and
only this module makes them.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from copy import copy
from dataclasses import InitVar, dataclass
from pathlib import Path
from types import MappingProxyType, TracebackType
from typing import Final, Self, TypeVar

from sqlalchemy import Connection, Engine
from sqlalchemy.exc import SQLAlchemyError

from audit import entry as log_entry
from audit import ledger
from audit.detail import SALT_SIZE
from audit.entry import Asker, Entry
from audit.pseudonym import token_mark, veiled
from policies.bundle import Bundle
from vault import details
from vault.crowds import Crowds
from vault.errors import Conflict, SchemaMismatch, Sealed, StoreUnavailable, Unexpected, VaultError, WrongDeployment
from vault.failures import Failures
from vault.keys.service import KeyService
from vault.runtime import Clock, Entropy
from vault.staff import staff_keys
from vault.store.engine import reader, translate

T = TypeVar("T")
R = TypeVar("R")

Finish = Callable[["Commit"], Sequence[R | VaultError]]
Batch = Callable[["UnitOfWork", Sequence[T]], Finish[R]]

ENTRY_ID_BYTES: Final = 16
ATTEMPTS: Final = 3  # of a single item that loses a race; the second nearly always sees what won

# Errors that concern the store or the keys and not one item: splitting the batch would only meet them again.
_COMMON: Final = (StoreUnavailable, Sealed, SchemaMismatch, WrongDeployment)

_WITNESS: Final = object()


@dataclass(frozen=True, slots=True)
class Commit:
    """Proof that a unit is durable. `entries` maps each entry id to its index in the log; empty if it recorded none.

    `first_index` and `size` describe the log of that shard after the commit, `leaves` are the 32-byte leaf hashes from
    `first_index` on; all empty for a unit without entries.
    """

    first_index: int
    size: int
    entries: Mapping[bytes, int]
    leaves: tuple[bytes, ...]
    witness: InitVar[object]

    def __post_init__(self, witness: object) -> None:
        if witness is not _WITNESS:
            raise TypeError("only UnitOfWork.commit makes a Commit")

    def covers(self, entry_id: bytes) -> bool:
        """Whether this commit made that entry durable."""
        return entry_id in self.entries

    def leaf(self, entry_id: bytes) -> bytes:
        """Return the leaf hash of an entry this commit covers: what its receipt promises to include."""
        return self.leaves[self.entries[entry_id] - self.first_index]


@dataclass(frozen=True, slots=True)
class Alarm:
    """Something that somebody has to look at now. `code` is stable; `system_id` is who did it."""

    code: str
    system_id: str


class Vault:
    """The composed data plane: engine, keys, policies, clock and randomness. One per process; thread-safe.

    `bundle` and `crowds` are replaced whole, by a policy load and a census: read them once per request. `alarm` is called
    after the commit of a unit that raised one, on that unit's thread; it must not raise, and by default does nothing: the
    log entry stands either way. `mirror` is the folder on another disk to which the signed log goes, if it goes to one.
    """

    __slots__ = (
        "_reader", "alarm", "bundle", "clock", "crowds", "deployment", "engine", "entropy", "failures", "keys", "mirror", "origin", "shards",
    )  # fmt: skip

    def __init__(
        self,
        engine: Engine,
        keys: KeyService,
        bundle: Bundle,
        *,
        clock: Clock,
        entropy: Entropy,
        deployment: str,
        origin: str,
        shards: int = 1,
    ) -> None:
        self.engine = engine
        self.keys = keys
        self.bundle = bundle
        self.crowds = Crowds()
        self.clock = clock
        self.entropy = entropy
        self.deployment = deployment
        self.origin = origin
        self.shards = shards
        self._reader = reader(engine)
        self.failures = Failures()
        self.alarm: Callable[[Alarm], None] = lambda _: None
        self.mirror: Path | None = None

    def unit(self, shard: int = 0) -> "UnitOfWork":
        """Start a unit of work on one shard's log. Use as a context manager; it rolls back unless committed."""
        return UnitOfWork(self, shard)

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """Give a connection in one read-only snapshot."""
        with translate(), self._reader.connect() as conn, conn.begin():
            yield conn

    def shard_of(self, subject_id: bytes) -> int:
        """Return the shard of a subject: its id is uniform, so its first bytes are hash enough."""
        return int.from_bytes(subject_id[:4]) % self.shards

    def close(self) -> None:
        """Close the pool and forget the keys."""
        self.engine.dispose()
        self.keys.close()


class UnitOfWork:
    """One transaction. `conn` runs statements, `now` is the time of the whole unit, `record` adds log entries."""

    __slots__ = ("_alarms", "_bodies", "_details", "_done", "_opened", "_staff_keys", "conn", "now", "shard", "vault")

    conn: Connection

    def __init__(self, vault: Vault, shard: int) -> None:
        self.vault = vault
        self.shard = shard
        self.now = vault.clock.now()
        self._bodies: list[tuple[bytes, bytes]] = []
        self._alarms: list[Alarm] = []
        self._details: list[details.Kept] = []
        self._staff_keys: dict[str, bytes] = {}
        self._opened = False
        self._done = False

    def __enter__(self) -> Self:
        with translate():
            self.conn = self.vault.engine.connect()
            try:
                self.conn.begin()
            except BaseException:
                self.conn.close()
                raise
        self._opened = True
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._done = True
        # Closing rolls back whatever is still open. A connection that cannot even do that is gone, and its
        # transaction with it: there is nothing to add to the error already on its way, nor to a finished commit.
        with suppress(SQLAlchemyError):
            self.conn.close()
        translate().__exit__(kind, error, trace)

    def record(self, entry: Entry, *, log_key: bytes | None = None) -> bytes:
        """Encode one log entry now, append it at commit, and return its 16-byte id.

        `log_key` is the subject's unwrapped 32-byte log key when the entry concerns one subject: its reference in the
        log is an HMAC of the entry id under that key, different in each entry and unlinkable once the key is erased.
        """
        if self._done:
            raise RuntimeError("the unit of work is over")
        # Why safe: 128 random bits; two equal ids would also meet the log's unique constraint.
        entry_id = self.vault.entropy.bytes(ENTRY_ID_BYTES)
        sref = None if log_key is None else log_entry.sref(log_key, entry_id)
        stf, tok = self._marks(entry.actor.asker, entry_id, log_key)
        dc = None
        if entry.detail is not None and log_key is not None:
            # Why safe: 256 random bits a detail, so its commitment lets nobody try guesses.
            salt = self.vault.entropy.bytes(SALT_SIZE)
            kept = details.seal(self.vault.deployment, log_key, entry_id, entry.detail, salt, self.now)
            self._details.append(kept)
            dc = kept.dc
        self._bodies.append((entry_id, log_entry.encode(entry, entry_id, self.now, sref, dc=dc, stf=stf, tok=tok)))
        return entry_id

    def _marks(self, asker: Asker | None, entry_id: bytes, log_key: bytes | None) -> tuple[bytes | None, bytes | None]:
        """Make what an entry bears of the member of staff and the token. About nobody, it bears no token: it could not be erased."""
        if asker is None:
            return None, None
        token = None if log_key is None or not asker.token else token_mark(log_key, asker.token, entry_id)
        if not asker.staff:
            return None, token
        if asker.brand not in self._staff_keys:
            self._staff_keys |= staff_keys(self.vault.keys, [asker.brand])
        return veiled(self._staff_keys[asker.brand], entry_id, asker.staff), token

    def alarm(self, alarm: Alarm) -> None:
        """Have the vault's alarm raised when this unit is durable."""
        self._alarms.append(alarm)

    def commit(self) -> Commit:
        """Append the entries to the log, last, and COMMIT.

        Raises `StoreUnavailable` when the database did not acknowledge. The unit may then be durable all the same:
        nothing may be disclosed on it and it must not be run again under the same meaning.
        """
        if self._done or not self._opened:
            raise RuntimeError("the unit of work is not open")
        self._done = True
        first = size = 0
        leaves: tuple[bytes, ...] = ()
        with translate():
            if self._details:
                details.store(self.conn, self._details)
            if self._bodies:
                appended = ledger.append(self.conn, self.shard, self._bodies, self.now)
                first, size, leaves = appended.first_index, appended.size, appended.leaves
            try:
                self.conn.commit()
            except BaseException:
                # Nobody knows what state it is in: a COMMIT that failed may have left the transaction open, with its
                # locks. The connection is closed, never used again.
                with suppress(SQLAlchemyError):
                    self.conn.invalidate()
                raise
        for alarm in self._alarms:
            self.vault.alarm(alarm)
        entries = {entry_id: first + place for place, (entry_id, _) in enumerate(self._bodies)}
        return Commit(first, size, MappingProxyType(entries), leaves, _WITNESS)


def record_apart(vault: Vault, entries: Sequence[tuple[Entry, bytes | None]]) -> None:
    """Record entries, each with its subject's log key or None, in a unit of their own: the act's is over or was undone."""
    if entries:
        with vault.unit() as uow:
            for entry, log_key in entries:
                uow.record(entry, log_key=log_key)
            uow.commit()


def settled(act: Callable[[UnitOfWork, Sequence[T]], list[R | VaultError]]) -> Batch[T, R]:
    """Make a batch function of an act whose results are known before the commit: they are handed out after it."""

    def batch(uow: UnitOfWork, items: Sequence[T]) -> Finish[R]:
        results = act(uow, items)
        return lambda _: results

    return batch


def execute(vault: Vault, batch: Batch[T, R], items: Sequence[T]) -> list[R | VaultError]:
    """Run `items` through `batch` in one unit of work and return one answer per item, in order.

    `batch` does everything up to the commit and returns `finish`, which is called with the `Commit` and gives the
    answers: only there may plaintext appear. If the unit fails before it is durable and one item may be the cause,
    the batch is halved until the culprit stands alone, so that one item's failure fails that item alone (and costs
    its neighbours 2 log n units, not n). `batch` must therefore be safe to run again after a rollback.

    Nothing runs again after COMMIT was sent to a database that did not answer, nor after `finish` has begun.
    """
    if not items:
        return []
    outcome = _attempt(vault, batch, items)
    for _ in range(ATTEMPTS - 1):
        if len(items) > 1 or not isinstance(outcome, Conflict):
            break
        outcome = _attempt(vault, batch, items)
    if not isinstance(outcome, VaultError):
        return outcome
    if len(items) == 1 or isinstance(outcome, _COMMON):
        return _each(outcome, items)
    middle = len(items) // 2
    return execute(vault, batch, items[:middle]) + execute(vault, batch, items[middle:])


def _attempt(vault: Vault, batch: Batch[T, R], items: Sequence[T]) -> list[R | VaultError] | VaultError:
    try:
        with vault.unit() as unit:
            finish = batch(unit, items)
            commit = unit.commit()
    except VaultError as error:
        return _bare(error)
    except Exception as error:  # noqa: BLE001 - a defect in one item must not take its neighbours with it
        return _unexpected(error)
    # From here on the unit is durable: what fails now fails each item once and runs nothing again.
    try:
        answers = list(finish(commit))
    except VaultError as error:
        return _each(_bare(error), items)
    except Exception as error:  # noqa: BLE001
        return _each(_unexpected(error), items)
    if len(answers) != len(items):
        return _each(Unexpected("answers and items differ in number"), items)
    return answers


def _each(error: VaultError, items: Sequence[object]) -> list[R | VaultError]:
    # One exception object per item: each is raised in another request, and must not gather another's frames.
    return [copy(error) for _ in items]


def _bare(error: VaultError) -> VaultError:
    # Handed on as a value: frames and chained exceptions stay behind, and with them the rows they hold.
    error.__traceback__ = error.__context__ = error.__cause__ = None
    return error


def _unexpected(error: Exception) -> Unexpected:
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    place = "unknown" if trace is None else f"{trace.tb_frame.f_globals.get('__name__')}:{trace.tb_lineno}"
    return Unexpected(f"{type(error).__name__} at {place}")
