"""Entries: what the log says about one act, and the canonical bytes that say it.

An entry names who did what, for which purpose, to which *fields*; never a value or its hash, a search term, a natural
identifier or free text. The subject appears as HMAC(per-subject log key, entry id): another 32 bytes in each
entry, so that nobody without the key relates two of them, and nobody at all once the key is erased.

The bytes are built from checked parts, in key order, and are canonical by construction (RFC 8785, strict profile of
`audit.grammar`). Parts come from small closed sets and are remembered.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from functools import lru_cache
from typing import Any, Final, Self

from audit.commitment import subject_commitment
from audit.errors import InvalidEntry
from audit.grammar import MAX_COUNT, MAX_ENTRY, SCHEMA_VERSION, TOKEN, read_form
from audit.pseudonym import MARK_SIZE, pseudonym

ID_SIZE: Final = 16
LOG_KEY_SIZE: Final = 32
_DIGEST_SIZE: Final = 32
_REQUEST_SIZES: Final = (16, 32)
_LAST_SECOND: Final = 253_402_300_799  # 9999-12-31T23:59:59Z
_TOKEN = re.compile(TOKEN)


class Act(StrEnum):
    """The closed list of events, `object.past_verb`. `code` is stable, for alert rules and exports.

    A code is never given to another event. Letters: S subjects, F fields, C consent, T tokens, A authentication,
    I identities of systems and officers, G budgets, N events told to systems, K the keys and their seal, E erasures,
    H holds, P policies, X break-glass, B bulk import, D requests of data subjects,
    R filters and plans of reports, L log and deployment.
    """

    code: str

    def __new__(cls, value: str, code: str = "") -> Self:
        """Build a member whose value is the event name alone."""
        member = str.__new__(cls, value)
        member._value_ = value
        member.code = code
        return member

    SUBJECT_REGISTERED = "subject.registered", "S01"
    SUBJECT_SEARCHED = "subject.searched", "S02"
    SUBJECT_LISTED = "subject.listed", "S03"
    SUBJECT_EXPORTED = "subject.exported", "S04"
    SUBJECT_ERASED = "subject.erased", "S05"
    SUBJECT_RESTRICTED = "subject.restricted", "S06"
    REFERENCE_ASSIGNED = "reference.assigned", "S07"
    REFERENCE_READ = "reference.read", "S08"
    REFERENCE_ROTATED = "reference.rotated", "S09"
    REFERENCE_JOINED = "reference.joined", "S10"

    FIELD_WRITTEN = "field.written", "F01"
    FIELD_DISCLOSED = "field.disclosed", "F02"
    FIELD_DENIED = "field.denied", "F03"
    FIELD_DELETED = "field.deleted", "F04"
    FIELD_EVALUATED = "field.evaluated", "F05"

    CONSENT_GIVEN = "consent.given", "C01"
    CONSENT_WITHDRAWN = "consent.withdrawn", "C02"
    CONSENT_OBJECTED = "consent.objected", "C03"
    CONSENT_OBJECTION_LIFTED = "consent.objection_lifted", "C04"
    CONSENT_REQUESTED = "consent.requested", "C05"
    CONSENT_REFUSED = "consent.refused", "C06"
    CONSENT_RENEWED = "consent.renewed", "C07"
    CONSENT_EXPIRED = "consent.expired", "C08"
    CONSENT_INVALIDATED = "consent.invalidated", "C09"
    BASIS_ESTABLISHED = "basis.established", "C10"
    BASIS_ENDED = "basis.ended", "C11"
    GUARDIAN_LINKED = "guardian.linked", "C12"
    GUARDIAN_ENDED = "guardian.ended", "C13"
    GUARDIAN_MATURED = "guardian.matured", "C14"
    GUARDIAN_LISTED = "guardian.listed", "C15"
    CONTACT_NOTED = "contact.noted", "C16"
    CONSENT_EXPORTED = "consent.exported", "C17"
    CONTACT_EVALUATED = "contact.evaluated", "C18"

    TOKEN_ISSUED = "token.issued", "T01"
    TOKEN_REFUSED = "token.refused", "T02"
    TOKEN_REVOKED = "token.revoked", "T03"
    TOKEN_INTROSPECTED = "token.introspected", "T04"
    TOKEN_EXCHANGED = "token.exchanged", "T05"
    ATTESTATION_ISSUED = "attestation.issued", "T06"

    JOIN_PROPOSED = "join.proposed", "S11"
    JOIN_APPROVED = "join.approved", "S12"
    JOIN_WITHDRAWN = "join.withdrawn", "S13"
    JOIN_EXPIRED = "join.expired", "S15"

    SUBJECT_RESTRICTION_LIFTED = "subject.restriction_lifted", "S14"

    AUTH_SUCCEEDED = "auth.succeeded", "A01"
    AUTH_FAILED = "auth.failed", "A02"
    AUTH_ENDED = "auth.ended", "A03"

    SYSTEM_CREATED = "system.created", "I01"
    SYSTEM_DISABLED = "system.disabled", "I02"
    SYSTEM_KEY_ROTATED = "system.key_rotated", "I03"
    SYSTEM_CHANGED = "system.changed", "I04"
    SYSTEM_FROZEN = "system.frozen", "I09"
    EVENT_ACKNOWLEDGED = "event.acknowledged", "N01"

    BUDGET_PROPOSED = "budget.proposed", "G01"
    BUDGET_RAISED = "budget.raised", "G02"
    BUDGET_WITHDRAWN = "budget.withdrawn", "G03"
    BUDGET_LOWERED = "budget.lowered", "G04"
    BUDGET_EXPIRED = "budget.expired", "G05"

    OFFICER_CREATED = "officer.created", "I05"
    OFFICER_ROLE_CHANGED = "officer.role_changed", "I06"
    OFFICER_KEY_REGISTERED = "officer.key_registered", "I10"
    OFFICER_DISABLED = "officer.disabled", "I11"
    OFFICER_INVITED = "officer.invited", "I12"
    OFFICER_CREDENTIAL_ADDED = "officer.credential_added", "I13"
    OFFICER_CREDENTIAL_REMOVED = "officer.credential_removed", "I14"

    KEYS_SEALED = "keys.sealed", "K01"
    KEYS_UNSEALED = "keys.unsealed", "K02"
    KEYS_SECRET_OFFERED = "keys.secret_offered", "K03"
    KEYS_EPOCH_ENDED = "keys.epoch_ended", "K04"
    KEYS_REKEYED = "keys.rekeyed", "K05"
    KEYS_RESEALED = "keys.resealed", "K06"
    KEYS_GROWN = "keys.grown", "K07"
    KEYS_SIGNER_DRAWN = "keys.signer_drawn", "K20"

    ERASURE_REQUESTED = "erasure.requested", "E01"
    ERASURE_PARTIAL = "erasure.partial", "E02"
    CATEGORY_ERASED = "category.erased", "E03"
    FIELD_ERASED = "field.erased", "E04"
    HOLD_PLACED = "hold.placed", "H01"
    HOLD_RELEASED = "hold.released", "H02"

    REQUEST_RECEIVED = "request.received", "D01"
    REQUEST_ADVANCED = "request.advanced", "D02"
    REQUEST_REFUSED = "request.refused", "D03"
    REQUEST_WITHDRAWN = "request.withdrawn", "D04"
    REQUEST_CLOSED = "request.closed", "D05"
    REQUEST_DENIED = "request.denied", "D06"
    REQUEST_VIEWED = "request.viewed", "D07"
    REQUEST_LISTED = "request.listed", "D08"
    REQUEST_CODE_SENT = "request.code_sent", "D09"
    REQUEST_CODE_CHECKED = "request.code_checked", "D10"
    REQUEST_LETTER_SENT = "request.letter_sent", "D11"

    POLICY_LOADED = "policy.loaded", "P01"
    POLICY_CHANGED = "policy.changed", "P02"
    POLICY_PROPOSED = "policy.proposed", "P03"
    POLICY_SIGNED = "policy.signed", "P04"
    POLICY_ACTIVATED = "policy.activated", "P05"
    POLICY_REFUSED = "policy.refused", "P06"
    CROWD_COUNTED = "crowd.counted", "P07"

    BREAKGLASS_ASKED = "breakglass.asked", "X01"
    BREAKGLASS_APPROVED = "breakglass.approved", "X02"
    BREAKGLASS_REFUSED = "breakglass.refused", "X03"
    BREAKGLASS_DISCLOSED = "breakglass.disclosed", "X04"
    BREAKGLASS_DENIED = "breakglass.denied", "X05"
    BREAKGLASS_REVIEWED = "breakglass.reviewed", "X06"
    BREAKGLASS_SHOWN = "breakglass.shown", "X07"
    BREAKGLASS_EXPIRED = "breakglass.expired", "X08"

    REPORT_SAVED = "report.saved", "R01"
    REPORT_DROPPED = "report.dropped", "R02"
    ALERT_REVIEWED = "alert.reviewed", "R03"

    IMPORT_STARTED = "import.started", "B01"
    IMPORT_COMPLETED = "import.completed", "B02"

    DEPLOYMENT_INITIALISED = "deployment.initialised", "L01"
    LOG_STARTED = "log.started", "L02"
    LOG_HEARTBEAT = "log.heartbeat", "L03"
    LOG_CLOCK = "log.clock", "L04"
    AUDIT_VIEWED = "audit.viewed", "L05"
    AUDIT_EXPORTED = "audit.exported", "L06"
    LOG_SUCCESSION = "log.succession", "L07"
    DEPLOYMENT_BACKED_UP = "deployment.backed_up", "L08"
    DEPLOYMENT_RESTORED = "deployment.restored", "L09"
    ERASURE_CARRIED = "erasure.carried", "L10"
    LOG_QUORUM_LOST = "log.quorum_lost", "L11"
    LOG_QUORUM_REGAINED = "log.quorum_regained", "L12"
    LOG_SCRUBBED = "log.scrubbed", "L13"
    LOG_KEY_ADDED = "log.key_added", "L14"
    LOG_KEY_RETIRED = "log.key_retired", "L15"


class Outcome(StrEnum):
    """How the act ended. `error` follows an `allow` that could not be carried out."""

    ALLOW = "allow"
    DENY = "deny"
    ERROR = "error"


class ActorKind(StrEnum):
    """Who acted: a brand's system (an OAuth client), an officer, or the vault's own process."""

    SYSTEM = "system"
    OFFICER = "officer"
    VAULT = "vault"


@dataclass(frozen=True, slots=True)
class Actor:
    """An opaque, stable id of who acted, and the client through which, if another."""

    kind: ActorKind
    id: str
    via: str | None = None


@dataclass(frozen=True, slots=True)
class Asker:
    """Behind whom on the brand's side an act stands; an entry bears pseudonyms of its own of both.

    `staff`: keyed hash of the brand's word for its member of staff (16 bytes); `token`: SHA-256 of the token (32 bytes).
    """

    brand: str
    staff: bytes = field(default=b"", repr=False)
    token: bytes = field(default=b"", repr=False)


UNKNOWN: Final = Actor(ActorKind.VAULT, "unknown")
"""Whoever could not be told: an id that was not recognised is not repeated."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One act. Ids, times and the subject's pseudonym are added by `encode`.

    `fld` names fields of the catalogue, with a level where one was given out (`phone:masked`). `pol` names the rules
    that decided. `n` counts records of a bulk act. `req` is a keyed hash of the external request id (16 or 32 bytes).
    `com` is the commitment to the subject's log key, logged at registration and at erasure; in `log.succession` it is
    the root of the log before. Nowhere else. `asker` is who stood behind a brand's system. `detail`
    (JSON values) goes beside the entry of one person, sealed; about nobody it is not kept.
    """

    act: Act
    out: Outcome
    actor: Actor
    fld: tuple[str, ...] = ()
    pur: str = ""
    bas: str = ""
    pol: tuple[str, ...] = ()
    n: int | None = None
    req: bytes | None = None
    com: bytes | None = None
    asker: Asker | None = None
    detail: Mapping[str, Any] | None = field(default=None, repr=False, hash=False)


def sref(log_key: bytes, entry_id: bytes) -> bytes:
    """Return the subject's pseudonym in one entry, 32 bytes, by the subject's 32-byte log key."""
    _sized("log_key", log_key, LOG_KEY_SIZE)
    _sized("id", entry_id, ID_SIZE)
    return pseudonym(log_key, entry_id)


def commitment(log_key: bytes) -> bytes:
    """Return the commitment to a subject's log key, 32 bytes (`audit.commitment`)."""
    _sized("log_key", log_key, LOG_KEY_SIZE)
    return subject_commitment(log_key)


def encode(
    entry: Entry,
    entry_id: bytes,
    t: int,
    sref: bytes | None,
    *,
    dc: bytes | None = None,
    stf: bytes | None = None,
    tok: bytes | None = None,
) -> bytes:
    """Return the canonical bytes of an entry, at most 4 KiB. `t` is whole UTC seconds, `entry_id` 16 random bytes.

    Random, not counted: it blinds the leaf hash of an entry that could otherwise be guessed. `dc` commits to a detail kept
    beside it, `stf` and `tok` stand for staff and token (`audit.pseudonym`). Raises `InvalidEntry`.
    """
    _sized("id", entry_id, ID_SIZE)
    if entry.com is not None and entry.act not in _COMMITTING:
        raise InvalidEntry("com: belongs to registration and erasure only")
    actor = entry.actor
    body = (
        f'{{"act":"{_member(Act, "act", entry.act)}"'
        f',"actor":{_actor(actor.kind, actor.id, actor.via)}'
        f"{_text('bas', entry.bas)}"
        f"{_digest('com', entry.com)}"
        f"{_digest('dc', dc)}"
        f"{_names('fld', entry.fld)}"
        f',"id":"{entry_id.hex()}"'
        f"{_count(entry.n)}"
        f',"out":"{_member(Outcome, "out", entry.out)}"'
        f"{_names('pol', entry.pol)}"
        f"{_text('pur', entry.pur)}"
        f"{_request(entry.req)}"
        f"{_digest('sref', sref)}"
        f"{_digest('stf', stf, MARK_SIZE)}"
        f',"t":"{_time(t)}"'
        f"{_digest('tok', tok, MARK_SIZE)}"
        f',"v":{1 if dc is stf is tok is None else SCHEMA_VERSION}}}'
    ).encode("ascii")
    if len(body) > MAX_ENTRY:
        raise InvalidEntry("the entry is longer than 4 KiB")
    return body


def decode(body: bytes) -> dict[str, Any]:
    """Read an entry's bytes back; refuses everything that `encode` could not have written."""
    form = read_form(body)
    if form is None:
        raise InvalidEntry("not the canonical form of an entry")
    content: dict[str, Any] = json.loads(body)
    try:
        Act(content["act"])
        datetime.fromisoformat(content["t"])
    except ValueError:
        raise InvalidEntry("an act or a date that does not exist") from None
    if "com" in content and content["act"] not in _COMMITTING:
        raise InvalidEntry("com: belongs to registration and erasure only")
    return content


_COMMITTING = frozenset({Act.SUBJECT_REGISTERED, Act.SUBJECT_ERASED, Act.LOG_SUCCESSION})


@lru_cache(maxsize=256)
def _member(kind: type[StrEnum], key: str, value: str) -> str:
    try:
        return kind(value).value
    except ValueError:
        raise InvalidEntry(f"{key}: not of the closed list") from None


@lru_cache(maxsize=1024)
def _actor(kind: str, identifier: str, via: str | None) -> str:
    through = "" if via is None else f',"via":"{_token("actor", via)}"'
    return f'{{"id":"{_token("actor", identifier)}","k":"{_member(ActorKind, "actor", kind)}"{through}}}'


@lru_cache(maxsize=1024)
def _text(key: str, value: str) -> str:
    return f',"{key}":"{_token(key, value)}"' if value else ""


@lru_cache(maxsize=1024)
def _names(key: str, items: tuple[str, ...]) -> str:
    if not items:
        return ""
    quoted = [f'"{_token(key, item)}"' for item in sorted(set(items))]
    return f',"{key}":[{",".join(quoted)}]'


@lru_cache(maxsize=16)
def _time(t: int) -> str:
    if not 0 <= t <= _LAST_SECOND:
        raise InvalidEntry("t: out of range")
    return datetime.fromtimestamp(t, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _token(key: str, value: str) -> str:
    if not _TOKEN.fullmatch(value):
        raise InvalidEntry(f"{key}: not a token")
    return value


def _digest(key: str, value: bytes | None, size: int = _DIGEST_SIZE) -> str:
    if value is None:
        return ""
    _sized(key, value, size)
    return f',"{key}":"{value.hex()}"'


def _request(value: bytes | None) -> str:
    if value is None:
        return ""
    if len(value) not in _REQUEST_SIZES:
        raise InvalidEntry("req: 16 or 32 bytes")
    return f',"req":"{value.hex()}"'


def _count(value: int | None) -> str:
    if value is None:
        return ""
    if type(value) is not int or not 0 <= value <= MAX_COUNT:
        raise InvalidEntry("n: not a count")
    return f',"n":{value}'


def _sized(key: str, value: bytes, size: int) -> None:
    if len(value) != size:
        raise InvalidEntry(f"{key}: {size} bytes")
