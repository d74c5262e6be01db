"""What changed from one bundle to another, in sentences an officer can read and in an order that is always the same.

Rules are compared by their `@id` and told by their single conditions (`policies.conditions`), so that a rule that was
only moved or laid out anew is no change. Catalogue and purposes are told in words too; notices, and the files of law, parties
and rights, by their digests. English is what is stored, signed and printed; French (`policies.phrases`) tells the same changes.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import NamedTuple, TypeVar

from policies.bundle import Bundle
from policies.catalogue import Category, Field
from policies.conditions import words_of
from policies.levels import Level
from policies.phrases import ENGLISH, Phrase, Wording, wording
from policies.purposes import Purpose
from policies.rules import Rule

T = TypeVar("T")


class Part(StrEnum):
    """What of a bundle a change is about, in the order in which changes are told."""

    RULE = "rule"
    PURPOSE = "purpose"
    JURISDICTION = "jurisdiction"
    CATEGORY = "category"
    FIELD = "field"
    NOTICE = "notice"
    FILE = "file"  # one whose rules have no words of their own here


class Kind(StrEnum):
    """How something changed."""

    ADDED = "added"
    REMOVED = "removed"
    CHANGED = "changed"


class Line(NamedTuple):
    """One thing to say of a change: of what, up to the colon and the space behind it, and what that is.

    `own`: the value is in the words of the bundle's author, which are English.
    """

    what: str
    value: str
    own: bool = False


@dataclass(frozen=True, slots=True)
class Change:
    """One thing that is there, gone, or another. Its lines say what it is now, or what is different."""

    part: Part
    kind: Kind
    name: str
    lines: tuple[Line, ...]
    wording: Wording = field(default=ENGLISH, compare=False, repr=False)

    @property
    def words(self) -> tuple[str, ...]:
        """Return the lines as sentences."""
        return tuple(f"{each.what}{each.value}" for each in self.lines)

    def text(self) -> str:
        """Return the change as lines to read."""
        part, kind = self.wording.code(self.part), self.wording.code(self.kind)
        head = self.wording.say(Phrase.HEAD, part=part, name=self.name, kind=kind)
        return "\n".join((head, *(f"  {each}" for each in self.words)))


def differences(old: Bundle, new: Bundle, language: str = ENGLISH.tag) -> tuple[Change, ...]:
    """Return every change from `old` to `new`, told in `en` or `fr`; none when they decide, say and hold the same."""
    spoken = wording(language, (*old.catalogue.categories, *new.catalogue.categories))
    return (
        *_compared(Part.RULE, old.rules.rules, new.rules.rules, _rule, spoken),
        *_compared(Part.PURPOSE, _purposes(old), _purposes(new), _purpose, spoken),
        *_compared(Part.JURISDICTION, _regions(old), _regions(new), _jurisdiction, spoken),
        *_compared(Part.CATEGORY, _categories(old), _categories(new), _category, spoken),
        *_compared(Part.FIELD, _fields(old), _fields(new), _field, spoken),
        *_compared(Part.NOTICE, _notices(old), _notices(new), _digest, spoken),
        *_compared(Part.FILE, old.files, new.files, _digest, spoken),
    )


class Facet(NamedTuple):
    """A named value. Sets are compared and told member by member. `own` is as of a `Line`; `beside`: told where it changed alone."""

    what: Phrase
    value: object
    own: bool = False
    beside: bool = False


Facets = tuple[Facet, ...]
"""What there is to say of a thing."""


def _compared(
    part: Part, old: Mapping[str, T], new: Mapping[str, T], facets: Callable[[T, Wording], Facets], spoken: Wording
) -> Iterator[Change]:
    for name in sorted(old.keys() | new.keys()):
        if name not in new:
            yield Change(part, Kind.REMOVED, name, tuple(_told(facets(old[name], spoken), spoken)), spoken)
        elif name not in old:
            yield Change(part, Kind.ADDED, name, tuple(_told(facets(new[name], spoken), spoken)), spoken)
        elif lines := tuple(_changes(facets(old[name], spoken), facets(new[name], spoken), spoken)):
            yield Change(part, Kind.CHANGED, name, lines, spoken)


def _told(facets: Facets, spoken: Wording) -> Iterator[Line]:
    for phrase, value, own, beside in facets:
        if beside:
            continue
        what = spoken.say(Phrase.HAS, what=spoken.say(phrase))
        if isinstance(value, frozenset):
            yield from (Line(what, member, own) for member in sorted(value))
        elif value not in {None, "", 0}:
            yield Line(what, f"{value}", own)


def _changes(old: Facets, new: Facets, spoken: Wording) -> Iterator[Line]:
    for was, now in zip(old, new, strict=True):
        phrase, before, own, _ = was
        after = now.value
        if before == after:
            continue
        what = spoken.say(phrase)
        if isinstance(before, frozenset) and isinstance(after, frozenset):
            gone, come = spoken.say(Phrase.NO_LONGER, what=what), spoken.say(Phrase.NOW, what=what)
            yield from (Line(gone, member, own) for member in sorted(before - after))
            yield from (Line(come, member, own) for member in sorted(after - before))
        else:
            nothing = spoken.say(Phrase.NOTHING)
            yield Line(spoken.say(Phrase.HAS, what=what), f"{before or nothing} → {after or nothing}", own)


def _titles(title: Mapping[str, str], spoken: Wording) -> Facets:
    """Return the title in the reader's language, and the other: whoever approves answers for what people read in both."""
    if spoken.is_english:
        return (
            Facet(Phrase.TITLE, title.get("en", "")),
            Facet(Phrase.TITLE_IN_FRENCH, title.get("fr", ""), beside=True),
        )
    return (
        Facet(Phrase.TITLE, title.get(spoken.tag, "")),
        Facet(Phrase.TITLE_IN_ENGLISH, title.get("en", ""), own=True),
    )


def _yes(value: bool, spoken: Wording) -> str:
    return spoken.code("yes" if value else "no")


def _rule(rule: Rule, spoken: Wording) -> Facets:
    return (
        Facet(Phrase.EFFECT, spoken.code(rule.effect)),
        Facet(Phrase.TITLE, rule.title, own=True),
        Facet(Phrase.RULE_BASIS, rule.basis, own=True),
        Facet(Phrase.ONLY_WHERE if rule.effect == "permit" else Phrase.WHERE, frozenset(words_of(rule, spoken))),
    )


def _purposes(bundle: Bundle) -> Mapping[str, Purpose]:
    return {each.key: each for each in bundle.purposes.every}


def _purpose(purpose: Purpose, spoken: Wording) -> Facets:
    bases = {f"{spoken.basis(basis)} ({spoken.code(where)})" for where, basis in purpose.basis.items()}
    opened = {
        spoken.say(Phrase.CATEGORY_UP_TO, category=spoken.category(category), level=spoken.level(level))
        for category, level in purpose.max_level.items()
    }
    return (
        *_titles(purpose.title, spoken),
        Facet(Phrase.VERSION, purpose.version),
        Facet(Phrase.LEGAL_BASIS, frozenset(bases)),
        Facet(Phrase.ASKED_SEPARATELY, _yes(purpose.separate_consent, spoken)),
        Facet(Phrase.CONSENT_LASTS, purpose.validity_days),
        Facet(Phrase.NOTICE, purpose.notice),
        Facet(Phrase.NOTICE_FROM, purpose.notice_from),
        Facet(Phrase.RECIPIENTS, frozenset(purpose.recipients)),
        Facet(Phrase.CHANNEL, purpose.channel),
        Facet(Phrase.SIGNAL_OBJECTS, _yes(purpose.gpc, spoken)),
        Facet(Phrase.VOCABULARY, purpose.dpv),
        Facet(Phrase.LEAST_GROUP, purpose.least_group),
        Facet(Phrase.OPENS, frozenset(opened)),
    )


def _regions(bundle: Bundle) -> Mapping[str, frozenset[str]]:
    found: dict[str, frozenset[str]] = {}
    for region, jurisdiction in bundle.purposes.jurisdictions.items():
        found[jurisdiction] = found.get(jurisdiction, frozenset()) | {region}
    return found


def _jurisdiction(regions: frozenset[str], _spoken: Wording) -> Facets:
    return (Facet(Phrase.REGIONS, regions),)


def _categories(bundle: Bundle) -> Mapping[str, Category]:
    return {each.name: each for each in bundle.catalogue.categories}


def _category(category: Category, spoken: Wording) -> Facets:
    kept = category.legal_retention
    by_law = "" if kept is None else spoken.say(Phrase.DAYS_BY_LAW, days=kept.days, basis=kept.basis)
    return (
        Facet(Phrase.NUMBER, category.id),
        *_titles(category.title, spoken),
        Facet(Phrase.SENSITIVITY, spoken.code(category.sensitivity)),
        Facet(Phrase.KEPT_AT_MOST, category.retention_days),
        Facet(Phrase.KEPT_BY_LAW, by_law),
    )


def _fields(bundle: Bundle) -> Mapping[str, Field]:
    return bundle.catalogue.fields


def _field(field: Field, spoken: Wording) -> Facets:
    kind, version = spoken.code(field.kind), field.schema_version
    shown = {
        spoken.say(Phrase.LEVEL_AS, level=spoken.level(level), transform=field.levels[level])
        for level in (Level.GENERALISED, Level.MASKED)
        if level in field.levels
    }
    return (
        Facet(Phrase.NUMBER, field.id),
        *_titles(field.title, spoken),
        Facet(Phrase.OF_CATEGORY, spoken.category(field.category)),
        Facet(Phrase.TYPE, spoken.say(Phrase.TYPE_OF, type=field.type, kind=kind, version=version)),
        Facet(Phrase.SPECIAL_CATEGORY, _yes(field.special, spoken)),
        Facet(Phrase.SEARCH, field.search),
        Facet(Phrase.LEAST_GROUP, field.least_group),
        Facet(Phrase.WRITTEN_FOR_PERSON, _yes(field.written_for_person, spoken)),
        Facet(Phrase.SHOWN, frozenset(shown)),
        Facet(Phrase.MAY_BE_ASKED, frozenset(f"{name} ({rule})" for name, rule in field.predicates.items())),
        Facet(Phrase.CHOICES, ", ".join(field.choices)),  # their order may be a rank
    )


def _notices(bundle: Bundle) -> Mapping[str, str]:
    return {
        f"{identifier}.{version}.{language}": notice.hash.hex()[:16]
        for (identifier, version, language), notice in bundle.notices.items()
    }


def _digest(digest: str, _spoken: Wording) -> Facets:
    return (Facet(Phrase.TEXT, digest),)
