"""Create and open a keystore: the page key tree, the service keys, and the one wrapped key that opens both.

The root (provider) wraps the key of the *top page*. The root's wrapping is bound to deployment, epoch and root; every
page to deployment and place. Layouts: docs/formats.md.
"""

from collections.abc import Iterator
from typing import Final

from vault.errors import Conflict, VaultError
from vault.keys.home import Home, create_store, holds_keystore, open_store
from vault.keys.inprocess import InProcessKeyService
from vault.keys.pagestore import FORMAT, Head, PageRow, PageStore, Rows
from vault.keys.pagetree import Geometry, build
from vault.keys.provider import RootProvider
from vault.keys.toppage import deployment_bytes, draw_epoch, seal_epoch
from vault.keys.view import Opener
from vault.runtime import Clock, Entropy

__all__ = ["Geometry", "create_keystore", "draw_keystore", "open_keystore", "serve_store"]

_LEAF_PAGES: Final = 2048  # opened leaf pages kept: 8 MB


def create_keystore(
    home: Home,
    provider: RootProvider,
    deployment: str,
    geometry: Geometry = Geometry(),  # noqa: B008 - frozen
    *,
    entropy: Entropy,
    clock: Clock,
) -> None:
    """Draw every key of a new deployment and write its keystore, a file or into a database, complete or not at all.

    Raises Conflict when one is there: a keystore is never replaced, as losing one loses every value sealed under
    it. Raises ValueError for a deployment id that is empty or over 64 bytes; StoreFull when it cannot be written.
    """
    deployment_bytes(deployment)
    if holds_keystore(home):
        raise Conflict("keystore exists")
    rows, pages = draw_keystore(provider, deployment, geometry, entropy=entropy, clock=clock)
    if not create_store(home, rows, pages, entropy):
        raise Conflict("keystore exists")


def draw_keystore(
    provider: RootProvider, deployment: str, geometry: Geometry, *, entropy: Entropy, clock: Clock
) -> tuple[Rows, Iterator[PageRow]]:
    """Draw a new keystore: its rows, and an iterator over its pages. Makes the root of epoch 0."""
    name = deployment_bytes(deployment)
    ref = entropy.bytes(16).hex()
    provider.create(ref)
    root, pages = build(name, geometry, 0, entropy)
    epoch = draw_epoch(name, 0, ref, provider, (geometry, (root,), None), entropy)
    head = Head(FORMAT, deployment, 0, None, geometry.fanout, geometry.depth, 0, 0, clock.now())
    rows = Rows(head, 0, (seal_epoch(name, epoch),), (), (), None, ())
    return rows, (PageRow(address, 0, body) for address, body in pages)


def open_keystore(
    home: Home, provider: RootProvider, deployment: str, *, leaf_pages: int = _LEAF_PAGES
) -> InProcessKeyService:
    """Open an existing keystore and unseal it. Never creates one. `leaf_pages` bounds the opened pages kept.

    Raises Sealed when the keystore or its root key is absent or does not open; UnsafeFile when it is exposed;
    WrongDeployment when it says it is another's; IntegrityFailure when the root opened and the keystore is altered,
    which includes the keystore of another deployment relabelled as this one's.
    """
    deployment_bytes(deployment)
    return serve_store(open_store(home), provider, deployment, leaf_pages=leaf_pages)


def serve_store(
    store: PageStore, provider: RootProvider, deployment: str, *, leaf_pages: int = _LEAF_PAGES
) -> InProcessKeyService:
    """Unseal an opened store, which the service then owns: it is closed on failure. Raises as `open_keystore` does."""
    try:
        return InProcessKeyService(store, Opener(store, provider, deployment, leaf_pages))
    except VaultError:
        store.close()
        raise
