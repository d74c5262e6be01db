"""Keeps receipts in a file and holds the log to them: an entry that was promised and is not proven was left out.

A receipt says "this entry is in my log". A minute later anybody may ask for the proof. This book asks for each receipt,
checks the proof with nothing but the deployment's verifier keys, and remembers the largest checkpoint it has seen: a log
that goes back, or shows two roots at one size, is found too. What it finds is evidence for others: the receipt itself is
signed.

Written independently of the server's own code, so that the two check each other.
"""

import base64
import hashlib
import json
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from api.client.answers import VerifierKeys
from api.client.errors import ReceiptInvalid
from api.client.receipts import Receipt, names_key, open_signed, receipts_in

MOST_DELAY = 60  # seconds after which an entry must be under a checkpoint
PROOF = "c2sp.org/tlog-proof@v1"
MOST_HASHES = 63


@dataclass(frozen=True, slots=True)
class Broken:
    """A promise that was not kept: the receipt, and a short code for what is wrong.

    `omitted` (no proof), `not_proven` (one that does not hold), `went_back` or `two_histories` (the log changed),
    `unknown_key` (none of the book's keys signed: the log may have a new one, which you must learn by another way).
    """

    receipt: Receipt
    code: str


@dataclass(frozen=True, slots=True)
class Checked:
    """One round: how many receipts are proven now, how many are too young to ask for, and every broken promise."""

    proven: int
    waiting: int
    broken: tuple[Broken, ...]


class ReceiptBook:
    """The receipts of one deployment in one file, for one process. Holds nothing about anybody: ids and hashes."""

    def __init__(self, path: Path, keys: VerifierKeys) -> None:
        self._path = path
        self._keys = keys
        self._open: dict[str, Receipt] = {}
        self._head: tuple[int, bytes] | None = None
        if path.exists():
            for line in path.read_text("utf-8").splitlines():
                self._read(line)

    def keep(self, note: str) -> tuple[Receipt, ...]:
        """Check a receipt and keep all it promises, on disk before this returns. Raises `ReceiptInvalid`."""
        promised = receipts_in(note, self._keys.receipt)
        if any(each.origin != self._keys.origin for each in promised):
            raise ReceiptInvalid("a receipt of another log")
        self._write({"receipt": note})
        self._open |= {each.entry_id: each for each in promised}
        return promised

    def check(self, prove: Callable[[str], str | None], now: int) -> Checked:
        """Ask for the proof of each receipt that is old enough; `prove` gives it for an entry's id, or None.

        `now` is in UTC seconds. What is proven is not asked for again; what is broken is, and told, each time.
        """
        due = [each for each in self._open.values() if each.time + MOST_DELAY <= now]
        waiting = len(self._open) - len(due)
        broken = []
        proven = 0
        for receipt in due:
            text = prove(receipt.entry_id)
            code = "omitted" if text is None else self._judge(receipt, text)
            if code:
                broken.append(Broken(receipt, code))
                continue
            self._write({"proven": receipt.entry_id})
            del self._open[receipt.entry_id]
            proven += 1
        return Checked(proven, waiting, tuple(broken))

    def _judge(self, receipt: Receipt, text: str) -> str:
        """Return what is wrong with a proof, or nothing."""
        try:
            index, path, note = _taken_apart(text)
            claimed = [each for each in self._keys.logs or (self._keys.log,) if names_key(note, each)]
            if not claimed:
                return "unknown_key"
            size, root = self._checkpoint(note, claimed)
            if _root(index, size, receipt.leaf_hash, path) != root:
                return "not_proven"
        except (ReceiptInvalid, ValueError):
            return "not_proven"
        if self._head is not None and size < self._head[0]:
            return "went_back"
        if self._head is not None and size == self._head[0] and root != self._head[1]:
            return "two_histories"
        if self._head is None or size > self._head[0]:
            self._head = size, root
            self._write({"size": size, "root": root.hex()})
        return ""

    def _checkpoint(self, note: str, claimed: list[str]) -> tuple[int, bytes]:
        texts = [open_signed(note, each) for each in claimed]  # a claim that does not hold spoils the note
        origin, size, root, *_ = texts[0].split("\n")
        if origin != self._keys.origin or not (size.isascii() and size.isdigit()):
            raise ReceiptInvalid("a checkpoint of another log")
        return int(size), base64.b64decode(root, validate=True)

    def _write(self, line: dict[str, object]) -> None:
        descriptor = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        try:
            os.write(descriptor, json.dumps(line).encode() + b"\n")
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

    def _read(self, line: str) -> None:
        try:
            said = json.loads(line)
        except ValueError:
            return  # the last line of a crash; what it was about is told anew
        if "receipt" in said:
            self._open |= {each.entry_id: each for each in receipts_in(said["receipt"], self._keys.receipt)}
        elif "proven" in said:
            self._open.pop(said["proven"], None)
        elif "size" in said:
            self._head = int(said["size"]), bytes.fromhex(said["root"])


def _taken_apart(text: str) -> tuple[int, list[bytes], str]:
    head, gap, note = text.partition("\n\n")
    first, *lines = head.split("\n")
    if lines and lines[0].startswith("extra "):
        del lines[0]
    if first != PROOF or not gap or not lines or not lines[0].startswith("index ") or len(lines) > MOST_HASHES + 1:
        raise ReceiptInvalid("not a proof")
    number = lines[0].removeprefix("index ")
    if not (number.isascii() and number.isdigit()):
        raise ReceiptInvalid("not a proof")
    return int(number), [base64.b64decode(line, validate=True) for line in lines[1:]], note


def _root(index: int, size: int, leaf: bytes, path: list[bytes]) -> bytes:
    """Climb from a leaf to the root that the path gives (RFC 9162 §2.1.3.2)."""
    if not 0 <= index < size:
        raise ReceiptInvalid("the index is outside the tree")
    at, last, node = index, size - 1, leaf
    for sibling in path:
        if last == 0:
            raise ReceiptInvalid("the proof is too long")
        if at & 1 or at == last:
            node = hashlib.sha256(b"\x01" + sibling + node).digest()
            while at and not at & 1:
                at, last = at >> 1, last >> 1
        else:
            node = hashlib.sha256(b"\x01" + node + sibling).digest()
        at, last = at >> 1, last >> 1
    if last:
        raise ReceiptInvalid("the proof is too short")
    return node
