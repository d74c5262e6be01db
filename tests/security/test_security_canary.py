"""The canary hunt: unique values pushed through every path of a real server, then looked for everywhere else.

Searched: the server's output at its most talkative, every file it left (database, write-ahead log, keystore,
checkpoint, temporary files), PostgreSQL's whole data folder and its log with statement logging on, every row of every
table, every answer that is not there to give values back, every header, every error the client raised, and what
`ecrin doctor` and `ecrin audit verify` print. The intended answers are the positive control: the values were there.
"""

import base64
import json
import os
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import time
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from urllib.request import urlopen

import httpx2
import psycopg
import pytest
from canary_hunter import ACCENTED, AMOUNT, CLEAR, DAY, DIGITS, HIDDEN, WORD, Hunter, spellings, word
from canary_paths import SCOPES, Prey
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from sqlalchemy import create_engine, inspect, text
from throwaway_postgres import PostgresUnavailable, ThrowawayPostgres

from api import bootstrap, founders
from api.client.identity import Identity
from api.settings import child_environment, load
from audit.entry import Act, Actor, ActorKind, Entry, Outcome
from vault import officers, systems
from vault.keys.pagetree import Geometry
from vault.officers import Role
from vault.runtime import SystemClock, SystemEntropy
from vault.setup import initialise
from vault.systems import NewSystem

pytestmark = [pytest.mark.server, pytest.mark.xdist_group("canary")]

BRAND, SYSTEM = "aurelle", "aurelle-pos"
OFFICERS = {"o.desk": Role.OPERATOR, "a.moreau": Role.APPROVER}
PASSWORD = "seven lamps by the quay"
PROJECT = Path(__file__).parents[2]
LOUD = {
    "log_statement": "all",
    "log_parameter_max_length": "-1",
    "log_parameter_max_length_on_error": "-1",
    "log_error_verbosity": "verbose",
    "log_min_error_statement": "error",
}


@dataclass
class Hunt:
    """One whole hunt: what was done, and every place that was looked at."""

    settings: object
    folder: Path
    prey: Prey
    cluster: ThrowawayPostgres | None
    hits: list = field(default_factory=list)
    clear_hits: list = field(default_factory=list)  # of consent codes, outside the database
    hunter: Hunter = field(default_factory=Hunter)
    clear_hunter: Hunter = field(default_factory=lambda: Hunter((CLEAR,)))
    outputs: dict = field(default_factory=dict)

    def look(self, things):
        things = list(things)
        self.hits += self.hunter.hunt(things)
        self.clear_hits += self.clear_hunter.hunt(things)

    def tables(self):
        """Every column of every row, a text per table: files show a long value in pieces, or compressed."""
        engine = create_engine(bootstrap.place_of(self.settings).database, hide_parameters=True)
        with engine.connect() as conn:
            for table in inspect(conn).get_table_names():
                rows = conn.execute(text(f'SELECT * FROM "{table}"'))  # noqa: S608
                yield table, b"\n".join(b"|".join(map(_bytes, row)) for row in rows)
        engine.dispose()


def _bytes(value):
    return bytes(value) if isinstance(value, bytes | memoryview) else str(value).encode()


def _free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def _prepare(folder, database):
    port = _free_port()
    chosen = {"data_dir": folder / "data", "log_level": "debug", "deployment": "ecrin-hunt", "port": port}
    chosen |= {"public_url": f"http://127.0.0.1:{port}", "checkpoint_file": folder / "outside" / "checkpoint"}
    settings = load(chosen | ({"database_url": database} if database else {}))
    (folder / "outside").mkdir()
    (folder / "tmp").mkdir()
    settings.data_dir.mkdir(mode=0o700)
    shape = Geometry(fanout=30, depth=3)  # a keystore of half a megabyte instead of sixty
    initialise(
        bootstrap.place_of(settings),
        settings.deployment,
        clock=SystemClock(),
        entropy=SystemEntropy(),
        geometry=shape,
        origin=settings.log_origin,
    )
    founders.found(settings)
    pem = generate_private_key(SECP256R1()).private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    identity = Identity.load(SYSTEM, pem)
    vault = bootstrap.open_from(settings)
    purposes = tuple(each.key for each in vault.bundle.purposes.every if each.key != "break_glass")
    with vault.unit() as uow:
        for officer, role in OFFICERS.items():
            officers.add(uow, officer, role, PASSWORD, Actor(ActorKind.OFFICER, "operator-1"))
        new = NewSystem(SYSTEM, BRAND, SYSTEM, identity.registration(), SCOPES, frozenset(purposes))
        systems.register(uow, new, Actor(ActorKind.OFFICER, "operator-1"))
        uow.commit()
    vault.close()
    return settings, Prey(settings.public_url, identity, vault.bundle.catalogue, purposes)


def _ecrin(hunt, *arguments, meant=False):
    environment = child_environment(hunt.settings) | {"TMPDIR": str(hunt.folder / "tmp"), "COLUMNS": "500"}
    done = subprocess.run(
        [sys.executable, "-m", "api.cli.main", *arguments],
        env=environment,
        capture_output=True,
        check=False,
        cwd=PROJECT,
    )
    hunt.outputs[" ".join(arguments[:2])] = done
    hunt.look([(f"ecrin {arguments[0]}", b"" if meant else done.stdout), (f"ecrin {arguments[0]}", done.stderr)])
    return done


def _emergency(hunt):
    """An officer asks for fields of the one person, another vouches, and the first sees them: on the terminal alone."""
    desk = hunt.folder.with_name(f"{hunt.folder.name}-desk")  # what an officer writes is not the vault's
    desk.mkdir()
    (desk / "reason").write_text(f"Found unconscious: {word()} {ACCENTED}\n")
    (desk / "whom").write_text(hunt.prey.reference)
    first, second = (("--officer", each, "--key", str(_enrolled(hunt, desk, each))) for each in OFFICERS)
    fields = ("name:raw", "phone:raw", "allergies:raw")
    files = ("--reference-file", str(desk / "whom"), "--reason-file", str(desk / "reason"))
    asked = ("ask", *fields, "--brand", BRAND, *files)
    made = _ecrin(hunt, "break-glass", *asked, *first, "--json")
    assert made.returncode == 0, made.stderr
    case = json.loads(made.stdout)["case"]
    assert _ecrin(hunt, "break-glass", "show", case, *second, meant=True).returncode == 0
    assert _ecrin(hunt, "break-glass", "approve", case, *second).returncode == 0
    assert _ecrin(hunt, "break-glass", "disclose", case, *first, "--json", meant=True).returncode == 0


def _enrolled(hunt, desk, officer):
    """Draw an officer's key at the desk and register its public half, as an operator does. Returns the private file."""
    key = Ed25519PrivateKey.generate()
    private, public = desk / f"{officer}.key", desk / f"{officer}.pub"
    private.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    private.chmod(0o600)
    public.write_bytes(key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
    done = _ecrin(hunt, "officer", "key", officer, str(public))
    assert done.returncode == 0, done.stderr
    return private


def _serve(hunt):
    environment = child_environment(hunt.settings) | {"TMPDIR": str(hunt.folder / "tmp")}
    command = [sys.executable, "-X", "faulthandler", "-m", "api.cli.main", "serve"]
    with (hunt.folder / "server.log").open("ab") as log:
        process = subprocess.Popen(command, env=environment, stdout=log, stderr=log, cwd=PROJECT)
    deadline = time.monotonic() + 120
    while True:
        try:
            with urlopen(f"{hunt.settings.public_url}/readyz", timeout=1):  # noqa: S310 - our own loopback address
                return process
        except OSError:
            assert process.poll() is None, (hunt.folder / "server.log").read_text()
            assert time.monotonic() < deadline
            time.sleep(0.05)


class Hunts:
    """One hunt per engine for the whole module, in whatever order its tests run."""

    def __init__(self, folder, stack):
        self._folder, self._stack, self._done = folder, stack, {}

    def on(self, backend):
        if backend not in self._done:
            self._done[backend] = self._sqlite() if backend == "sqlite" else self._postgresql()
        return self._done[backend]

    def _sqlite(self):
        return _whole(self._folder("hunt"), None, None)

    def _postgresql(self):
        cluster = self._stack.enter_context(ThrowawayPostgres())
        with psycopg.connect(cluster.url().replace("+psycopg", ""), autocommit=True) as conn:
            conn.execute("CREATE DATABASE hunted")
            for name, value in LOUD.items():
                # Set on the database it outranks the quiet settings that the cluster was started with.
                conn.execute(f"ALTER DATABASE hunted SET {name} = '{value}'")
        return _whole(self._folder("hunt"), cluster.url("hunted"), cluster)


@pytest.fixture(scope="module")
def hunts(tmp_path_factory):
    with ExitStack() as stack:
        yield Hunts(tmp_path_factory.mktemp, stack)


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgresql)])
def hunt(request, hunts):
    """What came of the hunt on each engine in turn."""
    try:
        return hunts.on(request.param)
    except PostgresUnavailable as reason:
        if os.environ.get("CI"):
            pytest.fail(f"CI must have PostgreSQL: {reason}", pytrace=False)
        pytest.skip(f"*** NOT TESTED ON POSTGRESQL *** {reason}")


def _whole(folder, database, cluster):
    settings, prey = _prepare(folder, database)
    hunt = Hunt(settings, folder, prey, cluster)
    process = _serve(hunt)
    try:
        prey.run()
        _emergency(hunt)
        time.sleep(1.2)  # one more checkpoint
        # While it runs: the write-ahead log is full and shared memory is mapped.
        hunt.hits += hunt.hunter.folder(folder)
        tables = list(hunt.tables())
        hunt.hits += hunt.hunter.hunt(tables)
        hunt.clear_hits += hunt.clear_hunter.hunt(each for each in tables if each[0] != "consent_event")
        _ecrin(hunt, "doctor")
        _ecrin(hunt, "audit", "verify")
        for path in ("/audit/checkpoint", "/audit/keys", "/readyz"):
            answer = httpx2.get(settings.public_url + path)
            hunt.look([(path, answer.content), (path, repr(answer.headers.raw))])
    finally:
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) in {0, -signal.SIGTERM}
    for each in prey.recorder.exchanges:
        hunt.look([(f"headers of {each.label}", each.headers)])
        if not each.meant:
            hunt.look([(f"{each.status} {each.label}", each.body)])
    hunt.look(("client", f"{each!r} {each} {getattr(each, 'fields', '')}") for each in prey.errors)
    hunt.look([("server log", (folder / "server.log").read_bytes())])
    hunt.hits += hunt.hunter.folder(folder)
    if cluster is not None:
        with psycopg.connect(cluster.url("hunted").replace("+psycopg", ""), autocommit=True) as conn:
            conn.execute("CHECKPOINT")
        cluster.stop(signal.SIGINT)  # all of it is on disk now, and the WAL that led there still is
        hunt.hits += hunt.hunter.folder(cluster.home)
        hunt.outputs["postgresql"] = cluster.log.read_bytes()
        cluster.start()
    return hunt


def test_no_canary_is_outside_the_intended_answers(hunt):
    assert hunt.hits == []
    assert hunt.hunter.searched > 3_000_000  # bytes


def test_no_consent_code_is_outside_the_consent_records(hunt):
    assert hunt.clear_hits == []
    assert dict(hunt.tables())["consent_event"].count(CLEAR.encode()) >= 4


def test_the_canaries_were_there(hunt):
    """Without this, silence would prove nothing: what may give values back gave back each kind of them."""
    meant = b"".join(each.body for each in hunt.prey.recorder.exchanges if each.meant)
    for core in (WORD, ACCENTED, AMOUNT, DAY):
        assert core.encode() in meant, core
    assert DIGITS.encode() in meant
    seen = json.dumps(json.loads(hunt.outputs["break-glass disclose"].stdout), ensure_ascii=False)
    assert all(core in seen for core in (WORD, ACCENTED, DIGITS))
    statuses = {each.status for each in hunt.prey.recorder.exchanges}
    assert {200, 201, 400, 401, 403, 404, 405, 412, 413, 415, 422} <= statuses
    assert not {status for status in statuses if status >= 500}, sorted(
        {(each.label, each.body) for each in hunt.prey.recorder.exchanges if each.status >= 500}
    )
    assert len(hunt.prey.recorder.exchanges) > 500
    assert len(hunt.prey.errors) > 100


def test_the_places_that_were_searched_are_the_right_ones(hunt):
    """A server that logs elsewhere, or a log that says nothing, would pass as clean."""
    log = (hunt.folder / "server.log").read_text()
    assert log.count("http.request") > 500
    assert "/v1/disclosures" in log
    assert hunt.outputs["doctor"].returncode == 0
    assert b"verified" in hunt.outputs["audit verify"].stdout
    assert (hunt.folder / "outside" / "checkpoint").read_text().startswith("ecrin-hunt/audit\n")
    if hunt.cluster is None:
        assert (hunt.folder / "data" / "ecrin.db").stat().st_size > 100_000
    else:
        assert hunt.outputs["postgresql"].count(b"INSERT INTO") > 100  # statement logging was on
        assert b"arameters: $1" in hunt.outputs["postgresql"] or b"DETAIL" in hunt.outputs["postgresql"]


# --- the hunter finds what is there


def test_each_spelling_of_a_planted_canary_is_found(tmp_path):
    for number, core in enumerate(HIDDEN):
        planted = [
            f"name={core}".encode(),
            core.upper().encode(),
            f"Madame {core.capitalize()}".encode("utf-16"),
            base64.b64encode(f"x{core}y".encode()),
            base64.b64encode(f"xy{core}".encode()),
            base64.urlsafe_b64encode(f"{core}zz".encode()),
            f"prefix {core}".encode().hex().encode(),
            "".join(f"%{byte:02X}" for byte in core.encode()).encode(),
            f'{{"a": "\\u{ord(core[0]):04x}'.encode() + "".join(f"\\u{ord(c):04x}" for c in core[1:]).encode(),
        ]
        for place, content in enumerate(planted):
            folder = tmp_path / f"{number}-{place}"
            folder.mkdir()
            (folder / "file-wal").write_bytes(bytes(5000) + content + bytes(5000))
            assert Hunter().folder(folder), content
    assert not Hunter().hunt([("honest", b"Apolline Rousselin +33 6 39 98 12 34 1984-05-17")])
    assert len(spellings(WORD)) > 20


def test_a_name_of_a_file_is_searched(tmp_path):
    (tmp_path / f"core.{word()}").touch()
    assert Hunter().folder(tmp_path)


def test_a_leaking_entry_is_caught(vault, databases, tmp_path):
    """A mutant that writes what was searched for where the names of the fields belong."""
    with vault.unit() as uow:
        leak = Entry(Act.SUBJECT_SEARCHED, Outcome.ALLOW, Actor(ActorKind.SYSTEM, word("p-")), ("phone",))
        uow.record(leak)
        uow.commit()
    with vault.reading() as conn:
        bodies = [("log_entry", bytes(each)) for each in conn.scalars(text("SELECT body FROM log_entry"))]
    assert Hunter().hunt(bodies)
    if databases.backend == "sqlite":
        assert Hunter().folder(tmp_path)


def test_a_deleted_value_is_found_where_deletion_does_not_overwrite(tmp_path):
    """What the hunt would see if a value ever passed through a table in clear, even for a moment."""
    path = tmp_path / "careless.db"
    with sqlite3.connect(path) as db:
        db.execute("PRAGMA secure_delete = OFF")
        db.execute("CREATE TABLE t (v)")
        db.execute("INSERT INTO t VALUES (?)", (word() * 20,))
        db.commit()
        db.execute("DELETE FROM t")
    db.close()
    assert Hunter().folder(tmp_path)
    shutil.rmtree(tmp_path)
