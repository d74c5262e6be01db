"""Forms with a file in them (RFC 7578): read within bounds and in memory, by the parser that Starlette uses.

Starlette's own reader of such forms puts what is large into files on the disk. Here nothing ever is: what is larger than a
page takes is read to its end, so that the sender hears the answer, and none of it is kept.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header
from starlette.requests import Request

from api.problems import Problem

if TYPE_CHECKING:
    from python_multipart.multipart import MultipartCallbacks

MEDIA_TYPE: Final = "multipart/form-data"
_MOST_PARTS: Final = 16
_MOST_TEXT: Final = 1024  # bytes of a part that is no file


@dataclass(frozen=True, slots=True)
class Filled:
    """What came: the words of a form, and its files by the names of their fields."""

    words: Mapping[str, str]
    files: Mapping[str, bytes] = field(repr=False)


@dataclass(slots=True, repr=False)
class _Part:
    header: bytearray = field(default_factory=bytearray)
    value: bytearray = field(default_factory=bytearray)
    headers: dict[bytes, bytes] = field(default_factory=dict)
    content: bytearray = field(default_factory=bytearray)


class _Reader:
    """Collects the parts of one form."""

    def __init__(self) -> None:
        self.parts: list[_Part] = []
        self.ended = False

    def callbacks(self) -> "MultipartCallbacks":
        """Return what the parser calls, by its names for it."""
        return {
            "on_part_begin": self._begin, "on_part_data": self._data, "on_header_field": self._field,
            "on_header_value": self._value, "on_header_end": self._header, "on_end": self._end,
        }  # fmt: skip

    def _begin(self) -> None:
        if len(self.parts) == _MOST_PARTS:
            raise Problem("malformed_body")
        self.parts.append(_Part())

    def _data(self, data: bytes, start: int, end: int) -> None:
        self.parts[-1].content += data[start:end]

    def _field(self, data: bytes, start: int, end: int) -> None:
        self.parts[-1].header += data[start:end]

    def _value(self, data: bytes, start: int, end: int) -> None:
        self.parts[-1].value += data[start:end]

    def _header(self) -> None:
        part = self.parts[-1]
        part.headers[bytes(part.header).lower()] = bytes(part.value)
        part.header.clear()
        part.value.clear()

    def _end(self) -> None:
        self.ended = True


async def read(request: Request, most: int) -> Filled:
    """Read a form of at most `most` bytes. Raises `Problem`; a field that is given twice is refused, not merged."""
    kind, options = parse_options_header(request.headers.get("content-type", ""))
    boundary = options.get(b"boundary", b"")
    if kind.decode("latin-1").lower() != MEDIA_TYPE or not boundary:
        raise Problem("unsupported_media_type")
    body = bytearray()
    size = 0
    async for piece in request.stream():
        size += len(piece)
        if size <= most:
            body += piece
        else:
            body.clear()
    if size > most:
        raise Problem("body_too_large")
    return _filled(_parts(bytes(body), boundary))


def _parts(body: bytes, boundary: bytes) -> list[_Part]:
    reader = _Reader()
    try:
        parser = MultipartParser(boundary, reader.callbacks())
        parser.write(body)
        parser.finalize()
    except (FormParserError, ValueError):
        raise Problem("malformed_body") from None
    if not reader.ended:  # cut off
        raise Problem("malformed_body")
    return reader.parts


def _filled(parts: list[_Part]) -> Filled:
    words: dict[str, str] = {}
    files: dict[str, bytes] = {}
    for part in parts:
        kind, options = parse_options_header(part.headers.get(b"content-disposition", b""))
        name = _text(options.get(b"name", b""))
        if kind.lower() != b"form-data" or not name or name in words or name in files:
            raise Problem("malformed_body")
        if b"filename" in options:
            files[name] = bytes(part.content)  # what its sender called it is not looked at
        elif len(part.content) > _MOST_TEXT:
            raise Problem("malformed_body")
        else:
            words[name] = _text(bytes(part.content))
    return Filled(words, files)


def _text(content: bytes) -> str:
    try:
        text = content.decode("utf-8")
    except UnicodeDecodeError:
        raise Problem("malformed_body") from None
    if "\0" in text:
        raise Problem("malformed_body")
    return text
