"""A zip archive in one form: the same members give the same bytes, on any machine and any day.

Members are stored and not compressed, in the order given, dated 1980-01-01, without attributes or comments; so whoever
reads the members can write the archive again and compare, and any byte that was changed between them is seen. Written
by hand because what the library writes differs from release to release.

Standard library only: the verifier takes this file along when it is copied out.
"""

import struct
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator
from hashlib import file_digest, sha256
from pathlib import Path

from audit.errors import CannotDecide, VerificationError

MAX_MEMBERS = 65_534
MAX_ARCHIVE = (1 << 32) - (1 << 24)  # bytes: what needs no second form of zip
_LOCAL = struct.Struct("<4s5H3I2H")
_CENTRAL = struct.Struct("<4s6H3I5H2I")
_END = struct.Struct("<4s4H2IH")
_VERSION = 20  # needed to extract: plain zip
_UTF8 = 1 << 11
_STORED = 0
_MIDNIGHT = 0
_FIRST_DAY = 0x21  # 1980-01-01, as zip counts
_OPENING_MAGIC = b"PK\x03\x04"
_ENDING_MAGIC = b"PK\x05\x06"
_DAMAGE = (
    zipfile.BadZipFile,
    NotImplementedError,
    RuntimeError,
    ValueError,
    EOFError,
    OSError,
    struct.error,
    zlib.error,
)


def write_archive(sink: Callable[[bytes], object], members: Iterable[tuple[str, bytes]]) -> int:
    """Write members in the order given to `sink` and return the archive's size. Raises `VerificationError` beyond limits."""
    at = 0
    directory: list[bytes] = []
    for name, content in members:
        spelt = name.encode()
        crc, size = zlib.crc32(content), len(content)
        common = (_UTF8, _STORED, _MIDNIGHT, _FIRST_DAY, crc, size, size, len(spelt), 0)
        if len(directory) >= MAX_MEMBERS or at + size > MAX_ARCHIVE:
            raise VerificationError("the archive would be too large: ask for a shorter period")
        sink(_LOCAL.pack(_OPENING_MAGIC, _VERSION, *common) + spelt)
        sink(content)
        directory.append(_CENTRAL.pack(b"PK\x01\x02", _VERSION, _VERSION, *common, 0, 0, 0, 0, at) + spelt)
        at += _LOCAL.size + len(spelt) + size
    listing = b"".join(directory)
    count = len(directory)
    sink(listing)
    sink(_END.pack(_ENDING_MAGIC, 0, 0, count, count, len(listing), at, 0))
    return at + len(listing) + _END.size


def read_archive(path: Path) -> Iterator[tuple[str, bytes]]:
    """Give name and content of each member in the order of the archive.

    Raises `CannotDecide` if it is no archive at all, `VerificationError` for one that is damaged or not in its one form:
    after the last member, when all of it was read.
    """
    try:
        with path.open("rb") as file:
            start = file.read(4)
            file.seek(0, 2)
            if file.tell() < _END.size:
                raise CannotDecide("the file is no archive")
            file.seek(-_END.size, 2)
            end = file.read(4)
    except OSError:
        raise CannotDecide("there is no such archive") from None
    if start != _OPENING_MAGIC and end != _ENDING_MAGIC:
        raise CannotDecide("the file is no archive")
    form = sha256()
    try:
        with zipfile.ZipFile(path) as archive:
            infos = archive.infolist()
            if any(info.compress_type != _STORED for info in infos):
                raise VerificationError("the archive is not in its one form: its members are compressed")
            for info in infos:
                yield info.filename, archive.read(info)
            write_archive(form.update, ((info.filename, archive.read(info)) for info in infos))
    except _DAMAGE:
        raise VerificationError("the archive is damaged") from None
    with path.open("rb") as file:
        if file_digest(file, "sha256").digest() != form.digest():
            raise VerificationError("the archive is not in its one form: bytes between its members were changed")
