"""Tells the story on a terminal: chapters, facts, and a table of what was asked and what was given."""

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
from rich.table import Table

from api.client.answers import Disclosure


@dataclass(slots=True)
class Narrator:
    """Prints to `console`. `promises` collects what was checked, for the last line and for `--json`."""

    console: Console = field(default_factory=Console)
    promises: list[str] = field(default_factory=list)
    _chapter: int = 0

    def chapter(self, title: str) -> None:
        """Open a chapter."""
        self._chapter += 1
        self.console.print(f"\n[bold]{self._chapter}. {title}[/]")

    def fact(self, what: str, result: str) -> None:
        """State what happened."""
        self.console.print(f"   {what}: [cyan]{result}[/]", highlight=False)

    def aside(self, text: str) -> None:
        """Explain, quietly."""
        self.console.print(f"   [dim]{text}[/]", highlight=False)

    def held(self, promise: str) -> None:
        """Remember a promise that held."""
        self.promises.append(promise)

    def end(self) -> None:
        """Close the story."""
        self.console.print(f"\n[green]The story holds: {len(self.promises)} promises checked.[/]", highlight=False)

    def answers(self, answer: Disclosure, asked: Mapping[str, str]) -> None:
        """Show each field: the level asked, the level given, the value at that level, and why."""
        table = Table(box=None, padding=(0, 2, 0, 3), header_style="dim")
        for column in ("field", "asked", "given", "value", "why"):
            table.add_column(column, overflow="fold")
        for name, item in answer.fields.items():
            given = f"[red]{item.reason}[/]" if item.level is None else f"[green]{item.level}[/]"
            value = "" if item.level is None else _shown(item.value)
            table.add_row(name, asked[name], given, value, ", ".join(item.policies))
        self.console.print(table)

    @contextmanager
    def progress(self, total: int, what: str) -> Iterator[Callable[[], None]]:
        """Show a bar on a terminal, nothing elsewhere; the caller advances it by one at a time."""
        columns = (TextColumn("   {task.description}"), BarColumn(), MofNCompleteColumn())
        with Progress(*columns, console=self.console, transient=True, disable=not self.console.is_terminal) as bar:
            task = bar.add_task(what, total=total)
            yield lambda: bar.advance(task)


def _shown(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
