"""The server side of the key holder: one thread, one request at a time, for every process of this host's account.

One thread, because each batch is microseconds of C under one lock anyway, and because between two requests nothing is
half done: there the process may close its keys and start anew. Only an unsealing runs beside it, as it may take
seconds. A peer is told by the kernel (SO_PEERCRED) and not by what it says; one that sends what none of ours would
loses its connection and nobody else's.
"""

import os
import selectors
import socket
import struct
import time
from collections.abc import Callable
from contextlib import suppress
from enum import StrEnum
from threading import Thread
from typing import Any, Final

from vault.errors import Conflict, Unexpected, VaultError, WrongDeployment
from vault.keys.keyd import wire
from vault.keys.keyd.epochverbs import EPOCHS
from vault.keys.keyd.epochwork import EpochWork
from vault.keys.keyd.holder import Holder
from vault.keys.keyd.meter import Meter
from vault.keys.keyd.wire import Body, Malformed, Verb
from vault.keys.service import KeyState

_TICK: Final = 0.5  # seconds between looks at the epoch and at peers that do not go on
_STALLED: Final = 10.0  # seconds that one frame may take to arrive, or its answer to be taken
_RETRY: Final = 5.0  # seconds between tries of a root that needs nobody and does not open
_MOST_PEERS: Final = 256
OPENS: Final = 3_000_000  # data keys opened a minute, if nothing else is said
_BACKLOG: Final = 64
_PIECE: Final = 1 << 18
_CREDENTIALS = struct.Struct("3i")  # pid, uid, gid


class Happening(StrEnum):
    """What the server tells its process. Never who was concerned: it does not know."""

    OPEN = "keyd.open"
    SEALED = "keyd.sealed"
    REFUSED = "keyd.refused"
    OPENED = "keyd.opened"
    RENEWED = "keyd.renewed"


class Ended(StrEnum):
    """Why serving ended."""

    STOPPED = "stopped"
    RENEW = "renew"  # an epoch is over, or the vault was sealed: this process image must go


def listen(path: str) -> socket.socket:
    """Bind the socket with mode 0600, in the place of one that nobody answers on. Raises OSError.

    Why the mode holds from the start: the socket is bound under another name, closed to others, and then renamed.
    """
    with socket.socket(socket.AF_UNIX) as probe, suppress(FileNotFoundError, ConnectionRefusedError):
        probe.settimeout(1)
        probe.connect(path)
        raise FileExistsError("another key holder answers there")
    unfinished = f"{path}.{os.getpid()}"
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
    try:
        listener.bind(unfinished)
        os.chmod(unfinished, 0o600)  # noqa: PTH101 - no Path of it is wanted
        os.rename(unfinished, path)  # noqa: PTH104
        listener.listen(_BACKLOG)
    except BaseException:
        listener.close()
        with suppress(OSError):
            os.unlink(unfinished)  # noqa: PTH108
        raise
    return listener


def peer_account(connection: socket.socket) -> int:
    """Return the user id that the kernel recorded for the other end when it connected, or began to listen."""
    packed = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
    return int(_CREDENTIALS.unpack(packed)[1])


class _Peer:
    """One connection: what came of its next frame, what it was not yet sent."""

    __slots__ = ("asked", "busy", "greeted", "inbox", "outbox", "socket", "waiting")

    def __init__(self, connection: socket.socket) -> None:
        self.socket = connection
        self.greeted = False
        self.busy = False  # an unsealing of its own is under way
        self.inbox = bytearray()
        self.outbox = bytearray()
        self.waiting: float | None = None  # since when a frame is half here, or an answer half gone


class KeydServer:
    """Serves a holder on a listening socket until stopped, or until this process image has to go."""

    def __init__(
        self,
        listener: socket.socket,
        holder: Holder,
        deployment: str,
        accounts: frozenset[int],
        report: Callable[..., object] = lambda _happening, **_counts: None,
        epochs: EpochWork | None = None,
        opens: int = OPENS,
    ) -> None:
        """`accounts` are the user ids that may connect; without `epochs` nobody can change the epoch from here.

        `opens` data keys are opened a minute at most. `report` is told what happens, with counts by keyword.
        """
        self._listener = listener
        self._holder = holder
        self._deployment = deployment
        self._accounts = accounts
        self._report = report
        self._epochs = epochs
        self._peers: set[_Peer] = set()
        self._done: list[tuple[_Peer, bytes]] = []
        self._bell, self._rope = socket.socketpair()
        self._ended: Ended | None = None
        self._epoch: int | None = None
        self._meter = Meter(opens, time.monotonic())
        self._next_try = time.monotonic() + _RETRY
        self._selector = selectors.DefaultSelector()
        self._controls: dict[int, Callable[..., Any]] = {
            wire.HELLO.number: self._hello,
            wire.ASK_PROGRESS.number: holder.progress,
            wire.SEAL_VAULT.number: self._seal,
        }

    def stop(self) -> None:
        """End serving after the request under way. May be called from a signal handler or another thread."""
        self._ended = Ended.STOPPED
        self._ring()

    def serve(self) -> Ended:
        """Serve. The holder and the listening socket are left as they are; every connection is closed."""
        self._listener.setblocking(False)
        self._bell.setblocking(False)
        self._selector.register(self._listener, selectors.EVENT_READ)
        self._selector.register(self._bell, selectors.EVENT_READ)
        self._note_epoch()
        ticked = time.monotonic()
        try:
            while (ended := self._ended) is None:
                for key, _ in self._selector.select(_TICK):
                    if key.fileobj is self._listener:
                        self._accept()
                    elif key.fileobj is self._bell:
                        self._hand_over()
                    else:
                        self._attend(key.data)
                if time.monotonic() - ticked >= _TICK:
                    ticked = time.monotonic()
                    self._tick(ticked)
        finally:
            for peer in list(self._peers):
                self._drop(peer)
            self._selector.close()
            self._bell.close()
            self._rope.close()
        return ended

    def _accept(self) -> None:
        try:
            connection, _ = self._listener.accept()
        except OSError:
            return
        if peer_account(connection) not in self._accounts or len(self._peers) >= _MOST_PEERS:
            self._report(Happening.REFUSED)
            connection.close()
            return
        connection.setblocking(False)
        peer = _Peer(connection)
        self._peers.add(peer)
        self._selector.register(connection, selectors.EVENT_READ, peer)

    def _attend(self, peer: _Peer) -> None:
        try:
            if peer.outbox:
                self._send(peer)
            elif not peer.busy:
                self._receive(peer)
                self._take_frames(peer)
        except Malformed:
            self._report(Happening.REFUSED)
            self._drop(peer)
        except OSError:
            self._drop(peer)

    @staticmethod
    def _receive(peer: _Peer) -> None:
        """Take what came, a piece at a time: memory follows what was sent, never what was announced."""
        piece = peer.socket.recv(_PIECE)
        if not piece:
            raise ConnectionResetError
        peer.inbox += piece

    def _take_frames(self, peer: _Peer) -> None:
        while not peer.busy and not peer.outbox and len(peer.inbox) >= wire.HEAD.size:
            (length,) = wire.HEAD.unpack_from(peer.inbox)
            if not 0 < length <= wire.MAX_FRAME:
                raise Malformed("a frame of no or too much length")
            end = wire.HEAD.size + length
            if len(peer.inbox) < end:
                break
            content = bytes(memoryview(peer.inbox)[wire.HEAD.size : end])
            del peer.inbox[:end]
            self._answer(peer, content)
        stuck = peer.inbox or peer.outbox
        peer.waiting = (peer.waiting or time.monotonic()) if stuck and not peer.busy else None

    def _answer(self, peer: _Peer, content: bytes) -> None:
        verb = wire.CONTROL.get(content[0]) or wire.SERVICE.get(content[0]) or EPOCHS.get(content[0])
        if verb is None or (not peer.greeted and verb is not wire.HELLO):
            raise Malformed("no such verb, or one before the greeting")
        body = Body(content)
        body.take(1)
        arguments = verb.arguments(body)
        if verb is wire.OFFER:
            self._begin_offer(peer, arguments[0])
            return
        self._put(peer, _answered(verb, lambda: self._act(peer, verb, arguments)))

    def _act(self, peer: _Peer, verb: Verb, arguments: list[Any]) -> Any:
        control = self._controls.get(verb.number)
        if control is None:
            if verb is wire.UNWRAP:
                self._meter.take(len(arguments[0]), time.monotonic())
            home = self._home_of_epochs() if verb.number in EPOCHS else self._holder.service
            return getattr(home, verb.name)(*arguments)
        result = control(*arguments)
        peer.greeted = peer.greeted or verb is wire.HELLO
        return result

    def _home_of_epochs(self) -> EpochWork:
        if self._epochs is None:
            raise Conflict("this key holder changes no epoch")
        return self._epochs

    def _hello(self, version: int, deployment: str) -> None:
        if version != wire.VERSION:
            raise Malformed("another version of the wire")
        if deployment != self._deployment:
            raise WrongDeployment("the key holder belongs to another deployment")

    def _seal(self) -> wire.Progress:
        was_open = self._holder.progress().state is KeyState.UNSEALED
        progress = self._holder.seal()
        if was_open:
            self._report(Happening.SEALED)
            self._ended = self._ended or Ended.RENEW  # the end of the process is the only wiping to rely on
        return progress

    def _begin_offer(self, peer: _Peer, secret: bytes) -> None:
        peer.busy = True

        def run() -> None:
            self._done.append((peer, _answered(wire.OFFER, lambda: self._holder.offer(secret))))
            self._ring()

        Thread(target=run, name="ecrin-unsealing", daemon=True).start()

    def _hand_over(self) -> None:
        with suppress(BlockingIOError):
            self._bell.recv(_PIECE)
        if self._epoch is None and self._holder.progress().state is KeyState.UNSEALED:
            self._note_epoch()
        while self._done:
            peer, frame = self._done.pop(0)
            peer.busy = False
            if peer in self._peers:
                with suppress(OSError):
                    self._put(peer, frame)
                    continue
                self._drop(peer)

    def _put(self, peer: _Peer, frame: bytes) -> None:
        peer.outbox += frame
        self._send(peer)

    def _send(self, peer: _Peer) -> None:
        """Send what goes; while something is left, this peer is asked nothing more."""
        with suppress(BlockingIOError):
            while peer.outbox:
                sent = peer.socket.send(peer.outbox)
                del peer.outbox[:sent]
        wanted = selectors.EVENT_WRITE if peer.outbox else selectors.EVENT_READ
        if self._selector.get_key(peer.socket).events != wanted:
            self._selector.modify(peer.socket, wanted, peer)
            if not peer.outbox:
                self._take_frames(peer)  # asked behind the answer, and here already

    def _tick(self, now: float) -> None:
        for peer in [each for each in self._peers if each.waiting and now - each.waiting > _STALLED]:
            self._drop(peer)
        if (counts := self._meter.told(now)) is not None:
            self._report(Happening.OPENED, count=counts.opened, refused=counts.refused)
        if self._ended is not None:
            return
        if self._epoch is None:
            self._try_to_open(now)
            return
        if self._epochs is not None and self._epochs.busy:
            return  # its own change is not recorded yet
        with suppress(VaultError):
            service = self._holder.service
            service.refresh()
            status = service.status()
            # While an epoch is retiring its index key is still asked for; afterwards nothing of it may stay here.
            if status.epoch != self._epoch and status.retiring is None:
                self._report(Happening.RENEWED)
                self._ended = Ended.RENEW

    def _try_to_open(self, now: float) -> None:
        """Open without anybody where that is meant: a root that came back, a provider that answers again."""
        if now < self._next_try or not self._holder.unattended:
            return
        self._next_try = now + _RETRY

        def run() -> None:
            with suppress(VaultError):
                self._holder.start()
            self._ring()

        Thread(target=run, name="ecrin-unsealing", daemon=True).start()

    def _note_epoch(self) -> None:
        with suppress(VaultError):
            status = self._holder.service.status()
            # Opened in the middle of a change, it has keys of the epoch that ends as well, and must go when that does.
            self._epoch = status.epoch if status.retiring is None else status.retiring
            self._report(Happening.OPEN)

    def _drop(self, peer: _Peer) -> None:
        self._peers.discard(peer)
        with suppress(KeyError, ValueError):
            self._selector.unregister(peer.socket)
        peer.socket.close()

    def _ring(self) -> None:
        with suppress(OSError):
            self._rope.send(b"\0")


def _answered(verb: Verb, act: Callable[[], Any]) -> bytes:
    """Run `act` and frame what comes of it. Whatever it raises, the server goes on."""
    try:
        return wire.answer(verb, act())
    except Malformed:
        raise
    except VaultError as error:
        return wire.refusal(error)
    except Exception as error:  # noqa: BLE001 - a defect fails this request; its text may hold anything and stays here
        return wire.refusal(Unexpected(type(error).__name__))
