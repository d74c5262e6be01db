"""What the tree must be: the roots that trusted signatures promise at their sizes.

Sorting a checkpoint into trusted, damaged or foreign decides between "somebody changed something" and "cannot decide",
so each way a stored note can be wrong is told apart here.

Standard library and `cryptography` only: the verifier takes this file along when it is copied out.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from audit.checkpoint import Checkpoint, open_checkpoint, parse
from audit.errors import VerificationError
from audit.findings import Fault, Finding
from audit.merkle import Frontier
from audit.note import Note, Signature, VerifierKey, split_note
from audit.stored import StoredCheckpoint


@dataclass(frozen=True, slots=True)
class Target:
    """A root that the tree must have at a size; `pinned` if somebody kept it outside the log."""

    size: int
    root: bytes
    pinned: bool


@dataclass(frozen=True, slots=True)
class Targets:
    """Every usable target, smallest first, and what was wrong with the rest."""

    targets: tuple[Target, ...]
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
    foreign: list[int] = []
    for row in stored:
        try:
            checkpoint, known = _stored_checkpoint(row, keys, origin)
        except VerificationError as error:
            findings.append(Finding(Fault.CHECKPOINT, None, f"the checkpoint at size {row.size}: {error}"))
            continue
        if known or not keys:
            targets.append(Target(checkpoint.size, checkpoint.root, pinned=False))
        else:
            foreign.append(row.size)
    for note in pinned:
        try:
            checkpoint = open_checkpoint(note, keys, origin)
        except VerificationError as error:
            doubts.append(f"a checkpoint kept elsewhere cannot be used: {error}")
        else:
            targets.append(Target(checkpoint.size, checkpoint.root, pinned=True))
    if not keys:
        doubts.append("no verifier key was given, so no signature was checked")
    elif foreign and targets:
        message = "carries no signature of a known key"
        findings += [Finding(Fault.CHECKPOINT, None, f"the checkpoint at size {size}: {message}") for size in foreign]
    elif foreign:
        doubts.append("no checkpoint is signed by a known key: either the key is of another log, or the log is")
    elif not targets and not findings:
        doubts.append("there is no checkpoint to check against")
    return Targets(tuple(sorted(targets, key=lambda each: (each.size, each.pinned))), tuple(findings), tuple(doubts))


def _stored_checkpoint(row: StoredCheckpoint, keys: Sequence[VerifierKey], origin: str) -> tuple[Checkpoint, bool]:
    """Read one stored checkpoint and tell whether a known key signed it; raises if it is not as it was written."""
    note = split_note(row.note)
    checkpoint = parse(note.text)
    if checkpoint.size != row.size:
        raise VerificationError(f"speaks of {checkpoint.size} entries")
    if row.stack is not None and Frontier.unpack(row.size, row.stack).root() != checkpoint.root:
        raise VerificationError("does not match the frontier stored beside it")
    try:
        return open_checkpoint(row.note, keys, origin), True
    except VerificationError:
        if claims_known_key(note, keys):
            raise
        return checkpoint, False


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
