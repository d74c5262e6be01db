"""A PostgreSQL cluster for one test session: own data directory, Unix socket only, durable settings, gone afterwards.

The server refuses to run as root, so under root it runs as an unprivileged account. It is a direct child of the test
process and is told by the kernel when that process dies: a killed session leaves no server behind.
"""

import contextlib
import ctypes
import getpass
import os
import pwd
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import psycopg
from psycopg import sql

ACCOUNTS = ("postgres", "nobody")
SUPERUSER = "ecrin"
START_SECONDS = 60

SETTINGS = {
    "listen_addresses": "",
    "fsync": "on",
    "full_page_writes": "on",
    "synchronous_commit": "on",
    "shared_buffers": "32MB",
    "max_connections": "80",
    "max_wal_size": "256MB",
    "log_error_verbosity": "terse",
    "log_parameter_max_length": "0",
    "log_parameter_max_length_on_error": "0",
    "log_min_error_statement": "panic",
}


class PostgresUnavailable(Exception):
    """This machine cannot run a throw-away cluster; says why."""


class ThrowawayPostgres:
    """Context manager: starts the cluster, gives URLs, stops and removes it.

    With a `base`, a base backup, it is that cluster as it was then, brought back beside it.
    """

    def __init__(self, base=None, **settings):
        self.settings = {**SETTINGS, **settings}
        self.base = base
        self.binaries = _binaries()
        self.account = _account()
        self.home = None
        self.server = None

    def __enter__(self):
        self.home = Path(tempfile.mkdtemp(prefix="ecrin-pg-"))
        try:
            if self.account:
                os.chown(self.home, self.account.pw_uid, self.account.pw_gid)
            if self.base:
                self.base.rename(self.data)
            else:
                self._run("initdb", "-D", self.data, "-A", "trust", "-U", SUPERUSER, "-E", "UTF8", "--locale=C", "-N")
            self.start()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        self.stop(signal.SIGQUIT)
        if self.home:
            shutil.rmtree(self.home, ignore_errors=True)

    @property
    def data(self):
        return self.home / "data"

    @property
    def log(self):
        return self.home / "log"

    def start(self):
        """Start the server and wait until it answers."""
        settings = [part for name, value in self.settings.items() for part in ("-c", f"{name}={value}")]
        with self.log.open("ab") as log:
            self.server = subprocess.Popen(
                [self.binaries / "postgres", "-D", self.data, "-k", self.home, *settings],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=self.home,
                env=_environment(),
                start_new_session=True,  # Ctrl-C in the terminal is for the tests, which then stop the server
                preexec_fn=_die_with_parent,  # noqa: PLW1509 - one system call between fork and exec, no lock taken
                **self._identity(),
            )
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline:
            with contextlib.suppress(psycopg.OperationalError):
                psycopg.connect(self.url().replace("+psycopg", "")).close()
                return
            if self.server.poll() is not None:
                break
            time.sleep(0.05)
        raise PostgresUnavailable(self.log.read_text(errors="replace")[-2000:])

    def stop(self, how=signal.SIGINT):
        """SIGINT: roll back sessions and stop; SIGQUIT: stop at once, as after a power cut; SIGKILL: even sooner."""
        if self.server and self.server.poll() is None:
            self.server.send_signal(how)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.server.wait(20)
            if self.server.poll() is None:
                self.server.kill()
                self.server.wait()
        self.server = None

    def url(self, database="postgres"):
        """Address of one database on this cluster."""
        return f"postgresql+psycopg://{SUPERUSER}@/{database}?host={self.home}"

    def back_up(self, name):
        """Take a base backup of the running cluster, as the operator's page says, and verify it. Returns its folder."""
        folder = self.home / name
        self._run("pg_basebackup", "-h", self.home, "-U", SUPERUSER, "-D", folder, "--checkpoint=fast")
        self._run("pg_verifybackup", folder)
        return folder

    def make(self, database):
        """Make an empty database."""
        self._maintain("CREATE DATABASE {}", database)

    def drop(self, database):
        """Drop a database, whoever is connected."""
        self._maintain("DROP DATABASE IF EXISTS {} WITH (FORCE)", database)

    def _maintain(self, statement, database):
        with psycopg.connect(self.url().replace("+psycopg", ""), autocommit=True) as conn:
            conn.execute(sql.SQL(statement).format(sql.Identifier(database)))

    def _run(self, program, *arguments):
        done = subprocess.run(
            [self.binaries / program, *arguments],
            check=False,
            capture_output=True,
            cwd=self.home,
            env=_environment(),
            **self._identity(),
        )
        if done.returncode:
            raise PostgresUnavailable(done.stderr.decode(errors="replace")[-2000:])

    def _identity(self):
        if not self.account:
            return {}
        return {"user": self.account.pw_uid, "group": self.account.pw_gid, "extra_groups": []}


def _binaries():
    found = [Path(path).resolve().parent for path in [shutil.which("initdb")] if path]
    found += sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: int(path.parent.name), reverse=True)
    found += sorted(Path("/usr").glob("pgsql-*/bin"), reverse=True)
    for folder in found:
        if (folder / "initdb").exists() and (folder / "postgres").exists():
            return folder
    raise PostgresUnavailable("no PostgreSQL server programs (initdb, postgres) on this machine")


def _account():
    if os.geteuid() != 0:
        return None
    for name in ACCOUNTS:
        with contextlib.suppress(KeyError):
            return pwd.getpwnam(name)
    raise PostgresUnavailable("running as root, and there is no unprivileged account to run the server as")


def _environment():
    return {"PATH": os.defpath, "LC_ALL": "C", "TZ": "UTC", "HOME": tempfile.gettempdir(), "USER": getpass.getuser()}


def _die_with_parent():
    if sys.platform == "linux":
        pr_set_pdeathsig = 1
        ctypes.CDLL(None).prctl(pr_set_pdeathsig, signal.SIGQUIT)
