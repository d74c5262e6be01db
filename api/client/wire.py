"""What crosses the wire, without doing it: requests and replies as plain values.

The protocol (`exchange`) is written once, as generators that yield a `Call` and are sent back a `Reply`; a blocking
and an asynchronous driver run the same generators, so the two clients cannot drift apart.
"""

import json
from collections.abc import Generator, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar


@dataclass(frozen=True, slots=True)
class Call:
    """One HTTP request. `path` starts with `/`; `content` and `headers` never appear in a `repr`.

    `after` asks the driver to wait that many seconds first.
    """

    method: str
    path: str = field(repr=False)
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    content: bytes = field(default=b"", repr=False)
    after: float = 0.0


@dataclass(frozen=True, slots=True)
class Reply:
    """One HTTP response, read whole. Header names are lower case."""

    status: int
    headers: Mapping[str, str] = field(repr=False)
    content: bytes = field(repr=False)

    @property
    def ok(self) -> bool:
        """Whether the status is a success."""
        return 200 <= self.status < 300  # noqa: PLR2004 - the 2xx class


T = TypeVar("T")
Steps = Generator[Call, Reply, T]


def json_object(content: bytes) -> dict[str, Any]:
    """Parse a JSON object; anything else gives an empty one, so that callers state what they miss."""
    try:
        parsed = json.loads(content)
    except (ValueError, RecursionError):
        return {}
    return parsed if isinstance(parsed, dict) else {}
