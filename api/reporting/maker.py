"""Has a report made by a process of its own, so that it takes nothing of the interpreter that answers requests.

While that process works the lease on the report is kept from here, each second it is asked whether the service stops, and what
it asks for of keys is answered if a report needs it (`_Desk`). It ends with the service: it is killed when that stops, and fails
at its next word when that is gone. One that dies is noticed at once (`vault.reports.runs.Lost`).
"""

import re
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

import orjson

from api.reporting.link import Kind, Link, Malformed
from audit.errors import VerificationError
from audit.note import vkey
from audit.reports import document
from audit.reports.asked import Asked
from audit.reports.document import SUFFIX
from vault.errors import StoreUnavailable
from vault.keys.service import SigningKey
from vault.reports import people, review, running
from vault.reports.runs import Lost, Made, NotMade
from vault.reports.view import Beat
from vault.staff import VEILS
from vault.unit import Vault

LONGEST_SILENCE: Final = 600.0  # seconds in which it neither reads nor asks: it hangs
_TURN: Final = 1.0
_ROOT: Final = Path(__file__).resolve().parents[2]
_COMMAND: Final = (sys.executable, "-E", "-s", "-m", "api.reporting.worker")
_REVIEW: Final = "anomalies"
_SEES_PEOPLE: Final = frozenset({"blast_radius", _REVIEW})
_CLASS: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,63}")  # what a class is called: no text of anybody's
_AWAY: Final = frozenset({"store_unavailable", "store_full"})


class Maker:
    """Makes reports of one database. `environment` is all of ours that the process gets: what the driver reads."""

    def __init__(self, database: str, environment: Mapping[str, str], command: tuple[str, ...] = _COMMAND) -> None:
        self._database = database
        self._environment = dict(environment)
        self._command = command

    def __repr__(self) -> str:
        return "<Maker>"

    def make(self, vault: Vault, name: str, asked: Asked, beat: Beat) -> Made:
        """Have a report made. Raises `Lost`, `NotMade` with the code of what stands against it, and what `beat` raises."""
        ours, theirs = socket.socketpair()
        with ours:
            with theirs:
                process = subprocess.Popen(  # noqa: S603 - our own interpreter and module; what is asked goes by the socket
                    self._command,
                    stdin=theirs.fileno(),
                    stdout=subprocess.DEVNULL,
                    stderr=subprocess.DEVNULL,  # a message of it might quote what a report holds
                    cwd=_ROOT,
                    env=self._environment,
                )
            try:
                return self._heard(vault, Link(ours), name, asked, beat)
            except (EOFError, OSError, Malformed):
                raise Lost from None
            finally:
                process.kill()
                process.wait()

    def _heard(self, vault: Vault, link: Link, name: str, asked: Asked, beat: Beat) -> Made:
        task = {
            "database": self._database,
            "report": name,
            "asked": asdict(asked),
            "now": vault.clock.now(),
            "public_key": vault.keys.public_key(SigningKey.RECEIPT).hex(),
        }
        link.say(Kind.TASK, task)
        answers = _Desk(vault, name).answers()
        seen = size = 0
        heard = time.monotonic()
        while True:
            beat(seen, size)
            if not link.waits(_TURN):
                if time.monotonic() - heard > LONGEST_SILENCE:
                    raise Lost
                continue
            heard = time.monotonic()
            kind, content = link.hear()
            if kind is Kind.PROGRESS:
                seen, size = _numbers(content)
            elif kind is Kind.DOCUMENT:
                return _checked(vault, name, content)
            elif kind is Kind.FAILED:
                raise _failure(content)
            elif kind in answers:
                link.say(Kind.ANSWER, answers[kind](_json(content)))
            else:
                raise Malformed("not what is said here")


class _Desk:
    """Answers what the process asks for: no more than the report at hand needs."""

    def __init__(self, vault: Vault, name: str) -> None:
        self._vault = vault
        self._name = name

    def answers(self) -> dict[Kind, Callable[[Any], object]]:
        """Return who answers which question. People's log keys are for the two reports that are about who was seen."""
        found: dict[Kind, Callable[[Any], object]] = {
            Kind.STAFF_KEYS: self._staff_keys,
            Kind.SIGNATURE: self._signature,
        }
        return found | ({Kind.LOG_KEYS: self._log_keys} if self._name in _SEES_PEOPLE else {})

    def _staff_keys(self, asked: Any) -> list[str]:
        label, brands = asked
        if label != VEILS:
            raise Malformed("no key of that name is given out")
        return [each.hex() for each in self._vault.keys.mac(VEILS, [brand.encode() for brand in brands])]

    def _log_keys(self, asked: Any) -> list[str | None]:
        brand, subjects = asked
        wanted = [bytes.fromhex(each) for each in subjects]
        with self._vault.reading() as conn:
            found = people.log_keys(conn, self._vault.keys, brand, wanted)
            if self._name == _REVIEW:  # is about people who asked to be erased, and about nobody else
                asking = review.erased_in_part(conn, wanted)
                found = [key if each in asking else None for each, key in zip(wanted, found, strict=True)]
        return [None if each is None else each.hex() for each in found]

    def _signature(self, text: Any) -> str:
        # Why checked: the same key signs receipts, and whoever speaks here must not have one signed for a report.
        if document.named(str(text)) != (running.report_key_name(self._vault), self._name):
            raise Malformed("not the text of this report")
        (signature,) = self._vault.keys.sign(SigningKey.RECEIPT, [str(text).encode()])
        return signature.hex()


def _checked(vault: Vault, name: str, content: bytes) -> Made:
    """Take the report over if it is what was signed."""
    signer = running.report_key_name(vault)
    keys = [vkey(signer, vault.keys.public_key(SigningKey.RECEIPT))]
    try:
        found, note = document.opened(content)
        right = document.verify(note, content, keys, signer.removesuffix(SUFFIX)) == name
    except (VerificationError, ValueError, KeyError, TypeError):
        right = False
    if not right:
        raise Malformed("not the report that was signed")
    return Made(name, found["filter"], found["row_count"], content)


def _failure(content: bytes) -> Exception:
    found = _json(content)
    if not isinstance(found, list) or [type(each) for each in found] != [str, str]:
        raise Malformed("not a failure")
    code, defect = found
    if code in _AWAY:
        return StoreUnavailable("the report's process lost the database")
    return NotMade(code, defect if _CLASS.fullmatch(defect) else "")


def _json(content: bytes) -> Any:
    with suppress(ValueError):
        return orjson.loads(content)
    raise Malformed("not JSON")


def _numbers(content: bytes) -> tuple[int, int]:
    found = _json(content)
    if not isinstance(found, list) or [type(each) for each in found] != [int, int]:
        raise Malformed("not a progress")
    return found[0], found[1]
