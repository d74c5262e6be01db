"""A root provider in memory that remembers what it was asked, and refuses what a good one must refuse."""

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from vault.errors import IntegrityFailure, Sealed
from vault.keys.message import bind
from vault.keys.provider import Destruction, DestructionClass, RootState, RootStatus


class StrictRoots:
    """`destroyed` keeps the keys of destroyed roots for the adversary of the positive control only."""

    destruction_class = DestructionClass.IMMEDIATE

    def __init__(self, entropy, clock):
        self._entropy = entropy
        self._clock = clock
        self.live = {}
        self.destroyed = {}

    def create(self, ref):
        assert len(ref) == 32
        if ref in self.destroyed:
            raise Sealed("a destroyed root is never made again")
        if ref not in self.live:
            self.live[ref] = self._entropy.bytes(32)

    def wrap(self, ref, key, context):
        assert len(key) == 32
        nonce = self._entropy.bytes(12)
        return nonce + AESGCM(self._root(ref)).encrypt(nonce, key, self._bound(ref, context))

    def unwrap(self, ref, wrapped, context):
        return open_wrapped(self._root(ref), wrapped, self._bound(ref, context))

    def status(self, ref):
        if ref in self.live:
            return RootStatus(RootState.LIVE)
        return RootStatus(RootState.GONE if ref in self.destroyed else RootState.UNKNOWN)

    def destroy(self, ref):
        if ref in self.live:
            self.destroyed[ref] = self.live.pop(ref)
        elif ref not in self.destroyed:
            raise Sealed("an unknown root cannot be destroyed")
        return Destruction(self._clock.now(), f"strict:{ref}", self.destruction_class)

    def _bound(self, ref, context):
        return bind(b"strict", ref.encode(), context)

    def _root(self, ref):
        try:
            return self.live[ref]
        except KeyError:
            raise Sealed("no such root") from None


def open_wrapped(root, wrapped, bound):
    try:
        return AESGCM(root).decrypt(wrapped[:12], wrapped[12:], bound)
    except (InvalidTag, ValueError):
        raise IntegrityFailure(IntegrityFailure.code) from None


class FolderRoots(StrictRoots):
    """The same, for several processes: a file for each root."""

    def __init__(self, folder, entropy, clock):
        super().__init__(entropy, clock)
        self._folder = folder

    def create(self, ref):
        path = self._folder / f"root-{ref}"
        if (self._folder / f"gone-{ref}").exists():
            raise Sealed("a destroyed root is never made again")
        if not path.exists():
            path.write_bytes(self._entropy.bytes(32))

    def status(self, ref):
        if (self._folder / f"root-{ref}").exists():
            return RootStatus(RootState.LIVE)
        return RootStatus(RootState.GONE if (self._folder / f"gone-{ref}").exists() else RootState.UNKNOWN)

    def destroy(self, ref):
        (self._folder / f"gone-{ref}").touch()
        (self._folder / f"root-{ref}").unlink(missing_ok=True)
        return Destruction(self._clock.now(), f"strict:{ref}", self.destruction_class)

    def _root(self, ref):
        try:
            return (self._folder / f"root-{ref}").read_bytes()
        except OSError:
            raise Sealed("no such root") from None
