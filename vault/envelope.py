"""One sealed field value: the byte layout `version | suite | key generation | wrapped DEK | Cobblestone-256 message`.

Every value has its own random 256-bit data key (DEK). The message is C2SP chunked encryption (c2sp.org/chunked-encryption,
SHA-512 and AES-256-GCM) under that DEK: a key and a base nonce derived per message, and a 32-byte key commitment. The
context goes into the key derivation, so bytes moved between rows, fields, items, subjects, versions or deployments fail
at the commitment, before anything is decrypted. Layout, context and vectors: docs/formats.md.

Re-keying a compartment replaces the 40 wrapped bytes and nothing else. The generation in the header is that of the
leaf when the value was sealed, and stays: which leaf opens the DEK *now* is said by the compartment's row, not here.

One format is written, all that were ever written are read. Whatever comes after the first 46 bytes, those stay: so any
format can be re-keyed and told apart without knowing it. `vault.rotation.resealing` brings rows to the current one.
"""

import struct
from collections.abc import Callable, Iterable
from functools import lru_cache
from typing import Final, NamedTuple

from cryptography.cobblestone import Cobblestone256Decryptor, Cobblestone256Encryptor
from cryptography.exceptions import InvalidTag

from vault.errors import IntegrityFailure

VERSION: Final = 1
SUITE_COBBLESTONE_256: Final = 1
LABEL: Final = b"ecrin/field/v1"
MAX_PLAINTEXT: Final = 64 * 1024  # bytes; bounds the memory that one row can ask for

_DEK = 32
_SUBJECT = 16
_WRAPPED = 40  # RFC 3394 of a 32-byte key
_HEADER = struct.Struct(">BBI")
_KNOWN = struct.Struct(">HI")
_PARTS = struct.Struct(">HI40s")
_V1 = VERSION << 8 | SUITE_COBBLESTONE_256
CURRENT: Final = bytes((VERSION, SUITE_COBBLESTONE_256))  # what every envelope written today begins with
_MESSAGE_AT = _HEADER.size + _WRAPPED
WRAPPED: Final = slice(_HEADER.size, _MESSAGE_AT)  # of stored bytes, in every format: the wrapped DEK
_NUMBER = struct.Struct(">I")
_LENGTH = 4
_SMALLEST_BUCKET = 32
_CHUNK = 16 * 1024
_TAG = 16
_MESSAGE_HEAD = 24 + 32  # salt and commitment

# Items after the deployment id, each behind its 2-byte length: subject, category, field, item, schema version, version.
_TAIL = struct.Struct(">H16sHHHHHQHHHQ")


class FieldContext(NamedTuple):
    """Where a value belongs. Bound into its ciphertext; never stored beside it. A tuple: one is made per value opened.

    `deployment`: at most 65535 bytes. `subject`: 16 bytes. `category`, `field` (the immutable ids) and
    `schema_version`: 0..65535. `item` and `version`: 0..2^64-1.
    """

    deployment: bytes
    subject: bytes
    category: int
    field: int
    item: int
    schema_version: int
    version: int

    def __repr__(self) -> str:
        return "FieldContext(…)"


class Sealed(NamedTuple):
    """The parts of a stored envelope, not yet authenticated. A tuple, because one is made per value disclosed."""

    version: int
    suite: int
    generation: int
    wrapped: bytes
    message: bytes


class Earlier(NamedTuple):
    """An earlier format: the sizes in bytes that it could have, and how it opens, which raises IntegrityFailure alone."""

    shortest: int
    longest: int
    open: Callable[[Sealed, bytes, FieldContext], bytes]


EARLIER: Final[dict[int, Earlier]] = {}
"""Formats that are read and no longer written, by version << 8 | suite. None: version 1 is the first."""

_tuple = tuple.__new__  # what `Sealed(…)` calls in the end, in a third of the time


def bucket(length: int) -> int:
    """Size in bytes that a plaintext of `length` bytes is padded to: 32, 64, 128, … including its 4-byte length."""
    end = _LENGTH + length
    return _SMALLEST_BUCKET if end <= _SMALLEST_BUCKET else 1 << (end - 1).bit_length()


_MAX_BUCKET = bucket(MAX_PLAINTEXT)
_SHORTEST = _MESSAGE_AT + _MESSAGE_HEAD + _SMALLEST_BUCKET + _TAG
_LONGEST = _MESSAGE_AT + _MESSAGE_HEAD + _MAX_BUCKET + _TAG * (_MAX_BUCKET // _CHUNK + 1)


@lru_cache(maxsize=256)
def _prefix(generation: int, deployment: bytes) -> tuple[bytes, bytes]:
    """Return the 6 header bytes and the context up to the deployment id: alike for nearly all values of a process."""
    header = _HEADER.pack(VERSION, SUITE_COBBLESTONE_256, generation)
    items = (LABEL, header, deployment)
    return header, b"".join(len(item).to_bytes(2, "big") + item for item in items)


def _encode(prefix: bytes, context: FieldContext) -> bytes:
    _, subject, category, field, item, schema_version, version = context
    if len(subject) != _SUBJECT:  # struct would pad or cut silently
        raise ValueError("a subject id has 16 bytes")
    return prefix + _TAIL.pack(_SUBJECT, subject, 2, category, 2, field, 8, item, 2, schema_version, 8, version)


def context_bytes(generation: int, context: FieldContext) -> bytes:
    """Encode the context of a message: nine items, each behind a 2-byte big-endian length, so no two contexts collide.

    Raises ValueError for a part out of its range.
    """
    try:
        return _encode(_prefix(generation, context.deployment)[1], context)
    except (struct.error, OverflowError):
        raise ValueError("a part of the field context is out of range") from None


def seal(dek: bytes, wrapped_dek: bytes, generation: int, context: FieldContext, plaintext: bytes) -> bytes:
    """Seal one value of at most 64 KiB under its own fresh 32-byte DEK and return the stored bytes.

    Why safe: a DEK seals one message only, and the library draws the 24-byte salt itself, so no (key, nonce) pair
    repeats; there is no way to pass a salt in. Raises ValueError for a caller's mistake (sizes, ranges).
    """
    length = len(plaintext)
    if length > MAX_PLAINTEXT or len(wrapped_dek) != _WRAPPED or len(dek) != _DEK:
        raise ValueError("data key, wrapped data key or plaintext has a wrong size")
    deployment, subject, category, field, item, schema_version, version = context
    if len(subject) != _SUBJECT:  # struct would pad or cut silently
        raise ValueError("a part of the field context is out of range")
    try:
        # As `context_bytes`, written out: one is made per value written.
        header, prefix = _prefix(generation, deployment)
        bound = prefix + _TAIL.pack(_SUBJECT, subject, 2, category, 2, field, 8, item, 2, schema_version, 8, version)
        encryptor = Cobblestone256Encryptor(dek, bound)
    except (struct.error, OverflowError):
        raise ValueError("a part of the field context is out of range") from None
    # Padding hides the length: it would tell a gender, a country or a tier. It is inside the encryption.
    end = _LENGTH + length
    size = _SMALLEST_BUCKET if end <= _SMALLEST_BUCKET else 1 << (end - 1).bit_length()  # as `bucket`
    padded = (_NUMBER.pack(length) + plaintext).ljust(size, b"\0")
    return header + wrapped_dek + encryptor.update(padded) + encryptor.finalize()


def parse(envelope: bytes) -> Sealed:
    """Split stored bytes. An unknown version or suite, or an impossible size, raises IntegrityFailure: no guessing."""
    if not _SHORTEST <= len(envelope) <= _LONGEST:
        return _parse_earlier(envelope)
    known, generation, wrapped = _PARTS.unpack_from(envelope)
    if known != _V1:
        return _parse_earlier(envelope)
    return _tuple(Sealed, (VERSION, SUITE_COBBLESTONE_256, generation, wrapped, envelope[_MESSAGE_AT:]))


def _parse_earlier(envelope: bytes) -> Sealed:
    if len(envelope) < _MESSAGE_AT:
        raise IntegrityFailure(IntegrityFailure.code)
    known, generation, wrapped = _PARTS.unpack_from(envelope)
    earlier = EARLIER.get(known)
    if earlier is None or not earlier.shortest <= len(envelope) <= earlier.longest:
        raise IntegrityFailure(IntegrityFailure.code)
    version, suite = divmod(known, 256)
    return Sealed(version, suite, generation, wrapped, envelope[_MESSAGE_AT:])


def rewrapped(envelope: bytes, wrapped_dek: bytes) -> bytes:
    """Put the same data key, wrapped under another leaf, in the place of its 40 bytes. Nothing else changes."""
    if len(wrapped_dek) != _WRAPPED:
        raise ValueError("a wrapped data key has 40 bytes")
    return envelope[: _HEADER.size] + wrapped_dek + envelope[_MESSAGE_AT:]


def open_(stored: bytes, dek: bytes, context: FieldContext) -> bytes:
    """Open one stored envelope with its unwrapped DEK and return the plaintext. Raises IntegrityFailure: `open_each`."""
    (opened,) = open_each([stored], [dek], [context])
    if opened is None:
        raise IntegrityFailure(IntegrityFailure.code)
    return opened


def open_each(
    stored: Iterable[bytes], deks: Iterable[bytes | None], contexts: Iterable[FieldContext]
) -> list[bytes | None]:
    """Open stored envelopes, each with its unwrapped DEK in its context: the plaintexts, None where that is not so.

    One answer for every cause: no or a wrong key, another context, altered, cut or extended bytes, an unknown version,
    wrong padding. A message is collected whole first: the streaming decryptor hands out complete chunks before the end
    has been checked.

    One loop over a batch and everything written out in it: around a decryption of 5 µs each call of a function counts.
    """
    opened: list[bytes | None] = []
    add, head, pack, number = opened.append, _KNOWN.unpack_from, _TAIL.pack, _NUMBER.unpack_from
    at: tuple[int, bytes] | None = None
    prefix = b""
    for each, dek, context in zip(stored, deks, contexts, strict=True):
        if dek is None:
            add(None)
            continue
        if not _SHORTEST <= len(each) <= _LONGEST:
            add(_open_earlier(each, dek, context))
            continue
        known, generation = head(each)
        if known != _V1:
            add(_open_earlier(each, dek, context))
            continue
        deployment, subject, category, field, item, schema_version, version = context
        try:
            if (generation, deployment) != at:
                prefix, at = _prefix(generation, deployment)[1], (generation, deployment)
            # As `context_bytes`.
            decryptor = Cobblestone256Decryptor(
                dek,
                prefix + pack(len(subject), subject, 2, category, 2, field, 8, item, 2, schema_version, 8, version),
            )
            padded = decryptor.update(each[_MESSAGE_AT:]) + decryptor.finalize()
            (length,) = number(padded)
        except (InvalidTag, ValueError, struct.error, OverflowError):
            add(None)
            continue
        # Why no constant time: these bytes are authentic, so whoever made the padding held the DEK.
        size = len(padded)
        end = _LENGTH + length
        if size == (_SMALLEST_BUCKET if end <= _SMALLEST_BUCKET else 1 << (end - 1).bit_length()) and (
            padded.count(0, end) == size - end
        ):
            add(padded[_LENGTH:end])
        else:
            add(None)
    return opened


def _open_earlier(stored: bytes, dek: bytes, context: FieldContext) -> bytes | None:
    try:
        sealed = _parse_earlier(stored)
        return EARLIER[sealed.version << 8 | sealed.suite].open(sealed, dek, context)
    except IntegrityFailure:
        return None
