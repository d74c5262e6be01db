"""`ecrin audit`: its commands, from the modules that have them."""

import typer

from api.cli import evidence, logkeys, pruning, reconciling


def install(app: typer.Typer) -> None:
    """Add the commands."""
    for each in (reconciling, logkeys, pruning):
        each.install(evidence.group)
    app.add_typer(evidence.group, name="audit")
