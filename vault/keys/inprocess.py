"""The key service inside the calling process: in an evaluation, and in the key holder.

Every verb holds one lock for its whole batch. An item is a microsecond of C: threads would gain nothing.
"""

import os
from collections.abc import Sequence
from contextlib import closing, suppress
from dataclasses import replace
from threading import Lock
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.keywrap import InvalidUnwrap, aes_key_unwrap, aes_key_wrap

from vault.errors import IntegrityFailure, KeyUnavailable, Sealed, StoreUnavailable
from vault.keys.givenout import GivenOut
from vault.keys.pagestore import PageStore, Snapshot
from vault.keys.pagetree import KEY, split_slot
from vault.keys.service import FIRST_GENERATION, KeyState, KeyStatus, SigningKey, Slot
from vault.keys.servicekeys import IndexKey
from vault.keys.view import Opener, View

_WRAPPED: Final = 40
_TOKEN: Final = 16


class InProcessKeyService:
    """A `KeyService` over an opened keystore. Made by `vault.keys.keystore.open_keystore`. Thread-safe.

    Every verb raises Sealed once closed. In a forked child it is refused: two processes would give out one block of
    slots twice.

    Each batch of verbs on leaves and index keys first asks the store whether anybody else wrote. What concerns keys it
    then takes over: the leaves to be denied and, after an epoch change, everything, under the new root. What it held
    of the old epoch is wiped.
    """

    def __init__(self, store: PageStore, opener: Opener) -> None:
        self._store = store
        self._opener = opener
        store.changed()  # before the snapshot: what is written in between is seen twice, not missed
        snapshot = store.snapshot()
        self._view: View | None = opener.open(snapshot)
        self._denied = snapshot.denied
        self._revision = snapshot.head.revision
        self._stale = False
        self._last = KeyStatus(KeyState.UNSEALED, snapshot.head.epoch, store.reserved(), self._view.total)
        self._given_out = GivenOut(store)
        self._process = os.getpid()
        self._lock = Lock()

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {'sealed' if self._view is None else 'unsealed'}>"

    def reserve(self, count: int) -> list[Slot]:
        """Allocate `count` fresh slots. Raises LeavesExhausted and takes none when too few are left.

        The generation is 0: allocation only moves forward over leaves that were never drawn again.
        """
        with self._lock:
            return self._given_out.take(self._current(), self._denied, count)

    def wrap(self, items: Sequence[tuple[Slot, bytes]]) -> list[bytes | None]:
        """Wrap 32-byte data keys under their leaf: 40 bytes each; None for an absent leaf, page, or generation."""
        wrapped: list[bytes | None] = []
        with self._lock:
            self._current()
            failed: set[tuple[int, int]] = set()
            last = key = None
            for slot, dek in items:
                if slot is not last and slot != last:
                    last, key = slot, self._leaf(slot, failed)
                wrapped.append(None if key is None or len(dek) != KEY else aes_key_wrap(key, dek))
        return wrapped

    def unwrap(self, items: Sequence[tuple[Slot, bytes]]) -> list[bytes | None]:
        """Unwrap data keys. RFC 3394 checks 64 bits; each message's commitment settles the rest."""
        deks: list[bytes | None] = []
        with self._lock:
            self._current()
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

    def rewrap(self, items: Sequence[tuple[Slot, Slot, bytes]]) -> list[bytes | None]:
        """Wrap data keys under another leaf. None where either leaf is absent or retired, or the bytes are altered."""
        deks = self.unwrap([(old, wrapped) for old, _, wrapped in items])
        opened = [(new, dek) for (_, new, _), dek in zip(items, deks, strict=True) if dek is not None]
        wrapped = iter(self.wrap(opened))
        return [None if dek is None else next(wrapped) for dek in deks]

    def retire(self, slots: Sequence[Slot]) -> None:
        """Queue leaves for destruction. A slot that names no possible leaf is passed over."""
        with self._lock:
            possible = list(filter(self._current().possible, slots))
            if possible:
                self._stale = True  # before the write: an acknowledgement may be lost
                self._store.retire(possible)

    def recall(self, slots: Sequence[Slot]) -> list[bool]:
        """Take leaves off the queue; True also for one never on it."""
        with self._lock:
            possible = list(filter(self._current().possible, slots))
            self._stale = True
            recalled = dict(zip(possible, self._store.recall(possible), strict=True))
            self._current()
            failed: set[tuple[int, int]] = set()
            return [recalled.get(slot, False) or self._leaf(slot, failed) is not None for slot in slots]

    def alive(self, slots: Sequence[Slot]) -> list[bool]:
        """Whether each leaf exists at that generation, its page opens, and it is not retired."""
        with self._lock:
            self._current()
            failed: set[tuple[int, int]] = set()
            return [self._leaf(slot, failed) is not None for slot in slots]

    def mac(self, label: str, messages: Sequence[bytes]) -> list[bytes]:
        """HMAC-SHA-256 under the key of `label`. Callers compare in constant time or by an index."""
        with self._lock:
            base = self._opened().keys.hmac(label)
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
            keys = self._opened().keys
            siv, name = keys.siv(label), label.encode()
            return [siv.encrypt(plaintext, [name, context]) for context, plaintext in items]

    def open(self, label: str, items: Sequence[tuple[bytes, bytes]]) -> list[bytes | None]:
        """Open (context, sealed) pairs."""
        with self._lock:
            keys = self._opened().keys
            siv, name = keys.siv(label), label.encode()
            opened: list[bytes | None] = []
            for context, sealed in items:
                try:
                    opened.append(siv.decrypt(sealed, [name, context]))
                except InvalidTag:
                    opened.append(None)
            return opened

    def blind(self, label: str, messages: Sequence[bytes], epoch: int) -> list[bytes]:
        """Search tokens under the index key of `epoch`. Raises KeyUnavailable when it is gone."""
        with self._lock:
            view = self._current()
            index, base = self._index(view, epoch), view.keys.hmac(label)
            blocks = bytearray()
            for message in messages:
                mac = base.copy()
                mac.update(message)
                blocks += mac.finalize()[:_TOKEN]
            return _tokens(index.blind(bytes(blocks)))

    def reblind(self, tokens: Sequence[bytes], old: int, new: int) -> list[bytes]:
        """Move tokens between epochs. Raises KeyUnavailable, or IntegrityFailure for a token not of 16 bytes."""
        if any(len(token) != _TOKEN for token in tokens):
            raise IntegrityFailure(IntegrityFailure.code)
        with self._lock:
            view = self._current()
            before, after = self._index(view, old), self._index(view, new)
            return _tokens(after.blind(before.unblind(b"".join(tokens))))

    def index_epochs(self) -> tuple[int, ...]:
        """Epochs whose index key is held, newest first."""
        with self._lock:
            return tuple(sorted(self._current().index, reverse=True))

    def sign(self, key: SigningKey, messages: Sequence[bytes], generation: int = FIRST_GENERATION) -> list[bytes]:
        """Ed25519 (RFC 8032) signatures, 64 bytes each."""
        with self._lock:
            signing = self._opened().keys.signing(key, generation)
            return [signing.sign(message) for message in messages]

    def public_key(self, key: SigningKey, generation: int = FIRST_GENERATION) -> bytes:
        """Return the raw 32-byte Ed25519 public key."""
        with self._lock:
            return self._opened().keys.public(key, generation)

    def status(self) -> KeyStatus:
        """State and counts. `slots_reserved` counts whole blocks of all processes; once closed, what was last known."""
        with self._lock:
            if self._view is None:
                return self._last
            view = self._current()
            head, change = self._store.head(), self._store.change()
            self._last = KeyStatus(
                KeyState.UNSEALED,
                view.epoch,
                self._store.reserved(),
                view.total,
                len(self._store.retired()),
                head.retiring,
                None if change is None else change.state.value,
                view.geometry.leaves,
            )
            return self._last

    def refresh(self) -> None:
        """Look at what others did. Does nothing once closed."""
        with self._lock:
            if self._view is not None:
                self._current()

    def close(self) -> None:
        """Forget every key, give back the unused of the last block, close the store. Twice is fine."""
        with self._lock:
            if self._view is None or self._process != os.getpid():
                return
            self._last = replace(self._last, state=KeyState.SEALED)
            self._view.close()
            self._view = None
            with suppress(StoreUnavailable), closing(self._store):
                self._given_out.give_back()

    def _opened(self) -> View:
        """Return what is open, or refuse. The caller holds the lock."""
        if self._view is None:
            raise Sealed("the key service is closed")
        if self._process != os.getpid():
            raise Sealed("the key service was opened before a fork: open the keystore in each process")
        return self._view

    def _current(self) -> View:
        """Return what is open, as others left it. The caller holds the lock."""
        view = self._opened()
        if self._store.changed():
            self._stale = True
        return self._renew(view) if self._stale else view

    def _renew(self, view: View) -> View:
        """Take over what others wrote. Until that succeeded it is tried at every batch."""
        snapshot = self._store.snapshot()
        head = snapshot.head
        if head.revision != self._revision:
            if head.structure != view.structure:
                view = self._reopen(view, snapshot)
            self._denied, self._revision = snapshot.denied, head.revision
            for epoch in view.index.keys() - {head.epoch, head.retiring}:
                del view.index[epoch]
        self._stale = False
        return view

    def _reopen(self, view: View, snapshot: Snapshot) -> View:
        """Open the view anew and wipe the old one.

        Why the old view may serve when the new root does not answer: until the old root is destroyed no page of its
        epoch is purged, and every leaf that goes with it is denied. The next step of the change tries again.
        """
        try:
            renewed = self._opener.open(snapshot, view)
        except Sealed:
            if snapshot.head.retiring == view.epoch:
                return view
            raise
        view.close()
        self._view = renewed
        return renewed

    @staticmethod
    def _index(view: View, epoch: int) -> IndexKey:
        try:
            return view.index[epoch]
        except KeyError:
            raise KeyUnavailable("the index key of this epoch is gone") from None

    def _leaf(self, slot: Slot, failed: set[tuple[int, int]]) -> memoryview | None:
        """Find a leaf key. `failed` is the batch's own: a page that does not open is tried once per batch.

        Why a key is good only until the next call: looking up another slot may drive its page out of memory, and a
        page is wiped as it goes. Fields of one compartment follow each other, so callers keep the last key.
        """
        if slot in self._denied:
            return None
        number, generation = slot
        view = self._view
        if view is None:  # pragma: no cover - each verb has looked
            raise Sealed
        tree, ordinal = split_slot(number)
        place, child = divmod(ordinal, view.geometry.fanout)
        if (tree, place) in failed:
            return None
        page = view.tree.leaf_page(tree, place)
        if page is None:
            # Its row may have been purged since this batch began: then the new view has it under a new key.
            renewed = self._current()
            if renewed is not view:
                failed.clear()
                return self._leaf(slot, failed)
            failed.add((tree, place))
            return None
        return page.key(child) if page.generations.get(child, 0) == generation else None


def _tokens(blocks: bytes) -> list[bytes]:
    return [blocks[at : at + _TOKEN] for at in range(0, len(blocks), _TOKEN)]
