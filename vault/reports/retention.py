"""What must go next (GDPR 5(1)(e)): compartments over their time or soon to be, by category, and what keeps them.

The same rule as the sweep (`vault.erasure.retention`): time counts from a compartment's last write. Counted in the
database, so that a million people cost one scan of their compartments. `until` of the filter is how far to look ahead.
"""

from typing import Any, Final

from sqlalchemy import and_, exists, func, or_, select

from audit.reports.lines import told
from audit.reports.table import Body, Column, Kind, Table, Words, total
from policies.catalogue import Category
from vault.compartments import ACTIVE
from vault.erasure.keeping import DAY, EVERY_CATEGORY
from vault.reports.view import View
from vault.store.tables import metadata

COLUMNS: Final = (
    Column("category"),
    Column("rule"),
    Column("counts_from"),
    Column("due_now", Kind.COUNT),
    Column("oldest_due", Kind.TIME),
    Column("due_until_end", Kind.COUNT),
    Column("held", Kind.COUNT),
    Column("kept_by_law", Kind.COUNT),
    Column("law"),
    Column("free_to_go", Kind.COUNT),
)
NOTE: Final[Words] = (
    (
        "What is held or kept by law is told of what is due now. The sweep (ecrin retention) requests the erasure of what is "
        "free to go."
    ),
    (
        "Ce qui est suspendu ou conservé par la loi est compté dans ce qui est échu à ce jour. Le passage de conservation (ecrin "
        "retention) demande l’effacement de ce qui peut partir."
    ),
)

_COMPARTMENT: Final = metadata.tables["compartment"]
_HOLD: Final = metadata.tables["hold"]


def retention(view: View) -> Body:
    """Count by category what is due at the time of the run, and what will be by the end of the period."""
    table = Table(COLUMNS, view.asked.most)
    due = []
    for category in view.bundle.catalogue.categories:
        row = view.conn.execute(_counts(category, view.now, max(view.now, view.asked.until))).one()
        law = category.legal_retention
        free = row.due - row.held - row.lawful
        due.append(row.due)
        if not (row.due or row.soon):
            continue
        over_at = "" if row.oldest is None else told(row.oldest + category.retention_days * DAY)
        table.add(
            category.name,
            f"{category.retention_days} days",
            "last write",
            row.due,
            over_at,
            row.soon,
            row.held,
            row.lawful,
            "" if law is None else f"{law.basis} ({law.days} days)",
            free,
        )
    return table.body([("due_now", total(due))], (NOTE,))


def _counts(category: Category, now: int, until: int) -> Any:
    written = _COMPARTMENT.c.written_at
    due = written <= now - category.retention_days * DAY
    held = exists().where(
        _HOLD.c.subject_id == _COMPARTMENT.c.subject_id,
        _HOLD.c.released_at.is_(None),
        or_(_HOLD.c.category_id == EVERY_CATEGORY, _HOLD.c.category_id == category.id),
    )
    days = 0 if category.legal_retention is None else category.legal_retention.days
    lawful = written > now - days * DAY
    return select(
        func.count().filter(due).label("due"),
        func.min(written).filter(due).label("oldest"),
        func.count().filter(and_(~due, written <= until - category.retention_days * DAY)).label("soon"),
        func.count().filter(and_(due, held)).label("held"),
        func.count().filter(and_(due, ~held, lawful)).label("lawful"),
    ).where(
        _COMPARTMENT.c.category_id == category.id,
        _COMPARTMENT.c.state == ACTIVE,
        written <= until - category.retention_days * DAY,
    )
