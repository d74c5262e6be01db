"""Time stamps of checkpoints (RFC 3161): what is stamped, and checking a token offline.

Stamped is the checkpoint's text, an empty line and the log's own (first) signature line, as in the note but without the lines of
witnesses: so the stamp stays the same whoever cosigns later, and it also shows that the log's signature is no younger.

A token is a CMS structure with its own chain of certificates. This file does not take it apart: it asks the `openssl`
program, which an auditor trusts already or replaces, and says that it cannot decide where there is none. The vault
checks each token with another library before it keeps it.

Standard library and `cryptography` only: the verifier takes this file along when it is copied out.
"""

import re
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from hashlib import sha256
from pathlib import Path

from audit.errors import CannotDecide, VerificationError
from audit.note import VerifierKey, line_of, open_note, split_note

_SECONDS = 30
_TOLD_TIME = re.compile(r"^Time stamp: (.+)$", re.MULTILINE)
# What openssl says when the token is of something else, or was changed; all else may be a matter of certificates.
_OTHER = ("message imprint mismatch", "digest failure", "signature failure", "bad signature", "invalid signature")


def stamped_bytes(note: str | bytes, keys: Sequence[VerifierKey]) -> bytes:
    """Return what a time stamp of this signed checkpoint is over; raises `VerificationError` if the log did not sign.

    The line is the first that bears the log's name, whichever of its keys the reader knows: while two sign, a stamp is the
    same for holders of either.
    """
    opened = open_note(note, keys)
    name = opened.verified[0].name
    first = next(line for line in split_note(note).unverified if line.name == name)
    return f"{opened.text}\n{line_of(first)}".encode()


def verify_stamp(stamped: bytes, token: bytes, roots: Path) -> str:
    """Check a time-stamp response over these bytes against root certificates (PEM); return its time as openssl tells it.

    The certificates are judged as of now without their dates: a token outlives the certificate that signed it. Raises
    `VerificationError` when the token is over other bytes or was changed, `CannotDecide` when the chain does not lead
    to the roots, or there is no openssl.
    """
    program = shutil.which("openssl")
    if program is None:
        raise CannotDecide("there is no openssl to check the time stamp with")
    if not roots.is_file():
        raise CannotDecide("the root certificates of the time-stamping authority cannot be read")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "token"
        path.write_bytes(token)
        told = _openssl(program, "-reply", "-in", str(path), "-text")
        time = _TOLD_TIME.search(told.stdout)
        if told.returncode or time is None:
            raise CannotDecide("not a time-stamp response that was granted")
        digest = sha256(stamped).hexdigest()
        checked = _openssl(
            program, "-verify", "-digest", digest, "-in", str(path), "-CAfile", str(roots), "-no_check_time"
        )
    if checked.returncode == 0:
        return time[1]
    said = checked.stderr.lower() + checked.stdout.lower()
    if any(each in said for each in _OTHER):
        raise VerificationError("the time stamp is over other bytes, or was changed")
    raise CannotDecide("the time stamp is not from an authority under these certificates")


def _openssl(program: str, *arguments: str) -> "subprocess.CompletedProcess[str]":
    try:
        return subprocess.run(  # noqa: S603 - fixed words and a file of our own
            [program, "ts", *arguments], capture_output=True, text=True, timeout=_SECONDS, check=False, errors="replace"
        )
    except (OSError, subprocess.TimeoutExpired):
        raise CannotDecide("openssl did not answer") from None
