"""Certificates: made from what the keystore says it destroyed and the log says was erased, and kept with the erasure.

Made after the entry is covered by a signed checkpoint, in a unit of their own: an erasure whose certificate a crash
prevented is found by having an entry and no certificate.
"""

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from sqlalchemy import Connection, bindparam, select, update

from audit import inclusion, ledger
from audit.certificate import Certificate, KeptBack, certificate_key_name, certificate_text
from audit.entry import Act, Actor, ActorKind, Entry, Outcome, decode
from audit.inclusion import Included
from audit.note import assemble, signature_line, vkey
from vault import evidence
from vault.erasure import keeping, records
from vault.erasure.keeping import Because, Kept
from vault.erasure.records import LOG_LEAF, Cause, LeafState, Scope, what_log
from vault.errors import UnknownErasure
from vault.keys.epochs import Destroyed
from vault.keys.service import SigningKey, Slot
from vault.setup import log_origin
from vault.store.keysets import padded
from vault.store.tables import metadata
from vault.unit import UnitOfWork, Vault

CERTIFICATES_PER_UNIT: Final = 100
KEY_NAME_BYTES: Final = 16
_LABEL: Final = "erasure/leaf/1"

_ERASURE: Final = metadata.tables["erasure"]
_LEAF: Final = metadata.tables["erasure_leaf"]

_UNCERTIFIED: Final = (
    select(_ERASURE)
    .where(
        _ERASURE.c.entry_id.is_not(None),
        _ERASURE.c.certificate.is_(None),
        _ERASURE.c.shard == bindparam("of_shard"),
        _ERASURE.c.id > bindparam("after"),
    )
    .order_by(_ERASURE.c.id)
    .limit(CERTIFICATES_PER_UNIT)
)
_UNTOLD: Final = select(_ERASURE.c.id, _ERASURE.c.subject_id, _ERASURE.c.entry_id).where(
    _ERASURE.c.entry_id.is_not(None), _ERASURE.c.certificate.is_(None), _ERASURE.c.shard == bindparam("of_shard")
)
_RENAME: Final = update(_ERASURE).where(_ERASURE.c.id == bindparam("of_erasure")).values(entry_id=bindparam("to_entry"))
_LEAVES: Final = (
    select(_LEAF)
    .where(_LEAF.c.erasure_id.in_(bindparam("ids", expanding=True)))
    .order_by(_LEAF.c.slot, _LEAF.c.generation)
)
_STORE: Final = (
    update(_ERASURE)
    .where(_ERASURE.c.id == bindparam("of_erasure"), _ERASURE.c.entry_id == bindparam("of_entry"))
    .values(certificate=bindparam("to_note"))
)
_CERTIFICATE: Final = select(_ERASURE.c.certificate).where(_ERASURE.c.id == bindparam("of_erasure"))


def certify(vault: Vault, history: Callable[[], Sequence[Destroyed]], outside: Path) -> int:
    """Make the certificates that are missing. `outside` is the file that keeps the last checkpoint off the database.

    `history` lists what was destroyed, and is asked only if any certificate is missing.
    Signs a checkpoint first, so that it covers the entries. Raises what `evidence.sign_checkpoints` raises.
    """
    made = 0
    by_epoch: dict[int, Destroyed] = {}
    for shard in range(vault.shards):
        signed, after = False, b""
        while True:
            with vault.reading() as conn:
                rows = conn.execute(_UNCERTIFIED, {"of_shard": shard, "after": after}).all()
            if not rows:
                break
            if not signed:
                # Waited for: who signs at this moment may have begun before our entries, and the next run is an hour off.
                evidence.sign_checkpoints(vault, outside, wait=True)
                by_epoch = {each.epoch: each for each in history()}
                signed = True
            made += _certify(vault, shard, [row for row in rows if row.epoch in by_epoch], by_epoch)
            after = rows[-1].id
    return made


def tell_again(uow: UnitOfWork, shard: int) -> None:
    """Write into a log that has just begun what erasures did whose entry is in the one that ended, and are not certified.

    A certificate proves its entry against a checkpoint signed after it, and nothing is signed of a log that ended.
    """
    rows = uow.conn.execute(_UNTOLD, {"of_shard": shard}).all()
    people = records.lock_people(uow, {row.subject_id for row in rows if row.subject_id is not None})
    keys = records.log_keys(uow, list(people.values()))
    actor = Actor(ActorKind.VAULT, uow.vault.deployment)
    for row in rows:
        said = _said_before(uow.conn, row.entry_id)
        if said is not None:
            com = bytes.fromhex(said["com"]) if "com" in said else None
            entry = Entry(Act(said["act"]), Outcome.ALLOW, actor, tuple(said.get("fld", ())), com=com)
            fresh = uow.record(entry, log_key=keys.get(row.subject_id) if com is None else None)
            uow.conn.execute(_RENAME, {"of_erasure": row.id, "to_entry": fresh})


def certificate(vault: Vault, erasure: str) -> str:
    """Return the certificate of an erasure by its id. Raises `UnknownErasure` while there is none."""
    try:
        at = {"of_erasure": bytes.fromhex(erasure)}
    except ValueError:
        raise UnknownErasure from None
    with vault.reading() as conn:
        note: str | None = conn.scalar(_CERTIFICATE, at)
    if note is None:
        raise UnknownErasure
    return note


def verifier_key(vault: Vault, shard: int = 0) -> str:
    """Return the public key to check certificates with, to be published."""
    name = certificate_key_name(log_origin(vault.origin, shard))
    return vkey(name, vault.keys.public_key(SigningKey.ERASURE))


def _certify(vault: Vault, shard: int, rows: Sequence[Any], by_epoch: Mapping[int, Destroyed]) -> int:
    if not rows:
        return 0
    origin = log_origin(vault.origin, shard)
    with vault.reading() as conn:
        proofs = inclusion.included(conn, shard, list({row.entry_id for row in rows}))
        leaves: dict[bytes, list[Any]] = {}
        for leaf in conn.execute(_LEAVES, {"ids": padded([row.id for row in rows])}):
            leaves.setdefault(leaf.erasure_id, []).append(leaf)
        subjects = sorted({row.subject_id for row in rows if row.subject_id is not None})
        filled = keeping.filled(conn, subjects)
        kept = keeping.kept(conn, vault.bundle.catalogue, filled, vault.clock.now())
    said = [
        (row, _said(vault, origin, row, leaves.get(row.id, []), by_epoch[row.epoch], proofs[row.entry_id], kept))
        for row in rows
        if row.entry_id in proofs
    ]
    texts = [certificate_text(each) for _, each in said]
    keys, name = vault.keys, certificate_key_name(origin)
    public = keys.public_key(SigningKey.ERASURE)
    signatures = keys.sign(SigningKey.ERASURE, [text.encode() for text in texts]) if texts else []
    notes = [
        assemble(text, (signature_line(name, public, signature),))
        for text, signature in zip(texts, signatures, strict=True)
    ]
    steps = [
        {"of_erasure": row.id, "of_entry": row.entry_id, "to_note": note}
        for (row, _), note in zip(said, notes, strict=True)
    ]
    if steps:
        with vault.unit(shard) as uow:
            uow.conn.execute(_STORE, steps)
            uow.commit()
    return len(steps)


def _said(
    vault: Vault,
    origin: str,
    row: Any,
    leaves: Sequence[Any],
    destroyed: Destroyed,
    proof: Included,
    kept: Mapping[tuple[bytes, int], Kept],
) -> Certificate:
    catalogue = vault.bundle.catalogue
    gone = [Slot(leaf.slot, leaf.generation) for leaf in leaves if leaf.state == LeafState.DESTROYED]
    back = sorted({leaf.category_id for leaf in leaves if leaf.state == LeafState.KEPT} - {LOG_LEAF})
    scope = Scope(row.scope)
    named = what_log(catalogue, scope, row.category_id, row.field_id)
    return Certificate(
        origin=origin,
        id=row.id.hex(),
        scope=scope.value if not named else f"{scope} {named[0].rpartition(':')[2]}",
        cause=Cause(row.cause).value,
        requested=_time(row.requested_at),
        destruction_class=destroyed.destruction.destruction_class.value,
        effective=_time(destroyed.destruction.effective_at),
        epoch=destroyed.epoch,
        root=destroyed.root_ref,
        kept=tuple(_kept(keeping.name_of(catalogue, each), kept.get((row.subject_id, each))) for each in back),
        keys=tuple(_names(vault, gone)),
        index=proof.index,
        entry=proof.body,
        checkpoint=proof.checkpoint,
        proof=proof.proof,
        listed="" if row.listed_until is None else _time(row.listed_until),
    )


def _said_before(conn: Connection, entry_id: bytes) -> dict[str, Any] | None:
    for shard in ledger.shards(conn):
        at = ledger.index_of(conn, shard, entry_id) if shard < 0 else None  # closed logs have negative numbers
        for record in () if at is None else ledger.read(conn, shard, at, 1):
            return decode(record.body)
    return None


def _kept(category: str, kept: Kept | None) -> KeptBack:
    if kept is None or kept.until is None:
        # Without a hold any more it is kept until the next epoch change, for the reason it had.
        return KeptBack(category, Because.HOLD.value, "released" if kept is None else kept.reason, "")
    return KeptBack(category, Because.LAW.value, kept.reason, _time(kept.until))


def _names(vault: Vault, slots: Sequence[Slot]) -> list[str]:
    """Name leaves so that only the key service can tell which they were: slots say in which order people came."""
    messages = [slot.number.to_bytes(8) + slot.generation.to_bytes(4) for slot in slots]
    return sorted(mac[:KEY_NAME_BYTES].hex() for mac in vault.keys.mac(_LABEL, messages)) if messages else []


def _time(at: int) -> str:
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
