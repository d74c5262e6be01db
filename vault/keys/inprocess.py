"""The key service inside the calling process: the default of an evaluation, and what the key holder process wraps.

Every verb holds one lock for its whole batch. The work per item is a microsecond of C, so threads would gain nothing.
"""

import os
from collections.abc import Sequence
from threading import Lock
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.keywrap import InvalidUnwrap, aes_key_unwrap, aes_key_wrap

from vault.errors import KeyUnavailable, Sealed
from vault.keys.pagefile import PageFile
from vault.keys.pagetree import KEY, Geometry, PageTree, slot_number, split_slot
from vault.keys.service import KeyState, KeyStatus, SigningKey, Slot
from vault.keys.servicekeys import ServiceKeys

_WRAPPED: Final = 40
_BLOCK: Final = 1024  # slots set aside per write to disk; what a crash leaves of a block is never given out
_BLOCK_SHARE: Final = 64  # but at most this part of all slots, so that several processes can share a small tree


class InProcessKeyService:
    """A `KeyService` over an opened keystore. Made by `vault.keys.keystore.open_keystore`. Thread-safe.

    Every verb raises Sealed once closed. It must not be carried across a fork: two processes would give out one
    block of slots twice, so the child is refused.
    """

    def __init__(
        self, file: PageFile, tree: PageTree, keys: ServiceKeys, geometry: Geometry, trees: int, epoch: int
    ) -> None:
        self._file = file
        self._tree = tree
        self._keys: ServiceKeys | None = keys
        self._geometry = geometry
        self._total = trees * geometry.leaves
        self._epoch = epoch
        self._block = max(1, min(_BLOCK, self._total // _BLOCK_SHARE))
        self._unused = range(0)
        self._reserved = file.reserved()
        self._process = os.getpid()
        self._lock = Lock()

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {'sealed' if self._keys is None else 'unsealed'}>"

    def reserve(self, count: int) -> list[Slot]:
        """Allocate `count` fresh slots. Raises KeyUnavailable('exhausted') and takes none when too few are left.

        The generation is 0: allocation only moves forward over leaves that were never drawn again.
        """
        with self._lock:
            self._opened()
            ordinals: list[int] = []
            if count > len(self._unused):
                short = count - len(self._unused)
                block = self._file.reserve(short, max(short, self._block), self._total)
                if len(block) < short:
                    raise KeyUnavailable("exhausted")
                ordinals.extend(self._unused)
                self._unused = block
                self._reserved = block.stop
                count = short
            ordinals.extend(self._unused[:count])
            self._unused = self._unused[count:]
            leaves = self._geometry.leaves
            return [Slot(slot_number(*divmod(ordinal, leaves)), 0) for ordinal in ordinals]

    def wrap(self, items: Sequence[tuple[Slot, bytes]]) -> list[bytes | None]:
        """Wrap 32-byte data keys under their leaf: 40 bytes each; None for an absent leaf, page, or generation."""
        wrapped: list[bytes | None] = []
        with self._lock:
            self._opened()
            failed: set[tuple[int, int]] = set()
            last = key = None
            for slot, dek in items:
                if slot is not last and slot != last:
                    last, key = slot, self._leaf(slot, failed)
                wrapped.append(None if key is None or len(dek) != KEY else aes_key_wrap(key, dek))
        return wrapped

    def unwrap(self, items: Sequence[tuple[Slot, bytes]]) -> list[bytes | None]:
        """Unwrap data keys. RFC 3394 checks 64 bits; the commitment in each message settles what that leaves open."""
        deks: list[bytes | None] = []
        with self._lock:
            self._opened()
            failed: set[tuple[int, int]] = set()
            last = key = None
            for slot, wrapped in items:
                if slot is not last and slot != last:
                    last, key = slot, self._leaf(slot, failed)
                try:
                    deks.append(None if key is None or len(wrapped) != _WRAPPED else aes_key_unwrap(key, wrapped))
                except InvalidUnwrap:
                    deks.append(None)
        return deks

    def mac(self, label: str, messages: Sequence[bytes]) -> list[bytes]:
        """HMAC-SHA-256 under the key of `label`. Callers compare the results in constant time or by an index."""
        with self._lock:
            base = self._opened().hmac(label)
            macs = []
            for message in messages:
                mac = base.copy()
                mac.update(message)
                macs.append(mac.finalize())
            return macs

    def seal(self, label: str, items: Sequence[tuple[bytes, bytes]]) -> list[bytes]:
        """AES-SIV under the key of `label`, with label and context as associated data.

        Deterministic on purpose: equal (context, plaintext) seal alike, which callers use and which shows nothing for
        random identifiers. Not for personal values: those go into field envelopes.
        """
        with self._lock:
            keys = self._opened()
            siv, name = keys.siv(label), label.encode()
            return [siv.encrypt(plaintext, [name, context]) for context, plaintext in items]

    def open(self, label: str, items: Sequence[tuple[bytes, bytes]]) -> list[bytes | None]:
        """Open (context, sealed) pairs."""
        with self._lock:
            keys = self._opened()
            siv, name = keys.siv(label), label.encode()
            opened: list[bytes | None] = []
            for context, sealed in items:
                try:
                    opened.append(siv.decrypt(sealed, [name, context]))
                except InvalidTag:
                    opened.append(None)
            return opened

    def sign(self, key: SigningKey, messages: Sequence[bytes]) -> list[bytes]:
        """Ed25519 (RFC 8032) signatures, 64 bytes each."""
        with self._lock:
            signing = self._opened().signing(key)
            return [signing.sign(message) for message in messages]

    def public_key(self, key: SigningKey) -> bytes:
        """Return the raw 32-byte Ed25519 public key."""
        with self._lock:
            return self._opened().public(key)

    def status(self) -> KeyStatus:
        """State and counts. `slots_reserved` counts whole blocks of all processes; once closed, what was last known."""
        with self._lock:
            if self._keys is None:
                return KeyStatus(KeyState.SEALED, self._epoch, self._reserved, self._total)
            self._reserved = self._file.reserved()
            return KeyStatus(KeyState.UNSEALED, self._epoch, self._reserved, self._total)

    def close(self) -> None:
        """Forget every key, give back what is unused of the last block, close the file. Closing twice is fine."""
        with self._lock:
            if self._keys is None or self._process != os.getpid():
                return
            self._keys = None
            self._tree.close()
            try:
                if self._unused:
                    self._file.give_back(self._unused)
            finally:
                self._unused = range(0)
                self._file.close()

    def _opened(self) -> ServiceKeys:
        """Return the keys, or refuse. The caller holds the lock."""
        if self._keys is None:
            raise Sealed("the key service is closed")
        if self._process != os.getpid():
            raise Sealed("the key service was opened before a fork: open the keystore in each process")
        return self._keys

    def _leaf(self, slot: Slot, failed: set[tuple[int, int]]) -> memoryview | None:
        """Find a leaf key. `failed` is the batch's own: a page that does not open is tried once per batch.

        Why a key is good only until the next call: looking up another slot may drive its page out of memory, and a
        page is wiped as it goes. Fields of one compartment follow each other, so callers keep the last key.
        """
        number, generation = slot
        tree, ordinal = split_slot(number)
        place, child = divmod(ordinal, self._geometry.fanout)
        if (tree, place) in failed:
            return None
        page = self._tree.leaf_page(tree, place)
        if page is None:
            failed.add((tree, place))
            return None
        return page.key(child) if page.generations.get(child, 0) == generation else None
