"""The key service of a process that holds no keys: every verb goes to the key holder on its socket.

Thread-safe: a call takes an idle connection or makes one, and gives it back after its answer. A connection that broke
is made anew and the request sent once more, as every verb may be repeated (a repeated `reserve` leaves slots unused and
gives none out twice). An answer that does not come in time is `KeyHolderUnavailable`, and for a moment after it the
holder is not asked again: a batch of the API must not wait behind a holder that hangs.
"""

import os
import socket
import time
from collections import deque
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

from vault.errors import KeyHolderUnavailable, LeavesExhausted, Sealed, VaultError
from vault.keys.keyd import wire
from vault.keys.keyd.server import peer_account
from vault.keys.keyd.wire import Malformed, Progress, Verb
from vault.keys.service import FIRST_GENERATION, KeyState, KeyStatus, SigningKey, Slot

PATIENCE: Final = 5.0  # seconds for one answer; an unsealing by Argon2id takes about two
UNSEALING: Final = 60.0
_DARK: Final = 1.0  # seconds that a holder which did not answer is left alone
_PIECE_ITEMS: Final = 8192  # of a batch per request: some 10 ms of the holder, so that others get their turn
_MOST_RESERVED: Final = 1 << 15
_ROOT: Final = 0


class KeydClient:
    """A `KeyService` whose keys are in the holder behind `path`. Connects when first asked. Survives the holder.

    Raises, beside what the service itself raises, KeyHolderUnavailable, and WrongDeployment when the holder is another
    deployment's. May be carried across a fork: each process makes connections of its own.
    """

    def __init__(self, path: Path, deployment: str, *, patience: float = PATIENCE) -> None:
        self._path = str(path)
        self._deployment = deployment
        self._patience = patience
        self._idle: deque[socket.socket] = deque()
        self._public: dict[tuple[SigningKey, int], bytes] = {}
        self._last: KeyStatus | None = None
        self._dark_until = 0.0
        self._closed = False
        self._process = os.getpid()

    def __repr__(self) -> str:
        return f"<{type(self).__name__}{' closed' if self._closed else ''}>"

    def reserve(self, count: int) -> list[Slot]:
        """Allocate fresh slots. Raises LeavesExhausted and takes none when too few are left."""
        if count > _MOST_RESERVED:
            raise LeavesExhausted("exhausted")
        return self.ask(wire.RESERVE, count)  # type: ignore[no-any-return]

    def wrap(self, items: Sequence[tuple[Slot, bytes]]) -> list[bytes | None]:
        """Wrap 32-byte data keys under their leaf."""
        return self.ask(wire.WRAP, items)  # type: ignore[no-any-return]

    def unwrap(self, items: Sequence[tuple[Slot, bytes]]) -> list[bytes | None]:
        """Unwrap 40-byte wrapped keys under their leaf."""
        return self.ask(wire.UNWRAP, items)  # type: ignore[no-any-return]

    def rewrap(self, items: Sequence[tuple[Slot, Slot, bytes]]) -> list[bytes | None]:
        """Re-wrap from one leaf to another; the data keys stay in the holder."""
        return self.ask(wire.REWRAP, items)  # type: ignore[no-any-return]

    def retire(self, slots: Sequence[Slot]) -> None:
        """Queue leaves for destruction, durably."""
        self.ask(wire.RETIRE, slots)

    def recall(self, slots: Sequence[Slot]) -> list[bool]:
        """Take leaves off the queue; False for one that is gone."""
        return self.ask(wire.RECALL, slots)  # type: ignore[no-any-return]

    def alive(self, slots: Sequence[Slot]) -> list[bool]:
        """Whether each leaf exists and is not retired."""
        return self.ask(wire.ALIVE, slots)  # type: ignore[no-any-return]

    def mac(self, label: str, messages: Sequence[bytes]) -> list[bytes]:
        """HMAC-SHA-256 under the key of `label`."""
        return self.ask(wire.MAC, label, messages)  # type: ignore[no-any-return]

    def seal(self, label: str, items: Sequence[tuple[bytes, bytes]]) -> list[bytes]:
        """AES-SIV under the key of `label`."""
        return self.ask(wire.SEAL, label, items)  # type: ignore[no-any-return]

    def open(self, label: str, items: Sequence[tuple[bytes, bytes]]) -> list[bytes | None]:
        """Open what `seal` made."""
        return self.ask(wire.OPEN, label, items)  # type: ignore[no-any-return]

    def sign(self, key: SigningKey, messages: Sequence[bytes], generation: int = FIRST_GENERATION) -> list[bytes]:
        """Ed25519 signatures."""
        return self.ask(wire.SIGN, key, messages, generation)  # type: ignore[no-any-return]

    def blind(self, label: str, messages: Sequence[bytes], epoch: int) -> list[bytes]:
        """Search tokens under the index key of `epoch`."""
        return self.ask(wire.BLIND, label, messages, epoch)  # type: ignore[no-any-return]

    def reblind(self, tokens: Sequence[bytes], old: int, new: int) -> list[bytes]:
        """Carry search tokens from one epoch to another."""
        return self.ask(wire.REBLIND, tokens, old, new)  # type: ignore[no-any-return]

    def index_epochs(self) -> tuple[int, ...]:
        """Epochs whose index key opens, newest first."""
        return self.ask(wire.INDEX_EPOCHS)  # type: ignore[no-any-return]

    def public_key(self, key: SigningKey, generation: int = FIRST_GENERATION) -> bytes:
        """Return a raw public key. Asked for once: a keystore never changes them."""
        self._refuse_closed()
        named = key, generation
        if named not in self._public:
            self._public[named] = self.ask(wire.PUBLIC_KEY, key, generation)
        return self._public[named]

    def status(self) -> KeyStatus:
        """State and counts; of a sealed holder, or a closed client, what was last known of them."""
        with suppress(Sealed):
            self._last = self.ask(wire.STATUS)
            return self._last
        known = self._last
        if known is None:
            return KeyStatus(KeyState.SEALED, 0, 0, 0)
        return KeyStatus(KeyState.SEALED, known.epoch, known.slots_reserved, known.slots_total)

    def refresh(self) -> None:
        """Do nothing: the holder looks for itself."""

    def rest(self) -> None:
        """Close the connections that are idle; the next question makes one."""
        self._forget_idle()

    def close(self) -> None:
        """Close the connections. The holder keeps its keys: they are not this process's to forget."""
        self._closed = True
        self._forget_idle()

    def progress(self) -> Progress:
        """How far an unsealing of the holder is."""
        return self.ask(wire.ASK_PROGRESS)  # type: ignore[no-any-return]

    def offer(self, secret: bytes) -> Progress:
        """Give the holder one passphrase or share; empty where the root's provider needs none. Never sent twice."""
        return self.ask(wire.OFFER, secret, again=False, patience=UNSEALING)  # type: ignore[no-any-return]

    def seal_vault(self) -> Progress:
        """Have the holder forget its keys, and stay sealed until it is unsealed."""
        return self.ask(wire.SEAL_VAULT)  # type: ignore[no-any-return]

    def ask(self, verb: Verb, *arguments: Any, again: bool = True, patience: float | None = None) -> Any:
        """Ask one thing of the holder. `again`: once more where a connection broke; `patience`: seconds for an answer."""
        self._refuse_closed()
        parts = []
        for piece in wire.pieces(verb, arguments, _PIECE_ITEMS):
            try:
                frame = verb.request(piece)
            except ValueError:
                raise KeyHolderUnavailable("a request is too large for the key holder") from None
            parts.append(self._exchange(verb, frame, again=again, patience=patience or self._patience))
        if len(parts) == 1:
            return parts[0]
        return None if verb.answered is wire.NOTHING else [each for part in parts for each in part]

    def _exchange(self, verb: Verb, frame: bytes, *, again: bool, patience: float) -> Any:
        deadline = time.monotonic() + patience
        if time.monotonic() < self._dark_until:
            raise KeyHolderUnavailable("the key holder did not answer a moment ago")
        for last in (False, True) if again else (True,):
            connection = self._connection(deadline, fresh=not again)
            try:
                return wire.result_of(verb, _round_trip(connection, frame, deadline))
            except Malformed:
                connection.close()
                raise KeyHolderUnavailable("the key holder speaks another language") from None
            except TimeoutError:
                connection.close()
                self._dark_until = time.monotonic() + _DARK
                raise KeyHolderUnavailable("the key holder did not answer in time") from None
            except OSError:
                # A broken connection left others like it behind: the holder went, or went anew.
                connection.close()
                self._forget_idle()
                if last:
                    raise KeyHolderUnavailable("the key holder went away") from None
            except VaultError:  # an answer like any other
                raise
            except BaseException:
                connection.close()  # its answer is still to come, and must not be taken for another's
                raise
            finally:
                self._give_back(connection)
        raise KeyHolderUnavailable("the key holder went away")

    def _connection(self, deadline: float, *, fresh: bool) -> socket.socket:
        """Return an idle connection, or a new one that has been greeted."""
        if self._process != os.getpid():
            self._process = os.getpid()
            self._forget_idle()  # shared with the parent, whose answers they carry
        if not fresh:
            with suppress(IndexError):
                return self._idle.pop()
        with suppress(ConnectionResetError, BrokenPipeError):
            return self._greeted(
                deadline
            )  # else: taken by a holder that was just going; the next one is about to listen
        try:
            return self._greeted(deadline)
        except OSError:
            raise KeyHolderUnavailable("the key holder is not there") from None

    def _greeted(self, deadline: float) -> socket.socket:
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
        try:
            connection.settimeout(max(0.001, deadline - time.monotonic()))
            connection.connect(self._path)
            _check_account(connection)
            hello = wire.HELLO.request((wire.VERSION, self._deployment))
            wire.result_of(wire.HELLO, _round_trip(connection, hello, deadline))
        except TimeoutError:
            connection.close()
            self._dark_until = time.monotonic() + _DARK
            raise KeyHolderUnavailable("the key holder did not answer in time") from None
        except (ConnectionResetError, BrokenPipeError):
            connection.close()
            raise
        except (OSError, Malformed):
            connection.close()
            raise KeyHolderUnavailable("the key holder is not there") from None
        except BaseException:
            connection.close()
            raise
        return connection

    def _give_back(self, connection: socket.socket) -> None:
        if connection.fileno() < 0:
            return
        if self._closed or self._process != os.getpid():
            connection.close()
        else:
            self._idle.append(connection)

    def _forget_idle(self) -> None:
        with suppress(IndexError):
            while True:
                self._idle.pop().close()

    def _refuse_closed(self) -> None:
        if self._closed:
            raise Sealed("the key service is closed")


def _check_account(connection: socket.socket) -> None:
    """Refuse a holder that is neither this account's nor the system's: its keys would be known to somebody else."""
    if peer_account(connection) not in {_ROOT, os.geteuid()}:
        raise KeyHolderUnavailable("another account answers in the key holder's place")


def _round_trip(connection: socket.socket, frame: bytes, deadline: float) -> bytearray:
    """Send a frame and read the answer's body. Raises OSError, TimeoutError, Malformed."""
    _allow(connection, deadline)
    connection.sendall(frame)
    (length,) = wire.HEAD.unpack(_read(connection, wire.HEAD.size, deadline))
    if not 0 < length <= wire.MAX_FRAME:
        raise Malformed("a frame of no or too much length")
    return _read(connection, length, deadline)


def _read(connection: socket.socket, count: int, deadline: float) -> bytearray:
    content = bytearray(count)
    view = memoryview(content)
    at = 0
    while at < count:
        _allow(connection, deadline)
        got = connection.recv_into(view[at:])
        if not got:
            raise ConnectionResetError
        at += got
    return content


def _allow(connection: socket.socket, deadline: float) -> None:
    left = deadline - time.monotonic()
    if left <= 0:
        raise TimeoutError
    connection.settimeout(left)
