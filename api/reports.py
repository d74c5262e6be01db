"""The acts of a brand's system on reports: ask for one of its own brand's entries, follow it, take it away signed."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from api import trail
from api.acts import Answer, guarded, once
from audit.reports.asked import Asked
from vault.errors import InvalidReport, UnknownReport, VaultError
from vault.reports import runs
from vault.reports.runs import Run
from vault.staff import staff_told
from vault.tokens import Session
from vault.unit import UnitOfWork


@dataclass(frozen=True, slots=True)
class Wish:
    """A report as a system asks for it; the members are those of the body."""

    report: str
    since: int
    until: int
    system: str
    purpose: str
    staff: str = field(repr=False)
    upto: int
    most: int


def _ask(uow: UnitOfWork, asked: Sequence[tuple[Session, Wish]]) -> list[Answer | VaultError]:
    answers: list[Answer | VaultError] = []
    for session, wish in asked:
        # Of its own brand alone, whatever it asks for: other brands are other controllers.
        brand = session.system.brand
        try:
            member = staff_told(uow.vault.keys, brand, wish.staff)
            period = Asked(
                wish.since,
                wish.until,
                brand,
                wish.system,
                wish.purpose,
                staff=member,
                most=wish.most,
                upto=wish.upto,
            )
            run_id = runs.enqueue(uow, wish.report, period, trail.actor_of(session))
            answers.append(told(runs.find(uow.conn, run_id)))
        except ValueError:
            answers.append(InvalidReport())
        except VaultError as error:
            answers.append(error.with_traceback(None))
    return answers


def _own(uow: UnitOfWork, session: Session, run_id: str) -> Run:
    run = runs.find(uow.conn, bytes.fromhex(run_id))
    if run.actor != trail.actor_of(session):
        raise UnknownReport
    return run


def _follow(uow: UnitOfWork, asked: Sequence[tuple[Session, str]]) -> list[Answer | VaultError]:
    answers: list[Answer | VaultError] = []
    for session, run_id in asked:
        try:
            answers.append(told(_own(uow, session, run_id)))
        except VaultError as error:
            answers.append(error.with_traceback(None))
    return answers


def _take(uow: UnitOfWork, asked: Sequence[tuple[Session, str]]) -> list[bytes | VaultError]:
    answers: list[bytes | VaultError] = []
    for session, run_id in asked:
        try:
            run = _own(uow, session, run_id)
            answers.append(runs.take(uow, run.id, trail.actor_of(session)).json)
        except VaultError as error:
            answers.append(error.with_traceback(None))
    return answers


def told(run: Run) -> dict[str, Any]:
    """Tell how far a report has come."""
    return {
        "id": run.id.hex(),
        "report": run.name,
        "filter": dict(run.filter),
        "state": run.state.value,
        "seen": run.seen,
        "size": run.size,
        "created_at": run.created_at,
        "finished_at": run.finished_at or None,
        "expires_at": run.expires_at,
        "problem": run.problem,
    }


wishes = guarded("audit.read", once(_ask))
standings = guarded("audit.read", _follow)
documents = guarded("audit.read", _take)
