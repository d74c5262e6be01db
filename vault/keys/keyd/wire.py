"""What crosses the key holder's socket: bounded frames, a closed list of verbs, columns of fixed layout.

    frame    length(4) | body                     length is checked against MAX_FRAME before a byte of it is kept
    request  verb(1)   | the verb's columns
    answer   0 | the verb's columns, or the number of an error(1) | its text

Integers are big-endian. A batch travels by column, so that packing is one call of C per column and not one per item. A
column of blobs is `count(4) | count x length(4) | bytes`; a length of 2^32-1 stands for None. Counts and lengths are
held against what is there before anything is allocated, and a body must end where its last column ends. Own layout, and
not a general one: nothing here nests, names a type, or can ask for more than it brings (ADR 0025, docs/formats.md).
"""

import struct
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, fields
from itertools import accumulate
from typing import Any, Final, Protocol

import orjson

from vault.errors import (
    Conflict,
    Damaged,
    IntegrityFailure,
    KeyHolderUnavailable,
    KeyUnavailable,
    LeavesExhausted,
    RootSurvives,
    Sealed,
    StoreFull,
    StoreUnavailable,
    TooFewCopies,
    Unexpected,
    UnsafeFile,
    VaultError,
    WrongDeployment,
)
from vault.keys.service import KeyState, KeyStatus, SigningKey, Slot

VERSION: Final = 2
MAX_FRAME: Final = 4 << 20  # bytes of one body
MAX_ITEMS: Final = 1 << 16  # of one column
MAX_LABEL: Final = 512  # bytes
HEAD: Final = struct.Struct(">I")

_COUNT = struct.Struct(">I")
_SHORT = struct.Struct(">H")
_NONE: Final = 0xFFFF_FFFF
_LONG: Final = range(-(1 << 63), 1 << 63)
_MAX_TEXT: Final = 200  # bytes of an error's text


class Malformed(VaultError):
    """Bytes on the socket that no peer of ours would send. The connection that brought them is closed."""

    code = "malformed_frame"


class Body:
    """A body being read, front to back. Every read beyond its end is Malformed."""

    __slots__ = ("_at", "_bytes")

    def __init__(self, content: bytes | bytearray) -> None:
        self._bytes = bytes(content)
        self._at = 0

    def take(self, count: int) -> bytes:
        """Return the next `count` bytes."""
        start, end = self._at, self._at + count
        if end > len(self._bytes):
            raise Malformed("a body ends early")
        self._at = end
        return self._bytes[start:end]

    def count(self, size: int) -> int:
        """Read the number of items of a column, of at least `size` bytes each, that must be there to be believed."""
        (count,) = _COUNT.unpack(self.take(_COUNT.size))
        if count > MAX_ITEMS or count * size > len(self._bytes) - self._at:
            raise Malformed("a column claims more than its body holds")
        return int(count)

    def ended(self) -> None:
        """Refuse bytes behind the last column."""
        if self._at != len(self._bytes):
            raise Malformed("a body goes on behind its last column")


class Column(Protocol):
    """How one argument or result crosses the socket."""

    def pack(self, value: Any) -> bytes:
        """Return its bytes. Raises ValueError beyond a bound."""
        ...

    def read(self, body: Body) -> Any:
        """Read it back. Raises Malformed."""
        ...


class _Integers:
    """Signed 64-bit integers. One that does not fit names nothing there is, and travels as -1, which does neither."""

    def pack(self, value: Sequence[int]) -> bytes:
        fitting = [each if each in _LONG else -1 for each in value]
        return _counted(len(fitting)) + struct.pack(f">{len(fitting)}q", *fitting)

    def read(self, body: Body) -> tuple[int, ...]:
        count = body.count(8)
        return struct.unpack(f">{count}q", body.take(8 * count))


class _Integer(_Integers):
    def pack(self, value: Any) -> bytes:
        return super().pack((value,))

    def read(self, body: Body) -> Any:
        found = super().read(body)
        if len(found) != 1:
            raise Malformed("one number was expected")
        return found[0]


class _Slots:
    """Slots: a column of numbers and one of generations."""

    def pack(self, value: Sequence[Slot]) -> bytes:
        return INTEGERS.pack([number for number, _ in value]) + INTEGERS.pack([generation for _, generation in value])

    def read(self, body: Body) -> list[Slot]:
        numbers, generations = INTEGERS.read(body), INTEGERS.read(body)
        if len(numbers) != len(generations):
            raise Malformed("columns of one batch differ in length")
        return list(map(Slot, numbers, generations))


class _Blobs:
    """Byte strings, each of which may be None."""

    def pack(self, value: Sequence[bytes | None]) -> bytes:
        lengths = [_NONE if each is None else len(each) for each in value]
        blobs = b"".join([each for each in value if each is not None])
        return _counted(len(lengths)) + struct.pack(f">{len(lengths)}I", *lengths) + blobs

    def read(self, body: Body) -> list[bytes | None]:
        count = body.count(4)
        lengths = struct.unpack(f">{count}I", body.take(4 * count))
        present = [0 if length == _NONE else length for length in lengths]
        ends = list(accumulate(present))
        content = body.take(ends[-1] if ends else 0)
        return [
            None if length == _NONE else content[end - length : end]
            for length, end in zip(lengths, ends, strict=True)
        ]  # fmt: skip


class _GivenBlobs(_Blobs):
    """Byte strings, all there."""

    def read(self, body: Body) -> list[bytes | None]:
        found = super().read(body)
        if None in found:
            raise Malformed("a byte string is missing")
        return found


class _Blob:
    def pack(self, value: bytes) -> bytes:
        return BLOBS.pack((value,))

    def read(self, body: Body) -> bytes:
        found = BLOBS.read(body)
        if len(found) != 1 or found[0] is None:
            raise Malformed("one byte string was expected")
        return found[0]


class _Flags:
    def pack(self, value: Sequence[bool]) -> bytes:
        return _counted(len(value)) + bytes(map(bool, value))

    def read(self, body: Body) -> list[bool]:
        found = body.take(body.count(1))
        if found.strip(b"\0\1"):
            raise Malformed("neither yes nor no")
        return list(map(bool, found))


class _Label:
    def pack(self, value: str) -> bytes:
        content = value.encode()
        if len(content) > MAX_LABEL:
            raise ValueError("a label is too long")
        return _SHORT.pack(len(content)) + content

    def read(self, body: Body) -> str:
        (length,) = _SHORT.unpack(body.take(_SHORT.size))
        if length > MAX_LABEL:
            raise Malformed("a label is too long")
        try:
            return body.take(length).decode()
        except UnicodeDecodeError:
            raise Malformed("a label is not text") from None


class _Key(_Label):
    def read(self, body: Body) -> SigningKey:
        try:
            return SigningKey(super().read(body))
        except ValueError:
            raise Malformed("no such signing key") from None


class _Nothing:
    def pack(self, value: None) -> bytes:  # noqa: ARG002
        return b""

    def read(self, body: Body) -> None:  # noqa: ARG002
        return None


class Table:
    """A batch whose items are tuples: its columns, one behind the other, all of one length."""

    def __init__(self, *columns: Column) -> None:
        self._columns = columns

    def pack(self, value: Sequence[tuple[Any, ...]]) -> bytes:
        """Transpose and pack."""
        columns: Sequence[Sequence[Any]] = list(zip(*value, strict=True)) if value else [()] * len(self._columns)
        return b"".join([kind.pack(column) for kind, column in zip(self._columns, columns, strict=True)])

    def read(self, body: Body) -> list[tuple[Any, ...]]:
        """Read and transpose."""
        columns = [kind.read(body) for kind in self._columns]
        if len({len(column) for column in columns}) != 1:
            raise Malformed("columns of one batch differ in length")
        return list(zip(*columns, strict=True))


class Record:
    """A small, rare dataclass, as JSON. Its fields may grow without a new version of the wire."""

    def __init__(self, kind: type[Any]) -> None:
        self._kind = kind
        self._known = {each.name for each in fields(kind)}

    def pack(self, value: Any) -> bytes:
        """Write every field."""
        return BLOB.pack(orjson.dumps(asdict(value)))

    def read(self, body: Body) -> Any:
        """Read the fields that we know."""
        try:
            found = orjson.loads(BLOB.read(body))
            known = {name: value for name, value in found.items() if name in self._known}
            if "state" in known:
                known["state"] = KeyState(known["state"])
            return self._kind(**known)
        except (ValueError, TypeError, AttributeError):
            raise Malformed("a record does not fit its kind") from None


@dataclass(frozen=True, slots=True)
class Progress:
    """How far an unsealing has come. Of the secrets themselves nothing is told.

    `needed` secrets of the operators (0: the root's own provider opens it), `given` so far, of `total` there are.
    """

    state: KeyState
    needed: int
    given: int
    total: int


BLOB: Final = _Blob()
BLOBS: Final = _GivenBlobs()
OPTIONAL_BLOBS: Final = _Blobs()
SLOTS: Final = _Slots()
INTEGER: Final = _Integer()
INTEGERS: Final = _Integers()
FLAGS: Final = _Flags()
LABEL: Final = _Label()
KEY: Final = _Key()
NOTHING: Final = _Nothing()
PROGRESS: Final = Record(Progress)


@dataclass(frozen=True, slots=True)
class Verb:
    """One thing to ask: its number, the method that answers, its arguments, its result.

    `batch` is the position of the argument that may be cut into several requests: the items are independent.
    """

    number: int
    name: str
    asked: tuple[Column, ...]
    answered: Column
    batch: int | None = None

    def request(self, arguments: Sequence[Any]) -> bytes:
        """Return the frame that asks. Raises ValueError when it would be too long."""
        columns = [kind.pack(value) for kind, value in zip(self.asked, arguments, strict=True)]
        return framed(bytes((self.number,)) + b"".join(columns))

    def arguments(self, body: Body) -> list[Any]:
        """Read the arguments behind the verb's number. Raises Malformed."""
        found = [kind.read(body) for kind in self.asked]
        body.ended()
        return found


# Numbers are never given to another verb. Below 16: of the connection and the seal; from 16 on: of the key service.
HELLO: Final = Verb(1, "hello", (INTEGER, LABEL), NOTHING)
ASK_PROGRESS: Final = Verb(2, "progress", (), PROGRESS)
OFFER: Final = Verb(3, "offer", (BLOB,), PROGRESS)
SEAL_VAULT: Final = Verb(4, "seal_vault", (), PROGRESS)
STATUS: Final = Verb(16, "status", (), Record(KeyStatus))
RESERVE: Final = Verb(17, "reserve", (INTEGER,), SLOTS)
PUBLIC_KEY: Final = Verb(18, "public_key", (KEY, INTEGER), BLOB)
INDEX_EPOCHS: Final = Verb(19, "index_epochs", (), INTEGERS)
WRAP: Final = Verb(20, "wrap", (Table(SLOTS, BLOBS),), OPTIONAL_BLOBS, 0)
UNWRAP: Final = Verb(21, "unwrap", (Table(SLOTS, BLOBS),), OPTIONAL_BLOBS, 0)
REWRAP: Final = Verb(22, "rewrap", (Table(SLOTS, SLOTS, BLOBS),), OPTIONAL_BLOBS, 0)
RETIRE: Final = Verb(23, "retire", (SLOTS,), NOTHING, 0)
RECALL: Final = Verb(24, "recall", (SLOTS,), FLAGS, 0)
ALIVE: Final = Verb(25, "alive", (SLOTS,), FLAGS, 0)
MAC: Final = Verb(26, "mac", (LABEL, BLOBS), BLOBS, 1)
SEAL: Final = Verb(27, "seal", (LABEL, Table(BLOBS, BLOBS)), BLOBS, 1)
OPEN: Final = Verb(28, "open", (LABEL, Table(BLOBS, BLOBS)), OPTIONAL_BLOBS, 1)
SIGN: Final = Verb(29, "sign", (KEY, BLOBS, INTEGER), BLOBS, 1)
BLIND: Final = Verb(30, "blind", (LABEL, BLOBS, INTEGER), BLOBS, 1)
REBLIND: Final = Verb(31, "reblind", (BLOBS, INTEGER, INTEGER), BLOBS, 0)

CONTROL: Final = {verb.number: verb for verb in (HELLO, ASK_PROGRESS, OFFER, SEAL_VAULT)}
SERVICE: Final = {
    verb.number: verb
    for verb in (
        STATUS,
        RESERVE,
        PUBLIC_KEY,
        INDEX_EPOCHS,
        WRAP,
        UNWRAP,
        REWRAP,
        RETIRE,
        RECALL,
        ALIVE,
        MAC,
        SEAL,
        OPEN,
        SIGN,
        BLIND,
        REBLIND,
    )
}

_ERRORS: Final[dict[int, type[VaultError]]] = {
    1: Sealed,
    2: KeyUnavailable,
    3: IntegrityFailure,
    4: StoreUnavailable,
    5: StoreFull,
    6: WrongDeployment,
    7: UnsafeFile,
    8: Conflict,
    9: Unexpected,
    10: Malformed,
    11: KeyHolderUnavailable,
    12: Damaged,
    13: TooFewCopies,
    14: RootSurvives,
    15: LeavesExhausted,
}
_NUMBERS: Final = {kind: number for number, kind in _ERRORS.items()}
_UNEXPECTED: Final = 9


def framed(body: bytes) -> bytes:
    """Put a body into its frame. Raises ValueError when it is too long."""
    if len(body) > MAX_FRAME:
        raise ValueError("a frame is too long")
    return HEAD.pack(len(body)) + body


def answer(verb: Verb, result: Any) -> bytes:
    """Frame a result."""
    return framed(b"\0" + verb.answered.pack(result))


def refusal(error: VaultError) -> bytes:
    """Frame an error: the nearest kind that the wire knows, and our own words, which never hold a value."""
    number = next((_NUMBERS[kind] for kind in type(error).__mro__ if kind in _NUMBERS), _UNEXPECTED)
    return framed(bytes((number,)) + str(error).encode()[:_MAX_TEXT])


def result_of(verb: Verb, content: bytes | bytearray) -> Any:
    """Read an answer: its result, or raise the error it carries."""
    body = Body(content)
    (number,) = body.take(1)
    if number:
        text = bytes(content[1:]).decode(errors="replace")
        raise _ERRORS.get(number, Unexpected)(text)
    found = verb.answered.read(body)
    body.ended()
    return found


def pieces(verb: Verb, arguments: Sequence[Any], most: int) -> Iterator[list[Any]]:
    """Cut a batch into requests of at most `most` items. What cannot be cut, or need not be, is one piece."""
    place = verb.batch
    if place is None or len(arguments[place]) <= most:
        yield list(arguments)
        return
    for start in range(0, len(arguments[place]), most):
        piece = list(arguments)
        piece[place] = arguments[place][start : start + most]
        yield piece


def _counted(count: int) -> bytes:
    if count > MAX_ITEMS:
        raise ValueError("a column is too long")
    return _COUNT.pack(count)
