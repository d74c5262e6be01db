"""The first page: what waits for somebody, what is amiss, and what the last day brought. Shows nothing about anybody."""

from typing import Final

from starlette.responses import Response

from api.console.menu import HANDLERS, READERS
from api.console.visit import Visit
from audit.entry import Act
from audit.reports.glance import glance
from audit.reports.lines import vouched
from vault import budgetraises
from vault.erasure import progress
from vault.governance import cases, proposals, versions
from vault.governance.cases import State as CaseState
from vault.governance.versions import State as VersionState
from vault.requests import records
from vault.unit import Vault

_DAY: Final = 86_400
_HOUR: Final = 3600
_WEEK: Final = 7 * _DAY
_MOST_LOUD: Final = 10
_LOUD: Final = (Act.SYSTEM_FROZEN, Act.BREAKGLASS_DISCLOSED, Act.KEYS_SEALED, Act.DEPLOYMENT_RESTORED)


def page(visit: Visit) -> Response:
    """Show the day."""
    vault, now = visit.vault, visit.now
    with vault.reading() as conn:
        logs = vouched(conn)
        waiting = _waiting(vault, now)
        seen = glance(conn, logs, max(0, now - _DAY), now + 1, _LOUD, _MOST_LOUD)
    return visit.page(
        "today.html",
        waiting=waiting,
        logs=logs,
        entries=seen.entries,
        refused=seen.refused,
        loud=seen.loud,
        hours=[(f"{hour:02}:00", seen.hours[hour]) for hour in _last_hours(now)],
        erasures=progress.counted(vault),
        handles=visit.officer.role in HANDLERS,
        alerts_page=visit.officer.role in READERS | HANDLERS,
        open=visit.services.sealing is None or visit.services.sealing.open,
    )


def _waiting(vault: Vault, now: int) -> dict[str, int]:
    """Count what waits for an officer."""
    with vault.reading() as conn:
        found = cases.listed(conn)
        due, late = records.due(conn, vault.bundle.rights, now, now + _WEEK)
        return {
            "requests_due": due,
            "requests_late": late,
            "cases": sum(
                each.state is CaseState.ASKED and each.asked_at + cases.WAITING_SECONDS > now for each in found
            ),
            "reviews": len(
                [
                    each
                    for each in found
                    if (at := each.review_due_at()) is not None and at - cases.REVIEW_SECONDS <= now
                ]
            ),
            "reviews_late": sum((at := each.review_due_at()) is not None and at <= now for each in found),
            "versions": sum(each.state is VersionState.DRAFT for each in versions.listed(conn)),
            "raises": sum(
                each.state is proposals.State.PROPOSED and each.proposed_at + proposals.WAITING_SECONDS > now
                for each in budgetraises.listed(conn)
            ),
        }


def _last_hours(now: int) -> list[int]:
    return [(now // _HOUR - back) % 24 for back in range(23, -1, -1)]
