"""Guardians: who may consent for a minor at a brand, on what proof, and until when.

Both are subjects that the brand knows; the day on which the minor comes of age lies sealed, because it is a birth date
by another name. A link opens nothing by itself: it lets a consent of the guardian count (`vault.consents`), and only
while the subject is a minor (`policies.floors`). When the day has come the link is due for review, and what the
guardian gave has to be asked of the person anew (`vault.consentterms`).
"""

import datetime as dt
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final, NamedTuple

from sqlalchemy import bindparam, select, update

from audit.entry import Act, Actor, ActorKind, Asker, Entry, Outcome
from vault import locked, references
from vault.errors import Conflict, IntegrityFailure, InvalidFields, UnknownReference, VaultError
from vault.locked import Locked
from vault.store.bulk import insert_rows
from vault.store.keysets import padded
from vault.store.tables import metadata
from vault.unit import UnitOfWork, Vault, settled

LATEST_YEARS: Final = 22  # nobody is a minor for longer
_HASH_BYTES: Final = 32

_LINK = metadata.tables["guardian_link"]
_STANDING: Final = select(_LINK.c.subject_id, _LINK.c.brand, _LINK.c.guardian_id).where(
    _LINK.c.subject_id.in_(bindparam("subjects", expanding=True)), _LINK.c.ended_at.is_(None)
)
_END: Final = (
    update(_LINK)
    .where(
        _LINK.c.subject_id == bindparam("at_subject"),
        _LINK.c.brand == bindparam("at_brand"),
        _LINK.c.guardian_id == bindparam("at_guardian"),
        _LINK.c.ended_at.is_(None),
    )
    .values(ended_at=bindparam("at"))
)
_PAGE: Final = (
    select(_LINK.c.id, _LINK.c.subject_id, _LINK.c.brand, _LINK.c.guardian_id, _LINK.c.of_age_sealed)
    .where(_LINK.c.id > bindparam("after"), _LINK.c.ended_at.is_(None), _LINK.c.due_at.is_(None))
    .order_by(_LINK.c.id)
    .limit(200)
)
_MATURE: Final = update(_LINK).where(_LINK.c.id == bindparam("of_link")).values(due_at=bindparam("at"))
_DUE: Final = (
    select(_LINK.c.subject_id)
    .where(_LINK.c.brand == bindparam("at_brand"), _LINK.c.ended_at.is_(None), _LINK.c.due_at.is_not(None))
    .order_by(_LINK.c.due_at, _LINK.c.subject_id)
    .limit(500)
)


class Standing(NamedTuple):
    """A link that stands: its day is opened by `of_age_on`."""

    id: bytes
    subject: bytes
    brand: str
    guardian: bytes
    sealed: bytes


class Proof(StrEnum):
    """What the brand was shown."""

    FAMILY_RECORD = "family_record"
    BIRTH_CERTIFICATE = "birth_certificate"
    COURT_ORDER = "court_order"
    DECLARATION = "declaration"


@dataclass(frozen=True, slots=True)
class Link:
    """A guardian to be linked to a minor. `proof_hash` is SHA-256 of what the brand keeps as proof."""

    reference: str = field(repr=False)
    guardian: str = field(repr=False)
    brand: str
    system_id: str
    proof: Proof
    proof_hash: bytes = field(repr=False)
    of_age_on: dt.date = field(repr=False)
    asker: Asker | None = None  # who stands behind the system, if it named them


@dataclass(frozen=True, slots=True)
class End:
    """A link that ends: the guardian changed, or the review at majority is done."""

    reference: str = field(repr=False)
    guardian: str = field(repr=False)
    brand: str
    system_id: str
    asker: Asker | None = None  # who stands behind the system, if it named them


def link(uow: UnitOfWork, links: Sequence[Link]) -> list[bytes | VaultError]:
    """Link guardians; returns the log entries. An item fails with `UnknownReference` (of either), `InvalidFields` or `Conflict`."""
    pairs = _resolve(uow, links)
    subjects = {minor.subject for minor, _ in pairs if minor is not None}
    standing = _standing(uow, subjects)
    rows: list[dict[str, object]] = []
    outcomes: list[bytes | VaultError] = []
    for asked, (minor, guardian) in zip(links, pairs, strict=True):
        if minor is None or guardian is None:
            outcomes.append(UnknownReference())
            continue
        if problems := _problems(uow, asked, minor, guardian):
            outcomes.append(InvalidFields(tuple(problems)))
            continue
        at = (minor.subject, asked.brand, guardian)
        if at in standing:
            outcomes.append(Conflict("guardian_link"))
            continue
        standing.add(at)
        day = asked.of_age_on.isoformat().encode()
        # Deterministic sealing is safe here: the context is one link's own, so equal days of two people never match.
        (sealed,) = uow.vault.keys.seal(f"guardian/{asked.brand}", [(minor.subject + guardian, day)])
        rows.append(
            {
                "id": uow.vault.entropy.bytes(16),
                "shard": minor.shard,
                "subject_id": minor.subject,
                "guardian_id": guardian,
                "brand": asked.brand,
                "proof": asked.proof.value,
                "proof_hash": asked.proof_hash,
                "of_age_sealed": sealed,
                "system_id": asked.system_id,
                "linked_at": uow.now,
                "due_at": None,
                "ended_at": None,
            }
        )
        outcomes.append(uow.record(_entry(Act.GUARDIAN_LINKED, asked), log_key=minor.log_key))
    insert_rows(uow.conn, _LINK, rows)
    return outcomes


def end(uow: UnitOfWork, ends: Sequence[End]) -> list[bytes | VaultError]:
    """End links; returns the log entries. An item fails with `UnknownReference`, also where there is no such link."""
    outcomes: list[bytes | VaultError] = []
    for asked, (minor, guardian) in zip(ends, _resolve(uow, ends), strict=True):
        if minor is None or guardian is None:
            outcomes.append(UnknownReference())
            continue
        at = {"at_subject": minor.subject, "at_brand": asked.brand, "at_guardian": guardian, "at": uow.now}
        if not uow.conn.execute(_END, at).rowcount:
            outcomes.append(UnknownReference())
            continue
        outcomes.append(uow.record(_entry(Act.GUARDIAN_ENDED, asked), log_key=minor.log_key))
    return outcomes


def due(uow: UnitOfWork, asked: Sequence[tuple[str, Actor]]) -> list[list[str] | VaultError]:
    """Return, per (brand, who asks), the references of those come of age whose links wait for review; at most 500."""
    answers: list[list[str] | VaultError] = []
    for brand, actor in asked:
        subjects = list(dict.fromkeys(uow.conn.scalars(_DUE, {"at_brand": brand})))
        found = [each for each in references.of(uow, brand, subjects) if each is not None]
        uow.record(Entry(Act.GUARDIAN_LISTED, Outcome.ALLOW, actor, n=len(found)))
        answers.append(found)
    return answers


links = settled(link)
ends = settled(end)


def guarded(uow: UnitOfWork, subjects: Collection[bytes]) -> frozenset[tuple[bytes, str]]:
    """Return the (subject, brand) pairs for which a guardian may speak."""
    return frozenset((subject, brand) for subject, brand, _ in _standing(uow, subjects))


def standing_pages(vault: Vault) -> Iterator[Sequence[Standing]]:
    """Give all links that stand and are not due for review yet, in small pages."""
    after = b""
    while True:
        with vault.reading() as conn:
            page = [Standing(*row) for row in conn.execute(_PAGE, {"after": after})]
        if not page:
            return
        yield page
        after = page[-1].id


def mature(uow: UnitOfWork, link: Standing, minor: Locked) -> None:
    """Mark a link as due for review, because the minor has come of age."""
    uow.conn.execute(_MATURE, {"of_link": link.id, "at": uow.now})
    entry = Entry(Act.GUARDIAN_MATURED, Outcome.ALLOW, Actor(ActorKind.VAULT, uow.vault.deployment))
    uow.record(entry, log_key=minor.log_key)


def of_age_on(uow: UnitOfWork, link: Standing) -> dt.date:
    """Open the day of a link. Raises `IntegrityFailure` for an altered row."""
    (day,) = uow.vault.keys.open(f"guardian/{link.brand}", [(link.subject + link.guardian, link.sealed)])
    if day is None:
        raise IntegrityFailure
    return dt.date.fromisoformat(day.decode())


def _standing(uow: UnitOfWork, subjects: Collection[bytes]) -> set[tuple[bytes, str, bytes]]:
    if not subjects:
        return set()
    found = uow.conn.execute(_STANDING, {"subjects": padded(sorted(subjects))})
    return {(row.subject_id, row.brand, row.guardian_id) for row in found}


def _resolve(uow: UnitOfWork, asked: Sequence[Link] | Sequence[End]) -> list[tuple[Locked | None, bytes | None]]:
    minors = locked.by_reference(uow, [(each.brand, each.reference) for each in asked])
    guardians = references.locate(uow, [(each.brand, each.guardian) for each in asked])
    return [
        (minor if isinstance(minor, Locked) else None, guardian)
        for minor, guardian in zip(minors, guardians, strict=True)
    ]


def _problems(uow: UnitOfWork, asked: Link, minor: Locked, guardian: bytes) -> list[tuple[str, str]]:
    today = dt.datetime.fromtimestamp(uow.now, dt.UTC).date()
    found: list[tuple[str, str]] = []
    if minor.subject == guardian:
        found.append(("guardian", "not_another_person"))
    if len(asked.proof_hash) != _HASH_BYTES:
        found.append(("proof_hash", "not_a_hash"))
    if not today < asked.of_age_on <= today.replace(year=today.year + LATEST_YEARS, day=1):
        found.append(("of_age_on", "not_in_a_minors_future"))
    return found


def _entry(act: Act, asked: Link | End) -> Entry:
    return Entry(act, Outcome.ALLOW, Actor(ActorKind.SYSTEM, asked.system_id, asker=asked.asker))
