"""Who vouches for an evidence bundle's checkpoint: the log's keys, through their changes, and a time-stamping authority.

Standard library and `cryptography` only: the verifier takes this file along when it is copied out.
"""

from collections.abc import Sequence
from pathlib import Path

from audit.bundleparts import CHECKPOINT, KEYCHANGES, SEAL_SUFFIX, STAMP, Bundle
from audit.errors import CannotDecide, VerificationError
from audit.findings import Fault
from audit.keystatement import KnownKeys, check_signers, take_statements
from audit.note import VerifierKey, split_note
from audit.stamp import stamped_bytes, verify_stamp
from audit.targets import claims_known_key


def bundle_keys(bundle: Bundle, keys: Sequence[VerifierKey]) -> KnownKeys:
    """Take up the statements of changes of key that are in the bundle, and hold the checkpoint against their ends."""
    named = sorted(each for each in bundle.members if each.startswith(KEYCHANGES))
    try:
        known = take_statements([bundle.members[each] for each in named], keys)
        note = bundle.members.get(CHECKPOINT, b"")
        if known.changes and claims_known_key(split_note(note), known.keys):
            check_signers(note, known)
    except VerificationError as error:
        bundle.fault(Fault.CHECKPOINT, f"{KEYCHANGES}: {error}")
        return KnownKeys(tuple(keys))
    except CannotDecide as error:
        bundle.fault(Fault.MALFORMED, f"{KEYCHANGES}: {error}")
        return KnownKeys(tuple(keys))
    if known.told:
        bundle.notices.append(f"on the log's own word, by statements under a known key: its other keys {known.told}")
    return known


def check_stamp(bundle: Bundle, keys: Sequence[VerifierKey], roots: Path | None) -> None:
    """Check the time stamp over the checkpoint, if there is one and the reader has the authority's certificates."""
    if STAMP not in bundle.members:
        return
    if roots is None:
        bundle.notices.append("the time stamp was not checked: no certificates of its authority were given")
        return
    own = [each for each in keys if not each.name.endswith(SEAL_SUFFIX)]
    try:
        time = verify_stamp(stamped_bytes(bundle.member(CHECKPOINT), own), bundle.members[STAMP], roots)
    except VerificationError as error:
        bundle.fault(Fault.CHECKPOINT, f"{STAMP}: {error}")
    except CannotDecide as error:
        bundle.doubts.append(f"{STAMP}: {error}")
    else:
        bundle.notices.append(f"the checkpoint was time-stamped at {time}")
