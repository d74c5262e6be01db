"""The pin: a file outside the database that remembers the last signed checkpoint.

A database restored from backup forgets what it signed; this file does not. It holds the signed note itself, and is
replaced atomically: written beside, flushed, renamed, and the folder flushed, so that a crash leaves the old or the
new note and never a part of one.
"""

import os
from pathlib import Path

from audit.errors import PinUnavailable

_MODE = 0o600


def read_pin(path: Path) -> str | None:
    """Return the note in the file, or None if there is no file yet."""
    try:
        return path.read_text("utf-8")
    except FileNotFoundError:
        return None
    except (OSError, UnicodeDecodeError):
        raise PinUnavailable("the last signed checkpoint cannot be read") from None


def write_pin(path: Path, note: str) -> None:
    """Replace the file durably. The caller holds the lock of the signer, so one name for the new file is enough."""
    beside = path.with_name(path.name + ".new")
    try:
        descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, _MODE)
        with os.fdopen(descriptor, "wb") as file:
            file.write(note.encode())
            file.flush()
            os.fsync(file.fileno())
        beside.replace(path)
        folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(folder)  # without it the rename itself may be lost with the power
        finally:
            os.close(folder)
    except OSError:
        raise PinUnavailable("the last signed checkpoint cannot be written") from None


def set_aside(path: Path, kept: Path) -> None:
    """Keep a note under another name, durably, so that its place is free for another log's. Never over anything."""
    try:
        try:
            os.link(path, kept)
        except FileExistsError:
            if not path.samefile(kept):  # else a crash came between the two names
                raise
        path.unlink()
        folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
    except OSError:
        raise PinUnavailable("the last signed checkpoint cannot be set aside") from None
