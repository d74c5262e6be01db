"""The first page: what waits for somebody, what is amiss, and what the last day brought. Shows nothing about anybody."""

from collections import Counter
from typing import Final

from starlette.responses import Response

from api.console.menu import HANDLERS, READERS
from api.console.visit import Visit
from audit.entry import Act, Outcome
from audit.reports.lines import lines, vouched
from vault import budgetraises
from vault.erasure import progress
from vault.governance import cases, proposals, versions
from vault.governance.cases import State as CaseState
from vault.governance.versions import State as VersionState
from vault.requests import records
from vault.requests.records import Wanted
from vault.unit import Vault

_DAY: Final = 86_400
_HOUR: Final = 3600
_WEEK: Final = 7 * _DAY
_LOUD: Final = (Act.SYSTEM_FROZEN, Act.BREAKGLASS_DISCLOSED, Act.KEYS_SEALED, Act.DEPLOYMENT_RESTORED)


def page(visit: Visit) -> Response:
    """Show the day."""
    vault, now = visit.vault, visit.now
    with vault.reading() as conn:
        logs = vouched(conn)
        waiting = _waiting(vault, now)
        hours: Counter[int] = Counter()
        acts: Counter[str] = Counter()
        refused = 0
        loud = []
        for line in lines(conn, logs, max(0, now - _DAY), now + 1):
            content = line.content
            acts[content["act"]] += 1
            hours[int(line.at[11:13])] += 1
            refused += content["out"] == Outcome.DENY
            if content["act"] in _LOUD:
                loud.append(line)
    return visit.page(
        "today.html",
        waiting=waiting,
        logs=logs,
        entries=sum(acts.values()),
        refused=refused,
        loud=list(reversed(loud))[:10],
        hours=[(f"{hour:02}:00", hours[hour]) for hour in _last_hours(now)],
        erasures=progress.counted(vault),
        alerts_page=visit.officer.role in READERS | HANDLERS,
        open=visit.services.sealing is None or visit.services.sealing.open,
    )


def _waiting(vault: Vault, now: int) -> dict[str, int]:
    """Count what waits for an officer."""
    with vault.reading() as conn:
        found = cases.listed(conn)
        rights = vault.bundle.rights
        due = [each for each in records.listed(conn, Wanted(owed_only=True)) if each.due(rights, now) < now + _WEEK]
        return {
            "requests_due": len(due),
            "requests_late": sum(each.due(rights, now) < now for each in due),
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
            "reviews_late": len(cases.overdue(conn, now)),
            "versions": sum(each.state is VersionState.DRAFT for each in versions.listed(conn)),
            "raises": sum(
                each.state is proposals.State.PROPOSED and each.proposed_at + proposals.WAITING_SECONDS > now
                for each in budgetraises.listed(conn)
            ),
        }


def _last_hours(now: int) -> list[int]:
    return [(now // _HOUR - back) % 24 for back in range(23, -1, -1)]
