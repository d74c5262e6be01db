"""An opened vault for the length of one command, and how the command line names who acts."""

from collections.abc import Iterator
from contextlib import contextmanager

from api import bootstrap
from api.settings import load
from audit.entry import Actor, ActorKind
from vault.unit import Vault

OPERATOR = Actor(ActorKind.VAULT, "operator")
"""Whoever may run this command on the host: the log cannot know more than that."""


@contextmanager
def opened() -> Iterator[Vault]:
    """Open the vault that the environment describes, and close it again."""
    vault = bootstrap.open_from(load())
    try:
        yield vault
    finally:
        vault.close()
