"""Pruning the log: which entries are old enough, what holds them, and the steps in which what they said goes.

How long entries are kept is a rule of the policy bundle, which two officers signed and whose hash each pruning names. What
is to go lies in evidence bundles outside first, and is held against the log entry by entry. Then, in this order:

1. one unit: erasures and changes of the log's key that are told nowhere else are told again, and `log.pruned` says from
   which entry on bodies are kept. From here on nothing below is served.
2. a checkpoint covers that.
3. stretch by stretch, each a transaction: bodies and details go. A process that dies is followed by one that goes on here.
4. published bundles go.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from sqlalchemy import Connection, text

from audit import ledger, pruning, published
from audit.entry import Act, Actor, ActorKind, Entry, Outcome, decode
from audit.errors import LedgerConflict, VerificationError
from audit.merkle import leaf_hash
from audit.prunedpart import CARRIED_OVER, pruning_rules
from audit.pruning import STRETCH, Pruned
from audit.records import Record
from vault import details, evidence
from vault.errors import Conflict, IntegrityFailure
from vault.pruningbounds import Plan
from vault.store.engine import clear_journal, translate
from vault.unit import Vault

_PIECE: Final = 4096
_KEY_CHANGES: Final = frozenset({Act.LOG_KEY_ADDED, Act.LOG_KEY_RETIRED})


@dataclass(frozen=True, slots=True)
class Done:
    """What was pruned: bodies are kept from `first` on, `carried` erasures were told again, entry `index` says so."""

    first: int
    carried: int
    index: int
    blanked: int


@dataclass(frozen=True, slots=True)
class _Again:
    """What of the entries that go has to stay told."""

    erased: frozenset[bytes]
    changes: tuple[tuple[Act, tuple[str, ...]], ...]
    roots: frozenset[str]


def prune(
    vault: Vault, plan: Plan, archives: Sequence[str], outside: Path, actor: Actor, folder: Path | None = None
) -> Done:
    """Carry out a plan. `archives` are SHA-256 (hexadecimal) of the bundles that hold what goes (`vault.pruningarchives`).

    `outside` is the file that keeps the last checkpoint off the database, `folder` that of the published log. May be
    repeated after a crash: `finish` first. Raises `Conflict`, `IntegrityFailure` for entries that are not as they were stored,
    `SigningRefused`, `PublishingRefused`.
    """
    if plan.first <= plan.kept:
        raise Conflict("there is nothing to prune")
    with vault.reading() as conn:
        again = _told_again(conn, plan.shard, plan.first)
    rules = pruning_rules(plan.policy, plan.months, len(again.erased), archives)
    own = Actor(ActorKind.VAULT, vault.deployment)
    try:
        with vault.unit(plan.shard) as uow:
            for act, said in again.changes:
                uow.record(Entry(act, Outcome.ALLOW, own, pol=said))
            for com in sorted(again.erased):  # in an order that tells nothing of theirs
                uow.record(Entry(Act.ERASURE_CARRIED, Outcome.ALLOW, own, pol=(CARRIED_OVER,), com=com))
            said = (*rules, *(f"root:{root}" for root in sorted(again.roots)))
            told = uow.record(Entry(Act.LOG_PRUNED, Outcome.ALLOW, actor, pol=said, n=plan.first))
            pruning.keep(uow.conn, plan.shard, Pruned(plan.first, uow.now, told))
            commit = uow.commit()
    except LedgerConflict as other:
        raise Conflict(str(other)) from None
    blanked = finish(vault, outside, folder, plan.shard)
    return Done(plan.first, len(again.erased), commit.entries[told], blanked)


def finish(vault: Vault, outside: Path, folder: Path | None = None, shard: int = 0) -> int:
    """Carry out what the last `log.pruned` says as far as that has not been done; return how many bodies went.

    Raises as `prune`.
    """
    with vault.reading() as conn:
        pruned = pruning.last(conn, shard)
        begin = pruning.first_body(conn, shard)
    if pruned is None:
        return 0
    gone = 0
    if begin < pruned.first:
        _cover(vault, pruned, outside, shard)
        with vault.reading() as conn:
            again = pruning.carried(conn, shard, pruned)
        for start in range(begin, pruned.first, STRETCH):
            gone += _blank(vault, shard, start, min(start + STRETCH, pruned.first), again)
        _tidy(vault)
    if folder is not None:
        evidence.publish(vault, folder, entries=False, shard=shard)
    return gone


def _cover(vault: Vault, pruned: Pruned, outside: Path, shard: int) -> None:
    """Have a checkpoint over the entry of a pruning: without one, a reader could only take the database's word for it."""
    evidence.sign_checkpoints(vault, outside, wait=True)
    with vault.reading() as conn:
        index = ledger.index_of(conn, shard, pruned.entry_id)
        if index is None or published.signed_size(conn, shard) <= index:
            raise Conflict("no checkpoint covers the entry of the pruning yet")


def _blank(vault: Vault, shard: int, start: int, end: int, again: frozenset[bytes]) -> int:
    try:
        with translate(), vault.engine.connect() as conn, conn.begin():
            gone = pruning.blank(conn, shard, start, end, again)
            details.drop(conn, [each.entry_id for each in gone])
    except VerificationError:
        raise IntegrityFailure from None
    return len(gone)


def _tidy(vault: Vault) -> None:
    """Have what was deleted leave the database's own files: hygiene, as far as an engine offers it."""
    clear_journal(vault.engine)
    if vault.engine.dialect.name == "postgresql":
        with translate(), vault.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as conn:
            conn.execute(text("VACUUM log_entry"))


def _told_again(conn: Connection, shard: int, first: int) -> _Again:
    """Read what goes, hash by hash, for what must stay told. Raises `IntegrityFailure`."""
    erased: set[bytes] = set()
    changes: dict[tuple[Act, tuple[str, ...]], None] = {}
    roots: set[str] = set()
    for piece in _pieces(conn, shard, first):
        if any(leaf_hash(each.body) != each.leaf for each in piece):
            raise IntegrityFailure
        erased |= pruning.commitments(each.body for each in piece)
        for each in piece:
            if b'"act":"log.' in each.body:
                entry = decode(each.body)
                roots |= evidence.roots_in(entry)
                if entry["act"] in _KEY_CHANGES:
                    changes[Act(entry["act"]), _marked(entry)] = None
    return _Again(frozenset(erased), tuple(changes), frozenset(roots))


def _marked(entry: Mapping[str, Any]) -> tuple[str, ...]:
    return tuple(sorted({*entry.get("pol", ()), CARRIED_OVER}))


def _pieces(conn: Connection, shard: int, first: int) -> Iterator[Sequence[Record]]:
    for start in range(pruning.first_body(conn, shard), first, _PIECE):
        yield ledger.read(conn, shard, start, min(_PIECE, first - start))
