"""Verify a certificate of erasure offline: 0 verified, 1 it does not hold, 2 it cannot be decided.

    verify.py CERTIFICATE --key KEY --log-key KEY [--keychange FILE]

It cannot be decided where something is missing or unreadable: a file, a key, a signature of a key that was given, the log's
statement of a change of its key. That is never to be mistaken for a certificate that does not hold. Standard library and
`cryptography` only; `python -m audit.standalone certificate` makes one file of it.
"""

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

from audit.certificate import parse_certificate, told, verify_certificate
from audit.errors import CannotDecide, VerificationError
from audit.findings import Verdict
from audit.keystatement import KnownKeys, take_statements
from audit.note import VerifierKey, open_note, parse_vkey, split_note
from audit.targets import claims_known_key


def main(arguments: Sequence[str] | None = None) -> int:
    """Verify a certificate from the command line: 0 verified, 1 it does not hold, 2 it cannot be decided."""
    parser = argparse.ArgumentParser(
        prog="audit.certificatecheck", description="Verify a certificate of erasure offline."
    )
    parser.add_argument("path", type=Path, help="the certificate")
    parser.add_argument(
        "--key", action="append", required=True, help="verifier key of certificates, or a file that holds it; repeat"
    )
    parser.add_argument(
        "--log-key", action="append", required=True, help="verifier key of the log, or a file that holds it; repeat"
    )
    parser.add_argument(
        "--keychange", action="append", default=[], type=Path, help="statement of a change of the log's key"
    )
    options = parser.parse_args(arguments)
    try:
        note, statements = _read_from(options.path), [_read_from(each) for each in options.keychange]
        keys, log_keys = ([_vkey_from(each) for each in given] for given in (options.key, options.log_key))
        _decidable(note, keys)
    except (VerificationError, CannotDecide) as error:
        sys.stderr.write(f"cannot decide: {error}\n")
        return Verdict.UNDECIDED
    try:
        _decidable_within(note, keys, take_statements(statements, log_keys))
        certificate = verify_certificate(note, keys, log_keys, statements)
    except CannotDecide as error:
        sys.stderr.write(f"cannot decide: {error}\n")
        return Verdict.UNDECIDED
    except VerificationError as error:
        sys.stderr.write(f"not verified: {error}\n")
        return Verdict.TAMPERED
    sys.stdout.write(f"{json.dumps(told(certificate), ensure_ascii=False)}\n")
    return Verdict.FINE


def _decidable(note: bytes, keys: Sequence[VerifierKey]) -> None:
    """Raise `CannotDecide`, or `VerificationError` for what is no note, where nothing that was given can tell."""
    if not claims_known_key(split_note(note), keys):
        raise CannotDecide("the certificate carries no signature of a key that was given")


def _decidable_within(note: bytes, keys: Sequence[VerifierKey], known: KnownKeys) -> None:
    """Raise `CannotDecide` where a good certificate rests on a checkpoint whose key the reader was not given."""
    if known.strange:
        raise CannotDecide("a statement of a change of key is signed by no known key")
    checkpoint = parse_certificate(open_note(note, keys).text).checkpoint
    if not claims_known_key(split_note(checkpoint), known.keys):
        raise CannotDecide("the checkpoint carries no signature of a known key: a statement may be missing")


def _read_from(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:
        raise CannotDecide("a file given on the command line cannot be read") from None


def _vkey_from(given: str) -> VerifierKey:
    if "+" in given:
        return parse_vkey(given)
    try:
        return parse_vkey(_read_from(Path(given)).decode().strip())
    except UnicodeDecodeError:
        raise CannotDecide("a file given on the command line is no text") from None


if __name__ == "__main__":
    sys.exit(main())
