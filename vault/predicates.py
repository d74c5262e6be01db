"""How many different yes/no questions a system may ask about one person in a day.

The questions are the catalogue's, thresholds included. But enough of them about one value close in on it, so each
(system, subject, day) has a few, and asking the same one again costs nothing. Counted in the disclosure's own
transaction, under a row lock; a look without predicates never comes here.
"""

from collections.abc import Sequence
from typing import Final, NamedTuple

from sqlalchemy import select, update

from vault.errors import Refused
from vault.store.bulk import insert_or
from vault.store.tables import metadata
from vault.unit import UnitOfWork

MOST_A_DAY: Final = 6
_DAY: Final = 86_400
_TABLE: Final = metadata.tables["predicate_day"]


class Questions(NamedTuple):
    """What one look asks: the system, the subject, and each predicate as `field.predicate`."""

    system_id: str
    subject_id: bytes
    asked: frozenset[str]


def charge(uow: UnitOfWork, looks: Sequence[Questions]) -> list[Refused | None]:
    """Count the questions of each look; a refusal where they do not fit, and then none of its is counted."""
    outcomes: list[Refused | None] = [None] * len(looks)
    # In key order, so that two units that lock the same rows wait for each other instead of deadlocking.
    for place in sorted(range(len(looks)), key=lambda each: (looks[each].subject_id, looks[each].system_id)):
        if looks[place].asked and not _fits(uow, looks[place]):
            outcomes[place] = Refused("predicate_budget")
    return outcomes


def _fits(uow: UnitOfWork, look: Questions) -> bool:
    day = uow.now // _DAY
    key = {"subject_id": look.subject_id, "system_id": look.system_id, "day": day}
    fresh = key | {"shard": uow.vault.shard_of(look.subject_id), "asked": "", "expires_at": (day + 1) * _DAY}
    # First the row, then its lock: whoever else asks about this person now waits here, and then sees what we asked.
    uow.conn.execute(insert_or(uow.conn, _TABLE).on_conflict_do_nothing(), fresh)
    ours = [_TABLE.c[name] == value for name, value in key.items()]
    held = frozenset(uow.conn.execute(select(_TABLE.c.asked).where(*ours).with_for_update()).scalar_one().split())
    asked = held | look.asked
    if len(asked) > MOST_A_DAY:
        return False
    if asked != held:
        uow.conn.execute(update(_TABLE).where(*ours).values(asked=" ".join(sorted(asked))))
    return True
