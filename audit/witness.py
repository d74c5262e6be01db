"""A witness: remembers the newest checkpoint of each log it knows, and cosigns what extends it (C2SP tlog-witness).

The one promise: of one log it never puts its name to two trees of which neither extends the other. So the new state is
on disk before anything is signed, one request at a time, and a state that cannot be read stops the witness instead of
letting it begin again at nothing.

A log that asks sees in the answer what it did wrong; the statuses are the specification's.
"""

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Final

from audit.addcheckpoint import SIZE_TYPE, read_request, write_size
from audit.checkpoint import Checkpoint, open_checkpoint, parse
from audit.cosignature import ED25519_COSIGNATURE, CosignerKey, cosign
from audit.errors import PinUnavailable, VerificationError
from audit.merkle import verify_consistency
from audit.note import Signer, VerifierKey, assemble, line_of, open_note, split_note
from audit.pin import read_pin, write_pin

TEXT: Final = "text/plain; charset=utf-8"


@dataclass(frozen=True, slots=True)
class Answer:
    """What a witness answers: an HTTP status and a body."""

    status: int
    body: bytes
    content_type: str = TEXT


class Refusal(Exception):
    """A request that is not cosigned, with the answer that says why."""

    def __init__(self, answer: Answer) -> None:
        super().__init__(answer.status)
        self.answer = answer


class Witness:
    """One witness with its key and its folder of states, a file for each log. Thread-safe; one process to a folder."""

    def __init__(self, signer: Signer, logs: Sequence[VerifierKey], folder: Path, now: Callable[[], int]) -> None:
        self._signer = signer
        self._folder = folder
        self._now = now
        self._lock = threading.Lock()
        self._keys: dict[str, list[VerifierKey]] = {}
        for key in logs:
            self._keys.setdefault(key.name, []).append(key)
        for origin in self._keys:
            self._state(origin)  # a damaged state is told at the start, not at the first request

    @property
    def key(self) -> CosignerKey:
        """Return the key that others verify its cosignatures with."""
        return CosignerKey(self._signer.name, ED25519_COSIGNATURE, self._signer.public_key)

    def add_checkpoint(self, body: bytes) -> Answer:
        """Answer one request. Raises `PinUnavailable` when the state cannot be kept: then nothing was signed."""
        try:
            return self._add(body)
        except Refusal as refused:
            return refused.answer

    def checkpoint(self, name: str) -> str | None:
        """Return the newest checkpoint seen of a log, cosigned; `name` is the hex SHA-256 of its origin."""
        origin = next((each for each in self._keys if _file_name(each) == name), None)
        if origin is None:
            return None
        with self._lock:
            note = self._state(origin)
            return None if note is None else note + cosign(split_note(note).text, self._signer, self._now())

    def _add(self, body: bytes) -> Answer:
        try:
            request = read_request(body)
            text = split_note(request.note).text
            new = parse(text)
        except VerificationError as error:
            raise _refusal(400, f"{error}") from None
        keys = self._keys.get(new.origin)
        if keys is None:
            raise _refusal(404, "this witness does not know the log")
        try:
            open_checkpoint(request.note, keys, new.origin)
            verified = open_note(request.note, keys).verified
        except VerificationError as error:
            raise _refusal(403, f"{error}") from None
        if request.old > new.size:
            raise _refusal(400, "the old size is larger than the new one")
        with self._lock:
            before = self._state(new.origin)
            seen = 0 if before is None else parse(split_note(before).text).size
            if request.old != seen:
                raise Refusal(Answer(409, write_size(seen), SIZE_TYPE))
            _check_growth(None if before is None else parse(split_note(before).text), new, request.proof)
            # Before the signature: after a crash here the witness knows of a checkpoint that nobody has from it yet,
            # which is answered by asking again. The other order could sign two histories.
            write_pin(self._path(new.origin), assemble(text, [line_of(each) for each in verified]))
            return Answer(200, cosign(text, self._signer, self._now()).encode())

    def _state(self, origin: str) -> str | None:
        note = read_pin(self._path(origin))
        if note is not None:
            try:
                open_checkpoint(note, self._keys[origin], origin)
            except VerificationError:
                raise PinUnavailable(
                    "the state of a log does not verify: bring it back, or start with a new key"
                ) from None
        return note

    def _path(self, origin: str) -> Path:
        return self._folder / _file_name(origin)


def _check_growth(before: Checkpoint | None, new: Checkpoint, proof: Sequence[bytes]) -> None:
    try:
        if before is not None and before.size:
            verify_consistency(before.size, new.size, before.root, new.root, proof)
        elif proof:
            raise _refusal(422, "there is nothing to prove growth from")
    except VerificationError as error:
        raise _refusal(422, f"{error}") from None


def _refusal(status: int, message: str) -> Refusal:
    return Refusal(Answer(status, f"{message}\n".encode()))


def _file_name(origin: str) -> str:
    return sha256(origin.encode()).hexdigest()
