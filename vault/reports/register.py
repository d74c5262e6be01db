"""The register of requests (GDPR Art. 12(3)): are we on time, who has them, how did they end. No personal data is in it.

In it are the requests of the period: received, closed or still open in it. Days are counted from receipt to close, those
on which the clock stood still too; what is due is what the clock of the law says at the time of the run.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from statistics import median, quantiles
from typing import Final

from sqlalchemy import select

from audit.entry import ActorKind
from audit.reports.lines import told
from audit.reports.table import Body, Cell, Column, Kind, Table, Words, few
from vault.reports.view import View
from vault.requests import records
from vault.requests.records import Request, Wanted
from vault.store.keysets import padded
from vault.store.tables import metadata

COLUMNS: Final = (
    Column("id"),
    Column("brand"),
    Column("right"),
    Column("jurisdiction"),
    Column("source"),
    Column("received", Kind.TIME),
    Column("due", Kind.TIME),
    Column("extended", Kind.FLAG),
    Column("days_left", Kind.NUMBER),
    Column("overdue", Kind.FLAG),
    Column("state"),
    Column("owner"),
    Column("outcome"),
    Column("ground"),
    Column("closed", Kind.TIME),
    Column("days_taken", Kind.NUMBER),
)
LATE: Final[Words] = (
    "Late is what was answered, or still waits for an answer, after it was due.",
    "Est en retard ce qui a reçu réponse, ou attend encore une réponse, après l’échéance.",
)
_DAY: Final = 86_400
_BEFORE_ALL: Final = b"\x00"
_STEP: Final = metadata.tables["request_step"]
_TENTHS: Final = 10


def register(view: View) -> Body:
    """List the requests of the period, the ones due first at the top of each page."""
    table = Table(COLUMNS, view.asked.most)
    counts: Counter[str] = Counter()
    taken: list[int] = []
    for page in _pages(view):
        owners = _owners(view, [each.id for each in page])
        for request in page:
            due = request.due(view.bundle.rights, view.now)
            late = request.is_late(view.bundle.rights, view.now)
            days = None if request.answered_at is None else (request.answered_at - request.clock.received_at) // _DAY
            if days is not None:
                taken.append(days)
            counts.update(("open" if request.is_open else "closed", *(("overdue",) if late else ())))
            counts[f"outcome_{request.outcome.value or 'open'}"] += 1
            table.add(*_row(request, owners.get(request.id, ""), due, view.now, days, late=late))
    told_ = [(name, few(count)) for name, count in sorted(counts.items())]
    return table.body([*told_, *_times(taken)], (LATE,))


def _row(request: Request, owner: str, due: int, now: int, days: int | None, *, late: bool) -> list[Cell]:
    return [
        request.name,
        request.brand,
        request.right.value,
        request.jurisdiction,
        request.source.value,
        told(request.clock.received_at),
        told(due),
        request.clock.extended,
        (due - now) // _DAY if request.is_owed else 0,
        late,
        request.state.value,
        owner,
        request.outcome.value,
        "" if request.ground is None else request.ground.value,
        "" if request.closed_at is None else told(request.closed_at),
        0 if days is None else days,
    ]


def _times(taken: Sequence[int]) -> list[tuple[str, Cell]]:
    """Return median and 90th percentile of the days taken: of fewer than five requests they would tell one's."""
    if len(taken) < 5:  # noqa: PLR2004 - audit.reports.table.LEAST
        return [("median_days", "too few"), ("p90_days", "too few")]
    return [("median_days", round(median(taken))), ("p90_days", round(quantiles(taken, n=_TENTHS)[-1]))]


def _pages(view: View) -> Iterator[list[Request]]:
    asked, after = view.asked, _BEFORE_ALL
    while True:
        wanted = Wanted(brand=asked.brand or None, received_until=asked.until, after=after)
        page = records.listed(view.conn, wanted)
        if not page:
            return
        after = page[-1].id
        yield sorted(
            (each for each in page if each.is_open or (each.closed_at or 0) >= asked.since),
            key=lambda each: each.due_at,
        )


def _owners(view: View, requests: Sequence[bytes]) -> dict[bytes, str]:
    """Name the officer who did the last step of each request."""
    if not requests:
        return {}
    rows = view.conn.execute(
        select(_STEP.c.request_id, _STEP.c.actor_id)
        .where(_STEP.c.request_id.in_(padded(requests)), _STEP.c.actor_kind == ActorKind.OFFICER)
        .order_by(_STEP.c.number)
    )
    return {row.request_id: row.actor_id for row in rows}
