"""The data database in one file: made under load as of one moment, checked, and brought back into an empty place.

SQLite: the online backup API inside one read transaction, so that writers neither wait nor show. PostgreSQL: `pg_dump`
in its custom format, of an exported snapshot. What a file holds is exactly what `Snapshot.conn` sees, so whoever makes
it can say beside it how far the log had come. Passwords go to PostgreSQL's programs by a file, never by an argument.
"""

import os
import shutil
import sqlite3
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Final
from urllib.parse import quote

from sqlalchemy import Connection, text
from sqlalchemy.engine import URL, make_url

from vault.errors import Conflict, IntegrityFailure, StoreFull, StoreUnavailable, UnsafeFile
from vault.store.engine import READING, open_engine, translate

Progress = Callable[[int, int], None]  # done, of; of the same unit, whatever that is

_PAGES: Final = 2048  # per step of the online backup: 8 MB
_PROGRAMS: Final = ("/usr/lib/postgresql", "/usr/pgsql")
_SIDES: Final = ("", "-wal", "-shm", "-journal")
_TABLES: Final = "SELECT count(*) FROM pg_tables WHERE schemaname NOT IN ('pg_catalog', 'information_schema')"
_OTHERS: Final = (
    "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
    " AND backend_type = 'client backend'"
)


def dump(url: str, file: Path, look: Callable[[Connection], None], progress: Progress) -> None:
    """Write the database at `url` into `file` (mode 0600, which must not exist), durably, and check that it is whole.

    `look` is called with a connection that sees what the file will hold. Raises StoreFull, StoreUnavailable,
    Conflict when the file exists, IntegrityFailure when what was written does not read back.
    """
    parsed = make_url(url)
    try:
        os.close(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
    except FileExistsError:
        raise Conflict("a file of this name exists") from None
    except OSError:
        raise StoreFull("the backup cannot be written") from None
    if parsed.get_backend_name() == "sqlite":
        _dump_sqlite(url, file, look, progress)
    else:
        _dump_postgresql(url, file, look)
    _sync(file)


def vacant(url: str) -> bool:
    """Whether nothing is there that bringing back a file could destroy."""
    parsed = make_url(url)
    if parsed.get_backend_name() == "sqlite":
        path = Path(parsed.database or "")
        return _blank(path) or not any(path.with_name(path.name + side).exists() for side in _SIDES)
    with _connected(url) as conn:
        return not conn.scalar(text(_TABLES))


def in_use(url: str) -> bool:
    """Whether another process has the database open now."""
    parsed = make_url(url)
    if parsed.get_backend_name() == "sqlite":
        path = Path(parsed.database or "")
        return path.exists() and _shared(path)
    with _connected(url) as conn:
        return bool(conn.scalar(text(_OTHERS)))


def load(file: Path, url: str, unique: str, prepare: Callable[[str], None], progress: Progress) -> None:
    """Bring a dump back into the vacant place at `url`: all of it or nothing.

    `prepare` is called with the address of the database before anybody can know it by its own name (SQLite), or at
    once after it appeared (PostgreSQL, which has no such place).
    """
    parsed = make_url(url)
    if parsed.get_backend_name() == "sqlite":
        _load_sqlite(file, Path(parsed.database or ""), unique, prepare, progress)
    else:
        _run("pg_restore", parsed, ("--single-transaction", "--exit-on-error", *_PLAIN, str(file)), name_database=True)
        prepare(url)


@contextmanager
def scratch(url: str, folder: Path, unique: str) -> Iterator[str]:
    """Give the address of a vacant place of the same engine, which is gone afterwards with all that came into it.

    SQLite: a file in `folder`. PostgreSQL: a database of its own on the same server, for which the role must have the
    right (raises StoreFull).
    """
    parsed = make_url(url)
    if parsed.get_backend_name() == "sqlite":
        path = folder / "scratch.db"
        try:
            yield f"sqlite:///{path}"
        finally:
            for side in _SIDES:
                path.with_name(path.name + side).unlink(missing_ok=True)
        return
    name = f"ecrin_drill_{unique}"
    engine = open_engine(url, pool_size=1)
    own = engine.execution_options(isolation_level="AUTOCOMMIT")
    try:
        with translate(), own.connect() as conn:
            conn.execute(text(f'CREATE DATABASE "{name}" TEMPLATE template0'))
        try:
            yield parsed.set(database=name).render_as_string(hide_password=False)
        finally:
            with translate(), own.connect() as conn:
                conn.execute(text("SET statement_timeout = 0"))
                conn.execute(text(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)'))
    finally:
        engine.dispose()


def set_aside(url: str, unique: str) -> str:
    """Take what is there out of the way, for whoever has said that it may go. Returns where it is now.

    Raises Conflict while anybody has it open: a process that goes on writing to it would lose what it acknowledges.
    """
    if in_use(url):
        raise Conflict("another process has the database open")
    parsed = make_url(url)
    if parsed.get_backend_name() == "sqlite":
        path = Path(parsed.database or "")
        aside = path.with_name(f"{path.name}.replaced-{unique}")
        path.rename(aside)  # `_shared` has folded its journal in
        return str(aside)
    schema = f"replaced_{unique}"
    with _connected(url) as conn:
        conn.execute(text(f'ALTER SCHEMA public RENAME TO "{schema}"'))
        conn.execute(text("CREATE SCHEMA public"))
        conn.commit()
    return schema


# SQLite


def _dump_sqlite(url: str, file: Path, look: Callable[[Connection], None], progress: Progress) -> None:
    engine = open_engine(url, pool_size=1)
    try:
        reader = engine.execution_options(**{READING: True})
        with translate(), reader.connect() as conn, conn.begin(), closing(_open(file)) as target:
            # The transaction is open and has read: the copy is of this moment, and a write elsewhere restarts nothing.
            look(conn)
            driver = conn.connection.driver_connection
            if not isinstance(driver, sqlite3.Connection):
                raise StoreUnavailable("database")
            driver.backup(target, pages=_PAGES, progress=lambda _, left, total: progress(total - left, total))
            target.execute("PRAGMA journal_mode = DELETE")  # one file, without side files
        _check_sqlite(file)
    finally:
        engine.dispose()


def _check_sqlite(file: Path) -> None:
    with translate(), closing(_open(file)) as db:
        if db.execute("PRAGMA integrity_check").fetchall() != [("ok",)]:
            raise IntegrityFailure(IntegrityFailure.code)
        if db.execute("PRAGMA foreign_key_check").fetchall():
            raise IntegrityFailure(IntegrityFailure.code)


def _load_sqlite(file: Path, path: Path, unique: str, prepare: Callable[[str], None], progress: Progress) -> None:
    unfinished = path.with_name(f"{path.name}.{unique}.unfinished")
    try:
        try:
            descriptor = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
            with file.open("rb") as source, open(descriptor, "wb") as target:  # noqa: PTH123 - made above with its mode
                total, done = file.stat().st_size, 0
                while piece := source.read(1 << 23):
                    target.write(piece)
                    done += len(piece)
                    progress(done, total)
            _check_sqlite(unfinished)
            prepare(f"sqlite:///{unfinished}")
            with translate(), closing(_open(unfinished)) as db:
                db.execute("PRAGMA journal_mode = DELETE")  # folds the journal of `prepare` in
            _sync(unfinished)
            if _blank(path) and not _shared(path):
                for side in _SIDES:
                    path.with_name(path.name + side).unlink(missing_ok=True)
            os.link(unfinished, path)  # never over anything
            _sync(path.parent)
        finally:
            for side in _SIDES:
                unfinished.with_name(unfinished.name + side).unlink(missing_ok=True)
    except FileExistsError:
        raise Conflict("there is a database already") from None
    except OSError:
        raise StoreFull("the database cannot be written") from None


def _blank(path: Path) -> bool:
    """Whether a file is there that holds no table: what looking for a lost database leaves in its place."""
    if not path.exists():
        return False
    try:
        with closing(_open(path)) as db:
            tables: tuple[int] = db.execute("SELECT count(*) FROM sqlite_schema").fetchone()
            return tables == (0,)
    except sqlite3.Error:
        return False


def _shared(path: Path) -> bool:
    """Whether another connection is open: leaving write-ahead logging takes the file for oneself, or fails."""
    with translate(), closing(_open(path)) as db:
        try:
            alone = db.execute("PRAGMA journal_mode = DELETE").fetchone() == ("delete",)
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & 0xFF not in {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}:
                raise
            return True
        if alone:
            db.execute("PRAGMA journal_mode = WAL")
            db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        return not alone


def _open(file: Path) -> sqlite3.Connection:
    db = sqlite3.connect(f"file:{quote(str(file))}?mode=rw", uri=True, timeout=1, isolation_level=None)
    db.execute("PRAGMA trusted_schema = OFF")
    db.execute("PRAGMA cell_size_check = ON")
    return db


# PostgreSQL

# Owners and rights are those of whoever brings it back.
_PLAIN: Final = ("--no-owner", "--no-privileges", "--no-password")


def _dump_postgresql(url: str, file: Path, look: Callable[[Connection], None]) -> None:
    parsed = make_url(url)
    engine = open_engine(url, pool_size=1)
    try:
        own = engine.execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True)
        with translate(), own.connect() as conn, conn.begin():
            # The snapshot must stand as long as pg_dump reads, however long that is.
            conn.execute(text("SET LOCAL statement_timeout = 0"))
            conn.execute(text("SET LOCAL idle_in_transaction_session_timeout = 0"))
            snapshot = conn.scalar(text("SELECT pg_export_snapshot()"))
            look(conn)
            options = ("--format=custom", f"--snapshot={snapshot}", f"--file={file}", *_PLAIN)
            _run("pg_dump", parsed, options, name_database=True)
    finally:
        engine.dispose()
    # Reads and unpacks every block of the archive, which `--list` would not.
    _run("pg_restore", parsed, ("--file=/dev/null", str(file)), name_database=False)


def _run(program: str, url: URL, options: tuple[str, ...], *, name_database: bool) -> None:
    """Run one of PostgreSQL's programs. What it prints may hold rows, so nothing of that is passed on."""
    with invocation(program, url, options, name_database=name_database) as (command, environment):
        try:
            done = subprocess.run(  # noqa: S603 - a fixed program, no shell
                command, check=False, stdin=subprocess.DEVNULL, capture_output=True, env=environment
            )
        except OSError:
            raise StoreUnavailable(f"{program} cannot be run") from None
    if done.returncode:
        raise StoreUnavailable(f"{program} ended with {done.returncode}")


@contextmanager
def invocation(
    program: str, url: URL, options: tuple[str, ...], *, name_database: bool
) -> Iterator[tuple[list[str], dict[str, str]]]:
    """Give the command and the environment that call a program for the database at `url`.

    The password is in neither: it is in a file of mode 0600 that is gone afterwards.
    """
    with tempfile.TemporaryDirectory(prefix="ecrin-") as folder:
        environment = {"PATH": os.defpath, "LC_ALL": "C", "PGAPPNAME": "ecrin-backup", "PGCONNECT_TIMEOUT": "10"}
        if url.password is not None:
            secret = Path(folder) / "pgpass"
            descriptor = os.open(secret, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
            with open(descriptor, "w", encoding="utf-8") as file:  # noqa: PTH123 - made above with its mode
                file.write(f"*:*:*:*:{_escaped(str(url.password))}\n")
            environment["PGPASSFILE"] = str(secret)
        bare = URL.create("postgresql", url.username, None, url.host, url.port, url.database, url.query)
        address = bare.render_as_string(hide_password=False)  # there is none: `URL.set(password=None)` would keep it
        yield [_program(program), *([f"--dbname={address}"] if name_database else []), *options], environment


def _program(name: str) -> str:
    """Find the newest of a program: an older one refuses a newer server."""
    folders: list[Path] = []
    for start in _PROGRAMS:
        folders += sorted(Path(start).parent.glob(f"{Path(start).name}*/**/bin"), key=_version, reverse=True)
    for folder in folders:
        if (folder / name).exists():
            return str(folder / name)
    found = shutil.which(name)
    if found is None:
        raise StoreUnavailable(f"{name} is not installed")
    return found


def _version(folder: Path) -> int:
    digits = "".join(filter(str.isdigit, folder.parent.name))
    return int(digits) if digits else 0


def _escaped(password: str) -> str:
    if "\n" in password:
        raise UnsafeFile("the database password has more than one line")
    return password.replace("\\", "\\\\").replace(":", "\\:")


@contextmanager
def _connected(url: str) -> Iterator[Connection]:
    engine = open_engine(url, pool_size=1)
    try:
        with translate(), engine.connect() as conn:
            yield conn
    finally:
        engine.dispose()


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    except OSError:
        raise StoreFull("the backup cannot be written") from None
    finally:
        os.close(descriptor)
