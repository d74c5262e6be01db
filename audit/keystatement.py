"""Statements of a change of the log's key, a file each: for holders of the key before who meet one that they do not know.

A C2SP tlog-proof whose `extra` line holds the entry (`log.key_added`, `log.key_retired`). What a proof has as `extra` is
nobody's word; here it is what the proof is about, and the checkpoint in it is signed by a key that the reader has. So the
log vouches for the other key, on the same word as a whole log does (`audit.keychange`), without the log.

Standard library and `cryptography` only: the verifier takes this file along when it is copied out.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from audit.checkpoint import open_signed, parse
from audit.errors import CannotDecide, VerificationError
from audit.grammar import read_form
from audit.keychange import KeyChange, SignedBy, read_change, signed_after_its_end
from audit.merkle import leaf_hash, verify_inclusion
from audit.note import VerifierKey, key_id, split_note
from audit.targets import claims_known_key, signers_of
from audit.tlogproof import TlogProof, parse_proof

MAX_STATEMENTS = 128  # a log has at most 64 keys, and two entries frame each change


@dataclass(frozen=True, slots=True)
class KnownKeys:
    """The reader's keys and those that statements bring in; the changes that they tell; how many were of no known key."""

    given: tuple[VerifierKey, ...]
    brought: tuple[VerifierKey, ...] = ()
    changes: tuple[KeyChange, ...] = ()
    strange: int = 0

    @property
    def keys(self) -> tuple[VerifierKey, ...]:
        """All of them."""
        return (*self.given, *self.brought)

    @property
    def told(self) -> str:
        """Name the keys that the reader has on the log's word alone, as verifier keys begin; "" for none."""
        return ", ".join(f"{each.name}+{each.key_id.hex()}" for each in self.brought)


def take_statements(texts: Iterable[str | bytes], keys: Sequence[VerifierKey]) -> KnownKeys:
    """Take up statements, in whatever order they come: one may bring in the key that another is signed with.

    Raises `VerificationError` for one that a known key signed and that does not hold, `CannotDecide` for what is none.
    """
    waiting = [_read_statement(each) for each in texts]
    if len(waiting) > MAX_STATEMENTS:
        raise CannotDecide("too many statements of a change of key")
    known: list[VerifierKey] = list(keys)
    changes: list[KeyChange] = []
    while taken := [each for each in waiting if claims_known_key(split_note(each[0].checkpoint), known)]:
        waiting = [each for each in waiting if each not in taken]
        for proof, change in taken:
            name = _stated(proof, known)
            changes.append(change)
            for public in (change.key, change.before):
                key = VerifierKey(name, key_id(name, public), public)
                if key not in known:
                    known.append(key)
    return KnownKeys(tuple(keys), tuple(known[len(keys) :]), tuple(changes), len(waiting))


def check_signers(note: str | bytes, known: KnownKeys) -> None:
    """Refuse a checkpoint that bears lines of such keys alone as had ended before it; raises `VerificationError`."""
    origin = parse(split_note(note).text).origin
    checkpoint, opened = open_signed(note, known.keys, origin)
    ended = signed_after_its_end(SignedBy(checkpoint.size, signers_of(opened, known.keys)), known.changes)
    if ended is not None:
        raise VerificationError(
            f"the checkpoint is signed by a key that ended at entry {ended.index}, and by none since"
        )


def _read_statement(text: str | bytes) -> tuple[TlogProof, KeyChange]:
    try:
        proof = parse_proof(text.decode() if isinstance(text, bytes) else text)
        split_note(proof.checkpoint)
    except (VerificationError, UnicodeDecodeError):
        raise CannotDecide("not a statement of a change of key") from None
    entry = proof.extra or b""
    change = read_change(proof.index, entry) if read_form(entry) is not None else None
    if change is None:
        raise CannotDecide("not a statement of a change of key")
    return proof, change


def _stated(proof: TlogProof, known: Sequence[VerifierKey]) -> str:
    origin = parse(split_note(proof.checkpoint).text).origin
    checkpoint, _ = open_signed(proof.checkpoint, known, origin)
    verify_inclusion(proof.index, checkpoint.size, leaf_hash(proof.extra or b""), proof.hashes, checkpoint.root)
    return origin
