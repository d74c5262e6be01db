"""Typed answers. Values, tokens and hints are kept out of every `repr`, so that a stray log line shows none."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from api.client.errors import EcrinProtocolError
from api.client.wire import Reply, json_object

DISCLOSURE_TYPE = "urn:ecrin:disclosure:v1"


@dataclass(frozen=True, slots=True)
class Want:
    """One field at one level: presence, predicate, generalised, masked or raw. `predicate` names a catalogue one."""

    name: str
    level: str
    predicate: str = ""

    def as_json(self) -> dict[str, str]:
        """Shape it as in `authorization_details`."""
        shaped = {"name": self.name, "level": self.level}
        return {**shaped, "predicate": self.predicate} if self.predicate else shaped


@dataclass(frozen=True, slots=True)
class Granted:
    """What a token allows for one field: `level` is None when refused, and then `reason` says why."""

    name: str
    requested: str
    level: str | None
    policies: tuple[str, ...] = ()
    reason: str = ""


@dataclass(frozen=True, slots=True)
class DisclosureToken:
    """A bearer of nothing but its own hash: opaque, bound to this client's DPoP key, good for `max_uses` looks."""

    secret: str = field(repr=False)
    purpose: str
    subjects: tuple[str, ...] = field(repr=False)
    expires_in: int  # seconds from issue
    fields: tuple[Granted, ...]
    basis: str = ""


@dataclass(frozen=True, slots=True)
class RequestStanding:
    """Where a data-subject request stands. `status` and `reason` are the Data Rights Protocol's, `due` UTC seconds."""

    request: str
    right: str
    state: str
    status: str
    reason: str
    due: int
    outcome: str
    duplicate_of: str


@dataclass(frozen=True, slots=True)
class SubjectRecord:
    """A subject as its own brand may always know it. `etag` goes into the next `update_subject`."""

    reference: str = field(repr=False)
    version: int
    etag: str
    state: str


@dataclass(frozen=True, slots=True)
class Candidate:
    """One search hit: this brand's reference, and masked hints to tell two people apart."""

    reference: str = field(repr=False)
    hints: Mapping[str, Any] = field(default_factory=dict, repr=False)


@dataclass(frozen=True, slots=True)
class Found:
    """A search's answer: at most three candidates; `more` says that others matched, and that asking for more helps."""

    candidates: tuple[Candidate, ...]
    more: bool


@dataclass(frozen=True, slots=True)
class ConsentRecord:
    """A consent event as the server recorded it: the event's id and the state that now holds."""

    event: str
    purpose: str
    state: str


@dataclass(frozen=True, slots=True)
class ConsentHistory:
    """A person's record of consent (JSON, ISO/IEC TS 27560) as the text that was signed, and its receipt: keep both.

    `receipts.verify_consent_record` checks them with the deployment's key and nothing else.
    """

    record: str = field(repr=False)
    receipt: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class ContactGuidance:
    """Whether a person may be contacted now; if not, `why`. `mind` are wishes to keep; never an address."""

    allowed: bool
    why: tuple[str, ...]
    language: str = field(repr=False)
    mind: tuple[str, ...] = field(repr=False)


@dataclass(frozen=True, slots=True)
class Disclosed:
    """One field's answer: `granted`, `narrowed` to a lower level, `refused`, or `unreadable` (a failed integrity check).

    `value` is present only when `level` is not None; a list field's value is a list.
    """

    name: str
    decision: str
    level: str | None
    value: Any = field(repr=False)
    policies: tuple[str, ...] = ()
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Disclosure:
    """One act of giving values out about one subject. `receipt` is a signed note: keep it as evidence.

    The disclosures of one bulk answer share a receipt, which promises the entry of each.
    `entry` is the id of the log entry that records it. When the server could not serve this subject (bulk only),
    `error` is its stable code and `fields` is empty.
    """

    reference: str = field(repr=False)
    fields: Mapping[str, Disclosed] = field(default_factory=dict)
    entry: str = ""
    receipt: str = field(default="", repr=False)
    error: str = ""

    def value(self, name: str) -> Any:
        """Return the disclosed value of a field; `KeyError` when it was not asked or not granted."""
        answer = self.fields[name]
        if answer.level is None:
            raise KeyError(name)
        return answer.value


@dataclass(frozen=True, slots=True)
class RowResult:
    """What became of one import row, named by the caller's own `ref`. `references` maps brand to reference."""

    ref: str = field(repr=False)
    status: str
    references: Mapping[str, str] = field(default_factory=dict, repr=False)
    code: str = ""
    fields: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class VerifierKeys:
    """Verifier keys (C2SP signed notes) of the audit log and of receipts, and the log's name.

    `log` is the log's newest key, `logs` all that sign now: two while a new one is brought in, newest first.
    """

    origin: str
    log: str
    receipt: str
    logs: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Rotated:
    """A brand's new reference to somebody; `until` (UTC seconds) is when the old one stops resolving, None at once."""

    reference: str = field(repr=False)
    until: int | None


def read_rotated(reply: Reply) -> Rotated:
    """Read the answer to a rotation."""
    body = json_object(reply.content)
    until = member(body, "until")
    return Rotated(str(member(body, "reference")), None if until is None else int(until))


@dataclass(frozen=True, slots=True)
class IssuedAttestation:
    """An attestation to hold: `text` is the SD-JWT with all its claims, to be shown in part (`attestations.present`)."""

    text: str = field(repr=False)
    claims: tuple[str, ...]
    expires_at: int  # UTC seconds
    entry: str
    receipt: str = field(repr=False)


def read_attestation(reply: Reply) -> IssuedAttestation:
    """Read an attestation answer."""
    body = json_object(reply.content)
    text, expires = str(member(body, "attestation")), int(member(body, "expires_at"))
    claims = tuple(map(str, member(body, "claims")))
    return IssuedAttestation(text, claims, expires, str(member(body, "entry")), str(member(body, "receipt")))


def member(body: Mapping[str, Any], name: str) -> Any:
    """Take a promised member of an answer, or say that the answer broke its promise."""
    try:
        return body[name]
    except KeyError:
        raise EcrinProtocolError(f"the answer lacks {name!r}") from None


def read_token(reply: Reply) -> DisclosureToken:
    """Read a token answer that grants one disclosure entry (RFC 9396 §7)."""
    body = json_object(reply.content)
    details = member(body, "authorization_details")
    if not isinstance(details, list) or len(details) != 1 or details[0].get("type") != DISCLOSURE_TYPE:
        raise EcrinProtocolError("the answer grants something else than one disclosure")
    detail = details[0]
    subjects = detail.get("subjects") or [member(detail, "subject")]
    return DisclosureToken(
        str(member(body, "access_token")),
        str(member(detail, "purpose")),
        tuple(map(str, subjects)),
        int(member(body, "expires_in")),
        tuple(map(_granted, member(detail, "fields"))),
        str(detail.get("basis", "")),
    )


def _granted(item: Mapping[str, Any]) -> Granted:
    granted = item.get("decision", "granted") != "refused"
    level = str(member(item, "level"))
    policies = tuple(map(str, item.get("policies", ())))
    name, requested = str(member(item, "name")), str(item.get("requested", level))
    return Granted(name, requested, level if granted else None, policies, str(item.get("reason", "")))


def read_subject(reply: Reply) -> SubjectRecord:
    """Read a subject answer; the version for `If-Match` travels in `ETag`."""
    body = json_object(reply.content)
    version, etag = int(member(body, "version")), reply.headers.get("etag", "")
    return SubjectRecord(str(member(body, "reference")), version, etag, str(body.get("state", "")))


def read_found(reply: Reply) -> Found:
    """Read a search answer."""
    body = json_object(reply.content)
    listed = member(body, "candidates")
    candidates = tuple(Candidate(str(member(item, "reference")), item.get("hints") or {}) for item in listed)
    return Found(candidates, bool(body.get("more")))


def read_consent(body: Mapping[str, Any]) -> ConsentRecord:
    """Read the answer to an event of a consent."""
    return ConsentRecord(*(str(member(body, name)) for name in ("event", "purpose", "state")))


def read_standing(body: Mapping[str, Any]) -> RequestStanding:
    """Read where a request stands."""
    request, right, state, status = (str(member(body, name)) for name in ("request", "right", "state", "status"))
    reason, outcome, first = (str(member(body, name) or "") for name in ("reason", "outcome", "duplicate_of"))
    return RequestStanding(request, right, state, status, reason, int(member(body, "due")), outcome, first)


def read_guidance(reply: Reply) -> ContactGuidance:
    """Read the answer to "may I contact"."""
    body = json_object(reply.content)
    why, mind = (tuple(map(str, member(body, name))) for name in ("why", "mind"))
    return ContactGuidance(member(body, "allowed") is True, why, str(member(body, "language")), mind)


def read_disclosures(body: Mapping[str, Any]) -> list[Disclosure]:
    """Read a bulk answer."""
    receipt = str(member(body, "receipt") or "")
    return [
        Disclosure(str(member(item, "reference")), error=str(item["error"]))
        if item.get("error")
        else read_disclosure({**item, "receipt": receipt})
        for item in member(body, "disclosures")
    ]


def read_disclosure(body: Mapping[str, Any]) -> Disclosure:
    """Read one disclosure."""
    reference = str(member(body, "reference"))
    fields = {item.name: item for item in map(_disclosed, member(body, "fields"))}
    return Disclosure(reference, fields, str(member(body, "entry")), str(member(body, "receipt")))


def _disclosed(item: Mapping[str, Any]) -> Disclosed:
    decision, level = str(member(item, "decision")), item.get("level")
    policies, reason = tuple(map(str, item.get("policies") or ())), str(item.get("reason") or "")
    level = None if level is None else str(level)
    return Disclosed(str(member(item, "name")), decision, level, item.get("value"), policies, reason)


def read_row(body: Mapping[str, Any]) -> RowResult:
    """Read one line of an import's answer."""
    fields = {str(item["name"]): str(item["reason"]) for item in body.get("fields") or ()}
    references = {str(brand): str(reference) for brand, reference in (body.get("references") or {}).items()}
    status, code = str(member(body, "status")), str(body.get("code") or "")
    return RowResult(str(member(body, "ref")), status, references, code, fields)


def read_keys(reply: Reply) -> VerifierKeys:
    """Read the published verifier keys."""
    body = json_object(reply.content)
    logs = body.get("logs", [])
    if not isinstance(logs, list) or not all(isinstance(each, str) for each in logs):
        raise EcrinProtocolError("the log's keys are not a list of keys")
    origin, log, receipt = (str(member(body, name)) for name in ("origin", "log", "receipt"))
    return VerifierKeys(origin, log, receipt, tuple(logs))


def wanted(fields: Sequence[Want | tuple[str, ...]]) -> list[dict[str, str]]:
    """Shape the wanted fields; tuples are `(name, level)` or `(name, "predicate", predicate)`."""
    return [(item if isinstance(item, Want) else Want(*item)).as_json() for item in fields]
