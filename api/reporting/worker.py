"""The process that makes one report: told what on its standard input, it reads the log, hands the report over and ends.

Run as `python -m api.reporting.worker` by `api.reporting.maker`. It decodes what may be a million entries beside the requests, not
among them. It holds no key of the vault: the serving process gives it the staff keys of brands, log keys of people where a
leak is traced, and the signature over what is a report and nothing else. It writes to no database and leaves no core.
"""

import os
import resource
import socket
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Final, cast

import orjson

from api.reporting.link import Kind, Link
from audit.reports import document
from audit.reports.asked import Asked
from vault.errors import Sealed, VaultError
from vault.keys.closed import Closed
from vault.keys.local import KeyFileProvider
from vault.keys.service import FIRST_GENERATION, KeyService, SigningKey
from vault.reports import running
from vault.runtime import SystemEntropy
from vault.setup import Place, bundle_in_force, open_vault

FAILED: Final = 3
_BEHIND: Final = 10
_MOST_MEMORY: Final = 4 << 30  # of addresses
_MOST_SECONDS: Final = 7200  # of the processor


def main() -> int:
    """Make the report that is asked for on the standard input, a socket. Returns the exit status."""
    os.nice(_BEHIND)  # where processors are short, requests go first
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_AS, (_MOST_MEMORY, _MOST_MEMORY))
    resource.setrlimit(resource.RLIMIT_CPU, (_MOST_SECONDS, _MOST_SECONDS))
    link = Link(socket.socket(fileno=0))
    try:
        _, task = link.hear()
        made = _made(link, orjson.loads(task))
    except (OSError, EOFError):  # whoever asked is gone, and with them the report
        return FAILED
    except VaultError as error:
        return _failed(link, error.code)
    except Exception as error:  # noqa: BLE001 - its message may quote what a report holds; its class is one of a program's
        return _failed(link, "internal_error", type(error).__name__)
    with suppress(OSError):
        link.say(Kind.DOCUMENT, made)
    return 0


def _failed(link: Link, code: str, defect: str = "") -> int:
    with suppress(OSError):
        link.say(Kind.FAILED, [code, defect])
    return FAILED


def _made(link: Link, task: dict[str, Any]) -> bytes:
    place = Place(task["database"], Path(), KeyFileProvider(Path(), SystemEntropy()))
    keys = cast("KeyService", _AskedFor(link, bytes.fromhex(task["public_key"])))
    vault = open_vault(
        place,
        bundle_in_force(place),
        clock=_At(task["now"]),
        entropy=SystemEntropy(),
        pool_size=1,
        keys=lambda _: keys,
    )

    def log_keys(brand: str, subjects: Sequence[bytes]) -> list[bytes | None]:
        found = link.ask(Kind.LOG_KEYS, [brand, [each.hex() for each in subjects]])
        return [None if each is None else bytes.fromhex(each) for each in found]

    def told(seen: int, size: int) -> None:
        link.say(Kind.PROGRESS, [seen, size])

    try:
        report = running.made(vault, task["report"], Asked(**task["asked"]), told, log_keys=log_keys)
        return document.to_json(report)
    finally:
        vault.close()


class _At:
    """A clock that stands where the serving process's stood when it asked."""

    def __init__(self, now: int) -> None:
        self._now = now

    def now(self) -> int:
        return self._now


class _AskedFor(Closed):
    """The keys of a vault as this process has them: not at all, but for what the serving process does for it."""

    def __init__(self, link: Link, public_key: bytes) -> None:
        self._link = link
        self._public_key = public_key

    def mac(self, label: str, messages: Sequence[bytes]) -> list[bytes]:
        """Ask for the keys of brands' staff; nothing else is answered."""
        found = self._link.ask(Kind.STAFF_KEYS, [label, [each.decode() for each in messages]])
        return [bytes.fromhex(each) for each in found]

    def sign(self, key: SigningKey, messages: Sequence[bytes], generation: int = FIRST_GENERATION) -> list[bytes]:
        """Have a report signed; nothing else is."""
        if key is not SigningKey.RECEIPT or generation != FIRST_GENERATION:
            raise Sealed("no such key here")
        return [bytes.fromhex(self._link.ask(Kind.SIGNATURE, each.decode())) for each in messages]

    def public_key(self, key: SigningKey, generation: int = FIRST_GENERATION) -> bytes:
        """Return the key by which reports verify."""
        if key is not SigningKey.RECEIPT or generation != FIRST_GENERATION:
            raise Sealed("no such key here")
        return self._public_key


if __name__ == "__main__":
    raise SystemExit(main())
