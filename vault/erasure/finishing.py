"""Finishing: after the old root is destroyed, the rows that nobody can open any more go, and the log says so.

Rows, the state of the erasure and the entry are one unit. The entry of a whole subject carries the commitment to its
log key, which was noted when the erasure was requested: the key itself is gone. What a crash left unfinished is found
again from the keystore's own history of destructions.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from sqlalchemy import bindparam, delete, select, update

from audit.entry import Act, Actor, ActorKind, Entry, Outcome
from vault import references, searchepochs
from vault.erasure import records, statements
from vault.erasure.keeping import filled as filled_of
from vault.erasure.keeping import name_of
from vault.erasure.records import LOG_LEAF, ErasureState, Leaf, LeafState, Pending, Scope
from vault.erasure.settling import batches
from vault.governance import cases
from vault.keys.epochs import Destroyed
from vault.keys.service import Slot
from vault.store.keysets import padded
from vault.store.tables import metadata
from vault.unit import UnitOfWork, Vault

_VALUE: Final = metadata.tables["field_value"]
_COMPARTMENT: Final = metadata.tables["compartment"]
_ERASURE: Final = metadata.tables["erasure"]
_LEAF: Final = metadata.tables["erasure_leaf"]

# What is stored of a subject and of nobody else. Tokens that name it expire, and its references go with the relations.
_OF_SUBJECT: Final = (
    "field_value",
    "compartment",
    "search_token",
    "predicate_day",
    "consent_event",
    "consent_state",
    "guardian_link",
    "contact_activity",
    "hold",
    "restriction",
    "contested_value",
    "withheld_text",
    "reviewed_text",
)
_GUARDING: Final = delete(metadata.tables["guardian_link"]).where(
    metadata.tables["guardian_link"].c.guardian_id.in_(bindparam("subjects", expanding=True))
)
_WIPE: Final = tuple(
    delete(metadata.tables[name]).where(metadata.tables[name].c.subject_id.in_(bindparam("subjects", expanding=True)))
    for name in _OF_SUBJECT
)
_UNNAME_REQUESTS: Final = (
    update(metadata.tables["subject_request"])
    .where(metadata.tables["subject_request"].c.subject_id.in_(bindparam("subjects", expanding=True)))
    .values(subject_id=None)
)
_FINISH: Final = (
    update(_ERASURE)
    .where(_ERASURE.c.id == bindparam("of_erasure"))
    .values(state=bindparam("to_state"), epoch=bindparam("to_epoch"), entry_id=bindparam("to_entry"), certificate=None)
)
_QUEUED: Final = select(_LEAF.c.erasure_id).where(_LEAF.c.state == "queued").limit(1)


def anything_queued(vault: Vault) -> bool:
    """Whether any leaf waits for its destruction, or for somebody to notice it."""
    with vault.reading() as conn:
        return conn.execute(_QUEUED).first() is not None


def finish(vault: Vault, destroyed: Iterable[Destroyed]) -> int:
    """Carry out what destructions made final. Returns how many erasures moved. May be repeated."""
    gone = {slot: each.epoch for each in destroyed for slot in each.slots}
    moved = 0
    if gone:
        for ids in batches(vault):
            with vault.unit() as uow:
                moved += _Finishing(uow, gone).run(records.lock_pending(uow, ids))
                uow.commit()
    return moved


class _Finishing:
    """One unit's worth of erasures."""

    def __init__(self, uow: UnitOfWork, gone: Mapping[Slot, int]) -> None:
        self.uow = uow
        self.gone = gone
        self.marked: list[tuple[Pending, Leaf]] = []
        self.finished: list[dict[str, Any]] = []
        self.emptied: dict[tuple[bytes, int], int] = {}  # and the epoch that they went with
        self.wiped: dict[bytes, tuple[int, bytes]] = {}

    def run(self, pending: Sequence[Pending]) -> int:
        """Finish what is gone, whole subjects first. Once nothing of a subject waits, no erasure names it any more."""
        searchepochs.writing(self.uow)
        for each in sorted(pending, key=lambda each: each.scope is not Scope.SUBJECT):
            self._take(each)
        conn = self.uow.conn
        if self.emptied:
            for emptying in statements.EMPTY:
                conn.execute(emptying, {"compartments": padded(list(self.emptied))})
        self._take_waiting(pending)
        records.mark(self.uow, self.marked)
        if self.finished:
            conn.execute(_FINISH, self.finished)
        if self.wiped:
            subjects = {"subjects": padded(list(self.wiped))}
            references.forget(self.uow, list(self.wiped))
            cases.forget_people(self.uow, list(self.wiped))  # asked while they were being erased
            for statement in (*_WIPE, _GUARDING, _UNNAME_REQUESTS, statements.FORGET):
                conn.execute(statement, subjects)
        strangers = set(self.wiped) | {each.subject for each in pending if each.person is None}
        if strangers:
            conn.execute(statements.UNNAME, {"subjects": padded(list(strangers))})
        return len(self.finished)

    def _take_waiting(self, pending: Sequence[Pending]) -> None:
        """Finish the fields that a hold kept back and of which nothing is left: person or category went without them.

        In the unit that empties the category, and not later: what is written to it from then on is new, and the numbers
        of its versions begin anew.
        """
        here = {each.id for each in pending}
        others = {
            erasure
            for subject in {subject for subject, _ in self.emptied}
            for erasure in records.ids_of(self.uow.conn, subject)
        }
        waiting = [each for each in (*pending, *records.lock_pending(self.uow, sorted(others - here))) if each.waits]
        filled = filled_of(self.uow.conn, list({each.subject for each in waiting}))
        for each in waiting:
            if each.subject not in self.wiped and each.category_id in filled[each.subject]:
                continue
            epoch, entry = self.wiped.get(each.subject) or (
                self.emptied.get((each.subject, each.category_id), max(self.gone.values())),
                None,
            )
            entry = entry or self._record(Act.FIELD_ERASED, each, self._names(each, ()))
            self._finish(each, ErasureState.DONE, epoch, entry)

    def _take(self, pending: Pending) -> None:
        now = [leaf for leaf in pending.leaves if self._is_gone(leaf)]
        if not now:
            return
        epoch = max(self.gone[leaf.slot] for leaf in now)
        self.marked += [(pending, _destroyed(leaf)) for leaf in now]
        done = all(leaf.state is LeafState.DESTROYED for leaf in pending.leaves)
        categories = {leaf.category_id for leaf in now} - {LOG_LEAF}
        if pending.scope is Scope.SUBJECT and done:
            entry = self._record(Act.SUBJECT_ERASED, pending, (), com=pending.commitment)
            self.wiped[pending.subject] = epoch, entry
        else:
            names = self._names(pending, categories)
            act = Act.FIELD_ERASED if pending.scope is Scope.FIELD else Act.CATEGORY_ERASED
            entry = self._record(act, pending, names)
            if pending.scope is not Scope.FIELD:
                self.emptied |= dict.fromkeys(((pending.subject, each) for each in categories), epoch)
        kept = any(leaf.state is LeafState.KEPT for leaf in pending.leaves)
        state = ErasureState.PARTIAL if kept else ErasureState.REQUESTED
        self._finish(pending, ErasureState.DONE if done else state, epoch, entry)

    def _is_gone(self, leaf: Leaf) -> bool:
        if leaf.slot not in self.gone or leaf.state is LeafState.DESTROYED:
            return False
        return leaf.state is LeafState.QUEUED or not self.uow.vault.keys.alive([leaf.slot])[0]

    def _names(self, pending: Pending, categories: Iterable[int]) -> tuple[str, ...]:
        catalogue = self.uow.vault.bundle.catalogue
        if pending.scope is Scope.SUBJECT:
            return tuple(f"category:{name_of(catalogue, each)}" for each in sorted(categories))
        return records.what_log(catalogue, pending.scope, pending.category_id, pending.field_id)

    def _record(self, act: Act, pending: Pending, names: tuple[str, ...], com: bytes | None = None) -> bytes:
        person = pending.person
        key = None if person is None or com is not None else records.log_keys(self.uow, [person])[person.subject]
        actor = Actor(ActorKind.VAULT, self.uow.vault.deployment)
        return self.uow.record(Entry(act, Outcome.ALLOW, actor, names, com=com), log_key=key)

    def _finish(self, pending: Pending, state: ErasureState, epoch: int, entry: bytes) -> None:
        step = {"of_erasure": pending.id, "to_state": state.value, "to_epoch": epoch, "to_entry": entry}
        self.finished.append(step)


def _destroyed(leaf: Leaf) -> Leaf:
    leaf.state = LeafState.DESTROYED
    return leaf
