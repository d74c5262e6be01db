"""Real parts that fail at one step: a driver's connection, a key service, a signer.

Each call of a part is a step. A step may fail (nothing was done and an error comes) or lose its acknowledgement (it was
done and the same error comes). The parts are otherwise the real ones.
"""

import re
import sqlite3

import psycopg
from sqlalchemy.engine import make_url

from vault.errors import Sealed, StoreUnavailable

_KIND = re.compile(r"\s*(BEGIN|SELECT|INSERT|UPDATE|DELETE|WITH|PRAGMA)", re.IGNORECASE)
_TABLE = re.compile(r"\b(?:FROM|INTO|UPDATE)\s+([a-z_]+)", re.IGNORECASE)


class Steps:
    """Counts the steps of a part and strikes at one of them."""

    def __init__(self):
        self.seen = []
        self.at = None
        self.lost = False
        self.watching = False

    def watch(self, at=None, *, lost=False):
        """Begin to count; strike at that step, if one is given."""
        self.seen, self.at, self.lost, self.watching = [], at, lost, True

    def rest(self):
        """Count no more."""
        self.watching = False

    def run(self, name, act, broken):
        if not self.watching:
            return act()
        self.seen.append(name)
        if len(self.seen) - 1 != self.at:
            return act()
        if self.lost:
            act()
        raise broken()


def named(statement):
    text = statement if isinstance(statement, str) else bytes(statement).decode()
    kind, table = _KIND.match(text), _TABLE.search(text)
    return f"{kind[1].upper() if kind else '?'} {table[1] if table else ''}".strip()


def connecting(url, steps):
    """A `creator` for `open_engine`: real connections whose statements and commits are steps."""
    return _sqlite(url, steps) if url.startswith("sqlite") else _postgresql(url, steps)


def _sqlite(url, steps):
    def broken():
        error = sqlite3.OperationalError("disk I/O error")
        error.sqlite_errorcode = sqlite3.SQLITE_IOERR  # the driver's own errors always carry one
        return error

    class Cursor(sqlite3.Cursor):
        def execute(self, statement, *parameters):
            return steps.run(named(statement), lambda: super(Cursor, self).execute(statement, *parameters), broken)

        def executemany(self, statement, *parameters):
            return steps.run(named(statement), lambda: super(Cursor, self).executemany(statement, *parameters), broken)

    class Connection(sqlite3.Connection):
        def cursor(self, factory=Cursor):
            return super().cursor(factory)

        def execute(self, statement, *parameters):
            return steps.run(named(statement), lambda: super(Connection, self).execute(statement, *parameters), broken)

        def commit(self):
            return steps.run("COMMIT", super().commit, broken)

    how = {"factory": Connection, "isolation_level": None, "check_same_thread": False}
    return lambda: sqlite3.connect(make_url(url).database, **how)


def _postgresql(url, steps):
    class Cursor(psycopg.Cursor):
        def execute(self, statement, *parameters, **more):
            act = lambda: super(Cursor, self).execute(statement, *parameters, **more)  # noqa: E731
            return steps.run(named(statement), act, lambda: _hang_up(self.connection))

        def executemany(self, statement, *parameters, **more):
            act = lambda: super(Cursor, self).executemany(statement, *parameters, **more)  # noqa: E731
            return steps.run(named(statement), act, lambda: _hang_up(self.connection))

    class Connection(psycopg.Connection):
        def __init__(self, *arguments):
            super().__init__(*arguments)
            self.cursor_factory = Cursor

        def commit(self):
            return steps.run("COMMIT", super().commit, lambda: _hang_up(self))

    return lambda: Connection.connect(url.replace("+psycopg", ""))


def _hang_up(connection):
    connection.close()
    return psycopg.OperationalError("server closed the connection unexpectedly")


class FailingKeys:
    """A key service whose batch verbs are steps. `broken` makes the error; `mute` answers None for every item instead."""

    VERBS = frozenset({"reserve", "wrap", "unwrap", "mac", "seal", "open", "sign"})

    def __init__(self, keys, steps, broken=lambda: StoreUnavailable("the keystore did not answer"), *, mute=False):
        self._keys, self._steps, self._broken, self._mute = keys, steps, broken, mute

    def __getattr__(self, name):
        real = getattr(self._keys, name)
        if name not in self.VERBS:
            return real

        def step(*arguments):
            if self._mute and name in {"wrap", "unwrap", "open"}:
                return (
                    self._steps.run(name, lambda: real(*arguments), _Mute)
                    if not self._struck()
                    else self._none(name, arguments)
                )
            return self._steps.run(name, lambda: real(*arguments), self._broken)

        return step

    def _struck(self):
        return self._steps.watching and len(self._steps.seen) == self._steps.at

    def _none(self, name, arguments):
        self._steps.seen.append(name)
        return [None] * len(arguments[-1])


class _Mute(Exception):
    pass


def sealed():
    return Sealed("the key service is closed")
