"""Floor probes: questions that every bundle must refuse, put to it before it is taken.

The floors are code (`policies.floors`), and a bundle cannot remove them; what it can do is to call a purpose what it is
not. And code can be changed too. So the refusals of law are written down here a second time, as situations with their
answer, independent of how the floors are built: for each purpose and each legal basis it has somewhere, every field is
asked for in full. Whatever is granted where nothing may be is a finding, and the bundle is refused.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

from policies.bundle import Bundle
from policies.decision import decide_afresh
from policies.levels import Level
from policies.model import Caller, ConsentStatus, DecisionRequest, SubjectFacts, Wanted
from policies.purposes import DEFAULT, Basis, Purpose

_BRAND = "probe"
_UNSTOPPABLE = frozenset({Basis.LEGAL_OBLIGATION, Basis.LEGAL_CLAIMS, Basis.VITAL_INTEREST})
_CONSENT = frozenset({Basis.CONSENT, Basis.EXPLICIT_CONSENT})
_NOT_OF_MINORS = frozenset({Basis.CONSENT, Basis.EXPLICIT_CONSENT, Basis.LEGITIMATE_INTEREST})
_SPECIAL_WITHOUT_CONSENT = frozenset({Basis.LEGAL_CLAIMS, Basis.VITAL_INTEREST})
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
    if basis is not Basis.LEGAL_CLAIMS:
        yield about("a restricted subject", restricted=True)
    if basis in _NOT_OF_MINORS:
        yield about("a minor", minor=True)
    if basis not in _UNSTOPPABLE:
        for key in path:
            yield about(f"a subject who withdrew `{key}`", consents=status(key, ConsentStatus.WITHDRAWN))
            yield about(f"a subject who objected to `{key}`", consents=status(key, ConsentStatus.OBJECTED))
    if basis in _CONSENT:
        yield about("a subject who was never asked", consents={})
        yield about("a subject whose consent expired", consents=status(purpose.key, ConsentStatus.EXPIRED))
        if purpose.separate_consent:
            yield about("a subject not asked separately", consents=status(purpose.key, ConsentStatus.NONE))
    if basis not in _SPECIAL_WITHOUT_CONSENT:
        yield about(
            "a subject without explicit consent to this very purpose",
            special=True,
            consents=status(purpose.key, ConsentStatus.NONE),
        )
        if basis is not Basis.EXPLICIT_CONSENT:
            yield about("a special category without explicit consent as basis", special=True)


def _region(bundle: Bundle, jurisdiction: str) -> str:
    """Return a region of a jurisdiction: one of those it groups, or itself."""
    grouped = (region for region, group in bundle.purposes.jurisdictions.items() if group == jurisdiction)
    return next(grouped, jurisdiction)
