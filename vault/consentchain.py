"""The chain of consent events per subject and brand: canonical bytes, hashes, and the check of a stored chain.

Each event carries the hash of the one before it at the same brand, so that none can be changed, dropped or slipped in
between without every later hash. A chain alone cannot show that its *end* was cut off; the projection does: it counts
the events of each purpose and is what folding them gives. The audit log holds one entry per event besides.

Hashed bytes: the label `ecrin/consent/v2`, then the columns of `HASHED[2]` in that order, each behind its 2-byte
big-endian length; text as UTF-8, whole numbers and yes or no as 8 bytes big-endian, an absent `valid_until` as no
bytes. The first event's `previous_hash` is 32 zero bytes. Records of the first form have the label `ecrin/consent/v1`
and the columns of `HASHED[1]`; in what they do not hash they must hold nothing.
"""

from collections.abc import Iterable, Mapping
from hashlib import sha256
from typing import Any, Final, Protocol, TypedDict

from sqlalchemy import Connection, bindparam, select

from vault.consentfold import Projected, fold
from vault.errors import IntegrityFailure
from vault.store.keysets import padded
from vault.store.tables import metadata
from vault.unit import UnitOfWork

RECORD: Final = 2  # what is written now
LABELS: Final = {1: b"ecrin/consent/v1", 2: b"ecrin/consent/v2"}
GENESIS: Final = bytes(32)

_EVENT = metadata.tables["consent_event"]
_STATE = metadata.tables["consent_state"]

_FIRST: Final = (
    "id",
    "subject_id",
    "brand",
    "purpose",
    "purpose_version",
    "state",
    "basis",
    "jurisdiction",
    "notice",
    "notice_version",
    "notice_language",
    "notice_hash",
    "channel",
    "place",
    "collector",
    "system_id",
    "event_at",
    "recorded_at",
    "valid_until",
)
_MORE: Final = ("method", "explicit", "actor", "source", "evidence_hash", "recipients", "points")
HASHED: Final = {1: (*_FIRST, "previous_hash"), 2: (*_FIRST, *_MORE, "previous_hash")}
_NOTHING: Final = ("", False, "self", "", bytes(32), "", "")  # of `_MORE`, in records that do not hash it

_LINKS = select(_EVENT.c.subject_id, _EVENT.c.brand, _EVENT.c.previous_hash, _EVENT.c.hash).where(
    _EVENT.c.subject_id.in_(bindparam("subjects", expanding=True)),
)
_CHAIN = select(_EVENT).where(_EVENT.c.subject_id == bindparam("subject"), _EVENT.c.brand == bindparam("brand"))
_PROJECTION = select(
    _STATE.c.purpose,
    _STATE.c.state,
    _STATE.c.since_at,
    _STATE.c.until_at,
    _STATE.c.epoch,
    _STATE.c.event_id,
    _STATE.c.notice_version,
    _STATE.c.points,
).where(_STATE.c.subject_id == bindparam("subject"), _STATE.c.brand == bindparam("brand"))


class Connected(Protocol):
    """Whoever has a connection in a transaction: a unit of work, or a report's snapshot."""

    @property
    def conn(self) -> Connection:
        """The connection."""
        ...


class EventRow(TypedDict):
    """A row of `consent_event`."""

    id: bytes
    shard: int
    subject_id: bytes
    brand: str
    purpose: str
    purpose_version: int
    state: str
    basis: str
    jurisdiction: str
    notice: str
    notice_version: int
    notice_language: str
    notice_hash: bytes
    channel: str
    place: str
    collector: str
    system_id: str
    event_at: int
    recorded_at: int
    valid_until: int | None
    record: int
    method: str
    explicit: bool
    actor: str
    source: str
    evidence_hash: bytes
    recipients: str
    points: str
    previous_hash: bytes
    hash: bytes


def event_hash(event: Mapping[str, Any]) -> bytes:
    """Hash one event by its record's form: 32 bytes.

    Length prefixes keep two different events from ever giving the same bytes, labels two forms. Raises
    `IntegrityFailure` for a form that there is not.
    """
    form = event["record"]
    if form not in LABELS:
        raise IntegrityFailure
    parts = [LABELS[form]]
    for name in HASHED[form]:
        value = event[name]
        if isinstance(value, str):
            content = value.encode()
        elif isinstance(value, int):
            content = value.to_bytes(8)
        else:
            content = bytes(value) if value is not None else b""
        parts += (len(content).to_bytes(2), content)
    return sha256(b"".join(parts)).digest()


def heads(uow: UnitOfWork, subjects: Iterable[bytes]) -> dict[tuple[bytes, str], bytes]:
    """Return the last hash of each (subject, brand) chain: the one that no other event follows.

    Raises `IntegrityFailure` for a chain with two ends: nothing may be added to it until somebody has looked.
    """
    ends: dict[tuple[bytes, str], set[bytes]] = {}
    followed: set[bytes] = set()
    for subject, brand, previous, own in uow.conn.execute(_LINKS, {"subjects": padded(list(subjects))}):
        ends.setdefault((subject, brand), set()).add(own)
        followed.add(previous)
    last = {}
    for chain, hashes in ends.items():
        if len(open_ends := hashes - followed) != 1:
            raise IntegrityFailure
        last[chain] = open_ends.pop()
    return last


def events(uow: Connected, subject: bytes, brand: str) -> list[Mapping[str, Any]]:
    """Return a chain's events in order, each checked against its hash and linked to the one before.

    Raises `IntegrityFailure` for a changed, added or reordered event, and for one missing before the end.
    """
    following: dict[bytes, Mapping[str, Any]] = {}
    count = 0
    for row in uow.conn.execute(_CHAIN, {"subject": subject, "brand": brand}):
        event = row._asdict()
        if event_hash(event) != event["hash"]:
            raise IntegrityFailure
        if event["record"] == 1 and tuple(event[name] for name in _MORE) != _NOTHING:
            raise IntegrityFailure
        following[event["previous_hash"]] = event
        count += 1
    chain: list[Mapping[str, Any]] = []
    previous = GENESIS
    while (walked := following.pop(previous, None)) is not None:
        chain.append(walked)
        previous = walked["hash"]
    # An event that shares its predecessor with another was overwritten in `following`, so the walk comes out short.
    if len(chain) != count:
        raise IntegrityFailure
    return chain


def verify_chain(uow: Connected, subject: bytes, brand: str) -> int:
    """Check every hash and link of a chain, and that the projection is its fold. Returns the number of events.

    Raises `IntegrityFailure` for a changed, missing, added or reordered event and for a projection that disagrees.
    """
    chain = events(uow, subject, brand)
    folded: dict[str, Projected] = {}
    for event in chain:
        fold(folded.setdefault(event["purpose"], Projected()), event)
    stored = {
        purpose: Projected(*columns)
        for purpose, *columns in uow.conn.execute(_PROJECTION, {"subject": subject, "brand": brand})
    }
    if folded != stored:
        raise IntegrityFailure
    return len(chain)
