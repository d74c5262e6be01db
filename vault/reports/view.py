"""What a report's query may look at: one snapshot of the database, the log up to its checkpoint, the bundle in force."""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from sqlalchemy import Connection

from audit.entry import Act
from audit.reports.asked import Actors, Asked
from audit.reports.lines import Line, Vouched, lines
from audit.reports.table import Body
from policies.bundle import Bundle
from vault.reports import people
from vault.reports.people import LogKeys
from vault.staff import staff_keys
from vault.systems import SystemRecord
from vault.unit import Vault

Query = Callable[["View"], Body]
Beat = Callable[[int, int], None]
"""Called while the log is read: how many entries were read so far, and how many there are. May raise to end the work."""


@dataclass(frozen=True, slots=True)
class Person:
    """Whom a report is about, where it is about one: the subject, and the key of their pseudonyms in the log."""

    subject: bytes = field(repr=False)
    log_key: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class View:
    """One report's world. `now` is the time of the run; `person` is set when a reference was asked for.

    `beat` hears how far the log is read; a query that reads it twice goes beyond its size.
    """

    vault: Vault
    conn: Connection
    asked: Asked
    upto: tuple[Vouched, ...]
    systems: Mapping[str, SystemRecord]
    now: int
    person: Person | None = None
    asked_keys: LogKeys | None = None
    beat: Beat = field(default=lambda _seen, _size: None, repr=False)
    _seen: list[int] = field(default_factory=lambda: [0], repr=False)

    @property
    def bundle(self) -> Bundle:
        """The policies in force."""
        return self.vault.bundle

    @property
    def actors(self) -> Actors:
        """Whose the systems are, under which keys they veil their staff, and whom the report is about."""
        brands = {each.id: each.brand for each in self.systems.values()}
        log_key = None if self.person is None else self.person.log_key
        return Actors(brands, log_key, staff_keys(self.vault.keys, brands.values()))

    def log_keys(self, brand: str, subjects: Sequence[bytes]) -> list[bytes | None]:
        """Return people's log keys, from the vault's keys or from whoever gives them out here."""
        if self.asked_keys is not None:
            return self.asked_keys(brand, subjects)
        return people.log_keys(self.conn, self.vault.keys, brand, subjects)

    def lines(
        self, acts: Collection[Act] = (), asked: Asked | None = None, marks: Collection[bytes] = ()
    ) -> Iterator[Line]:
        """Give the entries of the period asked for, or of another."""
        period = asked or self.asked
        return lines(self.conn, self.upto, period.since, period.until, acts, self._read, marks, hashed=True)

    def _read(self, count: int) -> None:
        self._seen[0] += count
        self.beat(self._seen[0], sum(each.size for each in self.upto))

    def concerned(self, acts: Collection[Act] = (), asked: Asked | None = None) -> Iterator[Line]:
        """Give those of them that the filter lets pass."""
        actors, period = self.actors, asked or self.asked
        return (line for line in self.lines(acts, period, period.marks) if actors.concern(line, period))
