"""Limits of budgets as a system's row carries them, and raises of them that last a while.

A limit is spelt `<scope>:<measure>:<quota>/<window>`: `system:people:200/hour`, `staff:people:60/hour`,
`purpose:weight:5000/day` (each purpose by itself), `purpose=clienteling.in_store:people:100/hour` (that one; it then
stands in place of what `purpose` says of the same measure and window).
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final

import orjson

from vault.errors import InvalidRegistration

MEASURES: Final = ("people", "weight")
WINDOWS: Final[Mapping[str, int]] = {"second": 1, "minute": 60, "hour": 3600, "day": 86_400}
"""Names and seconds of the windows. A window is the clock's: from the full hour to the next, in UTC."""

LARGEST_QUOTA: Final = 1_000_000_000
MOST_LIMITS: Final = 64

_NAMES: Final = tuple(WINDOWS)
_SPELT: Final = re.compile(
    r"(?P<scope>system|staff|purpose(?:=[a-z][a-z0-9_]*(?:\.[a-z][a-z0-9_]*){0,3})?)"
    r":(?P<measure>people|weight):(?P<quota>0|[1-9][0-9]{0,9})/(?P<window>second|minute|hour|day)"
)


@dataclass(frozen=True, slots=True)
class Limit:
    """At most `quota` people, or weight, in one window."""

    measure: str
    window: str
    quota: int

    @property
    def place(self) -> int:
        """Which of a meter's counts it limits."""
        return MEASURES.index(self.measure) * len(_NAMES) + _NAMES.index(self.window)

    @property
    def seconds(self) -> int:
        """Return the length of the window."""
        return WINDOWS[self.window]

    @property
    def name(self) -> str:
        """Name the limit without its scope or quota."""
        return f"{self.measure}-{self.window}"


_Where = tuple[str, str, str]  # scope, measure, window


@dataclass(frozen=True, slots=True)
class Raise:
    """A higher quota in force until `until`, by the proposal `proposal`."""

    proposal: str
    limits: tuple[str, ...]
    until: int


class Budgets:
    """The limits of one system, and the raises of them. Immutable."""

    __slots__ = ("_quotas", "_until", "raises", "spelt")

    def __init__(self, spelt: Iterable[str], raises: Iterable[Raise] = ()) -> None:
        self.spelt = tuple(sorted(spelt))
        self.raises = tuple(raises)
        self._quotas = quotas_of(self.spelt)
        self._until = [(each.until, quotas_of(each.limits)) for each in self.raises]

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Budgets) and (self.spelt, self.raises) == (other.spelt, other.raises)

    def __hash__(self) -> int:
        return hash((self.spelt, self.raises))

    def of_system(self, now: int) -> tuple[Limit, ...]:
        """Return the limits on everything the system looks at."""
        return _limits(self._at(now), "system")

    def of_staff(self, now: int) -> tuple[Limit, ...]:
        """Return the limits on each member of staff who stands behind a look."""
        return _limits(self._at(now), "staff")

    def of_purpose(self, purpose: str, now: int) -> tuple[Limit, ...]:
        """Return the limits on what the system looks at for one purpose."""
        quotas = self._at(now)
        merged = {each.place: each for each in _limits(quotas, "purpose")}
        return tuple((merged | {each.place: each for each in _limits(quotas, f"purpose={purpose}")}).values())

    def raised(self, change: Raise, now: int) -> "Budgets":
        """Return the budgets with one more raise, and without those that are over."""
        return Budgets(self.spelt, (*[each for each in self.raises if each.until > now], change))

    def without(self, proposal: str) -> "Budgets":
        """Return the budgets without the raise of one proposal."""
        return Budgets(self.spelt, [each for each in self.raises if each.proposal != proposal])

    def lowered(self, spelt: Iterable[str]) -> "Budgets":
        """Return the budgets with limits added or lowered. Raises `InvalidRegistration` for one that would rise."""
        wanted = quotas_of(spelt)
        if any(quota > self._quotas.get(where, LARGEST_QUOTA) for where, quota in wanted.items()):
            raise InvalidRegistration("budget: two officers raise, by a proposal")
        merged = self._quotas | wanted
        return Budgets([_spell(where, quota) for where, quota in merged.items()], self.raises)

    def dump(self) -> str:
        """Write the budgets as the row keeps them."""
        raises = [{"proposal": each.proposal, "limits": list(each.limits), "until": each.until} for each in self.raises]
        return orjson.dumps({"limits": list(self.spelt), "raises": raises}).decode()

    def _at(self, now: int) -> Mapping[_Where, int]:
        running = [quotas for until, quotas in self._until if until > now]
        if not running:
            return self._quotas
        quotas = dict(self._quotas)
        for each in running:
            for where, quota in each.items():
                # A raise never lowers, and cannot make a limit where none is.
                if where in quotas:
                    quotas[where] = max(quotas[where], quota)
        return quotas


@lru_cache(maxsize=1024)
def load(stored: str) -> Budgets:
    """Read what `Budgets.dump` wrote."""
    content: Mapping[str, Any] = orjson.loads(stored)
    raises = [Raise(each["proposal"], tuple(each["limits"]), each["until"]) for each in content["raises"]]
    return Budgets(content["limits"], raises)


def quotas_of(spelt: Iterable[str]) -> dict[_Where, int]:
    """Read limits. Raises `InvalidRegistration` for one that is misspelt, or given twice."""
    quotas: dict[_Where, int] = {}
    for each in spelt:
        found = _SPELT.fullmatch(each)
        if found is None or int(found["quota"]) > LARGEST_QUOTA:
            raise InvalidRegistration("budget: <system|staff|purpose[=key]>:<people|weight>:<quota>/<window>")
        where = (found["scope"], found["measure"], found["window"])
        if where in quotas or len(quotas) == MOST_LIMITS:
            raise InvalidRegistration("budget: given twice, or too many")
        quotas[where] = int(found["quota"])
    return quotas


def _spell(where: _Where, quota: int) -> str:
    scope, measure, window = where
    return f"{scope}:{measure}:{quota}/{window}"


def _limits(quotas: Mapping[_Where, int], scope: str) -> tuple[Limit, ...]:
    return tuple([Limit(measure, window, quota) for (of, measure, window), quota in quotas.items() if of == scope])


DEFAULT: Final = Budgets(
    (
        "system:people:1000/minute",
        "system:people:5000/hour",
        "system:people:20000/day",
        "system:weight:2000000/day",
        "staff:people:60/minute",
        "staff:people:200/hour",
        "staff:people:1000/day",
    )
)
"""What a system gets that is registered without a word on budgets. None looks at people without any."""
