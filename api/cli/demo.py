"""The demo: a real server process, the demo group through the real import, and the story played as OAuth clients."""

import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated
from urllib.error import URLError
from urllib.request import urlopen

import typer
from rich.console import Console

from api import bootstrap
from api.cli.deployment import initialise_from
from api.cli.opened import OPERATOR
from api.cli.output import Exit, Json, Output, fail
from api.settings import Settings, child_environment, load
from api.unsafe import DEMO
from vault import officers, systems
from vault.officers import Role
from vault.signin import invitations
from vault.systems import NewSystem

if TYPE_CHECKING:
    from api.client.identity import Identity
    from api.demo.systems import DemoSystem

START_PATIENCE = (
    120.0  # seconds: a machine may have other work to do, and a server that is ready earlier is taken earlier
)
STOP_PATIENCE = 15.0
OFFICERS = {"claire": Role.COMPLIANCE, "auguste": Role.AUDITOR, "ines": Role.APPROVER}
SIZE = 2_000


def install(app: typer.Typer) -> None:
    """Add the command."""
    app.command("demo")(demo)


def demo(
    *,
    serve: Annotated[bool, typer.Option("--serve", help="Keep the data and go on serving until stopped.")] = False,
    data: Annotated[Path | None, typer.Option(help="Where to keep the data; a throw-away folder if left out.")] = None,
    size: Annotated[int, typer.Option(min=20, max=100_000, help="How many synthetic clients.")] = SIZE,
    json: Json = False,
) -> None:
    """Set up an embedded vault, load the demo group, and play the story against the running server."""
    # Only this command needs the generator of synthetic people, which takes a second to load.
    from api.client.errors import EcrinProblem  # noqa: PLC0415
    from api.demo.narrator import Narrator  # noqa: PLC0415
    from api.demo.story import Story, StoryBroken  # noqa: PLC0415
    from api.demo.systems import SYSTEMS, identities  # noqa: PLC0415

    with ExitStack() as stack:
        folder = data or Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="ecrin-demo-")))
        settings = _settings(folder, keep=serve)
        database = Path(settings.database.database or "")
        kept = database.exists()
        initialise_from(settings)
        names = identities(folder / "demo-systems")
        _register(settings, [_registration(system, names[system.id]) for system in SYSTEMS])
        narrator = Narrator(Console(quiet=json))
        with _server(settings):
            try:
                Story(settings.public_url, names, narrator, database, size).play()
            except (StoryBroken, EcrinProblem) as broken:
                if not (serve and kept):
                    raise fail(f"the story does not hold: {broken}", Exit.FAILED) from None
                # Whoever tried the vault may have had the lady erased, or a rule changed: that is no reason not to serve.
                narrator.stopped(str(broken))
                _wait(settings, _invited(settings), "")
                return
            if json:
                Output(json=True).result({"holds": True, "promises": narrator.promises}, "")
            else:
                narrator.end()
            if serve:
                _wait(settings, _invited(settings), _lady())


def _settings(folder: Path, *, keep: bool) -> Settings:
    chosen: dict[str, object] = {"data_dir": folder, "log_level": "warning", "deployment": DEMO, "post_terminal": keep}
    if not keep:
        chosen |= {"port": (port := _free_port()), "public_url": f"http://127.0.0.1:{port}"}
    return load(chosen)


def _registration(system: "DemoSystem", name: "Identity") -> NewSystem:
    return NewSystem(
        id=system.id,
        brand=system.brand,
        name=system.name,
        jwks=name.registration(),
        scopes=system.scopes,
        purposes=system.purposes,
        brands=system.brands,
    )


def _register(settings: Settings, wanted: Sequence[NewSystem]) -> None:
    """Register the demo's systems as an operator would; on kept data they are there already."""
    vault = bootstrap.open_from(settings)
    try:
        with vault.reading() as conn:
            held = {each.id for each in systems.listed(conn)}
        with vault.unit() as uow:
            for new in wanted:
                if new.id not in held:
                    systems.register(uow, new, OPERATOR)
            uow.commit()
    finally:
        vault.close()


@contextmanager
def _server(settings: Settings) -> Iterator[None]:
    """Run `ecrin serve` in a process of its own; it ends with us."""
    process = subprocess.Popen([sys.executable, "-m", "api.cli.main", "serve"], env=child_environment(settings))
    try:
        _until_ready(settings, process)
        yield
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(STOP_PATIENCE)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _until_ready(settings: Settings, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + START_PATIENCE
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise fail("the server did not start", Exit.UNAVAILABLE)
        try:
            with urlopen(f"{settings.public_url}/readyz", timeout=1):  # noqa: S310 - our own loopback address
                return
        except (URLError, OSError):
            time.sleep(0.05)
    raise fail("the server did not become ready", Exit.UNAVAILABLE)


def _invited(settings: Settings) -> dict[str, str]:
    """Add the demo's officers on a first run, and return a fresh link for each with which to choose how to sign in."""
    vault = bootstrap.open_from(settings)
    try:
        with vault.unit() as uow:
            known = {each.id for each in officers.listed(uow.conn)}
            for name, role in OFFICERS.items():
                if name not in known:  # nobody knows this password: the officer chooses another, or a passkey
                    officers.add(uow, name, role, vault.entropy.bytes(32).hex(), OPERATOR)
            codes = {name: invitations.invite(uow, name, OPERATOR) for name in OFFICERS}
            uow.commit()
    finally:
        vault.close()
    return {name: f"{settings.console_url}/console/set-up#{code}" for name, code in codes.items()}


def _wait(settings: Settings, links: dict[str, str], lady: str) -> None:
    """Serve until SIGINT or SIGTERM. `lady` is the made-up address of whom the story was about, empty where it was not told."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # before we say that we serve: who hears it may stop us
    try:
        _say(settings, links, lady)
        signal.pause()
    except KeyboardInterrupt:
        return


def _say(settings: Settings, links: dict[str, str], lady: str) -> None:
    """Tell where officers and clients come in."""
    console = Console()
    console.print(
        "\nThe officers' console. Each link is good once, for a day, and lets its officer choose how to sign in:"
    )
    for name, link in links.items():
        console.print(f"   {name} ({OFFICERS[name]}): {link}", markup=False, soft_wrap=True)
    console.print(f"   afterwards: {settings.console_url}/console", markup=False)
    console.print(
        "\nThe clients' portal. A code replaces passwords; it is printed here, where a real house sends mail:"
    )
    console.print(f"   {settings.portal_url}/me", markup=False)
    if lady:
        console.print(f"   the lady of the story: maison Aurelle, {lady}", markup=False)
    console.print(f"\nServing on {settings.public_url}, data in {settings.data_dir}. Stop with Ctrl-C.", markup=False)


def _lady() -> str:
    """Tell the made-up address of the made-up client that the story is about."""
    from api.demo.group import Group  # noqa: PLC0415 - as above

    return Group().person(1).email


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
