"""A folder of root files: one file per root, and a mark that outlives it.

    root-<ref>              a live root
    root-<ref>.destroying   a root that opens nothing any more and is being overwritten
    root-<ref>.destroyed    the mark: UTC second at which it was gone, in decimal

Why the mark: an absent file alone could be a root that never was, or one whose medium is not mounted, and neither may
pass for a destruction. Why the rename first: every crash leaves a root that is live, or one that nobody opens and
whose destruction is resumed.
"""

from pathlib import Path
from typing import Final

from vault.errors import Sealed, StoreFull, UnsafeFile
from vault.keys.private_file import destroy_private, read_private, sync_folder, write_private
from vault.keys.provider import RootState, checked_ref

_DESTROYING: Final = ".destroying"
_DESTROYED: Final = ".destroyed"
_MARK: Final = 20  # digits of a time, at most


class RootFolder:
    """The files of one folder. Holds no root itself. Not thread-safe; safe against other processes."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    @staticmethod
    def name(ref: str) -> str:
        """Return the file name of a root. Raises ValueError for what is no root's name."""
        return f"root-{checked_ref(ref)}"

    def live(self, ref: str) -> bool:
        """Whether the root's file is there."""
        return self._path(ref).exists()

    def state(self, ref: str) -> RootState:
        """Say what the folder shows of a root."""
        if self.live(ref):
            return RootState.LIVE
        if self._path(ref, _DESTROYING).exists():
            return RootState.PENDING
        return RootState.GONE if self._path(ref, _DESTROYED).exists() else RootState.UNKNOWN

    def read(self, ref: str, limit: int) -> bytes:
        """Read a live root's file. Raises Sealed, UnsafeFile."""
        return read_private(self._path(ref), limit)

    def write(self, ref: str, content: bytes, unique: str) -> bool:
        """Write a root's file, durably; False when there is one. Raises StoreFull."""
        try:
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError:
            raise StoreFull("the folder of the root key cannot be made") from None
        return write_private(self._path(ref), content, unique)

    def destroy(self, ref: str, now: int, unique: str) -> int:
        """Overwrite and unlink a root's file; return the second at which it was gone, of the first time this was done.

        Raises Sealed when the folder shows no trace of the root; StoreFull, UnsafeFile when it cannot be overwritten.
        """
        state = self.state(ref)
        if state is RootState.GONE:
            return self._marked(ref)
        if state is RootState.UNKNOWN:
            raise Sealed("no root of this name was ever in this folder")
        doomed = self._path(ref, _DESTROYING)
        try:
            if state is RootState.LIVE:
                self._path(ref).rename(doomed)
                sync_folder(self._folder)
            # What a crash of `write_private` left: the root under another name, or one that was never used.
            left = list(self._folder.glob(f"{self.name(ref)}.*.unfinished"))
        except OSError:
            raise StoreFull("the folder of the root key cannot be written") from None
        for path in left:
            destroy_private(path)
        # The content goes before the mark appears, the name after it: a crash between them is PENDING, never GONE.
        mark = self._path(ref, _DESTROYED)
        destroy_private(doomed, lambda: write_private(mark, b"%d\n" % now, unique))
        return self._marked(ref)

    def _marked(self, ref: str) -> int:
        try:
            return int(read_private(self._path(ref, _DESTROYED), _MARK))
        except ValueError:
            raise UnsafeFile("the mark of a destroyed root is damaged") from None

    def _path(self, ref: str, suffix: str = "") -> Path:
        return self._folder / (self.name(ref) + suffix)
