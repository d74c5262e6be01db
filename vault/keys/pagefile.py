"""The keystore in one SQLite file: a `PageStore` for one host.

Its own file, never the data database: erasing means that every older copy of *this* file dies, while old data backups
stay useful. WAL with `synchronous=FULL`: what was answered is on disk; `secure_delete`: what was purged does not linger
in free pages.
"""

import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Final

from vault.errors import IntegrityFailure, Sealed, VaultError
from vault.keys.pagechange import NEWER, ChangeFile
from vault.keys.pagesql import connect, fill, translated
from vault.keys.pagestore import ChangeState, EpochRow, PageRow, PageStore, Rows, Snapshot
from vault.keys.private_file import check_private, publish
from vault.keys.service import Slot

_RECALLABLE: Final = (ChangeState.BUILT.value, ChangeState.REPLICATED.value)


class PageFile(ChangeFile):
    """An open keystore file: `vault.keys.pagestore.PageStore`. Never carry one across a fork."""

    def __init__(self, path: Path) -> None:
        """Open an existing file. Raises Sealed when absent, UnsafeFile when exposed. Never creates one."""
        try:
            descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        except OSError:
            raise Sealed("the keystore is absent or cannot be read") from None
        try:
            check_private(descriptor)
        finally:
            os.close(descriptor)
        with translated():
            self._db = connect(path)
        self._version = -1
        self._current: tuple[int, dict[int, int]] | None = None
        try:
            with translated():
                self._db.execute("PRAGMA synchronous = FULL")
                self._db.execute("PRAGMA secure_delete = ON")
                self._db.execute("PRAGMA trusted_schema = OFF")
                if self._db.execute("PRAGMA journal_mode").fetchone() != ("wal",):
                    raise IntegrityFailure(IntegrityFailure.code)  # `create_file` made it WAL
        except VaultError:
            self._db.close()
            raise

    def changed(self) -> bool:
        """Compare SQLite's count of other connections' commits: a few microseconds, and no lock."""
        with translated():
            (version,) = self._db.execute("PRAGMA data_version").fetchone()
        if version == self._version:
            return False
        self._version = version
        return True

    def snapshot(self) -> Snapshot:
        """Read head, epochs and denied leaves as of one moment."""
        with self.reading():
            head = self.head()
            numbers = [number for number in (head.epoch, head.retiring) if number is not None]
            epochs = tuple(row for number in numbers if (row := self.epoch(number)) is not None)
            with translated():
                denied = self._db.execute(
                    "SELECT number, generation FROM retired UNION SELECT number, generation FROM leaving"
                    " WHERE epoch = ?",
                    (head.retiring,),
                ).fetchall()
        return Snapshot(head, epochs, frozenset(Slot(*row) for row in denied))

    def epoch(self, number: int) -> EpochRow | None:
        """Read what opens one epoch."""
        with translated():
            row = self._db.execute(
                "SELECT epoch, root_ref, top_key, top, service FROM epoch WHERE epoch = ?", (number,)
            ).fetchone()
        return None if row is None else EpochRow(*row)

    def page(self, address: int, generation: int) -> bytes | None:
        """Read a sealed page; None when it is missing or its place in the file is damaged."""
        try:
            with translated():
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
            with translated():  # read from the index alone, in its order: the last generation of an address stays
                rows = self._db.execute("SELECT address, generation FROM page ORDER BY address, generation")
                self._current = structure, dict(rows)
        return self._current[1]

    def current_pages(self) -> Iterator[PageRow]:
        """Read those pages."""
        with translated():
            query = f"SELECT address, generation, body FROM page WHERE NOT {NEWER} ORDER BY address"  # noqa: S608 - ours
            yield from map(PageRow._make, self._db.execute(query))

    def drawn_anew(self) -> list[int]:
        """List the addresses that hold pages of more than one generation."""
        with translated():
            found = self._db.execute("SELECT address FROM page GROUP BY address HAVING count(*) > 1")
            return [address for (address,) in found]

    def rows(self) -> Rows:
        """Read everything but the pages, of the current epoch only."""
        with self.reading():
            head = self.head()
            epoch = self.epoch(head.epoch)
            with translated():
                leaving = self._db.execute(
                    "SELECT number, generation, epoch, recalled FROM leaving ORDER BY epoch, number, generation"
                ).fetchall()
            return Rows(
                head,
                self.reserved(),
                () if epoch is None else (epoch,),
                tuple(sorted(self.retired())),
                tuple((Slot(number, generation), at, bool(recalled)) for number, generation, at, recalled in leaving),
                self.change(),
                tuple(self.history()),
            )

    # Allocation

    def reserved(self) -> int:
        """Return how many leaves have been set aside, by all processes."""
        with translated():
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
            self._db.execute("UPDATE keystore SET reserved = max(reserved, ?)", (ordinal,))

    # The queue

    def retired(self) -> frozenset[Slot]:
        """Read the queue."""
        with translated():
            return frozenset(map(Slot._make, self._db.execute("SELECT number, generation FROM retired")))

    def retire(self, slots: Iterable[Slot]) -> None:
        """Put leaves on the queue."""
        with self._writing(heard=True):
            self._db.executemany(
                "INSERT INTO retired (number, generation) SELECT ?1, ?2 WHERE NOT EXISTS"
                " (SELECT 1 FROM leaving WHERE number = ?1 AND generation = ?2 AND NOT recalled)"
                " ON CONFLICT DO NOTHING",
                slots,
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
        """Make this file a copy of another keystore in one transaction."""
        with source.reading(), self._writing():
            if pages:
                self._update_pages(source)
            for table in ("keystore", "epoch", "retired", "leaving", "change", "destroyed", "lease"):
                self._db.execute(f"DELETE FROM {table}")  # noqa: S608 - our own names
            fill(self._db, source.rows())
        with translated():
            self._db.execute("PRAGMA wal_checkpoint(TRUNCATE)")

    def unread(self) -> tuple[list[tuple[int, int]], int | None]:
        """List pages not read back since they were written, and the second all were read back last."""
        with translated():
            row = self._db.execute("SELECT whole_at FROM readback").fetchone()
            return self._db.execute("SELECT address, generation FROM unread").fetchall(), None if row is None else row[
                0
            ]

    def was_read(self, whole_at: int | None) -> None:
        """Note that unread pages were read back; `whole_at` if all pages were."""
        with self._writing():
            self._db.execute("DELETE FROM unread")
            if whole_at is not None:
                self._db.execute("INSERT OR REPLACE INTO readback (one, whole_at) VALUES (1, ?)", (whole_at,))

    def close(self) -> None:
        """Close the file."""
        with translated():
            self._db.close()

    def _update_pages(self, source: PageStore) -> None:
        wanted = source.current()
        held = set(self._db.execute("SELECT address, generation FROM page"))
        self._db.executemany("DELETE FROM page WHERE address = ? AND generation = ?", held.difference(wanted.items()))
        missing = sorted(wanted.items() - held)
        self._insert_pages(PageRow(*key, body) for key in missing if (body := source.page(*key)) is not None)
        self._db.execute(
            "DELETE FROM unread WHERE NOT EXISTS (SELECT 1 FROM page p WHERE p.address = unread.address"
            " AND p.generation = unread.generation)"
        )
        self._db.executemany("INSERT INTO unread (address, generation) VALUES (?, ?)", missing)


def create_file(path: Path, unique: str, rows: Rows, pages: Iterable[PageRow]) -> bool:
    """Write a whole new keystore, mode 0600; it appears complete or not at all. False, changing nothing, if it exists.

    Built beside its final name without a journal, which is safe because nobody relies on it before it is published.
    """
    unfinished = path.with_name(f"{path.name}.{unique}.unfinished")
    with translated():
        try:
            os.close(os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
            _write(unfinished, rows, pages)
            return publish(unfinished, path)
        finally:
            for suffix in ("", "-wal", "-shm"):
                path.with_name(unfinished.name + suffix).unlink(missing_ok=True)


def _write(path: Path, rows: Rows, pages: Iterable[PageRow]) -> None:
    db = connect(path)
    try:
        db.execute("PRAGMA journal_mode = OFF")
        db.execute("PRAGMA synchronous = OFF")
        db.execute("BEGIN")
        fill(db, rows, schema=True)
        db.executemany("INSERT INTO page (address, generation, body) VALUES (?, ?, ?)", pages)
        db.execute("COMMIT")
        db.execute("PRAGMA journal_mode = WAL")
    finally:
        db.close()
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
