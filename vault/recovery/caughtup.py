"""How far the data have caught up with the keystore: the epoch up to which everything that went is known to be gone here.

Behind the keystore, the restore guard has to look; ahead of it, the keystore itself went back in time, and what the data
call destroyed may open again.
"""

from collections.abc import Sequence
from typing import Final

from sqlalchemy import Connection, bindparam, func, select, tuple_, update
from sqlalchemy import exists as sql_exists

from vault.erasure.keeping import EVERY_CATEGORY
from vault.keys.epochs import Destroyed
from vault.keys.service import Slot
from vault.store.tables import metadata
from vault.unit import UnitOfWork, Vault

LEAVES_AT_A_TIME: Final = 10_000

_DEPLOYMENT: Final = metadata.tables["deployment"]
_SUBJECT: Final = metadata.tables["subject"]
_COMPARTMENT: Final = metadata.tables["compartment"]
_ERASURE: Final = metadata.tables["erasure"]
_LEAF: Final = metadata.tables["erasure_leaf"]

_EPOCH: Final = select(_DEPLOYMENT.c.keys_epoch)
_CATCH_UP: Final = update(_DEPLOYMENT).values(keys_epoch=bindparam("epoch"))
_FOLLOW: Final = (
    update(_DEPLOYMENT).where(_DEPLOYMENT.c.keys_epoch == bindparam("ended")).values(keys_epoch=bindparam("epoch"))
)
# Closed by the guard: no erasure that is under way here will see to it.
_PENDING: Final = sql_exists().where(_ERASURE.c.state != "done")
_ORPHANED: Final = (
    select(_SUBJECT.c.shard)
    .where(
        _SUBJECT.c.state == "erasing",
        ~_PENDING.where(_ERASURE.c.subject_id == _SUBJECT.c.id, _ERASURE.c.scope == "subject"),
    )
    .limit(1),
    select(_COMPARTMENT.c.shard)
    .where(
        _COMPARTMENT.c.state == "erasing",
        ~_PENDING.where(
            _ERASURE.c.subject_id == _COMPARTMENT.c.subject_id,
            _ERASURE.c.scope != "field",
            _ERASURE.c.category_id.in_((EVERY_CATEGORY, _COMPARTMENT.c.category_id)),
        ),
    )
    .limit(1),
)
_QUEUED: Final = select(func.count()).select_from(_LEAF).where(_LEAF.c.state == "queued")
_DESTROYED: Final = (
    select(_LEAF.c.slot, _LEAF.c.generation)
    .where(
        _LEAF.c.state == "destroyed",
        tuple_(_LEAF.c.slot, _LEAF.c.generation) > tuple_(bindparam("slot"), bindparam("generation")),
    )
    .order_by(_LEAF.c.slot, _LEAF.c.generation)
    .limit(LEAVES_AT_A_TIME)
)


def epoch(conn: Connection) -> int:
    """Return the epoch that the data have caught up with."""
    return conn.scalar(_EPOCH) or 0


def ahead_of_keys(vault: Vault) -> bool:
    """Whether the keystore is of an earlier epoch than the data, and so may give out leaves that rows have already."""
    with vault.reading() as conn:
        return epoch(conn) > vault.keys.status().epoch


def queued(conn: Connection) -> int:
    """Count the leaves that the data know to wait for their destruction."""
    return conn.scalar(_QUEUED) or 0


def follow(vault: Vault, ended: Sequence[Destroyed]) -> None:
    """Note that what went with these epochs is gone from the data too, unless the guard still has to look."""
    with vault.unit() as uow:
        for each in ended:
            uow.conn.execute(_FOLLOW, {"ended": each.epoch, "epoch": each.epoch + 1})
        uow.commit()


def catch_up(uow: UnitOfWork, epoch: int) -> None:
    """Note that these data have caught up with `epoch`, or not quite: what the guard closed goes at its end.

    Until then the guard looks at every start, and `follow` does not move on.
    """
    waits = any(uow.conn.execute(query).first() is not None for query in _ORPHANED)
    uow.conn.execute(_CATCH_UP, {"epoch": epoch - 1 if waits else epoch})


def retire_revived(vault: Vault) -> int:
    """Queue leaves that the data call destroyed and a keystore that went back in time has again. Returns how many."""
    total, at = 0, {"slot": -1, "generation": -1}
    while True:
        with vault.reading() as conn:
            slots = [Slot(*row) for row in conn.execute(_DESTROYED, at)]
        if not slots:
            return total
        at = {"slot": slots[-1].number, "generation": slots[-1].generation}
        back = [slot for slot, lives in zip(slots, vault.keys.alive(slots), strict=True) if lives]
        if back:
            vault.keys.retire(back)
            total += len(back)
