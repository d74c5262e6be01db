"""Collecting: all that an access package says of a person at one brand, opened on record and kept nowhere.

The person's own values come by a grant of their own right (`policies.decision.grant_own`). What names somebody else is
taken out: for whom a thing was bought, whom a date is about, whose reference a link leads to, which member of staff wrote
a note (GDPR Art. 15(4)); and in free text what a machine finds of others (`vault.requests.masking`). What an officer's refusal in part keeps is not collected at all.

The portable part is what the person gave, or made by using the service, on consent or for a contract (Art. 20(1)); what
staff wrote about them is not.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from typing import Any, Final

from audit import pruning
from audit.entry import Act, Entry
from audit.entry import Outcome as Ended
from policies.authorities import Authority
from policies.bundle import Bundle
from policies.catalogue import Category, Field
from policies.decision import OWN, grant_own
from policies.purposes import Basis
from policies.rights import Right
from vault import consentchain, disclosure, facts, systems
from vault.amendments import pages
from vault.disclosure import Kept
from vault.errors import IntegrityFailure
from vault.facts import Known
from vault.requests import withheld
from vault.requests.looks import Look, Numbering, looks
from vault.requests.masking import Masks, masks_of
from vault.requests.records import Request
from vault.requests.states import IllegalMove
from vault.requests.steps import By, Held
from vault.requests.withheld import Standing
from vault.staff import staff_keys
from vault.unit import Commit, UnitOfWork
from vault.values import JsonValue

OTHERS: Final[Mapping[str, frozenset[str]]] = {
    "purchase": frozenset({"for"}),
    "important_date": frozenset({"about"}),
    "household_link": frozenset({"reference"}),
    "visit": frozenset({"advisor"}),
    "note": frozenset({"advisor"}),
}
"""Members of a record that are about somebody else, by the type of the field."""
WHOLE: Final = ""  # instead of a member: the value itself
FREE: Final[Mapping[str, frozenset[str]]] = {
    "note": frozenset({"text"}),
    "repair": frozenset({"work"}),
    "text": frozenset({WHOLE}),
}
"""Where somebody writes as they like, by the type of the field: what a machine looks through (`vault.requests.masking`)."""
_NAMES: Final = frozenset({"for", "about"})  # of what is left out: names, and not codes
_OF_OTHERS: Final = frozenset({"gift_recipients", "personal_assistant"})  # fields that hold names of others
_NOT_GIVEN: Final = frozenset({"note"})  # types of what others wrote
_PORTABLE: Final = frozenset({Basis.CONSENT, Basis.EXPLICIT_CONSENT, Basis.CONTRACT})
_COUNTED: Final = (
    "purpose",
    "state",
    "basis",
    "jurisdiction",
    "notice",
    "notice_version",
    "notice_language",
    "channel",
)


@dataclass(frozen=True, slots=True)
class Told:
    """One value as the person is told it: what was recorded, by which source, when, for which days, and until when it stood.

    Times in UTC seconds, days inclusive; `replaced_at` is None for what stands.
    """

    value: JsonValue = field(repr=False)
    source: str
    recorded_at: int
    valid_from: date | None = field(repr=False)
    valid_until: date | None = field(repr=False)
    replaced_at: int | None
    withheld: str = ""  # on what ground its text is kept back, if it is; a value that is all text is None then


@dataclass(frozen=True, slots=True)
class Holding:
    """One field with what it holds and held, oldest first. `portable`: part of what the person may take along."""

    of: Field
    told: tuple[Told, ...] = field(repr=False)
    portable: bool
    redacted: bool
    today: date

    @property
    def values(self) -> tuple[JsonValue, ...]:
        """Return what stands, and is not over: one value, or those of a list."""
        return tuple(
            each.value
            for each in self.told
            if each.replaced_at is None
            and not (each.withheld and each.value is None)
            and (each.valid_until is None or each.valid_until >= self.today)
        )


@dataclass(frozen=True, slots=True)
class Gathered:
    """What a package is made of. Personal data throughout: never stored, never logged."""

    request: Request
    at: int
    bundle: Bundle = field(repr=False)
    held: Mapping[str, tuple[Holding, ...]] = field(repr=False)  # by category; categories without a value are not in it
    unread: tuple[str, ...]  # fields that did not open: said, not passed over
    consents: tuple[Mapping[str, Any], ...] = field(repr=False)
    looks: tuple[Look, ...] = field(repr=False)
    authority: Authority | None = None
    names: Mapping[str, str] = field(default_factory=dict)  # of systems, by id
    looks_since: str = ""  # from when on the log can be read, as it writes times; empty: from its beginning


Finish = Callable[[Commit], Gathered]


def gather(uow: UnitOfWork, held: Held, by: By) -> Finish:
    """Select what belongs into a package and put it on record, as `subject.exported`. The rest follows the commit.

    Raises `IllegalMove` where there is nobody any more, or for a right without a package.
    """
    vault, request, person = uow.vault, held.request, held.person
    if person is None or request.right not in {Right.ACCESS, Right.PORTABILITY}:
        raise IllegalMove
    bundle = vault.bundle
    known = facts.load(uow, request.brand, [person.subject])[0]
    fields = [each for category in categories(bundle, request) for each in category.fields]
    grant = None if known is None else grant_own(known.facts, request.brand, person.subject, fields)
    if known is None or grant is None:
        raise IllegalMove
    today = datetime.fromtimestamp(uow.now, UTC).date()
    selection = disclosure.select(uow, [grant], as_known_on=[today])  # what was known before it is selected along
    events = tuple(consentchain.events(uow, person.subject, request.brand))
    entries = [
        uow.record(
            Entry(
                Act.SUBJECT_EXPORTED,
                Ended.ALLOW,
                by.actor,
                page,
                OWN,
                grant.basis,
                (f"request:{request.name}", f"right:{request.right}"),
            ),
            log_key=person.log_key,
        )
        for page in pages(f"{each.name}:raw" for each in fields)
    ]
    now = uow.now
    back = withheld.standing(uow.conn, person.subject, request.brand)
    authority = bundle.rights.authority(_home(bundle, request, known), law_of(bundle, request), today)

    def finish(commit: Commit) -> Gathered:
        (shown,) = disclosure.reveal_own(vault, commit, selection, entries[:1], past=True)
        found: dict[str, list[Holding]] = {}
        unread: list[str] = []
        veils = masks(
            (each, one.value.value)
            for each in fields
            if not isinstance(part := shown[each.name], IntegrityFailure)
            for one in part
        )
        for each in fields:
            part = shown[each.name]
            if isinstance(part, IntegrityFailure):
                unread.append(each.name)
            elif part:
                name = bundle.catalogue.category_by_id(each.category_id).name
                found.setdefault(name, []).append(_held(bundle, request, each, part, today, veils, back))
        with vault.reading() as conn:
            registered = systems.listed(conn)
            brands = {each.id: each.brand for each in registered}
            numbering = Numbering(brands, staff_keys(vault.keys, [request.brand])[request.brand])
            seen = looks(conn, uow.shard, person.log_key, request.brand, numbering)
            kept = pruning.beginning(conn, uow.shard)
        told = {name: tuple(parts) for name, parts in found.items()}
        names = {each.id: each.name for each in registered}
        since = kept.since if kept else ""
        return Gathered(
            request, now, bundle, told, tuple(unread), events, tuple(seen), authority, names=names, looks_since=since
        )

    return finish


def categories(bundle: Bundle, request: Request) -> list[Category]:
    """Return the categories that a request is about: those it names, or all; without those refused to it."""
    return [
        each
        for each in bundle.catalogue.categories
        if (not request.names or each.name in request.names) and each.name not in request.kept
    ]


def portable(bundle: Bundle, jurisdiction: str, category: str, of: Field) -> bool:
    """Whether a field belongs to what a person may take along (GDPR Art. 20(1))."""
    reached = {each.basis_in(jurisdiction) for each in bundle.purposes.every if category in each.max_level}
    return of.type not in _NOT_GIVEN and bool(reached & _PORTABLE)


def _held(
    bundle: Bundle, request: Request, of: Field, part: Sequence[Kept], today: date, veils: Masks, back: Standing
) -> Holding:
    clean = [(each, *without_others(of, each.value.value, veils)) for each in part]
    grounds = {each.item: back[of.id, each.item].value for each in part if (of.id, each.item) in back}
    name = bundle.catalogue.category_by_id(of.category_id).name
    told = tuple(
        Told(
            without_text(of, value) if kept.item in grounds else value,
            kept.value.source,
            kept.value.recorded_at,
            kept.value.valid_from,
            kept.value.valid_until,
            kept.replaced_at,
            grounds.get(kept.item, ""),
        )
        for kept, value, _ in clean
    )
    may = portable(bundle, law_of(bundle, request), name, of)
    return Holding(of, told, may, any(cut for _, _, cut in clean), today)


def _home(bundle: Bundle, request: Request, known: Known) -> str:
    """Return the person's region, unless the request was handed in as one of another jurisdiction."""
    region = known.facts.region
    return region if bundle.purposes.jurisdiction(region) == law_of(bundle, request) else ""


def law_of(bundle: Bundle, request: Request) -> str:
    """Return the jurisdiction whose legal bases hold: of a region with deadlines of its own, the one it belongs to."""
    return bundle.purposes.jurisdiction(request.jurisdiction)


def without_others(of: Field, value: JsonValue, masks: Masks) -> tuple[JsonValue, bool]:
    """Return a value without what names somebody else in it, and whether anything was taken out."""
    others, free = OTHERS.get(of.type, frozenset()), FREE.get(of.type, frozenset())
    if isinstance(value, str):
        return masks.masked(value) if WHOLE in free else (value, False)
    if not isinstance(value, dict):
        return value, False
    kept: dict[str, JsonValue] = {}
    cut = not others.isdisjoint(value)
    for key, each in value.items():
        if key in others:
            continue
        kept[key], masked = masks.masked(each) if key in free and isinstance(each, str) else (each, False)
        cut = cut or masked
    return kept, cut


def text_of(of: Field, value: JsonValue) -> str:
    """Return what somebody wrote as they liked in a value, as one text."""
    free = FREE.get(of.type, frozenset())
    if isinstance(value, dict):
        return "\n".join(each for key, each in value.items() if key in free and isinstance(each, str))
    return value if WHOLE in free and isinstance(value, str) else ""


def without_text(of: Field, value: JsonValue) -> JsonValue:
    """Return a value without what somebody wrote as they liked: of a value that is all text, None."""
    free = FREE.get(of.type, frozenset())
    if isinstance(value, dict):
        return {key: each for key, each in value.items() if key not in free}
    return None if WHOLE in free else value


def masks(values: Iterable[tuple[Field, JsonValue]]) -> Masks:
    """Return what is the person's own and what somebody else's, by the values that lie open."""
    own: list[tuple[str, JsonValue]] = []
    others: list[str] = []
    bears: list[str] = []
    codes: list[str] = []
    for of, value in values:
        if of.type in {"email", "phone"}:
            own.append((of.type, value))
        elif of.type == "person_name" and isinstance(value, dict):
            bears += _texts(value)
        elif isinstance(value, dict):
            named = {key: value[key] for key in OTHERS.get(of.type, frozenset()) & value.keys()}
            others += [text for key, each in named.items() if key in _NAMES for text in _texts(each)]
            codes += [text for key, each in named.items() if key not in _NAMES for text in _texts(each)]
        elif of.name in _OF_OTHERS:
            others += _texts(value)
    return masks_of(own, others, bears, codes)


def _texts(value: JsonValue) -> list[str]:
    if isinstance(value, dict):
        return [text for each in value.values() for text in _texts(each)]
    if isinstance(value, list):
        return [text for each in value for text in _texts(each)]
    return [value] if isinstance(value, str) else []


def event_row(event: Mapping[str, Any]) -> dict[str, Any]:
    """Return what of a consent event a person is told."""
    return {name: event[name] for name in _COUNTED} | {"at": event["event_at"], "valid_until": event["valid_until"]}


def recipients(bundle: Bundle, brand: str, gathered: Sequence[Look]) -> list[str]:
    """Name who received or may receive anything: the brand, the recipients of its purposes, the systems that looked."""
    named = {brand} | {each for purpose in bundle.purposes.every for each in purpose.recipients}
    return sorted(named | {each.by for each in gathered if each.allowed and each.brand == brand})
