"""One highlight of the review, and what the review must know that no entry says."""

from collections.abc import Callable
from dataclasses import dataclass, field

from audit.reports.table import Words


@dataclass(frozen=True, slots=True)
class Highlight:
    """One thing to look at. `index` is -1 where no single entry is meant; `about` tells apart what one entry shows twice."""

    severity: str
    rule: str
    brand: str
    actor: str
    at: str
    seen: int
    usual: int
    why: Words
    index: int = -1
    staff: str = field(default="", repr=False)  # the member of staff it is about; then `actor` is ""
    about: str = ""


@dataclass(frozen=True, slots=True)
class Leaving:
    """Somebody whose erasure was asked for `at` (UTC seconds) and whose log key is still there: kept by law, or in part."""

    log_key: bytes = field(repr=False)
    at: int


@dataclass(frozen=True, slots=True)
class Beside:
    """What the review is told beside the log.

    `opens(purpose, "field:level")` says whether the policies in force open that; `now` is when the review is made (UTC
    seconds), 0 where silence up to then says nothing.
    """

    opens: Callable[[str, str], bool] = lambda _purpose, _name: True
    leaving: tuple[Leaving, ...] = ()
    now: int = 0
