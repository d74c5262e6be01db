"""Settling: what every erasure under way may destroy now, decided anew; and the leaves brought onto the queue, or off it.

Run before an epoch change, again just before its destruction, at start-up and after each request. It finds holds that
came since and takes their leaves off the key service's queue, also when the next epoch is built already; it finds holds
that were released and years that have passed, and goes on by itself. Everything here may be repeated: what a crash left
undone between the database and the keystore is done the next time.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from audit.entry import Act, Actor, ActorKind, Entry, Outcome
from vault import leftleaves
from vault.compartments import ACTIVE
from vault.erasure import keeping, records
from vault.erasure.keeping import Filled, Kept
from vault.erasure.records import LOG_LEAF, ErasureState, Leaf, LeafState, Pending, Scope
from vault.erasure.rekeying import delete_field
from vault.store.bulk import insert_rows
from vault.store.tables import metadata
from vault.unit import UnitOfWork, Vault

ERASURES_PER_UNIT: Final = 100

_LEAF: Final = metadata.tables["erasure_leaf"]


def settle(vault: Vault) -> None:
    """Decide anew for every erasure that is not done, and queue what may go; and what was left behind before that."""
    leftleaves.retire_left(vault)
    for ids in batches(vault):
        settle_these(vault, ids)


def settle_these(vault: Vault, ids: Sequence[bytes]) -> None:
    """Decide anew for these erasures, and queue what may go."""
    with vault.unit() as uow:
        settle_in(uow, records.lock_pending(uow, ids))
        uow.commit()
    queue(vault, ids)


def settle_in(uow: UnitOfWork, pending: Sequence[Pending]) -> None:
    """Decide anew inside a unit that has locked these erasures. Leaves come off the queue; the caller queues others."""
    if pending:
        _Settling(uow, pending).run()


def queue(vault: Vault, ids: Sequence[bytes]) -> None:
    """Give the queued leaves of erasures to the key service. May be repeated.

    Under the subjects' locks, as the states stand then: a hold placed since the request is never overruled. What a
    re-keying left behind goes in the same step: no epoch may take a leaf and leave another way to what hung on it.
    """
    for start in range(0, len(ids), ERASURES_PER_UNIT):
        with vault.unit() as uow:
            pending = records.lock_pending(uow, ids[start : start + ERASURES_PER_UNIT])
            slots = {leaf.slot for each in pending for leaf in each.leaves if leaf.state is LeafState.QUEUED}
            if slots:
                vault.keys.retire(sorted(slots | leftleaves.behind(uow.conn, slots)))


def batches(vault: Vault) -> Iterator[list[bytes]]:
    """List the erasures that are not done, a unit's worth at a time."""
    after = b""
    while True:
        with vault.reading() as conn:
            ids = records.next_ids(conn, after, ERASURES_PER_UNIT)
        if not ids:
            return
        yield ids
        after = ids[-1]


class _Settling:
    """One unit's worth of erasures."""

    def __init__(self, uow: UnitOfWork, pending: Sequence[Pending]) -> None:
        self.uow = uow
        self.pending = [each for each in pending if each.person is not None]
        subjects = list(dict.fromkeys(each.subject for each in self.pending))
        self.filled: Mapping[bytes, Mapping[int, Filled]] = keeping.filled(uow.conn, subjects)
        self.kept = keeping.kept(uow.conn, uow.vault.bundle.catalogue, self.filled, uow.now)
        self.marked: list[tuple[Pending, Leaf]] = []
        self.stopped: dict[bytes, set[int]] = {}

    def run(self) -> None:
        """Decide, and store what changed."""
        for each in self.pending:
            if each.waits:
                self._try_field(each)
        self._hold_back()
        self._let_go()
        moved = []
        for each in self.pending:
            state = ErasureState.PARTIAL if self._is_partial(each) else ErasureState.REQUESTED
            if state is not each.state:
                each.state = state
                moved.append(each)
        records.mark(self.uow, self.marked)
        records.move(self.uow, moved)
        leftleaves.release(self.uow, [leaf.slot for _, leaf in self.marked if leaf.state is LeafState.QUEUED])
        self._record_stops()

    def _hold_back(self) -> None:
        """Take off the queue what may not be destroyed. Of a whole subject its log leaf stays as long as any other."""
        wanted: list[tuple[Pending, Leaf]] = []
        for pending in self.pending:
            if pending.scope is Scope.FIELD:
                continue  # its values are deleted: there is nothing left that the old leaf could keep
            back = [leaf for leaf in pending.leaves if self._reason(pending, leaf) is not None]
            wanted += [(pending, leaf) for leaf in back if leaf.state is LeafState.QUEUED]
            if back:
                wanted += [(pending, leaf) for leaf in pending.leaves if _is_queued_log_leaf(leaf)]
        # What is kept is asked for again: a request that died half-way may have queued it after a hold took it off.
        again = [(pending, leaf) for pending in self.pending for leaf in pending.leaves if leaf.state is LeafState.KEPT]
        recalled = self.uow.vault.keys.recall([leaf.slot for _, leaf in wanted + again]) if wanted or again else []
        for (pending, leaf), there in zip(wanted, recalled, strict=False):
            if there:  # else it is too late, and the certificate will say that it went
                leaf.state = LeafState.KEPT
                self.marked.append((pending, leaf))
                if leaf.category_id != LOG_LEAF:
                    self.stopped.setdefault(pending.id, set()).add(leaf.category_id)

    def _let_go(self) -> None:
        """Queue what nothing keeps any more."""
        for pending in self.pending:
            for leaf in pending.leaves:
                if (
                    leaf.category_id != LOG_LEAF
                    and leaf.state is LeafState.KEPT
                    and self._reason(pending, leaf) is None
                ):
                    leaf.state = LeafState.QUEUED
                    self.marked.append((pending, leaf))
            if not any(leaf.category_id != LOG_LEAF and leaf.state is LeafState.KEPT for leaf in pending.leaves):
                for leaf in pending.leaves:
                    if leaf.category_id == LOG_LEAF and leaf.state is LeafState.KEPT:
                        leaf.state = LeafState.QUEUED
                        self.marked.append((pending, leaf))

    def _try_field(self, pending: Pending) -> None:
        """Delete the values of a field whose hold is over, and re-key what is left."""
        compartment = self.filled[pending.subject].get(pending.category_id)
        if compartment is None or compartment.state != ACTIVE or (pending.subject, pending.category_id) in self.kept:
            return  # where the whole category is being erased, the field goes with it
        leaf = delete_field(self.uow, pending.field_id, pending.through, compartment)
        pending.leaves.append(leaf)
        rows: list[dict[str, Any]] = [records.leaf_row(pending.id, leaf)]
        insert_rows(self.uow.conn, _LEAF, rows)
        self.filled = {**self.filled, **keeping.filled(self.uow.conn, [pending.subject])}
        names = self._names(pending)
        self._log(pending, Entry(Act.FIELD_DELETED, Outcome.ALLOW, _vault(self.uow), names))

    def _is_partial(self, pending: Pending) -> bool:
        return pending.waits or any(leaf.state is LeafState.KEPT for leaf in pending.leaves)

    def _reason(self, pending: Pending, leaf: Leaf) -> Kept | None:
        if leaf.category_id == LOG_LEAF or leaf.state is LeafState.DESTROYED:
            return None
        return self.kept.get((pending.subject, leaf.category_id))

    def _record_stops(self) -> None:
        catalogue = self.uow.vault.bundle.catalogue
        for pending in self.pending:
            if pending.id in self.stopped:
                names = tuple(f"category:{keeping.name_of(catalogue, each)}" for each in self.stopped[pending.id])
                because = {self.kept[pending.subject, each].because for each in self.stopped[pending.id]}
                why = tuple(f"kept.{each}" for each in because)
                self._log(pending, Entry(Act.ERASURE_PARTIAL, Outcome.ALLOW, _vault(self.uow), names, pol=why))

    def _names(self, pending: Pending) -> tuple[str, ...]:
        catalogue = self.uow.vault.bundle.catalogue
        return records.what_log(catalogue, pending.scope, pending.category_id, pending.field_id)

    def _log(self, pending: Pending, entry: Entry) -> None:
        person = pending.person
        # A leaf that was recalled is given out again only when the change has carried it: then the entry names nobody.
        key = None if person is None else records.log_keys(self.uow, [person])[person.subject]
        self.uow.record(entry, log_key=key)


def _is_queued_log_leaf(leaf: Leaf) -> bool:
    return leaf.category_id == LOG_LEAF and leaf.state is LeafState.QUEUED


def _vault(uow: UnitOfWork) -> Actor:
    return Actor(ActorKind.VAULT, uow.vault.deployment)
