"""The review of volumes and single cases, with what no entry says: the policies in force, and who is erased in part."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import lru_cache
from typing import Final

from sqlalchemy import Connection, bindparam, func, select

from audit.reports import anomalies
from audit.reports.cases import BEFORE_ERASURE
from audit.reports.highlight import Beside, Leaving
from audit.reports.table import Body
from policies.purposes import Purpose
from vault.reports.processing import opens
from vault.reports.view import View
from vault.store.keysets import padded
from vault.store.tables import metadata

_DAY: Final = 86_400
_PAGE: Final = 1_000
_ERASURE: Final = metadata.tables["erasure"]
_RELATION: Final = metadata.tables["relation"]
_LEAVING: Final = (
    select(_ERASURE.c.id, _ERASURE.c.requested_at, _ERASURE.c.subject_id, func.min(_RELATION.c.brand).label("brand"))
    .join(_RELATION, _RELATION.c.subject_id == _ERASURE.c.subject_id)
    .where(
        _ERASURE.c.cause == "request",  # what goes because its time is over was nobody's wish
        _ERASURE.c.requested_at >= bindparam("since"),
        _ERASURE.c.requested_at < bindparam("until"),
        _ERASURE.c.id > bindparam("after"),
    )
    .group_by(_ERASURE.c.id, _ERASURE.c.requested_at, _ERASURE.c.subject_id)
    .order_by(_ERASURE.c.id)
    .limit(_PAGE)
)
_ASKED: Final = select(_ERASURE.c.subject_id).where(
    _ERASURE.c.cause == "request", _ERASURE.c.subject_id.in_(bindparam("subjects", expanding=True))
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
        for brand in sorted({row.brand for row in rows}):
            mine = [row for row in rows if row.brand == brand]
            keys = view.log_keys(brand, [bytes(row.subject_id) for row in mine])
            # A key that does not open is of somebody whose erasure as a whole has begun.
            found += [Leaving(key, row.requested_at) for row, key in zip(mine, keys, strict=True) if key is not None]
    return tuple(found)


def erased_in_part(conn: Connection, subjects: Sequence[bytes]) -> set[bytes]:
    """Return those of the people who asked for an erasure and are not gone: of nobody else does the review need a key."""
    return {bytes(each) for each in conn.scalars(_ASKED, {"subjects": padded(subjects)})} if subjects else set()
