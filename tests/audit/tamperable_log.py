"""Logs to tamper with: written through the ledger on real databases, or kept in memory where every byte is flipped."""

import hashlib
from dataclasses import dataclass

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from audit import checkpoint
from audit.checkpoint import Checkpoint
from audit.entry import Act, Actor, ActorKind, Entry, Outcome, encode, sref
from audit.merkle import Frontier, leaf_hash
from audit.note import sign_note, vkey
from audit.stored import StoredCheckpoint, StoredEntry, StoredLog

ORIGIN = "vault.example/audit"
START = 1_790_000_000


class Ed25519Signer:
    """A note signer with a key in memory."""

    def __init__(self, name, seed=b"\x01" * 32):
        self._key = Ed25519PrivateKey.from_private_bytes(seed)
        self.name = name
        self.public_key = self._key.public_key().public_bytes_raw()

    @property
    def vkey(self):
        return vkey(self.name, self.public_key)

    def sign(self, message):
        return self._key.sign(message)


def entry_id(number):
    return hashlib.sha256(b"id%d" % number).digest()[:16]


def body(number, t=START):
    """The encoded entry `number`: one of several kinds, each of another length."""
    actor = Actor(ActorKind.SYSTEM, "sys-paris", None if number % 5 else "sys-desk")
    kinds = (
        Entry(Act.LOG_HEARTBEAT, Outcome.ALLOW, Actor(ActorKind.VAULT, "vault")),
        Entry(Act.LOG_STARTED, Outcome.ALLOW, Actor(ActorKind.VAULT, "vault")),
        Entry(Act.TOKEN_REVOKED, Outcome.ALLOW, actor),
        Entry(Act.AUTH_FAILED, Outcome.DENY, actor, pol=("auth.expired",)),
        Entry(Act.SUBJECT_SEARCHED, Outcome.ALLOW, actor, fld=("phone",), n=number),
        Entry(
            Act.FIELD_DISCLOSED,
            Outcome.ALLOW,
            actor,
            fld=("phone:masked", "ring_size:raw"),
            pur="clienteling.in_store",
            bas="consent",
            pol=("floor.consent", "store.contact"),
        ),
        Entry(Act.TOKEN_REFUSED, Outcome.DENY, actor, pur="marketing"),
    )
    chosen = kinds[number % len(kinds)]
    reference = sref(b"\x07" * 32, entry_id(number)) if chosen.act is Act.FIELD_DISCLOSED else None
    return encode(chosen, entry_id(number), t + number, reference)


def signed(signer, origin, size, root):
    return sign_note(checkpoint.format(Checkpoint(origin, size, root)), (signer,))


@dataclass
class Copy:
    """A log whose stored parts can be changed at will."""

    entries: list
    checkpoints: list
    size: int
    stack: bytes
    origin: str = ORIGIN

    def stored(self):
        return StoredLog(0, self.origin, self.size, self.stack, tuple(self.checkpoints), list(self.entries))


def make_log(signer, size, checkpoints, origin=ORIGIN, bodies=None):
    """A sound log of `size` entries with a checkpoint at each of the sizes."""
    entries = []
    notes = []
    frontier = Frontier()
    for index in range(size):
        content = body(index) if bodies is None else bodies[index]
        leaf = leaf_hash(content)
        frontier = frontier.append(leaf)
        entries.append(StoredEntry(index, content, leaf, entry_id(index)))
        if index + 1 in checkpoints:
            note = signed(signer, origin, index + 1, frontier.root())
            notes.append(StoredCheckpoint(index + 1, note, frontier.pack()))
    return Copy(entries, notes, size, frontier.pack(), origin)
