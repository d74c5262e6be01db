"""Copies of the keystore for an operator to carry away, and bringing one back when the keystore itself is lost.

A copy is good for its epoch: after the next change of epoch it opens for nobody, which is what erasure means. It is
verified like the copies that an epoch change makes, by opening it through the root and comparing a keyed digest.
"""

from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final

from sqlalchemy import func, select

from vault.errors import Conflict, InvalidBackup, StoreUnavailable
from vault.keys.copies import FolderPlace, replicate
from vault.keys.home import Home, open_store
from vault.keys.pagestore import PageStore
from vault.keys.pagetree import Geometry, PageTree, split_slot
from vault.keys.provider import RootProvider
from vault.keys.restoring import restore_keystore
from vault.keys.survivors import prove_whole
from vault.keys.toppage import deployment_bytes, open_epoch
from vault.runtime import Clock, Entropy
from vault.store.engine import open_engine, translate
from vault.store.leaves import LEAF_COLUMNS

_PAGES: Final = 64  # opened pages kept while all are looked at once
_MARGIN: Final = 1024  # leaves: what one process sets aside at a time, and may have given out after the copy
_FILE: Final = "keystore.copy"


@dataclass(frozen=True, slots=True)
class Copied:
    """A verified copy: where, and of which deployment and epoch. It is dead once that epoch ends."""

    file: Path
    deployment: str
    epoch: int
    pages: int


def back_up(store: PageStore, provider: RootProvider, to: Path, *, clock: Clock, entropy: Entropy) -> Copied:
    """Copy the keystore to a new file `to`, or into the folder `to`, over an older copy of the same keystore.

    Raises Conflict when the file exists or an epoch change came in between; Sealed, Damaged, StoreFull,
    StoreUnavailable.
    """
    folder = to.is_dir()
    if not folder and to.exists():
        raise Conflict("a file of this name exists")
    if not to.parent.is_dir():
        raise StoreUnavailable("the folder for the copy is absent")
    place = FolderPlace(to, entropy, _FILE) if folder else FolderPlace(to.parent, entropy, to.name)
    head = store.head()
    row = store.epoch(head.epoch)
    if row is None:
        raise StoreUnavailable("the epoch changed meanwhile")
    name = deployment_bytes(head.deployment)
    current = open_epoch(name, row, head, provider)
    tree = PageTree(name, current.top.geometry, current.top.roots, store.page, _PAGES)
    good = replicate(store, [place], current, provider, clock.now, partial(prove_whole, tree, current.top))
    file = to / _FILE if folder else to
    if not good:
        if not folder:
            file.unlink(missing_ok=True)
        raise Conflict("the copy was not what the keystore is: an epoch change came in between, or the disk is bad")
    return Copied(file, head.deployment, head.epoch, len(store.current()))


def bring_back(
    copy: Path, home: Home, provider: RootProvider, deployment: str, url: str | None, *, entropy: Entropy
) -> Copied:
    """Put a copy in the place of a keystore that is lost, and see to it that it gives out no leaf twice.

    `url` is the database whose rows name leaves that were given out; None when there is none yet: call
    `skip_given_out` when there is. Raises Conflict when there is a keystore; Sealed when the root does not open the
    copy (its epoch has ended); WrongDeployment.
    """
    if isinstance(home, Path) and any(home.with_name(home.name + side).exists() for side in ("-wal", "-shm")):
        raise Conflict("side files of another keystore are in the way: move them elsewhere")  # they would be joined
    restore_keystore(copy, home, provider, deployment, entropy=entropy)
    if url is not None:
        skip_given_out(home, url)
    with closing(open_store(home)) as store:
        return Copied(copy, deployment, store.head().epoch, len(store.current()))


def skip_given_out(home: Home, url: str) -> int:
    """Never give out again what the rows at `url` name, nor what may have been given out since. Returns the next leaf.

    A copy counts as of when it was made. Leaves that were given out later are in the data, and a leaf that means two
    people would take one with it when the other is erased.
    """
    with closing(open_store(home)) as store:
        head = store.head()
        leaves = Geometry(head.fanout, head.depth).leaves
        used = max((tree * leaves + leaf + 1 for tree, leaf in map(split_slot, _highest(url))), default=0)
        store.skip(max(used, store.reserved()) + _MARGIN)
        return store.reserved()


def _highest(url: str) -> Sequence[int]:
    engine = open_engine(url, pool_size=1)
    try:
        with translate(), engine.connect() as conn:
            found = [conn.scalar(select(func.max(column))) for column in LEAF_COLUMNS]
    finally:
        engine.dispose()
    return [each for each in found if each is not None]


def newest_of(given: Path) -> Path:
    """Return the copy in a folder, or the file itself. Raises InvalidBackup."""
    file = given / _FILE if given.is_dir() else given
    if not file.exists():
        raise InvalidBackup("there is no copy of a keystore")
    return file
