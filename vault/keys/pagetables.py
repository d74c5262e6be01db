"""A keystore's tables as a `PageStore` reads them and key services write them: the part that is alike in every database."""

from collections.abc import Iterable, Sequence
from typing import Final

from vault.errors import IntegrityFailure
from vault.keys.pagechange import NEWER, ChangeTables
from vault.keys.pagesql import TABLES, fill, insert_pages
from vault.keys.pagestore import ChangeState, EpochRow, PageRow, PageStore, Rows, Snapshot
from vault.keys.service import Slot

_HISTORY: Final = frozenset({"leaving", "destroyed"})  # tables that only grow
_RECALLABLE: Final = (ChangeState.BUILT.value, ChangeState.REPLICATED.value)


class PageTables(ChangeTables):
    """All of `vault.keys.pagestore.PageStore` but opening, closing, noticing what others wrote, and reading all pages."""

    _current: tuple[int, dict[int, int]] | None = None

    def snapshot(self) -> Snapshot:
        """Read head, epochs and denied leaves as of one moment."""
        with self.reading():
            head = self.head()
            numbers = [number for number in (head.epoch, head.retiring) if number is not None]
            epochs = tuple(row for number in numbers if (row := self.epoch(number)) is not None)
            with self._asking():
                denied = self._db.execute(
                    "SELECT number, generation FROM retired UNION SELECT number, generation FROM leaving"
                    " WHERE epoch = ?",
                    (head.retiring,),
                ).fetchall()
        return Snapshot(head, epochs, frozenset(Slot(*row) for row in denied))

    def epoch(self, number: int) -> EpochRow | None:
        """Read what opens one epoch."""
        with self._asking():
            row = self._db.execute(
                "SELECT epoch, root_ref, top_key, top, service FROM epoch WHERE epoch = ?", (number,)
            ).fetchone()
        return None if row is None else EpochRow(*row)

    def page(self, address: int, generation: int) -> bytes | None:
        """Read a sealed page; None when it is missing or its place is damaged."""
        try:
            with self._asking():
                row = self._db.execute(
                    "SELECT body FROM page WHERE address = ? AND generation = ?", (address, generation)
                ).fetchone()
        except IntegrityFailure:
            return None
        return None if row is None else bytes(row[0])

    def current(self) -> dict[int, int]:
        """Return the highest generation at each address; kept until the structure changes."""
        structure = self.head().structure
        if self._current is None or self._current[0] != structure:
            with self._asking():  # read from the index alone, in its order: the last generation of an address stays
                rows = self._db.execute("SELECT address, generation FROM page ORDER BY address, generation")
                self._current = structure, dict(rows)
        return self._current[1]

    def drawn_anew(self) -> list[int]:
        """List the addresses that hold pages of more than one generation."""
        with self._asking():
            found = self._db.execute("SELECT address FROM page GROUP BY address HAVING count(*) > 1")
            return [address for (address,) in found]

    def rows(self, since: int = 0) -> Rows:
        """Read everything but the pages, of the current epoch only; of leaves and roots that went, from `since` on."""
        with self.reading():
            head = self.head()
            epoch = self.epoch(head.epoch)
            with self._asking():
                leaving = self._db.execute(
                    "SELECT number, generation, epoch, recalled FROM leaving WHERE epoch >= ?"
                    " ORDER BY epoch, number, generation",
                    (since,),
                ).fetchall()
            return Rows(
                head,
                self.reserved(),
                () if epoch is None else (epoch,),
                tuple(sorted(self.retired())),
                tuple(leaving),
                self.change(),
                tuple(self.history(since)),
            )

    # Allocation

    def reserved(self) -> int:
        """Return how many leaves have been set aside, by all processes."""
        with self._asking():
            return int(self._db.execute("SELECT reserved FROM keystore").fetchone()[0])

    def reserve(self, least: int, wanted: int, total: int) -> range:
        """Set aside the next leaves as ordinals over all trees; the commit is on disk before the answer."""
        with self._writing():
            first = self.reserved()
            end = min(first + wanted, total)
            if end - first < least:
                return range(0)
            self._db.execute("UPDATE keystore SET reserved = ?", (end,))
        return range(first, end)

    def give_back(self, unused: range) -> None:
        """Undo the unused end of a reservation, if no other came after it."""
        with self._writing():
            self._db.execute("UPDATE keystore SET reserved = ? WHERE reserved = ?", (unused.start, unused.stop))

    def skip(self, ordinal: int) -> None:
        """Never give out a leaf below `ordinal`."""
        with self._writing():
            self._db.execute("UPDATE keystore SET reserved = ? WHERE reserved < ?", (ordinal, ordinal))

    # The queue

    def retired(self) -> frozenset[Slot]:
        """Read the queue."""
        with self._asking():
            return frozenset(map(Slot._make, self._db.execute("SELECT number, generation FROM retired")))

    def retire(self, slots: Iterable[Slot]) -> None:
        """Put leaves on the queue."""
        with self._writing(heard=True):
            self._db.executemany(
                "INSERT INTO retired (number, generation) SELECT ?, ? WHERE NOT EXISTS"
                " (SELECT 1 FROM leaving WHERE number = ? AND generation = ? AND recalled = 0)"
                " ON CONFLICT DO NOTHING",
                ((*slot, *slot) for slot in slots),
            )

    def recall(self, slots: Sequence[Slot]) -> list[bool]:
        """Take leaves off the queue, or mark them to be carried over while the old root can still open them."""
        recalled = []
        with self._writing(heard=True):
            for slot in slots:
                found = self._db.execute("DELETE FROM retired WHERE number = ? AND generation = ?", slot).rowcount
                found += self._db.execute(
                    "UPDATE leaving SET recalled = 1 WHERE number = ? AND generation = ? AND epoch IN"
                    " (SELECT keystore.retiring FROM keystore JOIN epoch ON epoch.epoch = keystore.retiring"
                    " JOIN change ON change.state IN (?, ?))",
                    (*slot, *_RECALLABLE),
                ).rowcount
                recalled.append(found > 0)
        return recalled

    # Copies

    def update(self, source: PageStore, *, pages: bool = True) -> None:
        """Make this store a copy of another keystore in one transaction."""
        with source.reading(), self._writing():
            if pages:
                self._update_pages(source)
            since = self._parted(source)
            for table in TABLES:
                gone = f" WHERE epoch >= {since:d}" if table in _HISTORY else ""
                self._db.execute(f"DELETE FROM {table}{gone}")  # noqa: S608 - our own names
            fill(self._db, source.rows(since))
        self._clear_journal()

    def unread(self) -> tuple[list[tuple[int, int]], int | None]:
        """List pages not read back since they were written, and the second all were read back last."""
        with self._asking():
            row = self._db.execute("SELECT whole_at FROM readback").fetchone()
            pages = self._db.execute("SELECT address, generation FROM unread").fetchall()
        return pages, None if row is None else row[0]

    def was_read(self, whole_at: int | None) -> None:
        """Note that unread pages were read back; `whole_at` if all pages were."""
        with self._writing():
            self._db.execute("DELETE FROM unread")
            if whole_at is not None:
                self._db.execute(
                    "INSERT INTO readback (one, whole_at) VALUES (1, ?)"
                    " ON CONFLICT (one) DO UPDATE SET whole_at = excluded.whole_at",
                    (whole_at,),
                )

    def _parted(self, source: PageStore) -> int:
        """Say from which epoch on this copy's history may differ from the original's.

        What a finished change destroyed never changes: years of it need not be written with each change. Unless the
        copy is of another keystore of that name, which shows in the root that was destroyed last.
        """
        since = min(self.head().epoch, source.head().epoch) - (self.change() is not None)
        if since <= 0 or self.history(since - 1)[:1] != source.history(since - 1)[:1]:
            return 0
        return since

    def _update_pages(self, source: PageStore) -> None:
        wanted, held, self._current = source.current(), self.current(), None
        (count,) = self._db.execute("SELECT count(*) FROM page").fetchone()
        if count != len(held):  # a copy made by hand in the middle of a change has pages of two generations
            self._db.execute(f"DELETE FROM page WHERE {NEWER}")  # noqa: S608 - ours
        # Compared by address: a set of a hundred thousand pairs costs four times as much.
        surplus = [(address, step) for address, step in held.items() if wanted.get(address) != step]
        self._db.executemany("DELETE FROM page WHERE address = ? AND generation = ?", surplus)
        missing = [(address, step) for address, step in wanted.items() if held.get(address) != step]
        insert_pages(self._db, (PageRow(*key, body) for key in missing if (body := source.page(*key)) is not None))
        self._db.execute(
            "DELETE FROM unread WHERE NOT EXISTS (SELECT 1 FROM page p WHERE p.address = unread.address"
            " AND p.generation = unread.generation)"
        )
        self._db.executemany("INSERT INTO unread (address, generation) VALUES (?, ?)", missing)
