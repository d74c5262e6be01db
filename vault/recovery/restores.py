"""Bringing a backup back: any backup of the data with the current keystore, and nobody served before it is safe.

Three things must be done to data that are older than what was lost. The log is a shorter one than was signed: it is
closed, and its successor says so (`audit.succession`). People erased since are in it again: the guard erases them
again. And search tokens of an epoch that has ended find nobody: they are made anew. How far this has come is a row of
the database itself, written before the database can be found under its name; until the row says done, no service opens
it, and `carry_on` continues where a crash stopped.

Where the keystore went back in time as well, a log kept outside says who was erased since (`vault.recovery.lost`): they are
asked for again in the same work, and a restoration that was begun with such a log does not end without it.

Data that came back by other means (a base backup, a copied file) have no such row. `admit` stands before every service:
it runs the guard where the keystore has seen an epoch end that the data have not. A log that is shorter than the
checkpoint outside is neither grown nor signed: `begin` and `carry_on` are the operator's word that it is to go on.

A database that came through migration 0003, which let the search index go, has such a row from migration 0004: nobody
searches it before the index is made anew.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from sqlalchemy import Connection, func, insert, select, update

from audit.entry import Act, Actor, Entry, Outcome
from audit.succession import Succession
from vault.erasure.finishing import finish
from vault.errors import Conflict, InvalidBackup, RestoreUnfinished, SchemaMismatch
from vault.keys.epochs import Destroyed
from vault.keys.service import Slot
from vault.recovery import again, caughtup, guard, logs, manifest, mirrors, reindex
from vault.recovery.again import Again
from vault.recovery.guard import Carried
from vault.recovery.logs import ByLog
from vault.recovery.lost import Lost
from vault.recovery.manifest import Manifest
from vault.store import dumps, schema
from vault.store.engine import open_engine, translate
from vault.store.tables import metadata
from vault.unit import UnitOfWork, Vault

UNIQUE: Final = logs.UNIQUE
ID: Final = 16
MIGRATED: Final = bytes(ID)
"""The restoration that migration 0004 begins where 0003 left people and no search token."""
NOT_READY: Final = (
    "a backup was brought back, or a migration let the search index go: `ecrin restore` makes the data ready"
)

_DEPLOYMENT: Final = metadata.tables["deployment"]
_RESTORATION: Final = metadata.tables["restoration"]
_SUBJECT: Final = metadata.tables["subject"]

_OPEN: Final = select(_RESTORATION).where(_RESTORATION.c.phase != "done").order_by(_RESTORATION.c.begun_at)
History = Callable[[int], Sequence[Destroyed]]
"""What was destroyed from an epoch on (`vault.keys.keeper.EpochKeeper.history`)."""
Progress = Callable[[str, int, int], None]
"""What is being done, how much of it is done, and of how much (0: not known)."""


@dataclass(frozen=True, slots=True)
class Restored:
    """What was done to the data: people erased again, tokens made anew, what became of the log of each shard.

    `carried` went by the keystore's word, `again` was asked for by that of a log outside. `revived` leaves were destroyed
    once, were there again, and wait for the next epoch.
    """

    carried: Carried
    indexed: int
    successions: tuple[Succession, ...]
    again: Again = Again()  # noqa: RUF009 - frozen
    revived: int = 0


def bring_back(
    file: Path,
    url: str,
    deployment: str,
    keys_epoch: int,
    unique: str,
    now: int,
    progress: Progress,
    *,
    replace: bool,
    by_log: ByLog = ByLog.NONE,
) -> Manifest:
    """Put a data backup into the place at `url`, marked as not to be served before `carry_on` is done.

    `keys_epoch` is the current epoch of the keystore it is to live with. `replace` sets aside what is there, which no
    process may have open. `by_log`: whether a log outside is to be read before the end. Raises InvalidBackup for a backup that is unfinished, altered, another deployment's, of
    another engine or newer than the keystore; SchemaMismatch for one of a later release; Conflict when the place is
    not empty. Complete or not there at all.
    """
    told = manifest.read(file)
    if told.deployment != deployment:
        raise InvalidBackup("the backup belongs to another deployment")
    if not url.startswith(told.engine):
        raise InvalidBackup("the backup is of another database engine")
    if told.keys_epoch > keys_epoch:
        raise InvalidBackup("the backup is newer than the keystore: bring the newest copy of the keystore back first")
    if told.schema > schema.head():
        raise SchemaMismatch("the backup is of a later release")
    progress("checking", 0, told.size)
    manifest.check(file, told)
    if not dumps.vacant(url):
        if not replace:
            raise Conflict("there is a database already")
        dumps.set_aside(url, unique)
    dumps.load(
        file,
        url,
        unique,
        lambda at: _mark(at, deployment, unique, now, by_log),
        lambda done, of: progress("loading", done, of),
    )
    return told


def begin(vault: Vault, outside: Path, *, now: int, lost: Lost | None = None, waived: bool = False) -> bool:
    """Mark data that came back by other means, if they need `carry_on`. Whether there is anything to do.

    `lost` is what a log outside tells: from then on the restoration does not end without it. `waived`: an operator goes
    without one that should be there, which is to be on record.
    """
    with vault.reading() as conn:
        row = conn.execute(_OPEN).first()
        stale = caughtup.epoch(conn) != vault.keys.status().epoch
        broken = not logs.all_extend(vault, conn, outside)
    by_log = ByLog.NONE if lost is None else ByLog.OWED
    if row is not None:
        if lost is not None and row.by_log != ByLog.READ:
            _mend(vault, row.id, by_log=by_log.value)
        if broken and row.id == MIGRATED and (row.phase, row.after) == ("leaves", b""):
            _move(vault, row.id, "log")  # the migration saw no checkpoint outside
        return True
    if not (stale or broken or waived or (lost is not None and lost.anything) or reindex.outlived(vault)):
        return False
    with vault.unit() as uow:
        begun = _row(vault.entropy.bytes(ID), "log" if broken else "leaves", now, by_log)
        uow.conn.execute(insert(_RESTORATION), begun)
        uow.commit()
    return True


def unfinished(conn: Connection) -> bool:
    """Whether a backup was brought back and may not be served yet."""
    return conn.execute(_OPEN).first() is not None


def carry_on(
    vault: Vault,
    outside: Path,
    actor: Actor,
    history: History,
    progress: Progress,
    lost: Lost | None = None,
    *,
    waived: bool = False,
) -> Restored:
    """Do what is left to do before these data may be served. `outside` keeps the last checkpoint off the database.

    `lost` is what a log outside tells. Where the restoration was begun with one, it is given again, or an operator has
    `waived` it, which is in the log. Raises `Damaged` when the keystore lacks somebody who was never erased,
    `SigningRefused` when the checkpoint outside is not this deployment's, `RestoreUnfinished` without the log that is
    owed. It may then be called again.
    """
    with vault.reading() as conn:
        row = conn.execute(_OPEN).first()
        total = conn.scalar(select(func.count()).select_from(_SUBJECT)) or 0
    ended: list[Succession] = []
    if row is None:
        return Restored(Carried(), 0, ())
    by_log = _by_log(row, lost, waived=waived)
    epoch, phase, after = vault.keys.status().epoch, row.phase, row.after
    carried, indexed = Carried(row.subjects, row.compartments), row.indexed
    if phase == "log":
        progress("closing the log", 0, 0)
        ended = logs.succeed_all(vault, row.id, outside, actor)
        phase, after = "leaves", b""
    logs.set_aside_pins(vault, row.id, outside)
    revived = caughtup.retire_revived(vault)
    if phase == "leaves":
        destroyed = list(history(0))
        finish(vault, destroyed)  # erasures that these data know of, and that went since
        done = 0

        def noted(uow: UnitOfWork, last: bytes, found: Carried) -> None:
            nonlocal done
            done += guard.SUBJECTS_PER_UNIT
            progress("erasing again", min(done, total), total)
            _step(uow, row.id, after=last, subjects=found.subjects, compartments=found.compartments)

        carried += guard.carry(vault, _slots(destroyed), after=after, noted=noted)
        finish(vault, destroyed)  # fields that waited for the end of a hold, and whose category the guard has emptied
    asked = Again()
    if lost is not None and by_log is not ByLog.READ:
        asked = again.again(vault, lost, actor, progress)
        by_log = ByLog.READ
    _mend(vault, row.id, by_log=by_log.value)
    # Where tokens survived (a backup of this very epoch) the index is good, and the guard has taken people out.
    if phase == "leaves" and reindex.needed(vault):
        _move(vault, row.id, "index")
        phase, after = "index", b""
    if phase == "index":
        done = 0

        def made(uow: UnitOfWork, last: bytes, count: int) -> None:
            nonlocal done
            done += reindex.SUBJECTS_PER_UNIT
            progress("indexing", min(done, total), total)
            _step(uow, row.id, after=last, indexed=count)

        indexed += reindex.rebuild(vault, after=after, noted=made)
    _finish(vault, row.id, epoch, actor, carried, asked, by_log)
    return Restored(carried, indexed, tuple(ended), asked, revived)


def _by_log(row: Any, lost: Lost | None, *, waived: bool) -> ByLog:
    """Say what this restoration has of a log outside. Raises `RestoreUnfinished` where it owes one."""
    held = ByLog(row.by_log)
    if held is ByLog.READ or lost is not None:
        return held
    if held is ByLog.OWED and not waived:
        raise RestoreUnfinished("this restore was begun with a log outside: give it again")
    return ByLog.WAIVED if waived else held


def admit(vault: Vault, history: History, outside: Path, mirror: Path | None = None) -> Carried:
    """Stand before the service: run the guard if leaves went, or wait to go, that the data may not have heard of.

    Costs three short queries where there is nothing to do. Raises `RestoreUnfinished` when a backup is being brought
    back, the keystore is older than the data, or the log is not the one last signed: the guard's entries would grow it
    anew. So too where the log's `mirror` says more than the data, or is not there. Raises what the guard raises.
    """
    with vault.reading() as conn:
        if unfinished(conn):
            raise RestoreUnfinished(NOT_READY)
        caught_up, queued = caughtup.epoch(conn), caughtup.queued(conn)
    status = vault.keys.status()
    if caught_up > status.epoch:
        raise RestoreUnfinished(
            "the keystore is of an earlier epoch than the data: bring its newest copy back, or go on with `ecrin restore`"
        )
    if mirror is not None:
        mirrors.check(vault, mirror)
    if caught_up >= status.epoch and status.retired <= queued:
        return Carried()
    with vault.reading() as conn:
        if not logs.all_extend(vault, conn, outside):
            raise RestoreUnfinished("the log lacks entries that were signed: if a backup was put back, `ecrin restore`")
    destroyed = list(history(0))
    finish(vault, destroyed)
    carried = guard.carry(vault, _slots(destroyed))
    finish(vault, destroyed)  # fields that waited, of what the guard has emptied
    if reindex.needed(vault):
        reindex.rebuild(vault)
    with vault.unit() as uow:
        caughtup.catch_up(uow, status.epoch)
        uow.commit()
    return carried


def _mark(url: str, deployment: str, unique: str, now: int, by_log: ByLog) -> None:
    schema.migrate(url)
    engine = open_engine(url, pool_size=1)
    try:
        with translate(), engine.begin() as conn:
            if conn.scalar(select(_DEPLOYMENT.c.id)) != deployment:
                raise InvalidBackup("the backup belongs to another deployment")
            # A backup of a restoration that was under way begins it anew.
            conn.execute(update(_RESTORATION).values(phase="done"))
            conn.execute(insert(_RESTORATION), _row(bytes.fromhex(unique).rjust(ID, b"\0"), "log", now, by_log))
    finally:
        engine.dispose()


def _row(identity: bytes, phase: str, now: int, by_log: ByLog) -> dict[str, Any]:
    rest = {"subjects": 0, "compartments": 0, "indexed": 0, "by_log": by_log.value}
    return {"id": identity, "phase": phase, "after": b"", "begun_at": now, "finished_at": None, **rest}


def _step(uow: UnitOfWork, identity: bytes, *, after: bytes, **counts: int) -> None:
    added = {name: _RESTORATION.c[name] + count for name, count in counts.items()}
    uow.conn.execute(update(_RESTORATION).where(_RESTORATION.c.id == identity).values(after=after, **added))


def _move(vault: Vault, identity: bytes, phase: str) -> None:
    _mend(vault, identity, phase=phase, after=b"")


def _mend(vault: Vault, identity: bytes, **values: object) -> None:
    with vault.unit() as uow:
        uow.conn.execute(update(_RESTORATION).where(_RESTORATION.c.id == identity).values(**values))
        uow.commit()


def _finish(
    vault: Vault, identity: bytes, epoch: int, actor: Actor, carried: Carried, asked: Again, by_log: ByLog
) -> None:
    with vault.unit() as uow:
        if by_log is ByLog.READ:
            n = asked.subjects + asked.categories + asked.fields
            uow.record(Entry(Act.ERASURE_CARRIED, Outcome.ALLOW, actor, pol=("carried.log",), n=n))
        uow.record(Entry(Act.DEPLOYMENT_RESTORED, Outcome.ALLOW, actor, pol=(f"log:{by_log}",), n=carried.subjects))
        caughtup.catch_up(uow, epoch)
        uow.conn.execute(
            update(_RESTORATION).where(_RESTORATION.c.id == identity).values(phase="done", finished_at=uow.now)
        )
        uow.commit()


def _slots(destroyed: Sequence[Destroyed]) -> frozenset[Slot]:
    return frozenset(slot for each in destroyed for slot in each.slots)
