"""What is remembered of a request, made so that it dies with its epoch.

A request can be guessed: a registration is a name and an address. A keyed hash of it under a key that lives on would tell
from an old backup whether the guess is right, also of somebody who was erased. So each handle is blinded like a search
token, under the index key of an epoch, and the outcome is sealed under a key that only that index key gives. With the
epoch's root both are gone from every backup; `vault.rememberedepochs` takes to the next epoch what names nobody who goes.

While an epoch retires two keys live: a handle is asked for under both, and kept under both, so that two requests which
race under one key meet at a row whatever epochs each was told of.
"""

from collections.abc import Sequence
from hashlib import sha256
from itertools import groupby
from typing import Final, NamedTuple

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESSIV

from vault.errors import Conflict, KeyUnavailable
from vault.keys.message import bind
from vault.keys.service import KeyService

ATTEMPTS: Final = 3  # an epoch ends under us once; naming the epochs anew then settles it

_BLOCKS: Final = 4  # of 16 bytes: the two keys of AES-256-SIV


class Handle(NamedTuple):
    """Under one epoch: what a request is found by, and what tells it from another one under the same key."""

    epoch: int
    key: bytes
    content: bytes


def handles(keys: KeyService, kind: str, asked: Sequence[tuple[Sequence[str], bytes]]) -> list[tuple[Handle, ...]]:
    """Make the handles of (names, content) pairs, 16 bytes each, newest epoch first; `kind` separates tables.

    Raises `Conflict` when no epoch stands still for long enough: ask again.
    """
    messages: list[bytes] = []
    for names, content in asked:
        # A name fits a length of two bytes: all are identifiers with bounds of their own.
        named = bind(*(name.encode() for name in names))
        messages += (b"k" + named, b"c" + bind(named, sha256(content).digest()))
    for _ in range(ATTEMPTS):
        try:
            epochs = keys.index_epochs()
            made = [keys.blind(f"{kind}/2", messages, epoch) for epoch in epochs]
        except KeyUnavailable:
            continue  # an epoch ended since it was named
        return [
            tuple(Handle(epoch, each[at], each[at + 1]) for epoch, each in zip(epochs, made, strict=True))
            for at in range(0, len(messages), 2)
        ]
    raise Conflict(kind)


def seal(keys: KeyService, kind: str, items: Sequence[tuple[Handle, bytes]]) -> list[bytes]:
    """Seal (handle, outcome) pairs so that each opens under its handle alone.

    Raises `Conflict` where the epoch of a handle ended since it was named: run the unit again, with handles made anew.
    """
    label = [kind.encode()]
    ciphers = _ciphers(keys, kind, [handle for handle, _ in items])
    return [cipher.encrypt(outcome, label) for cipher, (_, outcome) in zip(ciphers, items, strict=True)]


def opened(keys: KeyService, kind: str, items: Sequence[tuple[Handle, bytes]]) -> list[bytes | None]:
    """Open (handle, sealed) pairs; None for an altered one, or one moved to another handle. Raises as `seal`."""
    label, outcomes = [kind.encode()], list[bytes | None]()
    ciphers = _ciphers(keys, kind, [handle for handle, _ in items])
    for cipher, (_, sealed) in zip(ciphers, items, strict=True):
        try:
            outcomes.append(cipher.decrypt(sealed, label))
        except InvalidTag:
            outcomes.append(None)
    return outcomes


def moved(keys: KeyService, olds: Sequence[Handle], new: int) -> list[Handle]:
    """Make the handles that the same requests have under another epoch. The requests are not needed."""
    fresh: list[Handle] = []
    for epoch, group in groupby(olds, key=lambda each: each.epoch):
        flat = keys.reblind([part for each in group for part in each[1:]], epoch, new)
        fresh += [Handle(new, *flat[at : at + 2]) for at in range(0, len(flat), 2)]
    return fresh


def _ciphers(keys: KeyService, kind: str, sealing: Sequence[Handle]) -> list[AESSIV]:
    # Why safe: a key is of one handle, and SIV bears the same key under two outcomes (a claim that was rolled back).
    ciphers: list[AESSIV] = []
    for epoch, group in groupby(sealing, key=lambda each: each.epoch):
        messages = [bytes([block]) + each.key + each.content for each in group for block in range(_BLOCKS)]
        try:
            blocks = keys.blind(f"{kind}/outcome/2", messages, epoch)
        except KeyUnavailable:
            if epoch in keys.index_epochs():
                raise
            raise Conflict(kind) from None
        ciphers += [AESSIV(b"".join(blocks[at : at + _BLOCKS])) for at in range(0, len(blocks), _BLOCKS)]
    return ciphers
