"""Requests: from the moment one is durable, what it names is denied to everybody; the destruction follows.

The request's unit closes the compartments, deletes their search tokens, steps the subject's epoch (which kills every
token) and queues the leaves. A single field that nothing holds back is deleted then and there, and its compartment
re-keyed. What a hold or a law holds back is denied all the same: keeping is not using.

Only after COMMIT are the leaves given to the key service, which refuses them from then on; `vault.erasure.settling`
repeats that for a process that died in between.
"""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from sqlalchemy import bindparam, select, update

from audit.entry import Act, Actor, Entry, Outcome, commitment
from policies.catalogue import Catalogue, field_ids
from vault import joins, leftleaves, outbox, references, searchepochs, suppression
from vault.compartments import ACTIVE, ERASING
from vault.erasure import keeping, records, statements
from vault.erasure.keeping import Filled, Kept
from vault.erasure.records import LOG_LEAF, Cause, ErasureState, Leaf, LeafState, Pending, Person, Scope
from vault.erasure.rekeying import delete_field
from vault.erasure.settling import queue
from vault.errors import KeyUnavailable, NothingToErase, UnknownReference, VaultError
from vault.findable import Findable
from vault.governance import cases
from vault.keys.service import Slot
from vault.requests import content
from vault.store.bulk import insert_rows
from vault.store.engine import clear_journal
from vault.store.tables import metadata
from vault.unit import UnitOfWork, Vault, execute, settled

ERASURE_BYTES: Final = 16

_SUBJECT: Final = metadata.tables["subject"]
_COMPARTMENT: Final = metadata.tables["compartment"]
_VALUE: Final = metadata.tables["field_value"]
_TOKEN: Final = metadata.tables["search_token"]
_ERASURE: Final = metadata.tables["erasure"]
_LEAF: Final = metadata.tables["erasure_leaf"]

_STEP: Final = (
    update(_SUBJECT)
    .where(_SUBJECT.c.id == bindparam("of_subject"))
    .values(epoch=_SUBJECT.c.epoch + 1, version=_SUBJECT.c.version + 1, state=bindparam("to_state"))
)
_OF_FIELD: Final = (
    _VALUE.c.subject_id == bindparam("of_subject"),
    _VALUE.c.category_id == bindparam("of_category"),
    _VALUE.c.field_id == bindparam("of_field"),
)
_ANY: Final = select(_VALUE.c.version).where(*_OF_FIELD).limit(1)
_WITHHOLD: Final = update(_VALUE).where(*_OF_FIELD).values(current=False)


@dataclass(frozen=True, slots=True)
class Erase:
    """What to erase. Ids of the catalogue; both 0 for the whole subject. Make it by `erase_whole` and its sisters."""

    subject: bytes = field(repr=False)
    actor: Actor
    scope: Scope = Scope.SUBJECT
    category_id: int = 0
    field_id: int = 0
    cause: Cause = Cause.REQUEST
    again: bool = False  # a log outside says that it was asked for before: the entry tells so


@dataclass(frozen=True, slots=True)
class Requested:
    """A request that is durable: its id, and what is kept back for now. `entry` is None if it stood already."""

    erasure: bytes
    state: ErasureState
    kept: tuple[Kept, ...]
    entry: bytes | None


def of_category(catalogue: Catalogue, subject: bytes, name: str, actor: Actor) -> Erase:
    """Name a category. Raises `policies.errors.UnknownCategory`."""
    return Erase(subject, actor, Scope.CATEGORY, catalogue.category(name).id)


def of_field(catalogue: Catalogue, subject: bytes, name: str, actor: Actor) -> Erase:
    """Name a field: all its values, current and past, of every brand. Raises `policies.errors.UnknownField`."""
    found = catalogue.field(name)
    return Erase(subject, actor, Scope.FIELD, found.category_id, found.id)


def behind(vault: Vault, brand: str, reference: str) -> bytes:
    """Return the subject behind a brand's reference, in whatever state: for officers, never for a brand.

    Raises `UnknownReference`.
    """
    with vault.unit() as uow:
        (subject,) = references.resolve(uow, brand, [reference])
    if subject is None:
        raise UnknownReference
    return subject


def erase(vault: Vault, asked: Sequence[Erase]) -> list[Requested | VaultError]:
    """Take in requests: one answer each. An item fails with `UnknownReference` or `NothingToErase`.

    Asked for twice, a request is answered with the erasure that is under way. When this returns the leaves are refused
    by every key service.
    """
    answers = execute(vault, settled(request), asked)
    queue(vault, [each.erasure for each in answers if isinstance(each, Requested)])
    leftleaves.retire_left(vault)  # of what the person had written into requests, and of what re-keying left behind
    clear_journal(vault.engine)  # search tokens and single fields are deleted by now
    return answers


def request(uow: UnitOfWork, asked: Sequence[Erase]) -> list[Requested | VaultError]:
    """Make requests durable. The caller queues their leaves after the commit."""
    searchepochs.writing(uow)
    people = records.lock_people(uow, {each.subject for each in asked})
    answers: list[Requested | VaultError] = []
    requests = _Requests(uow, people, {each.subject for each in asked if each.cause is Cause.REQUEST} & people.keys())
    for each in asked:
        person = people.get(each.subject)
        answers.append(UnknownReference() if person is None else requests.take(each, person))
    requests.flush()
    return answers


class _Requests:
    """The requests of one unit, in order: a later one sees what an earlier one closed."""

    def __init__(self, uow: UnitOfWork, people: dict[bytes, Person], asking: Collection[bytes]) -> None:
        self.uow = uow
        self.bundle = uow.vault.bundle  # once: a policy load may swap it while the batch runs
        self.catalogue = self.bundle.catalogue
        # Of people who ask themselves; and now, because a single field's values are gone once it is taken.
        self.addresses = suppression.held(uow, self.bundle, asking)
        self.suppressed: list[Findable] = []
        self.filled = keeping.filled(uow.conn, list(people))
        self.kept = keeping.kept(uow.conn, self.catalogue, self.filled, uow.now)
        self.log_keys = records.log_keys(uow, list(people.values()))
        self.erasing = {each.subject for each in people.values() if each.state != ACTIVE}
        self.closed: list[dict[str, Any]] = []
        self.unfound: list[dict[str, Any]] = []
        self.stepped: dict[bytes, str] = {}
        self.erasures: list[dict[str, Any]] = []
        self.leaves: list[dict[str, Any]] = []

    def take(self, asked: Erase, person: Person) -> Requested | VaultError:
        """Take one request of a locked subject."""
        standing = self._standing(asked, person)
        if standing is not None:
            return standing
        log_key = self.log_keys[person.subject]
        if log_key is None:
            raise KeyUnavailable
        compartments = self.filled[person.subject]
        if asked.scope is Scope.SUBJECT:
            leaves, kept = self._close(person.subject, compartments.values())
            state = LeafState.KEPT if kept else LeafState.QUEUED
            leaves.append(Leaf(LOG_LEAF, person.log_slot, state))
            self.erasing.add(person.subject)
            self.stepped[person.subject] = ERASING
            return self._record(asked, person, log_key, leaves, kept)
        compartment = compartments.get(asked.category_id)
        if compartment is None or compartment.state != ACTIVE:
            return NothingToErase()
        if asked.scope is Scope.CATEGORY:
            leaves, kept = self._close(person.subject, [compartment])
        else:
            at = {"of_subject": person.subject, "of_category": asked.category_id, "of_field": asked.field_id}
            if self.uow.conn.execute(_ANY, at).first() is None:
                return NothingToErase()
            leaves, kept = self._take_field(at, compartment)
        self.stepped.setdefault(person.subject, ACTIVE)
        return self._record(asked, person, log_key, leaves, kept, compartment.writes)

    def flush(self) -> None:
        """Store everything."""
        conn = self.uow.conn
        if self.unfound:
            conn.execute(statements.UNFIND, self.unfound)
        if self.closed:
            conn.execute(statements.CLOSE, self.closed)
        if self.stepped:
            conn.execute(_STEP, [{"of_subject": each, "to_state": state} for each, state in self.stepped.items()])
        suppression.enter_erased(self.uow, self.bundle, self.suppressed)
        insert_rows(conn, _ERASURE, self.erasures)
        insert_rows(conn, _LEAF, self.leaves)
        leftleaves.release(self.uow, [Slot(row["slot"], row["generation"]) for row in self.leaves if _goes(row)])
        going = [each for each, state in self.stepped.items() if state == ERASING]
        for forget in (content.forget_people, cases.forget_people, joins.forget_people):
            forget(self.uow, going)
        outbox.queue_erased(self.uow, [(row["subject_id"], self._told(row), row["id"]) for row in self.erasures])

    def _told(self, row: dict[str, Any]) -> dict[str, str | int]:
        """Say what is erased, as brands hear it: by names of the catalogue."""
        scope = Scope(row["scope"])
        if scope is Scope.SUBJECT:
            return {"scope": scope.value}
        if scope is Scope.CATEGORY:
            return {"scope": scope.value, "category": self.catalogue.category_by_id(row["category_id"]).name}
        return {"scope": scope.value, "field": self.catalogue.field_by_id(row["field_id"]).name}

    def _standing(self, asked: Erase, person: Person) -> Requested | VaultError | None:
        """Answer a request for what is being erased already."""
        if person.subject in self.erasing:
            wanted = (Scope.SUBJECT, 0, 0)
        elif asked.scope is Scope.SUBJECT:
            return None
        else:
            wanted = (asked.scope, asked.category_id, asked.field_id)
        if any(row["subject_id"] == person.subject and _what(row) == wanted for row in self.erasures):
            return NothingToErase()  # twice in one batch
        for pending in records.lock_pending(self.uow, records.ids_of(self.uow.conn, person.subject)):
            if (pending.scope, pending.category_id, pending.field_id) == wanted and (
                pending.scope is not Scope.FIELD or pending.waits
            ):
                kept = self._kept(person.subject, pending)
                return Requested(pending.id, pending.state, kept, None)
        return NothingToErase() if person.subject in self.erasing else None

    def _kept(self, subject: bytes, pending: Pending) -> tuple[Kept, ...]:
        categories = {each.category_id for each in pending.leaves if each.state is LeafState.KEPT}
        if pending.waits:
            categories.add(pending.category_id)
        return tuple(
            kept for (whose, category), kept in self.kept.items() if whose == subject and category in categories
        )

    def _close(self, subject: bytes, compartments: Iterable[Filled]) -> tuple[list[Leaf], list[Kept]]:
        leaves, kept = [], []
        for each in compartments:
            back = self.kept.get((subject, each.category_id))
            leaves.append(Leaf(each.category_id, each.slot, LeafState.QUEUED if back is None else LeafState.KEPT))
            kept += [] if back is None else [back]
            self.closed.append({"of_subject": subject, "of_category": each.category_id})
            owned = field_ids(each.category_id)
            self.unfound.append({"of_subject": subject, "first": owned[0], "last": owned[-1]})
            self.filled[subject] = self.filled[subject] | {each.category_id: each._replace(state=ERASING)}
        return leaves, kept

    def _take_field(self, at: dict[str, Any], compartment: Filled) -> tuple[list[Leaf], list[Kept]]:
        subject, number = at["of_subject"], at["of_field"]
        self.unfound.append({"of_subject": subject, "first": number, "last": number})
        back = self.kept.get((subject, compartment.category_id))
        if back is not None:
            self.uow.conn.execute(_WITHHOLD, at)
            return [], [back]
        left = delete_field(self.uow, number, compartment.writes, compartment)
        self.filled[subject] = keeping.filled(self.uow.conn, [subject])[subject]
        return [left], []

    def _record(
        self,
        asked: Erase,
        person: Person,
        log_key: bytes,
        leaves: Sequence[Leaf],
        kept: Sequence[Kept],
        through: int = 0,
    ) -> Requested:
        uow = self.uow
        # Why safe: 128 random bits.
        erasure = uow.vault.entropy.bytes(ERASURE_BYTES)
        state = ErasureState.PARTIAL if kept else ErasureState.REQUESTED
        held = self.addresses if asked.cause is Cause.REQUEST else []
        going = suppression.going(held, asked.subject, asked.category_id, asked.field_id)
        self.suppressed += going
        self.erasures.append(
            {
                "id": erasure,
                "shard": person.shard,
                "subject_id": person.subject,
                "scope": asked.scope.value,
                "category_id": asked.category_id,
                "field_id": asked.field_id,
                "through": through,
                "cause": asked.cause.value,
                "requested_by": asked.actor.id,
                "requested_at": uow.now,
                "commitment": commitment(log_key),
                "state": state.value,
                "epoch": None,
                "entry_id": None,
                "certificate": None,
                "listed_until": suppression.known_until(self.bundle, uow.now) if going else None,
            }
        )
        self.leaves += [records.leaf_row(erasure, each) for each in leaves]
        names = records.what_log(self.catalogue, asked.scope, asked.category_id, asked.field_id)
        back = (f"kept.{each.because}:{keeping.name_of(self.catalogue, each.category_id)}" for each in kept)
        listed = ("erasure.suppressed",) if going else ()
        anew = ("erasure.again",) if asked.again else ()
        why = (f"erasure.{asked.cause}", f"erasure.{asked.scope}", *anew, *listed, *back)
        entry = Entry(Act.ERASURE_REQUESTED, Outcome.ALLOW, asked.actor, names, pol=why, n=len(leaves))
        recorded = uow.record(entry, log_key=log_key)
        if asked.scope is Scope.FIELD and leaves:
            uow.record(Entry(Act.FIELD_DELETED, Outcome.ALLOW, asked.actor, names), log_key=log_key)
        return Requested(erasure, state, tuple(kept), recorded)


def _goes(leaf: dict[str, Any]) -> bool:
    return LeafState(leaf["state"]) is LeafState.QUEUED


def _what(row: dict[str, Any]) -> tuple[Scope, int, int]:
    return Scope(row["scope"]), row["category_id"], row["field_id"]
