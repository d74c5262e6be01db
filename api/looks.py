"""A look: one subject's fields asked for under a disclosure token, and what is found out about it on its way.

The stages that it goes through are those of `api.pipeline`.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Generic, NamedTuple, TypeVar

from policies.decision import Grant
from policies.levels import Level
from policies.model import Decision, Wanted
from vault import tokens
from vault.errors import VaultError
from vault.facts import Known
from vault.tokens import Credential, Session

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Call(Generic[T]):
    """One request: who claims to ask, the external request id, and what is asked."""

    credential: Credential
    request_id: str
    asked: T = field(repr=False)


@dataclass(frozen=True, slots=True)
class Look:
    """A disclosure asked for: one subject (None: the token's only one), narrowed to some fields or not.

    `only` names the levels that what is asked must be at, where it shall leave as an attestation.
    """

    reference: str | None = field(repr=False)
    fields: tuple[str, ...] | None
    only: frozenset[Level] | None = None


class Given(NamedTuple):
    """A look that was granted, before the commit: by which session, about whom, what, and the subject's log key."""

    session: Session
    named: tokens.Named
    decision: Decision
    log_key: bytes | None

    def __repr__(self) -> str:
        return "Given(…)"


@dataclass(slots=True)
class Item:
    """One look on its way through the stages. `error` ends it; what stands before it stays in the log."""

    call: Call[tuple[Look, ...]]
    look: Look
    session: Session | None = None
    reference: str = field(default="", repr=False)
    subject: bytes | None = None
    named: tokens.Named | None = None
    known: Known | None = None
    wanted: tuple[Wanted, ...] = ()
    known_on: date | None = None
    decision: Decision | None = None
    grant: Grant | None = None
    entry: bytes = b""
    trace: tuple[bytes | None, bytes] = field(
        default=(None, b""), repr=False
    )  # the subject's log key and the hidden request id
    error: VaultError | None = None


def going(items: Sequence[Item]) -> list[tuple[Item, Session]]:
    """Return the looks that nothing has ended yet, with their sessions."""
    return [(item, item.session) for item in items if item.error is None and item.session is not None]
