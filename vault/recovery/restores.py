"""Bringing a backup back: any backup of the data with the current keystore, and nobody served before it is safe.

Three things must be done to data that are older than what was lost. The log is a shorter one than was signed: it is
closed, and its successor says so (`audit.succession`). People erased since are in it again: the guard erases them
again. And search tokens of an epoch that has ended find nobody: they are made anew. How far this has come is a row of
the database itself, written before the database can be found under its name; until the row says done, no service opens
it, and `carry_on` continues where a crash stopped.

Data that came back by other means (a base backup, a copied file) have no such row. `admit` stands before every service:
it runs the guard where the keystore has seen an epoch end that the data have not. A log that is shorter than the
checkpoint outside is neither grown nor signed: `begin` and `carry_on` are the operator's word that it is to go on.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from sqlalchemy import Connection, bindparam, func, insert, select, update
from sqlalchemy import exists as sql_exists

from audit import succession
from audit.entry import Act, Actor, Entry, Outcome
from audit.pin import read_pin, set_aside
from audit.succession import Succession
from vault import logkeys
from vault.erasure.certificates import tell_again
from vault.erasure.finishing import finish
from vault.erasure.keeping import EVERY_CATEGORY
from vault.errors import Conflict, InvalidBackup, RestoreUnfinished, SchemaMismatch
from vault.evidence import outside_file
from vault.keys.epochs import Destroyed
from vault.keys.service import Slot
from vault.recovery import guard, manifest, reindex
from vault.recovery.guard import Carried
from vault.recovery.manifest import Manifest
from vault.setup import log_origin
from vault.store import dumps, schema
from vault.store.engine import open_engine, translate
from vault.store.tables import metadata
from vault.unit import UnitOfWork, Vault

UNIQUE: Final = 8
ID: Final = 16

_DEPLOYMENT: Final = metadata.tables["deployment"]
_RESTORATION: Final = metadata.tables["restoration"]
_SUBJECT: Final = metadata.tables["subject"]
_COMPARTMENT: Final = metadata.tables["compartment"]
_ERASURE: Final = metadata.tables["erasure"]
_LEAF: Final = metadata.tables["erasure_leaf"]

_OPEN: Final = select(_RESTORATION).where(_RESTORATION.c.phase != "done").order_by(_RESTORATION.c.begun_at)
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

History = Callable[[int], Sequence[Destroyed]]
"""What was destroyed from an epoch on (`vault.keys.keeper.EpochKeeper.history`)."""
Progress = Callable[[str, int, int], None]
"""What is being done, how much of it is done, and of how much (0: not known)."""


@dataclass(frozen=True, slots=True)
class Restored:
    """What was done to the data: people erased again, tokens made anew, what became of the log of each shard."""

    carried: Carried
    indexed: int
    successions: tuple[Succession, ...]


def bring_back(
    file: Path, url: str, deployment: str, keys_epoch: int, unique: str, now: int, progress: Progress, *, replace: bool
) -> Manifest:
    """Put a data backup into the place at `url`, marked as not to be served before `carry_on` is done.

    `keys_epoch` is the current epoch of the keystore it is to live with. `replace` sets aside what is there, which no
    process may have open. Raises InvalidBackup for a backup that is unfinished, altered, another deployment's, of
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
        lambda at: _mark(at, deployment, unique, now),
        lambda done, of: progress("loading", done, of),
    )
    return told


def begin(vault: Vault, outside: Path, *, now: int) -> bool:
    """Mark data that came back by other means, if they need `carry_on`. Whether there is anything to do."""
    with vault.reading() as conn:
        if unfinished(conn):
            return True
        stale = (conn.scalar(_EPOCH) or 0) < vault.keys.status().epoch
        broken = not all(_extends(vault, conn, shard, outside) for shard in range(vault.shards))
    if not stale and not broken and not reindex.needed(vault):
        return False
    with vault.unit() as uow:
        uow.conn.execute(insert(_RESTORATION), _row(vault.entropy.bytes(ID), "log" if broken else "leaves", now))
        uow.commit()
    return True


def unfinished(conn: Connection) -> bool:
    """Whether a backup was brought back and may not be served yet."""
    return conn.execute(_OPEN).first() is not None


def carry_on(vault: Vault, outside: Path, actor: Actor, history: History, progress: Progress) -> Restored:
    """Do what is left to do before these data may be served. `outside` keeps the last checkpoint off the database.

    Raises `Damaged` when the keystore lacks somebody who was never erased, `SigningRefused` when the checkpoint outside
    is not this deployment's. It may then be called again.
    """
    with vault.reading() as conn:
        row = conn.execute(_OPEN).first()
        total = conn.scalar(select(func.count()).select_from(_SUBJECT)) or 0
    ended: list[Succession] = []
    if row is None:
        return Restored(Carried(), 0, ())
    epoch, phase, after = vault.keys.status().epoch, row.phase, row.after
    carried, indexed = Carried(row.subjects, row.compartments), row.indexed
    if phase == "log":
        progress("closing the log", 0, 0)
        ended = _succeed_all(vault, row.id, outside, actor)
        phase, after = "leaves", b""
    _set_aside_pins(vault, row.id, outside)
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
        # Where tokens survived (a backup of this very epoch) the index is good, and the guard has taken people out.
        if reindex.needed(vault):
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
    _finish(vault, row.id, epoch, actor, carried)
    return Restored(carried, indexed, tuple(ended))


def admit(vault: Vault, history: History, outside: Path) -> Carried:
    """Stand before the service: run the guard if leaves went, or wait to go, that the data may not have heard of.

    Costs three short queries where there is nothing to do. Raises `RestoreUnfinished` when a backup is being brought
    back, or the log is not the one last signed: the guard's entries would grow it anew. Raises what the guard raises.
    """
    with vault.reading() as conn:
        if unfinished(conn):
            raise RestoreUnfinished("a backup was brought back and is not ready: run `ecrin restore` again")
        caught_up, queued = conn.scalar(_EPOCH) or 0, conn.scalar(_QUEUED) or 0
    status = vault.keys.status()
    if caught_up >= status.epoch and status.retired <= queued:
        return Carried()
    with vault.reading() as conn:
        if not all(_extends(vault, conn, shard, outside) for shard in range(vault.shards)):
            raise RestoreUnfinished("the log lacks entries that were signed: if a backup was put back, `ecrin restore`")
    destroyed = list(history(0))
    finish(vault, destroyed)
    carried = guard.carry(vault, _slots(destroyed))
    finish(vault, destroyed)  # fields that waited, of what the guard has emptied
    if reindex.needed(vault):
        reindex.rebuild(vault)
    with vault.unit() as uow:
        _catch_up(uow, status.epoch)
        uow.commit()
    return carried


def follow(vault: Vault, ended: Sequence[Destroyed]) -> None:
    """Note that what went with these epochs is gone from the data too, unless the guard still has to look."""
    with vault.unit() as uow:
        for each in ended:
            uow.conn.execute(_FOLLOW, {"ended": each.epoch, "epoch": each.epoch + 1})
        uow.commit()


def _catch_up(uow: UnitOfWork, epoch: int) -> None:
    """Note that these data have caught up with `epoch`, or not quite: what the guard closed goes at its end.

    Until then the guard looks at every start, and `follow` does not move on.
    """
    waits = any(uow.conn.execute(query).first() is not None for query in _ORPHANED)
    uow.conn.execute(_CATCH_UP, {"epoch": epoch - 1 if waits else epoch})


def _mark(url: str, deployment: str, unique: str, now: int) -> None:
    schema.migrate(url)
    engine = open_engine(url, pool_size=1)
    try:
        with translate(), engine.begin() as conn:
            if conn.scalar(select(_DEPLOYMENT.c.id)) != deployment:
                raise InvalidBackup("the backup belongs to another deployment")
            # A backup of a restoration that was under way begins it anew.
            conn.execute(update(_RESTORATION).values(phase="done"))
            conn.execute(insert(_RESTORATION), _row(bytes.fromhex(unique).rjust(ID, b"\0"), "log", now))
    finally:
        engine.dispose()


def _row(identity: bytes, phase: str, now: int) -> dict[str, Any]:
    counts = {"subjects": 0, "compartments": 0, "indexed": 0}
    return {"id": identity, "phase": phase, "after": b"", "begun_at": now, "finished_at": None, **counts}


def _extends(vault: Vault, conn: Connection, shard: int, outside: Path) -> bool:
    note = read_pin(outside_file(outside, shard))
    if note is None:
        return True
    publics = logkeys.publics(vault, conn, shard, note)
    return succession.extends(conn, shard, succession.open_note(note, publics))


def _succeed_all(vault: Vault, identity: bytes, outside: Path, actor: Actor) -> list[Succession]:
    """Close each shard's log and begin its successor. The last of them moves the restoration on, in its own unit."""
    ended: list[Succession] = []
    # Why safe: 64 random bits, so that no backup brought back twice makes two logs of one name.
    origin = succession.successor_of(vault.origin, vault.clock.now(), vault.entropy.bytes(UNIQUE))
    for shard in range(vault.shards):
        with vault.unit(shard) as uow:
            last = logkeys.take_over(uow, read_pin(outside_file(outside, shard)))
            over = succession.succeed(uow.conn, shard, log_origin(origin, shard), last, uow.now)
            uow.record(over.entry(actor))
            tell_again(uow, shard)
            if shard == vault.shards - 1:
                uow.conn.execute(
                    update(_RESTORATION).where(_RESTORATION.c.id == identity).values(phase="leaves", after=b"")
                )
            uow.commit()
        ended.append(over)
    vault.origin = origin
    return ended


def _set_aside_pins(vault: Vault, identity: bytes, outside: Path) -> None:
    """Keep the checkpoints of logs that ended under another name: they are the evidence of what was lost."""
    for shard in range(vault.shards):
        pinned = outside_file(outside, shard)
        note = read_pin(pinned)
        if note is not None and note.partition("\n")[0] != log_origin(vault.origin, shard):
            set_aside(pinned, pinned.with_name(f"{pinned.name}.ended-{identity.hex()[-16:]}"))


def _step(uow: UnitOfWork, identity: bytes, *, after: bytes, **counts: int) -> None:
    added = {name: _RESTORATION.c[name] + count for name, count in counts.items()}
    uow.conn.execute(update(_RESTORATION).where(_RESTORATION.c.id == identity).values(after=after, **added))


def _move(vault: Vault, identity: bytes, phase: str) -> None:
    with vault.unit() as uow:
        uow.conn.execute(update(_RESTORATION).where(_RESTORATION.c.id == identity).values(phase=phase, after=b""))
        uow.commit()


def _finish(vault: Vault, identity: bytes, epoch: int, actor: Actor, carried: Carried) -> None:
    with vault.unit() as uow:
        uow.record(Entry(Act.DEPLOYMENT_RESTORED, Outcome.ALLOW, actor, n=carried.subjects))
        _catch_up(uow, epoch)
        uow.conn.execute(
            update(_RESTORATION).where(_RESTORATION.c.id == identity).values(phase="done", finished_at=uow.now)
        )
        uow.commit()


def _slots(destroyed: Sequence[Destroyed]) -> frozenset[Slot]:
    return frozenset(slot for each in destroyed for slot in each.slots)
