"""Checks an evidence bundle: the archive an auditor was handed, against keys that came to them by another way.

What it proves: the archive is as it was sealed, byte for byte; the range of the log in it is whole and under the signed
checkpoint; and `rows.csv` is what the filter selects from that range, all of it and nothing else. README, PDF and verifier
are covered by the seal alone: whoever seals can say what they like in them, but cannot change them afterwards.

Standard library and `cryptography` only: the verifier takes this file along when it is copied out.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from hashlib import sha256
from pathlib import Path
from typing import Any

from audit.archive import read_archive
from audit.bundleparts import (
    CHECKPOINT,
    EXPORT_ENTRY,
    EXPORT_PROOF,
    FILTER,
    KEYCHANGES,
    PROOFS,
    ROWS,
    SCHEMA,
    SEAL,
    SEAL_SUFFIX,
    SUMS,
    TOLD,
    Bundle,
    seal_text,
)
from audit.bundlevouched import bundle_keys, check_stamp
from audit.checkpoint import Checkpoint, open_checkpoint, parse
from audit.errors import VerificationError
from audit.findings import Fault, Finding, Result
from audit.merkle import Frontier, leaf_hash, verify_inclusion
from audit.note import VerifierKey, open_note, parse_vkey, split_note
from audit.quorum import QuorumPolicy
from audit.selection import Selection, entry_of, is_of, read_filter, rows_csv
from audit.targets import claims_known_key
from audit.tiles import TILE_WIDTH, bundle_path, parse_path, tile_path, tiles_of, unpack_bundle
from audit.tlogproof import parse_proof

BEFORE_THE_RANGE = "entries of the period may lie before the range"
_FIRST_TOLD = 50  # findings of one bundle


def verify_bundle(
    path: Path,
    vkeys: Iterable[str | VerifierKey],
    log_key: bytes | None = None,
    policy: QuorumPolicy | None = None,
    stamp_roots: Path | None = None,
) -> Result:
    """Verify one bundle.

    `vkeys` are the verifier keys of the log and of its seal (`<origin>/export`). `log_key` is the person's, where the
    bundle is about one. `policy` says which witnesses must have cosigned. `stamp_roots` is a PEM file of certificates that a
    time stamp must lead to. Raises `CannotDecide` for what is no bundle.
    """
    keys = tuple(parse_vkey(each) if isinstance(each, str) else each for each in vkeys)
    members: dict[str, bytes] = {}
    sums: list[str] = []
    faults: list[Finding] = []
    try:
        for name, content in read_archive(path):
            if name in members:
                faults.append(Finding(Fault.DUPLICATE, None, f"{name} stands twice"))
            if name not in {SUMS, SEAL}:
                sums.append(f"{sha256(content).hexdigest()}  {name}\n")
            members[name] = content
    except VerificationError as error:
        faults.append(Finding(Fault.CHANGED, None, str(error)))
    bundle = Bundle(members)
    bundle.findings += faults
    known = bundle_keys(bundle, keys)
    check_stamp(bundle, known.keys, stamp_roots)
    return _judged(bundle, "".join(sums).encode(), known.keys, log_key, policy)


def _judged(
    bundle: Bundle, sums: bytes, keys: Sequence[VerifierKey], log_key: bytes | None, policy: QuorumPolicy | None
) -> Result:
    selection = _filter(bundle)
    origin = "" if selection is None else selection.origin
    _seal(bundle, sums, keys, origin)
    signed = _checkpoint(bundle, keys, origin, policy)
    root = b""
    if signed is not None and selection is not None:
        root = _range(bundle, selection, signed, log_key)
        _proofs(bundle, signed)
        _export(bundle, selection, signed)
    _strangers(bundle, () if signed is None or selection is None else _tiles(selection, signed.size))
    size = 0 if signed is None else signed.size
    return Result(
        shard=0,
        origin=origin,
        size=size,
        root=root,
        checkpoints=int(signed is not None),
        signed=size,
        findings=tuple(bundle.findings[:_FIRST_TOLD]),
        more_findings=max(0, len(bundle.findings) - _FIRST_TOLD),
        doubts=tuple(bundle.doubts),
        notices=tuple(bundle.notices),
    )


def _filter(bundle: Bundle) -> Selection | None:
    try:
        return read_filter(bundle.member(FILTER))
    except VerificationError as error:
        bundle.fault(Fault.MALFORMED, f"{FILTER}: {error}")
        return None


def _seal(bundle: Bundle, sums: bytes, keys: Sequence[VerifierKey], origin: str) -> None:
    if bundle.member(SUMS) != sums:
        bundle.fault(Fault.CHANGED, f"{SUMS} does not say what is in the bundle")
    name = origin + SEAL_SUFFIX
    sealing = [each for each in keys if each.name == name]
    if not sealing:
        bundle.doubts.append(f"no key of {name} was given: the seal was not checked")
        return
    try:
        note = open_note(bundle.member(SEAL), sealing)
    except VerificationError as error:
        bundle.fault(Fault.CHANGED, f"{SEAL}: {error}")
        return
    if note.text != seal_text(origin, sums):
        bundle.fault(Fault.CHANGED, f"{SEAL} seals something else")


def _checkpoint(
    bundle: Bundle, keys: Sequence[VerifierKey], origin: str, policy: QuorumPolicy | None
) -> Checkpoint | None:
    own = [each for each in keys if each.name == origin]
    note = bundle.member(CHECKPOINT)
    try:
        taken = split_note(note)
        if not claims_known_key(taken, own):
            which = (
                "signed by another key than was given: the log may have a new one"
                if own
                else "of no key that was given"
            )
            bundle.doubts.append(f"the checkpoint is {which}")
            return parse(taken.text)  # what does not fit it was changed all the same
        if policy is None:
            bundle.notices.append("no policy file was given: whether witnesses cosigned was not asked")
            return open_checkpoint(note, own, origin)
        judged = policy.judge(note, origin, own)
    except VerificationError as error:
        bundle.fault(Fault.CHECKPOINT, f"{CHECKPOINT}: {error}")
        return None
    if not judged.quorum:
        bundle.doubts.append("the checkpoint is not cosigned by a quorum of the policy's witnesses")
    return judged.checkpoint


def _range(bundle: Bundle, selection: Selection, signed: Checkpoint, log_key: bytes | None) -> bytes:
    """Recompute the tree from the entries of the range and the tile roots beside it, and the rows from the filter."""
    if not _covers(selection, signed.size):
        bundle.fault(Fault.MALFORMED, "the range does not begin with a tile, or does not end under the checkpoint")
        return b""
    full, partial = divmod(signed.size, TILE_WIDTH)
    roots = _level_hashes(bundle, 1, full)
    tail = bundle.hashes(tile_path(0, full, partial), partial) if partial else []
    root = Frontier(signed.size, (*Frontier().extend(roots).stack, *Frontier().extend(tail).stack)).root()
    if root != signed.root:
        bundle.fault(Fault.CHECKPOINT, "the tiles do not lead to the root that the checkpoint signs")
    chosen: list[tuple[int, Mapping[str, Any]]] = []
    edges: list[str] = []
    seen: set[str] = set()
    for index, body in _range_entries(bundle, selection, signed.size, roots, tail):
        try:
            entry = entry_of(body)
        except VerificationError as error:
            bundle.fault(Fault.MALFORMED, f"entry {index}: {error}", index)
            continue
        if entry["id"] in seen:
            bundle.fault(Fault.DUPLICATE, f"entry {index} has an id that stands before", index)
        seen.add(entry["id"])
        edges[1:] = [entry["t"]]
        if selection.selects(entry, log_key):
            chosen.append((index, entry))
    _edges(bundle, selection, edges)
    if selection.subject and (log_key is None or not _is_theirs(bundle, log_key)):
        given = "their key was not given" if log_key is None else "the key that was given is not theirs"
        bundle.doubts.append(f"the bundle is about one person and {given}: the rows were not checked")
    elif rows_csv(chosen) != bundle.member(ROWS):
        bundle.fault(Fault.CHANGED, f"{ROWS} is not what the filter selects from the range")
    return root


def _is_theirs(bundle: Bundle, log_key: bytes) -> bool:
    """Tell whether the key is that of the person whom the export is about: its own entry bears their pseudonym."""
    try:
        return is_of(log_key, entry_of(bundle.member(EXPORT_ENTRY)))
    except VerificationError:
        return True  # a fault of its own, which is told


def _covers(selection: Selection, size: int) -> bool:
    return not selection.first % TILE_WIDTH and selection.first <= selection.end <= size


def _edges(bundle: Bundle, selection: Selection, times: Sequence[str]) -> None:
    """Say where the period may reach beyond the range: entries outside it cannot be ruled out."""
    if selection.first and times and times[0] >= selection.since:
        bundle.doubts.append(BEFORE_THE_RANGE)
    if times and times[-1] < selection.until:
        bundle.notices.append("the period ends after the range: later entries are not in this bundle")


def _range_entries(
    bundle: Bundle, selection: Selection, size: int, roots: Sequence[bytes], tail: Sequence[bytes]
) -> Iterator[tuple[int, bytes]]:
    """Give the entries of the range, tile by tile, each tile held against its root or, the last one, its leaf hashes.

    The last bundle may hold entries behind the range: they belong to its tile.
    """
    for name, index in _bundles(selection, size):
        content = bundle.member(name)
        try:
            bodies = unpack_bundle(content)
        except VerificationError as error:
            bundle.fault(Fault.MALFORMED, f"{name}: {error}", index * TILE_WIDTH)
            continue
        leaves = [leaf_hash(body) for body in bodies]
        first = index * TILE_WIDTH
        if index < len(roots):
            if len(leaves) != TILE_WIDTH or Frontier().extend(leaves).root() != roots[index]:
                bundle.fault(Fault.CHANGED, f"{name} is not what the tree holds from entry {first} on", first)
        elif leaves != list(tail):
            wrong = next((at for at, (a, b) in enumerate(zip(leaves, tail, strict=False)) if a != b), 0)
            bundle.fault(Fault.CHANGED, f"{name} is not what the tree holds at entry {first + wrong}", first + wrong)
        yield from enumerate(bodies[: selection.end - first], first)


def _bundles(selection: Selection, size: int) -> Iterator[tuple[str, int]]:
    for index in range(selection.first // TILE_WIDTH, -(-selection.end // TILE_WIDTH)):
        yield bundle_path(index, min(TILE_WIDTH, size - index * TILE_WIDTH)), index


def _tiles(selection: Selection, size: int) -> Iterator[str]:
    """Name every tile and bundle that belongs in the archive."""
    full, partial = divmod(size, TILE_WIDTH)
    if partial:
        yield tile_path(0, full, partial)
    for index, width in tiles_of(1, size):
        yield tile_path(1, index, width)
    if _covers(selection, size):
        yield from (name for name, _ in _bundles(selection, size))


def _level_hashes(bundle: Bundle, level: int, count: int) -> list[bytes]:
    found: list[bytes] = []
    for at in range(0, count, TILE_WIDTH):
        width = min(TILE_WIDTH, count - at)
        found += bundle.hashes(tile_path(level, at // TILE_WIDTH, width), width)
    return found


def _proofs(bundle: Bundle, signed: Checkpoint) -> None:
    for name in sorted(each for each in bundle.members if each.startswith(PROOFS)):
        try:
            proof = parse_proof(bundle.members[name].decode())
            body = _entry_at(bundle, proof.index)
            verify_inclusion(proof.index, signed.size, leaf_hash(body), proof.hashes, signed.root)
        except (VerificationError, UnicodeDecodeError) as error:
            bundle.fault(Fault.CHANGED, f"{name}: {error}")
            continue
        if name != f"{PROOFS}{proof.index}.tlog-proof" or proof.checkpoint.encode() != bundle.member(CHECKPOINT):
            bundle.fault(Fault.CHANGED, f"{name} is of another entry or checkpoint")


def _entry_at(bundle: Bundle, index: int) -> bytes:
    for name in (bundle_path(index // TILE_WIDTH, width) for width in range(TILE_WIDTH, 0, -1)):
        if name in bundle.members:
            bodies = unpack_bundle(bundle.members[name])
            if index % TILE_WIDTH < len(bodies):
                return bodies[index % TILE_WIDTH]
    raise VerificationError("proves an entry outside the range")


def _export(bundle: Bundle, selection: Selection, signed: Checkpoint) -> None:
    """Hold the entry that records this export against what was exported: the filter, the range, how many rows."""
    try:
        body = bundle.member(EXPORT_ENTRY)
        proof = parse_proof(bundle.member(EXPORT_PROOF).decode())
        verify_inclusion(proof.index, signed.size, leaf_hash(body), proof.hashes, signed.root)
        entry = entry_of(body)
    except (VerificationError, UnicodeDecodeError) as error:
        bundle.fault(Fault.CHANGED, f"the entry of the export: {error}")
        return
    rows = bundle.member(ROWS).count(b"\r\n") - 1
    said = {
        f"filter:{sha256(bundle.member(FILTER)).hexdigest()}",
        f"range:{selection.first}-{selection.end}",
    }
    if entry["act"] != "audit.exported" or not said <= set(entry.get("pol", ())) or entry.get("n") != rows:
        bundle.fault(Fault.CHANGED, "the entry of the export records another filter, range or number of rows")


def _strangers(bundle: Bundle, tiles: Iterable[str]) -> None:
    known: Collection[str] = {*TOLD, *tiles, SUMS, SEAL, CHECKPOINT, FILTER, ROWS, SCHEMA, EXPORT_ENTRY, EXPORT_PROOF}
    for name in bundle.members:
        if name in known or name.startswith((PROOFS, KEYCHANGES)):
            continue
        try:
            parse_path(name)
            what = "is a tile that does not belong to the range"
        except VerificationError:
            what = "does not belong in a bundle"
        bundle.fault(Fault.CHANGED, f"{name} {what}")
