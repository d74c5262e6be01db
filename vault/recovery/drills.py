"""The drill: bring the newest backup back into a scratch place, and prove what one hopes for on the day it is needed.

Each stored value of the backup is opened with the copy of the keystore. If its leaf lives, it must open, and where the
serving data still hold it, to the very same bytes. If its leaf is gone, it must not open. Every leaf that the serving
data call destroyed must be refused. Then all that a restore does is done, and nobody who was erased may be left in rows
or index. Values are compared here and nowhere shown; the report counts.
"""

import hmac
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from sqlalchemy import bindparam, func, select

from audit.entry import Actor
from policies.bundle import Bundle
from vault import searchepochs
from vault.evidence import outside_file
from vault.keys.keystore import serve_store
from vault.keys.pagefile import PageFile
from vault.keys.provider import RootProvider
from vault.keys.service import Slot
from vault.openings import STORED, Stored, opened
from vault.recovery import restores
from vault.recovery.manifest import Manifest
from vault.recovery.restores import History, Restored
from vault.setup import Place, open_vault
from vault.store import dumps
from vault.store.keysets import padded
from vault.store.tables import metadata
from vault.unit import Vault

SUBJECTS_AT_A_TIME: Final = 200

_SUBJECT: Final = metadata.tables["subject"]
_COMPARTMENT: Final = metadata.tables["compartment"]
_VALUE: Final = metadata.tables["field_value"]
_LEAF: Final = metadata.tables["erasure_leaf"]
_TOKEN: Final = metadata.tables["search_token"]

_NEXT: Final = (
    select(_SUBJECT.c.id).where(_SUBJECT.c.id > bindparam("after")).order_by(_SUBJECT.c.id).limit(SUBJECTS_AT_A_TIME)
)
_ROWS: Final = STORED.where(_VALUE.c.subject_id.in_(bindparam("subjects", expanding=True)))
_LEAVES: Final = (
    select(_SUBJECT.c.log_slot, _SUBJECT.c.log_generation).where(_SUBJECT.c.state == "active"),
    select(_COMPARTMENT.c.slot, _COMPARTMENT.c.generation).where(_COMPARTMENT.c.state == "active"),
)
_DESTROYED: Final = select(_LEAF.c.slot, _LEAF.c.generation).where(_LEAF.c.state == "destroyed")

Progress = Callable[[str, int, int], None]


@dataclass(slots=True)
class Values:
    """What became of the values of a backup. The last three must be 0."""

    identical: int = 0  # open to the bytes that the serving data hold
    superseded: int = 0  # open; the serving data do not hold them any more
    unreadable: int = 0  # their leaf is gone, and they do not open
    outdated: int = 0  # the same, but the serving data hold them under another leaf: newer backups alone have them
    different: int = 0  # open to other bytes
    lost: int = 0  # their leaf lives, and they do not open
    leaked: int = 0  # their leaf is gone, and they open all the same

    @property
    def holds(self) -> bool:
        """Whether everything is as it should be."""
        return not (self.different or self.lost or self.leaked)


@dataclass(frozen=True, slots=True)
class Drilled:
    """What a drill found. `destroyed` leaves are so called by the serving data; `revived` of them open, which is a leak.

    `left` counts leaves that are gone and that active rows of the restored data still name, `unfindable` tokens that no
    key opens: both after the restore, and both must be 0.
    """

    backup: Manifest
    keystore_epoch: int
    values: Values
    destroyed: int
    revived: int
    restored: Restored
    left: int
    unfindable: int

    @property
    def holds(self) -> bool:
        """Whether a restore would give back all survivors and nobody who was erased."""
        return self.values.holds and not (self.revived or self.left or self.unfindable)


def drill(
    live: Vault,
    url: str,
    file: Path,
    copy: Path,
    provider: RootProvider,
    scratch: Path,
    outside: Path,
    actor: Actor,
    history: History,
    progress: Progress,
) -> Drilled:
    """Restore `file` (data) with `copy` (keystore) in the folder `scratch`, which the caller removes, and look.

    `live` is the serving vault, whose data at `url` are read and not touched. Raises what a restore raises.
    """
    unique = live.entropy.bytes(restores.UNIQUE).hex()
    with dumps.scratch(url, scratch, unique) as place:
        epoch = _epoch_of(copy)
        now = live.clock.now()
        told = restores.bring_back(file, place, live.deployment, epoch, unique, now, progress, replace=False)
        pinned = scratch / "checkpoint"
        for shard in range(live.shards):
            if outside_file(outside, shard).exists():
                shutil.copyfile(outside_file(outside, shard), outside_file(pinned, shard))
        vault = _open(place, copy, provider, live.bundle, live)
        try:
            values = _compare(live, vault, progress)
            slots = _slots(live, _DESTROYED)
            revived = sum(vault.keys.alive(slots)) if slots else 0
            restored = restores.carry_on(vault, pinned, actor, history, progress)
            left = sum(not lives for query in _LEAVES for lives in _alive(vault, _slots(vault, query)))
            with vault.reading() as conn:
                unfindable = searchepochs.left_behind(conn, vault.keys.index_epochs())
        finally:
            vault.close()
    return Drilled(told, epoch, values, len(slots), revived, restored, left, unfindable)


def _compare(live: Vault, restored: Vault, progress: Progress) -> Values:
    values, after, done = Values(), b"", 0
    with restored.reading() as conn:
        total = conn.scalar(select(func.count()).select_from(_SUBJECT)) or 0
    while True:
        with restored.reading() as conn:
            subjects = list(conn.scalars(_NEXT, {"after": after}))
            if not subjects:
                return values
            rows = _rows(conn, subjects)
        after = subjects[-1]
        with live.reading() as conn:
            now = {row.at: row for row in _rows(conn, subjects)}
        _compare_batch(live, restored, rows, now, values)
        done += len(subjects)
        progress("comparing", done, total)


def _compare_batch(live: Vault, restored: Vault, rows: list[Stored], now: dict[Any, Stored], values: Values) -> None:
    lives = _alive(restored, [row.leaf for row in rows])
    plain = opened(restored.keys, restored.deployment, rows)
    current = [now[row.at] for row in rows if row.at in now]
    held = dict(zip((row.at for row in current), opened(live.keys, live.deployment, current), strict=True))
    for row, alive, value in zip(rows, lives, plain, strict=True):
        if not alive:
            values.leaked += value is not None
            values.outdated += value is None and held.get(row.at) is not None
            values.unreadable += value is None and held.get(row.at) is None
        elif value is None:
            values.lost += 1
        elif (same := held.get(row.at)) is None:
            values.superseded += 1
        elif hmac.compare_digest(value, same):
            values.identical += 1
        else:
            values.different += 1


def _rows(conn: Any, subjects: list[bytes]) -> list[Stored]:
    return [Stored._make(row) for row in conn.execute(_ROWS, {"subjects": padded(subjects)})]


def _slots(vault: Vault, query: Any) -> list[Slot]:
    with vault.reading() as conn:
        return [Slot(*row) for row in conn.execute(query)]


def _alive(vault: Vault, slots: list[Slot]) -> list[bool]:
    return vault.keys.alive(slots) if slots else []


def _epoch_of(copy: Path) -> int:
    store = PageFile(copy)
    try:
        return store.head().epoch
    finally:
        store.close()


def _open(url: str, copy: Path, provider: RootProvider, bundle: Bundle, live: Vault) -> Vault:
    return open_vault(
        Place(url, copy, provider),
        bundle,
        clock=live.clock,
        entropy=live.entropy,
        pool_size=2,
        keys=lambda deployment: serve_store(PageFile(copy), provider, deployment),
    )
