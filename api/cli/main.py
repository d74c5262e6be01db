"""The `ecrin` command. Subcommands live in their own modules; failures become exit codes here, and nowhere a traceback.

A module is loaded when one of its commands is called or told of: to load all of them takes seconds, and some need the whole
application.
"""

import os
import sys
from collections.abc import Iterator, Mapping
from functools import cache
from importlib import import_module
from typing import Any, Final

import typer
from typer.core import TyperGroup
from typer.main import get_group

from api.cli.output import fail

# Command -> its module, in the order in which help tells of them.
_MODULES: Final = {
    "init": "deployment",
    "migrate": "deployment",
    "serve": "serving",
    "doctor": "deployment",
    "openapi": "serving",
    "import": "importing",
    "keyd": "keyd",
    "witness": "witness",
    "seal": "seal",
    "unseal": "seal",
    "shares": "shares",
    "restore": "backups",
    "drill": "backups",
    "demo": "demo",
    "census": "census",
    "retention": "erasures",
    "rekey": "rotation",
    "reseal": "rotation",
    "grow": "rotation",
    "siem": "siem",
    "honey": "importing",
    "backup": "backups",
    "search": "backups",
    "erase": "erasures",
    "hold": "erasures",
    "epoch": "erasures",
    "system": "systems",
    "budget": "budgets",
    "events": "events",
    "consent": "consents",
    "request": "requests",
    "restriction": "restrictions",
    "officer": "officers",
    "session": "sessions",
    "signer": "signers",
    "join": "joins",
    "policy": "policy",
    "break-glass": "breakglass",
    "audit": "audit",
    "report": "reports",
}


@cache
def _commands_of(module: str) -> Mapping[str, Any]:
    found = typer.Typer()
    import_module(f"api.cli.{module}").install(found)
    return get_group(found).commands


class _Commands(Mapping[str, Any]):
    """Every command by its name."""

    def __getitem__(self, name: str) -> Any:
        return _commands_of(_MODULES[name])[name]

    def __contains__(self, name: object) -> bool:
        return name in _MODULES

    def __iter__(self) -> Iterator[str]:
        return iter(_MODULES)

    def __len__(self) -> int:
        return len(_MODULES)


class _Group(TyperGroup):
    def __init__(self, **given: Any) -> None:
        super().__init__(**given)
        self.commands = _Commands()  # type: ignore[assignment]  # it is read alone


app = typer.Typer(
    name="ecrin",
    help="Ecrin, a privacy-first customer data vault. Exit codes: 0 fine, 1 refused or not as it should be, "
    "2 wrong call or cannot decide, 3 unsafe settings, 4 unavailable.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,  # its tracebacks print local variables
    cls=_Group,
)


@app.callback()
def _group() -> None:
    """Be a group: its commands are found by `_Commands`."""


def run() -> None:
    """Run the command line of this process and exit."""
    os.umask(0o077)  # whatever this process makes is its account's alone: data, keys, checkpoints
    try:
        app()
    except Exception as error:
        # What a failure is takes half of the system to tell, which a command that does not fail has no need of.
        from api.cli import failures  # noqa: PLC0415

        read = failures.read(error)
        if read is None:
            raise
        code, sentences = read
        for each in sentences:
            fail(each)
        sys.exit(code)


if __name__ == "__main__":
    run()
