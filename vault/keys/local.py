"""Roots in local files, one file each: 32 bare bytes behind file permissions, or sealed by a passphrase (Argon2id).

Destruction class C: whoever copied the file, and knows the passphrase, keeps that root. File layouts: docs/formats.md.
The passphrase outlives the epochs, so a copy of a sealed file is not destroyed with the file: ADR 0024 says what for.

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

from vault.errors import IntegrityFailure, Sealed
from vault.keys.message import bind, open_message, seal_message
from vault.keys.provider import (
    Capabilities,
    Destruction,
    DestructionClass,
    RootState,
    RootStatus,
    checked_key,
    checked_ref,
)
from vault.keys.rootfolder import RootFolder
from vault.runtime import Clock, Entropy, SystemClock

MIN_PASSPHRASE: Final = 12  # bytes; six random words are better than any parameter

_CLOCK: Final = SystemClock()
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
    """Roots of 32 random bytes, each bare in a 0600 file `root-<ref>` of one folder.

    Keep the folder where the backups of the keystore do not reach. An opened root is kept in memory until `forget`,
    and no longer than its file.
    """

    capabilities = Capabilities(
        DestructionClass.BEST_EFFORT, minimum_delay=0, exportable=True, provider_copies=True, remembers=True
    )

    def __init__(self, folder: Path, entropy: Entropy, *, clock: Clock = _CLOCK) -> None:
        self._files = RootFolder(folder)
        self._entropy = entropy
        self._clock = clock
        self._roots: dict[str, bytearray] = {}
        self._lock = Lock()

    def __repr__(self) -> str:
        return f"<{type(self).__name__}>"

    def create(self, ref: str) -> None:
        """Draw a root and write its file. A file that exists is kept, and must open."""
        with self._lock:
            if self._files.state(ref) not in {RootState.UNKNOWN, RootState.LIVE}:
                raise Sealed("the root of this name is destroyed")
            if self._files.live(ref):
                self._open(ref)
                return
            root = bytearray(self._entropy.bytes(_KEY))
            if self._files.write(ref, self._encode(root), self._entropy.bytes(8).hex()):
                self._roots[ref] = root
            else:
                self._open(ref)

    def wrap(self, ref: str, key: bytes, context: bytes) -> bytes:
        """Wrap 32 bytes: a 32-byte check of the root, then a 104-byte message. Raises Sealed."""
        checked_key(key)
        with self._lock:
            root = self._open(ref)
            return _check(root, ref) + seal_message(memoryview(root), bind(_LABEL_WRAP, ref.encode(), context), key)

    def unwrap(self, ref: str, wrapped: bytes, context: bytes) -> bytes:
        """Unwrap 32 bytes. Raises Sealed or IntegrityFailure as the module says."""
        with self._lock:
            root = self._open(ref)
            # Constant time by habit: both sides are public to whoever holds the keystore.
            if not hmac.compare_digest(_check(root, ref), wrapped[:_CHECK]):
                raise Sealed("the root key is not the one of this keystore")
            return open_message(memoryview(root), bind(_LABEL_WRAP, ref.encode(), context), wrapped[_CHECK:])

    def destroy(self, ref: str) -> Destruction:
        """Overwrite and unlink the file. Raises Sealed when nothing shows that it ever was in this folder."""
        with self._lock:
            self._drop(ref)
            at = self._files.destroy(ref, self._clock.now(), self._entropy.bytes(8).hex())
            evidence = f"file {RootFolder.name(ref)} overwritten and unlinked"
            return Destruction(at, evidence, self.capabilities.destruction_class)

    def status(self, ref: str) -> RootStatus:
        """Tell from the folder: LIVE, GONE (its mark is there), PENDING (a crash left it half done) or UNKNOWN."""
        return RootStatus(self._files.state(ref))

    def forget(self) -> None:
        """Drop the opened roots; the next use reads their files again. Overwrites what Python lets us overwrite."""
        with self._lock:
            for ref in tuple(self._roots):
                self._drop(ref)

    def _open(self, ref: str) -> bytearray:
        """Return the root, from memory or from its file. The caller holds the lock."""
        root = self._roots.get(ref)
        if root is not None and not self._files.live(ref):  # another process destroyed it, or its medium was taken away
            self._drop(ref)
            root = None
        if root is None:
            root = self._roots[ref] = bytearray(self._decode(self._files.read(ref, _SEALED)))
        return root

    def _drop(self, ref: str) -> None:
        root = self._roots.pop(checked_ref(ref), None)
        if root is not None:
            root[:] = bytes(len(root))

    def _encode(self, root: bytearray) -> bytes:
        return bytes(root)

    def _decode(self, content: bytes) -> bytes:
        if len(content) != _KEY:
            raise Sealed("the root key file does not hold 32 bytes")
        return content


class PassphraseProvider(KeyFileProvider):
    """Roots sealed under Argon2id of a passphrase, taken as the bytes given. `cost` serves new files only.

    A root created after another was opened takes that one's salt: the epoch change then runs no second Argon2id, and
    one passphrase is not worth more by being stretched twice. Each file is one committing message with a salt of its
    own under the stretched key. Raises ValueError for a passphrase under 12 bytes or a cost out of bounds.
    """

    def __init__(
        self, folder: Path, passphrase: bytes, entropy: Entropy, cost: Cost = DEFAULT, *, clock: Clock = _CLOCK
    ) -> None:
        if len(passphrase) < MIN_PASSPHRASE or not cost.within_bounds():
            raise ValueError("the passphrase is too short or its Argon2id cost is out of bounds")
        super().__init__(folder, entropy, clock=clock)
        self._passphrase = passphrase
        self._cost = cost
        self._stretched: tuple[Cost, bytes, bytes] | None = None

    def forget(self) -> None:
        """Drop the opened roots and the stretched passphrase; the passphrase itself stays."""
        super().forget()
        self._stretched = None

    def _encode(self, root: bytearray) -> bytes:
        cost = self._cost
        known = self._stretched
        salt = known[1] if known is not None and known[0] == cost else self._entropy.bytes(_SALT)
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
        if self._stretched is not None and self._stretched[:2] == (cost, salt):
            return self._stretched[2]
        try:
            key = Argon2id(
                salt=salt, length=_KEY, iterations=cost.passes, lanes=cost.lanes, memory_cost=cost.memory_kib
            ).derive(self._passphrase)
        except (MemoryError, UnsupportedAlgorithm):
            raise Sealed("this machine cannot run Argon2id at the cost of the root key file") from None
        self._stretched = (cost, salt, key)
        return key


def _check(root: bytearray, ref: str) -> bytes:
    """Tell roots apart. A MAC of public bytes under a random 256-bit key says nothing about the key."""
    return hmac.digest(bytes(root), bind(_LABEL_CHECK, ref.encode()), "sha256")
