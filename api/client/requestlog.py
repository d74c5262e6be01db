"""What the HTTP library says of each request: nothing where the path names a person.

`httpx2` logs every URL at INFO. A reference is a pseudonym of one person, and the paths of a subject and of a record of
consents carry it: a program that turns INFO on would keep, in a file that nobody erases, who was asked about and when.
The server writes route templates only; this is the same promise on the caller's side.
"""

import logging
import re
from typing import Final

LIBRARY: Final = "httpx2"
_NAMES_SOMEBODY: Final = re.compile(r"/ref_[0-9a-z]")


def keep_references_out() -> None:
    """Have the library's lines about such paths dropped, once per process however often it is asked for.

    All others stay: an application's own use of the library is logged as before.
    """
    logging.getLogger(LIBRARY).addFilter(_is_silent_on_people)  # adds no filter twice


def _is_silent_on_people(record: logging.LogRecord) -> bool:
    # The whole message, not the arguments by place: another version of the library may order them otherwise.
    return not _NAMES_SOMEBODY.search(record.getMessage())
