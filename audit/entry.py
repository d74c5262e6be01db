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
from typing import Any, Final

from audit.acts import Act
from audit.commitment import subject_commitment
from audit.errors import InvalidEntry
from audit.grammar import MAX_COUNT, MAX_ENTRY, SCHEMA_VERSION, TOKEN, read_form
from audit.pseudonym import MARK_SIZE, pseudonym

__all__ = [
    "ID_SIZE",
    "LOG_KEY_SIZE",
    "UNKNOWN",
    "Act",
    "Actor",
    "ActorKind",
    "Asker",
    "Entry",
    "Outcome",
    "commitment",
    "decode",
    "encode",
    "sref",
]

ID_SIZE: Final = 16
LOG_KEY_SIZE: Final = 32
_DIGEST_SIZE: Final = 32
_REQUEST_SIZES: Final = (16, 32)
_LAST_SECOND: Final = 253_402_300_799  # 9999-12-31T23:59:59Z
_TOKEN = re.compile(TOKEN)


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
class Asker:
    """Behind whom on the brand's side an act stands; an entry bears pseudonyms of its own of both.

    `staff`: keyed hash of the brand's word for its member of staff (16 bytes); `token`: SHA-256 of the token (32 bytes).
    """

    brand: str
    staff: bytes = field(default=b"", repr=False)
    token: bytes = field(default=b"", repr=False)


@dataclass(frozen=True, slots=True)
class Actor:
    """An opaque, stable id of who acted, and the client through which, if another.

    `asker` is who stood behind a brand's system this time: the same actor acts for many, so it makes no other one of it.
    """

    kind: ActorKind
    id: str
    via: str | None = None
    asker: Asker | None = field(default=None, repr=False, compare=False)


UNKNOWN: Final = Actor(ActorKind.VAULT, "unknown")
"""Whoever could not be told: an id that was not recognised is not repeated."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One act. Ids, times and the subject's pseudonym are added by `encode`.

    `fld` names fields of the catalogue, with a level where one was given out (`phone:masked`). `pol` names the rules
    that decided. `n` counts records of a bulk act. `req` is a keyed hash of the external request id (16 or 32 bytes).
    `com` is the commitment to the subject's log key, logged at registration, at erasure, and again before that is pruned;
    in `log.succession` it is the root of the log before. Nowhere else. `detail` (JSON values) goes beside the entry of one
    person, sealed; about nobody it is not kept.
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


_COMMITTING = frozenset({Act.SUBJECT_REGISTERED, Act.SUBJECT_ERASED, Act.ERASURE_CARRIED, Act.LOG_SUCCESSION})


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
