"""Progress: where the erasures stand, without saying whose they are."""

from dataclasses import dataclass
from typing import Final

from sqlalchemy import func, select

from vault.erasure import keeping
from vault.erasure.records import LOG_LEAF, LeafState, Scope, what_log
from vault.store.tables import metadata
from vault.unit import Vault

_ERASURE: Final = metadata.tables["erasure"]
_LEAF: Final = metadata.tables["erasure_leaf"]

_ALL: Final = select(_ERASURE).order_by(_ERASURE.c.requested_at, _ERASURE.c.id)
_KEPT: Final = select(_LEAF.c.erasure_id, _LEAF.c.category_id).where(_LEAF.c.state == LeafState.KEPT.value)
_COUNTS: Final = select(_ERASURE.c.state, func.count()).group_by(_ERASURE.c.state)


@dataclass(frozen=True, slots=True)
class Progress:
    """One erasure. `what` is `subject`, `category …` or `field …`; `kept` names the categories kept back."""

    id: str
    what: str
    cause: str
    state: str
    requested_at: int
    requested_by: str
    epoch: int | None
    kept: tuple[str, ...]
    certified: bool


def listed(vault: Vault, *, done: bool = False) -> list[Progress]:
    """List the erasures that are not done, or all of them; oldest first."""
    catalogue = vault.bundle.catalogue
    with vault.reading() as conn:
        rows = conn.execute(_ALL if done else _ALL.where(_ERASURE.c.state != "done")).all()
        kept: dict[bytes, set[str]] = {}
        for erasure, category_id in conn.execute(_KEPT):
            if category_id != LOG_LEAF:
                kept.setdefault(erasure, set()).add(keeping.name_of(catalogue, category_id))
    found = []
    for row in rows:
        named = what_log(catalogue, Scope(row.scope), row.category_id, row.field_id)
        what = " ".join((row.scope, *(each.rpartition(":")[2] for each in named)))
        back = tuple(sorted(kept.get(row.id, ())))
        found.append(
            Progress(
                row.id.hex(),
                what,
                row.cause,
                row.state,
                row.requested_at,
                row.requested_by,
                row.epoch,
                back,
                row.certificate is not None,
            )
        )
    return found


def counted(vault: Vault) -> dict[str, int]:
    """Count the erasures by state."""
    with vault.reading() as conn:
        return {str(state): int(count) for state, count in conn.execute(_COUNTS)}
