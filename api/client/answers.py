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
class SubjectRecord:
    """What a brand may know of a subject without a disclosure: reference, version, and which fields hold something."""

    reference: str
    etag: str
    body: Mapping[str, Any] = field(repr=False)


@dataclass(frozen=True, slots=True)
class Candidate:
    """One search hit: this brand's reference, and masked hints to tell two people apart."""

    reference: str
    hints: Mapping[str, Any] = field(repr=False)


@dataclass(frozen=True, slots=True)
class ConsentRecord:
    """A consent event as the server recorded it: the evidence's id and the state that now holds."""

    purpose: str
    state: str
    body: Mapping[str, Any] = field(repr=False)


@dataclass(frozen=True, slots=True)
class Disclosed:
    """One field's answer. `value` is present only when `level` is not None; a list field's value is a list."""

    name: str
    level: str | None
    value: Any = field(repr=False)
    policies: tuple[str, ...] = ()
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Disclosure:
    """One act of giving values out about one subject. `receipt` is a signed note: keep it as evidence.

    When the server could not serve this subject (bulk only), `error` is its stable code and `fields` is empty.
    """

    subject: str = field(repr=False)
    fields: Mapping[str, Disclosed] = field(default_factory=dict)
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

    ref: str
    status: str
    references: Mapping[str, str] = field(default_factory=dict, repr=False)
    code: str = ""
    fields: Mapping[str, str] = field(default_factory=dict)


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
    """Read a subject answer; the version travels in `ETag`."""
    body = json_object(reply.content)
    return SubjectRecord(str(member(body, "reference")), reply.headers.get("etag", ""), body)


def read_candidates(reply: Reply) -> tuple[Candidate, ...]:
    """Read a search answer: at most three candidates."""
    listed = member(json_object(reply.content), "candidates")
    return tuple(Candidate(str(member(item, "reference")), item.get("hints", {})) for item in listed)


def read_consent(reply: Reply) -> ConsentRecord:
    """Read the answer to giving or withdrawing consent."""
    body = json_object(reply.content)
    return ConsentRecord(str(member(body, "purpose")), str(member(body, "state")), body)


def read_disclosure(body: Mapping[str, Any]) -> Disclosure:
    """Read one disclosure, single or from a bulk answer."""
    if body.get("error"):
        return Disclosure(str(body.get("subject", "")), error=str(body["error"]))
    fields = [_disclosed(item) for item in member(body, "fields")]
    return Disclosure(str(body.get("subject", "")), {item.name: item for item in fields}, str(member(body, "receipt")))


def _disclosed(item: Mapping[str, Any]) -> Disclosed:
    level = None if item.get("decision") == "refused" else str(member(item, "level"))
    policies = tuple(map(str, item.get("policies", ())))
    return Disclosed(str(member(item, "name")), level, item.get("value"), policies, str(item.get("reason", "")))


def read_row(body: Mapping[str, Any]) -> RowResult:
    """Read one line of an import's answer."""
    fields = {str(item["name"]): str(item["reason"]) for item in body.get("fields", ())}
    references = {str(brand): str(reference) for brand, reference in body.get("references", {}).items()}
    return RowResult(
        str(member(body, "ref")), str(member(body, "status")), references, str(body.get("code", "")), fields
    )


def wanted(fields: Sequence[Want | tuple[str, ...]]) -> list[dict[str, str]]:
    """Shape the wanted fields; tuples are `(name, level)` or `(name, "predicate", predicate)`."""
    return [(item if isinstance(item, Want) else Want(*item)).as_json() for item in fields]
