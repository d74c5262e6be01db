"""Alerts: what the review of volumes and honey subjects points at, and what an officer decided about each.

An alert is computed from the log whenever somebody looks (`audit.reports.anomalies`) and kept nowhere. A decision is an
entry of the log, so that who waved something through is as provable as the thing itself; it names the alert by a digest of
its rule, its actor, its time, its entry and what in it is meant, which hold nothing of a person.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from hashlib import sha256
from typing import Final

from sqlalchemy import Connection

from audit import ledger
from audit.entry import Act, Actor, Entry, Outcome
from audit.reports.asked import Asked
from audit.reports.document import Report
from audit.reports.lines import lines, vouched
from audit.reports.table import Cell
from vault.errors import Conflict, UnknownReport
from vault.reports import running
from vault.unit import Vault

DAYS: Final = 30
_DAY: Final = 86_400
_PREFIX: Final = "alert:"
_NONE: Final = "none"  # the severity of what is as usual


class Finding(StrEnum):
    """What an officer found."""

    EXPLAINED = "explained"  # it was the work of that day
    MISTAKEN = "mistaken"  # the rule pointed at nothing
    DEALT_WITH = "dealt_with"  # it was wrong, and something was done


@dataclass(frozen=True, slots=True)
class Decision:
    """What was decided, by whom, when (as the log writes it), in which entry."""

    finding: str
    officer: str
    at: str
    index: int


@dataclass(frozen=True, slots=True)
class Alert:
    """One alert: the report's row by column, and the decision if there is one."""

    name: str
    row: Mapping[str, Cell]
    decision: Decision | None


def found(vault: Vault, actor: Actor) -> tuple[Report, list[Alert]]:
    """Review the last days, on record, and return the signed report with what it points at, undecided ones first."""
    now = vault.clock.now()
    asked = Asked(max(0, now - DAYS * _DAY), now + 1)
    report = running.run(vault, "anomalies", asked, actor)
    with vault.reading() as conn:
        decided = _decided(conn, asked)
    names = [each.name for each in report.body.columns]
    rows = [dict(zip(names, row, strict=True)) for row in report.body.rows]
    told = [Alert(name, row, decided.get(name)) for row in rows if row["severity"] != _NONE for name in (_name(row),)]
    return report, sorted(told, key=lambda each: each.decision is not None)


def decide(vault: Vault, name: str, finding: Finding, actor: Actor) -> None:
    """Put a decision about an alert on record. Raises `UnknownReport` for none that stands, `Conflict` for one decided on."""
    _, alerts = found(vault, actor)
    alert = next((each for each in alerts if each.name == name), None)
    if alert is None:
        raise UnknownReport
    if alert.decision is not None:
        raise Conflict("alert")
    said = (f"{_PREFIX}{name}", f"rule:{alert.row['rule']}", f"finding:{finding}")
    with vault.unit() as uow:
        uow.record(Entry(Act.ALERT_REVIEWED, Outcome.ALLOW, actor, pol=said))
        uow.commit()


def _decided(conn: Connection, asked: Asked) -> dict[str, Decision]:
    """Return the decisions of the period by alert. Of two that were made in the same moment the first counts."""
    # To the head and not to the checkpoint: what was decided a moment ago is decided.
    logs = tuple(replace(each, size=ledger.head(conn, each.shard).size) for each in vouched(conn))
    decided: dict[str, Decision] = {}
    for line in lines(conn, logs, asked.since, asked.until, {Act.ALERT_REVIEWED}):
        said = dict(each.partition(":")[::2] for each in line.content.get("pol", ()))
        made = Decision(said.get("finding", ""), line.content["actor"]["id"], line.at, line.idx)
        decided.setdefault(said.get("alert", ""), made)
    return decided


def _name(row: Mapping[str, Cell]) -> str:
    # One entry may show a rule twice, of two fields: then what it is about tells them apart.
    columns = ("rule", "actor", "when", "entry", *(["about"] if row["about"] else []))
    told = "\n".join(str(row[column]) for column in columns)
    return sha256(told.encode()).hexdigest()[:32]
