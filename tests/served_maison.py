"""Fixtures of a served vault with systems of two maisons, for any test folder: `from served_maison import …`."""

import pytest
from maison_callers import ELSEWHERE, Caller, Maison, app_of
from starlette.testclient import TestClient


@pytest.fixture
def maison(opening, bundle, tmp_path, clock):
    """The application on a vault of its own, on each engine in turn, reached in process."""
    app = app_of(lambda _: opening(bundle), tmp_path)
    # Another host than the public one: nothing may be decided by it.
    with TestClient(app, base_url=ELSEWHERE, raise_server_exceptions=False) as http:
        yield Maison(http, app.state.services.vault, clock)


@pytest.fixture
def pos(maison):
    """Aurelle's boutique, with every right a boutique can have."""
    return maison.system("aurelle-pos", "aurelle")


@pytest.fixture
def sister(maison):
    """A sister maison's boutique with the same rights."""
    return maison.system("vantier-pos", "vantier")


@pytest.fixture
def migration(maison):
    """The group's migration: imports for both maisons."""
    return maison.system(
        "group-migration", "ecrin-group", scopes={"import"}, purposes=(), brands={"aurelle", "vantier"}
    )


__all__ = ["Caller", "maison", "migration", "pos", "sister"]
