"""What a system can ask of Ecrin: each verb shapes one request and reads its answer. No I/O (see `wire`)."""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import date
from typing import Any

from api.client.answers import (
    DISCLOSURE_TYPE,
    Disclosure,
    DisclosureToken,
    Found,
    IssuedAttestation,
    Rotated,
    RowResult,
    SubjectRecord,
    VerifierKeys,
    Want,
    member,
    read_attestation,
    read_disclosure,
    read_disclosures,
    read_found,
    read_keys,
    read_rotated,
    read_row,
    read_subject,
    read_token,
    wanted,
)
from api.client.errors import EcrinProblem, EcrinProtocolError
from api.client.exchange import Exchange, details
from api.client.wire import Steps, json_object

Wants = Sequence[Want | tuple[str, ...]]
Subjects = str | Sequence[str]

TOKEN_EXCHANGE = "urn:ietf:params:oauth:grant-type:token-exchange"  # noqa: S105 - names of RFC 8693
ACCESS_TOKEN = "urn:ietf:params:oauth:token-type:access_token"  # noqa: S105
ROWS_PER_REQUEST = 500
BYTES_PER_REQUEST = 2 << 20  # cut earlier when rows are large


def authorise(
    exchange: Exchange,
    subjects: Subjects,
    purpose: str,
    fields: Wants,
    max_uses: int,
    reason: str,
    staff: str,
    as_known_on: date | None,
) -> Steps[DisclosureToken]:
    """Obtain a disclosure token. The answer says, per field, what was granted, narrowed or refused, and why."""
    whom: dict[str, Any] = {"subject": subjects} if isinstance(subjects, str) else {"subjects": list(subjects)}
    entry: dict[str, Any] = {**whom, "purpose": purpose, "fields": wanted(fields), "max_uses": max_uses}
    entry |= {name: text for name, text in (("reason", reason), ("staff", staff)) if text}
    if as_known_on is not None:
        entry["as_known_on"] = as_known_on.isoformat()
    return read_token((yield from exchange.token(details(DISCLOSURE_TYPE, entry))))


def narrow(
    exchange: Exchange,
    token: DisclosureToken,
    fields: Wants,
    subjects: Subjects | None,
    purpose: str,
    max_uses: int,
    actor_token: str,
    staff: str,
) -> Steps[DisclosureToken]:
    """Make a narrower token (RFC 8693). Its uses are taken from `token`; it is never repeated by itself."""
    whom: dict[str, Any] = {"subjects": list(token.subjects if subjects is None else subjects)}
    if isinstance(subjects, str) or len(whom["subjects"]) == 1:
        whom = {"subject": subjects if isinstance(subjects, str) else whom["subjects"][0]}
    entry: dict[str, Any] = {**whom, "purpose": purpose or token.purpose, "fields": wanted(fields)}
    entry |= {"max_uses": max_uses, **({"staff": staff} if staff else {})}
    grant = {"grant_type": TOKEN_EXCHANGE, "subject_token": token.secret, "subject_token_type": ACCESS_TOKEN}
    if actor_token:
        grant |= {"actor_token": actor_token, "actor_token_type": ACCESS_TOKEN}
    return read_token((yield from exchange.token(grant | details(DISCLOSURE_TYPE, entry), repeatable=False)))


def create_subject(exchange: Exchange, subject: Mapping[str, Any], key: str) -> Steps[SubjectRecord]:
    """Register a person with this brand. The same `key` and body never register twice."""
    reply = yield from exchange.scoped(
        "subject.write", "POST", "/v1/subjects", subject, {"Idempotency-Key": key}, repeatable=True
    )
    return read_subject(reply)


def get_subject(exchange: Exchange, reference: str) -> Steps[SubjectRecord]:
    """Describe one of this brand's subjects: no values."""
    return read_subject((yield from exchange.scoped("lookup", "GET", f"/v1/subjects/{reference}", repeatable=True)))


def update_subject(exchange: Exchange, reference: str, etag: str, changes: Mapping[str, Any]) -> Steps[SubjectRecord]:
    """Change fields if nothing changed since `etag`; otherwise `EcrinProblem` with code `version_conflict`."""
    path = f"/v1/subjects/{reference}"
    reply = yield from exchange.scoped("subject.write", "PATCH", path, changes, {"If-Match": etag})
    return read_subject(reply)


def search(exchange: Exchange, by: str, value: str) -> Steps[Found]:
    """Find a person by an exact, searchable field. The term travels in the body only."""
    body = {"by": by, "value": value}
    return read_found((yield from exchange.scoped("lookup", "POST", "/v1/subjects/search", body, repeatable=True)))


def disclose(exchange: Exchange, token: DisclosureToken, fields: Sequence[str] | None) -> Steps[Disclosure]:
    """Redeem a token for its one subject. Never repeated by itself: a use may count though the answer was lost."""
    body = {"fields": list(fields)} if fields else {}
    reply = yield from exchange.bound(token.secret, "POST", "/v1/disclosures", body)
    return read_disclosure(json_object(reply.content))


def disclose_bulk(
    exchange: Exchange, token: DisclosureToken, references: Sequence[str], fields: Sequence[str] | None
) -> Steps[tuple[Disclosure, ...]]:
    """Redeem a token for several of its subjects at once, in the order asked; one's failure is its own."""
    body = {"references": list(references), **({"fields": list(fields)} if fields else {})}
    reply = yield from exchange.bound(token.secret, "POST", "/v1/disclosures/bulk", body)
    return tuple(read_disclosures(json_object(reply.content)))


def attest(
    exchange: Exchange,
    token: DisclosureToken,
    audience: str,
    key: Mapping[str, str],
    seconds: int,
    reference: str,
    fields: Sequence[str] | None,
) -> Steps[IssuedAttestation]:
    """Turn a use of a token into an attestation for one audience, bound to one public key. Never repeated by itself."""
    body: dict[str, Any] = {"audience": audience, "key": dict(key), "seconds": seconds}
    body |= {"reference": reference} if reference else {}
    body |= {"fields": list(fields)} if fields else {}
    return read_attestation((yield from exchange.bound(token.secret, "POST", "/v1/attestations", body)))


def status_list(exchange: Exchange, uri: str) -> Steps[str]:
    """Fetch a whole status list of this deployment, as signed. Another address is refused: an attestation names it."""
    path = uri.removeprefix(exchange.settings.origin)
    if path == uri or not path.startswith("/"):
        raise EcrinProtocolError("the status list is at another address")
    return (yield from exchange.public(path)).content.decode()


def issuer_keys(exchange: Exchange) -> Steps[dict[str, Any]]:
    """Return the deployment's published signing keys, a JWK Set."""
    return json_object((yield from exchange.public("/oauth/jwks")).content)


def rotate_reference(exchange: Exchange, reference: str, grace_seconds: int, key: str) -> Steps[Rotated]:
    """Replace a reference. The same `key` never replaces it twice."""
    path, body = f"/v1/subjects/{reference}/rotation", {"grace_seconds": grace_seconds}
    headers = {"Idempotency-Key": key}
    return read_rotated((yield from exchange.scoped("subject.write", "POST", path, body, headers, repeatable=True)))


def may(exchange: Exchange, reference: str, purpose: str, fields: Wants, *, staff: bool) -> Steps[bool]:
    """Ask whether a disclosure would be granted in full, without data (AuthZEN)."""
    body = {
        "subject": {"type": "system", "id": exchange.identity.client_id},
        "action": {"name": "disclose", "properties": {"purpose": purpose, "fields": wanted(fields), "staff": staff}},
        "resource": {"type": "subject", "id": reference},
    }
    reply = yield from exchange.scoped("lookup", "POST", "/access/v1/evaluation", body, repeatable=True)
    return member(json_object(reply.content), "decision") is True


def import_chunk(exchange: Exchange, chunk: bytes, key: str) -> Steps[tuple[RowResult, ...]]:
    """Send some rows of an import. Repeatable: the server knows each row of `key` by its `ref`."""
    headers = {"Idempotency-Key": key, "Content-Type": "application/x-ndjson"}
    reply = yield from exchange.scoped("import", "POST", "/v1/imports", chunk, headers, repeatable=True)
    return tuple(read_row(json_object(line)) for line in reply.content.splitlines() if line)


def checkpoint(exchange: Exchange) -> Steps[str]:
    """Return the newest signed checkpoint of the audit log, a C2SP signed note."""
    return (yield from exchange.public("/audit/checkpoint")).content.decode()


def verifier_keys(exchange: Exchange) -> Steps[VerifierKeys]:
    """Return the keys that check checkpoints and receipts. Compare them with those you got another way."""
    return read_keys((yield from exchange.public("/audit/keys")))


def proof(exchange: Exchange, entry_id: str) -> Steps[str | None]:
    """Return the proof that an entry is in the log (C2SP tlog-proof), or None where there is none."""
    try:
        reply = yield from exchange.public(f"/audit/proof/{entry_id}")
    except EcrinProblem as problem:
        if problem.code == "not_found":
            return None
        raise
    return reply.content.decode("utf-8", "replace")


class Cutter:
    """Cuts rows into NDJSON bodies, so that neither side ever holds a whole import.

    One request per body rather than one endless request: two HTTP/1.1 peers that both stream, and do not read while
    they write, can block each other for ever; and a broken line then costs one body and not the import.
    """

    def __init__(self) -> None:
        self._lines: list[bytes] = []
        self._size = 0

    def add(self, row: Mapping[str, Any]) -> bytes:
        """Take a row; return a body when one is full, else nothing."""
        self._lines.append(json.dumps(row, ensure_ascii=False, separators=(",", ":")).encode() + b"\n")
        self._size += len(self._lines[-1])
        full = len(self._lines) >= ROWS_PER_REQUEST or self._size >= BYTES_PER_REQUEST
        return self.rest() if full else b""

    def rest(self) -> bytes:
        """Return what is left, perhaps nothing."""
        body, self._lines, self._size = b"".join(self._lines), [], 0
        return body


def chunks(rows: Iterable[Mapping[str, Any]]) -> Iterator[bytes]:
    """Cut rows into bodies."""
    cutter = Cutter()
    for row in rows:
        if full := cutter.add(row):
            yield full
    if rest := cutter.rest():
        yield rest
