"""Driver connections that fail where the test says. Real drivers, real databases; only the answer is withheld."""

import sqlite3
from dataclasses import dataclass, field
from enum import StrEnum

import psycopg
from sqlalchemy.engine import make_url


class Fault(StrEnum):
    """What happens to a COMMIT."""

    NONE = "none"
    REFUSED = "refused"  # it never reaches the database
    LOST = "lost"  # it succeeds, and nobody is told


@dataclass
class Faults:
    """Shared by all connections of one engine."""

    commit: Fault = Fault.NONE
    after: int = 0  # commits that still succeed
    commits: list = field(default_factory=list)

    def strikes(self):
        self.commits.append(None)
        if self.commit is Fault.NONE:
            return False
        self.after -= 1
        return self.after < 0


class FaultySQLite(sqlite3.Connection):
    faults = Faults()

    def commit(self):
        if not self.faults.strikes():
            return super().commit()
        if self.faults.commit is Fault.LOST:
            super().commit()
        raise sqlite3.OperationalError("disk I/O error")


class FaultyPostgres(psycopg.Connection):
    faults = Faults()

    def commit(self):
        if not self.faults.strikes():
            return super().commit()
        if self.faults.commit is Fault.LOST:
            super().commit()
        self.close()
        raise psycopg.OperationalError("server closed the connection unexpectedly")


def creator_for(url, faults):
    """A `creator` for `open_engine`: connections to `url` that obey `faults`."""
    parsed = make_url(url)
    if parsed.get_backend_name() == "sqlite":
        kind = type("Faulty", (FaultySQLite,), {"faults": faults})
        return lambda: sqlite3.connect(parsed.database, factory=kind, isolation_level=None, check_same_thread=False)
    kind = type("Faulty", (FaultyPostgres,), {"faults": faults})
    return lambda: kind.connect(url.replace("+psycopg", ""))
