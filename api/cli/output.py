"""What a command prints: for people on a terminal, or one JSON document with `--json`; and how it ends."""

import sys
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from enum import IntEnum
from typing import Annotated, Any, Final

import orjson
import typer
from rich.console import Console
from rich.table import Table


class Exit(IntEnum):
    """Exit codes, the same for every command (docs/operations.md)."""

    OK = 0
    FAILED = 1  # what was checked does not hold, or what was asked was refused
    USAGE = 2  # wrong call, or nothing to decide by
    UNSAFE = 3  # settings or files that we will not run with
    UNAVAILABLE = 4  # sealed, database gone or full: try again later


Json = Annotated[bool, typer.Option("--json", help="Print one JSON document instead of text.")]


_NO_TERMINAL: Final = 240  # columns; a pipe has no edge at which to cut a path in two


class Output:
    """Prints results to standard output and nothing else there, so that `--json` can be piped."""

    def __init__(self, *, json: bool) -> None:
        self.json = json
        width = None if sys.stdout.isatty() else _NO_TERMINAL
        self.console = Console(highlight=False, quiet=json, width=width)

    def result(self, document: Mapping[str, Any], text: str) -> None:
        """Print one result in the form asked for."""
        if self.json:
            self._document(document)
        else:
            self.console.print(text, markup=False, soft_wrap=True)

    def rows(self, name: str, columns: Sequence[str], rows: Sequence[Mapping[str, Any]]) -> None:
        """Print a list: a table, or `{name: [...]}`."""
        if self.json:
            self._document({name: list(rows)})
            return
        table = Table(box=None, padding=(0, 3, 0, 0), header_style="dim")
        for column in columns:
            table.add_column(column, overflow="fold")
        for row in rows:
            table.add_row(*[str(row[column]) for column in columns])
        self.console.print(table)

    @staticmethod
    def _document(document: Mapping[str, Any]) -> None:
        sys.stdout.buffer.write(orjson.dumps(document, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE))
        sys.stdout.buffer.flush()


def moment(at: int | None) -> str:
    """Write a time (UTC seconds since 1970) as every command does, RFC 3339 in UTC; nothing for what has not been."""
    return "" if at is None else datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def fail(message: str, code: Exit = Exit.FAILED) -> typer.Exit:
    """Tell why on standard error; raise what this returns."""
    warn(message)
    return typer.Exit(code)


def warn(message: str) -> None:
    """Tell on standard error what the reader of a result must know."""
    Console(stderr=True, highlight=False).print(f"ecrin: {message}", markup=False, soft_wrap=True)


def told(error: Exception) -> str:
    """Give an error's code and our own message; neither ever holds a value (vault.errors)."""
    code = str(getattr(error, "code", type(error).__name__))
    text = str(error)
    return f"{code}: {text}" if text and text != code else code
