"""Statements of the changes of the log's key, for readers who were given another one (`audit.keystatement`)."""

from collections.abc import Iterator
from typing import Final

from sqlalchemy import Connection, select

from audit import keychange, ledger, subtrees
from audit.checkpoint import parse
from audit.keychange import KeyChange
from audit.note import VerifierKey, split_note
from audit.reports.lines import first_since
from audit.tables import metadata
from audit.tlogproof import format_proof
from vault import logkeys
from vault.unit import Vault

_DAY: Final = 86_400
_PIECE: Final = 4096
_MOST_LOOKED_AT: Final = 64  # checkpoints behind a change: the first already bears both lines
_CHECKPOINTS: Final = metadata.tables["log_checkpoint"]


def statements(vault: Vault, conn: Connection, shard: int = 0) -> list[tuple[int, str]]:
    """Return the statement of each change that a checkpoint covers and whose entry is still there, by index, oldest first.

    That of a new key is under a checkpoint that both keys signed; that of an end, under the first that covers it.
    """
    known = {each.public_key: each for each in logkeys.known(vault, conn, shard)}
    found = []
    for change, body in _changes(conn, shard):
        signers = [known[change.key]] if change.retired else [known[change.key], known[change.before]]
        note = _under(conn, shard, change.index, signers)
        if note is not None:
            size = parse(split_note(note).text).size
            proof = subtrees.inclusion(conn, shard, change.index, size)
            found.append((change.index, format_proof(change.index, proof, note, body)))
    return found


def _changes(conn: Connection, shard: int) -> Iterator[tuple[KeyChange, bytes]]:
    """Find the entries: none without a row that says so, and none older than the first of those."""
    # What a successor took over from a log that was closed is no change of its own, and no entry of it says so.
    made = [each for each in logkeys.changes(conn, shard) if each.ended_at is None or each.ended_at > each.began_at]
    if not made:
        return
    size = ledger.head(conn, shard).size
    at = first_since(conn, shard, max(0, made[0].began_at - _DAY), size)  # a clock may have stepped meanwhile
    while at < size and (piece := ledger.read(conn, shard, at, min(_PIECE, size - at))):
        for record in piece:
            if (change := keychange.read_change(record.idx, record.body)) is not None:
                yield change, record.body
        at = piece[-1].idx + 1


def _under(conn: Connection, shard: int, index: int, signers: list[VerifierKey]) -> str | None:
    later = (_CHECKPOINTS.c.shard == shard, _CHECKPOINTS.c.size > index)
    for note in conn.scalars(
        select(_CHECKPOINTS.c.note).where(*later).order_by(_CHECKPOINTS.c.size).limit(_MOST_LOOKED_AT)
    ):
        lines = {(line.name, line.key_id) for line in split_note(note).unverified}
        if all((each.name, each.key_id) in lines for each in signers):
            return str(note)
    return None
