"""Forget what has expired: proofs, tokens, remembered requests, import rows, sessions, old lines of the ledger of events.

What officers left waiting or closed too. A job calls `purge` and `purge_ledger` now and then, and `forget_details` each day.

Nothing here changes an answer: an expired row is already refused or ignored where it is read. Rows go in small units
of work, so that a long purge never holds up a disclosure, and it may stop after any of them.
"""

from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import Table, delete, select, tuple_

from audit.entry import Act, Actor, ActorKind, Entry, Outcome
from vault import budgetmarks, budgetraises, details, joins
from vault.governance import cases, proposals
from vault.outbox import LEASE_SECONDS, EventState
from vault.store.tables import metadata
from vault.unit import Vault

GRACE_SECONDS: Final = 300  # clocks of several hosts may differ; what one still honours, another must not forget
ROWS_PER_UNIT: Final = 500
DAY: Final = 86_400

_TOKEN: Final = metadata.tables["access_token"]
_TOKEN_SUBJECT: Final = metadata.tables["token_subject"]
_EVENT: Final = metadata.tables["outgoing_event"]
_COUNTED: Final = ("budget_mark", "budget_meter")
_EXPIRING: Final = (
    "seen_proof", "idempotent_request", "import_row", "attestation", "predicate_day", "reference", "identity_code", "letter", "package_link",
    "officer_session", "officer_invitation", "portal_session", "report_run", "bundle_upload",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Purged:
    """How many rows went, by table."""

    tokens: int
    proofs: int
    requests: int
    import_rows: int
    attestations: int
    predicate_days: int
    references: int
    codes: int
    letters: int
    links: int
    sessions: int
    invitations: int
    visits: int
    reports: int
    uploads: int
    budget_marks: int
    budget_meters: int


def purge(vault: Vault, most_units: int = 1000) -> Purged:
    """Delete expired rows and what no budget counts any more, in at most `most_units` units of work per table."""
    tokens = _purge_tokens(vault, most_units)
    expired = [_purge(vault, metadata.tables[name], "expires_at", GRACE_SECONDS, most_units) for name in _EXPIRING]
    counted = [_purge(vault, metadata.tables[name], "at", budgetmarks.ASKED_ABOUT, most_units) for name in _COUNTED]
    _close(vault)
    return Purged(tokens, *expired, *counted)


def purge_ledger(vault: Vault, days: int, most_units: int = 1000) -> int:
    """Delete the lines of events that were acknowledged more than `days` ago. What nobody acknowledged stays for ever.

    The log keeps its entry of each acknowledgement.
    """
    gone = 0
    for _ in range(most_units):
        with vault.unit() as unit:
            before = unit.now - days * DAY
            # `next_at` is indexed and was set shortly before the acknowledgement; that alone decides.
            old = select(_EVENT.c.id).where(
                _EVENT.c.state == EventState.ACKNOWLEDGED.value,
                _EVENT.c.next_at < before + LEASE_SECONDS,
                _EVENT.c.acknowledged_at < before,
            )
            count = unit.conn.execute(delete(_EVENT).where(_EVENT.c.id.in_(old.limit(ROWS_PER_UNIT)))).rowcount
            unit.commit()
        gone += count
        if count < ROWS_PER_UNIT:
            break
    return gone


def forget_details(vault: Vault, days: int, most_units: int = 1000) -> int:
    """Delete the details of entries that are more than `days` old, and put on record how many; the entries stay.

    A detail is what stands beside an entry about a person (why, from which address), sealed. The entry's commitment to it
    stays too, and says nothing any more.
    """
    gone = 0
    for _ in range(most_units):
        with vault.unit() as unit:
            count = details.forget(unit.conn, unit.now - days * DAY)
            if count:
                actor = Actor(ActorKind.VAULT, vault.deployment)
                unit.record(Entry(Act.DETAIL_FORGOTTEN, Outcome.ALLOW, actor, pol=(f"days:{days}",), n=count))
                unit.commit()
        gone += count
        if count < details.AT_ONCE:
            break
    return gone


def _purge(vault: Vault, table: Table, column: str, after: int, most_units: int) -> int:
    """Delete rows whose time in `column` (UTC seconds) was more than `after` seconds ago."""
    key = tuple(table.primary_key.columns)
    gone = 0
    for _ in range(most_units):
        with vault.unit() as unit:
            old = select(*key).where(table.c[column] < unit.now - after).limit(ROWS_PER_UNIT)
            count = unit.conn.execute(delete(table).where(tuple_(*key).in_(old))).rowcount
            unit.commit()
        gone += count
        if count < ROWS_PER_UNIT:
            break
    return gone


def _close(vault: Vault) -> None:
    """Make void what no second officer decided on in time, and drop what break-glass cases said long after they closed."""
    with vault.unit() as unit:
        changed = [proposals.expire(unit, kind) for kind in (joins.JOINS, budgetraises.RAISES)]
        if any((*changed, cases.expire(unit))):
            unit.commit()


def _purge_tokens(vault: Vault, most_units: int) -> int:
    gone = 0
    for _ in range(most_units):
        with vault.unit() as unit:
            old = select(_TOKEN.c.hash).where(_TOKEN.c.expires_at < unit.now - GRACE_SECONDS).limit(ROWS_PER_UNIT)
            hashes: list[Any] = list(unit.conn.scalars(old))
            if hashes:
                unit.conn.execute(delete(_TOKEN_SUBJECT).where(_TOKEN_SUBJECT.c.token_hash.in_(hashes)))
                unit.conn.execute(delete(_TOKEN).where(_TOKEN.c.hash.in_(hashes)))
            unit.commit()
        gone += len(hashes)
        if len(hashes) < ROWS_PER_UNIT:
            break
    return gone
