"""Officers' signatures: the one way in which an officer stands for an act of governance, checked here and nowhere else.

What is signed names the deployment, the act, the thing, the hash of all that thing says, the officer and the officer's own
running number: a signature can be moved to nothing else, and is good once. Whoever knows a password, or writes a command
line, has none of it. Signatures are kept with what they cover, so that what two officers decided can be checked again.
"""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from typing import Any, Final

from sqlalchemy import Connection, func, select
from sqlmodel import col

from audit.entry import UNKNOWN, Act, Actor, ActorKind, Entry, Outcome
from policies.errors import PolicyError
from vault import officers
from vault.errors import (
    NotSigned,
    UnknownCase,
    UnknownOfficer,
    UnknownProposal,
    UnknownRequest,
    UnknownSystem,
    UnknownVersion,
    VaultError,
)
from vault.governance import officerkeys
from vault.governance.officerkeys import Signatory
from vault.officers import OfficerStatus, Role
from vault.store.bulk import insert_rows
from vault.store.tables import OfficerSignature
from vault.unit import UnitOfWork, Vault, record_apart

Sign = Callable[[bytes], bytes]
"""Makes a signature over a text: with a key at hand, or by handing over one made elsewhere."""

_UNKNOWN_THING: Final = (UnknownCase, UnknownProposal, UnknownRequest, UnknownSystem, UnknownVersion)


@dataclass(frozen=True, slots=True)
class Matter:
    """What officers decide on: by which parts, who may take each, and whose signature each must not be.

    `apart` names, for a part, the parts that the same officer must not have taken: nobody approves their own.
    """

    name: str
    may: Mapping[str, frozenset[Role]]
    apart: Mapping[str, frozenset[str]] = field(default_factory=dict)
    founders: bool = False


@dataclass(frozen=True, slots=True)
class Thing:
    """One thing to be signed for: its id as the log writes it, and SHA-256 of all it says, 32 bytes."""

    matter: Matter
    id: str
    says: bytes


@dataclass(frozen=True, slots=True)
class Signed:
    """A signature as kept. `number` is the officer's own count of acts, from 1."""

    thing: Thing
    part: str
    officer_id: str
    number: int

    def text(self, deployment: str) -> bytes:
        """Return the text that the officer signs, ASCII, each line ended by a line feed (docs/formats.md)."""
        thing = self.thing
        lines: tuple[str, ...]
        if thing.matter.name == "policy":  # as since the first version: what is in force was signed so
            lines = (f"version: {thing.id}", f"part: {self.part}", f"bundle: {thing.says.hex()}")
            return _text("ecrin-policy-signature v1", deployment, lines)
        lines = (
            f"act: {thing.matter.name}.{self.part}",
            f"on: {thing.id}",
            f"says: {thing.says.hex()}",
            f"officer: {self.officer_id}",
            f"number: {self.number}",
        )
        return _text("ecrin-officer-act v1", deployment, lines)


def add(uow: UnitOfWork, thing: Thing, part: str, officer_id: str, sign: Sign) -> tuple[str, ...]:
    """Check and keep an officer's signature over a part; return what an entry says of it: key and number.

    Raises `UnknownOfficer`, or `NotSigned`: another text, the wrong role, a founder, or who took the other part.
    """
    matter = thing.matter
    others = signers(uow.conn, matter, [thing.id]).get(thing.id, {})
    if officer_id in {others.get(each) for each in matter.apart.get(part, ())}:
        raise NotSigned("nobody approves their own")
    signer = signatory(uow.conn, matter, part, officer_id)
    signed = Signed(thing, part, officer_id, next_number(uow.conn, officer_id))
    text = signed.text(uow.vault.deployment)
    signature = sign(text)
    signer.check(text, signature)
    row: dict[str, Any] = {"officer_id": officer_id, "number": signed.number, "matter": matter.name, "thing": thing.id}
    row |= {"part": part, "says": thing.says, "fingerprint": signer.fingerprint, "signature": signature}
    # Two acts of one officer at once meet in the primary key, and one of them is tried anew.
    insert_rows(uow.conn, OfficerSignature, [row | {"signed_at": uow.now}])
    return f"key:{signer.fingerprint}", f"number:{signed.number}"


def signatory(conn: Connection, matter: Matter, part: str, officer_id: str) -> Signatory:
    """Return an officer who may take a part. Raises `UnknownOfficer`, or `NotSigned` for another role or a founder."""
    entitled(conn, matter, part, officer_id)
    return officerkeys.signatory(conn, officer_id)


def entitled(conn: Connection, matter: Matter, part: str, officer_id: str) -> None:
    """Raise as `signatory` unless the officer may take a part, with a key or, where a session vouches, without one."""
    officer = officers.get(conn, officer_id)
    if officer is None or officer.status is not OfficerStatus.ACTIVE:
        raise UnknownOfficer
    if officer_id in officers.FOUNDERS and not matter.founders:
        raise NotSigned("a founder signs policy versions and nothing else")
    if officer.role not in matter.may[part]:
        raise NotSigned(f"the role {officer.role} does not cover this")


def check(conn: Connection, deployment: str, thing: Thing, parts: Collection[str]) -> None:
    """Raise `NotSigned` unless different officers, with keys that are theirs, signed just this thing for these parts."""
    rows = [each for each in _rows(conn, thing.matter, [thing.id]) if each.part in parts]
    if sorted(each.part for each in rows) != sorted(parts):
        raise NotSigned("a signature that this needs is missing")
    if len({each.officer_id for each in rows}) != len(rows) or len({each.fingerprint for each in rows}) != len(rows):
        raise NotSigned("nobody approves their own")
    for row in rows:
        text = Signed(thing, row.part, row.officer_id, row.number).text(deployment)
        officerkeys.verify(officerkeys.key_of(conn, row.officer_id, row.fingerprint), text, row.signature)


def signers(conn: Connection, matter: Matter, ids: Sequence[str] | None = None) -> dict[str, dict[str, str]]:
    """Return who took which part last: id of the thing -> part -> officer. Of all things where no ids are given."""
    found: dict[str, dict[str, str]] = {}
    for row in _rows(conn, matter, ids):
        found.setdefault(row.thing, {})[row.part] = row.officer_id
    return found


def said(conn: Connection, matter: Matter, thing_id: str, part: str) -> Thing:
    """Return a thing as it was signed for under a part; where nobody took that, as one that says 32 zero bytes."""
    says = [row.says for row in _rows(conn, matter, [thing_id]) if row.part == part]
    return Thing(matter, thing_id, says[0] if says else bytes(32))


def things(conn: Connection, matter: Matter, ids: Sequence[str], part: str) -> dict[str, Thing]:
    """Return things by their ids, as they were signed for under a part; those that nobody took it of are left out."""
    return {row.thing: Thing(matter, row.thing, row.says) for row in _rows(conn, matter, ids) if row.part == part}


def next_text(conn: Connection, deployment: str, thing: Thing, part: str, officer_id: str) -> bytes:
    """Return what an officer signs next for a part of a thing."""
    return Signed(thing, part, officer_id, next_number(conn, officer_id)).text(deployment)


def next_number(conn: Connection, officer_id: str) -> int:
    """Return the number that an officer's next act carries."""
    last = select(func.max(col(OfficerSignature.number))).where(col(OfficerSignature.officer_id) == officer_id)
    return int(conn.scalar(last) or 0) + 1


def actor(officer_id: str) -> Actor:
    """Name an officer as the log's entries do."""
    return Actor(ActorKind.OFFICER, officer_id)


def denials(vault: Vault, act: Act, officer_id: str, said: tuple[str, ...]) -> AbstractContextManager[None]:
    """Record an officer's act that was turned away: `turned_away`."""
    return turned_away(vault, act, actor(officer_id), said)


@contextmanager
def turned_away(vault: Vault, act: Act, by: Actor, said: tuple[str, ...]) -> Iterator[None]:
    """Record an act that was turned away, as `act` with the outcome `deny`, in a unit of its own.

    An id that is no officer's is not repeated, nor is the name of a thing that there is not: they are whatever somebody
    typed. What failed for the store's or the keys' sake, and may be tried again, is no denial.
    """
    try:
        yield
    except (VaultError, PolicyError) as error:
        if isinstance(error, VaultError) and error.retryable:
            raise
        if by.kind is ActorKind.OFFICER:
            with vault.reading() as conn:
                known = officers.is_id(by.id) and officers.get(conn, by.id) is not None
            by = by if known else UNKNOWN
        named = () if isinstance(error, _UNKNOWN_THING) else said
        prefix = act.partition(".")[0]
        record_apart(vault, [(Entry(act, Outcome.DENY, by, pol=(*named, f"{prefix}.{error.code}")), None)])
        raise


def _rows(conn: Connection, matter: Matter, ids: Sequence[str] | None) -> Sequence[Any]:
    rows = select(OfficerSignature.__table__).where(col(OfficerSignature.matter) == matter.name)  # type: ignore[attr-defined]
    if ids is not None:
        rows = rows.where(col(OfficerSignature.thing).in_(ids))
    return conn.execute(rows.order_by(col(OfficerSignature.signed_at), col(OfficerSignature.number))).all()


def _text(title: str, deployment: str, lines: tuple[str, ...]) -> bytes:
    return "".join(f"{line}\n" for line in (title, f"deployment: {deployment}", *lines)).encode("ascii")
