"""Which generalised values many subjects of a brand share, as the last census counted: what may be released of them.

Held in memory: keyed hashes of values with counts, none of a group smaller than the least that matters, and nothing of
any subject. Replaced whole when a new census is taken up. Before the first census nothing is known to be shared, and
nothing is released (fail closed).
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Final, cast

import orjson

from policies import crowds
from policies.catalogue import Field, FieldKind
from policies.model import GrantedField
from vault.keys.service import KeyService
from vault.revealed import DisclosedField
from vault.values import JsonValue

BUCKET: Final = 16  # bytes of a keyed hash
_LABEL: Final = "crowd/v1"
_MOST_REMEMBERED: Final = 65_536

Value = tuple[str, int, JsonValue]
"""Brand, field id, and what would be shown."""


class Crowds:
    """The groups of one census. `number` is the census's; 0 for none."""

    __slots__ = ("_groups", "_remembered", "number")

    def __init__(self, number: int = 0, groups: Mapping[bytes, int] | None = None) -> None:
        self.number = number
        self._groups = groups or {}
        self._remembered: dict[bytes, int] = {}

    def __len__(self) -> int:
        return len(self._groups)

    def counts(self, keys: KeyService, values: Sequence[Value]) -> list[int]:
        """Return how many subjects share each value, rounded down; 0 for groups too small to be known."""
        spelled = [spell(*value) for value in values]
        unknown = list(dict.fromkeys(each for each in spelled if each not in self._remembered))
        if unknown:
            if len(self._remembered) + len(unknown) > _MOST_REMEMBERED:
                self._remembered.clear()
            found = {
                each: self._groups.get(bucket, 0) for each, bucket in zip(unknown, buckets(keys, unknown), strict=True)
            }
            self._remembered |= found
            return [found[each] if each in found else self._remembered[each] for each in spelled]
        return [self._remembered[each] for each in spelled]


def spell(brand: str, field_id: int, value: JsonValue) -> bytes:
    """Return the one spelling of a value in its view: brand, field number, and JSON with sorted keys."""
    return b"%s\x00%d\x00" % (brand.encode(), field_id) + orjson.dumps(value, option=orjson.OPT_SORT_KEYS)


def buckets(keys: KeyService, spelled: Sequence[bytes]) -> list[bytes]:
    """Return the keyed hash of each spelled value, with one call of the key service."""
    return [mac[:BUCKET] for mac in keys.mac(_LABEL, list(spelled))]


def released(
    known: Crowds, keys: KeyService, brand: str, granted: GrantedField, part: DisclosedField
) -> DisclosedField:
    """Return what may be released of a generalised part: the value, a coarser one, or nothing (`withheld`).

    Of a list or journal each item must be shared by enough, at one and the same step for all.
    """
    if not part.present:
        return part
    single = granted.field.kind is FieldKind.SINGLE
    items = cast("list[dict[str, JsonValue]]", part.value)
    shown = [part.value] if single else [item["value"] for item in items]
    ladders = [_steps(granted.field, value) for value in shown]
    for step in range(max(map(len, ladders), default=1)):
        values = [ladder[min(step, len(ladder) - 1)] for ladder in ladders]
        counts = known.counts(keys, [(brand, granted.field.id, value) for value in values])
        if all(count >= granted.least_group for count in counts):
            value: JsonValue = (
                values[0] if single else [item | {"value": each} for item, each in zip(items, values, strict=True)]
            )
            return DisclosedField(part.level, part.present, value, coarser=step > 0)
    return DisclosedField(part.level, part.present, None, withheld=True)


# The same JSON on both sides of the border, as in `vault.disclosure`.
_steps = cast("Callable[[Field, JsonValue], tuple[JsonValue, ...]]", crowds.steps)
