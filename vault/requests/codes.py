"""One-time codes: who holds a contact point that is on file is taken for the person, on that rung of the ladder.

A code goes to the very address that was named and that the brand has on file of one person; it never adds one. Where
several people share the address it goes to none of them: an address alone does not tell spouses apart. Whoever asks
hears the same in every case, after the same statements and the same writes.

Codes are kept as keyed hashes, for ten minutes and five tries, and are good once. Each try is durable before its answer,
so that tries cannot be run side by side. At most three go to one address in ten minutes.
"""

import hmac
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from sqlalchemy import delete, func, select, update

from audit.entry import Act, Actor, ActorKind, Entry, Outcome
from policies.catalogue import Field
from vault import contactpoints, locked, references, remembering, search
from vault.contactpoints import Point, UnknownContact
from vault.errors import InvalidFields, Refused
from vault.keys.service import Slot
from vault.locked import Locked
from vault.requests import letters
from vault.requests.letters import NOBODY, Letter, LetterKind
from vault.search import Found, Search
from vault.store.bulk import insert_rows
from vault.store.tables import metadata
from vault.unit import UnitOfWork, Vault

DIGITS: Final = 8
TRIES: Final = 5
SECONDS: Final = 600
MOST_AT_ONCE: Final = 3  # to one address, within SECONDS
CHANNELS: Final = ("email", "phone")

_ID: Final = 16
_LABEL: Final = "identity/code"
_WHOM: Final = "identity/whom"
_SEEN: Final = "identity/seen"
_NOBODYS: Final = (Slot(0, 0), bytes(40))  # nothing that was ever wrapped
_NOBODYS_TEXT: Final = (bytes(_ID), bytes(32))  # as long as a sealed reference
_NO_POINT: Final = Point(0, 0, 0)
_CODE: Final = metadata.tables["identity_code"]


@dataclass(frozen=True, slots=True)
class Wish:
    """A code asked for by somebody who names a brand and an address of theirs. `channel` is `email` or `phone`."""

    brand: str
    channel: str
    address: object = field(repr=False)
    language: str = "en"


@dataclass(frozen=True, slots=True)
class Proven:
    """Who a code was for, by the brand's reference."""

    brand: str
    reference: str = field(repr=False)


def begin(vault: Vault, wish: Wish) -> str:
    """Send a code, if there is whom to; return the handle it is to be answered with, in every case.

    Raises `InvalidFields` only for what is no channel or no address at all.
    """
    of = vault.bundle.catalogue.fields.get(wish.channel)
    if wish.channel not in CHANNELS or of is None:
        raise InvalidFields((("channel", "unknown_channel"),))
    try:
        sought = contactpoints.normal_form(of, wish.address)  # type: ignore[arg-type]  # a phone is a table or a text
    except UnknownContact:
        raise InvalidFields((("address", "no_address"),)) from None
    with vault.unit() as uow:
        (found,) = search.candidates(uow, [Search(wish.brand, vault.deployment, wish.channel, wish.address)])
        if not (isinstance(found, Found) and found.candidates):
            # Keys are opened for whom there is; the same is asked for nobody, and no clock tells them apart.
            vault.keys.unwrap([_NOBODYS])
            vault.keys.open(_WHOM, [_NOBODYS_TEXT])
        one = (
            found.candidates[0] if isinstance(found, Found) and len(found.candidates) == 1 and not found.more else None
        )
        subject = NOBODY if one is None else one.subject
        held = contactpoints.held(uow, [subject], [of]).get((subject, wish.brand, of.id), ())
        items = search.items_of(uow, subject, wish.brand, of, sought)
        point = next((each for each in held if each.item in items), None)
        whom = None if one is None or point is None else (subject, point)
        seen = _seen(vault, wish.brand, of, sought)
        handle = _send(uow, wish.brand, whom, seen, wish.language)
        actor = Actor(ActorKind.VAULT, vault.deployment)
        entry = Entry(Act.REQUEST_CODE_SENT, Outcome.ALLOW, actor, (wish.channel,), pol=("code:asked_for",))
        uow.record(entry, log_key=None if whom is None or one is None else one.log_key)
        uow.commit()
    return handle


def check(vault: Vault, handle: str, code: str) -> Proven:
    """Check a code. One that fits is used up.

    Raises `Refused` with `code_refused` for everything else: wrong, too often, too late, no such handle.
    """
    answer = _try(vault, handle, code)
    if answer is None:
        raise Refused("code_refused")
    return answer


def _try(vault: Vault, handle: str, code: str) -> Proven | None:
    identifier = _identifier(handle)
    code = code if code.isascii() and code.isdigit() and len(code) == DIGITS else ""
    (given,) = vault.keys.mac(_LABEL, [identifier + code.encode()])
    with vault.unit() as uow:
        mine = _CODE.c.id == identifier
        row = uow.conn.execute(select(_CODE).where(mine).with_for_update()).one_or_none()
        live = row is not None and row.expires_at > uow.now and row.tries_left > 0
        # Constant time, and against something in every case.
        fits = hmac.compare_digest(given, row.code_mac if row is not None else bytes(32)) and live
        subject = _opened(vault, identifier, row.whom) if row is not None and fits else None
        person = None if subject is None else locked.by_id(uow, {subject}).get(subject)
        uow.conn.execute(
            delete(_CODE).where(mine) if fits else update(_CODE).where(mine).values(tries_left=_CODE.c.tries_left - 1)
        )
        answer = None
        if person is not None and row is not None:
            answer = _proven(uow, person, row.brand)
        outcome = Outcome.DENY if answer is None else Outcome.ALLOW
        entry = Entry(
            Act.REQUEST_CODE_CHECKED, outcome, Actor(ActorKind.VAULT, vault.deployment), pol=("code:checked",)
        )
        uow.record(entry, log_key=None if answer is None or person is None else person.log_key)
        uow.commit()
    return answer


def _proven(uow: UnitOfWork, person: Locked, brand: str) -> Proven | None:
    (reference,) = references.of(uow, brand, [person.subject])
    return None if reference is None else Proven(brand, reference)


def _send(
    uow: UnitOfWork,
    brand: str,
    whom: tuple[bytes, Point] | None,
    seen: Sequence[bytes],
    language: str,
) -> str:
    vault = uow.vault
    # Why safe: 128 random bits; the code below is uniform over its digits but for 2^-37, and drawn anew for each.
    identifier = vault.entropy.bytes(_ID)
    code = f"{int.from_bytes(vault.entropy.bytes(8)) % 10**DIGITS:0{DIGITS}d}"
    if uow.conn.dialect.name == "postgresql":
        # Two that ask at once for one address are counted one after the other, here as under SQLite's one writer.
        uow.conn.execute(select(func.pg_advisory_xact_lock(int.from_bytes(seen[0][:8], signed=True))))
    live = uow.conn.scalar(
        select(func.count()).select_from(_CODE).where(_CODE.c.whom_mac.in_(seen), _CODE.c.expires_at > uow.now)
    )
    subject, point = whom or (NOBODY, _NO_POINT)
    if (live or 0) >= MOST_AT_ONCE:
        subject, point = NOBODY, _NO_POINT  # goes to nobody, and looks as if it went
    (mac,) = vault.keys.mac(_LABEL, [identifier + code.encode()])
    (sealed,) = vault.keys.seal(_WHOM, [(identifier, subject)])
    row: dict[str, Any] = {
        "id": identifier,
        "shard": uow.shard,
        "whom": sealed,
        "whom_mac": seen[0],
        "brand": brand,
        "code_mac": mac,
        "tries_left": TRIES,
        "expires_at": uow.now + SECONDS,
    }
    insert_rows(uow.conn, _CODE, [row])
    letters.queue(uow, [Letter(LetterKind.CODE, brand, subject, point, {"code": code}, language, SECONDS)])
    return identifier.hex()


def _seen(vault: Vault, brand: str, of: Field, sought: bytes) -> list[bytes]:
    """Hash whom a code is for, newest epoch first: an address can be guessed, so the hash dies with its epoch."""
    (made,) = remembering.handles(vault.keys, _SEEN, [((brand, of.name), sought)])
    return [each.content for each in made]


def _opened(vault: Vault, identifier: bytes, sealed: bytes) -> bytes | None:
    (subject,) = vault.keys.open(_WHOM, [(identifier, sealed)])
    return None if subject is None or subject == NOBODY else subject


def _identifier(handle: str) -> bytes:
    try:
        found = bytes.fromhex(handle)
    except ValueError:
        found = b""
    return found if len(found) == _ID else bytes(_ID)
