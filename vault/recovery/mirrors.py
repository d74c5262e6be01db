"""The mirror of the log: a folder on another disk, with the entries, that says what data brought back do not know.

The service keeps it up to date (`vault.evidence.mirror`). At every start it is held against the data: a mirror that is
ahead, is another log's or is not there stops the start, because a guess would serve whoever was erased since.
"""

from pathlib import Path
from typing import Final

from sqlalchemy import Connection

from audit import checkpoint, ledger, outside, succession
from audit.checkpoint import Checkpoint
from audit.errors import CannotDecide, SigningRefused
from audit.note import split_note
from vault import logkeys
from vault.errors import RestoreUnfinished
from vault.evidence import mirror_of
from vault.recovery import logs
from vault.setup import log_origin
from vault.unit import Vault

_UNIQUE: Final = 8
_AHEAD: Final = "the mirror of the log has entries that these data lack: `ecrin restore`"
_GONE: Final = "the mirror of the log is not there: bring its disk back, or go without (`ecrin restore --without-log`)"


def check(vault: Vault, mirror: Path) -> None:
    """Hold the mirror against the data. Raises `RestoreUnfinished`.

    Costs one look at a folder and one short query where all is well.
    """
    if not mirror.is_dir():
        raise RestoreUnfinished(_GONE)
    with vault.reading() as conn:
        known = {each.origin for each in logs.known(conn)}
        for shard in range(vault.shards):
            origin = log_origin(vault.origin, shard)
            signed = _signed(vault, conn, shard, mirror_of(mirror, origin))
            if signed is None:
                begun = any((mirror_of(mirror, each) / "checkpoint").exists() for each in known)
                # A log that has just succeeded another has no mirror yet, and neither has one that was never signed.
                if not begun and ledger.latest_checkpoint(conn, shard) is not None:
                    raise RestoreUnfinished(_GONE)
            elif not _holds(conn, shard, signed):
                raise RestoreUnfinished(_AHEAD)
        if _succeeded(
            mirror, known, {succession.after(log_origin(vault.origin, each)) for each in range(vault.shards)}
        ):
            raise RestoreUnfinished(_AHEAD)


def fits(vault: Vault, mirror: Path) -> bool:
    """Tell whether `check` lets the data pass."""
    try:
        check(vault, mirror)
    except RestoreUnfinished:
        return False
    return True


def ahead(vault: Vault, mirror: Path) -> dict[int, str]:
    """Return checkpoints in the mirror that were signed here and of which the data's logs fall short, by shard."""
    found = {}
    with vault.reading() as conn:
        for shard in range(vault.shards):
            folder = mirror_of(mirror, log_origin(vault.origin, shard))
            try:
                signed = _signed(vault, conn, shard, folder)
            except RestoreUnfinished:
                continue
            if signed is not None and signed.size > ledger.head(conn, shard).size:
                found[shard] = (folder / "checkpoint").read_text("utf-8")
    return found


def set_aside(vault: Vault, mirror: Path) -> None:
    """Keep what the mirror holds of a log under another name where it is not what the data have: it is evidence."""
    with vault.reading() as conn:
        for shard in range(vault.shards):
            folder = mirror_of(mirror, log_origin(vault.origin, shard))
            try:
                signed = _signed(vault, conn, shard, folder)
            except RestoreUnfinished:
                signed = None
            if folder.exists() and (signed is None or not _holds(conn, shard, signed)):
                folder.rename(folder.with_name(f"{folder.name}.ended-{vault.entropy.bytes(_UNIQUE).hex()}"))


def _signed(vault: Vault, conn: Connection, shard: int, folder: Path) -> Checkpoint | None:
    try:
        note = (folder / "checkpoint").read_text("utf-8")
    except FileNotFoundError:
        return None
    except (OSError, UnicodeDecodeError):
        raise RestoreUnfinished(_GONE) from None
    try:
        return succession.open_note(note, logkeys.publics(vault, conn, shard, note))
    except SigningRefused:
        raise RestoreUnfinished("the mirror of the log holds a checkpoint that was not signed here") from None


def _holds(conn: Connection, shard: int, signed: Checkpoint) -> bool:
    """Tell whether the data's log has what was signed: by its own checkpoint of that size, else by its entries."""
    own = ledger.latest_checkpoint(conn, shard, signed.size)
    if own is not None and checkpoint.parse(split_note(own).text) == signed:
        return True
    return succession.extends(conn, shard, signed)


def _succeeded(mirror: Path, known: set[str], rules: set[str]) -> bool:
    """Tell whether the mirror has a log that follows the data's own, of which the data know nothing."""
    try:
        with outside.open_outside(mirror) as sources:
            strangers = [each.beginning() for each in sources if each.origin not in known]
    except CannotDecide:
        return False
    return any(rules & set(first.get("pol", ())) for first in strangers if first is not None)
