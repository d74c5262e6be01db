"""Collecting: all that an access package says of a person at one brand, opened on record and kept nowhere.

The person's own values come by a grant of their own right (`policies.decision.grant_own`). What names somebody else is
taken out: for whom a thing was bought, whom a date is about, whose reference a link leads to, which member of staff wrote
a note (GDPR Art. 15(4)). What an officer's refusal in part keeps is not collected at all.

The portable part is what the person gave, or made by using the service, on consent or for a contract (Art. 20(1)); what
staff wrote about them is not.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from audit.entry import Act, Entry
from audit.entry import Outcome as Ended
from policies.bundle import Bundle
from policies.catalogue import Category, Field
from policies.decision import OWN, grant_own
from policies.purposes import Basis
from policies.rights import Right
from vault import consentchain, disclosure, facts, systems
from vault.amendments import pages
from vault.errors import IntegrityFailure
from vault.requests.looks import Look, Numbering, looks
from vault.requests.records import Request
from vault.requests.states import IllegalMove
from vault.requests.steps import By, Held
from vault.revealed import DisclosedField
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
class Holding:
    """One field with what it holds: one value, or a list of them. `portable`: part of what the person may take along."""

    of: Field
    values: tuple[JsonValue, ...] = field(repr=False)
    portable: bool
    redacted: bool


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
    if grant is None:
        raise IllegalMove
    selection = disclosure.select(uow, [grant])
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

    def finish(commit: Commit) -> Gathered:
        (shown,) = disclosure.reveal(vault, commit, selection, entries[:1])
        found: dict[str, list[Holding]] = {}
        unread: list[str] = []
        for each in fields:
            part = shown[each.name]
            if isinstance(part, IntegrityFailure):
                unread.append(each.name)
            elif part.present:
                name = bundle.catalogue.category_by_id(each.category_id).name
                found.setdefault(name, []).append(_held(bundle, request, each, part))
        with vault.reading() as conn:
            brands = {each.id: each.brand for each in systems.listed(conn)}
            numbering = Numbering(brands, staff_keys(vault.keys, [request.brand])[request.brand])
            seen = looks(conn, uow.shard, person.log_key, request.brand, numbering)
        told = {name: tuple(parts) for name, parts in found.items()}
        return Gathered(request, now, bundle, told, tuple(unread), events, tuple(seen))

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


def _held(bundle: Bundle, request: Request, of: Field, part: DisclosedField) -> Holding:
    values = [each["value"] for each in part.value] if isinstance(part.value, list) else [part.value]  # type: ignore[index,call-overload]
    clean = [without_others(of, each) for each in values]
    name = bundle.catalogue.category_by_id(of.category_id).name
    may = portable(bundle, request.jurisdiction, name, of)
    return Holding(of, tuple(each for each, _ in clean), may, any(cut for _, cut in clean))


def without_others(of: Field, value: JsonValue) -> tuple[JsonValue, bool]:
    """Return a value without what names somebody else in it, and whether anything was taken out."""
    others = OTHERS.get(of.type, frozenset())
    if not isinstance(value, dict) or not others & value.keys():
        return value, False
    return {key: each for key, each in value.items() if key not in others}, True


def event_row(event: Mapping[str, Any]) -> dict[str, Any]:
    """Return what of a consent event a person is told."""
    return {name: event[name] for name in _COUNTED} | {"at": event["event_at"], "valid_until": event["valid_until"]}


def recipients(bundle: Bundle, brand: str, gathered: Sequence[Look]) -> list[str]:
    """Name who received or may receive anything: the brand, the recipients of its purposes, the systems that looked."""
    named = {brand} | {each for purpose in bundle.purposes.every for each in purpose.recipients}
    return sorted(named | {each.by for each in gathered if each.allowed and each.brand == brand})
