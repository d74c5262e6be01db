"""The search index filled again from the values: its tokens died with an epoch that a backup is older than, or a migration let them go.

One unit per batch of subjects, under their locks: what is written meanwhile is indexed by whoever writes it, before or
after, and stands in the index once. May be stopped anywhere and repeated.
"""

from collections.abc import Callable, Sequence
from typing import Final

from sqlalchemy import Connection, bindparam, delete, exists, select

from vault import findable, search, searchepochs
from vault.compartments import ACTIVE
from vault.search import Indexed
from vault.store.keysets import padded
from vault.store.tables import metadata
from vault.unit import UnitOfWork, Vault

SUBJECTS_PER_UNIT: Final = 200

_SUBJECT: Final = metadata.tables["subject"]
_TOKEN: Final = metadata.tables["search_token"]
_RESTRICTION: Final = metadata.tables["restriction"]

_NEXT: Final = (
    select(_SUBJECT.c.id, _SUBJECT.c.state)
    .where(_SUBJECT.c.id > bindparam("after"))
    .order_by(_SUBJECT.c.id)
    .limit(SUBJECTS_PER_UNIT)
    .with_for_update()
)
_DOUBTED: Final = select(_RESTRICTION.c.subject_id).where(
    _RESTRICTION.c.subject_id.in_(bindparam("subjects", expanding=True)),
    _RESTRICTION.c.brand == "",
    _RESTRICTION.c.lifted_at.is_(None),
)
_EMPTY: Final = select(_SUBJECT.c.id).where(_SUBJECT.c.state == ACTIVE, ~exists(select(_TOKEN.c.token))).limit(1)
Noted = Callable[[UnitOfWork, bytes, int], None]
"""Called in each unit with the last subject dealt with and how many tokens were made, before it commits."""


def _unnoted(uow: UnitOfWork, after: bytes, made: int) -> None:
    """Remember nothing."""


def outlived(vault: Vault) -> bool:
    """Whether anybody is found by tokens that no key opens any more."""
    with vault.reading() as conn:
        return searchepochs.left_behind(conn, vault.keys.index_epochs()) > 0


def needed(vault: Vault) -> bool:
    """Whether tokens are `outlived`, or there are people and no token at all, as behind a migration that let them go.

    The second is true as well where nobody has a value to be found by; then `rebuild` makes nothing.
    """
    if outlived(vault):
        return True
    with vault.reading() as conn:
        return conn.execute(_EMPTY).first() is not None


def rebuild(vault: Vault, *, after: bytes = b"", noted: Noted = _unnoted) -> int:
    """Make every search token anew, from the subject behind `after` on. Returns how many there are.

    Subjects that are being erased, or in doubt since a restore (`in_doubt`), are in no index.
    """
    made = 0
    while True:
        with vault.unit() as uow:
            found = uow.conn.execute(_NEXT, {"after": after}).all()
            if not found:
                return made
            after = found[-1].id
            searchepochs.writing(uow)
            uow.conn.execute(delete(_TOKEN).where(_TOKEN.c.subject_id.in_(padded([row.id for row in found]))))
            doubted = in_doubt(uow.conn, [row.id for row in found])
            seen = [row.id for row in found if row.state == ACTIVE and row.id not in doubted]
            count = _index(uow, seen)
            made += count
            noted(uow, after, count)
            uow.commit()


def again(uow: UnitOfWork, subjects: Sequence[bytes]) -> None:
    """Make the search tokens of locked, active subjects anew, in this unit of work."""
    searchepochs.writing(uow)
    uow.conn.execute(delete(_TOKEN).where(_TOKEN.c.subject_id.in_(padded(list(subjects)))))
    _index(uow, subjects)


def in_doubt(conn: Connection, subjects: Sequence[bytes]) -> frozenset[bytes]:
    """Return those of whom a restore found that most had been erased since, and no officer has decided yet."""
    return frozenset(conn.scalars(_DOUBTED, {"subjects": padded(list(subjects))})) if subjects else frozenset()


def _index(uow: UnitOfWork, subjects: Sequence[bytes]) -> int:
    found = findable.stored(uow, subjects, uow.vault.bundle.catalogue.searchable)
    search.index(
        uow, [Indexed(each.subject, each.shard, each.brand, each.field, each.item, each.message) for each in found]
    )
    return len(found)
