"""The review of volumes and single cases, with what no entry says: the policies in force, and who is erased in part."""

from collections.abc import Callable
from dataclasses import replace
from functools import lru_cache
from typing import Final

from sqlalchemy import bindparam, select

from audit.reports import anomalies
from audit.reports.cases import BEFORE_ERASURE
from audit.reports.highlight import Beside, Leaving
from audit.reports.table import Body
from policies.purposes import Purpose
from vault.keys.service import Slot
from vault.reports.processing import opens
from vault.reports.view import View
from vault.store.tables import metadata

_DAY: Final = 86_400
_PAGE: Final = 1_000
_ERASURE: Final = metadata.tables["erasure"]
_SUBJECT: Final = metadata.tables["subject"]
_LEAVING: Final = (
    select(_ERASURE.c.id, _ERASURE.c.requested_at, _SUBJECT.c.log_slot, _SUBJECT.c.log_generation, _SUBJECT.c.log_key)
    .join(_SUBJECT, _SUBJECT.c.id == _ERASURE.c.subject_id)
    .where(
        _ERASURE.c.cause == "request",  # what goes because its time is over was nobody's wish
        _ERASURE.c.requested_at >= bindparam("since"),
        _ERASURE.c.requested_at < bindparam("until"),
        _ERASURE.c.id > bindparam("after"),
    )
    .order_by(_ERASURE.c.id)
    .limit(_PAGE)
)


def review(view: View) -> Body:
    """Review the period asked for, beside the days before it."""
    asked = view.asked
    since = max(0, asked.since - anomalies.BASELINE_DAYS * _DAY)
    lines = view.lines(anomalies.ACTS, replace(asked, since=since))
    return anomalies.anomalies(lines, view.actors, asked, Beside(_opening(view), _leaving(view), view.now))


def _opening(view: View) -> Callable[[str, str], bool]:
    purposes: dict[str, Purpose] = {each.key: each for each in view.bundle.purposes.every}
    catalogue = view.bundle.catalogue

    @lru_cache(maxsize=4096)
    def opening(purpose: str, name: str) -> bool:
        field, _, level = name.partition(":")
        return opens(catalogue, purposes.get(purpose), field, level.partition(":")[0])

    return opening


def _leaving(view: View) -> tuple[Leaving, ...]:
    """Open the log keys of people who asked for an erasure in the period and are not gone."""
    period = {"since": view.asked.since, "until": view.asked.until + BEFORE_ERASURE}
    found: list[Leaving] = []
    after = b""
    while rows := view.conn.execute(_LEAVING, period | {"after": after}).all():
        after = rows[-1].id
        keys = view.vault.keys.unwrap([(Slot(row.log_slot, row.log_generation), row.log_key) for row in rows])
        # A key that does not open is of somebody whose erasure as a whole has begun.
        found += [Leaving(key, row.requested_at) for row, key in zip(rows, keys, strict=True) if key is not None]
    return tuple(found)
