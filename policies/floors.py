"""The floors: refusals of law that are code, so that no policy file can remove them.

They are decided before any rule of the bundle is asked, and again at every redemption of a token. What the asker is
told never reveals that a person is restricted, erased, a minor or unknown: those answers are the ones any asker gets
who is simply not permitted.
"""

from dataclasses import dataclass
from types import MappingProxyType

from policies.consent import Standing
from policies.model import Reason
from policies.purposes import Basis


@dataclass(frozen=True, slots=True)
class Floor:
    """One floor: `id` goes into the log; it is told to the asker only if `told`."""

    id: str
    title: str
    basis: str
    reason: Reason
    told: bool


ERASED = Floor("floor.erased", "The subject has been erased", "GDPR Art. 17", Reason.UNAVAILABLE, told=False)
ISOLATION = Floor(
    "floor.brand_isolation", "The subject is not known to the asking brand", "GDPR Art. 5(1)(b), 26", Reason.UNAVAILABLE,
    told=False,
)  # fmt: skip
UNREGISTERED = Floor(
    "floor.purpose_not_registered", "The system is not registered for this purpose", "GDPR Art. 5(1)(b), 30",
    Reason.PURPOSE_NOT_REGISTERED, told=True,
)  # fmt: skip
HEADING = Floor(
    "floor.heading", "The purpose only groups others; ask for one of them", "GDPR Art. 5(1)(b)", Reason.NOT_PERMITTED,
    told=True,
)  # fmt: skip
WITHDRAWN = Floor(
    "floor.consent_withdrawn", "The subject withdrew this consent, or one above it", "GDPR Art. 7(3)",
    Reason.CONSENT_REQUIRED, told=True,
)  # fmt: skip
OBJECTED = Floor(
    "floor.objected", "The subject objected to this purpose, or to one above it", "GDPR Art. 21", Reason.NOT_PERMITTED,
    told=True,
)  # fmt: skip
MISSING = Floor(
    "floor.consent_missing", "No valid consent covers this purpose and all above it", "GDPR Art. 6(1)(a), 7",
    Reason.CONSENT_REQUIRED, told=True,
)  # fmt: skip
ENDED = Floor(
    "floor.basis_ended", "What made it lawful is over: the contract is done, or the duty has lapsed", "GDPR Art. 6(1)",
    Reason.NOT_PERMITTED, told=True,
)  # fmt: skip
RESTRICTED = Floor(
    "floor.restricted", "Processing is restricted to legal claims", "GDPR Art. 18(2)", Reason.NOT_PERMITTED, told=False
)
MINOR = Floor(
    "floor.minor",
    "A minor's own consent carries nothing, nor does a legitimate interest, nor a guardian's consent to marketing",
    "GDPR Art. 8, 6(1)(f)", Reason.NOT_PERMITTED, told=False,
)  # fmt: skip
SPECIAL = Floor(
    "floor.special_category", "Special categories need an explicit consent given to this very purpose",
    "GDPR Art. 9(2)(a)", Reason.CONSENT_REQUIRED, told=True,
)  # fmt: skip
REGION = Floor(
    "floor.region", "The law where the subject lives does not know this basis", "PIPL Art. 13", Reason.NOT_PERMITTED,
    told=False,
)  # fmt: skip
TOO_FEW = Floor(
    "floor.too_few", "Too few subjects of the brand share the generalised value", "GDPR Art. 5(1)(c), recital 26",
    Reason.TOO_FEW, told=True,
)  # fmt: skip

_BY_STANDING = {
    Standing.WITHDRAWN: WITHDRAWN,
    Standing.OBJECTED: OBJECTED,
    Standing.ENDED: ENDED,
    Standing.MISSING: MISSING,
}
_SPECIAL_WITHOUT_CONSENT = frozenset({Basis.LEGAL_CLAIMS, Basis.VITAL_INTEREST})  # GDPR Art. 9(2)(c), (f)
_OPEN_FOR_MINORS = frozenset({Basis.CONTRACT, Basis.LEGAL_OBLIGATION, Basis.LEGAL_CLAIMS, Basis.VITAL_INTEREST})
# PIPL Art. 13 names the bases there are in China: an interest of the handler is not among them.
_UNKNOWN_BASES = MappingProxyType({"cn": frozenset({Basis.LEGITIMATE_INTEREST})})
_NONE: frozenset[Basis] = frozenset()


@dataclass(frozen=True, slots=True)
class Facts:
    """What the floors look at: the subject, the registration, and how the purpose stands with the subject."""

    known_to_brand: bool
    erased: bool
    restricted: bool
    minor: bool
    registered: bool
    basis: Basis
    standing: Standing
    given_here: bool  # an explicit status GIVEN, or GUARDED for a minor, on the purpose itself
    jurisdiction: str = ""  # in which the subject lives
    guarded: bool = False  # all that was given on the path, a guardian gave; and the purpose does not solicit


def standing_floors(facts: Facts) -> tuple[Floor, ...]:
    """Return the floors that refuse the whole request, the one to be told first.

    The order hides the sensitive ones: where consent is missing too, that is what the asker hears, so a restricted or
    minor subject without consent answers as anybody without consent does.
    """
    found: list[Floor] = []
    if facts.erased:
        found.append(ERASED)
    if not facts.known_to_brand:
        found.append(ISOLATION)
    if not facts.registered:
        found.append(UNREGISTERED)
    if facts.basis is Basis.HEADING:
        found.append(HEADING)
    if facts.standing in _BY_STANDING:
        found.append(_BY_STANDING[facts.standing])
    if facts.restricted and facts.basis is not Basis.LEGAL_CLAIMS:
        found.append(RESTRICTED)
    if facts.minor and facts.basis not in _OPEN_FOR_MINORS and not (facts.guarded and facts.basis.needs_consent):
        found.append(MINOR)
    if facts.basis in _UNKNOWN_BASES.get(facts.jurisdiction, _NONE):
        found.append(REGION)
    return tuple(found)


def special_floor(facts: Facts) -> Floor | None:
    """Return the floor that refuses a special category, or None where the law lets it through."""
    if facts.basis in _SPECIAL_WITHOUT_CONSENT:
        return None
    if facts.basis is Basis.EXPLICIT_CONSENT and facts.given_here:
        return None
    return SPECIAL
