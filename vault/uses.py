"""Uses of a disclosure token, counted per subject and never below zero.

A use is counted in the unit of work of the disclosure it paid for. The statements are plain text for the reason given in
`vault.proofs`.
"""

from collections import Counter
from collections.abc import Sequence
from functools import cache
from itertools import chain
from typing import Final

from sqlalchemy import Connection, and_, select, update

from vault.store.keysets import padded
from vault.store.lookup import run, run_many
from vault.store.tables import metadata
from vault.unit import UnitOfWork

_HELD: Final = metadata.tables["token_subject"]
_CHUNK: Final = 1000  # pairs per statement; SQLite takes 32,766 parameters

# The rows are locked in key order with their newest counts, and the UPDATE then meets exactly those. The CHECK on
# uses_left stands behind it: whatever happened above, a count below zero would abort the unit.
_TAKE_POSTGRESQL: Final = """
WITH locked AS MATERIALIZED (
    SELECT held.token_hash, held.subject_id, least(held.uses_left, wanted.uses) AS uses
    FROM token_subject AS held
    JOIN unnest(%s::bytea[], %s::bytea[], %s::integer[]) AS wanted (token_hash, subject_id, uses)
      ON held.token_hash = wanted.token_hash AND held.subject_id = wanted.subject_id
    ORDER BY held.token_hash, held.subject_id
    FOR UPDATE OF held
)
UPDATE token_subject AS held SET uses_left = held.uses_left - locked.uses
FROM locked
WHERE held.token_hash = locked.token_hash AND held.subject_id = locked.subject_id
RETURNING held.token_hash, held.subject_id, locked.uses
"""

_SPEND_SQLITE: Final = """
UPDATE token_subject SET uses_left = uses_left - ? WHERE token_hash = ? AND subject_id = ?
"""


def consume(uow: UnitOfWork, uses: Sequence[tuple[bytes, bytes]]) -> list[bool]:
    """Take one use for each (token hash, subject id), atomically; False where none is left.

    Of several takes of the same pair in a batch the first ones win. Two units that race for the last use: one gets it.
    """
    if not uses:
        return []
    wanted = Counter(uses)
    # In key order, so that two units that lock the same rows wait for each other instead of deadlocking.
    pairs = sorted(wanted.items())
    taken: dict[tuple[bytes, bytes], int] = {}
    for start in range(0, len(pairs), _CHUNK):
        taken |= _take(uow.conn, pairs[start : start + _CHUNK])
    answers = []
    for pair in uses:
        left = taken.get(pair, 0)
        answers.append(left > 0)
        taken[pair] = left - 1
    return answers


def set_apart(uow: UnitOfWork, token_hash: bytes, subjects: Sequence[bytes], uses: int) -> bool:
    """Take `uses` from a token for each of these subjects, from all of them or from none: True when all had enough.

    What a narrower token may be used for is taken from its parent, so that an exchange never adds a use. Two units that
    race for the same uses: the rows are locked in key order, with their newest counts.
    """
    ours = and_(_HELD.c.token_hash == token_hash, _HELD.c.subject_id.in_(sorted(set(subjects))))
    rows = select(_HELD.c.uses_left).where(ours).order_by(_HELD.c.subject_id).with_for_update()
    left = list(uow.conn.scalars(rows))
    if len(left) != len(set(subjects)) or any(each < uses for each in left):
        return False
    uow.conn.execute(update(_HELD).where(ours).values(uses_left=_HELD.c.uses_left - uses))
    return True


def _take(conn: Connection, wanted: Sequence[tuple[tuple[bytes, bytes], int]]) -> dict[tuple[bytes, bytes], int]:
    if conn.dialect.name == "postgresql":
        hashes, subjects, counts = map(list, zip(*((*pair, count) for pair, count in wanted), strict=True))
        taken = run(conn, _TAKE_POSTGRESQL, (hashes, subjects, counts))
        return {(token_hash, subject_id): uses for token_hash, subject_id, uses in taken}
    # The unit holds SQLite's only write lock: nothing moves between the two statements.
    pairs = padded([pair for pair, _ in wanted])
    held = run(conn, _left_sqlite(len(pairs)), tuple(chain.from_iterable(pairs))).fetchall()
    left = {(token_hash, subject_id): uses_left for token_hash, subject_id, uses_left in held}
    found = {pair: min(count, left.get(pair, 0)) for pair, count in wanted}
    spent = [(uses, *pair) for pair, uses in found.items() if uses]
    if spent:
        run_many(conn, _SPEND_SQLITE, spent)
    return found


@cache
def _left_sqlite(count: int) -> str:
    pairs = ", ".join(["(?, ?)"] * count)
    where = f"(token_hash, subject_id) IN (VALUES {pairs})"
    return f"SELECT token_hash, subject_id, uses_left FROM token_subject WHERE {where}"  # noqa: S608 - placeholders
