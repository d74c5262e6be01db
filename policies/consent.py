"""What consents mean along the tree of purposes. Pure rules over statuses; events and expiry are the vault's.

A purpose stands only if it and every ancestor stand: withdrawal or objection at a node fells its subtree. A consent
carries down to a child that was not asked about separately, and never to a child marked `separate_consent`. An
ancestor whose basis is not consent needs none. What a guardian gave counts for a minor and for nobody else; a refusal
counts as an objection where the basis needs no consent.
"""

from collections.abc import Mapping
from enum import StrEnum

from policies.model import ConsentStatus
from policies.purposes import DEFAULT, Basis, Purposes


class Standing(StrEnum):
    """Whether the subject's choices let a purpose go ahead."""

    STANDS = "stands"
    MISSING = "missing"  # never asked, refused, expired, to be renewed, or not covered by what was given above
    WITHDRAWN = "withdrawn"
    OBJECTED = "objected"
    ENDED = "ended"  # its basis, or one above it, is over


def standing(
    purpose: str,
    consents: Mapping[str, ConsentStatus],
    purposes: Purposes,
    jurisdiction: str = DEFAULT,
    *,
    minor: bool = False,
) -> Standing:
    """Return how `purpose` stands, from the statuses of one subject at one brand. Raises `UnknownPurpose`.

    Purposes absent from `consents` count as `NONE`. A basis in law (obligation, claims, vital interest) is stopped by
    neither objection nor withdrawal.
    """
    path = purposes.path(purpose)
    immovable = path[-1].basis_in(jurisdiction).withstands_objection
    covered = False  # a consent given higher up, not interrupted by a separate one
    missing = False
    for node in path:
        status = consents.get(node.key, ConsentStatus.NONE)
        if status is ConsentStatus.ENDED and path[-1].basis_in(jurisdiction) is not Basis.LEGAL_CLAIMS:
            return Standing.ENDED
        if not immovable and status is ConsentStatus.WITHDRAWN:
            return Standing.WITHDRAWN
        needed = node.basis_in(jurisdiction).needs_consent
        refused = status is ConsentStatus.REFUSED and not needed
        if not immovable and (status is ConsentStatus.OBJECTED or refused):
            return Standing.OBJECTED
        if needed:
            inherited = status is ConsentStatus.NONE and covered and not node.separate_consent
            covered = status is ConsentStatus.GIVEN or (minor and status is ConsentStatus.GUARDED) or inherited
            missing = missing or not covered
    return Standing.MISSING if missing else Standing.STANDS


def permitted(
    purpose: str, consents: Mapping[str, ConsentStatus], purposes: Purposes, jurisdiction: str = DEFAULT
) -> bool:
    """Whether the subject's choices let `purpose` go ahead. Raises `UnknownPurpose`."""
    return standing(purpose, consents, purposes, jurisdiction) is Standing.STANDS
