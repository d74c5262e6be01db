"""Systems: the OAuth clients of the brands, as registered (design §2, §9).

A system holds public keys only: whoever sends a private or symmetric one has given it away, and it is refused, not
stripped. Disabling a system steps its epoch, which kills every token issued to it at that token's next use.
"""

import re
from base64 import urlsafe_b64decode
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from functools import lru_cache
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from typing import Any, Final

import orjson
from sqlalchemy import Connection, bindparam, select, update
from sqlmodel import col

from audit.entry import Act, Actor, Entry, Outcome
from policies.purposes import BREAK_GLASS
from vault import budgetlimits
from vault.budgetlimits import DEFAULT, Budgets
from vault.errors import InvalidRegistration, UnknownSystem
from vault.store.bulk import insert_rows
from vault.store.tables import System
from vault.unit import UnitOfWork

MOST_KEYS: Final = 8
LONGEST_NAME: Final = 128
MOST_NETWORKS: Final = 64

Network = IPv4Network | IPv6Network

_ID: Final = re.compile(r"[a-z0-9][a-z0-9._-]{1,63}")
_BRAND: Final = re.compile(r"[a-z0-9][a-z0-9-]{0,31}")
_WORD: Final = re.compile(r"[a-z][a-z0-9_]{0,31}(?:\.[a-z][a-z0-9_]{0,31}){0,3}")
_COORDINATES: Final = {("EC", "P-256"): ("x", "y"), ("OKP", "Ed25519"): ("x",)}
_COORDINATE_BYTES: Final = 32
_PUBLIC: Final = frozenset({"kty", "crv", "x", "y", "kid", "alg", "use", "key_ops", "x5t", "x5t#S256"})

COLUMNS: Final = (
    col(System.id),
    col(System.brand),
    col(System.name),
    col(System.status),
    col(System.epoch),
    col(System.jwks),
    col(System.scopes),
    col(System.purposes),
    col(System.brands),
    col(System.budgets),
    col(System.networks),
)
"""What `record_of` reads, in its order."""

_ONE = select(*COLUMNS).where(col(System.id) == bindparam("id"))
_ALL = select(*COLUMNS).order_by(col(System.brand), col(System.id))


class SystemStatus(StrEnum):
    """Whether a system may act."""

    ACTIVE = "active"
    DISABLED = "disabled"


@dataclass(frozen=True, slots=True)
class SystemRecord:
    """A system as registered. `brands` are those it may import for; its own is always among them."""

    id: str
    brand: str
    name: str
    status: SystemStatus
    epoch: int
    jwks: Mapping[str, Any]
    scopes: frozenset[str]
    purposes: frozenset[str]
    brands: frozenset[str]
    budgets: Budgets
    networks: tuple[Network, ...] = ()

    def admits(self, address: str) -> bool:
        """Tell whether the system may call from this address. What is no address fits no network."""
        if not self.networks:
            return True
        try:
            found = ip_address(address)
        except ValueError:
            return False
        # An IPv4 caller at a dual-stack socket arrives as ::ffff:192.0.2.1.
        plain = getattr(found, "ipv4_mapped", None) or found
        return any(plain in network for network in self.networks)


@dataclass(frozen=True, slots=True)
class NewSystem:
    """A registration asked for. `jwks` is a JSON Web Key Set (RFC 7517) of public keys: EC P-256 or Ed25519."""

    id: str
    brand: str
    name: str
    jwks: Mapping[str, Any]
    scopes: frozenset[str]
    purposes: frozenset[str] = frozenset()
    brands: frozenset[str] = frozenset()
    budgets: Budgets = DEFAULT
    networks: tuple[str, ...] = ()


def register(uow: UnitOfWork, new: NewSystem, by: Actor) -> SystemRecord:
    """Register a system and record `system.created`. Raises `InvalidRegistration`, or `Conflict` if the id is taken."""
    brands = new.brands | {new.brand}
    _check(new, brands)
    row = {
        "id": new.id,
        "brand": new.brand,
        "name": new.name,
        "status": SystemStatus.ACTIVE.value,
        "epoch": 1,
        "jwks": _stored_keys(new.jwks),
        "scopes": " ".join(sorted(new.scopes)),
        "purposes": " ".join(sorted(new.purposes)),
        "brands": " ".join(sorted(brands)),
        "budgets": new.budgets.dump(),
        "networks": _networks(new.networks),
    }
    insert_rows(uow.conn, System, [row | {"created_at": uow.now}])
    # The log names the system among `pol`, its only list of plain names: who acted stands in `actor`.
    uow.record(Entry(Act.SYSTEM_CREATED, Outcome.ALLOW, by, pol=(f"system:{new.id}",)))
    return record_of(tuple(row.values()))


def disable(uow: UnitOfWork, system_id: str, by: Actor) -> SystemRecord:
    """Forbid a system to act and kill its tokens; record `system.disabled`. Raises `UnknownSystem`."""
    uow.conn.execute(
        update(System)
        .where(col(System.id) == system_id)
        .values(status=SystemStatus.DISABLED.value, epoch=col(System.epoch) + 1)
    )
    found = get(uow.conn, system_id)
    if found is None:
        raise UnknownSystem
    uow.record(Entry(Act.SYSTEM_DISABLED, Outcome.ALLOW, by, pol=(f"system:{system_id}",)))
    return found


def allow(uow: UnitOfWork, system_id: str, networks: Sequence[str], by: Actor) -> SystemRecord:
    """Replace the networks a system may call from (none: any); record `system.changed`. Raises as `register`."""
    system = locked(uow, system_id)
    stored = _networks(networks)
    uow.conn.execute(update(System).where(col(System.id) == system_id).values(networks=stored))
    uow.record(Entry(Act.SYSTEM_CHANGED, Outcome.ALLOW, by, pol=(f"system:{system_id}", "change:networks")))
    return replace(system, networks=tuple([ip_network(each) for each in stored.split()]))


def replace_keys(
    uow: UnitOfWork, system_id: str, jwks: Mapping[str, Any], by: Actor, *, compromised: bool = False
) -> SystemRecord:
    """Replace the keys a system proves itself with; record `system.key_rotated`. Raises as `register`.

    To rotate without a gap, give old and new together, and later the new alone. `compromised` kills every token that is
    out: whoever had the key may hold some.
    """
    system = locked(uow, system_id)
    stored, epoch = _stored_keys(jwks), system.epoch + compromised
    uow.conn.execute(update(System).where(col(System.id) == system_id).values(jwks=stored, epoch=epoch))
    why = "keys:compromised" if compromised else "keys:rotated"
    uow.record(Entry(Act.SYSTEM_KEY_ROTATED, Outcome.ALLOW, by, pol=(f"system:{system_id}", why)))
    return replace(system, jwks=orjson.loads(stored), epoch=epoch)


def enable(uow: UnitOfWork, system_id: str, by: Actor, said: tuple[str, ...] = ()) -> SystemRecord:
    """Let a disabled system act again, with new tokens; record `system.changed`. Raises `UnknownSystem`.

    An officer's word for it, and what `said` tells of that, is `vault.governance.enabling`'s.
    """
    system = locked(uow, system_id)
    uow.conn.execute(update(System).where(col(System.id) == system_id).values(status=SystemStatus.ACTIVE.value))
    uow.record(Entry(Act.SYSTEM_CHANGED, Outcome.ALLOW, by, pol=(f"system:{system_id}", "change:enabled", *said)))
    return replace(system, status=SystemStatus.ACTIVE)


def lower_budgets(uow: UnitOfWork, system_id: str, limits: Iterable[str], by: Actor) -> SystemRecord:
    """Lower limits or set new ones; record `budget.lowered`. Raises `UnknownSystem`, `InvalidRegistration`."""
    system = locked(uow, system_id)
    lowered = system.budgets.lowered(limits)
    change_budgets(uow, system_id, lowered)
    uow.record(Entry(Act.BUDGET_LOWERED, Outcome.ALLOW, by, pol=(f"system:{system_id}",)))
    return replace(system, budgets=lowered)


def change_budgets(uow: UnitOfWork, system_id: str, budgets: Budgets) -> None:
    """Replace a system's budgets. The caller has locked its row and records what it did."""
    uow.conn.execute(update(System).where(col(System.id) == system_id).values(budgets=budgets.dump()))


def locked(uow: UnitOfWork, system_id: str) -> SystemRecord:
    """Return a system whose row nobody changes until this unit is over. Raises `UnknownSystem`."""
    row = uow.conn.execute(_ONE.with_for_update(), {"id": system_id}).one_or_none()
    if row is None:
        raise UnknownSystem
    return record_of(tuple(row))


def is_id(text: str) -> bool:
    """Tell whether a text can name a system."""
    return _ID.fullmatch(text) is not None


def is_brand(text: str) -> bool:
    """Tell whether a text can name a brand."""
    return _BRAND.fullmatch(text) is not None


def get(conn: Connection, system_id: str) -> SystemRecord | None:
    """Return a system by its id, whatever its status."""
    row = conn.execute(_ONE, {"id": system_id}).one_or_none()
    return None if row is None else record_of(tuple(row))


def listed(conn: Connection) -> list[SystemRecord]:
    """Return all systems, by brand and id."""
    return [record_of(tuple(row)) for row in conn.execute(_ALL)]


def brands(conn: Connection) -> list[str]:
    """Return every brand that has a system, or that one brings people in for."""
    return sorted({brand for each in listed(conn) for brand in each.brands})


@lru_cache(maxsize=1024)
def record_of(row: tuple[Any, ...]) -> SystemRecord:
    """Build the record of a row of `COLUMNS`. Cached by the row itself: a change of the row is another entry."""
    system_id, brand, name, status, epoch, jwks, scopes, purposes, brands, budgets, networks = row
    return SystemRecord(
        system_id,
        brand,
        name,
        SystemStatus(status),
        epoch,
        orjson.loads(jwks),
        frozenset(scopes.split()),
        frozenset(purposes.split()),
        frozenset(brands.split()),
        budgetlimits.load(budgets),
        tuple([ip_network(each) for each in networks.split()]),
    )


def _networks(given: Sequence[str]) -> str:
    if len(given) > MOST_NETWORKS:
        raise InvalidRegistration("network: too many")
    try:
        return " ".join(sorted({str(ip_network(each)) for each in given}))
    except ValueError:
        raise InvalidRegistration("network: an address or a network, without host bits") from None


def _check(new: NewSystem, brands: frozenset[str]) -> None:
    for what, fits in (
        ("id", _ID.fullmatch(new.id)),
        ("brand", all(_BRAND.fullmatch(brand) for brand in brands)),
        ("name", 0 < len(new.name) <= LONGEST_NAME and new.name.isprintable()),
        ("scopes", new.scopes and all(_WORD.fullmatch(scope) for scope in new.scopes)),
        ("purposes", all(_WORD.fullmatch(purpose) and purpose != BREAK_GLASS for purpose in new.purposes)),
    ):
        if not fits:
            raise InvalidRegistration(what)


def _stored_keys(jwks: Mapping[str, Any]) -> str:
    """Return a key set as it is stored, or raise `InvalidRegistration`."""
    keys = jwks.get("keys")
    if not isinstance(keys, list) or not 1 <= len(keys) <= MOST_KEYS:
        raise InvalidRegistration("jwks")
    names = [key.get("kid") for key in keys if isinstance(key, Mapping)]
    if len(names) != len(keys) or len(set(names)) != len(names):
        raise InvalidRegistration("jwks: kid")
    return orjson.dumps({"keys": [_public_key(key) for key in keys]}, option=orjson.OPT_SORT_KEYS).decode()


def _public_key(key: Mapping[str, Any]) -> dict[str, str]:
    """Return the members that matter. Anything not known to be public disqualifies the key."""
    if not key.keys() <= _PUBLIC:
        raise InvalidRegistration("jwks: private or unknown member")
    coordinates = _COORDINATES.get((key.get("kty", ""), key.get("crv", "")))
    if coordinates is None:
        raise InvalidRegistration("jwks: kind of key")
    kept = ("kty", "crv", *coordinates, "kid")
    if not all(isinstance(key.get(member), str) and 0 < len(key[member]) <= LONGEST_NAME for member in kept):
        raise InvalidRegistration("jwks: member")
    if any(not _is_coordinate(key[member]) for member in coordinates):
        raise InvalidRegistration("jwks: coordinate")
    return {member: key[member] for member in kept}


def _is_coordinate(text: str) -> bool:
    try:
        return len(urlsafe_b64decode(text + "=" * (-len(text) % 4))) == _COORDINATE_BYTES
    except ValueError:
        return False
