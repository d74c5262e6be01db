"""Measure what design §12 promises, print it beside the comparisons of the same run, and keep it in `bench.json`.

    python -m tests.bench [--quick] [--only envelopes,keys,keystores,erasures,…] [--engine sqlite,postgresql] [--json FILE]

Nothing here asserts a speed: bounds are printed with what was measured, and a reader decides.
"""

import argparse
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from tests.bench import (
    decisions,
    deployments,
    disclosures,
    envelopes,
    erasures,
    evidence,
    imports,
    keyholder,
    keystores,
    machine,
    report,
    reports,
    tokens,
)
from tests.bench.deployments import Deployment
from tests.bench.report import Line
from tests.throwaway_postgres import PostgresUnavailable, ThrowawayPostgres

PARTS = (
    "envelopes", "keys", "keystores", "erasures", "reports", "decisions", "disclosures", "tokens", "imports", "evidence",
)  # fmt: skip
ALONE = {
    "envelopes": ("Seal and open in process, per value", envelopes.measure),
    "keys": ("Key holder", keyholder.measure),
    "keystores": ("Keystore of a group", keystores.measure),
    "erasures": ("Erasure of people, SQLite", erasures.measure),
    "reports": ("Reports and evidence over a long log, SQLite", reports.measure),
    "decisions": ("Decisions in process", decisions.measure),
}
ENGINES = ("sqlite", "postgresql")


@contextmanager
def deployment(engine: str) -> Iterator[Deployment]:
    """A fresh vault on one engine; everything of it is gone afterwards."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="ecrin-bench-")))
        if engine == "sqlite":
            yield stack.enter_context(deployments.sqlite(folder))
            return
        cluster = stack.enter_context(ThrowawayPostgres())
        yield stack.enter_context(deployments.postgresql(folder, cluster))


def main() -> int:
    """Run the chosen parts."""
    parser = argparse.ArgumentParser(prog="tests.bench", description=__doc__.partition("\n")[0])
    parser.add_argument("--quick", action="store_true", help="one short run each: shows that it works, not how fast")
    parser.add_argument("--only", type=_words(PARTS), default=PARTS, help=f"of {','.join(PARTS)}")
    parser.add_argument("--engine", type=_words(ENGINES), default=ENGINES, help=f"of {','.join(ENGINES)}")
    parser.add_argument("--json", type=Path, default=Path("bench.json"), help="where to keep the numbers")
    options = parser.parse_args()

    sections: dict[str, list[Line]] = {}

    def section(title: str, lines: list[Line]) -> None:
        sections[title] = lines
        report.show(title, lines)
        report.write(options.json, sections)

    if machine.busy():
        sys.stderr.write("warning: others are at work on this machine; do not keep these numbers\n")
    section("Machine", machine.measure())
    for name, (title, measured) in ALONE.items():
        if name in options.only:
            section(title, measured(quick=options.quick))
    floor = None
    if "disclosures" in options.only:
        floor = disclosures.bare(quick=options.quick)
        line = Line("bare FastAPI route, one process", floor.rate, "/s", p50_ms=floor.p50_ms, p99_ms=floor.p99_ms)
        section("Floor", [line])
    for engine in options.engine:
        try:
            if floor is not None:
                with deployment(engine) as made:
                    section(
                        f"Disclosure over HTTP, {made.engine}", disclosures.measure(made, floor, quick=options.quick)
                    )
            if "tokens" in options.only:
                with deployment(engine) as made:
                    section(f"Tokens over HTTP, {made.engine}", tokens.measure(made, quick=options.quick))
            if "imports" in options.only:
                with deployment(engine) as made, deployments.serving(made):
                    section(f"Import over HTTP, {made.engine}", imports.measure(made, quick=options.quick))
        except PostgresUnavailable as missing:
            sys.stderr.write(f"not measured: {engine}: {missing}\n")
    _log(options.engine if "evidence" in options.only else (), section, quick=options.quick)
    return 0


def _log(engines: tuple[str, ...], section: Callable[[str, list[Line]], None], *, quick: bool) -> None:
    if engines:
        section("The log, offline", evidence.verifying(quick=quick))
    for engine in engines:
        try:
            with deployment(engine) as made:
                section(f"The log, {made.engine}", evidence.measure(made, quick=quick))
        except PostgresUnavailable as missing:
            sys.stderr.write(f"not measured: {engine}: {missing}\n")


def _words(known: tuple[str, ...]) -> Callable[[str], tuple[str, ...]]:
    def parse(text: str) -> tuple[str, ...]:
        words = tuple(text.split(","))
        if not set(words) <= set(known):
            raise argparse.ArgumentTypeError(f"choose of {','.join(known)}")
        return words

    return parse


if __name__ == "__main__":
    sys.exit(main())
