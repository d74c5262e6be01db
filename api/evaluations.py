"""Answers "may I?" without data (AuthZEN Authorization API 1.0): the same decision as a disclosure's, and nothing else.

For gateways that want to know before they ask. What is decided is recorded like a disclosure or a denial would be. A
stranger's reference and a person of whom nothing may be seen are one answer, which says no and no more.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from api import trail
from api.acts import Answer, guarded
from audit.entry import Act as LogAct
from audit.entry import Entry, Outcome
from policies.decision import decide
from policies.errors import PolicyError
from policies.model import Caller, Decision, DecisionRequest, Wanted
from vault import facts, metered, references
from vault.errors import Refused, VaultError
from vault.facts import Known
from vault.metered import Question
from vault.tokens import Session
from vault.unit import UnitOfWork


@dataclass(frozen=True, slots=True)
class Evaluation:
    """What is asked: whether this system may see these fields of this subject for this purpose."""

    system: str
    reference: str = field(repr=False)
    purpose: str
    wanted: tuple[Wanted, ...]
    staffed: bool


@dataclass(frozen=True, slots=True)
class Questions:
    """Evaluations of one request, answered in their order. `until`: the decision behind which none is asked any more."""

    each: tuple[Evaluation, ...]
    until: bool | None = None


Told = list[Answer | VaultError]


def _evaluate(uow: UnitOfWork, asked: Sequence[tuple[Session, Evaluation]]) -> list[Answer | VaultError]:
    located = references.locate(uow, [(session.system.brand, each.reference) for session, each in asked])
    found = [(s.system.brand, subject) for (s, _), subject in zip(asked, located, strict=True) if subject is not None]
    loaded = dict(zip(found, facts.load_each(uow, found), strict=True))
    known = [
        None if subject is None else loaded.get((session.system.brand, subject))
        for (session, _), subject in zip(asked, located, strict=True)
    ]
    # Being erased is being nobody, here as everywhere.
    people = [None if each is None or each.facts.erased or not each.facts.known_to_brand else each for each in known]
    present = [each for each in people if each is not None]
    keys = {each.subject_id: key for each, key in zip(present, facts.log_keys(uow.vault.keys, present), strict=True)}
    questions = [
        Question(session.system, person.subject_id, keys[person.subject_id], each.purpose, session.staff)
        for (session, each), person in zip(asked, people, strict=True)
        if person is not None
    ]
    charged = iter(metered.charge(uow, questions))
    answers: list[Answer | VaultError] = []
    for (session, each), person in zip(asked, people, strict=True):
        refused = None if person is None else next(charged)
        if refused is not None and person is not None:
            why = (f"access.{trail.cause(refused)}",)
            entry = Entry(LogAct.FIELD_EVALUATED, Outcome.DENY, trail.looker_of(session), pol=why)
            uow.record(entry, log_key=keys[person.subject_id])
        answers.append(refused or _one(uow, session, each, person, keys))
    return answers


def _one(
    uow: UnitOfWork, session: Session, asked: Evaluation, person: Known | None, keys: dict[bytes, bytes]
) -> Answer | VaultError:
    bundle = uow.vault.bundle
    try:
        bundle.purposes.get(asked.purpose)
        for want in asked.wanted:
            bundle.catalogue.field(want.field)
    except PolicyError as error:
        return Refused(error.code)
    decision: Decision | None = None
    if person is not None and asked.system == session.system.id:
        staffed = asked.staffed or bool(session.staff)
        caller = Caller(session.system.id, session.system.brand, session.system.purposes, staffed)
        decision = decide(DecisionRequest(caller, person.facts, asked.purpose, asked.wanted), bundle)
    allowed = decision is not None and all(each.granted is each.wanted.level for each in decision.answers)
    rules = () if decision is None else tuple(dict.fromkeys(p for each in decision.answers for p in each.policies))
    entry = Entry(
        LogAct.FIELD_EVALUATED,
        Outcome.ALLOW if allowed else Outcome.DENY,
        trail.looker_of(session),
        tuple(f"{want.field}:{want.level}" for want in asked.wanted),
        asked.purpose,
        "" if decision is None else decision.basis,
        rules,
    )
    uow.record(entry, log_key=None if person is None else keys[person.subject_id])
    if decision is None or not any(each.granted is not None for each in decision.answers):
        return {"decision": False}
    return {"decision": allowed, "context": {"fields": [_told(each) for each in decision.answers]}}


def _told(answer: Any) -> dict[str, Any]:
    return {
        "name": answer.wanted.field,
        "requested": answer.wanted.level.value,
        "level": answer.granted and answer.granted.value,
        "reason": answer.reason and answer.reason.value,
    }


def _in_turn(uow: UnitOfWork, asked: Sequence[tuple[Session, Questions]]) -> list[Told | VaultError]:
    """Evaluate what each request asks: all of it, or one after the other where a decision may end it.

    What is not asked any more is neither counted nor logged. Whoever is frozen on the way hears no answer at all.
    """
    told: list[Told] = [[] for _ in asked]
    frozen: dict[str, VaultError] = {}
    while turn := [
        (place, question)
        for place, (session, questions) in enumerate(asked)
        if session.system.id not in frozen
        for question in _next(questions, told[place])
    ]:
        answers = _evaluate(uow, [(asked[place][0], question) for place, question in turn])
        for (place, _), answer in zip(turn, answers, strict=True):
            told[place].append(answer)
            if isinstance(answer, VaultError) and answer.code == _DEAD:
                frozen[asked[place][0].system.id] = answer
    return [frozen.get(session.system.id) or told[place] for place, (session, _) in enumerate(asked)]


def _next(questions: Questions, told: Told) -> tuple[Evaluation, ...]:
    """Return what is to be asked now. An error counts as a no."""
    rest = questions.each[len(told) :]
    if questions.until is None:
        return rest
    ended = told and (not isinstance(told[-1], VaultError) and told[-1]["decision"]) is questions.until
    return () if ended else rest[:1]


_DEAD: Final = "invalid_token"

evaluations = guarded("lookup", _evaluate)
evaluations_in_turn = guarded("lookup", _in_turn)
