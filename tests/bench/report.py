"""Results as they are printed and as `bench.json` keeps them: a value, what it is held to, what it aims at."""

import json
import os
import platform
import sys
from dataclasses import asdict, dataclass, field
from pathlib import Path

from rich.console import Console
from rich.table import Table


@dataclass
class Verdict:
    """A ratio (or, with a unit for `what`, a rate) beside the bound that design §12 sets. Printed, never asserted."""

    what: str
    value: float
    bound: float
    at_most: bool = False
    ratio: bool = True

    @property
    def holds(self) -> bool:
        return self.value <= self.bound if self.at_most else self.value >= self.bound

    def __str__(self) -> str:
        sign = "≤" if self.at_most else "≥"
        colour, word = ("green", "holds") if self.holds else ("red", "misses")
        told = f"{_number(self.value)}{' ×' if self.ratio else ''} {self.what}"
        return f"{told}: [{colour}]{word} {sign} {_number(self.bound)}[/]"


@dataclass
class Line:
    name: str
    value: float
    unit: str
    holds: list[Verdict] = field(default_factory=list)
    aim: float | None = None
    aim_at_most: bool = False
    p50_ms: float | None = None
    p99_ms: float | None = None
    extra: dict[str, object] = field(default_factory=dict)

    @property
    def met(self) -> bool | None:
        if self.aim is None:
            return None
        return self.value <= self.aim if self.aim_at_most else self.value >= self.aim


def _number(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def table(title: str, lines: list[Line]) -> Table:
    """One section as a table."""
    made = Table(title=title, title_justify="left", pad_edge=False)
    for name, justify in (
        ("", "left"),
        ("measured", "right"),
        ("p50 / p99 ms", "right"),
        ("hold", "left"),
        ("aim", "left"),
    ):
        made.add_column(name, justify=justify)
    for line in lines:
        times = "" if line.p50_ms is None else f"{line.p50_ms:.1f} / {line.p99_ms:.1f}"
        aim = ""
        if line.aim is not None:
            colour = "green" if line.met else "yellow"
            aim = f"[{colour}]{'≤' if line.aim_at_most else '≥'} {_number(line.aim)}[/]"
        extra = f" [dim]({', '.join(f'{v} {k}' for k, v in line.extra.items())})[/]" if line.extra else ""
        made.add_row(
            line.name + extra, f"{_number(line.value)} {line.unit}", times, "\n".join(map(str, line.holds)), aim
        )
    return made


def show(title: str, lines: list[Line]) -> None:
    """Print one section at once: a run takes minutes."""
    console = Console()
    # A pipe has no width of its own; a table folded into 80 columns cannot be read.
    Console(width=None if console.is_terminal else 150).print(table(title, lines))


def write(path: Path, sections: dict[str, list[Line]]) -> None:
    """Keep the numbers with what they were measured on."""
    machine = {
        "cpus": os.cpu_count(),
        "machine": platform.machine(),
        "system": platform.system(),
        "python": sys.version.split()[0],
    }
    found = {
        title: [
            {**asdict(line), "holds": [{**asdict(v), "pass": v.holds} for v in line.holds], "aim_met": line.met}
            for line in lines
        ]
        for title, lines in sections.items()
    }
    path.write_text(json.dumps({"machine": machine, "sections": found}, indent=1, ensure_ascii=False) + "\n")
