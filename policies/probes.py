"""Floor probes: questions that every bundle must refuse, put to it before it is taken.

The floors are code (`policies.floors`), and a bundle cannot remove them; what it can do is to call a purpose what it is
not. And code can be changed too. So the refusals of law are written down here a second time, as situations with their
answer, independent of how the floors are built: for each purpose and each legal basis it has somewhere, every field is
asked for in full. Whatever is granted where nothing may be is a finding, and the bundle is refused.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from policies.bundle import Bundle
from policies.decision import decide_afresh
from policies.levels import Level
from policies.model import Caller, ConsentStatus, DecisionRequest, SubjectFacts, Wanted
from policies.purposes import DEFAULT, MARKETING, Basis, Purpose

_BRAND = "probe"
_UNSTOPPABLE = frozenset({Basis.LEGAL_OBLIGATION, Basis.LEGAL_CLAIMS, Basis.VITAL_INTEREST})
_CONSENT = frozenset({Basis.CONSENT, Basis.EXPLICIT_CONSENT})
_NOT_OF_MINORS = frozenset({Basis.CONSENT, Basis.EXPLICIT_CONSENT, Basis.LEGITIMATE_INTEREST})
_SPECIAL_WITHOUT_CONSENT = frozenset({Basis.LEGAL_CLAIMS, Basis.VITAL_INTEREST})
_NO_CONSENT = {
    "a subject who refused": ConsentStatus.REFUSED,
    "a subject who was asked and has not answered": ConsentStatus.REQUESTED,
    "a subject whose consent expired": ConsentStatus.EXPIRED,
    "a subject who agreed to other words": ConsentStatus.NEEDS_RENEWAL,
    "a subject whose consent was never good": ConsentStatus.INVALIDATED,
}
_CHINA = "cn"
_SOMEWHERE_ELSE = "zz"  # a region that no bundle groups, so the default applies


@dataclass(frozen=True, slots=True)
class _Situation:
    """`words` say who is asked about; nothing may be granted, of special categories only if `special`."""

    words: str
    request: DecisionRequest
    special: bool = False


def floor_findings(bundle: Bundle) -> tuple[str, ...]:
    """Return what the bundle would grant although it must not, as sentences; empty for a bundle that may be taken."""
    names = tuple(bundle.catalogue.fields)
    special = frozenset(name for name, field in bundle.catalogue.fields.items() if field.special)
    findings: list[str] = []
    for purpose in bundle.purposes.every:
        for jurisdiction, basis in _bases(purpose):
            for situation in _situations(bundle, purpose, jurisdiction, basis):
                wanted = tuple(Wanted(name, Level.RAW) for name in names if name in special or not situation.special)
                decision = decide_afresh(replace(situation.request, wanted=wanted), bundle)
                granted = [answer.wanted.field for answer in decision.answers if answer.granted is not None]
                if granted:
                    where = "" if jurisdiction == DEFAULT else f" in {jurisdiction}"
                    findings.append(f"[{purpose.key}]{where}: {situation.words} must be refused `{granted[0]}`")
    return tuple(findings)


def _bases(purpose: Purpose) -> Iterator[tuple[str, Basis]]:
    """Give each basis of a purpose once, with a jurisdiction in which it applies."""
    seen: set[Basis] = set()
    for jurisdiction, basis in purpose.basis.items():
        if basis not in seen:
            seen.add(basis)
            yield jurisdiction, basis


def _situations(bundle: Bundle, purpose: Purpose, jurisdiction: str, basis: Basis) -> Iterator[_Situation]:
    path = [each.key for each in bundle.purposes.path(purpose.key)]
    agreed = dict.fromkeys(path, ConsentStatus.GIVEN)
    region = _SOMEWHERE_ELSE if jurisdiction == DEFAULT else _region(bundle, jurisdiction)
    facts = SubjectFacts(
        known_to_brand=True, erased=False, restricted=False, minor=False, region=region, consents=agreed
    )
    caller = Caller("probe", _BRAND, frozenset({purpose.key}), staffed=True)
    usual = DecisionRequest(caller, facts, purpose.key, ())

    def about(words: str, *, special: bool = False, **changes: object) -> _Situation:
        changed = replace(facts, **changes)  # type: ignore[arg-type]
        return _Situation(words, replace(usual, facts=changed), special)

    def status(key: str, said: ConsentStatus) -> Mapping[str, ConsentStatus]:
        return agreed | {key: said}

    yield about("an erased subject", erased=True)
    yield about("a subject unknown to the brand", known_to_brand=False)
    unregistered = replace(usual, caller=replace(caller, purposes=frozenset()))
    yield _Situation("a system that is not registered for the purpose", unregistered)
    if basis is Basis.HEADING:
        yield about("whoever is asked about for a heading")
    if purpose.basis_in(_CHINA) is Basis.LEGITIMATE_INTEREST:
        yield about("a subject in China, without a basis that its law knows,", region=_CHINA)
    if basis is not Basis.LEGAL_CLAIMS:
        yield about("a restricted subject", restricted=True)
    if basis in _NOT_OF_MINORS:
        yield about("a minor", minor=True)
    for words, consents in _said(purpose, path, basis):
        yield about(words, consents=consents)
    if basis in _NOT_OF_MINORS and path[0] == MARKETING:
        guarded = dict.fromkeys(path, ConsentStatus.GUARDED)
        yield about("a minor, though a guardian agreed to it", minor=True, consents=guarded)
    if basis not in _SPECIAL_WITHOUT_CONSENT:
        yield about(
            "a subject without explicit consent to this very purpose",
            special=True,
            consents=status(purpose.key, ConsentStatus.NONE),
        )
        if basis is not Basis.EXPLICIT_CONSENT:
            yield about("a special category without explicit consent as basis", special=True)


def _said(purpose: Purpose, path: Sequence[str], basis: Basis) -> Iterator[tuple[str, Mapping[str, ConsentStatus]]]:
    """Give what an adult may have said that leaves nothing to grant."""
    agreed = dict.fromkeys(path, ConsentStatus.GIVEN)
    for key in path:
        if basis not in _UNSTOPPABLE:
            yield f"a subject who withdrew `{key}`", agreed | {key: ConsentStatus.WITHDRAWN}
            yield f"a subject who objected to `{key}`", agreed | {key: ConsentStatus.OBJECTED}
        if basis is not Basis.LEGAL_CLAIMS:
            yield f"a subject with whom `{key}` is over", agreed | {key: ConsentStatus.ENDED}
    if basis in _CONSENT:
        yield "a subject who was never asked", {}
        yield "an adult for whom a guardian agreed", dict.fromkeys(path, ConsentStatus.GUARDED)
        for words, status in _NO_CONSENT.items():
            yield words, agreed | {purpose.key: status}
        if purpose.separate_consent:
            yield "a subject not asked separately", agreed | {purpose.key: ConsentStatus.NONE}


def _region(bundle: Bundle, jurisdiction: str) -> str:
    """Return a region of a jurisdiction: one of those it groups, or itself."""
    grouped = (region for region, group in bundle.purposes.jurisdictions.items() if group == jurisdiction)
    return next(grouped, jurisdiction)
