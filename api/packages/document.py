"""A package as data: one plain structure from which the page, the tables and the machine's files are all written."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final

from api.packages.words import TEXTS
from policies.authorities import Authority
from policies.bundle import Bundle
from policies.catalogue import Category
from policies.decision import OWN
from policies.rights import Right
from vault.requests.collecting import Gathered, Told, event_row, law_of, recipients
from vault.values import JsonValue

SCHEMA: Final = "urn:ecrin:access-package:v1"
LANGUAGES: Final = tuple(TEXTS)


@dataclass(frozen=True, slots=True)
class Document:
    """All of one package. `data` is plain JSON: the whole answer, or for a request of portability the portable part."""

    language: str
    name: str
    data: Mapping[str, Any] = field(repr=False)
    portable: Mapping[str, Any] = field(repr=False)
    notices: Mapping[str, str] = field(repr=False)  # file name -> text as it was shown
    titles: Mapping[str, str]  # of fields, categories and purposes, in its language, by the names that codes give them
    kinds: Mapping[str, str]  # types of fields by name
    systems: Mapping[str, str]  # names of systems by id
    parties: Mapping[str, str]  # names of brands and recipients by id


def document_of(gathered: Gathered) -> Document:
    """Shape what was gathered. Contains personal data throughout."""
    request = gathered.request
    portable = _portable(gathered)
    whole = request.right is not Right.PORTABILITY
    return Document(
        request.language,
        request.name,
        _whole(gathered) if whole else portable,
        portable,
        _notices(gathered) if whole else {},
        _titles(gathered.bundle, request.language),
        {name: each.type for name, each in gathered.bundle.catalogue.fields.items()},
        gathered.names,
        {name: each.name for name, each in gathered.bundle.parties.by_id.items()},
    )


def moment(at: int) -> str:
    """Write UTC seconds for people and machines alike."""
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _whole(gathered: Gathered) -> dict[str, Any]:
    request, bundle, language = gathered.request, gathered.bundle, gathered.request.language
    party = bundle.parties.named(request.brand)
    categories = {each.name: each for each in bundle.catalogue.categories}
    return {
        "schema": SCHEMA,
        "request": request.name,
        "right": request.right.value,
        "received": moment(request.clock.received_at),
        "made": moment(gathered.at),
        "controller": {
            "id": party.id, "name": party.name, "address": party.address, "contact": party.contact, "accent": party.accent,
        },
        "authority": _authority(gathered.authority),
        "categories": [_category(categories[name], gathered, language) for name in gathered.held],
        "not_opened": list(gathered.unread),
        "withheld": {"ground": str(request.ground or ""), "categories": list(request.kept)},
        "purposes": _purposes(gathered, language),
        "recipients": [_recipient(bundle, each) for each in recipients(bundle, request.brand, gathered.looks)],
        "disclosures": [
            {
                "at": each.at, "event": each.act, "given": each.allowed, "brand": each.brand, "by": each.by, "staff": each.staff or None,
                "fields": list(each.fields), "purpose": each.purpose, "basis": each.basis, "entry": each.index,
            }
            for each in gathered.looks
        ],
        "disclosures_since": gathered.looks_since,
        "consents": [_event(each) for each in gathered.consents],
        "storage": list(bundle.parties.storage),
        "automated_decisions": [],
        "policies": bundle.hash.hex(),
    }  # fmt: skip


def _category(category: Category, gathered: Gathered, language: str) -> dict[str, Any]:
    law = category.legal_retention
    return {
        "category": category.name,
        "title": category.title[language],
        "retention_days": category.retention_days,
        "kept_by_law": None if law is None else {"days": law.days, "basis": law.basis},
        "fields": [
            {
                "field": each.of.name,
                "title": each.of.title[language],
                "values": [_told(one) for one in each.told if one.replaced_at is None],
                "earlier": [_told(one) for one in each.told if one.replaced_at is not None],
                "redacted": each.redacted,
            }
            for each in gathered.held[category.name]
        ],
    }


def _told(one: Told) -> dict[str, Any]:
    return {
        "value": one.value,
        "source": one.source,
        "recorded": moment(one.recorded_at),
        "valid_from": None if one.valid_from is None else one.valid_from.isoformat(),
        "valid_until": None if one.valid_until is None else one.valid_until.isoformat(),
        "replaced": None if one.replaced_at is None else moment(one.replaced_at),
        "withheld": one.withheld or None,
    }


def _authority(authority: Authority | None) -> dict[str, str] | None:
    return None if authority is None else {"name": authority.name, "address": authority.address, "site": authority.site}


def _portable(gathered: Gathered) -> dict[str, Any]:
    request = gathered.request
    held: dict[str, dict[str, list[JsonValue]]] = {}
    for category, parts in gathered.held.items():
        fields = {each.of.name: list(each.values) for each in parts if each.portable and each.values}
        if fields:
            held[category] = fields
    return {
        "schema": "urn:ecrin:portable:v1",
        "request": request.name,
        "made": moment(gathered.at),
        "controller": gathered.bundle.parties.named(request.brand).name,
        "data": held,
    }


def _purposes(gathered: Gathered, language: str) -> list[dict[str, Any]]:
    filled = set(gathered.held)
    found = []
    for each in gathered.bundle.purposes.every:
        reached = sorted(filled & each.max_level.keys())
        if reached:
            found.append(
                {
                    "purpose": each.key,
                    "title": each.title[language],
                    "basis": each.basis_in(law_of(gathered.bundle, gathered.request)).value,
                    "categories": reached,
                    "recipients": list(each.recipients),
                }
            )
    return found


def _recipient(bundle: Bundle, identifier: str) -> dict[str, str]:
    party = bundle.parties.named(identifier)
    return {"id": identifier, "name": party.name, "country": party.country, "safeguard": party.safeguard}


def _event(event: Mapping[str, Any]) -> dict[str, Any]:
    row = event_row(event)
    until = row["valid_until"]
    return row | {"at": moment(row["at"]), "valid_until": None if until is None else moment(until)}


def _titles(bundle: Bundle, language: str) -> dict[str, str]:
    named = {each.name: each.title[language] for each in bundle.catalogue.categories}
    named |= {name: each.title[language] for name, each in bundle.catalogue.fields.items()}
    named |= {each.key: each.title[language] for each in bundle.purposes.every}
    return named | {OWN: TEXTS[language]["own"]}


def _notices(gathered: Gathered) -> dict[str, str]:
    found = {}
    for event in gathered.consents:
        key = (event["notice"], event["notice_version"], event["notice_language"])
        notice = gathered.bundle.notices.get(key)
        if notice is not None:
            found[f"{key[0]}.{key[1]}.{key[2]}.md"] = notice.text
    return found
