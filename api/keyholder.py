"""The key holder process, `ecrin keyd`: closed to others first, then listening, and only then given its keys.

A module of its own, run by `python -m api.keyholder`: it loads neither the web server nor the data plane. After each
epoch, and after a sealing, it replaces its own image: the end of an image is the only wiping of memory that Python can
promise. The listening socket goes over to the next image by its descriptor, so callers wait and are not refused; what
operators offered goes over through another, so that they are not called in for each epoch. While the next image starts,
and before its first line, other processes of the same account may look at it: give the holder an account of its own.
"""

import argparse
import os
import pwd
import signal
import socket
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from types import FrameType

from sqlalchemy.engine import URL

from api import keepers, roots
from api.observability.events import Event
from api.observability.logs import Log
from api.settings import InvalidSettings, Settings, load
from vault.errors import Sealed, StoreUnavailable, VaultError
from vault.keys.home import holds_keystore
from vault.keys.keeper import ReadBack
from vault.keys.keyd import wire
from vault.keys.keyd.epochwork import EpochWork
from vault.keys.keyd.hardening import NotHardened, harden
from vault.keys.keyd.holder import Holder
from vault.keys.keyd.server import Ended, Happening, KeydServer, listen
from vault.keys.keystore import create_keystore, open_keystore
from vault.keys.provider import RootProvider
from vault.keys.service import KeyService
from vault.runtime import SystemClock, SystemEntropy

_REPORTED = {
    Happening.OPEN: Event.KEYD_OPEN,
    Happening.SEALED: Event.KEYD_SEALED,
    Happening.REFUSED: Event.KEYD_REFUSED,
    Happening.OPENED: Event.KEYD_OPENED,
    Happening.RENEWED: Event.KEYD_RENEWED,
}
_LEAVE = 5.0  # seconds for a step of an epoch change: cut off, its lease would keep others waiting for two minutes
_FAILED, _UNSAFE, _UNAVAILABLE = 1, 3, 4  # as api.cli.output.Exit, which would load a terminal library


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the holder until it is stopped. Returns an exit code of the command line."""
    os.umask(0o077)
    parser = argparse.ArgumentParser(prog="ecrin keyd", description="Hold the keys for the processes of this host.")
    parser.add_argument("--init", action="store_true", help="make root key and keystore if they are not there, and end")
    parser.add_argument("--listen-fd", type=int, help="a listening socket inherited, such as 3 from systemd")
    parser.add_argument("--secrets-fd", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    try:
        hardening = harden()
        settings = load()
        if options.init:
            return _initialise(settings)
        log = Log(SystemClock(), level=settings.log_level)
        if not hardening.locked:
            log.warning(Event.KEYD_UNLOCKED)
        if hardening.attachable:
            log.warning(Event.KEYD_ATTACHABLE)
        return _hold(settings, log, options.listen_fd, handed_over(options.secrets_fd))
    except NotHardened as error:
        return _told(str(error), _UNSAFE)
    except InvalidSettings as error:
        return _told("; ".join(error.findings), _UNSAFE)
    except VaultError as error:
        return _told(f"{error.code}: {error}", _FAILED)


def _hold(settings: Settings, log: Log, listen_fd: int | None, secrets: Sequence[bytes]) -> int:
    if settings.keyd_socket is None:
        raise InvalidSettings(("keyd_socket: names the socket on which the key holder answers",))
    try:
        listener = listen(str(settings.keyd_socket)) if listen_fd is None else socket.socket(fileno=listen_fd)
    except OSError as error:
        return _told(f"the key holder cannot listen: {error.strerror or error}", _UNAVAILABLE)

    def opener(provider: RootProvider) -> KeyService:
        return open_keystore(settings.keystore, provider, settings.deployment)

    holder = Holder(roots.unsealer_of(settings), opener, roots.seal_mark(settings), secrets)
    _refuse_one_cluster(settings)
    try:
        holder.start()
    except (Sealed, StoreUnavailable) as error:  # tried again
        log.warning(Event.KEYD_SEALED, code=error.code)
    accounts = frozenset({os.geteuid(), *map(_account, settings.keyd_accounts)})
    read_back = ReadBack()
    epochs = EpochWork(lambda: keepers.own_keeper(settings, holder.provider, read_back), SystemEntropy())

    def report(happening: Happening, **counts: int) -> None:
        log.info(_REPORTED[happening], **counts)

    server = KeydServer(listener, holder, settings.deployment, accounts, report, epochs, settings.keyd_opens)

    def stop(_signal: int, _frame: FrameType | None) -> None:
        server.stop()

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, stop)
    ended = server.serve()
    if ended is Ended.STOPPED:
        epochs.wait(_LEAVE)  # a sealing waits for nothing
    secrets = holder.secrets
    holder.close()  # gives back what is unused of the last block of slots
    if ended is Ended.RENEW:
        _start_anew(listener, secrets)
    if listen_fd is None:
        settings.keyd_socket.unlink(missing_ok=True)
    log.info(Event.KEYD_STOPPED)
    return 0


def _start_anew(listener: socket.socket, secrets: Sequence[bytes]) -> None:
    """Replace this image by a fresh one. Does not return."""
    handed = hand_over(secrets)
    for descriptor in (listener.fileno(), handed):
        os.set_inheritable(descriptor, True)
    again = ["--listen-fd", str(listener.fileno()), "--secrets-fd", str(handed)]
    os.execv(sys.executable, [sys.executable, "-m", "api.keyholder", *again])  # noqa: S606 - ourselves


def hand_over(secrets: Sequence[bytes]) -> int:
    """Return a descriptor from which the next image reads them.

    Why a socket and no pipe: until its first line the next image is open to its account's other processes, and a pipe
    can be opened through /proc, a socket cannot. What is left is to attach to it, which the kernel's Yama forbids.
    """
    reading, writing = socket.socketpair()
    with writing:
        writing.sendall(wire.BLOBS.pack(secrets))  # far below what a socket takes: secrets are few and short
    return reading.detach()


def handed_over(descriptor: int | None) -> Sequence[bytes]:
    """Read what the image before was offered."""
    if descriptor is None:
        return ()
    with open(descriptor, "rb") as socket_:  # noqa: PTH123 - a descriptor
        return [each for each in wire.BLOBS.read(wire.Body(socket_.read())) if each is not None]


def _initialise(settings: Settings) -> int:
    """Make root and keystore, or make sure that those there belong to this deployment and open."""
    unsealer, home = roots.unsealer_of(settings), settings.keystore
    # What operators bring comes on standard input here, one a line: nothing serves yet that it could be offered to.
    provider = unsealer.provider(sys.stdin.buffer.read().split(b"\n")[: unsealer.needed] if unsealer.needed else ())
    if isinstance(home, Path):
        home.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    _refuse_one_cluster(settings)
    if holds_keystore(home):
        open_keystore(home, provider, settings.deployment).close()
    else:
        create_keystore(home, provider, settings.deployment, entropy=SystemEntropy(), clock=SystemClock())
    return 0


def _refuse_one_cluster(settings: Settings) -> None:
    """Refuse a keystore in the data's cluster, where this account can ask both; the names were compared already."""
    if isinstance(settings.keystore, URL):
        from vault.keys.cluster import refuse_one_cluster  # noqa: PLC0415 - no driver is loaded that is not used

        with suppress(StoreUnavailable, InvalidSettings):
            refuse_one_cluster(settings.database, settings.keystore)


def _account(name: str) -> int:
    if name.isdecimal():
        return int(name)
    try:
        return pwd.getpwnam(name).pw_uid
    except KeyError:
        raise InvalidSettings(("keyd_accounts: no such account on this host",)) from None


def _told(message: str, code: int) -> int:
    sys.stderr.write(f"ecrin: {message}\n")
    return code


if __name__ == "__main__":
    sys.exit(main())
