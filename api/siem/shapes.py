"""The four shapes by name: how a batch of events is written, and under which media type."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from importlib.metadata import version
from typing import Any, Final

import orjson

from audit.siem.cef import to_cef
from audit.siem.cloudevents import to_cloudevent
from audit.siem.ecs import to_ecs
from audit.siem.event import Event
from audit.siem.ocsf import to_ocsf


class Form(StrEnum):
    """The shapes."""

    OCSF = "ocsf"
    ECS = "ecs"
    CEF = "cef"
    CLOUDEVENTS = "cloudevents"


@dataclass(frozen=True, slots=True)
class Shape:
    """A shape. `line` writes one event without its end; `array` joins a batch as one JSON array instead of lines."""

    media: str
    line: Callable[[Event], bytes]
    array: bool = False

    def batch(self, events: Sequence[Event]) -> bytes:
        """Write a batch as one body."""
        lines = [self.line(each) for each in events]
        return b"[" + b",".join(lines) + b"]" if self.array else b"".join(line + b"\n" for line in lines)


def _json(shape: Callable[[Event], dict[str, Any]]) -> Callable[[Event], bytes]:
    return lambda event: orjson.dumps(shape(event), option=orjson.OPT_SORT_KEYS)


SHAPES: Final[dict[Form, Shape]] = {
    Form.OCSF: Shape("application/x-ndjson", _json(to_ocsf)),
    Form.ECS: Shape("application/x-ndjson", _json(to_ecs)),
    Form.CEF: Shape("text/plain; charset=utf-8", lambda event: to_cef(event, version("ecrin")).encode()),
    Form.CLOUDEVENTS: Shape("application/cloudevents-batch+json", _json(to_cloudevent), array=True),
}
