"""What a serving process and the one that makes a report say to each other, over a pair of sockets that nobody else has.

    frame   kind(1) | length(8) | content      content is JSON but for the document, which is as it will be stored

The one that makes the report speaks; the other answers what is a question, in order, and listens.
"""

import select
import socket
import struct
from enum import IntEnum
from typing import Any, Final

import orjson

from vault.errors import VaultError

MOST: Final = 1 << 31  # bytes of one frame: a report of a million rows has a tenth of it
_HEAD: Final = struct.Struct(">BQ")
_PIECE: Final = 1 << 20


class Kind(IntEnum):
    """What a frame is. Those that end in a question are answered by one `ANSWER`."""

    TASK = 1  # which report, of what, from which database
    ANSWER = 2
    PROGRESS = 3  # how many entries are read, and of how many
    STAFF_KEYS = 4  # asks for the keys under which members of staff are veiled
    LOG_KEYS = 5  # asks for the log keys of people whom a brand knows
    SIGNATURE = 6  # asks for the signature of a report
    DOCUMENT = 7
    FAILED = 8  # the code of an error, and of a defect the class of the exception


class Malformed(VaultError):
    """What arrived is nothing that the other side sends."""

    code = "malformed_frame"


class Link:
    """One end. A peer that is gone shows as EOFError when it is listened to, as OSError when it is spoken to."""

    __slots__ = ("_socket",)

    def __init__(self, sock: socket.socket) -> None:
        self._socket = sock

    def say(self, kind: Kind, content: object) -> None:
        """Send JSON, or bytes as they are."""
        body = content if isinstance(content, bytes) else orjson.dumps(content)
        self._socket.sendall(_HEAD.pack(kind, len(body)))
        self._socket.sendall(body)

    def ask(self, kind: Kind, content: object) -> Any:
        """Send a question and return the answer."""
        self.say(kind, content)
        answered, body = self.hear()
        if answered is not Kind.ANSWER:
            raise Malformed("not an answer")
        return orjson.loads(body)

    def hear(self) -> tuple[Kind, bytes]:
        """Wait for a frame."""
        number, size = _HEAD.unpack(self._take(_HEAD.size))
        if size > MOST or number not in set(Kind):
            raise Malformed("no frame of ours")
        return Kind(number), bytes(self._take(size))

    def waits(self, seconds: float) -> bool:
        """Whether something is there to be heard, at the latest after so many seconds."""
        readable, _, _ = select.select([self._socket], [], [], seconds)
        return bool(readable)

    def _take(self, size: int) -> bytearray:
        found = bytearray()
        while len(found) < size:
            piece = self._socket.recv(min(_PIECE, size - len(found)))
            if not piece:
                raise EOFError
            found += piece
        return found
