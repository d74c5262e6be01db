"""What the log holds of one person: every entry that bears their pseudonym. To look is itself an entry, under it too."""

from collections import deque
from typing import Final

from audit.entry import Act, Actor, Entry, Outcome
from audit.reports.asked import Actors, Asked
from audit.reports.lines import Line, lines, vouched
from vault import locked
from vault.errors import UnknownReference
from vault.unit import Vault

MOST: Final = 500  # of the newest


def timeline(vault: Vault, brand: str, reference: str, since: int, actor: Actor) -> tuple[list[Line], int]:
    """Return the newest lines about a person from `since` (UTC seconds) on, the newest first, and how many are older.

    The look is durable in the log before anything is returned. Raises `UnknownReference`.
    """
    with vault.unit() as uow:
        (row,) = locked.by_reference(uow, [(brand, reference)])
        if isinstance(row, UnknownReference):
            raise row
        entry = Entry(Act.AUDIT_VIEWED, Outcome.ALLOW, actor, pol=("audit.subject",))
        uow.record(entry, log_key=row.log_key)
        uow.commit()
    asked = Asked(since, vault.clock.now() + 1)
    person = Actors({}, row.log_key)
    count, newest = 0, deque[Line](maxlen=MOST)
    with vault.reading() as conn:
        for line in lines(conn, vouched(conn), asked.since, asked.until):
            if person.concern(line, asked):
                count += 1
                newest.append(line)
    return list(reversed(newest)), count - len(newest)
