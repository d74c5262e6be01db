"""What PostgreSQL must answer for a COMMIT to mean "on disk": asserted at each connection, of data and keystore alike."""

from typing import Any, Final

import psycopg

from vault.errors import UnsafeSetting

OLDEST: Final = 150000
DURABLE: Final = {
    "fsync": frozenset({"on"}),
    "full_page_writes": frozenset({"on"}),
    "synchronous_commit": frozenset({"on", "remote_apply"}),
    "server_encoding": frozenset({"UTF8"}),
}


def assert_durable(driver: psycopg.Connection[Any]) -> None:
    """Raise UnsafeSetting for a server that is too old, or could lose an acknowledged write. Ends its transaction."""
    if driver.info.server_version < OLDEST:
        raise UnsafeSetting("postgresql: too old")
    query = "SELECT " + ", ".join(f"current_setting('{name}')" for name in DURABLE)
    with driver.cursor() as cursor:
        answers = cursor.execute(query.encode()).fetchone() or ()
    driver.rollback()
    for (name, wanted), answer in zip(DURABLE.items(), answers, strict=True):
        if answer not in wanted:
            raise UnsafeSetting(f"postgresql: {name}")
