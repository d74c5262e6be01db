"""Details handed over beside an evidence bundle, held against the entries in it.

What they prove rests on the bundle: `audit.bundlecheck` says whether its entries are those of the signed log. A bundle may
hold less than the details are of, so one of an entry that is not there decides nothing.

Standard library only: the verifier takes this file along when it is copied out.
"""

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from audit.archive import read_archive
from audit.detail import read_handed_over, with_details
from audit.errors import CannotDecide, VerificationError
from audit.findings import Fault, Finding, Result
from audit.tiles import TILE_WIDTH, parse_path, unpack_bundle


def bundle_details(path: Path, document: bytes) -> list[dict[str, Any]]:
    """Return index, entry and detail of each entry of a bundle that a detail was handed over for, in order.

    Raises `VerificationError` for a detail that is not what its entry commits to, `CannotDecide` for one of no entry here.
    """
    handed = read_handed_over(document)
    told = [(index, body) for index, body in _bundled(path) if _own_id(body) in handed]
    missing = len(handed) - len({_own_id(body) for _, body in told})
    if missing:
        raise CannotDecide(f"details of no entry in this bundle: {missing}")
    return with_details(told, document)


def judged_with_details(result: Result, path: Path, document: bytes) -> tuple[Result, list[dict[str, Any]]]:
    """Add to what a bundle's check says what its details say; return the proven ones too, none if one does not hold."""
    try:
        rows = bundle_details(path, document)
    except VerificationError as error:
        return replace(result, findings=(*result.findings, Finding(Fault.CHANGED, None, str(error)))), []
    except CannotDecide as error:
        return replace(result, doubts=(*result.doubts, str(error))), []
    return replace(
        result, notices=(*result.notices, f"details that are what their entries commit to: {len(rows)}")
    ), rows


def _bundled(path: Path) -> Iterator[tuple[int, bytes]]:
    for name, content in read_archive(path):
        try:
            place = parse_path(name)
            bodies = unpack_bundle(content) if place.level is None else []
        except VerificationError:
            continue  # no bundle of entries; a damaged one is found by the check of the whole
        yield from enumerate(bodies, place.index * TILE_WIDTH)


def _own_id(body: bytes) -> str:
    try:
        return str(json.loads(body)["id"])
    except (ValueError, TypeError, KeyError):
        return ""
