"""How far the log has been told: a file that survives crashes, one teller at a time."""

import fcntl
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from vault.keys.private_file import sync_folder

_VERSION: Final = 1


class CursorUnavailable(Exception):
    """The cursor cannot be read, written or had: another process tells from it, or somebody changed it."""


class Cursor:
    """The next entry to tell, by the name of the log: a log that succeeds another begins anew."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._next = _read(path)

    def next(self, origin: str) -> int | None:
        """Return the index of the next entry to tell, or None if nothing of this log was told yet."""
        return self._next.get(origin)

    def move(self, origin: str, index: int) -> None:
        """Remember, durably, that everything before `index` was taken by the receiver."""
        self._next[origin] = index
        content = json.dumps({"v": _VERSION, "next": self._next}, sort_keys=True).encode()
        beside = self._path.with_name(self._path.name + ".new")
        try:
            with beside.open("wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            beside.replace(self._path)
            sync_folder(self._path.parent)
        except OSError:
            raise CursorUnavailable("the cursor cannot be written") from None


@contextmanager
def held(path: Path) -> Iterator[Cursor]:
    """Have a cursor for a block. Raises `CursorUnavailable` while another process has it."""
    try:
        lock = path.with_name(path.name + ".lock").open("wb")
    except OSError:
        raise CursorUnavailable("the cursor's folder cannot be written") from None
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise CursorUnavailable("another process tells from this cursor") from None
        yield Cursor(path)


def _read(path: Path) -> dict[str, int]:
    try:
        found = json.loads(path.read_bytes())
    except FileNotFoundError:
        return {}
    except (OSError, ValueError):
        raise CursorUnavailable("the cursor cannot be read") from None
    told = found.get("next") if isinstance(found, dict) and found.get("v") == _VERSION else None
    if not isinstance(told, dict) or not all(type(each) is int and each >= 0 for each in told.values()):
        raise CursorUnavailable("the cursor is not one of ours")
    return told
