"""Words of the decision plane: levels, facts, requests and answers. Frozen values, no behaviour, no I/O."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from policies.catalogue import Field
from policies.levels import Level

__all__ = [
    "Caller",
    "ConsentStatus",
    "Decision",
    "DecisionRequest",
    "FieldAnswer",
    "GrantedField",
    "Level",
    "Reason",
    "SubjectFacts",
    "Wanted",
]


class ConsentStatus(StrEnum):
    """What holds now for one purpose; the caller has already applied expiry and changes of the notice."""

    NONE = "none"
    REQUESTED = "requested"  # asked about by itself and not answered: nothing carries down to it any more
    REFUSED = "refused"
    GIVEN = "given"
    GUARDED = "guarded"  # given for a minor by a guardian: means nothing for anybody else
    WITHDRAWN = "withdrawn"
    OBJECTED = "objected"
    EXPIRED = "expired"
    NEEDS_RENEWAL = "needs_renewal"  # what it was given to has changed since, or the minor has come of age
    INVALIDATED = "invalidated"  # found never to have been good
    ENDED = "ended"  # a basis other than consent is over: the contract is done, the duty has lapsed


class Reason(StrEnum):
    """Why a field was refused, as told to the caller. Nothing here reveals minority, restriction, hold or erasure."""

    NOT_PERMITTED = "not_permitted"
    CONSENT_REQUIRED = "consent_required"
    PURPOSE_NOT_REGISTERED = "purpose_not_registered"
    LEVEL_NOT_OFFERED = "level_not_offered"
    UNAVAILABLE = "unavailable"
    TOO_FEW = "too_few"  # told when the value is looked at, never before


@dataclass(frozen=True, slots=True)
class Caller:
    """The system that asks, as registered."""

    system_id: str
    brand: str
    purposes: frozenset[str]
    staffed: bool = False  # a member of staff stands behind the request


@dataclass(frozen=True, slots=True)
class SubjectFacts:
    """What the floors and rules may know about the subject, for the asking brand."""

    known_to_brand: bool
    erased: bool
    restricted: bool
    minor: bool
    region: str
    consents: Mapping[str, ConsentStatus] = field(default_factory=dict)  # purpose -> status, this brand only


@dataclass(frozen=True, slots=True)
class Wanted:
    """One field at one level. `predicate` names a catalogue predicate and goes with level `predicate` only."""

    field: str
    level: Level
    predicate: str = ""


@dataclass(frozen=True, slots=True)
class DecisionRequest:
    """Everything a decision depends on."""

    caller: Caller
    facts: SubjectFacts
    purpose: str
    wanted: tuple[Wanted, ...]


@dataclass(frozen=True, slots=True)
class FieldAnswer:
    """The decision for one wanted field. `granted` is None when refused; then `reason` is what the caller is told.

    `policies` are the ids that decided (Cedar `@id`s, or `floor.*`); they go into the log. `told` are those that
    may also be shown to the caller: for sensitive floors it is empty.
    """

    wanted: Wanted
    granted: Level | None
    policies: tuple[str, ...]
    told: tuple[str, ...]
    reason: Reason | None


@dataclass(frozen=True, slots=True)
class GrantedField:
    """One field at the level it may be disclosed. `predicate` is empty unless the level is `predicate`.

    A generalised value is released only if `least_group` subjects of the asking brand share it; 1: no threshold.
    """

    field: Field
    level: Level
    predicate: str = ""
    least_group: int = 1


@dataclass(frozen=True, slots=True)
class Decision:
    """All answers, in the order asked. `basis` is the legal basis that applied; `policy_hash` names the bundle.

    `system_id`, `brand` and `purpose` say for whom and what it was decided, so that a grant cannot be minted for
    another; `granted` are the fields of the answers that were granted. Only `policies.decision` builds one.
    """

    answers: tuple[FieldAnswer, ...]
    basis: str
    policy_hash: bytes
    group_values: bool  # values recorded by sister brands may be used too (sharing consent given)
    system_id: str
    brand: str
    purpose: str
    granted: tuple[GrantedField, ...]
