"""How many people stand how with which purpose: counts alone."""

from typing import Final

from sqlalchemy import Connection, func, select

from vault.store.tables import metadata

_STATE: Final = metadata.tables["consent_state"]
_COUNTED: Final = select(_STATE.c.brand, _STATE.c.purpose, _STATE.c.state, func.count()).group_by(
    _STATE.c.brand, _STATE.c.purpose, _STATE.c.state
)


def counted(conn: Connection) -> dict[tuple[str, str, str], int]:
    """Return the number of people by (brand, purpose, state)."""
    return {(brand, purpose, state): int(count) for brand, purpose, state, count in conn.execute(_COUNTED)}
