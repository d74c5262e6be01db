"""What a draft bundle would have answered to a request of which only the log's entry is left.

An entry holds system, purpose, basis, fields with levels, outcome and deciding ids. It does not hold whether a member of
staff stood behind the request, where the subject lives, which level was asked for when less was granted, which
predicate, or anything else about the subject. So each of the first three is supposed in every way that the bundle in
force answers as the entry says; what the draft answers to all of those is certain, what it answers to some is possible.
A refusal by a floor rests on facts that no entry holds: it is counted and not replayed.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache
from typing import Final, NamedTuple

from policies.bundle import Bundle
from policies.decision import decide_afresh
from policies.errors import UnknownField, UnknownPurpose
from policies.levels import Level
from policies.model import Caller, ConsentStatus, DecisionRequest, Reason, SubjectFacts, Wanted
from policies.purposes import DEFAULT

REFUSED: Final = "refused"
_ELSEWHERE = "zz"  # a region that no bundle groups
_MOST = 65_536


class Verdict(StrEnum):
    """What can be said of one field of one entry."""

    SAME = "same"
    FLIPS = "flips"  # in every way the request can have been
    MAY_FLIP = "may_flip"  # in some of them
    FLOOR = "floor"  # refused by a floor, whose facts are not in the log
    UNKNOWN = "unknown"  # the bundle in force does not answer so: decided by another version, or gone


class Recorded(NamedTuple):
    """One field of one entry. `level` is the level granted, or the one asked for where it was refused."""

    system_id: str
    brand: str
    purpose: str
    basis: str
    field: str
    level: str
    granted: bool
    floor: bool  # every id that decided is a floor's


@dataclass(frozen=True, slots=True)
class Replayed:
    """The verdict, and what the draft answers: levels, or `refused`, each once and in that order."""

    verdict: Verdict
    before: str
    after: tuple[str, ...]


class Replay:
    """One bundle in force and one draft. Equal records are answered once: a log repeats itself."""

    def __init__(self, current: Bundle, draft: Bundle) -> None:
        self._current = current
        self._draft = draft
        self._regions = _regions(current, draft)
        self.answer = lru_cache(_MOST)(self._answer)

    def _answer(self, record: Recorded) -> Replayed:
        before = record.level if record.granted else REFUSED
        if record.floor and not record.granted:
            return Replayed(Verdict.FLOOR, before, ())
        try:
            level = Level(record.level)
            supposed = [request for request in self._suppositions(record, level) if self._left(request, record, before)]
        except (UnknownField, UnknownPurpose, ValueError):
            supposed = []
        if not supposed:
            return Replayed(Verdict.UNKNOWN, before, ())
        after = {_after(request, self._draft) for request in supposed}
        verdict = Verdict.SAME if after == {before} else Verdict.MAY_FLIP if before in after else Verdict.FLIPS
        return Replayed(verdict, before, tuple(each for each in (*Level, REFUSED) if each in after))

    def _left(self, request: DecisionRequest, record: Recorded, before: str) -> bool:
        """Whether the bundle in force answers a supposed request as the record says. A refused token names no basis."""
        outcome, basis = _outcome(request, self._current)
        return outcome == before and record.basis in {"", basis}

    def _suppositions(self, record: Recorded, level: Level) -> Iterator[DecisionRequest]:
        """Give every request that can have left this record, as far as anybody can know."""
        agreed = {each.key: ConsentStatus.GIVEN for each in self._current.purposes.path(record.purpose)}
        field = self._current.catalogue.field(record.field)
        asked = [level]
        if record.granted and level is not Level.PREDICATE:
            asked = [each for each in Level if each.rank >= level.rank and each is not Level.PREDICATE]
        for wanted in asked:
            predicates = sorted(field.predicates)[:1] if wanted is Level.PREDICATE else [""]
            for predicate in predicates:
                for staffed in (False, True):
                    for region in self._regions:
                        yield DecisionRequest(
                            Caller(record.system_id, record.brand, frozenset({record.purpose}), staffed),
                            SubjectFacts(
                                known_to_brand=True, erased=False, restricted=False, minor=False, region=region,
                                consents=agreed,
                            ),
                            record.purpose,
                            (Wanted(record.field, wanted, predicate),),
                        )  # fmt: skip


def _regions(*bundles: Bundle) -> tuple[str, ...]:
    """Return one region for each jurisdiction that any of the bundles knows by name."""
    found = {_ELSEWHERE: None}
    for bundle in bundles:
        grouped = {group: region for region, group in bundle.purposes.jurisdictions.items()}
        named = {name for purpose in bundle.purposes.every for name in purpose.basis} | grouped.keys()
        found |= {grouped.get(name, name): None for name in sorted(named - {DEFAULT})}
    return tuple(found)


def _outcome(request: DecisionRequest, bundle: Bundle) -> tuple[str, str]:
    """Return the level granted or `refused`, and the basis. A refusal by a floor is another outcome than one by a rule."""
    decision = decide_afresh(request, bundle)
    (answer,) = decision.answers
    if answer.granted is None and answer.reason not in {Reason.NOT_PERMITTED, Reason.LEVEL_NOT_OFFERED}:
        return answer.reason or REFUSED, decision.basis
    return answer.granted or REFUSED, decision.basis


def _after(request: DecisionRequest, draft: Bundle) -> str:
    """Return what the draft answers; a purpose or field that it dropped is refused."""
    try:
        (answer,) = decide_afresh(request, draft).answers
    except (UnknownField, UnknownPurpose):
        return REFUSED
    return answer.granted or REFUSED
