"""What stands beside the log: details of entries, sealed. The log's own tables are `audit.tables`."""

from sqlalchemy import BigInteger, LargeBinary
from sqlmodel import Field

from vault.store.ddl.row import CLUSTERED, Row


class LogDetail(Row, table=True):
    """A detail, sealed under the log key of whom its entry is about. Whose it is, no column says: nothing may."""

    __tablename__ = "log_detail"
    __table_args__ = (CLUSTERED,)

    entry_id: bytes = Field(primary_key=True, sa_type=LargeBinary(16))
    sealed: bytes = Field(sa_type=LargeBinary)
    at: int = Field(index=True, sa_type=BigInteger)
