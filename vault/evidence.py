"""Keeps the log vouched for and public: checkpoints, tiles, proofs."""

import fcntl
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from hashlib import sha256
from pathlib import Path
from typing import Any, Final

from audit import checkpoint, ledger, pruning, published, publishing, reconciliation, subtrees
from audit.entry import Act, Actor, Entry, Outcome, decode
from audit.errors import CannotDecide, InvalidEntry, PublishingRefused
from audit.findings import Result
from audit.ledger import Record
from audit.note import split_note
from audit.pin import read_pin
from audit.publishing import Published
from audit.reconciliation import Reconciled
from audit.reports.cases import UNUSUAL
from audit.tiles import Place
from audit.tlogproof import format_proof
from audit.verify import verify_log
from vault import logkeys
from vault.setup import log_origin
from vault.store.engine import translate
from vault.unit import UnitOfWork, Vault

_MOST_HOURS: Final = 48  # of a reconciliation, as an entry names them
_CHUNK: Final = 4096  # entries read at a time
_MIRROR_NAME: Final = 32  # hexadecimal digits of a log's folder: a log's name is no file name


def outside_file(outside: Path, shard: int) -> Path:
    """Name the file off the database that keeps a shard's last checkpoint."""
    return outside if shard == 0 else outside.with_name(f"{outside.name}.{shard}")


def outside_notes(vault: Vault, outside: Path) -> dict[int, list[str]]:
    """Read the checkpoints kept outside the database, by shard; a shard without a file has none."""
    found = {}
    for shard in range(vault.shards):
        note = read_pin(outside_file(outside, shard))
        found[shard] = [] if note is None else [note]
    return found


def verify(vault: Vault, shard: int, notes: Sequence[str]) -> Result:
    """Recompute one log from the stored bytes, in one snapshot (audit.verify); negative numbers are logs that were closed."""
    with vault.reading() as conn:
        stored = ledger.stored_log(conn, shard)
        return verify_log(stored, logkeys.known(vault, conn, shard, stored.origin if shard < 0 else None), notes)


def log_names(vault: Vault) -> dict[int, str]:
    """Name every log there is, by shard: those that are carried on, and under negative numbers those that were closed."""
    with vault.reading() as conn:
        closed = {shard: ledger.head(conn, shard).origin for shard in ledger.shards(conn) if shard < 0}
    return closed | {shard: log_origin(vault.origin, shard) for shard in range(vault.shards)}


def vouched_roots(vault: Vault) -> frozenset[str]:
    """Give the roots (hexadecimal) of closed logs that a later log commits to: with its first entry, or when that was pruned."""
    found: set[str] = set()
    with vault.reading() as conn:
        for shard in ledger.shards(conn):
            pruned = pruning.last(conn, shard)
            place = None if pruned is None else ledger.index_of(conn, shard, pruned.entry_id)
            for record in ledger.read(conn, shard, place or 0, 1):
                # A body that is no entry vouches for nothing; the verifier says what it is.
                with suppress(InvalidEntry, TypeError):
                    found |= roots_in(decode(record.body))
    return frozenset(found)


def roots_in(entry: Mapping[str, Any]) -> set[str]:
    """Return the roots (hexadecimal) of closed logs that an entry vouches for."""
    if entry["act"] not in {Act.LOG_SUCCESSION, Act.LOG_PRUNED}:
        return set()
    return {rule.removeprefix("root:") for rule in entry.get("pol", ()) if rule.startswith("root:")}


def kept_from(vault: Vault, shard: int = 0) -> int:
    """Return the first entry whose body is kept; 0 where nothing was pruned."""
    with vault.reading() as conn:
        return pruning.kept_from(conn, shard)


def sign_checkpoints(vault: Vault, outside: Path, *, wait: bool = False) -> list[str]:
    """Sign the head of every shard that has new entries; returns the notes. `outside` keeps a copy off the database.

    The vault's mirror of the log is brought up to them. Raises `audit.errors.SigningRefused` if a head does not extend what was signed before. Without `wait` a log that
    another process is just signing is passed over, unchecked.
    """
    notes = []
    for shard in range(vault.shards):
        pinned = outside_file(outside, shard)
        with translate(), vault.engine.connect() as conn, conn.begin():
            signers, known = logkeys.signers(vault, conn, shard), logkeys.known(vault, conn, shard)
            note = ledger.sign_checkpoint(conn, shard, signers, pinned, known=known, wait=wait)
            if note is not None:
                published.grow(conn, shard, published.signed_size(conn, shard))
        if note is not None:
            notes.append(note)
    if notes and vault.mirror is not None:
        with suppress(PublishingRefused):  # the service says that it fails and tries again; what is signed stands
            mirror(vault, vault.mirror)
    return notes


def vouch(vault: Vault, outside: Path, folder: Path | None) -> None:
    """Sign what is new, end keys that are over, and bring the folder of the published log up to it if there is one."""
    signed = sign_checkpoints(vault, outside)
    logkeys.retire_due(vault)
    if signed and folder is not None:
        publish(vault, folder, entries=False)


def publish(vault: Vault, folder: Path, *, entries: bool, shard: int = 0) -> Published:
    """Bring a folder of files up to the newest checkpoint (`audit.publishing`)."""
    with vault.reading() as conn:
        return publishing.publish(conn, shard, folder, entries=entries)


def mirror_of(mirror: Path, origin: str) -> Path:
    """Name the folder of one log in the mirror: a log that succeeds another has its own."""
    return mirror / sha256(origin.encode()).hexdigest()[:_MIRROR_NAME]


def mirror(vault: Vault, folder: Path) -> int:
    """Bring the mirror of the log, with its entries, up to the newest checkpoints; returns how many files were written.

    Its folder must be there: a disk that is away is no place to begin a mirror anew. Raises `PublishingRefused`.
    """
    if not folder.is_dir():
        raise PublishingRefused("the folder of the mirror is not there")
    try:
        with _alone(folder):
            return sum(
                publish(vault, mirror_of(folder, log_origin(vault.origin, shard)), entries=True, shard=shard).written
                for shard in range(vault.shards)
            )
    except OSError:
        raise PublishingRefused("the mirror cannot be written") from None


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Let one process at a time write into a folder: all of them have the same names for what they write beside."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def mirror_behind(vault: Vault) -> None:
    """Bring the vault's mirror up to date where signing did not, as its disk was away. Raises `PublishingRefused`."""
    if vault.mirror is None:
        return
    for shard in range(vault.shards):
        newest = latest_checkpoint(vault, shard)
        held = mirror_of(vault.mirror, log_origin(vault.origin, shard)) / publishing.CHECKPOINT
        if newest is not None and (not held.exists() or held.read_text("utf-8", "replace") != newest):
            mirror(vault, vault.mirror)
            return


def hash_tile(vault: Vault, at: Place, shard: int = 0) -> bytes | None:
    """Return a hash tile that the newest checkpoint covers: no entry content is in it."""
    with vault.reading() as conn:
        return published.hash_tile(conn, shard, published.signed_size(conn, shard), at)


def bundles(uow: UnitOfWork, asked: Sequence[tuple[Actor, Place]]) -> list[bytes | None]:
    """Give entry bundles to auditors' systems, None where there is none. Reading the log is in the log."""
    size = published.signed_size(uow.conn, 0)
    answers: list[bytes | None] = []
    for actor, at in asked:
        bundle = published.entry_bundle(uow.conn, 0, size, at)
        seen = Outcome.DENY if bundle is None else Outcome.ALLOW
        uow.record(Entry(Act.AUDIT_VIEWED, seen, actor, n=0 if bundle is None else at.width))
        answers.append(bundle)
    return answers


def proof_of(vault: Vault, entry_id: bytes, shard: int = 0) -> str | None:
    """Prove one entry against the newest checkpoint (C2SP tlog-proof); None if there is none, or not under it yet."""
    with vault.reading() as conn:
        note = ledger.latest_checkpoint(conn, shard)
        index = ledger.index_of(conn, shard, entry_id)
        if note is None or index is None:
            return None
        size = checkpoint.parse(split_note(note).text).size
        if index >= size:
            return None
        return format_proof(index, subtrees.inclusion(conn, shard, index, size), note)


def reconciled(vault: Vault, lines: Iterable[str], actor: Actor, shard: int = 0) -> Reconciled:
    """Hold the key holder's own lines against the log, hour by hour; what came of it is an entry, for the review to show.

    Raises `CannotDecide` where there are none.
    """
    counts = reconciliation.holder_counts(lines)
    with vault.reading() as conn:
        size, kept = ledger.head(conn, shard).size, pruning.beginning(conn, shard)
        begin = 0 if kept is None else kept.first
        bodies = (record.body for at in range(begin, size, _CHUNK) for record in ledger.read(conn, shard, at, _CHUNK))
        since = "" if kept is None else kept.since
        done = reconciliation.reconcile(counts, reconciliation.explained(bodies), since)
    if not done.hours:
        raise CannotDecide("the entries of all these hours were pruned")
    with vault.unit(shard) as uow:
        out = Outcome.ERROR if done.unusual else Outcome.ALLOW
        uow.record(Entry(Act.KEYS_RECONCILED, out, actor, pol=_told_of(done), n=len(done.unusual)))
        uow.commit()
    return done


def _told_of(done: Reconciled) -> tuple[str, ...]:
    """Spell what an entry holds of a reconciliation: its first and last hour, and the newest of those that stand out."""
    told = (f"from:{done.hours[0].hour}", f"to:{done.hours[-1].hour}")
    hours = [each for each in done.hours if each.hour in done.unusual][-_MOST_HOURS:]
    return (*told, *(f"{UNUSUAL}{each.hour}:{each.opened}:{each.explained}:{each.refused}" for each in hours))


def latest_checkpoint(vault: Vault, shard: int = 0) -> str | None:
    """Return the newest signed checkpoint of a shard, or None before the first."""
    with vault.reading() as conn:
        return ledger.latest_checkpoint(conn, shard)


def committed(vault: Vault, start: int, count: int, shard: int = 0) -> tuple[int, list[Record]]:
    """Return the log's size and up to `count` committed entries from index `start` on, of one snapshot."""
    with vault.reading() as conn:
        return ledger.head(conn, shard).size, ledger.read(conn, shard, start, count)
