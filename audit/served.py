"""A published log read for its checkpoint and hash tiles alone, in a folder or behind an address.

What comes over the network is judged as what lies in a folder is: by signatures and hashes. An answer that is late, long or
absent decides nothing.

Standard library only: the verifier takes this file along when it is copied out.
"""

from pathlib import Path
from urllib.error import URLError
from urllib.request import Request, urlopen

from audit.checkpoint import Checkpoint
from audit.directory import hash_tile_of
from audit.errors import CannotDecide, VerificationError
from audit.merkle import HASH_SIZE, Frontier
from audit.note import MAX_NOTE
from audit.tiles import TILE_WIDTH, tile_path, tiles_of

_PATIENCE = 30.0  # seconds for an answer


class PublishedLog:
    """Where a log was published: a folder, or an address that begins with http:// or https://."""

    def __init__(self, place: str) -> None:
        self._address = place.rstrip("/") if place.startswith(("http://", "https://")) else ""
        self._folder = Path(place)

    def checkpoint(self) -> str:
        """Return its newest checkpoint; raises `CannotDecide`."""
        try:
            content = self._got("checkpoint", MAX_NOTE) if self._address else (self._folder / "checkpoint").read_bytes()
            if content is not None:
                return content.decode()
        except (OSError, UnicodeDecodeError):
            pass
        raise CannotDecide("there is no checkpoint that can be read")

    def leaves(self, index: int, width: int) -> list[bytes] | None:
        """Return the first `width` hashes of a tile of level 0, or None if it is not there or not whole."""
        if not self._address:
            return hash_tile_of(self._folder, index, width)
        content = self._got(tile_path(0, index, width), TILE_WIDTH * HASH_SIZE)
        if content is None and width < TILE_WIDTH:
            content = self._got(tile_path(0, index), TILE_WIDTH * HASH_SIZE)  # the partial one may be gone
        if content is None or len(content) < width * HASH_SIZE or len(content) % HASH_SIZE:
            return None
        return [content[at : at + HASH_SIZE] for at in range(0, width * HASH_SIZE, HASH_SIZE)]

    def check_growth(self, before: Checkpoint, after: Checkpoint) -> None:
        """Recompute both roots from the leaf hashes; raises `VerificationError` when they lead elsewhere."""
        grown = Frontier()
        for index, width in tiles_of(0, after.size):
            hashes = self.leaves(index, width)
            if hashes is None:
                raise CannotDecide(f"hash tile {index} is not there, or not whole")
            if grown.size < before.size <= grown.size + width:
                head = grown.extend(hashes[: before.size - grown.size])
                if head.root() != before.root:
                    raise VerificationError(f"the tiles do not lead to the root signed at {before.size} entries")
            grown = grown.extend(hashes)
        if grown.root() != after.root:
            raise VerificationError(f"the tiles do not lead to the root signed at {after.size} entries")

    def _got(self, path: str, most: int) -> bytes | None:
        try:
            # Why safe: the reader names the address, and its scheme was checked.
            with urlopen(Request(f"{self._address}/{path}"), timeout=_PATIENCE) as answer:  # noqa: S310
                content: bytes = answer.read(most + 1)
        except (URLError, OSError, ValueError):
            return None
        return content if len(content) <= most else None
