"""What changed from one bundle to another, in sentences an officer can read and in an order that is always the same.

Rules are compared by their `@id` and told by their single conditions (`policies.conditions`), so that a rule that was
only moved or laid out anew is no change. Catalogue, purposes and notices are told in words too.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import TypeVar

from policies.bundle import Bundle
from policies.catalogue import Category, Field
from policies.conditions import words_of
from policies.levels import Level
from policies.purposes import Purpose
from policies.rules import Rule

T = TypeVar("T")
LANGUAGE = "en"


class Part(StrEnum):
    """What of a bundle a change is about, in the order in which changes are told."""

    RULE = "rule"
    PURPOSE = "purpose"
    JURISDICTION = "jurisdiction"
    CATEGORY = "category"
    FIELD = "field"
    NOTICE = "notice"


class Kind(StrEnum):
    """How something changed."""

    ADDED = "added"
    REMOVED = "removed"
    CHANGED = "changed"


@dataclass(frozen=True, slots=True)
class Change:
    """One thing that is there, gone, or another. `words` say what it is now, or what is different."""

    part: Part
    kind: Kind
    name: str
    words: tuple[str, ...]

    def text(self) -> str:
        """Return the change as lines to read."""
        return "\n".join((f"{self.part} {self.name}: {self.kind}", *(f"  {each}" for each in self.words)))


def differences(old: Bundle, new: Bundle) -> tuple[Change, ...]:
    """Return every change from `old` to `new`; none when they decide, say and hold the same."""
    return (
        *_compared(Part.RULE, old.rules.rules, new.rules.rules, _rule),
        *_compared(Part.PURPOSE, _purposes(old), _purposes(new), _purpose),
        *_compared(Part.JURISDICTION, _regions(old), _regions(new), lambda regions: (("regions", regions),)),
        *_compared(Part.CATEGORY, _categories(old), _categories(new), _category),
        *_compared(Part.FIELD, _fields(old), _fields(new), _field),
        *_compared(Part.NOTICE, _notices(old), _notices(new), lambda digest: (("text", digest),)),
    )


Facets = tuple[tuple[str, object], ...]
"""What there is to say of a thing: named values. Sets and tuples are compared and told member by member."""


def _compared(
    part: Part, old: Mapping[str, T], new: Mapping[str, T], facets: Callable[[T], Facets]
) -> Iterator[Change]:
    for name in sorted(old.keys() | new.keys()):
        if name not in new:
            yield Change(part, Kind.REMOVED, name, tuple(_told(facets(old[name]))))
        elif name not in old:
            yield Change(part, Kind.ADDED, name, tuple(_told(facets(new[name]))))
        elif words := tuple(_changes(facets(old[name]), facets(new[name]))):
            yield Change(part, Kind.CHANGED, name, words)


def _told(facets: Facets) -> Iterator[str]:
    for what, value in facets:
        if isinstance(value, frozenset):
            yield from (f"{what}: {member}" for member in sorted(value))
        elif value not in {None, "", 0}:
            yield f"{what}: {value}"


def _changes(old: Facets, new: Facets) -> Iterator[str]:
    for (what, before), (_, after) in zip(old, new, strict=True):
        if before == after:
            continue
        if isinstance(before, frozenset) and isinstance(after, frozenset):
            yield from (f"{what}, no longer: {member}" for member in sorted(before - after))
            yield from (f"{what}, now: {member}" for member in sorted(after - before))
        else:
            yield f"{what}: {before or 'none'} → {after or 'none'}"


def _rule(rule: Rule) -> Facets:
    return (
        ("effect", rule.effect),
        ("title", rule.title),
        ("basis", rule.basis),
        ("only where" if rule.effect == "permit" else "where", frozenset(words_of(rule))),
    )


def _purposes(bundle: Bundle) -> Mapping[str, Purpose]:
    return {each.key: each for each in bundle.purposes.every}


def _purpose(purpose: Purpose) -> Facets:
    return (
        ("title", purpose.title.get(LANGUAGE, "")),
        ("version", purpose.version),
        ("legal basis", frozenset(f"{basis} ({where})" for where, basis in purpose.basis.items())),
        ("asked about separately", "yes" if purpose.separate_consent else "no"),
        ("consent lasts, days", purpose.validity_days),
        ("notice", purpose.notice),
        ("vocabulary term", purpose.dpv),
        ("groups of at least", purpose.least_group),
        ("opens", frozenset(f"{category} up to {level}" for category, level in purpose.max_level.items())),
    )


def _regions(bundle: Bundle) -> Mapping[str, frozenset[str]]:
    found: dict[str, frozenset[str]] = {}
    for region, jurisdiction in bundle.purposes.jurisdictions.items():
        found[jurisdiction] = found.get(jurisdiction, frozenset()) | {region}
    return found


def _categories(bundle: Bundle) -> Mapping[str, Category]:
    return {each.name: each for each in bundle.catalogue.categories}


def _category(category: Category) -> Facets:
    kept = category.legal_retention
    return (
        ("title", category.title.get(LANGUAGE, "")),
        ("sensitivity", category.sensitivity.value),
        ("kept at most, days", category.retention_days),
        ("kept by law", "" if kept is None else f"{kept.days} days ({kept.basis})"),
    )


def _fields(bundle: Bundle) -> Mapping[str, Field]:
    return bundle.catalogue.fields


def _field(field: Field) -> Facets:
    shown = {
        f"{level} as {field.levels[level]}" for level in (Level.GENERALISED, Level.MASKED) if level in field.levels
    }
    return (
        ("number", field.id),
        ("title", field.title.get(LANGUAGE, "")),
        ("category", field.category),
        ("type", f"{field.type}, {field.kind}, version {field.schema_version}"),
        ("special category", "yes" if field.special else "no"),
        ("search", field.search),
        ("groups of at least", field.least_group),
        ("written for the person to read", "yes" if field.written_for_person else "no"),
        ("shown", frozenset(shown)),
        ("may be asked", frozenset(f"{name} ({rule})" for name, rule in field.predicates.items())),
        ("choices", ", ".join(field.choices)),  # their order may be a rank
    )


def _notices(bundle: Bundle) -> Mapping[str, str]:
    return {
        f"{identifier}.{version}.{language}": notice.hash.hex()[:16]
        for (identifier, version, language), notice in bundle.notices.items()
    }
