"""The tables of a keystore in the SQL that SQLite and PostgreSQL share: how they are filled, read at one moment, written alone."""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any, Final, Protocol

from vault.errors import Conflict, IntegrityFailure
from vault.keys.pagestore import FORMAT, ChangeRow, Head, PageRow, Rows

TABLES: Final = ("keystore", "epoch", "retired", "leaving", "change", "destroyed", "lease")  # all that is no page

_UNRELEASED: Final = 1
_HEAD: Final = (
    "SELECT format, deployment, epoch, retiring, fanout, depth, structure, revision, created_at FROM keystore"
)


class Session(Protocol):
    """A connection, as `sqlite3` has it. Placeholders are `?`; what is not in a transaction commits by itself."""

    @property
    def in_transaction(self) -> bool:
        """Whether a transaction was begun and has not ended."""
        ...

    def execute(self, statement: str, values: Any = (), /) -> Any:
        """Run one statement; returns a cursor."""
        ...

    def executemany(self, statement: str, rows: Any, /) -> Any:
        """Run one statement for each row; the cursor's `rowcount` is that of all."""
        ...

    def close(self) -> None:
        """Close the connection."""
        ...


def change_values(change: ChangeRow) -> tuple[object, ...]:
    """Return the row as drivers take it."""
    return change.epoch, change.root_ref, change.ends, change.state.value, change.verified, change.copies


def fill(db: Session, rows: Rows) -> None:
    """Write all rows but the pages into empty tables. The caller owns the transaction."""
    db.execute(
        "INSERT INTO keystore (one, format, deployment, epoch, retiring, fanout, depth, structure, revision,"
        " created_at, reserved) VALUES (1, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (*rows.head, rows.reserved),
    )
    db.executemany("INSERT INTO epoch (epoch, root_ref, top_key, top, service) VALUES (?, ?, ?, ?, ?)", rows.epochs)
    db.executemany("INSERT INTO retired (number, generation) VALUES (?, ?)", rows.retired)
    db.executemany(
        "INSERT INTO leaving (number, generation, epoch, recalled) VALUES (?, ?, ?, ?)",
        rows.leaving,
    )
    if rows.change is not None:
        db.execute(
            "INSERT INTO change (one, epoch, root_ref, ends, state, verified, copies) VALUES (1, ?, ?, ?, ?, ?, ?)",
            change_values(rows.change),
        )
    db.executemany(
        "INSERT INTO destroyed (epoch, root_ref, effective_at, evidence, destruction_class, copies, recorded_at)"
        " VALUES (?, ?, ?, ?, ?, ?, ?)",
        rows.history,
    )


def insert_pages(db: Session, pages: Iterable[PageRow]) -> None:
    """Write page rows. The caller owns the transaction."""
    db.executemany("INSERT INTO page (address, generation, body) VALUES (?, ?, ?)", pages)


class Transactions(ABC):
    """One connection, and how it reads one moment and writes alone."""

    _db: Session

    @abstractmethod
    def _asking(self) -> AbstractContextManager[None]:
        """Turn the driver's errors into ours."""

    @abstractmethod
    def _begin_reading(self) -> None:
        """Begin a transaction that sees one moment and stops nobody."""

    @abstractmethod
    def _begin_writing(self) -> None:
        """Begin a transaction that no other writing one runs beside, and that sees all that was committed before."""

    def head(self) -> Head:
        """Read the one row."""
        with self._asking():
            row = self._db.execute("SELECT format FROM keystore").fetchone()
            if row == (_UNRELEASED,):
                raise IntegrityFailure("the keystore is of a format that was never released: make it anew")
            if row != (FORMAT,):
                raise IntegrityFailure(IntegrityFailure.code)
            return Head(*self._db.execute(_HEAD).fetchone())

    @contextmanager
    def reading(self) -> Iterator[None]:
        """Hold one moment of the store. May be nested."""
        if self._db.in_transaction:
            yield
            return
        with self._asking():
            self._begin_reading()
        try:
            yield
        finally:
            with self._asking():
                self._db.execute("END")  # not COMMIT, which must not pass for done after an error

    @contextmanager
    def _writing(self, owner: str | None = None, *, heard: bool = False) -> Iterator[None]:
        """Write alone, for the holder of the lease if one is named; `heard` tells key services."""
        with self._asking():
            try:
                self._begin_writing()
                if owner is not None and self._db.execute("SELECT owner FROM lease").fetchone() != (owner,):
                    raise Conflict("another process changes the keystore")
                yield
                if self._db.in_transaction:
                    if heard:
                        self._db.execute("UPDATE keystore SET revision = revision + 1")
                    self._db.execute("COMMIT")
            finally:
                if self._db.in_transaction:
                    self._db.execute("ROLLBACK")
