"""The top page of an epoch: the one message that its root opens, and from which everything else hangs.

It holds the shape of the trees, the key of the service keys, the index key of the epoch, and the root key of every
tree, so that growing by a tree seals one page again and touches no other. Layouts: docs/formats.md.
"""

import struct
from dataclasses import dataclass
from typing import Final

from vault.errors import IntegrityFailure
from vault.keys import servicekeys
from vault.keys.message import bind, open_message, seal_message
from vault.keys.pagestore import EpochRow, Head
from vault.keys.pagetree import KEY, Geometry, TreeRoot
from vault.keys.provider import RootProvider
from vault.keys.servicekeys import ServiceKeys
from vault.runtime import Entropy

_LABEL_ROOT: Final = b"ecrin/top-key/v1"
_LABEL_TOP: Final = b"ecrin/top-page/v2"
_LABEL_SERVICE: Final = b"ecrin/service-keys/v1"
_EPOCH = struct.Struct(">Q")
_SHAPE = struct.Struct(">HBI32s32s")  # fan-out, depth, number of trees, key of the service keys, index key
_TREE = struct.Struct(">32sI")  # root key and generation of one tree
_MAX_DEPLOYMENT: Final = 64


@dataclass(frozen=True, slots=True, repr=False)
class TopPage:
    """An opened top page. `index_key` is this epoch's own: no later top page holds it."""

    geometry: Geometry
    service_key: bytes
    index_key: bytes
    roots: tuple[TreeRoot, ...]

    def encode(self) -> bytes:
        """Write it as it is sealed."""
        shape = self.geometry.fanout, self.geometry.depth, len(self.roots)
        head = _SHAPE.pack(*shape, self.service_key, self.index_key)
        return head + b"".join(_TREE.pack(root.key, root.generation) for root in self.roots)

    @classmethod
    def decode(cls, content: bytes) -> "TopPage":
        """Read what `encode` wrote. Raises IntegrityFailure for anything else."""
        try:
            fanout, depth, trees, service_key, index_key = _SHAPE.unpack_from(content)
            roots = tuple(TreeRoot(*item) for item in _TREE.iter_unpack(content[_SHAPE.size :]))
            geometry = Geometry(fanout, depth)
        except (struct.error, ValueError):
            raise IntegrityFailure(IntegrityFailure.code) from None
        if len(roots) != trees or not trees:
            raise IntegrityFailure(IntegrityFailure.code)
        return cls(geometry, service_key, index_key, roots)


@dataclass(frozen=True, slots=True, repr=False)
class OpenEpoch:
    """One epoch, opened: the key of its top page, the page, and the encoded service keys."""

    epoch: int
    root_ref: str
    wrapped: bytes
    top_key: bytes
    top: TopPage
    service: bytes

    def keys(self) -> ServiceKeys:
        """Return the service keys, ready for use."""
        return ServiceKeys(self.service)


def deployment_bytes(deployment: str) -> bytes:
    """Encode a deployment id. Raises ValueError unless it has 1 to 64 bytes."""
    name = deployment.encode()
    if not 0 < len(name) <= _MAX_DEPLOYMENT:
        raise ValueError("a deployment id has 1 to 64 bytes")
    return name


def root_context(deployment: bytes, epoch: int) -> bytes:
    """Encode what a root's wrapping of a top key is bound to; the provider adds the name of the root."""
    return _context(_LABEL_ROOT, deployment, epoch)


def seal_epoch(deployment: bytes, opened: OpenEpoch) -> EpochRow:
    """Seal an epoch's top page and service keys."""
    return EpochRow(
        opened.epoch,
        opened.root_ref,
        opened.wrapped,
        seal_message(opened.top_key, _context(_LABEL_TOP, deployment, opened.epoch), opened.top.encode()),
        seal_message(opened.top.service_key, _context(_LABEL_SERVICE, deployment, opened.epoch), opened.service),
    )


def open_epoch(deployment: bytes, row: EpochRow, head: Head, provider: RootProvider) -> OpenEpoch:
    """Open an epoch through its root, and hold the clear row against it. Raises Sealed or IntegrityFailure."""
    top_key = provider.unwrap(row.root_ref, row.top_key, root_context(deployment, row.epoch))
    top = TopPage.decode(open_message(top_key, _context(_LABEL_TOP, deployment, row.epoch), row.top))
    if (top.geometry.fanout, top.geometry.depth) != (head.fanout, head.depth):
        raise IntegrityFailure(IntegrityFailure.code)
    service = open_message(top.service_key, _context(_LABEL_SERVICE, deployment, row.epoch), row.service)
    return OpenEpoch(row.epoch, row.root_ref, row.top_key, top_key, top, service)


def draw_epoch(
    deployment: bytes,
    epoch: int,
    root_ref: str,
    provider: RootProvider,
    parts: tuple[Geometry, tuple[TreeRoot, ...], bytes | None],
    entropy: Entropy,
) -> OpenEpoch:
    """Draw the keys of an epoch and wrap its top key under its root, which exists. No key is taken over from another.

    `parts`: geometry, tree roots, and the service keys of the epoch before, or None to draw them.
    """
    geometry, roots, service = parts
    top_key, service_key, index_key = (entropy.bytes(KEY) for _ in range(3))
    wrapped = provider.wrap(root_ref, top_key, root_context(deployment, epoch))
    top = TopPage(geometry, service_key, index_key, roots)
    return OpenEpoch(epoch, root_ref, wrapped, top_key, top, servicekeys.draw(entropy) if service is None else service)


def _context(label: bytes, deployment: bytes, epoch: int) -> bytes:
    return bind(label, deployment, _EPOCH.pack(epoch))
