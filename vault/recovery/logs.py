"""The logs of data that were brought back: whether one may be carried on, closing it, and what was signed of it kept aside."""

from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path
from typing import Final

from sqlalchemy import Connection, select, update

from audit import ledger, succession
from audit.checkpoint import Checkpoint
from audit.entry import Act, Actor, decode
from audit.pin import read_pin, set_aside
from audit.succession import Succession
from vault import logkeys
from vault.erasure.certificates import tell_again
from vault.evidence import outside_file
from vault.recovery import lost as lost_of
from vault.recovery.lost import Known, Lost
from vault.setup import log_origin
from vault.store.tables import metadata
from vault.unit import Vault

UNIQUE: Final = 8

_RESTORATION: Final = metadata.tables["restoration"]


class ByLog(StrEnum):
    """What a restoration has of a log outside: none was given; one is to be read, was read; an operator goes without."""

    NONE = "none"
    OWED = "owed"
    READ = "read"
    WAIVED = "waived"


def known(conn: Connection) -> list[Known]:
    """Return every log of the data, as it is there."""
    heads = [(shard, ledger.head(conn, shard)) for shard in ledger.shards(conn)]
    return [Known(shard, head.origin, head.size, head.frontier.root()) for shard, head in heads]


def followed(conn: Connection) -> list[str]:
    """Name the logs that the data's own follow, as their first entries do (`audit.succession.after`)."""
    rules: list[str] = []
    for shard in ledger.shards(conn):
        for record in ledger.read(conn, shard, 0, 1) if shard >= 0 else ():
            first = decode(record.body)
            if first["act"] == Act.LOG_SUCCESSION:
                rules += [each for each in first["pol"] if each.startswith(succession.AFTER)]
    return rules


def examine(vault: Vault, places: Sequence[Path], outside: Path, *, whole: bool = False) -> Lost:
    """Say what logs outside tell that these data do not know (`vault.recovery.lost.examine`). Changes nothing."""
    with vault.reading() as conn:
        here = known(conn)
        last = conn.scalar(select(_RESTORATION.c.by_log).order_by(_RESTORATION.c.begun_at.desc()).limit(1))
        before = () if last == ByLog.READ else followed(conn)
    pins = lost_of.pins_of(outside, vault.shards)
    publics = lost_of.publics_of(vault.keys)
    return lost_of.examine(places, publics, here, pins, lambda *at: covers(vault, *at), whole=whole, followed=before)


def covers(vault: Vault, shard: int, signed: Checkpoint) -> bool:
    """Tell whether a shard's log has all that a checkpoint signs, as it signs it."""
    with vault.reading() as conn:
        return succession.extends(conn, shard, signed)


def all_extend(vault: Vault, conn: Connection, outside: Path) -> bool:
    """Tell whether every log may be carried on, by the checkpoints kept outside."""
    return all(extends(vault, conn, shard, outside) for shard in range(vault.shards))


def extends(vault: Vault, conn: Connection, shard: int, outside: Path) -> bool:
    """Tell whether a log has all that the checkpoint outside signs. Raises `SigningRefused` for one that is not ours."""
    note = read_pin(outside_file(outside, shard))
    if note is None:
        return True
    publics = logkeys.publics(vault, conn, shard, note)
    return succession.extends(conn, shard, succession.open_note(note, publics))


def succeed_all(vault: Vault, identity: bytes, outside: Path, actor: Actor) -> list[Succession]:
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


def set_aside_pins(vault: Vault, identity: bytes, outside: Path) -> None:
    """Keep the checkpoints of logs that ended under another name: they are the evidence of what was lost."""
    for shard in range(vault.shards):
        pinned = outside_file(outside, shard)
        note = read_pin(pinned)
        if note is not None and note.partition("\n")[0] != log_origin(vault.origin, shard):
            set_aside(pinned, pinned.with_name(f"{pinned.name}.ended-{identity.hex()[-16:]}"))
