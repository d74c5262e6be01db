"""Tells the story on a terminal: chapters, facts, and a table of what was asked and what was given."""

import calendar
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

from api.client.answers import Disclosure, DisclosureToken


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

    def stopped(self, why: str) -> None:
        """Say that the story cannot be told again on data that have moved on since."""
        self.console.print(f"\nThe story cannot be told again: {why}.", markup=False, highlight=False)
        self.console.print("These data have moved on since, and are served as they are. `make demo` tells it anew.")

    def end(self) -> None:
        """Close the story."""
        self.console.print(f"\n[green]The story holds: {len(self.promises)} promises checked.[/]", highlight=False)

    def answers(self, token: DisclosureToken, answer: Disclosure) -> None:
        """Show each field asked for: the level given, the value at that level, and the rule or the reason."""
        for item in token.fields:
            shown = answer.fields.get(item.name)
            given = f"[green]{item.level}[/]" if item.level else "[red]refused[/]"
            asked = "" if item.level == item.requested else f"{item.requested} asked, "
            value = "" if shown is None or shown.level is None else f": [bold]{escape(_shown(shown.value))}[/]"
            because = ", ".join(item.policies)
            self.console.print(f"   {item.name:15} {asked}{given}{value}", highlight=False)
            self.console.print(
                f"   {'':15} [dim]{because if item.level else f'{item.reason} ({because})'}[/]", highlight=False
            )

    @contextmanager
    def progress(self, total: int, what: str) -> Iterator[Callable[[], None]]:
        """Show a bar on a terminal, nothing elsewhere; the caller advances it by one at a time."""
        columns = (TextColumn("   {task.description}"), BarColumn(), MofNCompleteColumn())
        with Progress(*columns, console=self.console, transient=True, disable=not self.console.is_terminal) as bar:
            task = bar.add_task(what, total=total)
            yield lambda: bar.advance(task)


def _shown(value: Any) -> str:
    """Write a disclosed value briefly."""
    match value:
        case [*items]:
            return ", ".join(_shown(item["value"]) for item in items)
        case {"from": start, "below": end, "currency": currency}:
            return f"{start:,} to {end:,} {currency}"
        case {"month": month}:
            return f"in {calendar.month_name[month]}"
        case {"value": size, "system": system}:
            return f"{size} ({system})"
        case _:
            return str(value)
