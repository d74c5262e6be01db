"""Where rows name leaves of the key tree: every column called `slot`, or by a word and `_slot`.

Read from the tables themselves, so that a table that comes later is not forgotten: a leaf that a row names must neither
be given out again nor be let go as nobody's.
"""

from typing import Any, Final

from sqlalchemy import Column

from vault.store.tables import metadata

LEAF_COLUMNS: Final[tuple[Column[Any], ...]] = tuple(
    column
    for table in metadata.sorted_tables
    for column in table.columns
    if column.name == "slot" or column.name.endswith("_slot")
)
