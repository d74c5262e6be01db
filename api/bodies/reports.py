"""Bodies of reports that are made in the background."""

from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from api.bodies.common import Answer, Body, Name, PurposeKey
from audit.reports.asked import LARGEST, MOST_ROWS

Moment = Annotated[int, Field(ge=0, lt=1 << 37)]
State = Literal["queued", "running", "done", "failed"]


class AskReport(Body):
    """A report of the calling brand's entries, `since` <= time < `until` (UTC seconds).

    `staff` is the brand's own word for a member of staff, or how reports tell them. `upto`: as of the newest checkpoint of at
    most so many entries; 0 for the newest. `most` bounds the rows.
    """

    report: Name
    since: Moment
    until: Moment
    system: Annotated[str, StringConstraints(max_length=64, pattern=r"^([a-z0-9][a-z0-9._-]{1,63})?$")] = ""
    purpose: PurposeKey | Literal[""] = ""
    staff: Annotated[str, StringConstraints(max_length=128)] = Field(default="", repr=False)
    upto: Moment = 0
    most: Annotated[int, Field(ge=1, le=LARGEST)] = MOST_ROWS


class ReportStanding(Answer):
    """How far a report has come: `seen` of `size` entries are read. Times in UTC seconds; `problem` is of a failed one."""

    id: str
    report: str
    filter: dict[str, str]
    state: State
    seen: int
    size: int
    created_at: int
    finished_at: int | None
    expires_at: int
    problem: str
