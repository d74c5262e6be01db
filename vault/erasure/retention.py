"""Retention: what the catalogue says has to go after so many days is found, and its erasure requested (GDPR 5(1)(e)).

A compartment's time counts from its last write. A subject all of whose compartments are over is erased whole. What a
hold or a law keeps is not asked for yet: the next sweep finds it again. Nor is what a person had restricted: they may
have chosen that over its erasure (GDPR 18(1)(b), (c)), and it may only be stored (18(2)).
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from sqlalchemy import bindparam, select

from audit.entry import Actor
from policies.catalogue import Catalogue
from policies.errors import UnknownCategory
from vault import restrictions
from vault.compartments import ACTIVE
from vault.erasure import keeping
from vault.erasure.keeping import DAY, Filled
from vault.erasure.records import Cause, Scope
from vault.erasure.requests import Erase, Requested, erase
from vault.store.tables import metadata
from vault.unit import Vault

SUBJECTS_PER_UNIT: Final = 200

_SUBJECT: Final = metadata.tables["subject"]
_NEXT: Final = (
    select(_SUBJECT.c.id)
    .where(_SUBJECT.c.state == ACTIVE, _SUBJECT.c.id > bindparam("after"))
    .order_by(_SUBJECT.c.id)
    .limit(SUBJECTS_PER_UNIT)
)


@dataclass(frozen=True, slots=True)
class Sweep:
    """What a sweep found, by category: compartments over their time, and how many of those a hold, a law or a restriction keeps."""

    subjects: int
    over: dict[str, int]
    kept: dict[str, int]
    requested: int


def sweep(vault: Vault, actor: Actor, *, dry_run: bool = False) -> Sweep:
    """Go through all subjects and request what is over its time. A dry run requests nothing."""
    catalogue = vault.bundle.catalogue
    over: dict[str, int] = {}
    kept: dict[str, int] = {}
    whole = requested = 0
    for subjects in _pages(vault):
        with vault.reading() as conn:
            now = vault.clock.now()
            filled = keeping.filled(conn, subjects)
            held = keeping.kept(conn, catalogue, filled, now)
            restricted = restrictions.asked_for(conn, subjects)
        asked: list[Erase] = []
        for subject, compartments in filled.items():
            due = [each for each in compartments.values() if _is_over(catalogue, each, now)]
            free = [each for each in due if (subject, each.category_id) not in held and subject not in restricted]
            for each in due:
                name = keeping.name_of(catalogue, each.category_id)
                over[name] = over.get(name, 0) + 1
                kept[name] = kept.get(name, 0) + (each not in free)
            if free and len(free) == len(compartments):
                whole += 1
                asked.append(Erase(subject, actor, cause=Cause.RETENTION))
            else:
                asked += [Erase(subject, actor, Scope.CATEGORY, e.category_id, cause=Cause.RETENTION) for e in free]
        if not dry_run and asked:
            requested += sum(isinstance(answer, Requested) for answer in erase(vault, asked))
    return Sweep(whole, over, {name: count for name, count in kept.items() if count}, requested)


def _is_over(catalogue: Catalogue, compartment: Filled, now: int) -> bool:
    if compartment.state != ACTIVE:
        return False
    try:
        days = catalogue.category_by_id(compartment.category_id).retention_days
    except UnknownCategory:
        return False  # a category that a later catalogue has dropped says nothing of its time
    return compartment.written_at + days * DAY <= now


def _pages(vault: Vault) -> Iterator[Sequence[bytes]]:
    after = b""
    while True:
        with vault.reading() as conn:
            subjects = list(conn.scalars(_NEXT, {"after": after}))
        if not subjects:
            return
        yield subjects
        after = subjects[-1]
