"""Letters on the operator's terminal: for the demo, whose people do not exist, and refused everywhere else (`api.unsafe`).

The address is masked, so that what scrolls by, is recorded or is shown to a room names nobody; the code is in clear,
because whoever runs the demo is to type it in.
"""

import sys
from typing import Final, TextIO

_RULE: Final = "-" * 60


class Terminal:
    """Prints each letter. `out` is standard output where it is left out."""

    def __init__(self, out: TextIO | None = None) -> None:
        self._out = out

    def send(self, address: str, subject: str, text: str) -> str:
        """Print one letter; return an empty string, or a short code of what was in the way."""
        # As in mail: a line break where none can be is nothing of ours. No other control reaches a terminal either.
        if not (address.isprintable() and subject.isprintable()):
            return "unwritable"
        plain = "".join(each for each in text if each == "\n" or each.isprintable())
        out = self._out or sys.stdout
        try:
            print(f"{_RULE}\nTo: {masked(address)}\nSubject: {subject}\n\n{plain}{_RULE}", file=out, flush=True)
        except (OSError, ValueError):  # ValueError: the stream was closed
            return "unreachable"
        return ""


def masked(address: str) -> str:
    """Leave of an address what lets its owner know it again: a first letter and the domain, or the last two digits."""
    local, at, domain = address.partition("@")
    return f"{local[:1]}…{at}{domain}" if at else f"…{address[-2:]}"
