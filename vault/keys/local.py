"""The root key in a local file: 32 bare bytes behind file permissions, or sealed by a passphrase (Argon2id).

Destruction class C: whoever copied the file, and knows the passphrase, keeps that root. File layouts: docs/formats.md.

What fails how, and why that is no oracle. A file that is absent, damaged, of another kind, that the passphrase does
not open, or that holds another root is one answer, `Sealed`. Only when the root is known to be the one that wrapped
can wrapped bytes be called altered, `IntegrityFailure`. Whoever has the files can test all this without asking us.
"""

import hmac
import struct
from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from typing import Final

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.kdf.argon2 import Argon2id

from vault.errors import IntegrityFailure, Sealed, StoreFull
from vault.keys.message import bind, open_message, seal_message
from vault.keys.private_file import read_private, write_private
from vault.keys.provider import DestructionClass, RootState, RootStatus
from vault.runtime import Entropy

MIN_PASSPHRASE: Final = 12  # bytes; six random words are better than any parameter

_KEY: Final = 32
_CHECK: Final = 32
_LABEL_CHECK: Final = b"ecrin/root-check/v1"
_LABEL_WRAP: Final = b"ecrin/root-wrap/v1"
_LABEL_FILE: Final = b"ecrin/root-file/v1"
_MAGIC: Final = b"ecrin-root"
_FORMAT: Final = 1
_HEAD = struct.Struct(">10sBIII16s")
_SALT: Final = 16
_SEALED: Final = _HEAD.size + 24 + 32 + _KEY + 16  # salt, commitment, root, tag


@dataclass(frozen=True, slots=True)
class Cost:
    """Argon2id parameters: memory in KiB, passes, lanes."""

    memory_kib: int
    passes: int
    lanes: int

    def within_bounds(self) -> bool:
        """Whether each parameter lies between FLOOR and CEILING."""
        return (
            FLOOR.memory_kib <= self.memory_kib <= CEILING.memory_kib
            and FLOOR.passes <= self.passes <= CEILING.passes
            and FLOOR.lanes <= self.lanes <= CEILING.lanes
        )


FLOOR: Final = Cost(64 * 1024, 3, 4)  # RFC 9106 §4, second recommended choice
DEFAULT: Final = Cost(1024 * 1024, 3, 4)  # about two seconds on two cores; unsealing is rare
CEILING: Final = Cost(4 * 1024 * 1024, 16, 16)  # a hostile file must not ask for more


class KeyFileProvider:
    """A root of 32 random bytes, bare in a 0600 file. Keep it where the backups of the keystore do not reach.

    An opened root is kept in memory until `forget`.
    """

    destruction_class = DestructionClass.BEST_EFFORT

    def __init__(self, path: Path, entropy: Entropy) -> None:
        self._path = path
        self._entropy = entropy
        self._root: bytearray | None = None
        self._lock = Lock()

    def __repr__(self) -> str:
        return f"<{type(self).__name__}>"

    def create(self, ref: str) -> None:  # noqa: ARG002 - one file, one root: its name is bound by `wrap`
        """Draw a root and write its file. A file that exists is kept, and must open."""
        with self._lock:
            if self._path.exists():
                self._open()
                return
            try:
                self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            except OSError:
                raise StoreFull("the folder of the root key cannot be made") from None
            root = bytearray(self._entropy.bytes(_KEY))
            if write_private(self._path, self._encode(root), self._entropy.bytes(8).hex()):
                self._root = root
            else:
                self._open()

    def wrap(self, ref: str, key: bytes, context: bytes) -> bytes:
        """Wrap 32 bytes: a 32-byte check of the root, then a 104-byte message. Raises Sealed."""
        with self._lock:
            root = self._open()
            return _check(root, ref) + seal_message(memoryview(root), bind(_LABEL_WRAP, ref.encode(), context), key)

    def unwrap(self, ref: str, wrapped: bytes, context: bytes) -> bytes:
        """Unwrap 32 bytes. Raises Sealed or IntegrityFailure as the module says."""
        with self._lock:
            root = self._open()
            # Constant time by habit: both sides are public to whoever holds the keystore.
            if not hmac.compare_digest(_check(root, ref), wrapped[:_CHECK]):
                raise Sealed("the root key is not the one of this keystore")
            return open_message(memoryview(root), bind(_LABEL_WRAP, ref.encode(), context), wrapped[_CHECK:])

    def status(self, ref: str) -> RootStatus:  # noqa: ARG002
        """LIVE when the file is there, else UNKNOWN: a path cannot tell "destroyed" from "never made"."""
        return RootStatus(RootState.LIVE if self._path.is_file() else RootState.UNKNOWN)

    def forget(self) -> None:
        """Drop the opened root; the next use reads its file again. Overwrites what Python lets us overwrite."""
        with self._lock:
            if self._root is not None:
                self._root[:] = bytes(len(self._root))
            self._root = None

    def _open(self) -> bytearray:
        """Return the root, from memory or from its file. The caller holds the lock."""
        if self._root is None:
            self._root = bytearray(self._decode(read_private(self._path, _SEALED)))
        return self._root

    def _encode(self, root: bytearray) -> bytes:
        return bytes(root)

    def _decode(self, content: bytes) -> bytes:
        if len(content) != _KEY:
            raise Sealed("the root key file does not hold 32 bytes")
        return content


class PassphraseProvider(KeyFileProvider):
    """A root sealed under Argon2id of a passphrase, taken as the bytes given. `cost` serves a new file only.

    Raises ValueError for a passphrase under 12 bytes or a cost out of bounds.
    """

    def __init__(self, path: Path, passphrase: bytes, entropy: Entropy, cost: Cost = DEFAULT) -> None:
        if len(passphrase) < MIN_PASSPHRASE or not cost.within_bounds():
            raise ValueError("the passphrase is too short or its Argon2id cost is out of bounds")
        super().__init__(path, entropy)
        self._passphrase = passphrase
        self._cost = cost

    def _encode(self, root: bytearray) -> bytes:
        cost = self._cost
        salt = self._entropy.bytes(_SALT)
        head = _HEAD.pack(_MAGIC, _FORMAT, cost.memory_kib, cost.passes, cost.lanes, salt)
        # Cost and salt are in the context; the message commits to its key, so one file opens by one passphrase.
        return head + seal_message(self._derive(cost, salt), bind(_LABEL_FILE, head), bytes(root))

    def _decode(self, content: bytes) -> bytes:
        if len(content) != _SEALED:
            raise Sealed("the root key did not open")
        magic, version, memory_kib, passes, lanes, salt = _HEAD.unpack_from(content)
        if magic != _MAGIC or version != _FORMAT:
            raise Sealed("the root key did not open")
        cost = Cost(memory_kib, passes, lanes)
        if not cost.within_bounds():  # before it runs: the file may be hostile
            raise Sealed("the root key file asks for an Argon2id cost out of bounds")
        head, message = content[: _HEAD.size], content[_HEAD.size :]
        try:
            return open_message(self._derive(cost, salt), bind(_LABEL_FILE, head), message)
        except IntegrityFailure:
            raise Sealed("the root key did not open") from None

    def _derive(self, cost: Cost, salt: bytes) -> bytes:
        try:
            return Argon2id(
                salt=salt, length=_KEY, iterations=cost.passes, lanes=cost.lanes, memory_cost=cost.memory_kib
            ).derive(self._passphrase)
        except (MemoryError, UnsupportedAlgorithm):
            raise Sealed("this machine cannot run Argon2id at the cost of the root key file") from None


def _check(root: bytearray, ref: str) -> bytes:
    """Tell roots apart. A MAC of public bytes under a random 256-bit key says nothing about the key."""
    return hmac.digest(bytes(root), bind(_LABEL_CHECK, ref.encode()), "sha256")
