"""Whether two PostgreSQL databases are in one cluster, which data and keystore must never be.

A point-in-time restore rewinds a whole cluster. With data and keystore in one, restoring the data would bring back the
keystore from before an erasure, and with it every leaf that was given out since a second time; and every backup of the
data would hold a keystore of its own age.
"""

from contextlib import closing
from typing import Any, Final

import psycopg
from sqlalchemy.engine import URL

from vault.errors import StoreUnavailable, UnsafeSetting
from vault.keys.basesession import connect

# Readable by everybody where the first is not: when this very server was started, in microseconds.
_IDENTIFIER: Final = "SELECT system_identifier::text FROM pg_control_system()"
_STARTED: Final = "SELECT pg_postmaster_start_time()::text, current_setting('port')"


def refuse_one_cluster(data: URL, keystore: URL) -> None:
    """Raise UnsafeSetting when both databases are in one cluster, StoreUnavailable when one does not answer.

    Clusters are told apart by the identifier that `initdb` drew; where a role may not read it, by when and where the
    server was started. A cluster that was cloned from the other keeps its identifier and is refused with it.
    """
    if data.get_backend_name() != "postgresql":
        return
    try:
        with closing(connect(data, connect_timeout=5)) as one, closing(connect(keystore, connect_timeout=5)) as two:
            same = _same(one, two)
    except psycopg.Error:
        same = None
    if same is None:
        raise StoreUnavailable("data or keystore database did not say which cluster it is in")
    if same:
        raise UnsafeSetting(
            "keystore_url: in the same PostgreSQL cluster as the data; a point-in-time restore rewinds a whole cluster,"
            " keystore and all, and would bring back what was erased: give the keystore a cluster of its own"
        )


def _same(one: psycopg.Connection[Any], two: psycopg.Connection[Any]) -> bool:
    try:
        return bool(_told(one, _IDENTIFIER) == _told(two, _IDENTIFIER))
    except psycopg.errors.InsufficientPrivilege:
        return bool(_told(one, _STARTED) == _told(two, _STARTED))


def _told(connection: psycopg.Connection[Any], query: str) -> object:
    return connection.execute(query.encode()).fetchone()
