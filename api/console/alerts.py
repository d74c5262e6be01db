"""Alerts: what volumes, refusals, nights and honey subjects point at, each with its decision or a form for one."""

from collections.abc import Mapping
from typing import Final

from starlette.responses import Response

from api.console import filters
from api.console.visit import PREFIX, Visit
from api.pages.terms import FINDINGS
from api.problems import Problem
from audit.reports.table import Cell
from vault import alerts
from vault.alerts import Finding
from vault.errors import Conflict, UnknownReport
from vault.officers import Role

PATH: Final = f"{PREFIX}/alerts"
DECIDES: Final = frozenset({Role.COMPLIANCE, Role.APPROVER})


def page(visit: Visit) -> Response:
    """Show what there is to look at, what is undecided first. That it was looked at is recorded."""
    visit.unsealed()
    report, found = alerts.found(visit.vault, visit.actor)
    return visit.page(
        "alerts.html",
        alerts=[(each, _where(each.row)) for each in found],
        report=report,
        days=alerts.DAYS,
        decides=visit.officer.role in DECIDES,
        findings=[(each.value, visit.language.say(FINDINGS[each.value])) for each in Finding],
    )


def decide(visit: Visit) -> Response:
    """Put a decision about one on record."""
    visit.unsealed()
    try:
        finding = Finding(visit.form.get("finding", ""))
        alerts.decide(visit.vault, visit.form.get("alert", ""), finding, visit.actor)
    except ValueError:
        raise Problem("bad_request") from None
    except UnknownReport:
        raise Problem("not_found") from None
    except Conflict:
        raise Problem("conflict") from None
    return visit.go(PATH, done="decided")


def _where(row: Mapping[str, Cell]) -> str:
    """Return where the lines stand that an alert is about: its entry, or what its actor did that day."""
    index = row["entry"]
    if isinstance(index, int) and index >= 0:
        return f"{PREFIX}/log/{index}"
    day = str(row["when"])[:10]
    return filters.link(f"{PREFIX}/log", {"actor": str(row["actor"]), "since": day, "until": day})
