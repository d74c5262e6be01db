"""Backups of the data, made while the vault serves, whole or not there.

The file is of one moment, checked by reading it back, and entered in the log before it gets its name: whoever holds a
copy of everybody's sealed values should be traceable. A backup needs no key, so a sealed vault can be backed up.
"""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Final

from alembic.runtime.migration import MigrationContext
from sqlalchemy import Connection, select
from sqlmodel import col

from audit import ledger
from audit.entry import Act, Actor, Entry, Outcome
from vault import leftleaves
from vault.errors import Conflict, StoreFull, StoreUnavailable
from vault.keys.private_file import publish
from vault.recovery import manifest
from vault.recovery.manifest import LogState, Manifest
from vault.store import dumps
from vault.store.tables import Deployment
from vault.unit import UnitOfWork, Vault

Progress = Callable[[int, int], None]

_UNIQUE: Final = 8
_ATTEMPTS: Final = 6


def back_up(vault: Vault, url: str, file: Path, actor: Actor, progress: Progress) -> Manifest:
    """Write the data of `vault`, which lives at `url`, into `file`, and its manifest beside it.

    Raises Conflict when there is such a file; StoreFull, StoreUnavailable, IntegrityFailure when the backup could not
    be made or does not read back. Nothing is left behind then. Leaves that a re-keying left and that waited for a
    backup go with the next epoch.
    """
    taken = file.exists() or manifest.beside(file).exists()
    if taken:
        raise Conflict("a backup of this name exists")
    unique = vault.entropy.bytes(_UNIQUE).hex()
    unfinished = file.with_name(f"{file.name}.{unique}.unfinished")
    seen: list[tuple[Manifest, int]] = []
    try:
        dumps.dump(url, unfinished, lambda conn: seen.append(_describe(vault, conn)), progress)
        if not seen:
            raise StoreUnavailable("database")
        size, digest = manifest.measure(unfinished)
        told, rekeyed = replace(seen[0][0], size=size, sha256=digest), seen[0][1]
        entry = Entry(Act.DEPLOYMENT_BACKED_UP, Outcome.ALLOW, actor, pol=(f"sha256:{digest}",), n=size)
        _write(vault, lambda uow: uow.record(entry))
        if not publish(unfinished, file):
            raise Conflict("a backup of this name exists")
    finally:
        for side in ("", "-journal", "-wal", "-shm"):
            with suppress(OSError):
                unfinished.with_name(unfinished.name + side).unlink(missing_ok=True)
    if not manifest.write(file, told, unique):
        raise Conflict("a backup of this name exists")
    with suppress(StoreUnavailable):  # the backup is good all the same; old leaves then wait for the next one
        _write(vault, lambda uow: leftleaves.saved(uow, rekeyed))
    return told


def _write(vault: Vault, act: Callable[[UnitOfWork], object]) -> None:
    """Run a unit of work. Tried again: beside busy writers SQLite may not give us the lock in its five seconds.

    An entry that stands twice, because a COMMIT was not acknowledged, tells of one backup by its digest.
    """
    for attempt in range(_ATTEMPTS):
        try:
            with vault.unit() as uow:
                act(uow)
                uow.commit()
        except StoreFull:
            raise
        except StoreUnavailable:
            if attempt == _ATTEMPTS - 1:
                raise
        else:
            return


def _describe(vault: Vault, conn: Connection) -> tuple[Manifest, int]:
    """Describe what is backed up, and say which re-keyings it holds, as of its own moment."""
    row = conn.execute(select(col(Deployment.id), col(Deployment.keys_epoch))).one()
    logs = []
    for shard in ledger.shards(conn):
        if shard >= 0:  # closed logs have negative numbers
            head = ledger.head(conn, shard)
            logs.append(LogState(shard, head.origin, head.size, head.frontier.root().hex()))
    schema = MigrationContext.configure(conn).get_current_revision() or ""
    told = Manifest(row.id, conn.dialect.name, schema, vault.clock.now(), row.keys_epoch, tuple(logs), 0, "")
    return told, leftleaves.number(conn)
