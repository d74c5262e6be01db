"""The stand-alone verifier: recomputes a log from its stored bytes and says whether anybody changed it.

It trusts no hash it is given. Every entry is held against the one canonical form, hashed and added to a tree, and the
tree's root must be what each signed checkpoint says it was at that size. The hashes stored beside the entries serve
one purpose: to name the entry when something is wrong. An entry that was changed together with its stored hash is
still found, by the next checkpoint, and is then named as between two checkpoints.

Three answers, never mixed: 0 all that can be checked holds, 1 somebody changed something, 2 cannot decide because
material is missing. The key, and best a checkpoint too, must come from elsewhere than the log itself: whoever owns the
machine can sign anew, but cannot change what others already hold.

Standard library and `cryptography` only, so are the modules it imports; `audit.standalone` makes one file of them that
runs anywhere: `python verify.py vault.sqlite --key <verifier key> --pinned <checkpoint>`, or with the folder of a published
log, or with an evidence bundle (`bundle.zip --key <of the log> --key <of its seal>`). A person's access package is verified with
`package PACKAGE.zip --key <of receipts>`.
"""

import argparse
import json
import sys
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from audit.bundlecheck import verify_bundle
from audit.bundledetails import judged_with_details
from audit.directory import open_directory, tile_findings
from audit.errors import CannotDecide, VerificationError
from audit.findings import Result, Verdict, plain, report
from audit.keystatement import take_statements
from audit.note import VerifierKey, parse_vkey
from audit.packagecheck import run_package
from audit.quorum import parse_policy
from audit.recompute import Recomputation
from audit.single import COMMANDS, run_single
from audit.stored import StoredLog, open_sqlite

__all__ = ["Result", "Verdict", "main", "verify_bundle", "verify_directory", "verify_log"]


def verify_log(
    log: StoredLog,
    vkeys: Iterable[str | VerifierKey],
    pinned: Sequence[str] = (),
    origin: str | None = None,
) -> Result:
    """Verify one log against the keys, and the signed checkpoints kept elsewhere (`pinned`), that the reader trusts.

    `origin` is the name the reader expects; without it, the log's own word is taken.
    """
    keys = tuple(parse_vkey(each) if isinstance(each, str) else each for each in vkeys)
    return Recomputation(log, keys, pinned, origin).run()


def verify_directory(
    folder: Path, vkeys: Iterable[str | VerifierKey], pinned: Sequence[str] = (), origin: str | None = None
) -> Result:
    """Verify a log as it was published, with its entries: as `verify_log`, and that the tiles are those of the entries.

    Raises `CannotDecide` where there is no checkpoint, or none of the entries.
    """
    result = verify_log(open_directory(folder), vkeys, pinned, origin)
    return replace(result, findings=(*result.findings, *tile_findings(folder, result.size)))


def main(arguments: Sequence[str] | None = None) -> int:
    """Verify a data file or a published folder from the command line; the exit code is the verdict."""
    given = sys.argv[1:] if arguments is None else list(arguments)
    if given and given[0] in COMMANDS:
        return run_single(given)
    if given and given[0] == "package":
        return run_package(given[1:])
    parser = argparse.ArgumentParser(prog="audit.verify", description="Verify an audit log offline.")
    parser.add_argument(
        "path", type=Path, help="SQLite data file, or a copy of it, a published folder, or a bundle (.zip)"
    )
    parser.add_argument("--key", action="append", default=[], help="verifier key, or a file that holds it")
    parser.add_argument("--pinned", action="append", default=[], type=Path, help="signed checkpoint kept elsewhere")
    parser.add_argument("--origin", help="name that the log must have; needed if the file holds several logs")
    parser.add_argument("--policy", type=Path, help="of a bundle: the witnesses that must have cosigned")
    parser.add_argument("--subject-key", type=Path, help="of a bundle about one person: file with their key, in hex")
    parser.add_argument(
        "--stamp-roots", type=Path, help="of a bundle with a time stamp: certificates of the authority, PEM"
    )
    parser.add_argument(
        "--keychange",
        action="append",
        default=[],
        type=Path,
        help="of a bundle: the log's statement of a change of its key",
    )
    parser.add_argument("--details", type=Path, help="of a bundle: file with the details of its entries")
    parser.add_argument("--json", action="store_true", help="one JSON object per log")
    options = parser.parse_args(given)
    try:
        results, details = _judged_file(options)
    except (CannotDecide, VerificationError) as error:
        sys.stderr.write(f"cannot decide: {error}\n")
        return Verdict.UNDECIDED
    for result in results:
        sys.stdout.write(f"{json.dumps(plain(result))}\n" if options.json else report(result))
    for each in details:
        sys.stdout.write(
            f"{json.dumps(each)}\n" if options.json else f"detail of entry {each['index']}: {each['detail']}\n"
        )
    verdicts = {result.verdict for result in results}
    return next(each for each in (Verdict.TAMPERED, Verdict.UNDECIDED, Verdict.FINE) if each in verdicts)


def _judged_file(options: argparse.Namespace) -> tuple[list[Result], list[dict[str, Any]]]:
    if options.path.suffix == ".zip":
        result, details = _verify_archive(options)
        return [result], details
    if options.details is not None:
        raise CannotDecide("details are held against a bundle, against `proof` or against `subject`")
    return _verify_file(options.path, options.key, options.pinned, options.origin), []


def _verify_archive(options: argparse.Namespace) -> tuple[Result, list[dict[str, Any]]]:
    witnesses = None if options.policy is None else parse_policy(_text(options.policy).encode())
    try:
        person = None if options.subject_key is None else bytes.fromhex(_text(options.subject_key))
    except ValueError:
        raise CannotDecide("the person's key is not in hex") from None
    known = take_statements([_text(each) for each in options.keychange], [_key(each) for each in options.key])
    if known.strange:
        raise CannotDecide("a statement of a change of key is signed by no known key")
    result = verify_bundle(options.path, known.keys, person, witnesses, options.stamp_roots)
    if options.details is None:
        return result, []
    try:
        document = options.details.read_bytes()
    except OSError:
        raise CannotDecide("a file given on the command line cannot be read") from None
    return judged_with_details(result, options.path, document)


def _verify_file(path: Path, keys: Sequence[str], pinned: Sequence[Path], origin: str | None) -> list[Result]:
    vkeys = [_key(each) for each in keys]
    notes = [_text(each) for each in pinned]
    if path.is_dir():
        return [verify_directory(path, vkeys, notes, origin)]
    with open_sqlite(path) as logs:
        chosen = logs if len(logs) == 1 else [each for each in logs if origin is None or each.origin == origin]
        # Each log gets the checkpoints that name it; one that names none of them must not go unnoticed.
        names = {each.origin for each in chosen}
        stray = [note for note in notes if note.partition("\n")[0] not in names]
        results = []
        for log in chosen:
            own = [note for note in notes if note.partition("\n")[0] == log.origin]
            results.append(verify_log(log, vkeys, own + stray, origin))
            stray = []
    if not results:
        raise CannotDecide("the file holds no such log")
    return results


def _key(given: str) -> VerifierKey:
    return parse_vkey(given if "+" in given else _text(Path(given)).strip())


def _text(path: Path) -> str:
    try:
        return path.read_text("utf-8")
    except (OSError, UnicodeDecodeError):
        raise CannotDecide("a file given on the command line cannot be read") from None


if __name__ == "__main__":
    sys.exit(main())
