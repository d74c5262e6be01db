"""What the tree must be: the roots that trusted signatures promise at their sizes.

Sorting a checkpoint into trusted, damaged or foreign decides between "somebody changed something" and "cannot decide",
so each way a stored note can be wrong is told apart here.

Standard library and `cryptography` only: the verifier takes this file along when it is copied out.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from audit.checkpoint import Checkpoint, open_signed, parse
from audit.errors import VerificationError
from audit.findings import Fault, Finding
from audit.merkle import Frontier
from audit.note import Note, Signature, VerifierKey, split_note
from audit.stored import StoredCheckpoint

ELSEWHERE = "a checkpoint kept elsewhere cannot be used"


@dataclass(frozen=True, slots=True)
class Target:
    """A root that the tree must have at a size; `pinned` if somebody kept it outside the log."""

    size: int
    root: bytes
    pinned: bool
    by: frozenset[bytes] = frozenset()  # public keys whose lines were found good


@dataclass(frozen=True, slots=True)
class Foreign:
    """A checkpoint that no key of the reader's signed: perhaps one that the log itself brings in."""

    checkpoint: Checkpoint
    note: str
    pinned: bool


@dataclass(frozen=True, slots=True)
class Targets:
    """Every usable target and every foreign checkpoint, smallest first, and what was wrong with the rest."""

    targets: tuple[Target, ...]
    foreign: tuple[Foreign, ...]
    findings: tuple[Finding, ...]
    doubts: tuple[str, ...]


def read_targets(
    stored: Sequence[StoredCheckpoint], pinned: Sequence[str], keys: Sequence[VerifierKey], origin: str
) -> Targets:
    """Sort the checkpoints stored with a log, and those kept elsewhere, by what they are worth.

    Without keys the stored ones are used unsigned: they can show a change, but nothing can show that there is none.
    """
    targets: list[Target] = []
    findings: list[Finding] = []
    doubts: list[str] = []
    foreign: list[Foreign] = []
    for row in stored:
        try:
            checkpoint, by = _stored_checkpoint(row, keys, origin)
        except VerificationError as error:
            findings.append(Finding(Fault.CHECKPOINT, None, f"the checkpoint at size {row.size}: {error}"))
            continue
        if by or not keys:
            targets.append(Target(checkpoint.size, checkpoint.root, pinned=False, by=by))
        else:
            foreign.append(Foreign(checkpoint, row.note, pinned=False))
    for note in pinned:
        try:
            checkpoint, opened = open_signed(note, keys, origin)
        except VerificationError as error:
            if (stranger := _stranger(note, keys, origin)) is None:
                doubts.append(f"{ELSEWHERE}: {error}")
            else:
                foreign.append(Foreign(stranger, note, pinned=True))
        else:
            targets.append(Target(checkpoint.size, checkpoint.root, pinned=True, by=signers_of(opened, keys)))
    if not keys:
        doubts.append("no verifier key was given, so no signature was checked")
    elif not targets and not findings and not foreign:
        doubts.append("there is no checkpoint to check against")
    ordered = tuple(sorted(targets, key=lambda each: (each.size, each.pinned)))
    strangers = tuple(sorted(foreign, key=lambda each: each.checkpoint.size))
    return Targets(ordered, strangers, tuple(findings), tuple(doubts))


def signers_of(opened: Note, keys: Sequence[VerifierKey]) -> frozenset[bytes]:
    """Return the public keys, of those known, whose lines on an opened note are good."""
    good = {(line.name, line.key_id) for line in opened.verified}
    return frozenset(key.public_key for key in keys if (key.name, key.key_id) in good)


def _stranger(note: str, keys: Sequence[VerifierKey], origin: str) -> Checkpoint | None:
    """Read a checkpoint of this log that claims no known key; None for any other note."""
    try:
        taken = split_note(note)
        checkpoint = parse(taken.text)
    except VerificationError:
        return None
    return None if checkpoint.origin != origin or not keys or claims_known_key(taken, keys) else checkpoint


def _stored_checkpoint(
    row: StoredCheckpoint, keys: Sequence[VerifierKey], origin: str
) -> tuple[Checkpoint, frozenset[bytes]]:
    """Read one stored checkpoint and tell which known keys signed it; raises if it is not as it was written."""
    note = split_note(row.note)
    checkpoint = parse(note.text)
    if checkpoint.size != row.size:
        raise VerificationError(f"speaks of {checkpoint.size} entries")
    if row.stack is not None and Frontier.unpack(row.size, row.stack).root() != checkpoint.root:
        raise VerificationError("does not match the frontier stored beside it")
    try:
        checkpoint, opened = open_signed(row.note, keys, origin)
    except VerificationError:
        if claims_known_key(note, keys):
            raise
        return checkpoint, frozenset()
    return checkpoint, signers_of(opened, keys)


def claims_known_key(note: Note, keys: Sequence[VerifierKey]) -> bool:
    """Tell a known key's note that was altered from somebody else's note.

    Either a line claims a known key, or a line holds a known key's good signature under an altered name or id.
    """
    message = note.text.encode()
    claimed = {(key.name, key.key_id) for key in keys}
    return any(
        (line.name, line.key_id) in claimed
        or any(key.verifies(message, line.value) or _straddled(message, key, line) for key in keys)
        for line in note.unverified
    )


def _straddled(message: bytes, key: VerifierKey, line: Signature) -> bool:
    """Tell a line of a known key in which the one base64 character was changed that spells both id and signature.

    It holds the last two bits of the id and the first four of the signature: neither is then what it was.
    """
    near = line.name == key.name and line.key_id[:3] == key.key_id[:3] and line.key_id[3] >> 2 == key.key_id[3] >> 2
    low = line.value[0] & 0x0F
    return near and any(key.verifies(message, bytes((high << 4 | low,)) + line.value[1:]) for high in range(16))
