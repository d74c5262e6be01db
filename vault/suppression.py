"""The list of those not to be solicited: whoever said no to a brand's marketing does not come back by a later import.

As long as a person is there, their consents say no for them. But a list that a brand brings in makes a new subject of the
same address, and after an erasure there is nobody left to say anything. So where a person says no, and where addresses
are erased at the person's request, each address is entered as a keyed hash, with the marketing purposes it must not be
used for. An address that comes again brings the objection with it (`vault.carried`).

An address can be guessed, so a plain hash of it would be the address. The key is drawn for half a year and lies under a
leaf of its own: whoever has the database, or any backup of it, tests nothing. It is not a key of an epoch, as those of
search tokens and of what is remembered are: the list must outlive every erasure and every restore, and the addresses it
is of are gone. That is the price, and it is said: who holds the keys that live can confirm a guess, until the time that
`law.toml` gives is over. Then the row goes, then the key, and with the next epoch every copy of both is closed for good.

A row names no person and no brand (the brand is hashed with the address), a day and no time.
"""

import datetime as dt
import hmac
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any, Final

from sqlalchemy import Table, bindparam, delete, select, tuple_

from policies.bundle import Bundle
from policies.catalogue import Field
from policies.model import ConsentStatus
from vault import findable, leftleaves, ownleaf, search
from vault.errors import KeyUnavailable
from vault.findable import Findable
from vault.keys.message import bind
from vault.keys.service import Slot
from vault.ownleaf import Sealed
from vault.search import Indexed
from vault.store.bulk import insert_or, insert_rows
from vault.store.keysets import padded
from vault.store.tables import metadata
from vault.unit import UnitOfWork, Vault

HALF_YEAR: Final = 183 * 86_400
DAY: Final = 86_400
NOES: Final = frozenset({ConsentStatus.WITHDRAWN, ConsentStatus.OBJECTED, ConsentStatus.REFUSED})

_ADDRESSES: Final = frozenset({"email/1", "phone/1"})  # normal forms that name where somebody is reached
_KEY_BYTES: Final = 32
_MAC_BYTES: Final = 16
_AT_ONCE: Final = 8192

_KEY: Final[Table] = metadata.tables["suppression_key"]
_ENTRY: Final[Table] = metadata.tables["suppression"]
_TOKEN: Final[Table] = metadata.tables["search_token"]
_STATE: Final[Table] = metadata.tables["consent_state"]

_AT: Final = (_ENTRY.c.mac, _ENTRY.c.purpose)
_MET: Final = select(_ENTRY.c.mac, _ENTRY.c.purpose, _ENTRY.c.day_at).where(
    _ENTRY.c.mac.in_(bindparam("macs", expanding=True)), _ENTRY.c.day_at > bindparam("since")
)
# Who has an address, and says no for which purpose.
_SAY_NO: Final = (
    select(_TOKEN.c.token, _TOKEN.c.subject_id, _STATE.c.purpose)
    .join(_STATE, (_STATE.c.subject_id == _TOKEN.c.subject_id) & (_STATE.c.brand == _TOKEN.c.brand))
    .where(_TOKEN.c.token.in_(bindparam("tokens", expanding=True)), _STATE.c.state.in_([each.value for each in NOES]))
    .distinct()
)


@dataclass(frozen=True, slots=True)
class Said:
    """What a person said last of a purpose at a brand. `points` (`field:version`) are those it is about; none: all."""

    subject: bytes
    brand: str
    purpose: str
    points: frozenset[str] = frozenset()


def is_address(of: Field) -> bool:
    """Whether the values of a field are addresses that this list knows again."""
    return of.search in _ADDRESSES


def addresses(bundle: Bundle) -> list[Field]:
    """Return the fields whose values this list knows again. A postal address has no normal form and is none of them."""
    return [each for each in bundle.catalogue.searchable if is_address(each)]


def enter(uow: UnitOfWork, bundle: Bundle, entries: Iterable[tuple[Findable | Indexed, Collection[str]]]) -> int:
    """Put addresses on the list, each for some purposes. Returns how many; 0 where the law in force asks for no list."""
    wanted = [(each, purposes) for each, purposes in entries if purposes and is_address(each.field)]
    if not wanted or _term(bundle, uow.now) is None:
        return 0
    key = _current(uow)
    end_of_day = (uow.now // DAY + 1) * DAY
    rows: dict[tuple[bytes, str], dict[str, Any]] = {}
    for each, purposes in wanted:
        mac = _mac(key, each)
        for purpose in purposes:
            rows[mac, purpose] = {"mac": mac, "purpose": purpose, "shard": uow.shard, "day_at": end_of_day}
    # Others may enter the same address at this moment. In key order, so that we wait for each other and do not deadlock.
    fresh = insert_or(uow.conn, _ENTRY)
    latest = fresh.on_conflict_do_update(index_elements=["mac", "purpose"], set_={"day_at": fresh.excluded.day_at})
    uow.conn.execute(latest, [rows[at] for at in sorted(rows)])
    return len(wanted)


def heed_no(uow: UnitOfWork, bundle: Bundle, said: Sequence[Said]) -> None:
    """Enter the addresses of people who said no: those it was about, or all that the brand has on file."""
    due = [each for each in said if bundle.purposes.soliciting(each.purpose)]
    if not due or _term(bundle, uow.now) is None:
        return
    held = _held(uow, bundle, {each.subject for each in due})
    enter(
        uow,
        bundle,
        [
            (address, bundle.purposes.soliciting(each.purpose))
            for each in due
            for address in held.get((each.subject, each.brand), ())
            if not each.points or _point(address) in each.points
        ],
    )


def heed_yes(uow: UnitOfWork, bundle: Bundle, said: Sequence[Said]) -> None:
    """Take addresses off the list, of people who say yes now: but for one that somebody else, who says no, has as well.

    Where a purpose has a channel, addresses of that kind only as far as the consent covers them (`points`).
    """
    due = [each for each in said if bundle.purposes.soliciting(each.purpose)]
    keys = _keys(uow) if due else []
    if not keys:
        return
    held = _held(uow, bundle, {each.subject for each in due})
    addresses: list[Findable] = []
    going: dict[tuple[bytes, str], set[int]] = {}
    for each in due:
        channel = bundle.purposes.get(each.purpose).channel
        for address in held.get((each.subject, each.brand), ()):
            if address.field.name == channel and _point(address) not in each.points:
                continue
            macs = [_mac(key, address) for key in keys]
            for at in product(macs, bundle.purposes.soliciting(each.purpose)):
                going.setdefault(at, set()).add(len(addresses))
            addresses.append(address)
    listed = _locked(uow, sorted(going))
    # Asked now and not before: who entered one of these in this moment was waited for, and is seen.
    noes = _others_say_no(uow, addresses) if listed else set()
    _remove(uow, [at for at in listed if not {(place, at[1]) for place in going[at]} & noes])


def met(uow: UnitOfWork, bundle: Bundle, arriving: Sequence[Indexed]) -> dict[tuple[bytes, str], dict[str, int]]:
    """Return what the list says of addresses that come in: (subject, brand) -> purpose -> the end of the day of the no.

    Raises `KeyUnavailable`, or `IntegrityFailure` for a key that was altered: a no that cannot be read is not a yes.
    """
    came = [each for each in arriving if is_address(each.field)]
    term = _term(bundle, uow.now)
    keys = _keys(uow) if came and term is not None else []
    if not keys or term is None:
        return {}
    owners: dict[bytes, list[tuple[bytes, str]]] = {}
    for each in came:
        for key in keys:
            owners.setdefault(_mac(key, each), []).append((each.subject, each.brand))
    found: dict[tuple[bytes, str], dict[str, int]] = {}
    macs = list(owners)
    for start in range(0, len(macs), _AT_ONCE):
        asked: dict[str, Any] = {"macs": padded(macs[start : start + _AT_ONCE]), "since": uow.now - term}
        for mac, purpose, day in uow.conn.execute(_MET, asked):
            for owner in owners[mac] if bundle.purposes.soliciting(purpose) else ():
                purposes = found.setdefault(owner, {})
                purposes[purpose] = max(day, purposes.get(purpose, 0))
    return found


def held(uow: UnitOfWork, bundle: Bundle, subjects: Collection[bytes]) -> list[Findable]:
    """Open the addresses that brands have of people, before these are erased; none where the law asks for no list."""
    if not subjects or _term(bundle, uow.now) is None:
        return []
    return findable.stored(uow, subjects, addresses(bundle))


def going(held: Sequence[Findable], subject: bytes, category_id: int, field_id: int) -> list[Findable]:
    """Pick the addresses that go with a person, with a category (id, else 0) or with a field (id, else 0)."""
    return [
        each
        for each in held
        if each.subject == subject and category_id in {0, each.field.category_id} and field_id in {0, each.field.id}
    ]


def enter_erased(uow: UnitOfWork, bundle: Bundle, gone: Sequence[Findable]) -> None:
    """Enter addresses whose owners had them erased, for every marketing purpose there is."""
    every = [each.key for each in bundle.purposes.every if each.key in bundle.purposes.soliciting(each.key)]
    enter(uow, bundle, [(each, every) for each in gone])


def known_until(bundle: Bundle, now: int) -> int | None:
    """Return from when on nobody can tell what is entered at `now`: its row and its key are gone; None without a list."""
    term = _term(bundle, now)
    return None if term is None else now - now % HALF_YEAR + HALF_YEAR + DAY + term


def sweep(vault: Vault) -> int:
    """Take off the list what has been on it for as long as the law says, and leave the keys of what is gone.

    Returns how many rows went. The leaves are destroyed by the next change of the epoch.
    """
    term = _term(vault.bundle, vault.clock.now()) or 0
    with vault.unit() as uow:
        count = uow.conn.execute(delete(_ENTRY).where(_ENTRY.c.day_at <= uow.now - term)).rowcount
        over = _KEY.c.id <= _id(max(0, uow.now - term - HALF_YEAR - DAY))
        # Locked: a re-keying in between would leave the leaf before us, and we the wrong one.
        leaves = select(_KEY.c.slot, _KEY.c.generation).where(over).with_for_update()
        slots = [Slot(*row) for row in uow.conn.execute(leaves)]
        if slots:
            leftleaves.leave(uow, slots)
            uow.conn.execute(delete(_KEY).where(over))
        if count or slots:
            uow.commit()
    return count


def _term(bundle: Bundle, now: int) -> int | None:
    rule = bundle.law.suppression_rule(dt.datetime.fromtimestamp(now, dt.UTC).date())
    return None if rule is None else rule.days * DAY


def _held(uow: UnitOfWork, bundle: Bundle, subjects: Collection[bytes]) -> Mapping[tuple[bytes, str], list[Findable]]:
    found: dict[tuple[bytes, str], list[Findable]] = {}
    for each in findable.stored(uow, subjects, addresses(bundle)):
        found.setdefault((each.subject, each.brand), []).append(each)
    return found


def _point(address: Findable) -> str:
    return f"{address.field.id}:{address.version}"


def _mac(key: bytes, address: Findable | Indexed) -> bytes:
    # Why safe to cut: 128 bits of HMAC-SHA-256; two addresses that share them would be suppressed together.
    said = bind(address.brand.encode(), str(address.field.search).encode(), address.message)
    return hmac.digest(key, said, "sha256")[:_MAC_BYTES]


def _locked(uow: UnitOfWork, rows: Sequence[tuple[bytes, str]]) -> list[tuple[bytes, str]]:
    """Lock those of these rows that are on the list, in the order in which `enter` writes."""
    found: list[tuple[bytes, str]] = []
    for start in range(0, len(rows), _AT_ONCE):
        those: list[Any] = padded(rows[start : start + _AT_ONCE])
        chosen = select(*_AT).where(tuple_(*_AT).in_(those)).order_by(*_AT).with_for_update()
        found += [(bytes(mac), purpose) for mac, purpose in uow.conn.execute(chosen)]
    return found


def _others_say_no(uow: UnitOfWork, addresses: Sequence[Findable]) -> set[tuple[int, str]]:
    """Return (place, purpose) of addresses that somebody else of the brand has too and says no for, whatever epoch retires."""
    wanted: dict[tuple[str, Field], list[tuple[int, bytes]]] = {}
    for place, each in enumerate(addresses):
        wanted.setdefault((each.brand, each.field), []).append((place, each.message))
    rows, places = search.under_each_epoch(
        uow, wanted, lambda tokens: uow.conn.execute(_SAY_NO, {"tokens": tokens}).all()
    )
    return {
        (place, row.purpose)
        for row in rows
        for place in places[row.token]
        if row.subject_id != addresses[place].subject
    }


def _remove(uow: UnitOfWork, rows: Sequence[tuple[bytes, str]]) -> None:
    for start in range(0, len(rows), _AT_ONCE):
        those: list[Any] = padded(rows[start : start + _AT_ONCE])
        uow.conn.execute(delete(_ENTRY).where(tuple_(_ENTRY.c.mac, _ENTRY.c.purpose).in_(those)))


def _current(uow: UnitOfWork) -> bytes:
    """Return the key of this half-year, drawn by whoever needs it first: of two at once, one is tried anew."""
    begun = uow.now - uow.now % HALF_YEAR
    row = uow.conn.execute(select(_KEY).where(_KEY.c.id == _id(begun))).one_or_none()
    if row is not None:
        key = _opened(uow, row)
        if key is None:
            raise KeyUnavailable
        return key
    key = uow.vault.entropy.bytes(_KEY_BYTES)
    (sealed,) = ownleaf.seal(uow, [(_context(uow, _id(begun)), key)])
    fresh: dict[str, Any] = {"id": _id(begun), "shard": uow.shard, "sealed": sealed.blob}
    insert_rows(uow.conn, _KEY, [fresh | {"slot": sealed.slot.number, "generation": sealed.slot.generation}])
    return key


def _keys(uow: UnitOfWork) -> list[bytes]:
    """Return the keys that live; none before anybody said no. One whose leaf is destroyed has ended, in a backup."""
    return [key for row in uow.conn.execute(select(_KEY)) if (key := _opened(uow, row)) is not None]


def _opened(uow: UnitOfWork, row: Any) -> bytes | None:
    slot = Slot(row.slot, row.generation)
    key = ownleaf.opened(uow.vault, _context(uow, row.id), Sealed(row.sealed, slot))
    if key is None and uow.vault.keys.alive([slot])[0]:
        raise KeyUnavailable
    return key


def _id(begun: int) -> bytes:
    # Big-endian, so that ids are in the order of time.
    return begun.to_bytes(8)


def _context(uow: UnitOfWork, key_id: bytes) -> bytes:
    return bind(b"suppression/1", uow.vault.deployment.encode(), key_id)
