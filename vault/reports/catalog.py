"""Which reports there are: name, the question that each answers, what its filter knows, and its query."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from audit.reports import access, refusals
from vault.errors import UnknownReport
from vault.reports.appendix import appendix
from vault.reports.consents import consents
from vault.reports.dormant import dormant
from vault.reports.leak import blast_radius
from vault.reports.policychanges import policy_changes
from vault.reports.processing import processing
from vault.reports.register import register
from vault.reports.retention import retention
from vault.reports.review import review
from vault.reports.transfers import transfers
from vault.reports.view import Query

_ACTORS: Final = frozenset({"brand", "system", "purpose"})
_ABOUT: Final = _ACTORS | {
    "reference",
    "staff",
}  # of reports that are made of single entries, looked through by `Actors.concern`


@dataclass(frozen=True, slots=True)
class Definition:
    """One report. `days` is its usual period.

    `knows` are the words of the filter that it heeds; others are refused, so that nobody takes a whole for a part.
    """

    name: str
    question: str
    query: Query
    days: int = 30
    knows: frozenset[str] = _ACTORS


_ALL: Final = (
    Definition(
        "processing", "What do we do with whose data (Art. 30)?", processing, 365, frozenset({"brand", "purpose"})
    ),
    Definition(
        "access",
        "Who saw what, when and why?",
        lambda view: access.access(view.lines(access.ACTS, marks=view.asked.marks), view.actors, view.asked),
        knows=_ABOUT,
    ),
    Definition(
        "consents", "Can we prove a consent, of a person or a campaign?", consents, 365, _ACTORS | {"reference"}
    ),
    Definition("requests", "Are we on time with what people ask (Art. 12)?", register, 365, frozenset({"brand"})),
    Definition(
        "blast_radius",
        "This credential leaked: who is hit (Art. 33, 34)?",
        blast_radius,
        7,
        frozenset({"system", "token"}),
    ),
    Definition("transfers", "What left the EEA?", transfers),
    Definition("retention", "What must go next?", retention, 30, frozenset()),
    Definition("dormant", "Who could, but does not?", dormant, 90),
    Definition(
        "policy_changes",
        "Who changed the rules, and what moved?",
        policy_changes,
        90,
        frozenset({"brand", "system"}),
    ),
    Definition(
        "refusals",
        "Where do the rules bite?",
        lambda view: refusals.refusals(view.lines(marks=(*refusals.MARKS, *view.asked.marks)), view.actors, view.asked),
        knows=_ABOUT,
    ),
    Definition("dpia", "Which facts does an impact assessment need?", appendix, 365),
    Definition("anomalies", "Is somebody harvesting?", review, 7, frozenset({"brand", "system", "staff"})),
)

DEFINITIONS: Final[Mapping[str, Definition]] = MappingProxyType({each.name: each for each in _ALL})


def definition(name: str) -> Definition:
    """Return a report by name. Raises `UnknownReport`."""
    found = DEFINITIONS.get(name)
    if found is None:
        raise UnknownReport
    return found
