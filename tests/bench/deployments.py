"""Real deployments to measure: `ecrin serve` in processes of its own, on a SQLite file or a throw-away PostgreSQL."""

import secrets
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

import psycopg

from api import bootstrap
from api.cli.deployment import initialise_from
from api.client.exchange import Settings as ClientSettings
from api.client.identity import Identity, SigningKey
from api.settings import Settings, child_environment, load
from audit.entry import Actor, ActorKind
from vault import systems
from vault.budgetlimits import Budgets
from vault.systems import NewSystem

PURPOSE = "clienteling.aftercare"
START_SECONDS = 60


@dataclass
class Deployment:
    """One vault on one engine, and the system that puts load on it."""

    engine: str
    settings: Settings
    identity: Identity
    proof_key: SigningKey

    @property
    def url(self) -> str:
        return self.settings.public_url

    @property
    def client(self) -> ClientSettings:
        return ClientSettings(self.url, proof_key=self.proof_key, timeout=300.0)

    def command(self) -> list[str]:
        return [sys.executable, "-m", "api.cli.main", "serve"]

    def changed(self, **settings: object) -> "Deployment":
        """The same data served otherwise."""
        return Deployment(self.engine, self.settings.model_copy(update=settings), self.identity, self.proof_key)


@contextmanager
def sqlite(folder: Path) -> Iterator[Deployment]:
    """A fresh vault on a SQLite file, one process."""
    yield _make("SQLite", {"data_dir": folder})


@contextmanager
def postgresql(folder: Path, cluster: object) -> Iterator[Deployment]:
    """A fresh vault in a database of its own on the cluster, two processes."""
    name = f"bench_{secrets.token_hex(4)}"
    with psycopg.connect(cluster.url().replace("+psycopg", ""), autocommit=True) as admin:
        admin.execute(f"CREATE DATABASE {name}")
        try:
            yield _make("PostgreSQL", {"data_dir": folder, "database_url": cluster.url(name), "workers": 2})
        finally:
            admin.execute(f"DROP DATABASE {name} WITH (FORCE)")


@contextmanager
def serving(deployment: Deployment) -> Iterator[Deployment]:
    """Serve a deployment with `ecrin serve`."""
    with _process(deployment.command(), child_environment(deployment.settings), f"{deployment.url}/readyz"):
        yield deployment


@contextmanager
def application(target: str, deployment: Deployment | None = None, *options: str) -> Iterator[str]:
    """Run another app under uvicorn, as Ecrin runs its own, and give its URL."""
    port = _free_port() if deployment is None else deployment.settings.port
    url = f"http://127.0.0.1:{port}"
    environment = child_environment(deployment.settings if deployment else load({}))
    command = [
        sys.executable,
        "-m",
        "uvicorn",
        target,
        "--port",
        str(port),
        "--no-access-log",
        "--log-level",
        "warning",
    ]
    with _process([*command, "--loop", "uvloop", "--http", "httptools", *options], environment, f"{url}/readyz"):
        yield url


def _make(engine: str, chosen: dict[str, object]) -> Deployment:
    port = _free_port()
    fixed = {"port": port, "public_url": f"http://127.0.0.1:{port}", "log_level": "warning", "deployment": "bench"}
    settings = load({**fixed, **chosen})
    initialise_from(settings)
    identity = Identity("aurelle-bench", SigningKey.generate(), "bench")
    vault = bootstrap.open_from(settings)
    try:
        with vault.unit() as uow:
            wanted = NewSystem(
                id=identity.client_id,
                brand="aurelle",
                name="Load",
                jwks=identity.registration(),
                scopes=frozenset({"import", "lookup"}),
                purposes=frozenset({PURPOSE}),
                budgets=Budgets(
                    ("system:people:1000000/minute", "system:people:100000000/day", "system:weight:1000000000/day")
                ),
            )
            systems.register(uow, wanted, Actor(ActorKind.VAULT, "bench"))
            uow.commit()
    finally:
        vault.close()
    return Deployment(engine, settings, identity, SigningKey.generate())


@contextmanager
def _process(command: list[str], environment: dict[str, str], ready: str) -> Iterator[None]:
    process = subprocess.Popen(command, env=environment, start_new_session=True)
    try:
        _wait(lambda: urlopen(ready, timeout=2).close(), process)  # noqa: S310 - our own loopback address
        yield
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _wait(probe: Callable[[], object], process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        with suppress(URLError, OSError):
            probe()
            return
        time.sleep(0.05)
    raise RuntimeError("a server to be measured did not start")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
