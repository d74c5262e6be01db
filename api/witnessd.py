"""`ecrin witness`: a small witness that a sister company runs for the log of a vault (C2SP tlog-witness over HTTP).

It needs no vault, no database and no settings: a folder with its own key and one small file for each log it knows, and
the verifier keys of those logs. It holds nothing about anybody: an origin, a size, a root, hashes.
"""

import fcntl
import os
from collections.abc import Callable, Sequence
from math import ceil
from pathlib import Path
from typing import Final

import anyio.to_thread
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from audit.addcheckpoint import ADD_CHECKPOINT, MAX_REQUEST
from audit.errors import PinUnavailable
from audit.note import VerifierKey
from audit.witness import Answer, Witness
from vault.errors import Conflict, IntegrityFailure, StoreFull
from vault.keys.private_file import read_private, write_private
from vault.runtime import Clock, Entropy

_KEY_FILE: Final = "key"
_LOCK_FILE: Final = "lock"
_SEED: Final = 32
_UNAVAILABLE: Final = 503
_TOO_LARGE: Final = 413
_TOO_MANY: Final = 429
_MINUTE: Final = 60


class WitnessKey:
    """The witness's own Ed25519 key, read from its folder or drawn (audit.note.Signer)."""

    def __init__(self, folder: Path, name: str, entropy: Entropy) -> None:
        path = folder / _KEY_FILE
        if not path.exists():
            write_private(path, entropy.bytes(_SEED), "new")
        seed = read_private(path, _SEED)
        if len(seed) != _SEED:
            raise IntegrityFailure(IntegrityFailure.code)
        self._private = Ed25519PrivateKey.from_private_bytes(seed)
        self.name = name
        self.public_key = self._private.public_key().public_bytes_raw()

    def sign(self, message: bytes) -> bytes:
        """Return the 64-byte Ed25519 signature."""
        return self._private.sign(message)


def open_witness(folder: Path, name: str, logs: Sequence[VerifierKey], *, clock: Clock, entropy: Entropy) -> Witness:
    """Open the witness of a folder, which is made if need be, for this process alone.

    Raises `Conflict` when another process has it, `StoreFull`, and `PinUnavailable` when a state in it is damaged.
    """
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        # Kept open for the life of the process: two processes on one folder could each sign another history.
        held = os.open(folder / _LOCK_FILE, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError:
        raise StoreFull("the folder of the witness cannot be written") from None
    try:
        fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(held)
        raise Conflict("another process is the witness of this folder") from None
    return Witness(WitnessKey(folder, name, entropy), logs, folder, clock.now)


class Allowance:
    """How many submissions a minute are looked at, of all logs together: each may cost a signature and a write to disk.

    `steady` gives seconds from an arbitrary beginning.
    """

    def __init__(self, per_minute: int, steady: Callable[[], float]) -> None:
        self._per_minute = per_minute
        self._steady = steady
        self._began = steady()
        self._taken = 0

    def wait(self) -> int:
        """Take one, or tell in how many seconds there is one again; 0: it is taken. For one thread."""
        now = self._steady()
        if now - self._began >= _MINUTE:
            self._began, self._taken = now, 0
        if self._taken >= self._per_minute:
            return max(1, ceil(self._began + _MINUTE - now))
        self._taken += 1
        return 0


def create_witness_app(witness: Witness, allowance: Allowance) -> Starlette:
    """Build the application: `POST /add-checkpoint`, `GET /<hash>/checkpoint`, and `GET /key`."""

    async def add(request: Request) -> Response:
        if wait := allowance.wait():
            headers = {"Retry-After": str(wait), "Connection": "close"}
            return PlainTextResponse("too many\n", _TOO_MANY, headers)
        body = b""
        async for piece in request.stream():
            body += piece
            if len(body) > MAX_REQUEST:
                return PlainTextResponse("too long\n", _TOO_LARGE, {"Connection": "close"})
        try:
            answer = await anyio.to_thread.run_sync(witness.add_checkpoint, body)
        except PinUnavailable:
            answer = Answer(_UNAVAILABLE, b"the state cannot be kept\n")
        return Response(answer.body, answer.status, media_type=answer.content_type)

    async def newest(request: Request) -> Response:
        try:
            note = await anyio.to_thread.run_sync(witness.checkpoint, request.path_params["log"])
        except PinUnavailable:
            return PlainTextResponse("the state cannot be read\n", _UNAVAILABLE)
        return PlainTextResponse("nothing seen\n", 404) if note is None else PlainTextResponse(note)

    async def key(_: Request) -> Response:
        return PlainTextResponse(f"{witness.key.vkey}\n")

    return Starlette(
        routes=[
            Route(f"/{ADD_CHECKPOINT}", add, methods=["POST"]),
            Route("/{log}/checkpoint", newest, methods=["GET"]),
            Route("/key", key, methods=["GET"]),
        ]
    )
