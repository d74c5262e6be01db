"""`ecrin siem`: tell the log to security monitoring, in a process of its own."""

import signal
import threading
from pathlib import Path
from typing import Annotated

import typer

from api import bootstrap
from api.cli.opened import OPERATOR
from api.cli.output import Exit, fail
from api.observability.logs import Log
from api.settings import load
from api.siem.cursor import Cursor, CursorUnavailable, held
from api.siem.follower import Broken, Follower
from api.siem.shapes import SHAPES, Form
from api.siem.sinks import Undelivered, sink_of
from audit.entry import Act, Entry, Outcome
from vault import evidence
from vault.runtime import SystemClock
from vault.unit import Vault


def install(app: typer.Typer) -> None:
    """Add the command."""
    app.command("siem")(siem)


def siem(
    target: Annotated[str, typer.Argument(help="A file, - , https://…, or syslog+tls://host:port.")],
    *,
    form: Annotated[Form, typer.Option("--format", help="The shape of events.")] = Form.OCSF,
    cursor: Annotated[
        Path | None, typer.Option(help="File that remembers how far it came. Default: in data_dir.")
    ] = None,
    token_file: Annotated[Path | None, typer.Option(help="File with a bearer token for the receiver.")] = None,
    ca_file: Annotated[
        Path | None, typer.Option(help="CA certificates of the receiver. Default: the usual ones.")
    ] = None,
    from_now: Annotated[bool, typer.Option("--from-now", help="Begin with what comes; history stays untold.")] = False,
    once: Annotated[bool, typer.Option("--once", help="Tell what there is, then exit.")] = False,
) -> None:
    """Tell every committed entry of the log, at least once and in order, until stopped.

    Needs the data database and no key. A receiver that is away or slow holds up this process alone.
    """
    settings = load()
    path = cursor or settings.data_dir / f"siem.{form}.cursor"
    vault = bootstrap.open_to_serve(settings)
    try:
        sink = sink_of(target, vault.origin, _read(token_file), ca_file)
        if isinstance(sink, str):
            raise fail(f"target: {sink}", Exit.USAGE)
        with held(path) as place, sink:
            if place.next(vault.origin) is None:
                place.move(vault.origin, evidence.committed(vault, 0, 0)[0] if from_now else 0)
            _note(vault, place, form, sink.kind)
            follower = Follower(vault, place, SHAPES[form], sink, Log(SystemClock(), level=settings.log_level))
            if once:
                follower.drain()
            else:
                follower.follow(_until_told())
    except (Broken, CursorUnavailable) as error:
        raise fail(str(error), Exit.FAILED) from None
    except Undelivered as error:
        raise fail(f"the receiver did not take it: {error}", Exit.UNAVAILABLE) from None
    except OSError:
        raise fail("a file cannot be read", Exit.USAGE) from None
    finally:
        vault.close()


def _note(vault: Vault, place: Cursor, form: Form, kind: str) -> None:
    """Log that entries leave for a receiver from here on: what it was told is out of our hands."""
    said = (f"siem:{form}", f"sink:{kind}", f"from:{place.next(vault.origin)}")
    with vault.unit() as uow:
        uow.record(Entry(Act.AUDIT_EXPORTED, Outcome.ALLOW, OPERATOR, pol=said))
        uow.commit()


def _until_told() -> threading.Event:
    stop = threading.Event()
    for each in (signal.SIGTERM, signal.SIGINT):
        signal.signal(each, lambda *_: stop.set())
    return stop


def _read(file: Path | None) -> str:
    return "" if file is None else file.read_text("utf-8").strip()
