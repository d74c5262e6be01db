"""Read the sealed rows of some people's fields, each with the leaf that opens it: the statement behind every disclosure.

Written by hand for each engine, because a planner that knows nothing yet about fresh tables reads whole ones: on
PostgreSQL, soon after an import and before the first ANALYZE, a plain join took 50 ms for a hundred people, and some
thousand times that for a whole house. Here the order is fixed: for each person and field one probe of the key of
`field_value`, and for each row found one of the key of `compartment`. PostgreSQL cannot look through `OFFSET 0`, SQLite
keeps the order of `CROSS JOIN`.

A field belongs to one category, so fields are asked for together with theirs: no probe is for a pair that cannot be.
"""

from collections.abc import Mapping, Sequence
from enum import StrEnum
from functools import cache
from typing import Any, Final

from sqlalchemy import Connection

from vault.store.keysets import padded
from vault.store.lookup import run

_COLUMNS: Final = (
    "v.subject_id, v.category_id, v.field_id, v.item, v.version, v.holder, v.schema_version, v.envelope,"
    " c.slot, c.generation,"
    " EXISTS (SELECT 1 FROM contested_value AS d WHERE d.subject_id = v.subject_id AND d.field_id = v.field_id"
    " AND d.item IN (v.item, -1) AND d.holder = v.holder AND d.stands) AS contested"
)


class Which(StrEnum):
    """Which rows: those that stand now; all that ever stood; all but what a field's erasure has closed."""

    CURRENT = "current"
    HISTORY = "history"
    PAST = "past"


_STANDING: Final = {Which.CURRENT: " AND current", Which.HISTORY: "", Which.PAST: ""}
# A field whose erasure waits for a hold to end has no current value; its history is closed by the erasure itself.
_CLOSED: Final = (
    " AND NOT EXISTS (SELECT 1 FROM erasure AS e WHERE e.subject_id = v.subject_id AND e.field_id = v.field_id"
    " AND e.through >= v.version AND e.state <> 'done')"
)


def value_rows(
    conn: Connection, subjects: Sequence[bytes], fields: Mapping[int, int], which: Which
) -> list[tuple[Any, ...]]:
    """Return the rows of `subjects` (each once) and `fields` (field id -> category id) in compartments not being erased.

    Columns in the order of `vault.disclosure.SealedRow`, in the driver's types. Raises the driver's error, for the unit
    of work to translate.
    """
    if not subjects or not fields:
        return []
    if conn.dialect.name == "postgresql":
        given: Sequence[Any] = (list(subjects), list(fields.values()), list(fields))
        return list(run(conn, _postgresql(which), given).fetchall())
    places = [number for field, category in fields.items() for number in (category, field)]
    wanted = padded(list(subjects))  # within IN a person twice is a person once
    return list(run(conn, _sqlite(which, len(fields), len(wanted)), [*places, *wanted]).fetchall())


@cache
def _postgresql(which: Which) -> str:
    return f"""
SELECT {_COLUMNS}
FROM unnest(%b::bytea[]) AS asked (subject_id)
CROSS JOIN unnest(%b::smallint[], %b::smallint[]) AS place (category_id, field_id)
CROSS JOIN LATERAL (
    SELECT * FROM field_value
    WHERE subject_id = asked.subject_id AND category_id = place.category_id AND field_id = place.field_id{_STANDING[which]}
    OFFSET 0
) AS v
CROSS JOIN LATERAL (
    SELECT slot, generation, state FROM compartment
    WHERE subject_id = v.subject_id AND category_id = v.category_id
    OFFSET 0
) AS c
WHERE c.state = 'active'{_CLOSED if which is Which.PAST else ""}
"""  # noqa: S608 - our own columns


@cache
def _sqlite(which: Which, fields: int, subjects: int) -> str:
    return f"""
SELECT {_COLUMNS}
FROM (SELECT column1 AS category_id, column2 AS field_id FROM (VALUES {", ".join(["(?, ?)"] * fields)})) AS place
CROSS JOIN field_value AS v
CROSS JOIN compartment AS c
WHERE v.category_id = place.category_id AND v.field_id = place.field_id
AND v.subject_id IN ({", ".join("?" * subjects)}){_STANDING[which]}
AND c.subject_id = v.subject_id AND c.category_id = v.category_id AND c.state = 'active'
{_CLOSED if which is Which.PAST else ""}
"""  # noqa: S608 - our own columns
