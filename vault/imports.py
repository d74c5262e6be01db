"""Resumable imports: each row of an import is taken in once, however often it is sent.

An import is named by its system and Idempotency-Key, a row by the caller's own row reference. Both are kept as keyed
hashes, the outcome (the references given out) sealed, in the unit of work that took the row in. A connection that broke
is resumed by sending the same rows again: those done are answered from here, the others are taken in. Only rows that
were taken in are kept; a refused row may be mended and sent again under the same reference.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

import orjson
from sqlalchemy import bindparam, select

from vault import subjects
from vault.errors import IntegrityFailure, RowMismatch, VaultError
from vault.keys.service import KeyService
from vault.store.bulk import insert_rows
from vault.store.keysets import padded
from vault.store.tables import metadata
from vault.subjects import NewSubject, Registered
from vault.unit import UnitOfWork

KEPT_SECONDS: Final = 30 * 86_400  # how long an import can be resumed
_MAC: Final = 16

_ROW = metadata.tables["import_row"]
_HELD = select(_ROW.c.row_mac, _ROW.c.content_mac, _ROW.c.outcome).where(
    _ROW.c.import_mac == bindparam("of_import"), _ROW.c.row_mac.in_(bindparam("rows", expanding=True))
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
    import_mac = _import_mac(keys, system_id, key)
    row_macs = [mac[:_MAC] for mac in keys.mac("import/row/1", [import_mac + row.ref.encode() for row in rows])]
    content_macs = [
        mac[:_MAC]
        for mac in keys.mac("import/content/1", [m + row.content for m, row in zip(row_macs, rows, strict=True)])
    ]
    held = {
        row_mac: (content_mac, outcome)
        for row_mac, content_mac, outcome in uow.conn.execute(
            _HELD, {"of_import": import_mac, "rows": padded(list(dict.fromkeys(row_macs)))}
        )
    }
    results: list[Taken | VaultError | None] = [None] * len(rows)
    fresh: dict[bytes, int] = {}
    for place, (row_mac, content_mac) in enumerate(zip(row_macs, content_macs, strict=True)):
        if row_mac in held:
            stored, outcome = held[row_mac]
            results[place] = _before(keys, row_mac, outcome) if stored == content_mac else RowMismatch()
        elif row_mac in fresh:  # the same row twice in one request: an honest repetition or a mistake, never two people
            results[place] = RowMismatch()
        else:
            fresh[row_mac] = place
    registered = subjects.register(uow, [rows[place].new for place in fresh.values()])
    done: list[tuple[bytes, bytes, Mapping[str, str]]] = []
    for (row_mac, place), outcome in zip(fresh.items(), registered, strict=True):
        if isinstance(outcome, Registered):
            results[place] = Taken(outcome.references, before=False)
            done.append((row_mac, content_macs[place], outcome.references))
        else:
            results[place] = outcome
    _keep(uow, import_mac, done)
    return [VaultError() if result is None else result for result in results]


def _keep(uow: UnitOfWork, import_mac: bytes, done: Sequence[tuple[bytes, bytes, Mapping[str, str]]]) -> None:
    # The row's own hash is the context: an outcome moved to another row does not open.
    outcomes = uow.vault.keys.seal(
        "import/outcome/1", [(row_mac, orjson.dumps(dict(references))) for row_mac, _, references in done]
    )
    insert_rows(
        uow.conn,
        _ROW,
        [
            {
                "import_mac": import_mac,
                "row_mac": row_mac,
                "content_mac": content_mac,
                "outcome": outcome,
                "expires_at": uow.now + KEPT_SECONDS,
            }
            for (row_mac, content_mac, _), outcome in zip(done, outcomes, strict=True)
        ],
    )


def _before(keys: KeyService, row_mac: bytes, outcome: bytes) -> Taken | VaultError:
    (opened,) = keys.open("import/outcome/1", [(row_mac, outcome)])
    return IntegrityFailure() if opened is None else Taken(orjson.loads(opened), before=True)


def _import_mac(keys: KeyService, system_id: str, key: str) -> bytes:
    # Why unambiguous: system ids contain no NUL.
    return keys.mac("import/key/1", [system_id.encode() + b"\0" + key.encode()])[0][:_MAC]
