"""What a disclosure token grants, put together from the decisions about each subject it names.

A token for one subject grants what was decided for that subject. A token for a list grants, per field, the most that
any of them is granted: it is an upper bound, and redemption decides again for each. The answer therefore says of a
list only what holds for the list, never which subject a narrower answer came from.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from audit.entry import Act, Actor, Entry, Outcome
from policies.model import Decision, FieldAnswer, Level, Reason, Wanted


@dataclass(frozen=True, slots=True)
class GrantedField:
    """One wanted field and the level granted, or None and why. `policies` are for the log, `told` for the caller."""

    wanted: Wanted
    level: Level | None
    policies: tuple[str, ...]
    told: tuple[str, ...]
    reason: Reason | None


@dataclass(frozen=True, slots=True)
class GrantedEntry:
    """All wanted fields in the order asked. `basis` is empty when the subjects' bases differ."""

    fields: tuple[GrantedField, ...]
    basis: str

    @property
    def levels(self) -> frozenset[Level]:
        """The levels granted; empty when nothing is."""
        return frozenset(each.level for each in self.fields if each.level is not None)

    @property
    def names(self) -> tuple[str, ...]:
        """The granted fields with their levels, as the log writes them."""
        return tuple(f"{each.wanted.field}:{each.level}" for each in self.fields if each.level is not None)

    @property
    def policies(self) -> tuple[str, ...]:
        """Every rule and floor that decided, for the log."""
        return _policies(self.fields)

    def refusal(self, actor: Actor, purpose: str) -> Entry | None:
        """Say what of the wish is not in the token, for the log: as asked for, by what was decided; None for all of it."""
        refused = [each for each in self.fields if each.level is None]
        if not refused:
            return None
        names = tuple(f"{each.wanted.field}:{each.wanted.level}" for each in refused)
        return Entry(Act.TOKEN_REFUSED, Outcome.DENY, actor, names, purpose, pol=_policies(refused))

    def stored(self) -> list[dict[str, str]]:
        """Shape the granted fields as the token keeps them, to be decided again at redemption."""
        return [_named(each.wanted, each.level) for each in self.fields if each.level is not None]

    def told(self) -> list[dict[str, Any]]:
        """Shape every field as the token response enriches it (RFC 9396 §7.1)."""
        return [_told(each) for each in self.fields]


def combine(wanted: Sequence[Wanted], decisions: Sequence[Decision]) -> GrantedEntry:
    """Put the decisions about a token's subjects (at least one) together."""
    fields = [
        _combine_field(want, [decision.answers[place] for decision in decisions]) for place, want in enumerate(wanted)
    ]
    bases = {decision.basis for decision in decisions}
    return GrantedEntry(tuple(fields), bases.pop() if len(bases) == 1 else "")


def _combine_field(wanted: Wanted, answers: Sequence[FieldAnswer]) -> GrantedField:
    level = max(
        (each.granted for each in answers if each.granted is not None), key=lambda each: each.rank, default=None
    )
    deciding = [each for each in answers if each.granted is level]
    reasons = {each.reason for each in deciding if each.reason is not None}
    # Reasons that differ from subject to subject would tell of single ones.
    reason = None if level is not None else reasons.pop() if len(reasons) == 1 else Reason.NOT_PERMITTED
    # A refusal that must not be explained for one subject is explained for none.
    mute = level is None and any(not each.told for each in deciding)
    told = () if mute else _union(each.told for each in deciding)
    return GrantedField(wanted, level, _union(each.policies for each in deciding), told, reason)


def _policies(fields: Sequence[GrantedField]) -> tuple[str, ...]:
    return tuple(sorted({name for each in fields for name in each.policies}))


def _union(names: Any) -> tuple[str, ...]:
    return tuple(dict.fromkeys(name for each in names for name in each))


def _named(wanted: Wanted, level: Level) -> dict[str, str]:
    named = {"name": wanted.field, "level": level.value}
    return {**named, "predicate": wanted.predicate} if level is Level.PREDICATE else named


def _told(field: GrantedField) -> dict[str, Any]:
    wanted, level = field.wanted, field.level
    decision = "refused" if level is None else "granted" if level is wanted.level else "narrowed"
    told = {"name": wanted.field, "requested": wanted.level.value, "level": level and level.value, "decision": decision}
    if level is Level.PREDICATE:
        told["predicate"] = wanted.predicate
    return {**told, "reason": field.reason and field.reason.value, "policies": list(field.told)}
