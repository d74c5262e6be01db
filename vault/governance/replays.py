"""Runs what the log recorded through a draft bundle and counts what would have come out otherwise. Reads, never writes.

Entries are read in order and in pieces, and equal ones counted, so that a month of any size takes the memory of its
different decisions alone. The subjects stay what they are in the log: unknown.
"""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

from sqlalchemy import Connection

from audit import ledger
from audit.entry import Act, ActorKind, Outcome, decode
from audit.reports.lines import first_since
from policies.bundle import Bundle
from policies.replay import Recorded, Replay, Replayed, Verdict
from vault import systems
from vault.unit import Vault

PIECE: Final = 1_000  # entries read at once
MOST_DIFFERENT: Final = 10_000  # decisions told one by one; what is beyond is counted

ACTS: Final = frozenset({Act.FIELD_DISCLOSED, Act.FIELD_DENIED, Act.TOKEN_REFUSED})
"""The acts whose entries hold decisions that can be replayed."""


class Flip(NamedTuple):
    """One kind of decision that would come out otherwise."""

    record: Recorded
    replayed: Replayed


@dataclass(frozen=True, slots=True)
class Report:
    """What a replay found. `fields` counts by verdict, field by field; `flips` are in order of how often."""

    entries: int
    fields: Mapping[Verdict, int]
    flips: tuple[tuple[Flip, int], ...]
    untold: int  # flips beyond `MOST_DIFFERENT`


def replay(vault: Vault, draft: Bundle, since: int) -> Report:
    """Replay every decision logged from `since` (UTC seconds) on against `draft`, beside the bundle in force."""
    machine = Replay(vault.bundle, draft)
    verdicts: Counter[Verdict] = Counter()
    flips: Counter[Flip] = Counter()
    entries = untold = 0
    with vault.reading() as conn:
        brands = {each.id: each.brand for each in systems.listed(conn)}
        for entry in _entries(conn, vault.shards, since):
            if entry["act"] not in ACTS or not entry.get("fld"):
                continue
            entries += 1
            for record in records(entry, brands):
                replayed = machine.answer(record)
                verdicts[replayed.verdict] += 1
                if replayed.verdict in {Verdict.FLIPS, Verdict.MAY_FLIP}:
                    flip = Flip(record, replayed)
                    if flip in flips or len(flips) < MOST_DIFFERENT:
                        flips[flip] += 1
                    else:
                        untold += 1
    return Report(entries, dict(verdicts), tuple(flips.most_common()), untold)


def _entries(conn: Connection, shards: int, since: int) -> Iterator[Mapping[str, Any]]:
    for shard in range(shards):
        start = first_since(conn, shard, since, ledger.head(conn, shard).size)
        while piece := ledger.read(conn, shard, start, PIECE):
            start += len(piece)
            yield from (decode(record.body) for record in piece)


def records(entry: Mapping[str, Any], brands: Mapping[str, str]) -> Iterator[Recorded]:
    """Give one record for each field of an entry that a rule decided; none for other entries."""
    actor, decided = entry["actor"], entry.get("pol", ())
    if actor["k"] != ActorKind.SYSTEM or entry["out"] == Outcome.ERROR:
        return
    granted = entry["act"] == Act.FIELD_DISCLOSED
    floor = bool(decided) and all(each.startswith(("floor.", "token.")) for each in decided)
    for name in entry["fld"]:
        field, _, level = name.partition(":")
        yield Recorded(
            actor["id"],
            brands.get(actor["id"], ""),
            entry.get("pur", ""),
            entry.get("bas", ""),
            field,
            level,
            granted,
            floor,
        )
