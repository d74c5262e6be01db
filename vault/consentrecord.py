"""Records of consent for the person they are about, in the shape of ISO/IEC TS 27560, with a receipt they can keep.

A record holds what the chain of one subject at one brand says and what the bundle says of it: parties, purposes, notices,
categories, storage, retention, recipients, how to withdraw, and every event. It holds no value and names the person by
the brand's reference. IRIs of the Data Privacy Vocabulary stand beside our own words as labels, pinned to a release.

The receipt is a signed note over the hash of the record's exact bytes (docs/formats.md):

    <origin>/consent
    <record id, 32 hex digits>
    <base64 SHA-256 of the record>
    <unix time>
"""

from base64 import b64encode
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any, Final

import orjson

from audit.entry import Act, Actor, Entry, Outcome
from audit.note import assemble, signature_line
from policies.bundle import Bundle
from policies.purposes import DPV, Purpose
from vault import consentchain, locked
from vault.errors import UnknownReference, VaultError
from vault.keys.service import SigningKey
from vault.setup import log_origin
from vault.unit import UnitOfWork

SCHEMA: Final = "urn:ecrin:consent-record:v1"
SUFFIX: Final = "/consent"  # of the name the receipt is signed under: not that of a disclosure's

_STATES: Final = {
    "requested": "ConsentRequested",
    "refused": "ConsentRefused",
    "given": "ConsentGiven",
    "renewed": "RenewedConsentGiven",
    "withdrawn": "ConsentWithdrawn",
    "expired": "ConsentExpired",
    "invalidated": "ConsentInvalidated",
}
_BASES: Final = {
    "consent": "Consent",
    "explicit_consent": "ExplicitlyExpressedConsent",
    "contract": "Contract",
    "legal_obligation": "LegalObligation",
    "vital_interest": "VitalInterest",
    "legitimate_interest": "LegitimateInterest",
}
_PARTIES: Final = {"controller": "DataController", "processor": "DataProcessor", "third_party": "ThirdParty"}


@dataclass(frozen=True, slots=True)
class Issued:
    """A record as the bytes that were signed, and its receipt."""

    record: str = field(repr=False)
    receipt: str


def issue(uow: UnitOfWork, asked: Sequence[tuple[str, Actor, str]]) -> list[Issued | VaultError]:
    """Issue the records of (brand, who asks, reference) triples. An item fails with `UnknownReference`.

    Raises `IntegrityFailure` for a chain that does not verify: nothing is certified of it.
    """
    vault, bundle = uow.vault, uow.vault.bundle
    rows = locked.by_reference(uow, [(brand, reference) for brand, _, reference in asked])
    outcomes: list[Issued | VaultError | None] = []
    texts: list[tuple[str, bytes]] = []
    for (brand, actor, reference), row in zip(asked, rows, strict=True):
        if isinstance(row, UnknownReference):
            outcomes.append(row)
            continue
        consentchain.verify_chain(uow, row.subject, brand)
        events = consentchain.events(uow, row.subject, brand)
        identifier = vault.entropy.bytes(16).hex()
        content = orjson.dumps(record_of(bundle, brand, reference, identifier, events), option=orjson.OPT_SORT_KEYS)
        texts.append((_text(log_origin(vault.origin, uow.shard), identifier, content, uow.now), content))
        outcomes.append(None)
        entry = Entry(Act.CONSENT_EXPORTED, Outcome.ALLOW, actor, n=len(events))
        uow.record(entry, log_key=row.log_key)
    name, public = log_origin(vault.origin, uow.shard) + SUFFIX, vault.keys.public_key(SigningKey.RECEIPT)
    signatures = vault.keys.sign(SigningKey.RECEIPT, [text.encode() for text, _ in texts]) if texts else []
    issued = iter(
        Issued(content.decode(), assemble(text, (signature_line(name, public, signature),)))
        for (text, content), signature in zip(texts, signatures, strict=True)
    )
    return [next(issued) if each is None else each for each in outcomes]


def record_of(
    bundle: Bundle, brand: str, reference: str, identifier: str, events: Sequence[Mapping[str, Any]]
) -> dict[str, Any]:
    """Shape one record from the events of a chain, in order."""
    by_purpose: dict[str, list[Mapping[str, Any]]] = {}
    for event in events:
        by_purpose.setdefault(event["purpose"], []).append(event)
    named = {brand, *(each for event in events for each in event["recipients"].split())}
    return {
        "schema_version": SCHEMA,
        "vocabulary": DPV,
        "record_id": identifier,
        "pii_principal_id": reference,
        "pii_processing": [_processing(bundle, brand, key, own) for key, own in by_purpose.items()],
        "party_identification": [_party(bundle, each) for each in sorted(named)],
    }


def _processing(bundle: Bundle, brand: str, key: str, events: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    purposes = {each.key: each for each in bundle.purposes.every}
    purpose, last = purposes.get(key), events[-1]
    contact = bundle.parties.named(brand).contact
    return {
        "purpose": {
            "id": key,
            "version": last["purpose_version"],
            "title": {} if purpose is None else dict(purpose.title),
            "dpv": "" if purpose is None else purpose.dpv,
        },
        "privacy_notice": [_notice(bundle, each) for each in _notices(events)],
        "pii_information": [] if purpose is None else _information(bundle, purpose),
        "pii_controllers": [brand],
        "storage_locations": list(bundle.parties.storage),
        "jurisdiction": last["jurisdiction"],
        "recipient_third_parties": [each for each in last["recipients"].split() if each != brand],
        "withdrawal_method": {"at": ["any boutique", "POST /v1/consents/withdraw"], "contact": contact},
        "lawful_basis": _labelled(last["basis"], _BASES),
        "collection_methods": sorted({each["method"] for each in events if each["method"]}),
        "events": [_event(each) for each in events],
    }


def _information(bundle: Bundle, purpose: Purpose) -> list[dict[str, Any]]:
    return [
        {
            "pii_type": each.name,
            "title": dict(each.title),
            "special": each.special,
            "up_to": purpose.max_level[each.name].value,
            "retention_period": f"P{each.retention_days}D",
        }
        for each in bundle.catalogue.categories
        if each.name in purpose.max_level
    ]


def _notices(events: Sequence[Mapping[str, Any]]) -> list[tuple[str, int, str, bytes]]:
    shown = [
        (each["notice"], each["notice_version"], each["notice_language"], bytes(each["notice_hash"]))
        for each in events
        if each["notice"]
    ]
    return list(dict.fromkeys(shown))


def _notice(bundle: Bundle, shown: tuple[str, int, str, bytes]) -> dict[str, Any]:
    identifier, version, language, digest = shown
    held = bundle.notices.get((identifier, version, language))
    text = held.text if held is not None and held.hash == digest else ""
    return {"id": identifier, "version": version, "language": language, "sha256": digest.hex(), "text": text}


def _event(event: Mapping[str, Any]) -> dict[str, Any]:
    proof = bytes(event["evidence_hash"])
    return {
        "event_id": event["id"].hex(),
        "event_type": "explicit" if event["explicit"] else "regular",
        "event_state": _labelled(event["state"], _STATES),
        "event_time": event["event_at"],
        "recorded_time": event["recorded_at"],
        "valid_until": event["valid_until"],
        "entity": event["actor"],
        "source": event["source"],
        "method": event["method"],
        "channel": event["channel"],
        "place": event["place"],
        "evidence_sha256": proof.hex() if any(proof) else "",
        "contact_points": len(event["points"].split()),
        "hash": event["hash"].hex(),
    }


def _party(bundle: Bundle, identifier: str) -> dict[str, Any]:
    party = bundle.parties.named(identifier)
    return {
        "party_id": party.id,
        "party_name": party.name,
        "party_address": party.address,
        "party_country": party.country,
        "party_contact": party.contact,
        "party_type": _labelled(party.type, _PARTIES),
    }


def _labelled(word: str, labels: Mapping[str, str]) -> dict[str, str]:
    """Give our word, with its label where the vocabulary has one."""
    return {"id": word, "dpv": f"{DPV}{labels[word]}"} if word in labels else {"id": word}


def _text(origin: str, identifier: str, content: bytes, at: int) -> str:
    return f"{origin}{SUFFIX}\n{identifier}\n{b64encode(sha256(content).digest()).decode()}\n{at}\n"
