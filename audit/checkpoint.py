"""Checkpoints: the signed statement "this log has this many entries and this root" (C2SP tlog-checkpoint v1.0.0).

    <origin>
    <size, decimal>
    <base64 root>

Lines after the third are extensions; the log writes none, and the reader keeps those it finds.

Standard library only: the verifier takes this file along when it is copied out.
"""

import binascii
from base64 import b64decode, b64encode
from collections.abc import Iterable
from dataclasses import dataclass

from audit.errors import VerificationError
from audit.merkle import EMPTY_ROOT, HASH_SIZE
from audit.note import Note, VerifierKey, open_note

MAX_SIZE = (1 << 63) - 1  # what the databases' integers hold


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """One state of one log. `root` is 32 bytes; `origin` names the log and nothing else."""

    origin: str
    size: int
    root: bytes
    extension: tuple[str, ...] = ()


def format(checkpoint: Checkpoint) -> str:  # noqa: A001 - read as `checkpoint.format`, the counterpart of `parse`
    """Return the text to sign, its last line ending with LF."""
    _check(checkpoint)
    lines = (checkpoint.origin, str(checkpoint.size), b64encode(checkpoint.root).decode(), *checkpoint.extension)
    return "".join(f"{line}\n" for line in lines)


def parse(text: str) -> Checkpoint:
    """Read the text of a checkpoint (the part of the note that is signed); raises `VerificationError`."""
    if not text.endswith("\n"):
        raise VerificationError("a checkpoint ends with a line feed")
    origin, *rest = text[:-1].split("\n")
    if len(rest) < 2:  # noqa: PLR2004 - size and root
        raise VerificationError("a checkpoint has three lines or more")
    size, root, *extension = rest
    if not (size.isascii() and size.isdigit()) or (size[0] == "0" and size != "0") or len(size) > len(str(MAX_SIZE)):
        raise VerificationError("the size of a checkpoint is a plain decimal number")
    try:
        decoded = b64decode(root.encode("ascii"), validate=True)
    except (binascii.Error, ValueError):
        raise VerificationError("the root of a checkpoint is not base64") from None
    if b64encode(decoded).decode() != root:
        raise VerificationError("the root of a checkpoint is not in its one spelling")
    checkpoint = Checkpoint(origin, int(size), decoded, tuple(extension))
    _check(checkpoint)
    return checkpoint


def open_checkpoint(note: str | bytes, vkeys: Iterable[str | VerifierKey], origin: str) -> Checkpoint:
    """Check a signed checkpoint of one log: signature, form, origin, and that the key's name is the origin.

    A deployment may run several logs under one key pair. The name binds a signature to one of them.
    """
    return open_signed(note, vkeys, origin)[0]


def open_signed(note: str | bytes, vkeys: Iterable[str | VerifierKey], origin: str) -> tuple[Checkpoint, Note]:
    """Check as `open_checkpoint` does, and return with the checkpoint the note, which says whose lines are good."""
    opened = open_note(note, vkeys)
    checkpoint = parse(opened.text)
    if checkpoint.origin != origin:
        raise VerificationError("the checkpoint is of another log")
    if all(signature.name != origin for signature in opened.verified):
        raise VerificationError("the checkpoint is signed under another log's name")
    return checkpoint, opened


def _check(checkpoint: Checkpoint) -> None:
    if not checkpoint.origin or "\n" in checkpoint.origin:
        raise VerificationError("a checkpoint names its origin")
    if not 0 <= checkpoint.size <= MAX_SIZE:
        raise VerificationError("the size of a checkpoint is out of range")
    if len(checkpoint.root) != HASH_SIZE:
        raise VerificationError("the root of a checkpoint is 32 bytes")
    if checkpoint.size == 0 and checkpoint.root != EMPTY_ROOT:
        raise VerificationError("an empty log has one root only")
    if any(not line or "\n" in line for line in checkpoint.extension):
        raise VerificationError("an extension line is not empty")
