"""A served demo group, officers of it, and Debian's Chromium: one server and one browser for all tests of this folder."""

import os
import shutil
import socket
from contextlib import ExitStack
from types import SimpleNamespace

import pytest
from busy_group import Day
from console_browser import add_officer

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)


@pytest.fixture(scope="session")
def served(tmp_path_factory):
    """The demo group behind a real server process, and set-up codes of two officers."""
    from rich.console import Console

    from api import bootstrap
    from api.cli import demo
    from api.cli.deployment import initialise_from
    from api.client.blocking import Ecrin
    from api.demo.group import Group
    from api.demo.narrator import Narrator
    from api.demo.story import Story
    from api.demo.systems import AURELLE, SYSTEMS, identities
    from api.settings import load

    folder = tmp_path_factory.mktemp("browser")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    chosen = {"data_dir": folder, "log_level": "warning", "deployment": "ecrin-demo", "port": port}
    settings = load(chosen | {"public_url": f"http://127.0.0.1:{port}"})
    initialise_from(settings)
    names = identities(folder / "systems")
    demo._register(settings, [demo._registration(system, names[system.id]) for system in SYSTEMS])
    vault = bootstrap.open_from(settings)
    try:
        codes = {
            f"{role}-{way}": add_officer(vault, f"{role}-{way}", role)
            for role in ("compliance", "auditor", "approver", "operator")
            for way in ("passkey", "code")
        }
        with ExitStack() as running:

            def anew():
                """Start the server anew: it counts what an address and a person do, and all tests are one of each."""
                running.close()
                running.enter_context(demo._server(settings))

            anew()
            Story(settings.public_url, names, Narrator(Console(quiet=True)), None, 60).play()
            with Ecrin(settings.public_url, names[AURELLE.id]) as aurelle:
                found = [aurelle.search("phone", Group().person(each).phones[0]).candidates for each in range(1, 12)]
            people = [each[0].reference for each in found if each]
            day = Day(vault, AURELLE.brand, AURELLE.id, people, "compliance-code", "approver-code")
            yield SimpleNamespace(
                url=settings.console_url, settings=settings, codes=codes, reference=people[0], vault=vault, day=day,
                anew=anew,
            )  # fmt: skip
    finally:
        vault.close()


@pytest.fixture(scope="module")
def chromium():
    """A browser, gone with its module: as long as Playwright is there an event loop runs, and other tests run their own."""
    if CHROMIUM is None:
        if os.environ.get("CI"):
            pytest.fail("CI must have Chromium", pytrace=False)
        pytest.skip("*** PAGES NOT TESTED IN A BROWSER *** no Chromium")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        # Its own sandbox needs what a container does not give; it opens nothing but our own loopback address.
        started = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"])
        yield started
        started.close()


@pytest.fixture
def fresh(served):
    """Have a server that has counted nothing yet."""
    served.anew()
