"""A host in a folder: key holder and service as real processes of an unprivileged account, as an operator runs them."""

import contextlib
import os
import resource
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from urllib.error import HTTPError, URLError
from urllib.request import urlopen

from throwaway_postgres import _account as unprivileged_account

from api import founders, roots
from api.settings import load
from vault.keys.home import holds_keystore
from vault.keys.keyd.client import KeydClient
from vault.keys.keystore import Geometry, create_keystore
from vault.runtime import SystemClock, SystemEntropy
from vault.setup import Place, initialise

ROOT = Path(__file__).parents[1]
DEPLOYMENT = "keyd-host"
START_SECONDS = 300
PYTHON = [sys.executable, "-X", "faulthandler"]  # the holder has to turn it off by itself


class RecordedEntropy:
    """Remembers every key that was drawn: the sentinels to look for."""

    def __init__(self):
        self.keys = []

    def bytes(self, count):
        drawn = SystemEntropy().bytes(count)
        if count % 32 == 0:
            self.keys += [drawn[at : at + 32] for at in range(0, count, 32)]
        return drawn


class Host:
    """Context manager: a folder with an initialised deployment, and processes on it that go with it."""

    def __init__(self, *, geometry=Geometry(16, 3), provider=roots.provider_of, **settings):  # noqa: B008 - frozen
        self.folder = Path(tempfile.mkdtemp(prefix="ecrin-host-"))
        self.socket = self.folder / "keyd.sock"
        self.port = _free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.lines = self.folder / "lines"
        self.entropy = RecordedEntropy()
        self.running = []
        self.copies = [self.folder / "one", self.folder / "two"]
        self._geometry = geometry
        self._provider_of = provider
        self._settings = {
            "deployment": DEPLOYMENT,
            "data_dir": self.folder / "data",
            "port": self.port,
            "public_url": self.url,
            "keystore_copies": ",".join(map(str, self.copies)),
            **settings,
        }
        self._prefix, self._identity = _as_unprivileged()

    def __enter__(self):
        settings = load(self._settings)
        for folder in (settings.data_dir, *self.copies):
            folder.mkdir(mode=0o700)
        self.keystore = settings.keystore
        self.provider = self._provider_of(settings)
        if not holds_keystore(self.keystore):  # of another host, where it is a database
            create_keystore(
                self.keystore, self.provider, DEPLOYMENT, self._geometry, entropy=self.entropy, clock=SystemClock()
            )
        place = Place(settings.database.render_as_string(), self.keystore, self.provider)
        initialise(place, DEPLOYMENT, clock=SystemClock(), entropy=SystemEntropy(), origin=settings.log_origin)
        founders.found(settings)
        self.roots = [path for path in settings.data_dir.rglob("root*") if path.is_file()]
        self.own()
        return self

    def __exit__(self, *_):
        for process in reversed(self.running):
            end(process)
        shutil.rmtree(self.folder, ignore_errors=True)

    def own(self):
        """Give everything in the folder to the account."""
        if self._identity:
            for path in (self.folder, *self.folder.rglob("*")):
                os.chown(path, self._identity["user"], self._identity["group"])

    def environment(self, *, holder, **settings):
        kept = {name: value for name, value in os.environ.items() if not name.startswith("ECRIN_")}
        mine = {f"ECRIN_{name.upper()}": str(value) for name, value in (self._settings | settings).items()}
        own = {"PYTHONPATH": str(ROOT), "HOME": str(self.folder)}
        return kept | mine | own | ({"ECRIN_KEYD_SOCKET": str(self.socket)} if holder else {})

    def start(self, *arguments, holder=True, settings=(), **options):
        """Start a process of the account, allowed to leave a core file."""
        with self.lines.open("ab") as out:
            options = {"stdin": subprocess.DEVNULL, "stdout": out, "stderr": out, **options}
            process = subprocess.Popen(
                [*self._prefix, *map(str, arguments)],
                env=self.environment(holder=holder, **dict(settings)),
                cwd=self.folder,
                preexec_fn=_allow_cores,  # noqa: PLW1509 - one system call between fork and exec, no lock taken
                **self._identity,
                **options,
            )
        self.running.append(process)
        return process

    def run(self, *arguments, holder=True, stdin=b"", timeout=60):
        """Run a program of the account to its end; its code and what it printed."""
        done = subprocess.run(
            [*self._prefix, *map(str, arguments)],
            check=False,
            capture_output=True,
            input=stdin,
            env=self.environment(holder=holder),
            cwd=self.folder,
            timeout=timeout,
            **self._identity,
        )
        return done.returncode, (done.stdout + done.stderr).decode()

    def command(self, *arguments, holder=True, stdin=b""):
        return self.run(*PYTHON, "-m", "api.cli.main", *arguments, holder=holder, stdin=stdin)

    def keyd(self):
        """Start the key holder and wait until it listens."""
        process = self.start(*PYTHON, "-m", "api.cli.main", "keyd")
        self.until(lambda: _answers(self.socket), process)
        return process

    def serve(self, *, holder=True, ready=True):
        """Start the service and wait until it is ready, or only alive."""
        process = self.start(*PYTHON, "-m", "api.cli.main", "serve", holder=holder)
        self.until(lambda: self.get("/readyz" if ready else "/healthz")[0] == 200, process)
        return process

    def serve_beside(self):
        """Start another service on the same deployment and holder; its address."""
        port = _free_port()
        url = f"http://127.0.0.1:{port}"
        process = self.start(*PYTHON, "-m", "api.cli.main", "serve", settings={"port": port})
        self.until(lambda: self.get("/readyz", url)[0] == 200, process)
        return url

    def client(self, **options):
        """The key service as the service's process has it; for tests that run as the account's user id."""
        return KeydClient(self.socket, DEPLOYMENT, **options)

    def get(self, path, url=""):
        """Status and body of one request; (0, b"") where nobody listens."""
        try:
            with urlopen((url or self.url) + path, timeout=15) as answer:  # noqa: S310 - our own
                return answer.status, answer.read()
        except HTTPError as error:
            with error:
                return error.code, error.read()
        except (URLError, OSError):
            return 0, b""

    def until(self, holds, process=None):
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline and (process is None or process.poll() is None):
            if holds():
                return
            time.sleep(0.02)
        raise AssertionError(self.lines.read_text(errors="replace")[-4000:])


def end(process):
    if process.poll() is None:
        process.send_signal(signal.SIGCONT)
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def found_in(pid, keys):
    """Which of `keys` are anywhere in the memory of a process. Needs the right to read it."""
    left = set(keys)
    regions = [line.split() for line in Path(f"/proc/{pid}/maps").read_text().splitlines()]
    with Path(f"/proc/{pid}/mem").open("rb", buffering=0) as memory:
        for region in regions:
            if not region[1].startswith("rw") or region[-1].startswith(("[vvar", "[vsyscall")):
                continue
            start, stop = (int(each, 16) for each in region[0].split("-"))
            try:
                memory.seek(start)
                content = memory.read(stop - start)
            except (OSError, OverflowError):
                continue
            left -= {key for key in left if key in content}
    return set(keys) - left


def _answers(path):
    with socket.socket(socket.AF_UNIX) as probe, contextlib.suppress(OSError):
        probe.connect(str(path))
        return True
    return False


def _as_unprivileged():
    """How to run a program without root's power over others: a prefix, and arguments for Popen.

    Where an unprivileged account cannot reach this interpreter, it is the same user id without a single capability:
    to the kernel's rules on tracing and on memory that is an account like any other.
    """
    if os.geteuid() != 0:
        return [], {}
    account = unprivileged_account()
    identity = {"user": account.pw_uid, "group": account.pw_gid, "extra_groups": []}
    with contextlib.suppress(OSError):
        probe = [sys.executable, "-c", "import api.settings"]
        environment = {"PYTHONPATH": str(ROOT), "PATH": os.defpath}
        if subprocess.run(probe, check=False, capture_output=True, env=environment, **identity).returncode == 0:
            return [], identity
    return ["setpriv", "--bounding-set=-all", "--inh-caps=-all", "--no-new-privs", "--"], {}


def _allow_cores():
    signal.signal(signal.SIGQUIT, signal.SIG_DFL)  # a suite in the background of a shell is started deaf to it
    resource.setrlimit(resource.RLIMIT_CORE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))


def _free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]
