"""Statements that close, empty and forget: of a request, of the end of an erasure, and of the guard of a restore alike.

Each is one statement for many rows. Parameters: `of_subject` with `of_category`, or with `first` and `last`, ids of
fields; `compartments`, pairs of a subject and a category; `subjects`.
"""

from typing import Final

from sqlalchemy import bindparam, delete, tuple_, update

from policies.catalogue import IDS_PER_CATEGORY
from vault.compartments import ERASING
from vault.store.tables import metadata

_SUBJECT: Final = metadata.tables["subject"]
_COMPARTMENT: Final = metadata.tables["compartment"]
_VALUE: Final = metadata.tables["field_value"]
_TOKEN: Final = metadata.tables["search_token"]
_ERASURE: Final = metadata.tables["erasure"]
_WITHHELD: Final = metadata.tables["withheld_text"]
_REVIEWED: Final = metadata.tables["reviewed_text"]

CLOSE: Final = (
    update(_COMPARTMENT)
    .where(_COMPARTMENT.c.subject_id == bindparam("of_subject"), _COMPARTMENT.c.category_id == bindparam("of_category"))
    .values(state=ERASING)
)
UNFIND: Final = delete(_TOKEN).where(
    _TOKEN.c.subject_id == bindparam("of_subject"),
    _TOKEN.c.field_id >= bindparam("first"),
    _TOKEN.c.field_id <= bindparam("last"),
)
EMPTY: Final = tuple(
    delete(table).where(tuple_(table.c.subject_id, table.c.category_id).in_(bindparam("compartments", expanding=True)))
    for table in (_VALUE, _COMPARTMENT)
) + tuple(
    # What officers decided of its texts goes with them: versions and items are counted anew in what is written next.
    delete(table).where(
        tuple_(table.c.subject_id, table.c.field_id // IDS_PER_CATEGORY).in_(bindparam("compartments", expanding=True))
    )
    for table in (_WITHHELD, _REVIEWED)
)
FORGET: Final = delete(_SUBJECT).where(_SUBJECT.c.id.in_(bindparam("subjects", expanding=True)))
UNNAME: Final = (
    update(_ERASURE)
    .where(_ERASURE.c.subject_id.in_(bindparam("subjects", expanding=True)), _ERASURE.c.state == "done")
    .values(subject_id=None)
)
