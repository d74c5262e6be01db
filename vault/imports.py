"""Resumable imports: each row of an import is taken in once, however often it is sent.

An import is named by its system and Idempotency-Key, a row by the caller's own row reference. Both are kept as blinded
hashes, the outcome (the references given out) sealed, in the unit of work that took the row in; none of it outlives the
epoch (`vault.remembering`). A connection that broke
is resumed by sending the same rows again: those done are answered from here, the others are taken in. Only rows that
were taken in are kept; a refused row may be mended and sent again under the same reference.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

import orjson
from sqlalchemy import bindparam, select

from vault import remembering, subjects
from vault.errors import IntegrityFailure, RowMismatch, VaultError
from vault.keys.service import KeyService
from vault.remembering import Handle
from vault.store.bulk import insert_rows
from vault.store.keysets import padded
from vault.store.tables import metadata
from vault.subjects import NewSubject, Registered
from vault.unit import UnitOfWork

KEPT_SECONDS: Final = 30 * 86_400  # how long an import can be resumed
KIND: Final = "import"  # of what is remembered

_ROW = metadata.tables["import_row"]
_HELD = select(_ROW.c.row_mac, _ROW.c.content_mac, _ROW.c.outcome).where(
    _ROW.c.import_mac.in_(bindparam("imports", expanding=True)), _ROW.c.row_mac.in_(bindparam("rows", expanding=True))
)


@dataclass(frozen=True, slots=True)
class Row:
    """One row to take in: the caller's reference for it, its content as it came, and the subject it describes."""

    ref: str = field(repr=False)
    content: bytes = field(repr=False)
    new: NewSubject = field(repr=False)


@dataclass(frozen=True, slots=True)
class Taken:
    """A row that is in the vault: each brand's reference, and whether it was there before this request."""

    references: Mapping[str, str] = field(repr=False)
    before: bool


def take_in(uow: UnitOfWork, system_id: str, key: str, rows: Sequence[Row]) -> list[Taken | VaultError]:
    """Take in the rows of one import that are not in yet. A row fails alone; `RowMismatch` if its content changed."""
    if not rows:
        return []
    keys = uow.vault.keys
    whole, *made = remembering.handles(
        keys, KIND, [((system_id, key), b""), *(((system_id, key, row.ref), row.content) for row in rows)]
    )
    sought = padded([handle.key for each in dict.fromkeys(made) for handle in each])
    held = {
        row_mac: (content_mac, outcome)
        for row_mac, content_mac, outcome in uow.conn.execute(
            _HELD, {"imports": padded([handle.key for handle in whole]), "rows": sought}
        )
    }
    results: list[Taken | VaultError | None] = [None] * len(rows)
    fresh: dict[bytes, int] = {}
    for place, each in enumerate(made):
        known = next((handle for handle in each if handle.key in held), None)
        if known is not None:
            stored, outcome = held[known.key]
            results[place] = _before(keys, known, outcome) if stored == known.content else RowMismatch()
        elif each[0].key in fresh:  # the same row twice in one request: a repetition or a mistake, never two people
            results[place] = RowMismatch()
        else:
            fresh[each[0].key] = place
    registered = subjects.register(uow, [replace(rows[place].new, listed=True) for place in fresh.values()])
    done: list[tuple[int, Mapping[str, str]]] = []
    for place, outcome in zip(fresh.values(), registered, strict=True):
        if isinstance(outcome, Registered):
            results[place] = Taken(outcome.references, before=False)
            done.append((place, outcome.references))
        else:
            results[place] = outcome
    for at, its in enumerate(whole):
        _keep(uow, its, [(made[place][at], references) for place, references in done])
    return [VaultError() if result is None else result for result in results]


def _keep(uow: UnitOfWork, whole: Handle, done: Sequence[tuple[Handle, Mapping[str, str]]]) -> None:
    """Keep rows that were taken in, under one epoch."""
    outcomes = remembering.seal(
        uow.vault.keys, KIND, [(handle, orjson.dumps(dict(references))) for handle, references in done]
    )
    insert_rows(
        uow.conn,
        _ROW,
        [
            {
                "import_mac": whole.key,
                "row_mac": handle.key,
                "content_mac": handle.content,
                "epoch": handle.epoch,
                "outcome": outcome,
                "expires_at": uow.now + KEPT_SECONDS,
            }
            for (handle, _), outcome in zip(done, outcomes, strict=True)
        ],
    )


def _before(keys: KeyService, handle: Handle, outcome: bytes) -> Taken | VaultError:
    (opened,) = remembering.opened(keys, KIND, [(handle, outcome)])
    return IntegrityFailure() if opened is None else Taken(orjson.loads(opened), before=True)
