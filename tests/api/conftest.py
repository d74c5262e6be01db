"""The whole application on real parts."""

from dataclasses import dataclass
from typing import Any

import pytest
from served_maison import maison, migration, pos, sister
from starlette.testclient import TestClient

from api.app import create_app
from api.settings import load

__all__ = ["maison", "migration", "pos", "sister"]

PUBLIC = "https://vault.example"


@dataclass(frozen=True)
class Served:
    """A served vault: the application's client, and the vault behind it for the test to look into."""

    http: TestClient
    vault: Any


@pytest.fixture
def served(opening, bundle, tmp_path, monkeypatch):
    """The application on a vault of its own, on each engine in turn."""
    monkeypatch.chdir(tmp_path)
    settings = load({"public_url": PUBLIC, "checkpoint_file": tmp_path / "checkpoint", "log_level": "error"})
    app = create_app(settings, opener=lambda _: opening(bundle))
    # Another host than the public one: nothing may be decided by it.
    with TestClient(app, base_url="http://10.0.0.9:8420", raise_server_exceptions=False) as http:
        yield Served(http, app.state.services.vault)
