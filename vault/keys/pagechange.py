"""What an epoch change writes into a keystore: the lease, and one transaction for each of its steps.

A step names the state that it leaves and the owner of the lease, and both are looked at inside its transaction: a process
that lost the lease while it was asleep finds that it may write nothing.
"""

from abc import abstractmethod
from collections.abc import Iterable, Sequence
from typing import Final

from vault.errors import Conflict
from vault.keys.pagesql import Transactions, change_values, insert_pages
from vault.keys.pagestore import ChangeRow, ChangeState, DestroyedRow, EpochRow, PageRow
from vault.keys.service import Slot

NEWER: Final = "EXISTS (SELECT 1 FROM page n WHERE n.address = page.address AND n.generation > page.generation)"


class ChangeTables(Transactions):
    """The part of a `PageStore` that only epoch changes use."""

    @abstractmethod
    def _clear_journal(self) -> bool:
        """Take what was purged out of the journal, as far as can be. False when it is to be tried again."""

    def leaving(self, epoch: int) -> list[tuple[Slot, bool]]:
        """List the leaves that go, or went, with the root of `epoch`."""
        with self._asking():
            rows = self._db.execute(
                "SELECT number, generation, recalled FROM leaving WHERE epoch = ? ORDER BY number, generation", (epoch,)
            ).fetchall()
        return [(Slot(number, generation), bool(recalled)) for number, generation, recalled in rows]

    def take_lease(self, owner: str, now: int, until: int) -> bool:
        """Become the one writer until then."""
        with self._writing():
            taken = self._db.execute(
                "INSERT INTO lease (one, owner, expires_at) VALUES (1, ?, ?) ON CONFLICT (one) DO UPDATE"
                " SET owner = excluded.owner, expires_at = excluded.expires_at"
                " WHERE lease.owner = excluded.owner OR lease.expires_at <= ?",
                (owner, until, now),
            )
            return bool(taken.rowcount == 1)

    def drop_lease(self, owner: str) -> None:
        """End the lease, if it is the owner's."""
        with self._writing():
            self._db.execute("DELETE FROM lease WHERE owner = ?", (owner,))

    def change(self) -> ChangeRow | None:
        """Read the change under way."""
        with self._asking():
            row = self._db.execute("SELECT epoch, root_ref, ends, state, verified, copies FROM change").fetchone()
        return None if row is None else ChangeRow(row[0], row[1], row[2], ChangeState(row[3]), row[4], row[5])

    def begin(self, owner: str, change: ChangeRow) -> None:
        """Record a change as prepared."""
        with self._writing(owner, heard=True):
            if self.change() is not None:
                raise Conflict("an epoch change is under way")
            self._db.execute(
                "INSERT INTO change (one, epoch, root_ref, ends, state, verified, copies) VALUES (1, ?, ?, ?, ?, ?, ?)",
                change_values(change),
            )

    def build(
        self, owner: str, built: EpochRow, pages: Iterable[PageRow], leaving: Sequence[Slot], void: Sequence[Slot]
    ) -> bool:
        """Switch to the next epoch in one transaction."""
        with self._writing(owner, heard=True):
            self._step(ChangeState.PREPARED, ChangeState.BUILT, built.epoch)
            gone = self._db.executemany("DELETE FROM retired WHERE number = ? AND generation = ?", leaving)
            if leaving and gone.rowcount != len(leaving):
                self._db.execute("ROLLBACK")
                return False
            self._db.executemany("DELETE FROM retired WHERE number = ? AND generation = ?", void)
            self._db.executemany(
                "INSERT INTO leaving (number, generation, epoch, recalled) VALUES (?, ?, ?, 0)",
                ((*slot, built.epoch - 1) for slot in leaving),
            )
            insert_pages(self._db, pages)
            self._db.execute("INSERT INTO epoch (epoch, root_ref, top_key, top, service) VALUES (?, ?, ?, ?, ?)", built)
            self._db.execute(
                "UPDATE keystore SET retiring = epoch, epoch = ?, structure = structure + 1", (built.epoch,)
            )
        return True

    def rewrite(self, owner: str, row: EpochRow, pages: Iterable[PageRow], carried: Sequence[Slot]) -> None:
        """Replace the top page of the current epoch."""
        with self._writing(owner, heard=True):
            written = self._db.execute(
                "UPDATE epoch SET top = ? WHERE epoch = ? AND epoch = (SELECT epoch FROM keystore) AND top_key = ?",
                (row.top, row.epoch, row.top_key),
            )
            if written.rowcount != 1:
                raise Conflict("the epoch has ended")
            insert_pages(self._db, pages)
            self._db.executemany("DELETE FROM leaving WHERE number = ? AND generation = ? AND recalled = 1", carried)
            self._db.execute(
                "UPDATE change SET state = ? WHERE state = ?", (ChangeState.BUILT.value, ChangeState.REPLICATED.value)
            )
            self._db.execute("UPDATE keystore SET structure = structure + 1")

    def replicated(self, owner: str, structure: int, copies: int) -> None:
        """Record that `copies` places hold the given structure."""
        with self._writing(owner, heard=True):
            if self.head().structure != structure:
                raise Conflict("the keystore changed while it was copied")
            written = self._db.execute(
                "UPDATE change SET state = ?, verified = ?, copies = ? WHERE state IN (?, ?)",
                (
                    ChangeState.REPLICATED.value,
                    structure,
                    copies,
                    ChangeState.BUILT.value,
                    ChangeState.REPLICATED.value,
                ),
            )
            if written.rowcount != 1:
                raise Conflict("the epoch change is not in this state")

    def destroying(self, owner: str) -> bool:
        """Close the door to recalls, unless somebody came through it."""
        with self._writing(owner, heard=True):
            closed = self._db.execute(
                "UPDATE change SET state = ? WHERE state = ? AND verified = (SELECT structure FROM keystore)"
                " AND NOT EXISTS (SELECT 1 FROM leaving, keystore WHERE leaving.epoch = keystore.retiring AND recalled = 1)",
                (ChangeState.DESTROYING.value, ChangeState.REPLICATED.value),
            )
            return bool(closed.rowcount == 1)

    def destroyed(self, owner: str, row: DestroyedRow) -> None:
        """Record that the root of the retiring epoch is gone."""
        with self._writing(owner, heard=True):
            self._step(ChangeState.DESTROYING, ChangeState.DESTROYED, row.epoch + 1)
            self._db.execute("UPDATE keystore SET retiring = NULL")
            self._db.execute(
                "INSERT INTO destroyed (epoch, root_ref, effective_at, evidence, destruction_class, copies, recorded_at)"
                " VALUES (?, ?, ?, ?, ?, ?, ?)",
                row,
            )

    def finish(self, owner: str) -> None:
        """Purge what only the destroyed root could open, out of the journal too, and end the change."""
        with self._writing(owner, heard=True):
            drawn = self._db.execute("SELECT address, max(generation) FROM page GROUP BY address HAVING count(*) > 1")
            self._db.executemany("DELETE FROM page WHERE address = ? AND generation < ?", drawn.fetchall())
            self._db.execute("DELETE FROM epoch WHERE epoch < (SELECT epoch FROM keystore)")
        if not self._clear_journal():
            raise Conflict("the keystore's journal is in use")
        with self._writing(owner, heard=True):
            self._db.execute("DELETE FROM change WHERE state = ?", (ChangeState.DESTROYED.value,))

    def history(self, since: int = 0) -> list[DestroyedRow]:
        """List destroyed roots, oldest first, from that of epoch `since` on."""
        with self._asking():
            return [
                DestroyedRow(*row)
                for row in self._db.execute(
                    "SELECT epoch, root_ref, effective_at, evidence, destruction_class, copies, recorded_at"
                    " FROM destroyed WHERE epoch >= ? ORDER BY epoch",
                    (since,),
                )
            ]

    def _step(self, before: ChangeState, after: ChangeState, epoch: int) -> None:
        """Move the change on by one state. Raises Conflict when it is not where the caller thinks."""
        moved = self._db.execute(
            "UPDATE change SET state = ? WHERE state = ? AND epoch = ?", (after.value, before.value, epoch)
        )
        if moved.rowcount != 1:
            raise Conflict("the epoch change is not in this state")
