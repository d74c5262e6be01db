"""Withheld texts: which free texts of a person are kept back from them, and on what ground (GDPR Art. 15(4)).

Kept by the place of a text, never by what it says, and apart from the request in which it was decided: what an officer kept
back from a package must not be read at the portal the day after. It holds until an officer gives the text, or the person is
erased.
"""

from collections.abc import Mapping
from typing import Final

from sqlalchemy import Connection, delete, select

from policies.catalogue import Field
from vault.requests.records import Ground
from vault.store.bulk import insert_rows
from vault.store.tables import metadata
from vault.unit import UnitOfWork

GROUNDS: Final = (Ground.RIGHTS_OF_OTHERS, Ground.LEGAL_CLAIMS, Ground.LEGAL_OBLIGATION)

Standing = Mapping[tuple[int, int], Ground]  # (field id, item) -> why

_WITHHELD: Final = metadata.tables["withheld_text"]


def standing(conn: Connection, subject: bytes, brand: str) -> Standing:
    """Return what of a person is kept back at a brand, as (field id, item) and the ground."""
    rows = conn.execute(
        select(_WITHHELD.c.field_id, _WITHHELD.c.item, _WITHHELD.c.ground).where(
            _WITHHELD.c.subject_id == subject, _WITHHELD.c.holder == brand
        )
    )
    return {(field_id, item): Ground(ground) for field_id, item, ground in rows}


def keep(uow: UnitOfWork, subject: bytes, brand: str, of: Field, item: int, ground: Ground) -> None:
    """Keep a text back; on another ground if it is already."""
    give(uow, subject, brand, of, item)
    row = {
        "subject_id": subject,
        "holder": brand,
        "field_id": of.id,
        "item": item,
        "shard": uow.shard,
        "ground": ground.value,
    }
    insert_rows(uow.conn, _WITHHELD, [row])


def give(uow: UnitOfWork, subject: bytes, brand: str, of: Field, item: int) -> bool:
    """Keep a text back no longer; tell whether it was."""
    this = (_WITHHELD.c.field_id == of.id, _WITHHELD.c.item == item)
    mine = (_WITHHELD.c.subject_id == subject, _WITHHELD.c.holder == brand)
    return uow.conn.execute(delete(_WITHHELD).where(*mine, *this)).rowcount > 0
