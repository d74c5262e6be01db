"""Budgets: how many people, and how much of them, a system may look at in a second, a minute, an hour and a day.

A meter belongs to a system, to one of its purposes, or to a member of a brand's staff. It counts distinct people, and
the weight of what was shown of them, in the window that the clock is in, for all four windows at once. Whoever was
counted in a window already costs nothing more in it, unless something else of them is shown.

A person leaves one mark per meter: when they were looked at last, and what was shown. Moving a mark tells what it was
before, and that decides for every window whether the person is new in it: no window needs marks of its own, and no
count is ever taken again from the marks. Marks and meters move in one statement (two on SQLite), in the disclosure's
own transaction and under the meter's row lock: processes that race for the last person cannot both have it. Only when a
limit would be crossed are the looks taken apart, one by one, and those that do not fit are put back (ADR 0031).
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from hashlib import sha256
from typing import Final

from policies.catalogue import Catalogue, Sensitivity
from policies.levels import Level
from policies.model import GrantedField
from vault.budgetlimits import WINDOWS, Limit
from vault.budgetmarks import Move, added_by, move_all, put_back, recall, starts_at
from vault.errors import BudgetExhausted
from vault.systems import SystemRecord
from vault.unit import UnitOfWork

CANDIDATE_WEIGHT: Final = 1  # of a search result: a reference and a month
LEVEL_WEIGHTS: Final[Mapping[Level, int]] = {
    Level.PRESENCE: 1,
    Level.PREDICATE: 1,
    Level.GENERALISED: 2,
    Level.MASKED: 3,
    Level.RAW: 8,
}
SENSITIVITY_WEIGHTS: Final[Mapping[Sensitivity, int]] = {
    Sensitivity.LOW: 1,
    Sensitivity.MEDIUM: 2,
    Sensitivity.HIGH: 4,
    Sensitivity.SPECIAL: 8,
}

_ID: Final = 16


@dataclass(frozen=True, slots=True)
class Looked:
    """A person about to be looked at.

    `staff` is the keyed hash of the member of staff as a token carries it, empty where none was named. `shape` stands
    for what is shown and `weight` is what that weighs (`weigh`).
    """

    system: SystemRecord
    subject: bytes = field(repr=False)
    purpose: str
    staff: str = field(repr=False)
    shape: int
    weight: int


@dataclass(frozen=True, slots=True)
class _Meter:
    id: bytes
    limits: tuple[Limit, ...]


_Key = tuple[str, str, str]


def charge(uow: UnitOfWork, looks: Sequence[Looked]) -> list[BudgetExhausted | None]:
    """Count the looks against every budget they fall under; one answer each, `BudgetExhausted` for what does not fit.

    Of several looks in a batch the first ones fit. What is refused leaves no mark and counts nowhere.
    """
    plans: dict[_Key, tuple[_Meter, ...]] = {}
    meters: dict[bytes, _Meter] = {}
    marked: list[tuple[tuple[bytes, _Meter], ...]] = []
    moves: dict[bytes, Move] = {}
    for look in looks:
        key = (look.system.id, look.purpose, look.staff)
        plan = plans.get(key)
        if plan is None:
            plan = plans[key] = _plan(look, uow.now)
            meters |= {each.id: each for each in plan}
        own = tuple([(_mark(meter.id, look.subject), meter) for meter in plan])
        marked.append(own)
        for mark, meter in own:
            move = moves.get(mark)
            if move is None:
                moves[mark] = Move(meter.id, look.shape, look.weight, {look.shape})
            elif look.shape not in move.shapes:
                # Shown in two shapes at once: a shape of its own, so that neither is taken for the whole later.
                move.shapes.add(look.shape)
                move.shape ^= look.shape + 1
                move.weight += look.weight
    if not moves:
        return [None] * len(looks)
    totals = move_all(uow, moves)
    if not any(_crossed(meters[meter].limits, counts) for meter, counts in totals.items()):
        return [None] * len(looks)
    return _take_apart(uow, looks, marked, moves, totals)


def weigh(catalogue: Catalogue, granted: Sequence[GrantedField]) -> tuple[int, int]:
    """Return what stands for a set of fields at their levels (64 bits) and what it weighs: sensitivity times level."""
    shape, weight = _weighed(
        tuple([(each.field.category_id, each.field.id, each.level, each.predicate) for each in granted])
    )
    return shape, sum(
        SENSITIVITY_WEIGHTS[catalogue.category_by_id(category).sensitivity] * count for category, count in weight
    )


@lru_cache(maxsize=4096)
def _weighed(shown: tuple[tuple[int, int, Level, str], ...]) -> tuple[int, tuple[tuple[int, int], ...]]:
    text = ",".join([f"{number}:{level}:{predicate}" for _, number, level, predicate in sorted(shown)])
    shape = int.from_bytes(sha256(text.encode()).digest()[:7])
    return shape, tuple([(category, LEVEL_WEIGHTS[level]) for category, _, level, _ in shown])


def _plan(look: Looked, now: int) -> tuple[_Meter, ...]:
    system = look.system
    wanted = [
        (b"system\x00" + system.id.encode(), system.budgets.of_system(now)),
        (b"purpose\x00" + f"{system.id}\x00{look.purpose}".encode(), system.budgets.of_purpose(look.purpose, now)),
    ]
    if look.staff:
        # Not by system: a member of staff has one budget at all the tills of the brand.
        wanted.append((b"staff\x00" + f"{system.brand}\x00{look.staff}".encode(), system.budgets.of_staff(now)))
    return tuple([_Meter(sha256(name).digest()[:_ID], limits) for name, limits in wanted if limits])


def _mark(meter: bytes, subject: bytes) -> bytes:
    # Subject ids are 128 random bits: the mark tells nobody who does not know the id already whom it stands for.
    return sha256(meter + subject).digest()[:_ID]


def _crossed(limits: Iterable[Limit], counts: Sequence[int]) -> list[Limit]:
    return [each for each in limits if counts[each.place] > each.quota]


def _take_apart(
    uow: UnitOfWork,
    looks: Sequence[Looked],
    marked: Sequence[tuple[tuple[bytes, _Meter], ...]],
    moves: Mapping[bytes, Move],
    totals: Mapping[bytes, list[int]],
) -> list[BudgetExhausted | None]:
    """Take the looks one by one against what the meters read before them. Every row touched is locked by now."""
    starts = starts_at(uow.now)
    recall(uow.conn, moves)
    counts = {meter: list(read) for meter, read in totals.items()}
    for move in moves.values():
        for place, added in enumerate(added_by(move, starts)):
            counts[move.meter][place] -= added
    seen: dict[bytes, set[int]] = {}
    answers: list[BudgetExhausted | None] = []
    for look, own in zip(looks, marked, strict=True):
        after: dict[bytes, list[int]] = {}
        crossed: list[Limit] = []
        for mark, meter in own:
            before, move = seen.get(mark, set()), moves[mark]
            alone = Move(meter.id, look.shape, look.weight, set(), move.previous_at, move.previous_shape)
            costs = [0] * len(counts[meter.id]) if look.shape in before else added_by(alone, starts)
            if before:
                costs[: len(WINDOWS)] = [0] * len(WINDOWS)
            after[meter.id] = [count + more for count, more in zip(counts[meter.id], costs, strict=True)]
            # What costs nothing is not refused, whatever was spent by others since.
            costing = [each for each in meter.limits if costs[each.place]]
            crossed += _crossed(costing, after[meter.id])
        if crossed:
            last = max(crossed, key=lambda each: each.seconds - uow.now % each.seconds)
            answers.append(BudgetExhausted(last.name, last.quota, last.seconds, last.seconds - uow.now % last.seconds))
            continue
        answers.append(None)
        counts |= after
        for mark, _ in own:
            seen.setdefault(mark, set()).add(look.shape)
    put_back(uow.conn, {mark: move for mark, move in moves.items() if mark not in seen}, counts)
    return answers
