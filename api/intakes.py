"""The batch functions of an import: begin under a token, take in chunk by chunk, note the end."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from api import trail
from api.acts import guarded
from api.bodies.consents import ConsentGiven
from api.bodies.imports import ImportRow
from api.events import event_given
from api.problems import error_body
from api.rows import Read
from audit.entry import Act, Asker, Entry, Outcome
from vault import imports, tokens
from vault.consents import ConsentEvent
from vault.errors import Refused, VaultError
from vault.imports import Row, Taken
from vault.subjects import Holding, NewSubject
from vault.systems import SystemRecord
from vault.tokens import Session
from vault.unit import UnitOfWork, settled

Importing = Session
"""A session that was let in to import. Each chunk asks again whether its token still lives."""


@dataclass(frozen=True, slots=True)
class Chunk:
    """Some rows of an import, as read."""

    session: Importing
    key: str = field(repr=False)
    reads: tuple[Read, ...]


@dataclass(frozen=True, slots=True)
class Completed:
    """The end of one import request and how many rows it brought."""

    session: Importing
    count: int


def _begin(uow: UnitOfWork, asked: Sequence[tuple[Session, str]]) -> list[Importing | VaultError]:
    for session, _ in asked:
        uow.record(Entry(Act.IMPORT_STARTED, Outcome.ALLOW, trail.actor_of(session)))
    return [session for session, _ in asked]


def _complete(uow: UnitOfWork, ended: Sequence[Completed]) -> list[VaultError | None]:
    for each in ended:
        uow.record(Entry(Act.IMPORT_COMPLETED, Outcome.ALLOW, trail.actor_of(each.session), n=each.count))
    return [None for _ in ended]


def _take_in(uow: UnitOfWork, chunks: Sequence[Chunk]) -> list[list[dict[str, Any]] | VaultError]:
    results: list[list[dict[str, Any]] | VaultError] = []
    for chunk in chunks:
        # An import may outlast its token, its system or its scope: nothing more is taken in then.
        living = tokens.introspect(uow, chunk.session.token_hash)
        results.append(
            Refused("invalid_token", "token_ended")
            if living is None
            else take_in_rows(uow, living.system, chunk.key, chunk.reads, asker=trail.asker_of(chunk.session))
        )
    return results


def take_in_rows(
    uow: UnitOfWork,
    system: SystemRecord,
    key: str,
    reads: Sequence[Read],
    *,
    honey: bool = False,
    asker: Asker | None = None,
) -> list[dict[str, Any]]:
    """Take in rows as one system, and shape an answer per row: what the HTTP route and the command line share.

    `asker` is who stands behind the system, if it named them.
    """
    answers: list[dict[str, Any] | None] = [None] * len(reads)
    shaped: list[tuple[int, Row]] = []
    for place, read in enumerate(reads):
        new = None if read.row is None else _subject(system, read.row, honey=honey, asker=asker)
        if read.row is None or new is None:
            answers[place] = {"ref": read.ref, "status": "refused", "code": read.code or "foreign_brand"}
        else:
            shaped.append((place, Row(read.ref, read.content, new)))
    taken = imports.take_in(uow, system.id, key, [row for _, row in shaped])
    for (place, row), outcome in zip(shaped, taken, strict=True):
        if isinstance(outcome, Taken):
            status = "existing" if outcome.before else "created"
            answers[place] = {"ref": row.ref, "status": status, "references": dict(outcome.references)}
        else:
            problem = error_body(outcome, "")
            answers[place] = {
                "ref": row.ref,
                "status": "refused",
                "code": problem["code"],
                "fields": problem.get("fields", []),
            }
    return [answer for answer in answers if answer is not None]


def _subject(system: SystemRecord, row: ImportRow, *, honey: bool, asker: Asker | None) -> NewSubject | None:
    """Shape a row's subject; None if it holds values for a brand this system may not import for."""
    holdings: tuple[Holding, ...]
    if row.fields is not None:
        holdings = (Holding(system.brand, row.fields, _events(row.consents)),)
    else:
        holdings = tuple([Holding(each.brand, each.fields, _events(each.consents)) for each in row.holdings])
    if not {each.brand for each in holdings} <= system.brands:
        return None
    return NewSubject(system.id, row.region, holdings, honey, asker=asker)


def _events(given: Sequence[ConsentGiven]) -> tuple[ConsentEvent, ...]:
    return tuple([event_given(each) for each in given])


begin = guarded("import", _begin)
take_in = settled(_take_in)
complete = settled(_complete)
