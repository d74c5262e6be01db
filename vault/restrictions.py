"""Restrictions of processing (GDPR Art. 18): placed and lifted at a brand, each on one of the law's four grounds.

While any stands, at whatever brand, the subject is restricted for everybody: one person's values are shared between
brands, and a limit that one of them could see past would be none. `policies.floors` then lets legal claims through alone
(Art. 18(2)), and only a decision made anew: placing the first steps the epoch that all tokens carry. Brands' systems are
told of the first and of the end, never of the ground (Art. 19). Storing goes on: values may be corrected, and nothing is
destroyed because its time is over (`vault.erasure.retention`). Restricting and lifting again changes nothing twice.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

from sqlalchemy import Connection, bindparam, select, update

from audit.entry import Act, Actor, Entry, Outcome
from vault import locked, outbox
from vault.errors import UnknownReference, UnknownRestriction, VaultError
from vault.locked import Locked
from vault.outbox import EventKind
from vault.recovery import reindex
from vault.store.bulk import insert_rows
from vault.store.keysets import padded
from vault.store.tables import metadata
from vault.unit import UnitOfWork, settled

_ID: Final = 16
_VAULTS_OWN: Final = ""  # where a brand stands: nobody asked for it, a restore found a person in doubt

_SUBJECT: Final = metadata.tables["subject"]
_RESTRICTION: Final = metadata.tables["restriction"]
_STANDING: Final = select(_RESTRICTION.c.subject_id, _RESTRICTION.c.brand, _RESTRICTION.c.reason).where(
    _RESTRICTION.c.subject_id.in_(bindparam("subjects", expanding=True)), _RESTRICTION.c.lifted_at.is_(None)
)
_LIFT: Final = (
    update(_RESTRICTION)
    .where(
        _RESTRICTION.c.subject_id == bindparam("at_subject"),
        _RESTRICTION.c.brand == bindparam("at_brand"),
        _RESTRICTION.c.reason == bindparam("at_reason"),
        _RESTRICTION.c.lifted_at.is_(None),
    )
    .values(lifted_by=bindparam("by"), lifted_at=bindparam("at"))
)
_CLOSE: Final = (
    update(_SUBJECT)
    .where(_SUBJECT.c.id.in_(bindparam("subjects", expanding=True)))
    .values(restricted=True, epoch=_SUBJECT.c.epoch + 1)
)
# The epoch is not stepped back: what died with the restriction stays dead.
_OPEN: Final = update(_SUBJECT).where(_SUBJECT.c.id.in_(bindparam("subjects", expanding=True))).values(restricted=False)
_ALL: Final = select(_RESTRICTION).order_by(_RESTRICTION.c.placed_at, _RESTRICTION.c.id)


class Ground(StrEnum):
    """On what ground: one of those that Art. 18(1) names, or the vault's own."""

    ACCURACY_CONTESTED = "accuracy_contested"  # (a), until it is verified
    UNLAWFUL = "unlawful"  # (b), and the person does not want it erased
    NEEDED_FOR_CLAIM = "needed_for_claim"  # (c), by the person; the brand needs it no more
    OBJECTION_PENDING = "objection_pending"  # (d), until it is clear whose grounds weigh more
    RESTORED = "restored"  # a restore found that most of the person had been erased since: an officer decides


@dataclass(frozen=True, slots=True)
class Restrict:
    """A restriction asked for at a brand. On `Ground.RESTORED` nobody can ask for one."""

    brand: str
    reference: str = field(repr=False)
    ground: Ground
    actor: Actor


@dataclass(frozen=True, slots=True)
class Lift:
    """The end of a brand's restriction, or for `Ground.RESTORED` of the vault's own, which only officers may ask for.

    Whoever asks has told the person before (Art. 18(3)): the entry says so.
    """

    brand: str
    reference: str = field(repr=False)
    ground: Ground
    actor: Actor


@dataclass(frozen=True, slots=True)
class Restricted:
    """The subject, whether a restriction still stands, at whatever brand (for officers alone), and the log entry."""

    subject: bytes = field(repr=False)
    stands: bool
    entry: bytes


@dataclass(frozen=True, slots=True)
class Restriction:
    """A restriction as listed. `brand` is empty for the vault's own."""

    brand: str
    ground: Ground
    placed_by: str
    placed_at: int
    lifted_by: str | None
    lifted_at: int | None


def restrict(uow: UnitOfWork, asked: Sequence[Restrict]) -> list[Restricted | VaultError]:
    """Place restrictions. An item fails with `UnknownReference`, or `UnknownRestriction` for a ground nobody can give."""
    rows = locked.by_reference(uow, [(each.brand, each.reference) for each in asked])
    standing = _standing(uow, {row.subject for row in rows if isinstance(row, Locked)})
    added: list[dict[str, object]] = []
    closed: list[bytes] = []
    outcomes: list[Restricted | VaultError] = []
    for each, row in zip(asked, rows, strict=True):
        if isinstance(row, UnknownReference) or each.ground is Ground.RESTORED:
            uow.record(Entry(Act.SUBJECT_RESTRICTED, Outcome.DENY, each.actor))
            outcomes.append(row if isinstance(row, UnknownReference) else UnknownRestriction())
            continue
        mine = standing.setdefault(row.subject, set())
        if not mine:
            closed.append(row.subject)
        if (each.brand, each.ground) not in mine:
            mine.add((each.brand, each.ground))
            added.append(as_row(uow, row.subject, row.shard, each.brand, each.ground, each.actor))
        entry = Entry(Act.SUBJECT_RESTRICTED, Outcome.ALLOW, each.actor, pol=(f"restriction.{each.ground}",))
        outcomes.append(Restricted(row.subject, stands=True, entry=uow.record(entry, log_key=row.log_key)))
    insert_rows(uow.conn, _RESTRICTION, added)
    if closed:
        uow.conn.execute(_CLOSE, {"subjects": padded(sorted(closed))})
        outbox.queue_for_all(uow, EventKind.RESTRICTED, [(subject, {}) for subject in closed])
    return outcomes


def lift(uow: UnitOfWork, asked: Sequence[Lift]) -> list[Restricted | VaultError]:
    """Lift restrictions. An item fails with `UnknownReference`, or `UnknownRestriction` where no such one stands."""
    rows = locked.by_reference(uow, [(each.brand, each.reference) for each in asked])
    standing = _standing(uow, {row.subject for row in rows if isinstance(row, Locked)})
    opened: list[bytes] = []
    outcomes: list[Restricted | VaultError] = []
    for each, row in zip(asked, rows, strict=True):
        brand = _VAULTS_OWN if each.ground is Ground.RESTORED else each.brand
        if isinstance(row, UnknownReference) or (brand, each.ground) not in standing.get(row.subject, ()):
            uow.record(Entry(Act.SUBJECT_RESTRICTION_LIFTED, Outcome.DENY, each.actor))
            outcomes.append(row if isinstance(row, UnknownReference) else UnknownRestriction())
            continue
        at = {"at_subject": row.subject, "at_brand": brand, "at_reason": each.ground.value}
        uow.conn.execute(_LIFT, at | {"by": each.actor.id, "at": uow.now})
        mine = standing[row.subject]
        mine.remove((brand, each.ground))
        if not mine:
            opened.append(row.subject)
        if each.ground is Ground.RESTORED:
            reindex.again(uow, [row.subject])  # nobody in doubt is in an index
        told = (f"restriction.{each.ground}", "restriction.person_informed")
        entry = Entry(Act.SUBJECT_RESTRICTION_LIFTED, Outcome.ALLOW, each.actor, pol=told)
        outcomes.append(Restricted(row.subject, stands=bool(mine), entry=uow.record(entry, log_key=row.log_key)))
    if opened:
        uow.conn.execute(_OPEN, {"subjects": padded(sorted(opened))})
        outbox.queue_for_all(uow, EventKind.UNRESTRICTED, [(subject, {}) for subject in opened])
    return outcomes


restrictions = settled(restrict)
liftings = settled(lift)


def listed(conn: Connection, *, lifted: bool = False) -> list[Restriction]:
    """List the restrictions that stand, or all of them; oldest first. Names nobody."""
    rows = conn.execute(_ALL if lifted else _ALL.where(_RESTRICTION.c.lifted_at.is_(None)))
    return [
        Restriction(row.brand, Ground(row.reason), row.placed_by, row.placed_at, row.lifted_by, row.lifted_at)
        for row in rows
    ]


def asked_for(conn: Connection, subjects: Sequence[bytes]) -> frozenset[bytes]:
    """Return those for whom a restriction stands that somebody asked for at a brand."""
    if not subjects:
        return frozenset()
    rows = conn.execute(_STANDING, {"subjects": padded(list(subjects))})
    return frozenset(subject for subject, brand, _ in rows if brand != _VAULTS_OWN)


def as_row(uow: UnitOfWork, subject: bytes, shard: int, brand: str, ground: Ground, actor: Actor) -> dict[str, object]:
    """Make the row of a restriction; the caller sees to the subject's flag and epoch."""
    return {
        "id": uow.vault.entropy.bytes(_ID),
        "shard": shard,
        "subject_id": subject,
        "brand": brand,
        "reason": ground.value,
        "placed_by": actor.id,
        "placed_at": uow.now,
        "lifted_by": None,
        "lifted_at": None,
    }


def _standing(uow: UnitOfWork, subjects: Collection[bytes]) -> dict[bytes, set[tuple[str, Ground]]]:
    found: dict[bytes, set[tuple[str, Ground]]] = {}
    if subjects:
        for subject, brand, reason in uow.conn.execute(_STANDING, {"subjects": padded(sorted(subjects))}):
            found.setdefault(subject, set()).add((brand, Ground(reason)))
    return found
