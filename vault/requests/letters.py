"""Letters: what is written to a person, only ever to a contact point that is on file already.

A letter is queued in the unit of work of its act and sent afterwards by whoever carries the post (`api.post`). Its row
names nobody: the person, the point and the words are sealed, and the address itself is not in it but opened on sending,
on record, as every value is. A point that is gone by then gets nothing. What waits longer than the letter is good for is
void; what was sent is dropped from the row.

A letter to nobody is queued as any other, so that neither an answer nor the time it takes tells whether there is
somebody; the carrier finds it void.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from hashlib import sha256
from typing import Any, Final

import orjson
from sqlalchemy import bindparam, select, update

from audit.entry import Act, Actor, ActorKind, Entry, Outcome
from policies.decision import OWN, Grant, grant_own
from vault import contactpoints, disclosure, facts
from vault.contactpoints import Point
from vault.revealed import DisclosedField
from vault.store.bulk import insert_rows
from vault.store.tables import metadata
from vault.unit import UnitOfWork, Vault

MAIL: Final = "email"  # the field that letters about requests go to
GOOD_FOR: Final = 7 * 86_400
LEASE_SECONDS: Final = 120
FIRST_PAUSE: Final = 10  # seconds before the second attempt; doubles
LONGEST_PAUSE: Final = 3600
NOBODY: Final = bytes(16)

_ID: Final = 16
_LABEL: Final = "request/letter"
_BUCKET: Final = 256
_LETTER: Final = metadata.tables["letter"]


class LetterKind(StrEnum):
    """What a letter says."""

    CODE = "code"  # `code`: to be typed in where it was asked for
    RECEIVED = "received"  # this and those below: `request`, its number, and nothing else of it
    EXTENDED = "extended"
    REFUSED = "refused"
    UNDERWAY = "underway"  # an erasure that was approved: afterwards there is nobody to write to
    DONE = "done"
    READY = "ready"  # the package can be fetched
    IDENTITY = "identity"  # the person is asked who they are
    UNVERIFIED = "unverified"  # it could not be told who asks, and the request ends
    WITHDRAWN = "withdrawn"  # it was taken back


class LetterState(StrEnum):
    """Whether it went."""

    PENDING = "pending"
    SENT = "sent"
    VOID = "void"


@dataclass(frozen=True, slots=True)
class Letter:
    """A letter to be queued: to the point of a subject at a brand, or to nobody. `words` fill in what its kind says."""

    kind: LetterKind
    brand: str
    subject: bytes = field(repr=False)
    point: Point
    words: Mapping[str, str] = field(repr=False)
    language: str
    good_for: int  # seconds
    id: bytes | None = None  # 16 bytes by which it is found again; drawn, if left out


@dataclass(frozen=True, slots=True)
class Due:
    """A letter to send now. `channel` names the kind of address, by its field in the catalogue."""

    id: bytes
    kind: LetterKind
    brand: str
    channel: str
    address: str = field(repr=False)
    words: Mapping[str, str] = field(repr=False)
    language: str


@dataclass(frozen=True, slots=True)
class Carried:
    """How it went: `problem` is empty when the letter was handed over, else a short code."""

    id: bytes
    problem: str


def queue(uow: UnitOfWork, letters: Sequence[Letter]) -> None:
    """Queue letters in this unit of work."""
    rows: list[dict[str, Any]] = []
    for each in letters:
        # Why safe: an id that is given once makes the row's context its own; AES-SIV needs no nonce.
        identifier = each.id or uow.vault.entropy.bytes(_ID)
        point = each.point
        plain = orjson.dumps(
            [each.subject.hex(), each.brand, point.field_id, point.item, point.version, dict(each.words), each.language]
        )
        padded = plain + b" " * (-len(plain) % _BUCKET)
        (payload,) = uow.vault.keys.seal(_LABEL, [(identifier, padded)])
        rows.append(
            {
                "id": identifier,
                "shard": uow.shard,
                "kind": each.kind.value,
                "payload": payload,
                "state": LetterState.PENDING.value,
                "created_at": uow.now,
                "expires_at": uow.now + each.good_for,
                "next_at": uow.now,
                "attempts": 0,
                "problem": "",
            }
        )
    insert_rows(uow.conn, _LETTER, rows)


def tell(uow: UnitOfWork, kind: LetterKind, subject: bytes, brand: str, request: str, language: str) -> None:
    """Queue a letter about a request to the newest mail address that the brand has on file; none where there is none."""
    points = addresses(uow, subject, brand)
    if points:
        name = number_letter(bytes.fromhex(request)) if kind is LetterKind.UNDERWAY else None
        queue(uow, [Letter(kind, brand, subject, points[-1], {"request": request}, language, GOOD_FOR, name)])


def addresses(uow: UnitOfWork, subject: bytes, brand: str) -> tuple[Point, ...]:
    """Return the mail addresses that a brand has on file, oldest first."""
    of = uow.vault.bundle.catalogue.fields.get(MAIL)
    return () if of is None else contactpoints.held(uow, [subject], [of]).get((subject, brand, of.id), ())


def number_letter(request_id: bytes) -> bytes:
    """Return the id, 16 bytes, of the letter with which a request is underway: it tells the number of the certificate."""
    return sha256(b"ecrin/request/underway" + request_id).digest()[:_ID]


def standing(uow: UnitOfWork, letter_id: bytes) -> LetterState | None:
    """Return how it stands with a letter; None for one that was never written, or went so long ago that its row is gone."""
    found = uow.conn.scalar(select(_LETTER.c.state).where(_LETTER.c.id == letter_id))
    return None if found is None else LetterState(found)


def claim(vault: Vault, most: int) -> list[Due]:
    """Take letters that are due, for `LEASE_SECONDS`, and open their addresses; each opening is on record before.

    Whoever is gone, and nobody, gets none.
    """
    due = (
        select(_LETTER)
        .where(_LETTER.c.state == LetterState.PENDING.value, _LETTER.c.next_at <= bindparam("now"))
        .order_by(_LETTER.c.created_at, _LETTER.c.id)
        .limit(most)
    )
    with vault.reading() as conn:  # nearly always nothing: no writer is held up to find that out
        if conn.execute(due, {"now": vault.clock.now()}).first() is None:
            return []
    with vault.unit() as uow:
        rows = uow.conn.execute(due.with_for_update(skip_locked=True), {"now": uow.now}).all()
        texts = uow.vault.keys.open(_LABEL, [(row.id, row.payload) for row in rows]) if rows else []
        opened = [(row, _read(text)) for row, text in zip(rows, texts, strict=True)]
        alive = [(row, told) for row, told in opened if told is not None and row.expires_at > uow.now]
        known = facts.load_each(uow, [(told.brand, told.subject) for _, told in alive])
        going, grants, entries = [], [], []
        for (row, told), person in zip(alive, known, strict=True):
            grant = None if person is None else _grant(vault, told, person)
            if grant is None or person is None:
                continue
            (log_key,) = facts.log_keys(vault.keys, [person])
            actor, name = Actor(ActorKind.VAULT, vault.deployment), grant.fields[0].field.name
            entry = Entry(
                Act.REQUEST_LETTER_SENT,
                Outcome.ALLOW,
                actor,
                (f"{name}:raw",),
                OWN,
                grant.basis,
                (f"letter:{row.kind}",),
            )
            going.append((row, told))
            grants.append(grant)
            entries.append(uow.record(entry, log_key=log_key))
        selection = disclosure.select(uow, grants)
        leased = [row.id for row, _ in going]
        later = {"next_at": uow.now + LEASE_SECONDS, "attempts": _LETTER.c.attempts + 1}
        uow.conn.execute(update(_LETTER).where(_LETTER.c.id.in_(leased)).values(**later))
        void = [row.id for row in rows if row.id not in set(leased)]
        gone = {"state": LetterState.VOID.value, "payload": b""}
        uow.conn.execute(update(_LETTER).where(_LETTER.c.id.in_(void)).values(**gone))
        commit = uow.commit()
    revealed = disclosure.reveal(vault, commit, selection, entries)
    found: list[Due] = []
    for (row, told), grant, shown in zip(going, grants, revealed, strict=True):
        name = grant.fields[0].field.name
        address = _address(shown[name], told.item)
        if address is None:
            settle(vault, [Carried(row.id, "void")])
        else:
            found.append(Due(row.id, LetterKind(row.kind), told.brand, name, address, told.words, told.language))
    return found


def settle(vault: Vault, outcomes: Sequence[Carried]) -> None:
    """Note how it went: what was handed over is dropped, the rest comes again after a pause, until it is void."""
    if not outcomes:
        return
    with vault.unit() as uow:
        ids = [each.id for each in outcomes]
        attempts = dict(uow.conn.execute(select(_LETTER.c.id, _LETTER.c.attempts).where(_LETTER.c.id.in_(ids))).all())
        for each in outcomes:
            row = update(_LETTER).where(_LETTER.c.id == each.id, _LETTER.c.state == LetterState.PENDING.value)
            if each.problem == "void":
                uow.conn.execute(row.values(state=LetterState.VOID.value, payload=b""))
            elif each.problem:
                pause = min(FIRST_PAUSE << min(attempts.get(each.id, 1) - 1, 20), LONGEST_PAUSE)
                uow.conn.execute(row.values(next_at=uow.now + pause, problem=each.problem))
            else:
                uow.conn.execute(row.values(state=LetterState.SENT.value, payload=b"", problem=""))
        uow.commit()


@dataclass(frozen=True, slots=True)
class _Told:
    subject: bytes = field(repr=False)
    brand: str
    field_id: int
    item: int
    version: int
    words: Mapping[str, str] = field(repr=False)
    language: str


def _read(text: bytes | None) -> _Told | None:
    if text is None:  # altered: it is sent to nobody
        return None
    subject, *rest = orjson.loads(text)
    told = _Told(bytes.fromhex(subject), *rest)
    return None if told.subject == NOBODY else told


def _grant(vault: Vault, told: _Told, person: facts.Known) -> Grant | None:
    of = vault.bundle.catalogue.field_by_id(told.field_id)
    return grant_own(person.facts, told.brand, told.subject, [of])


def _address(part: object, item: int) -> str | None:
    """Pick the one address the letter is for, in what the grant showed of its field."""
    if not isinstance(part, DisclosedField) or not isinstance(part.value, list):
        return None
    for each in part.value:
        if isinstance(each, dict) and each.get("item") == item:
            return _plain(each.get("value"))
    return None


def _plain(value: object) -> str | None:
    if isinstance(value, dict):
        value = value.get("number")
    return value if isinstance(value, str) else None
