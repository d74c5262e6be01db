"""Why a decision came out as it did, for officers: the rule that decided, or what the nearest rules lacked.

An explanation names every floor that held, the silent ones too, so it is never given to the system that asked.
"""

from dataclasses import dataclass
from functools import lru_cache

from policies.bundle import Bundle
from policies.catalogue import Field
from policies.conditions import Probes
from policies.crowds import least_group
from policies.decision import CEILING, NOT_OFFERED, Inputs, Trial, decide, field_floors, floor_facts, inputs_of, trials
from policies.floors import TOO_FEW, Facts
from policies.levels import Level
from policies.model import DecisionRequest, FieldAnswer, Wanted
from policies.rules import RULES_ERROR, Question

_NEAREST = 3


@dataclass(frozen=True, slots=True)
class Ground:
    """A rule, floor or ceiling: its id, the sentence its author gave it, and its ground in law."""

    id: str
    title: str
    basis: str


@dataclass(frozen=True, slots=True)
class NearMiss:
    """A permit that did not match, and in words each condition it lacked."""

    rule: Ground
    lacked: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Step:
    """One level tried. `grounds` decided it; when nothing did, `nearest` are the permits that came closest."""

    level: Level
    allowed: bool
    grounds: tuple[Ground, ...]
    nearest: tuple[NearMiss, ...] = ()


@dataclass(frozen=True, slots=True)
class FieldExplanation:
    """One field: the floors that refused it, else the levels tried, from the one asked downwards."""

    wanted: Wanted
    granted: Level | None
    floors: tuple[Ground, ...]
    steps: tuple[Step, ...]
    least_group: int = 1  # of a generalised value: how many subjects must share it before it is released

    def text(self) -> str:
        """Return the explanation as lines to read."""
        asked = f"{self.wanted.field} ({self.wanted.predicate or self.wanted.level})"
        lines = [f"{asked}: {f'granted, {self.granted}' if self.granted else 'refused'}"]
        lines += [f"  floor {floor.id}: {floor.title} [{floor.basis}]" for floor in self.floors]
        for step in self.steps:
            verdict = "permitted" if step.allowed else "refused"
            if step.grounds:
                lines += [
                    f"  {step.level} {verdict} by {each.id}: {each.title} [{each.basis}]" for each in step.grounds
                ]
            else:
                lines.append(f"  {step.level}: no rule permits this")
            lines += [f"    {miss.rule.id} lacked: {'; '.join(miss.lacked)}" for miss in step.nearest]
        if self.least_group > 1:
            lines.append(f"  {TOO_FEW.id}: released only where at least {self.least_group} subjects share the value")
        return "\n".join(lines)


@dataclass(frozen=True, slots=True)
class Explanation:
    """The explanation of a whole decision, in the order asked."""

    purpose: str
    basis: str
    policy_hash: bytes
    group_values: bool
    fields: tuple[FieldExplanation, ...]

    def text(self) -> str:
        """Return the explanation as lines to read."""
        head = f"{self.purpose} on the basis of {self.basis}, bundle {self.policy_hash.hex()[:12]}"
        return "\n".join((head, *(each.text() for each in self.fields)))


def explain(request: DecisionRequest, bundle: Bundle) -> Explanation:
    """Explain what `decide` answers to the same request. Raises `UnknownPurpose` or `UnknownField`."""
    decision = decide(request, bundle)
    inputs = inputs_of(request, bundle)
    facts = floor_facts(inputs, bundle)
    return Explanation(
        request.purpose,
        decision.basis,
        decision.policy_hash,
        decision.group_values,
        tuple(_field(answer, inputs, facts, bundle) for answer in decision.answers),
    )


def _field(answer: FieldAnswer, inputs: Inputs, facts: Facts, bundle: Bundle) -> FieldExplanation:
    field = bundle.catalogue.field(answer.wanted.field)
    floors = tuple(Ground(floor.id, floor.title, floor.basis) for floor in field_floors(field, facts))
    if floors:
        return FieldExplanation(answer.wanted, None, floors, ())
    tried = trials(field, answer.wanted, inputs, facts, bundle)
    if not tried:
        ground = Ground(NOT_OFFERED, f"{field.name} does not offer this level or predicate", "catalogue")
        return FieldExplanation(answer.wanted, None, (), (Step(answer.wanted.level, allowed=False, grounds=(ground,)),))
    steps = tuple(_step(trial, field, inputs, bundle) for trial in tried)
    shared = answer.granted is Level.GENERALISED
    least = least_group(bundle.purposes.get(inputs.purpose), field) if shared else 1
    return FieldExplanation(answer.wanted, answer.granted, (), steps, least)


def _step(trial: Trial, field: Field, inputs: Inputs, bundle: Bundle) -> Step:
    grounds = tuple(_ground(identifier, field, inputs, bundle) for identifier in trial.ids)
    nearest = () if grounds or trial.question is None else _nearest(trial.question, bundle)
    return Step(trial.level, trial.allowed, grounds, nearest)


def _ground(identifier: str, field: Field, inputs: Inputs, bundle: Bundle) -> Ground:
    if identifier == CEILING:
        ceiling = bundle.purposes.get(inputs.purpose).max_level.get(field.category)
        reach = f"opens {field.category} up to {ceiling}" if ceiling else f"does not open {field.category}"
        return Ground(CEILING, f"The purpose {inputs.purpose} {reach}", "GDPR Art. 5(1)(c)")
    if identifier == RULES_ERROR:
        return Ground(RULES_ERROR, "The rules could not be evaluated, so nothing is allowed", "GDPR Art. 25(2)")
    rule = bundle.rules.rules[identifier]
    return Ground(rule.id, rule.title, rule.basis)


def _nearest(question: Question, bundle: Bundle) -> tuple[NearMiss, ...]:
    """Return the permits about this category that lacked the fewest conditions, at most three."""
    lacked = _probes(bundle).lacked(question)
    closest = sorted(lacked, key=lambda identifier: len(lacked[identifier]))  # stable: equals stay in the file's order
    return tuple(
        NearMiss(Ground(rule.id, rule.title, rule.basis), lacked[rule.id])
        for rule in (bundle.rules.rules[identifier] for identifier in closest[:_NEAREST])
    )


@lru_cache(4)
def _probes(bundle: Bundle) -> Probes:
    return Probes(bundle.rules)
