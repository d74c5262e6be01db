"""The decision: for each wanted field, the highest level at or below the one asked that floors, purpose and rules allow.

Order: floors (code) refuse first; then, level by level downwards, the field must offer the level, the purpose's
ceiling must reach it, and the rules must permit it. A decision depends on nothing but its inputs, so it is cached by
them; a change of any fact, consent or bundle is another key, never an invalidation.

This module alone builds `Decision` and `Grant` (held by tests/architecture/test_architecture_grant.py): the vault gives no plaintext
without a grant, so whoever reads this file has seen every way to one.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

from policies.bundle import Bundle
from policies.catalogue import Field
from policies.consent import Standing, standing
from policies.contactability import WISHES
from policies.crowds import least_group
from policies.errors import MismatchedGrant
from policies.floors import Facts, Floor, special_floor, standing_floors
from policies.levels import Level
from policies.model import (
    Caller,
    ConsentStatus,
    Decision,
    DecisionRequest,
    FieldAnswer,
    GrantedField,
    Reason,
    SubjectFacts,
    Wanted,
)
from policies.purposes import GROUP_SHARING, Basis
from policies.rules import Question, RuleAnswer

__all__ = ["CEILING", "NOT_OFFERED", "Grant", "GrantedField", "decide", "decide_afresh", "mint"]

CEILING = "purpose.ceiling"
NOT_OFFERED = "catalogue.level_not_offered"
OWN = "data_subject.own"  # stands for system and purpose where a person is given their own values

_MOST_DECISIONS = 32_768
_MOST_ANSWERS = 32_768


@dataclass(frozen=True, slots=True)
class Grant:
    """The right to read these fields of this subject at these levels: the vault's only key to plaintext."""

    subject: bytes
    brand: str
    system_id: str
    purpose: str
    basis: str
    fields: tuple[GrantedField, ...]
    group_values: bool


class Inputs(NamedTuple):
    """All that a decision depends on beside the bundle: the cache key, a tuple because tuples hash fastest.

    Of the consents only those on the purpose's path and the one on group sharing are in it, so that a consent to
    something else does not make another decision.
    """

    system_id: str
    brand: str
    registered: bool
    staffed: bool
    purpose: str
    wanted: tuple[Wanted, ...]
    known_to_brand: bool
    erased: bool
    restricted: bool
    minor: bool
    jurisdiction: str
    consents: tuple[ConsentStatus, ...]  # along the purpose's path, root first
    sharing: tuple[ConsentStatus, ...]  # along the path of group sharing


@dataclass(frozen=True, slots=True)
class Trial:
    """One level tried for one field. `ids` decided: a ceiling, forbids, permits; empty when no rule permits."""

    level: Level
    allowed: bool
    ids: tuple[str, ...]
    question: Question | None = None  # as put to the rules, if it came to that


def decide(request: DecisionRequest, bundle: Bundle) -> Decision:
    """Decide every wanted field. Pure. Raises `UnknownPurpose` or `UnknownField`."""
    return _decided(bundle, inputs_of(request, bundle))


def decide_afresh(request: DecisionRequest, bundle: Bundle) -> Decision:
    """Decide as `decide` does, and remember nothing: for the many questions that are asked of a draft once."""
    decided: Callable[[Bundle, Inputs], Decision] = _decided.__wrapped__
    return decided(bundle, inputs_of(request, bundle))


def mint(decision: Decision, caller: Caller, purpose: str, subject: bytes) -> Grant:
    """Turn what a decision granted into a grant for one subject (16-byte id), possibly of no field at all.

    Raises `MismatchedGrant` if the decision was made for another caller or purpose.
    """
    if (caller.system_id, caller.brand, purpose) != (decision.system_id, decision.brand, decision.purpose):
        raise MismatchedGrant
    return Grant(
        subject, decision.brand, decision.system_id, purpose, decision.basis, decision.granted, decision.group_values
    )


def grant_wishes(request: DecisionRequest, bundle: Bundle, subject: bytes) -> Grant | None:
    """Return a grant of the subject's wishes on being contacted, or None where a floor refuses the purpose.

    It is for the vault's own weighing of those wishes (`vault.contactability`): they narrow a contact whatever the
    purpose's ceiling is, and of them only what `policies.contactability` makes leaves the vault.
    """
    inputs = inputs_of(request, bundle)
    facts = floor_facts(inputs, bundle)
    if standing_floors(facts):
        return None
    fields = bundle.catalogue.fields
    wishes = tuple(GrantedField(fields[name], Level.RAW) for name in WISHES if name in fields)
    return Grant(subject, inputs.brand, inputs.system_id, inputs.purpose, facts.basis.value, wishes, group_values=False)


def grant_own(facts: SubjectFacts, brand: str, subject: bytes, fields: Iterable[Field]) -> Grant | None:
    """Return a grant of a person's own values at one brand, to the person: GDPR Art. 15 and 20, and to write to them.

    No bundle can refuse it and no restriction, objection or age stands against it: it is the person's right and not a
    use of the brand's. What was erased, and what another brand holds, it does not reach. Nothing but a request of the
    person, whose identity was checked, leads here (`vault.requests`).
    """
    if facts.erased or not facts.known_to_brand:
        return None
    wanted = tuple(GrantedField(each, Level.RAW) for each in fields)
    return Grant(subject, brand, OWN, OWN, Basis.LEGAL_OBLIGATION.value, wanted, group_values=False)


def inputs_of(request: DecisionRequest, bundle: Bundle) -> Inputs:
    """Reduce a request to what its decision depends on. Raises `UnknownPurpose`."""
    caller, facts, purposes = request.caller, request.facts, bundle.purposes
    known = facts.consents.get
    return Inputs(
        caller.system_id,
        caller.brand,
        request.purpose in caller.purposes,
        caller.staffed,
        request.purpose,
        request.wanted,
        facts.known_to_brand,
        facts.erased,
        facts.restricted,
        facts.minor,
        purposes.jurisdiction(facts.region),
        tuple([known(each.key, ConsentStatus.NONE) for each in purposes.path(request.purpose)]),
        tuple([known(each.key, ConsentStatus.NONE) for each in purposes.path(GROUP_SHARING)]),
    )


def floor_facts(inputs: Inputs, bundle: Bundle) -> Facts:
    """Return what the floors look at."""
    return Facts(
        known_to_brand=inputs.known_to_brand,
        erased=inputs.erased,
        restricted=inputs.restricted,
        minor=inputs.minor,
        registered=inputs.registered,
        basis=bundle.purposes.get(inputs.purpose).basis_in(inputs.jurisdiction),
        standing=_standing(inputs.purpose, inputs.consents, inputs, bundle),
        given_here=inputs.consents[-1] is (ConsentStatus.GUARDED if inputs.minor else ConsentStatus.GIVEN),
        jurisdiction=inputs.jurisdiction,
        guarded=(
            ConsentStatus.GUARDED in inputs.consents
            and ConsentStatus.GIVEN not in inputs.consents
            and not bundle.purposes.is_marketing(inputs.purpose)
        ),
    )


def _standing(purpose: str, statuses: tuple[ConsentStatus, ...], inputs: Inputs, bundle: Bundle) -> Standing:
    path = bundle.purposes.path(purpose)
    consents = {node.key: status for node, status in zip(path, statuses, strict=True)}
    return standing(purpose, consents, bundle.purposes, inputs.jurisdiction, minor=inputs.minor)


def field_floors(field: Field, facts: Facts) -> tuple[Floor, ...]:
    """Return every floor that refuses this field, the one to be told first."""
    found = standing_floors(facts)
    special = special_floor(facts) if field.special else None
    return (*found, special) if special is not None else found


def trials(field: Field, wanted: Wanted, inputs: Inputs, facts: Facts, bundle: Bundle) -> tuple[Trial, ...]:
    """Try levels from the one asked downwards, and stop at the first allowed.

    A predicate is tried only if asked for: narrowing must not turn a refused value into an answer to a question that
    nobody asked. A predicate the field does not have is refused as such and not narrowed.
    """
    if wanted.level is Level.PREDICATE and wanted.predicate not in field.predicates:
        return ()
    purpose = bundle.purposes.get(inputs.purpose)
    ceiling = purpose.max_level.get(field.category)
    if purpose.channel == field.name and ceiling is not None:
        # Consent holds for single addresses, which a decision knows nothing of: so none is given out, whatever a file says.
        ceiling = min(ceiling, Level.PREDICATE, key=lambda each: each.rank)
    tried: list[Trial] = []
    for level in reversed(Level):
        if level.rank > wanted.level.rank or level not in field.levels:
            continue
        if level is Level.PREDICATE and wanted.level is not Level.PREDICATE:
            continue
        if ceiling is None or level.rank > ceiling.rank:
            tried.append(Trial(level, allowed=False, ids=(CEILING,)))
            continue
        question = Question(
            system_id=inputs.system_id,
            brand=inputs.brand,
            level=level,
            category=field.category,
            purpose=inputs.purpose,
            basis=facts.basis.value,
            consented=facts.basis.needs_consent and facts.standing is Standing.STANDS,
            staffed=inputs.staffed,
            jurisdiction=inputs.jurisdiction,
            special=field.special,
        )
        answer = _answered(bundle, question)
        tried.append(Trial(level, answer.allowed, answer.ids, question))
        if answer.allowed:
            break
    return tuple(tried)


@lru_cache(_MOST_DECISIONS)
def _decided(bundle: Bundle, inputs: Inputs) -> Decision:
    facts = floor_facts(inputs, bundle)
    purpose = bundle.purposes.get(inputs.purpose)
    answers: list[FieldAnswer] = []
    granted: list[GrantedField] = []
    for wanted in inputs.wanted:
        field = bundle.catalogue.field(wanted.field)
        answer = _answer(field, wanted, inputs, facts, bundle)
        answers.append(answer)
        if answer.granted is not None:
            predicate = wanted.predicate if answer.granted is Level.PREDICATE else ""
            least = least_group(purpose, field) if answer.granted is Level.GENERALISED else 1
            granted.append(GrantedField(field, answer.granted, predicate, least))
    return Decision(
        answers=tuple(answers),
        basis=facts.basis.value,
        policy_hash=bundle.hash,
        # Sister brands' values never travel with a special category: sharing the profile was not asked about those.
        group_values=(
            _standing(GROUP_SHARING, inputs.sharing, inputs, bundle) is Standing.STANDS
            and inputs.brand in bundle.purposes.get(GROUP_SHARING).recipients
            and not facts.minor
            and not facts.restricted
            and not any(each.field.special for each in granted)
        ),
        system_id=inputs.system_id,
        brand=inputs.brand,
        purpose=inputs.purpose,
        granted=tuple(granted),
    )


@lru_cache(_MOST_ANSWERS)
def _answered(bundle: Bundle, question: Question) -> RuleAnswer:
    return bundle.rules.ask(question)


def _answer(field: Field, wanted: Wanted, inputs: Inputs, facts: Facts, bundle: Bundle) -> FieldAnswer:
    floors = field_floors(field, facts)
    if floors:
        first = floors[0]
        # all or nothing: to tell a second floor beside a silent one would tell that there is a silent one
        told = (first.id,) if first.told else ()
        return FieldAnswer(wanted, None, tuple(floor.id for floor in floors), told, first.reason)
    tried = trials(field, wanted, inputs, facts, bundle)
    if not tried:
        return FieldAnswer(wanted, None, (NOT_OFFERED,), (NOT_OFFERED,), Reason.LEVEL_NOT_OFFERED)
    # an id may decide at several levels; say it once, the deciding level's first
    ids = tuple(dict.fromkeys(identifier for trial in reversed(tried) for identifier in trial.ids))
    if tried[-1].allowed:
        return FieldAnswer(wanted, tried[-1].level, ids, ids, None)
    return FieldAnswer(wanted, None, ids, ids, Reason.NOT_PERMITTED)
