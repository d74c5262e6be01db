"""A deployment in a folder, and the command line on it: in this process where that is enough, else in one of its own."""

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest
from signing_server import checkpointed

ROOT = Path(__file__).parents[2]


@dataclass(frozen=True)
class Ended:
    """How a command ended and what it said."""

    code: int
    out: str
    err: str

    @property
    def json(self):
        return json.loads(self.out)


@pytest.fixture
def bare(tmp_path, monkeypatch):
    """A data folder that does not exist yet, named by the environment."""
    for name in [name for name in os.environ if name.startswith("ECRIN_") and not name.startswith("ECRIN_TEST_")]:
        monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("ECRIN_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    return tmp_path / "data"


@pytest.fixture
def home(bare):
    """An initialised deployment with a small keystore: what `init` makes, in milliseconds."""
    from api import bootstrap, founders
    from api.settings import load
    from vault.keys.pagetree import Geometry
    from vault.runtime import SystemClock, SystemEntropy
    from vault.setup import initialise

    settings = load()
    bare.mkdir(mode=0o700)
    initialise(
        bootstrap.place_of(settings),
        settings.deployment,
        clock=SystemClock(),
        entropy=SystemEntropy(),
        origin=settings.log_origin,
        geometry=Geometry(fanout=16, depth=3),
    )
    founders.found(settings)
    return bare


@pytest.fixture
def ecrin(bare, monkeypatch, capsys):
    """Run a command in this process, through the function that the installed script calls."""
    from api.cli.main import run

    def ran(*arguments):
        capsys.readouterr()
        monkeypatch.setattr(sys, "argv", ["ecrin", *map(str, arguments)])
        code = 0
        try:
            run()
        except SystemExit as ended:
            code = int(ended.code or 0)
        said = capsys.readouterr()
        return Ended(code, said.out, said.err)

    return ran


@pytest.fixture
def process(bare):
    """Run a command in a process of its own, as a shell does."""

    def ran(*arguments, stdin="", **environment):
        command = [sys.executable, "-m", "api.cli.main", *map(str, arguments)]
        made = subprocess.run(
            command,
            check=False,
            capture_output=True,
            text=True,
            input=stdin,
            timeout=60,
            env={**os.environ, **environment},
        )
        return Ended(made.returncode, made.stdout, made.stderr)

    return ran


@pytest.fixture
def jwks(tmp_path):
    """A file with a public key set, as a brand hands it to the operator."""
    from api.client.identity import Identity, SigningKey

    path = tmp_path / "system.jwks"
    path.write_text(json.dumps(Identity("aurelle-crm", SigningKey.generate(), "k1").registration()))
    return path


@pytest.fixture
def importer(home, ecrin, jwks):
    """A registered system that may import for two maisons."""
    arguments = ("--brand", "aurelle", "--jwks", jwks, "--scope", "import", "--imports-for", "vantier")
    assert ecrin("system", "add", "aurelle-crm", *arguments).code == 0
    return "aurelle-crm"


@pytest.fixture
def signed(home, importer):
    """A deployment with something in its log, under a signed checkpoint."""
    checkpointed(home)
    return home
