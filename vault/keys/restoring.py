"""A copy becomes the keystore: of a host's file, or of a database, whichever the original was."""

from contextlib import closing
from pathlib import Path
from typing import Final

from vault.errors import Conflict, IntegrityFailure, WrongDeployment
from vault.keys.copies import digest
from vault.keys.home import Home, create_store, open_store
from vault.keys.pagefile import PageFile
from vault.keys.pagestore import PageStore
from vault.keys.pagetree import PageTree
from vault.keys.provider import RootProvider
from vault.keys.survivors import prove_whole
from vault.keys.toppage import OpenEpoch, deployment_bytes, open_epoch
from vault.runtime import Entropy

_PAGES: Final = 64  # opened pages kept while all are opened once


def restore_keystore(copy: Path, home: Home, provider: RootProvider, deployment: str, *, entropy: Entropy) -> None:
    """Make a keystore at `home` of a copy, after every page of the copy opened, and read it back.

    The count of leaves given out is the copy's, which is older than the data: call `PageStore.skip` with what the data
    know before anything is written (T45). Raises Conflict when a keystore is there; Sealed, WrongDeployment, Damaged or
    IntegrityFailure for a copy that is absent, opens under no root there is, is another's, or is damaged.
    """
    name = deployment_bytes(deployment)
    with closing(PageFile(copy)) as source, source.reading():
        head = source.head()
        if head.deployment != deployment:
            raise WrongDeployment("the copy belongs to another deployment")
        opened = _opened(source, name, provider)
        prove_whole(PageTree(name, opened.top.geometry, opened.top.roots, source.page, _PAGES), opened.top)
        if not create_store(home, source.rows(), source.current_pages(), entropy):
            raise Conflict("keystore exists")
        with closing(open_store(home)) as restored:
            same = restored.rows() == source.rows() and restored.current() == source.current()
            if not same or digest(restored, _opened(restored, name, provider)) != digest(source, opened):
                raise IntegrityFailure(IntegrityFailure.code)


def _opened(store: PageStore, name: bytes, provider: RootProvider) -> OpenEpoch:
    head = store.head()
    row = store.epoch(head.epoch)
    if row is None:
        raise IntegrityFailure(IntegrityFailure.code)
    return open_epoch(name, row, head, provider)
