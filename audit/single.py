"""Questions smaller than a whole log, each with the same three answers: 0 it holds, 1 it does not, 2 cannot decide.

    proof      is this entry in the log?                        python verify.py proof PROOF --key K --entry FILE
    receipt    did the log promise this entry?                  python verify.py receipt NOTE --key K --entry FILE
    extend     does the newer checkpoint extend the one I kept? python verify.py extend OLD [NEW] --key K --log PLACE
    witnessed  did a quorum of witnesses cosign it?             python verify.py witnessed NOTE --policy FILE
    timestamp  by when was it signed?                           python verify.py timestamp NOTE --token T --roots PEM --key K
    subject    all and only the entries about one person        python verify.py subject LOG --key K --subject-key FILE

"Does not hold" needs proof: a signature of a known key over other bytes, hashes that lead elsewhere, one log in two
states of which neither extends the other. What is malformed, signed by nobody known, or absent decides nothing.

Standard library and `cryptography` only: the verifier takes this file along when it is copied out.
"""

import argparse
import json
import sys
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from audit.checkpoint import Checkpoint, open_checkpoint, parse
from audit.detail import detail_of, with_details
from audit.directory import open_directory
from audit.errors import CannotDecide, VerificationError
from audit.findings import Verdict, how_many, plain, report
from audit.keystatement import KnownKeys, check_signers, take_statements
from audit.merkle import HASH_SIZE, leaf_hash, verify_consistency, verify_inclusion
from audit.note import VerifierKey, parse_vkey, split_note
from audit.quorum import QuorumPolicy, Witnessed, parse_policy
from audit.receipt import open_receipt
from audit.served import PublishedLog
from audit.stamp import stamped_bytes, verify_stamp
from audit.stored import open_sqlite
from audit.subjectentries import verify_subject
from audit.targets import claims_known_key
from audit.tlogproof import parse_proof

_OF_CHECKPOINTS = frozenset({"extend", "witnessed", "timestamp", "proof"})
COMMANDS = ("proof", "receipt", "extend", "witnessed", "timestamp", "subject")


@dataclass(frozen=True, slots=True)
class Proven:
    """An entry that is in the log: its place, and the checkpoint it is proven against."""

    index: int
    checkpoint: Checkpoint


def open_known(note: str | bytes, keys: Sequence[VerifierKey], origin: str | None = None) -> Checkpoint:
    """Open a checkpoint; what no known key signed raises `CannotDecide`, what one did not sign so, `VerificationError`."""
    try:
        taken = split_note(note)
        checkpoint = parse(taken.text)
    except VerificationError as error:
        raise CannotDecide(f"not a signed checkpoint: {error}") from None
    if not claims_known_key(taken, keys):
        raise CannotDecide("the checkpoint carries no signature of a known key")
    return open_checkpoint(note, keys, checkpoint.origin if origin is None else origin)


def verify_proof(text: str, leaf: bytes, keys: Sequence[VerifierKey], policy: QuorumPolicy | None = None) -> Proven:
    """Check that a leaf hash (32 bytes) is in a log by one tlog-proof; with a policy, that a quorum saw that state.

    Raises `VerificationError` if it does not hold, `CannotDecide` if that cannot be told.
    """
    try:
        proof = parse_proof(text)
    except VerificationError as error:
        raise CannotDecide(f"{error}") from None
    checkpoint = open_known(proof.checkpoint, keys)
    verify_inclusion(proof.index, checkpoint.size, leaf, proof.hashes, checkpoint.root)
    if policy is not None:
        verify_witnessed(proof.checkpoint, policy, keys)
    return Proven(proof.index, checkpoint)


def verify_promise(note: str, leaf: bytes, keys: Sequence[VerifierKey]) -> int:
    """Check that a receipt promises a leaf hash (32 bytes) to the log; return when it was signed, UTC seconds.

    Raises `VerificationError` if it promises others, `CannotDecide` for what no known key signed.
    """
    try:
        known = claims_known_key(split_note(note), keys)
    except VerificationError as error:
        raise CannotDecide(f"not a receipt: {error}") from None
    if not known:
        raise CannotDecide("the receipt carries no signature of a known key")
    promised = open_receipt(note, keys)
    if all(each.leaf_hash != leaf for each in promised.entries):
        raise VerificationError("the receipt promises other entries")
    return promised.time


def verify_extension(
    old: str,
    new: str,
    keys: Sequence[VerifierKey],
    proof: Sequence[bytes] | None = None,
    log: PublishedLog | None = None,
) -> tuple[Checkpoint, Checkpoint]:
    """Check that one signed checkpoint extends another, by a consistency proof or by the hash tiles of a published log.

    Raises `VerificationError` if it does not: also when the newer is the smaller, which is a log that went back.
    """
    before, after = open_known(old, keys), open_known(new, keys)
    if before.origin != after.origin:
        raise CannotDecide("the two checkpoints are of two logs")
    if before.size > after.size:
        raise VerificationError(f"the log went back from {before.size} entries to {after.size}")
    if before.size == after.size and before.root != after.root:
        raise VerificationError(f"two roots are signed for {before.size} entries")
    if before.size in {after.size, 0}:
        return before, after
    if proof is not None:
        verify_consistency(before.size, after.size, before.root, after.root, proof)
    elif log is not None:
        log.check_growth(before, after)
    else:
        raise CannotDecide("there is neither a proof nor tiles")
    return before, after


def verify_witnessed(note: str, policy: QuorumPolicy, keys: Sequence[VerifierKey] = ()) -> Witnessed:
    """Check a checkpoint's cosignatures against a policy; raises `CannotDecide` when they are no quorum."""
    accepted = tuple(keys) or tuple(each.key for each in policy.logs)
    checkpoint = open_known(note, accepted)
    seen = policy.judge(note, checkpoint.origin, accepted)
    if not seen.quorum:
        raise CannotDecide(f"{len(seen.by)} known witnesses cosigned it, which is no quorum")
    return seen


def run_single(arguments: Sequence[str]) -> int:
    """Answer one question from the command line; the exit code is the verdict."""
    parser = argparse.ArgumentParser(prog="audit.verify", description="Answer one question about an audit log offline.")
    parser.add_argument("question", choices=COMMANDS)
    parser.add_argument(
        "files", nargs="+", type=Path, help="a proof; a receipt; two checkpoints, the older first; a note; a log"
    )
    parser.add_argument("--key", action="append", default=[], help="verifier key of the log, or a file that holds it")
    parser.add_argument(
        "--keychange", action="append", default=[], type=Path, help="the log's statement of a change of its key; repeat"
    )
    parser.add_argument("--policy", type=Path, help="policy file: the witnesses that must have cosigned")
    parser.add_argument("--entry", type=Path, help="of a proof or a receipt: the entry's bytes")
    parser.add_argument("--leaf", help="of a proof or a receipt: the leaf hash in hex")
    parser.add_argument("--log", "--folder", help="of an extension: a published log, its folder or address")
    parser.add_argument("--token", type=Path, help="time-stamp response (DER)")
    parser.add_argument("--roots", type=Path, help="root certificates of the time-stamping authority (PEM)")
    parser.add_argument("--subject-key", type=Path, help="file with the person's key, in hex")
    parser.add_argument("--details", type=Path, help="of a proof or a person: file with the details")
    parser.add_argument("--pinned", action="append", default=[], type=Path, help="signed checkpoint kept elsewhere")
    options = parser.parse_args(arguments)
    try:
        keys = [parse_vkey(each if "+" in each else _file(Path(each)).strip()) for each in options.key]
        policy = None if options.policy is None else parse_policy(_bytes_of(options.policy))
    except (CannotDecide, VerificationError) as error:
        return _told(Verdict.UNDECIDED, f"{error}")
    try:
        known = _known(options, keys)
        return _answer(options, known.keys, policy)
    except CannotDecide as error:
        return _told(Verdict.UNDECIDED, f"{error}")
    except VerificationError as error:
        return _told(Verdict.TAMPERED, f"{error}")


def _known(options: argparse.Namespace, keys: Sequence[VerifierKey]) -> KnownKeys:
    """Take up statements of changes of key; checkpoints that only such keys signed as had ended by then do not hold."""
    known = take_statements([_bytes_of(each) for each in options.keychange], keys)
    if known.strange:
        raise CannotDecide("a statement of a change of key is signed by no known key")
    if known.told:
        sys.stderr.write(f"note: on the log's own word: {known.told}\n")
    for path in options.files if known.changes and options.question in _OF_CHECKPOINTS else ():
        try:
            note = parse_proof(_file(path)).checkpoint if options.question == "proof" else _file(path)
            claimed = claims_known_key(split_note(note), known.keys)
        except VerificationError:
            continue  # what has no form is told with the answer
        if claimed:
            check_signers(note, known)
    return known


def _answer(options: argparse.Namespace, keys: Sequence[VerifierKey], policy: QuorumPolicy | None) -> int:
    files: list[Path] = options.files
    if options.question == "proof":
        proven = verify_proof(_file(files[0]), _leaf(options), keys, policy)
        told = f"entry {proven.index} is in {proven.checkpoint.origin}, of {how_many(proven.checkpoint.size, 'entry', 'entries')}"
        if options.details is not None:
            if options.entry is None:
                raise CannotDecide("a detail is held against the entry, not against its hash: give --entry")
            told += f"; its detail: {detail_of(proven.index, _bytes_of(options.entry), _bytes_of(options.details))}"
        return _told(Verdict.FINE, told)
    if options.question == "receipt":
        return _told(Verdict.FINE, f"promised to the log at {verify_promise(_file(files[0]), _leaf(options), keys)}")
    if options.question == "extend":
        log = None if options.log is None else PublishedLog(options.log)
        if len(files) > 2 or (len(files) == 1 and log is None):  # noqa: PLR2004 - the older and the newer
            raise CannotDecide("two checkpoints are needed, or an older one and a log")
        newer = _file(files[1]) if len(files) > 1 or log is None else log.checkpoint()
        before, after = verify_extension(_file(files[0]), newer, keys, log=log)
        return _told(
            Verdict.FINE,
            f"{after.origin} at {how_many(after.size, 'entry', 'entries')} extends itself at {before.size}",
        )
    if options.question == "witnessed":
        if policy is None:
            raise CannotDecide("a policy file is needed")
        seen = verify_witnessed(_file(files[0]), policy, keys)
        names = ", ".join(f"{name} at {given.time}" for name, given in seen.by)
        return _told(
            Verdict.FINE,
            f"{seen.checkpoint.origin} at {how_many(seen.checkpoint.size, 'entry', 'entries')}, cosigned: {names}",
        )
    if options.question == "timestamp":
        if options.token is None or options.roots is None:
            raise CannotDecide("a token and the authority's root certificates are needed")
        note = _file(files[0])
        signed = open_known(note, keys)
        time = verify_stamp(stamped_bytes(note, keys), _bytes_of(options.token), options.roots)
        return _told(
            Verdict.FINE, f"{signed.origin} at {how_many(signed.size, 'entry', 'entries')} was signed by {time}"
        )
    return _subject(options, keys)


def _subject(options: argparse.Namespace, keys: Sequence[VerifierKey]) -> int:
    if options.subject_key is None:
        raise CannotDecide("the person's key is needed")
    try:
        log_key = bytes.fromhex(_file(options.subject_key))
    except ValueError:
        raise CannotDecide("the person's key is not in hex") from None
    with ExitStack() as stack:
        path: Path = options.files[0]
        logs = [open_directory(path)] if path.is_dir() else stack.enter_context(open_sqlite(path))
        named = {key.name for key in keys}
        mine = [each for each in logs if each.origin in named]
        if len(mine) != 1:
            raise CannotDecide("the file holds no log of this key, or several")
        seen = verify_subject(mine[0], keys, log_key, [_file(each) for each in options.pinned])
    rows = with_details(seen.entries, None if options.details is None else _bytes_of(options.details))
    sys.stdout.write(f"{json.dumps({'log': plain(seen.log), 'entries': rows})}\n")
    sys.stderr.write(report(seen.log))
    return seen.log.verdict


def _leaf(options: argparse.Namespace) -> bytes:
    if options.entry is not None:
        return leaf_hash(_bytes_of(options.entry))
    try:
        leaf = bytes.fromhex(options.leaf or "")
    except ValueError:
        leaf = b""
    if len(leaf) != HASH_SIZE:
        raise CannotDecide("an entry, or its leaf hash as 64 hex digits, is needed")
    return leaf


def _bytes_of(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:
        raise CannotDecide("a file given on the command line cannot be read") from None


def _file(path: Path) -> str:
    try:
        return _bytes_of(path).decode()
    except UnicodeDecodeError:
        raise CannotDecide("a file given on the command line is no text") from None


def _told(verdict: Verdict, message: str) -> int:
    head = {Verdict.FINE: "verified", Verdict.TAMPERED: "DOES NOT HOLD", Verdict.UNDECIDED: "cannot decide"}[verdict]
    (sys.stdout if verdict is Verdict.FINE else sys.stderr).write(f"{head}: {message}\n")
    return verdict
