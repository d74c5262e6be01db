"""The restore guard: whoever was erased since a backup was made is erased from it again, before anybody is served.

The keystore is the authority. Every leaf that the restored rows name is asked for. A leaf that went with a destroyed
root is gone for good, so its rows go: a whole person with the leaf of the log key, one category with its own. A leaf
that is refused but not destroyed waits on the queue for an erasure that these data have never heard of: its rows are
closed, and go when its root does. An erasure that these data do know of is left to `vault.erasure`, holds and all.

Two things are never guessed at. A leaf that neither opens nor went nor waits is damage in the keystore, and stops the
guard before it has touched a row. And a person of whom categories went, while all that is left is what a hold or a law
keeps, looks like an erasure in part whose request was lost with the newer data: that person is restricted, for an
officer to decide, and is in no index.
"""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from sqlalchemy import bindparam, delete, select, update

from audit.entry import Act, Actor, ActorKind, Entry, Outcome
from policies.catalogue import field_ids
from vault import leftleaves, references, restrictions, searchepochs
from vault.compartments import ACTIVE, ERASING
from vault.erasure import keeping, statements
from vault.erasure.keeping import Filled
from vault.errors import Damaged
from vault.keys.service import Slot
from vault.recovery import reindex
from vault.restrictions import Ground
from vault.store.bulk import insert_rows
from vault.store.engine import clear_journal
from vault.store.keysets import padded
from vault.store.tables import metadata
from vault.unit import UnitOfWork, Vault

SUBJECTS_PER_UNIT: Final = 500

_SUBJECT: Final = metadata.tables["subject"]
_COMPARTMENT: Final = metadata.tables["compartment"]
_VALUE: Final = metadata.tables["field_value"]
_TOKEN: Final = metadata.tables["search_token"]
_ERASURE: Final = metadata.tables["erasure"]
_RESTRICTION: Final = metadata.tables["restriction"]

_NEXT: Final = (
    select(
        _SUBJECT.c.id,
        _SUBJECT.c.shard,
        _SUBJECT.c.state,
        _SUBJECT.c.restricted,
        _SUBJECT.c.log_slot,
        _SUBJECT.c.log_generation,
    )
    .where(_SUBJECT.c.id > bindparam("after"))
    .order_by(_SUBJECT.c.id)
    .limit(SUBJECTS_PER_UNIT)
    .with_for_update()
)
_PENDING: Final = select(_ERASURE.c.subject_id, _ERASURE.c.scope, _ERASURE.c.category_id).where(
    _ERASURE.c.subject_id.in_(bindparam("subjects", expanding=True)),
    _ERASURE.c.state != "done",
    _ERASURE.c.scope != "field",  # it says nothing of the leaf that its category has in these rows
)
# Everything that names a subject and nobody else. Erasures outlive it, and its references are found by their keys.
_WIPE: Final = tuple(
    delete(table).where(table.c.subject_id.in_(bindparam("subjects", expanding=True)))
    for name, table in metadata.tables.items()
    if "subject_id" in table.c and name not in {"erasure", "relation"}
)
# Tokens of an API carry the subject's epoch: those given out before must not work on what is left.
_STEP: Final = (
    update(_SUBJECT)
    .where(_SUBJECT.c.id == bindparam("of_subject"))
    .values(
        epoch=_SUBJECT.c.epoch + 1,
        version=_SUBJECT.c.version + 1,
        state=bindparam("to_state"),
        restricted=bindparam("to_restricted"),
    )
)


@dataclass(frozen=True, slots=True)
class Carried:
    """What the guard found. `subjects` and `compartments` (of other subjects) are erased again.

    `closed` leaves wait for their destruction; `restricted` subjects wait for an officer.
    """

    subjects: int = 0
    compartments: int = 0
    closed: int = 0
    restricted: int = 0

    def __add__(self, other: "Carried") -> "Carried":
        return Carried(
            self.subjects + other.subjects,
            self.compartments + other.compartments,
            self.closed + other.closed,
            self.restricted + other.restricted,
        )


Noted = Callable[[UnitOfWork, bytes, Carried], None]
"""Called in each unit with the last subject dealt with and what became of the batch, before it commits."""


def _unnoted(uow: UnitOfWork, after: bytes, carried: Carried) -> None:
    """Remember nothing."""


def carry(vault: Vault, gone: Collection[Slot], *, after: bytes = b"", noted: Noted = _unnoted) -> Carried:
    """Erase again what went, in units of `SUBJECTS_PER_UNIT` subjects, from the subject behind `after` on.

    `gone` are the leaves that went with destroyed roots. May be repeated, and stopped anywhere. Raises `Damaged` when
    more leaves are refused than went or wait: somebody is missing from the keystore who was never erased.
    """
    status = vault.keys.status()
    # Leaves of a change under way are counted with those that wait: both are refused and not destroyed yet.
    waiting = status.retired if status.retiring is None else None
    total = Carried()
    while True:
        with vault.unit() as uow:
            found = uow.conn.execute(_NEXT, {"after": after}).all()
            if not found:
                break
            after = found[-1].id
            batch = _Batch(uow, gone, found)
            carried = batch.run()
            total += carried
            if waiting is not None and total.closed > waiting:
                raise Damaged("leaves of the keystore do not open that were never erased: restore it from a copy")
            noted(uow, after, carried)
            uow.commit()
    if total.subjects or total.compartments:
        clear_journal(vault.engine)  # of what the backup brought back
    return total


@dataclass(slots=True)
class _Batch:
    """One unit's worth of subjects."""

    uow: UnitOfWork
    gone: Collection[Slot]
    found: Sequence[Any]
    wiped: list[bytes] = field(default_factory=list)
    emptied: list[tuple[bytes, int]] = field(default_factory=list)
    closed: list[tuple[bytes, int]] = field(default_factory=list)
    stepped: dict[bytes, tuple[str, bool]] = field(default_factory=dict)
    doubted: list[Any] = field(default_factory=list)  # rows of those of whom nothing is left but what is kept
    doubted_before: frozenset[bytes] = frozenset()
    waits: int = 0

    def run(self) -> Carried:
        """Look at each, and store what became of them."""
        conn = self.uow.conn
        ids = [row.id for row in self.found]
        filled = keeping.filled(conn, ids)
        slots = {Slot(row.log_slot, row.log_generation) for row in self.found}
        slots |= {each.slot for mine in filled.values() for each in mine.values()}
        asked = sorted(slots)
        refused = {slot for slot, lives in zip(asked, self.uow.vault.keys.alive(asked), strict=True) if not lives}
        if not refused:
            return Carried()
        leftleaves.release(self.uow, refused)  # whatever a re-keying had left behind those
        pending: dict[bytes, set[int]] = {}
        for subject, scope, category in conn.execute(_PENDING, {"subjects": padded(ids)}):
            pending.setdefault(subject, set()).update({0} if scope == "subject" else {category})
        self.doubted_before = reindex.in_doubt(conn, ids)
        for row in self.found:
            self._look(row, filled[row.id], refused, pending.get(row.id, set()))
        self._store()
        return Carried(len(self.wiped), len(self.emptied), self.waits, len(self.doubted))

    def _look(self, row: Any, filled: dict[int, Filled], refused: set[Slot], pending: set[int]) -> None:
        subject = row.id
        if 0 in pending:
            return  # known here: it is denied already, and goes its own way
        log_leaf = Slot(row.log_slot, row.log_generation)
        if log_leaf in refused:
            if log_leaf in self.gone:
                self.wiped.append(subject)
                return
            self.waits += 1
            self.stepped[subject] = ERASING, row.restricted
        left, went = [], 0
        for each in filled.values():
            if each.slot not in refused:
                left.append(each)
            elif each.category_id in pending:
                continue
            elif each.slot in self.gone:
                went += 1
                self.emptied.append((subject, each.category_id))
            else:
                went += 1
                self.waits += 1
                self.closed.append((subject, each.category_id))
        if went and subject not in self.stepped:
            doubtful = bool(left) and subject not in self.doubted_before and self._all_kept(subject, left)
            if doubtful:
                self.doubted.append(row)
            self.stepped[subject] = row.state, row.restricted or doubtful

    def _all_kept(self, subject: bytes, left: Sequence[Filled]) -> bool:
        compartments = {subject: {each.category_id: each for each in left}}
        kept = keeping.kept(self.uow.conn, self.uow.vault.bundle.catalogue, compartments, self.uow.now)
        return len(kept) == len(left)

    def _store(self) -> None:
        uow, conn = self.uow, self.uow.conn
        searchepochs.writing(uow)
        if self.stepped:
            rows = [
                {"of_subject": subject, "to_state": state, "to_restricted": restricted}
                for subject, (state, restricted) in self.stepped.items()
            ]
            conn.execute(_STEP, rows)
            unseen = [subject for subject, (state, _) in self.stepped.items() if state != ACTIVE]
            unseen += [row.id for row in self.doubted]
            if unseen:
                conn.execute(delete(_TOKEN).where(_TOKEN.c.subject_id.in_(padded(unseen))))
        shut = self.emptied + self.closed
        if shut:
            conn.execute(statements.UNFIND, [_span(subject, category) for subject, category in shut])
        if self.closed:
            conn.execute(
                statements.CLOSE, [{"of_subject": subject, "of_category": each} for subject, each in self.closed]
            )
        if self.emptied:
            for emptying in statements.EMPTY:
                conn.execute(emptying, {"compartments": padded(self.emptied)})
        if self.wiped:
            subjects = {"subjects": padded(self.wiped)}
            references.forget(uow, self.wiped)
            for statement in (*_WIPE, statements.FORGET, statements.UNNAME):
                conn.execute(statement, subjects)
        actor = Actor(ActorKind.VAULT, uow.vault.deployment)
        doubts = [restrictions.as_row(uow, row.id, row.shard, "", Ground.RESTORED, actor) for row in self.doubted]
        insert_rows(conn, _RESTRICTION, doubts)
        # Nobody can be named: the log keys are gone. The counts stand for them.
        for rule, count in (
            ("carried.subject", len(self.wiped)),
            ("carried.category", len(self.emptied)),
            ("carried.waiting", self.waits),
            ("carried.restricted", len(self.doubted)),
        ):
            if count:
                uow.record(Entry(Act.ERASURE_CARRIED, Outcome.ALLOW, actor, pol=(rule,), n=count))


def _span(subject: bytes, category: int) -> dict[str, Any]:
    owned = field_ids(category)
    return {"of_subject": subject, "first": owned[0], "last": owned[-1]}
