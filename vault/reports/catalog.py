"""Which reports there are: name, the question that each answers, what its filter knows, and its query."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from audit.reports import access, refusals
from vault.errors import UnknownReport
from vault.reports.view import Query


@dataclass(frozen=True, slots=True)
class Definition:
    """One report. `days` is its usual period; `of_person`: a reference may be asked for, or must be (`needs_person`)."""

    name: str
    question: str
    query: Query
    days: int = 30
    of_person: bool = False


_ALL: Final = (
    Definition(
        "access",
        "Who saw what, when and why?",
        lambda view: access.access(view.lines(access.ACTS), view.actors, view.asked),
        of_person=True,
    ),
    Definition(
        "refusals",
        "Where do the rules bite?",
        lambda view: refusals.refusals(view.lines(), view.actors, view.asked),
    ),
)

DEFINITIONS: Final[Mapping[str, Definition]] = MappingProxyType({each.name: each for each in _ALL})


def definition(name: str) -> Definition:
    """Return a report by name. Raises `UnknownReport`."""
    found = DEFINITIONS.get(name)
    if found is None:
        raise UnknownReport
    return found
