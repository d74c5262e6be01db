"""What every table of the data database shares: naming, metadata, and a `repr` that prints no column."""

from typing import ClassVar

from sqlalchemy import MetaData
from sqlmodel import SQLModel

from audit.tables import NAMING

metadata = MetaData(naming_convention=NAMING)

# SQLite keeps such a table in its primary key instead of beside it: one B-tree less to write per row. For small rows.
CLUSTERED = {"sqlite_with_rowid": False}


class Row(SQLModel):
    """Base of every table: own metadata, and a `repr` that prints no column."""

    metadata: ClassVar[MetaData] = metadata

    def __repr__(self) -> str:
        return f"<{type(self).__name__}>"

    __str__ = __repr__
