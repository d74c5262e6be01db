"""What a grant let be seen: the answer of a disclosure, value by value at its level."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from policies.levels import Level
from policies.model import Wanted
from vault.errors import IntegrityFailure, TooFew, VaultError
from vault.values import JsonValue


@dataclass(frozen=True, slots=True)
class DisclosedField:
    """What one granted level shows of one field.

    `value` by level: presence, a boolean; predicate, a boolean (of a list: whether any item satisfies it); above, the
    transformed value of a single field or `[{"item", "value"}, …]` of a list or journal, oldest first. Where there is
    no value, `present` is false and `value` is None (false for presence).

    `withheld`: there is a value, and too few subjects share what would be shown of it. `coarser`: more is hidden than
    the level would hide, for the same reason.
    """

    level: Level
    present: bool
    value: JsonValue = field(repr=False)
    withheld: bool = False
    coarser: bool = False


class Revealed:
    """What one grant let be seen: a part per granted field, level and predicate."""

    __slots__ = ("_parts",)

    def __init__(self, parts: Mapping[tuple[str, Level, str], DisclosedField | IntegrityFailure]) -> None:
        self._parts = parts

    def __iter__(self) -> Iterator[tuple[str, DisclosedField | IntegrityFailure]]:
        """Give (field name, part) in the order of the grant."""
        return ((name, part) for (name, _, _), part in self._parts.items())

    def failures(self) -> list[tuple[frozenset[str], VaultError]]:
        """Return the names of fields that did not open, and of those held back, each with its error; mostly nothing."""
        unread: list[str] = []
        withheld: list[str] = []
        for (name, _, _), part in self._parts.items():
            if isinstance(part, IntegrityFailure):
                unread.append(name)
            elif part.withheld:
                withheld.append(name)
        found: list[tuple[frozenset[str], VaultError]] = []
        if unread:
            found.append((frozenset(unread), IntegrityFailure()))
        if withheld:
            found.append((frozenset(withheld), TooFew()))
        return found

    def __len__(self) -> int:
        return len(self._parts)

    def __getitem__(self, name: str) -> DisclosedField | IntegrityFailure:
        """Return the part of a field at the highest level granted. Raises KeyError."""
        found = max((at for at in self._parts if at[0] == name), key=lambda at: at[1].rank, default=None)
        if found is None:
            raise KeyError(name)
        return self._parts[found]

    def get(self, wanted: Wanted) -> DisclosedField | IntegrityFailure | None:
        """Return what answers a wish: the part at its level, else at the next lower one granted, else None.

        As in the decision, a predicate answers only who asked for that predicate.
        """
        for level in _DESCENDING[wanted.level]:
            part = self._parts.get((wanted.field, level, wanted.predicate if level is Level.PREDICATE else ""))
            if part is not None:
                return part
        return None


_DESCENDING: Mapping[Level, tuple[Level, ...]] = {
    wanted: tuple(
        level
        for level in sorted(Level, key=lambda each: each.rank, reverse=True)
        if level.rank <= wanted.rank and (level is not Level.PREDICATE or wanted is Level.PREDICATE)
    )
    for wanted in Level
}
