"""Real parts for every test: SQLite files, a PostgreSQL cluster, a keystore; and a clock the test turns by hand.

`database_url` gives an empty database at the newest migration, on each engine in turn. `vault` gives a whole vault on
it. Both are cut from templates made once per session, so that a fresh one costs milliseconds.
"""

import itertools
import os
import shutil
import tempfile
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psycopg
import pytest
from argon2 import PasswordHasher
from psycopg import sql
from sqlalchemy import Engine, event
from sqlalchemy.engine import make_url
from sqlalchemy.util import LRUCache
from throwaway_postgres import PostgresUnavailable, ThrowawayPostgres
from throwaway_token import ThrowawayToken, TokenUnavailable

ROOM = 4 << 30  # bytes that a session needs at most


def _in_memory():
    """Have temporary files in memory where there is room: a database made and dropped on a disk costs ten times more.

    What is synced to a disk is not what differs: a test kills processes, and can cut no power.
    """
    place = Path("/dev/shm")  # noqa: S108 - what is made in it is made by tempfile
    if "TMPDIR" in os.environ or not place.is_dir():
        return
    about = os.statvfs(place)
    if about.f_bavail * about.f_frsize >= ROOM and not about.f_flag & os.ST_NOEXEC:
        os.environ["TMPDIR"] = str(place)
        tempfile.tempdir = None


_in_memory()

# Where it is set, every process that a test starts would compile the whole system anew.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)

BACKENDS = ("sqlite", pytest.param("postgresql", marks=pytest.mark.postgresql))
DEPLOYMENT = "ecrin-test"
START = 1_790_000_000  # 2026-09-21
ROOTS = "roots"


class Compiled(LRUCache):
    """Statements compiled once per session and not once per engine: a fifth of the suite's time went there.

    A key begins with the engine's dialect; all engines of one backend are made alike (`vault.store.engine`).
    """

    def get(self, key, default=None):
        return super().get(key[1:], default)

    def __setitem__(self, key, value):
        super().__setitem__(key[1:], value)


_compiled = {"sqlite": Compiled(2000), "postgresql": Compiled(2000)}


@event.listens_for(Engine, "engine_connect")
def _share_compiled(conn):
    engine = conn.engine
    if "compiled_cache" not in engine.get_execution_options():
        engine.update_execution_options(compiled_cache=_compiled[engine.dialect.name])


@dataclass
class HandClock:
    """Stands still until turned."""

    seconds: int = START

    def now(self):
        return self.seconds

    def advance(self, seconds):
        self.seconds += seconds


class CountedEntropy:
    """Bytes that never repeat and are the same in each run; for tests alone."""

    def __init__(self, seed=0):
        self._state = seed.to_bytes(8)
        self._count = itertools.count()

    def bytes(self, count):
        import hashlib

        return hashlib.shake_256(self._state + next(self._count).to_bytes(8)).digest(count)


def pytest_collection_finish(session):
    """Find out where groups are not kept together: nothing else would say so but tests that disturb each other."""
    grouped = [each for each in session.items if each.get_closest_marker("xdist_group")]
    if getattr(session.config.option, "loadgroup", False) and not all("@" in each.nodeid for each in grouped):
        pytest.exit("pytest-xdist keeps no groups together with this pytest", returncode=3)


@pytest.fixture(scope="session", autouse=True)
def hasher():
    """The hasher of officers' passwords, which is replaced by one that costs nothing; for a test that is about it."""
    from vault import officers

    real = officers._HASHER
    officers._HASHER = PasswordHasher(time_cost=1, memory_cost=64, parallelism=1)
    return real


@pytest.fixture
def clock():
    return HandClock()


@pytest.fixture
def entropy():
    return CountedEntropy()


@pytest.fixture(scope="session")
def postgres():
    """The session's throw-away cluster."""
    yield from _cluster()


@pytest.fixture(scope="session")
def second_postgres():
    """A cluster beside it, as a keystore has one of its own."""
    yield from _cluster()


def _cluster():
    try:
        cluster = ThrowawayPostgres()
        cluster.__enter__()
    except PostgresUnavailable as reason:
        if os.environ.get("CI"):
            pytest.fail(f"CI must have PostgreSQL: {reason}", pytrace=False)
        pytest.skip(f"*** NOT TESTED ON POSTGRESQL *** {reason}")
    yield cluster
    cluster.__exit__(None, None, None)


@pytest.fixture(scope="session")
def postgres_url(postgres):
    """Address of the cluster's maintenance database."""
    return postgres.url()


@pytest.fixture
def empty_base(second_postgres):
    """Makes empty databases in the second cluster, by name; the same name gives the same one."""
    made = {}

    def make(name="keys"):
        if name not in made:
            made[name] = f"k{next(_numbers)}"
            second_postgres.make(made[name])
        return make_url(second_postgres.url(made[name]))

    yield make
    for each in made.values():
        second_postgres.drop(each)


@pytest.fixture(scope="session")
def hsm(tmp_path_factory):
    """The session's token."""
    try:
        return ThrowawayToken(tmp_path_factory.mktemp("hsm"))
    except TokenUnavailable as reason:
        if os.environ.get("CI"):
            pytest.fail(f"CI must have SoftHSM2: {reason}", pytrace=False)
        pytest.skip(f"*** NOT TESTED ON AN HSM *** {reason}")


@dataclass(frozen=True)
class Databases:
    """Fresh databases of one engine, cut from named templates."""

    backend: str
    folder: Path
    postgres: ThrowawayPostgres | None
    serial: int

    def template(self, name, fill):
        """Make the template `name` by calling `fill(url)`, unless this session has it already."""
        if self.backend == "sqlite":
            path = self.folder / f"{name}.sqlite"
            if not path.exists():
                fill(f"sqlite:///{path}")
        else:
            name = self._own(name)
            with self._maintenance() as conn:
                known = conn.execute("SELECT 1 FROM pg_database WHERE datname = %s", (name,)).fetchone()
                if not known:
                    conn.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
            if not known:
                fill(self.postgres.url(name))

    def cut(self, name, folder):
        """A fresh copy of the template: its address, and how to drop it."""
        if self.backend == "sqlite":
            path = folder / f"{name}.sqlite"
            shutil.copyfile(self.folder / f"{name}.sqlite", path)
            return f"sqlite:///{path}", lambda: None
        fresh = f"t{next(_numbers)}"
        with self._maintenance() as conn:
            statement = sql.SQL("CREATE DATABASE {} TEMPLATE {}")
            conn.execute(statement.format(sql.Identifier(fresh), sql.Identifier(self._own(name))))
        return self.postgres.url(fresh), lambda: self._drop(fresh)

    def _own(self, name):
        # A template database goes with the files in this folder, such as its keystore; never with another one's.
        return f"{name}_{self.serial}"

    def _drop(self, name):
        self.postgres.drop(name)

    def _maintenance(self):
        return psycopg.connect(self.postgres.url().replace("+psycopg", ""), autocommit=True)


_numbers = itertools.count()


@pytest.fixture(scope="session", params=BACKENDS)
def databases(request, tmp_path_factory):
    """Databases of each engine in turn; whatever asks for a database runs once per engine."""
    cluster = request.getfixturevalue("postgres") if request.param == "postgresql" else None
    return Databases(request.param, tmp_path_factory.mktemp("templates"), cluster, next(_numbers))


@pytest.fixture
def database_url(databases, tmp_path):
    """An empty database at the newest migration."""
    from vault.store.schema import migrate

    databases.template("migrated", migrate)
    url, drop = databases.cut("migrated", tmp_path)
    yield url
    drop()


@pytest.fixture(scope="session")
def bundle():
    """The policy bundle that ships with the project."""
    from policies.bundle import parse_bundle

    folder = Path(__file__).parents[1] / "policies" / "bundles" / "maisons"
    files = {
        path.relative_to(folder).as_posix(): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()
    }
    return parse_bundle("maisons", files)


@pytest.fixture
def root_folder(tmp_path):
    """Where the test's own roots are, or will be."""
    return tmp_path / ROOTS


@pytest.fixture
def places(databases):
    """Makes a deployment of its own in an empty folder, for as long as the context lasts."""
    from vault.keys.local import KeyFileProvider
    from vault.keys.pagetree import Geometry
    from vault.runtime import SystemEntropy
    from vault.setup import Place, initialise

    keystore, roots = databases.folder / "template.keystore", databases.folder / "template.roots"

    def fill(url):
        template = Place(url, keystore, KeyFileProvider(roots, SystemEntropy()))
        shape = Geometry(fanout=16, depth=3)
        initialise(template, DEPLOYMENT, clock=HandClock(), entropy=SystemEntropy(), geometry=shape)

    @contextmanager
    def cut(folder):
        databases.template("initialised", fill)
        url, drop = databases.cut("initialised", folder)
        mine = Place(url, folder / "vault.keystore", KeyFileProvider(folder / ROOTS, SystemEntropy()))
        shutil.copy(keystore, mine.keystore)
        shutil.copytree(roots, folder / ROOTS)
        try:
            yield mine
        finally:
            drop()

    return cut


@pytest.fixture
def place(places, tmp_path):
    """An initialised deployment of its own: database, keystore and roots, which it may destroy."""
    with places(tmp_path) as mine:
        yield mine


@pytest.fixture
def opening(place, clock):
    """Open a vault on the test's deployment, again for each restart or second process the test plays.

    Without a bundle the vault decides nothing: enough for tests of the store alone.
    """
    from vault.runtime import SystemEntropy
    from vault.setup import open_vault

    opened = []

    def opener(bundle=None, **options):
        opened.append(open_vault(place, bundle, clock=clock, entropy=SystemEntropy(), **options))
        return opened[-1]

    yield opener
    for each in opened:
        each.close()


@pytest.fixture
def vault(opening, bundle):
    """A whole vault on real parts, on each engine in turn."""
    return opening(bundle)


@pytest.fixture
def store(opening):
    """The same without policies."""
    return opening()
