"""Create and open a keystore: the page key tree, the service keys, and the one wrapped key that opens both.

The root (provider) wraps the key of the *top page*. The top page holds the shape of the trees, the key of the service
keys and the root key of every tree, so that growing by a tree seals one page again and touches no other. The root's
wrapping is bound to deployment, epoch and root; every page to deployment and place. Layouts: docs/formats.md.
"""

import struct
from pathlib import Path
from typing import Final

from vault.errors import Conflict, IntegrityFailure, VaultError, WrongDeployment
from vault.keys import servicekeys
from vault.keys.inprocess import InProcessKeyService
from vault.keys.message import bind, open_message, seal_message
from vault.keys.pagefile import FORMAT, Head, PageFile, create_file
from vault.keys.pagetree import KEY, Geometry, PageTree, TreeRoot, build
from vault.keys.provider import RootProvider
from vault.keys.servicekeys import ServiceKeys
from vault.runtime import Clock, Entropy

__all__ = ["Geometry", "create_keystore", "open_keystore"]

_LABEL_ROOT: Final = b"ecrin/top-key/v1"
_LABEL_TOP: Final = b"ecrin/top-page/v1"
_LABEL_SERVICE: Final = b"ecrin/service-keys/v1"
_TOP: Final = "top"
_SERVICE: Final = "service"
_EPOCH = struct.Struct(">Q")
_SHAPE = struct.Struct(">HBI32s")  # fan-out, depth, number of trees, key of the service keys
_TREE = struct.Struct(">32sI")  # root key and generation of one tree
_MAX_DEPLOYMENT: Final = 64
_LEAF_PAGES: Final = 2048  # opened leaf pages kept: 8 MB


def create_keystore(
    path: Path,
    provider: RootProvider,
    deployment: str,
    geometry: Geometry = Geometry(),  # noqa: B008 - frozen
    *,
    entropy: Entropy,
    clock: Clock,
) -> None:
    """Draw every key of a new deployment and write its keystore at `path`, complete or not at all.

    Raises Conflict when the file exists: a keystore is never replaced, as losing one loses every value sealed under
    it. Raises ValueError for a deployment id that is empty or over 64 bytes; StoreFull when it cannot be written.
    """
    name = _deployment_bytes(deployment)
    if path.exists():
        raise Conflict("keystore exists")
    ref = entropy.bytes(16).hex()
    provider.create(ref)
    top_key, service_key = entropy.bytes(KEY), entropy.bytes(KEY)
    root, pages = build(name, geometry, 0, entropy)
    top = _SHAPE.pack(geometry.fanout, geometry.depth, 1, service_key) + _TREE.pack(root.key, root.generation)
    wrapped = provider.wrap(ref, top_key, _root_context(name, 0))
    parts = (
        (_TOP, seal_message(top_key, _part_context(_LABEL_TOP, name, 0), top)),
        (_SERVICE, seal_message(service_key, _part_context(_LABEL_SERVICE, name, 0), servicekeys.draw(entropy))),
    )
    head = Head(FORMAT, deployment, 0, ref, wrapped, geometry.fanout, geometry.depth, 1, clock.now())
    if not create_file(path, entropy.bytes(8).hex(), head, parts, pages):
        raise Conflict("keystore exists")


def open_keystore(
    path: Path, provider: RootProvider, deployment: str, *, leaf_pages: int = _LEAF_PAGES
) -> InProcessKeyService:
    """Open an existing keystore and unseal it. Never creates one. `leaf_pages` bounds the opened pages kept.

    Raises Sealed when the file or its root key is absent or does not open; UnsafeFile when it is exposed;
    WrongDeployment when it says it is another's; IntegrityFailure when the root opened and the keystore is altered,
    which includes the keystore of another deployment relabelled as this one's.
    """
    name = _deployment_bytes(deployment)
    file = PageFile(path)
    try:
        head = file.head()
        if head.deployment != deployment:
            raise WrongDeployment("the keystore belongs to another deployment")
        top_key = provider.unwrap(head.root_ref, head.top_key, _root_context(name, head.epoch))
        top = open_message(top_key, _part_context(_LABEL_TOP, name, head.epoch), file.part(_TOP))
        geometry, service_key, roots = _read_top(top, head)
        sealed = file.part(_SERVICE)
        keys = ServiceKeys(open_message(service_key, _part_context(_LABEL_SERVICE, name, head.epoch), sealed))
        tree = PageTree(name, geometry, roots, file.page, leaf_pages)
        return InProcessKeyService(file, tree, keys, geometry, len(roots), head.epoch)
    except VaultError:
        file.close()
        raise


def _read_top(top: bytes, head: Head) -> tuple[Geometry, bytes, tuple[TreeRoot, ...]]:
    """Read the top page and hold the clear row against it."""
    try:
        fanout, depth, trees, service_key = _SHAPE.unpack_from(top)
        roots = tuple(TreeRoot(*item) for item in _TREE.iter_unpack(top[_SHAPE.size :]))
        geometry = Geometry(fanout, depth)
    except (struct.error, ValueError):
        raise IntegrityFailure(IntegrityFailure.code) from None
    if (fanout, depth, trees) != (head.fanout, head.depth, head.trees) or len(roots) != trees:
        raise IntegrityFailure(IntegrityFailure.code)
    return geometry, service_key, roots


def _deployment_bytes(deployment: str) -> bytes:
    name = deployment.encode()
    if not 0 < len(name) <= _MAX_DEPLOYMENT:
        raise ValueError("a deployment id has 1 to 64 bytes")
    return name


def _root_context(deployment: bytes, epoch: int) -> bytes:
    return _part_context(_LABEL_ROOT, deployment, epoch)


def _part_context(label: bytes, deployment: bytes, epoch: int) -> bytes:
    return bind(label, deployment, _EPOCH.pack(epoch))
