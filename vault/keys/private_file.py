"""Files that hold secrets: readable by their owner alone, whole or absent, on disk before anyone relies on them."""

import os
import stat
from collections.abc import Callable
from pathlib import Path

from vault.errors import Sealed, StoreFull, UnsafeFile

_OTHERS = stat.S_IRWXG | stat.S_IRWXO


def check_private(descriptor: int) -> None:
    """Refuse an open file that is not an ordinary one, or that anybody but its owner may read or write."""
    state = os.fstat(descriptor)
    if not stat.S_ISREG(state.st_mode):
        raise UnsafeFile("a key file is not an ordinary file")
    if state.st_mode & _OTHERS:
        raise UnsafeFile("a key file is open to group or others: its mode must be 0600 or less")
    if state.st_uid not in {0, os.geteuid()}:
        raise UnsafeFile("a key file belongs to another account")


def read_private(path: Path, limit: int) -> bytes:
    """Read a secret file of at most `limit` bytes. Raises Sealed when it is absent or longer, UnsafeFile when exposed."""
    try:
        # O_NONBLOCK: a FIFO put in the file's place must be refused below, not waited for.
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except OSError:
        raise Sealed("a key file is absent or cannot be read") from None
    try:
        check_private(descriptor)  # before anything else: a folder could not even be wrapped as a file
        content = b""
        while len(content) <= limit and (piece := os.read(descriptor, limit + 1 - len(content))):
            content += piece
    except OSError:
        raise Sealed("a key file is absent or cannot be read") from None
    finally:
        os.close(descriptor)
    if len(content) > limit:
        raise Sealed("a key file is too long")
    return content


def write_private(path: Path, content: bytes, unique: str) -> bool:
    """Create `path` with mode 0600 and these bytes, durably. Returns False, and changes nothing, if it exists.

    `unique` names the unfinished file. Linking it into place makes the file appear whole or not at all.
    """
    unfinished = path.with_name(f"{path.name}.{unique}.unfinished")
    try:
        descriptor = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            with open(descriptor, "wb") as file:  # noqa: PTH123 - created above with its mode
                file.write(content)
                file.flush()
                os.fsync(descriptor)
            return publish(unfinished, path)
        finally:
            unfinished.unlink(missing_ok=True)
    except OSError:
        raise StoreFull("a key file cannot be written") from None


def publish(unfinished: Path, path: Path) -> bool:
    """Give a finished file its name, durably; False if the name is taken. Never replaces: an old key is never lost."""
    try:
        os.link(unfinished, path)
    except FileExistsError:
        return False
    sync_folder(path.parent)
    return True


def destroy_private(path: Path, before_unlink: Callable[[], object] = lambda: None) -> None:
    """Overwrite a secret file where it lies, then unlink it, each durably. An absent file is done.

    `before_unlink` runs when the content is gone and the name is not.

    The name may have other links (a crash of `write_private` leaves one): all of them lose the content. What a file
    system, an SSD or a snapshot keeps of the old blocks is beyond us; the provider's class says so.
    """
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except FileNotFoundError:
        return
    except IsADirectoryError:
        raise UnsafeFile("a key file is not an ordinary file") from None
    except OSError:
        raise StoreFull("a key file cannot be overwritten") from None
    try:
        state = os.fstat(descriptor)
        if not stat.S_ISREG(state.st_mode):  # its mode does not matter: exposed or not, it has to go
            raise UnsafeFile("a key file is not an ordinary file")
        os.write(descriptor, bytes(state.st_size))
        os.fsync(descriptor)
        before_unlink()
        path.unlink(missing_ok=True)
        sync_folder(path.parent)
    except OSError:
        raise StoreFull("a key file cannot be overwritten") from None
    finally:
        os.close(descriptor)


def sync_folder(folder: Path) -> None:
    """Make the names in a folder durable. Raises OSError."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
