"""Entries read quickly: what stands in many of them alike is parsed once, and the rest when somebody asks for it.

A report over a million entries is this and little else. Each entry is held against the whole grammar all the same, and what
`audit.entry.decode` refuses is refused here; what is spared is to parse the same JSON a million times.
"""

from collections.abc import Iterator, Mapping
from typing import Any, Final

from audit.entry import decode
from audit.errors import InvalidEntry
from audit.grammar import FROM_ID, ID_MARK, MAX_ENTRY

_KINDS: Final = 4096  # remembered by one reader: some 4 MB
_OWN: Final = frozenset({"id", "req", "sref", "stf", "t", "tok", "v"})  # what no two entries share, or goes by it
_DAY: Final = 10  # bytes of a time
_from_id = FROM_ID.fullmatch


class Content(Mapping[str, Any]):
    """The members of one entry, as `decode` gives them; to be read, not changed."""

    __slots__ = ("_body", "_kind", "_whole", "moment")

    def __init__(self, kind: Mapping[str, Any], t: bytes, body: bytes) -> None:
        self.moment = (
            t  # when, as the log writes it. Not `t`: a template that asks for `.t` must get the member, a text
        )
        self._kind = kind
        self._body = body
        self._whole: Mapping[str, Any] | None = None

    def __getitem__(self, key: str) -> Any:
        kind = self._kind
        if key in kind:
            return kind[key]
        return self.moment.decode() if key == "t" else self._read()[key]

    def get(self, key: str, default: Any = None) -> Any:
        """Return a member, or what is given in its place."""
        kind = self._kind
        if key in kind:
            return kind[key]
        return self._read().get(key, default) if key in _OWN else default

    def __iter__(self) -> Iterator[str]:
        return iter(self._read())

    def __len__(self) -> int:
        return len(self._read())

    def __repr__(self) -> str:
        return "Content(…)"

    def _read(self) -> Mapping[str, Any]:
        if self._whole is None:
            self._whole = decode(self._body)
        return self._whole


class Reader:
    """Reads the entries of one log, one after the other, and remembers which kinds of them it has met."""

    __slots__ = ("_days", "_kinds")

    def __init__(self) -> None:
        self._kinds: dict[tuple[bytes, bytes], Mapping[str, Any]] = {}
        self._days: set[bytes] = set()

    def read(self, body: bytes) -> Content:
        """Return an entry's content. Raises `InvalidEntry` exactly where `decode` does.

        Why the same: both pieces of a kind were read by `decode` in an entry of theirs, the id and all behind the second piece
        are of fixed form, and what is left, the version, the day and the length, is asked here.
        """
        at = body.find(ID_MARK)
        match = _from_id(body, at) if at > 0 and len(body) <= MAX_ENTRY else None
        if match is not None:
            middle, staff, t, token, version = match.groups()
            kind = self._kinds.get((body[:at], middle))
            if (
                kind is not None
                and t[:_DAY] in self._days
                and (version == b"1") == (staff is token is None and "dc" not in kind)
            ):
                return Content(kind, t, body)
        return self._meet(body, at)

    def _meet(self, body: bytes, at: int) -> Content:
        whole = decode(body)
        match = _from_id(body, at)
        if match is None:
            raise InvalidEntry("not the canonical form of an entry")
        middle, _, t, _, _ = match.groups()
        kind = {key: value for key, value in whole.items() if key not in _OWN}
        if len(self._kinds) >= _KINDS:  # entries that are each of a kind of their own must not fill the memory
            self._kinds.clear()
        if len(self._days) >= _KINDS:
            self._days.clear()
        self._kinds[body[:at], middle] = kind
        self._days.add(t[:_DAY])
        return Content(kind, t, body)
