"""What a system can ask of Ecrin about a person's say: consents, signals, guardians, contact, restriction, requests. No I/O.

`verbs` has the rest. Each writing verb takes a `key`, so that it is safe to repeat: the same key never happens twice.
"""

from collections.abc import Mapping
from datetime import date
from typing import Any

from api.client.answers import (
    ConsentHistory,
    ConsentRecord,
    ContactGuidance,
    RequestStanding,
    member,
    read_consent,
    read_guidance,
    read_standing,
)
from api.client.exchange import Exchange
from api.client.wire import Steps, json_object

GPC = "Sec-GPC"


def give_consent(exchange: Exchange, reference: str, evidence: Mapping[str, Any], key: str) -> Steps[ConsentRecord]:
    """Record that a person agreed, with the notice they were shown as evidence."""
    body = yield from _told(exchange, "consent.write", "/v1/consents", {"reference": reference, **evidence}, key)
    return read_consent(body)


def withdraw_consent(exchange: Exchange, reference: str, evidence: Mapping[str, Any], key: str) -> Steps[ConsentRecord]:
    """Record that a person withdrew. Every token that rested on it is dead at its next use."""
    whole = {"reference": reference, **evidence}
    return read_consent((yield from _told(exchange, "consent.write", "/v1/consents/withdraw", whole, key)))


def tell_consent(
    exchange: Exchange, reference: str, event: str, evidence: Mapping[str, Any], key: str
) -> Steps[ConsentRecord]:
    """Record any other event: `requested`, `refused`, `objected`, `objection_lifted`, `invalidated`, `established`, `ended`."""
    whole = {"reference": reference, "event": event, **evidence}
    return read_consent((yield from _told(exchange, "consent.write", "/v1/consents/events", whole, key)))


def pass_signal(exchange: Exchange, reference: str, sec_gpc: str, channel: str, key: str) -> Steps[tuple[str, ...]]:
    """Pass a browser's `Sec-GPC` header on as it came; return the purposes that it newly objected to."""
    whole, header = {"reference": reference, "channel": channel}, {GPC: sec_gpc} if sec_gpc else {}
    body = yield from _told(exchange, "consent.write", "/v1/consents/signal", whole, key, header)
    return tuple(map(str, member(body, "objected")))


def consent_history(exchange: Exchange, reference: str) -> Steps[ConsentHistory]:
    """Return the record of a person's consents at this brand, with its receipt."""
    path = f"/v1/consents/{reference}"
    body = json_object((yield from exchange.scoped("consent.write", "GET", path, repeatable=True)).content)
    return ConsentHistory(str(member(body, "record")), str(member(body, "receipt")))


def link_guardian(
    exchange: Exchange, reference: str, guardian: str, proof: str, proof_hash: str, of_age_on: date, key: str
) -> Steps[None]:
    """Say who may consent for a minor, on what proof (SHA-256 in hex of what the brand keeps), and until which day."""
    whole = {"reference": reference, "guardian": guardian, "proof": proof, "proof_hash": proof_hash}
    whole["of_age_on"] = of_age_on.isoformat()
    yield from _told(exchange, "consent.write", "/v1/guardians", whole, key)


def end_guardian(exchange: Exchange, reference: str, guardian: str, key: str) -> Steps[None]:
    """Say that a guardian is none any more, or that the minor has come of age and was asked."""
    whole = {"reference": reference, "guardian": guardian}
    yield from _told(exchange, "consent.write", "/v1/guardians/end", whole, key)


def guardians_due(exchange: Exchange) -> Steps[tuple[str, ...]]:
    """List the references of those come of age whose links wait for review."""
    reply = yield from exchange.scoped("consent.write", "GET", "/v1/guardians/due", repeatable=True)
    return tuple(map(str, member(json_object(reply.content), "references")))


def may_contact(exchange: Exchange, reference: str, purpose: str, channel: str, staff: str) -> Steps[ContactGuidance]:
    """Ask whether a person may be contacted now, and how: by consent, address and the person's own wishes."""
    whole = {"reference": reference, "purpose": purpose, "channel": channel, **({"staff": staff} if staff else {})}
    return read_guidance(
        (yield from exchange.scoped("lookup", "POST", "/v1/contact/evaluation", whole, repeatable=True))
    )


def note_contact(exchange: Exchange, reference: str, kind: str, at: int | None, key: str) -> Steps[bool]:
    """Note a contact; return whether it counts as one that the person made. `at` is UTC seconds, now if None."""
    whole: dict[str, Any] = {"reference": reference, "kind": kind, **({} if at is None else {"at": at})}
    body = yield from _told(exchange, "consent.write", "/v1/contact/activity", whole, key)
    return member(body, "counts") is True


def restrict(exchange: Exchange, reference: str, ground: str, key: str) -> Steps[None]:
    """Restrict the processing of a person's data on a ground of GDPR Art. 18(1). Every outstanding token dies."""
    yield from _told(exchange, "rights.write", f"/v1/subjects/{reference}/restriction", {"ground": ground}, key)


def lift_restriction(exchange: Exchange, reference: str, ground: str, *, informed: bool, key: str) -> Steps[None]:
    """Lift what this brand restricted on this ground. `informed`: the person was told before (Art. 18(3))."""
    whole = {"ground": ground, "informed": informed}
    yield from _told(exchange, "rights.write", f"/v1/subjects/{reference}/restriction/lift", whole, key)


def hand_in_request(
    exchange: Exchange, reference: str, right: str, details: Mapping[str, Any], key: str
) -> Steps[RequestStanding]:
    """Hand in what a person asked for by right; `details` are further members of the body of `POST /v1/requests`."""
    whole = {"reference": reference, "right": right, **details}
    return read_standing((yield from _told(exchange, "rights.write", "/v1/requests", whole, key)))


def request_standing(exchange: Exchange, request: str) -> Steps[RequestStanding]:
    """Ask where a request stands."""
    reply = yield from exchange.scoped("rights.write", "GET", f"/v1/requests/{request}", repeatable=True)
    return read_standing(json_object(reply.content))


def withdraw_request(exchange: Exchange, request: str, key: str) -> Steps[RequestStanding]:
    """Take a request back at the person's word."""
    path = f"/v1/requests/{request}/withdraw"
    return read_standing((yield from _told(exchange, "rights.write", path, {}, key)))


def _told(
    exchange: Exchange,
    scope: str,
    path: str,
    body: Mapping[str, Any],
    key: str,
    headers: Mapping[str, str] | None = None,
) -> Steps[dict[str, Any]]:
    sent = {"Idempotency-Key": key, **(headers or {})}
    return json_object((yield from exchange.scoped(scope, "POST", path, body, sent, repeatable=True)).content)
