"""Makes an evidence bundle: a range of the log that outsiders verify, what a filter selects from it, and its seal.

Exporting is an entry first, with filter, range, number of rows and recipient; the checkpoint in the bundle covers it.
What people read beside it (README, PDF, the verifier) is the caller's, who gets the facts and hands the texts back to be
sealed with the rest: `audit.bundlecheck` says what the bundle then proves.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from hashlib import sha256
from itertools import chain, islice
from pathlib import Path
from typing import Any, Final

import orjson
from sqlalchemy import Connection

from audit import bundleparts as parts
from audit import inclusion, ledger, pruning, published
from audit.archive import write_archive
from audit.checkpoint import parse
from audit.detail import hand_over
from audit.entry import Act, Actor, Entry, Outcome, decode
from audit.entryschema import entry_schema
from audit.errors import SigningRefused, VerificationError
from audit.note import assemble, signature_line, split_note
from audit.reports.asked import Asked
from audit.reports.lines import Vouched, first_since, vouched
from audit.reports.lines import told as told_at
from audit.selection import Selection, rows_csv, write_filter
from audit.tiles import TILE_WIDTH, Place, bundle_path, tile_path, tiles_of
from audit.tlogproof import format_proof
from vault import details, evidence, keystatements, systems, timestamping, witnessing
from vault.errors import InvalidReport
from vault.keys.service import SigningKey
from vault.reports.running import person_of
from vault.setup import log_origin
from vault.unit import Vault

MOST_ENTRIES: Final = 500_000  # of a range: a bundle is read into memory by whoever checks it
MOST_PROOFS: Final = 32  # rows that get a proof of their own; all others are proven by the range
_PIECE: Final = 4096


@dataclass(frozen=True, slots=True)
class Exported:
    """What was exported: the facts that README and PDF are written from."""

    selection: Selection
    recipient: str
    by: Actor
    at: int
    rows: int
    index: int  # of the entry that records the export
    upto: Vouched
    policies: str
    subject_key: bytes | None = field(default=None, repr=False)


def export(
    vault: Vault,
    asked: Asked,
    actor: Actor,
    recipient: str,
    outside: Path,
    *,
    acts: Iterable[Act] = (),
    outcome: str = "",
) -> Exported:
    """Record an export and have a checkpoint signed that covers it. Nothing is handed out yet: see `write`.

    `recipient` is a word for whom it is for. Raises `InvalidReport`, `UnknownReference`, `SigningRefused`.
    """
    person = person_of(vault, asked)
    with vault.reading() as conn:
        selection = _selection(vault, conn, asked, tuple(sorted(acts)), outcome, subject=person is not None)
        key = None if person is None else person.log_key
        rows = sum(1 for _ in _chosen(conn, selection, key))
    digest = sha256(write_filter(selection)).hexdigest()
    said = (f"filter:{digest}", f"range:{selection.first}-{selection.end}", f"to:{recipient}")
    with vault.unit() as uow:
        entry_id = uow.record(Entry(Act.AUDIT_EXPORTED, Outcome.ALLOW, actor, pol=said, n=rows), log_key=key)
        commit = uow.commit()
        at = uow.now
    evidence.sign_checkpoints(vault, outside, wait=True)
    with vault.reading() as conn:
        upto = next(each for each in vouched(conn) if each.shard == 0)
    index = commit.entries[entry_id]
    if upto.size <= index:
        raise SigningRefused("no checkpoint covers the export yet")
    return Exported(selection, recipient, actor, at, rows, index, upto, vault.bundle.hash.hex(), key)


def settle(vault: Vault, exported: Exported) -> tuple[Exported, bytes | None]:
    """Take the best checkpoint there is by now: one that witnesses cosigned, with its time stamp if it has one.

    Ask witnesses and authority before, or there is no more than the log's own signature.
    """
    cosigned, stamp = witnessing.newest(vault), timestamping.newest(vault)
    if cosigned is not None and cosigned.size > exported.index:
        signed = parse(split_note(cosigned.note).text)
        exported = replace(exported, upto=Vouched(0, signed.origin, signed.size, signed.root, cosigned.note))
    if stamp is None or stamp.size != exported.upto.size:
        return exported, None
    return exported, stamp.response


def write(vault: Vault, exported: Exported, told: Mapping[str, bytes], sink: Callable[[bytes], object]) -> int:
    """Write the bundle to `sink` and return its size in bytes.

    `told` are the members for people, each under a name of `audit.bundlecheck.TOLD`.
    """
    if not told.keys() <= set(parts.TOLD):
        raise InvalidReport("a bundle has no member of that name")
    with vault.reading() as conn:
        fixed = {**told, **_fixed(conn, exported), **_key_changes(vault, conn)}
        bundles = _bundles(conn, exported)
        return write_archive(sink, _sealed(vault, fixed, bundles))


def rows_of(vault: Vault, exported: Exported) -> bytes:
    """Return `rows.csv` as it will be in the bundle."""
    with vault.reading() as conn:
        return rows_csv(_chosen(conn, exported.selection, exported.subject_key))


def details_of(vault: Vault, exported: Exported) -> bytes:
    """Return the details of a person's entries in the bundle, as they are handed over beside the key. Empty ones are none.

    They are read under the export's own entry. Raises `InvalidReport` for a bundle about nobody, and `IntegrityFailure`.
    """
    key = exported.subject_key
    if key is None:
        raise InvalidReport("details are of a person's entries")
    with vault.reading() as conn:
        ids = [bytes.fromhex(entry["id"]) for index, entry in _chosen(conn, exported.selection, key) if "dc" in entry]
        found = details.opened(conn, vault.deployment, key, ids)
    return hand_over((each, *found[each]) for each in ids if each in found)


def seal_key_name(vault: Vault) -> str:
    """Return the name under which bundles are sealed, with the key of receipts."""
    return log_origin(vault.origin, 0) + parts.SEAL_SUFFIX


def _selection(
    vault: Vault, conn: Connection, asked: Asked, acts: tuple[str, ...], outcome: str, *, subject: bool
) -> Selection:
    """Choose the range: whole tiles from the one before the period's first entry, to the first entry behind it."""
    size = ledger.head(conn, 0).size
    begin, behind = (first_since(conn, 0, at, size) for at in (asked.since, asked.until))
    kept = pruning.kept_from(conn, 0)
    first = max(kept, max(0, begin - 1) // TILE_WIDTH * TILE_WIDTH)
    end = min(size, behind + 1)
    if kept and behind <= kept:
        raise InvalidReport(f"the entries of that period were pruned: the log is kept from entry {kept} on")
    if end - first > MOST_ENTRIES:
        raise InvalidReport(f"the period has {end - first} entries: {MOST_ENTRIES} at most, ask for a shorter one")
    brands = {each.id: each.brand for each in systems.listed(conn)}
    actors = [name for name, brand in brands.items() if asked.brand in {"", brand}] if asked.brand else []
    if asked.system:
        actors = [asked.system] if not asked.brand or asked.system in actors else []
    return Selection(
        origin=log_origin(vault.origin, 0),
        since=told_at(asked.since),
        until=told_at(asked.until),
        first=first,
        end=end,
        acts=acts,
        actors=tuple(sorted(actors)),
        purpose=asked.purpose,
        outcome=outcome,
        brand=asked.brand,
        subject=subject,
    )


def _chosen(conn: Connection, selection: Selection, log_key: bytes | None) -> Iterator[tuple[int, Mapping[str, Any]]]:
    for start in range(selection.first, selection.end, _PIECE):
        for record in ledger.read(conn, 0, start, min(_PIECE, selection.end - start)):
            entry = decode(record.body)
            if selection.selects(entry, log_key):
                yield record.idx, entry


def _fixed(conn: Connection, exported: Exported) -> dict[str, bytes]:
    """Make every member but the entries: they are small."""
    selection, upto = exported.selection, exported.upto
    shown = [index for index, _ in islice(_chosen(conn, selection, exported.subject_key), MOST_PROOFS)]
    proofs = inclusion.prove([*shown, exported.index], upto.size, inclusion.leaves(conn, 0, upto.size))
    (entry,) = ledger.read(conn, 0, exported.index, 1)
    members = {
        parts.CHECKPOINT: upto.note.encode(),
        parts.FILTER: write_filter(selection),
        parts.ROWS: rows_csv(_chosen(conn, selection, exported.subject_key)),
        parts.SCHEMA: orjson.dumps(entry_schema(), option=orjson.OPT_INDENT_2 | orjson.OPT_SORT_KEYS),
        parts.EXPORT_ENTRY: entry.body,
        parts.EXPORT_PROOF: format_proof(exported.index, proofs[-1], upto.note).encode(),
    }
    members |= {
        f"{parts.PROOFS}{index}.tlog-proof": format_proof(index, proof, upto.note).encode()
        for index, proof in zip(shown, proofs, strict=False)
    }
    return members | dict(_tiles(conn, upto.size))


def _key_changes(vault: Vault, conn: Connection) -> dict[str, bytes]:
    """Make what readers need who were given another of the log's keys: its statement of each change."""
    made = keystatements.statements(vault, conn)
    return {f"{parts.KEYCHANGES}{index}.tlog-proof": text.encode() for index, text in made}


def _tiles(conn: Connection, size: int) -> Iterator[tuple[str, bytes]]:
    """Give what leads from the range to the root: the roots of all full tiles, and the leaves of the last, partial one."""
    full, partial = divmod(size, TILE_WIDTH)
    for index, width in tiles_of(1, size):
        yield (
            tile_path(1, index, width),
            b"".join(published.hashes(conn, 0, 1, index * TILE_WIDTH, index * TILE_WIDTH + width)),
        )
    if partial:
        yield tile_path(0, full, partial), b"".join(published.hashes(conn, 0, 0, full * TILE_WIDTH, size))


def _bundles(conn: Connection, exported: Exported) -> Iterator[tuple[str, bytes]]:
    selection, size = exported.selection, exported.upto.size
    for index in range(selection.first // TILE_WIDTH, -(-selection.end // TILE_WIDTH)):
        width = min(TILE_WIDTH, size - index * TILE_WIDTH)
        bundle = published.entry_bundle(conn, 0, size, Place(None, index, width))
        if bundle is None:
            raise VerificationError("entries of the range are not there")
        yield bundle_path(index, width), bundle


def _sealed(
    vault: Vault, fixed: Mapping[str, bytes], bundles: Iterable[tuple[str, bytes]]
) -> Iterator[tuple[str, bytes]]:
    """Give every member in order, then their digests, then the seal over these."""
    sums = []
    for name, content in chain(sorted(fixed.items()), bundles):
        sums.append(f"{sha256(content).hexdigest()}  {name}\n")
        yield name, content
    listing = "".join(sums).encode()
    yield parts.SUMS, listing
    text, keys, name = parts.seal_text(log_origin(vault.origin, 0), listing), vault.keys, seal_key_name(vault)
    (signature,) = keys.sign(SigningKey.RECEIPT, [text.encode()])
    yield parts.SEAL, assemble(text, (signature_line(name, keys.public_key(SigningKey.RECEIPT), signature),)).encode()
