"""A report in its reader's words: one form for the page, for the file that is kept and for the print.

The signed forms stay as they are, in codes: what is here is how they are shown. What is said in two languages, and signed
in both, is shown in the reader's.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final, Protocol

from api.pages import columns
from api.pages.language import ENGLISH, N_, Language
from audit.reports.document import Report
from audit.reports.table import Body, Column, Kind


@dataclass(frozen=True, slots=True)
class Title:
    """What a report is called and asks, in sentences of the catalogue."""

    name: str
    title: str
    question: str


class Named(Protocol):
    """A report, or its definition."""

    @property
    def name(self) -> str:
        """Its name."""

    @property
    def question(self) -> str:
        """The question it answers."""


TITLES: Final = {
    each.name: each
    for each in (
        Title("processing", N_("Record of processing"), N_("What do we do with whose data (Art. 30)?")),
        Title("access", N_("Access"), N_("Who saw what, when and why?")),
        Title("consents", N_("Consent evidence"), N_("Can we prove a consent, of a person or a campaign?")),
        Title("requests", N_("Register of requests"), N_("Are we on time?")),
        Title("blast_radius", N_("Blast radius"), N_("This credential leaked: who is hit (Art. 33, 34)?")),
        Title("transfers", N_("Transfers"), N_("What left the EEA?")),
        Title("retention", N_("Retention due"), N_("What must go next?")),
        Title("dormant", N_("Dormant grants"), N_("Who could, but does not?")),
        Title("policy_changes", N_("Policy changes"), N_("Who changed the rules, and what moved?")),
        Title("refusals", N_("Refusals"), N_("Where do the rules bite?")),
        Title("dpia", N_("Facts for an impact assessment"), N_("Which facts does an impact assessment need?")),
        Title("anomalies", N_("Bulk and anomalies"), N_("Is somebody harvesting?")),
    )
}

_FRENCH: Final = "_fr"  # ends the name of a column that says in French what the one named without it says in English


@dataclass(frozen=True, slots=True)
class Reported:
    """A report as it is shown. `asked` (the filter), `facts` (what it rests on) and `totals` are names and values.

    `columns` are words and kinds, `rows` all words; `beyond` counts the rows that are not among them. `spoken` is the language
    of `notes`, `quoted` are texts of cells that there are in English only, `footer` names the log.
    """

    title: str
    question: str
    asked: Sequence[tuple[str, str]] = field(repr=False)
    facts: Sequence[tuple[str, str]] = field(repr=False)
    totals: Sequence[tuple[str, str]]
    columns: Sequence[tuple[str, Kind]]
    rows: Sequence[Sequence[str]] = field(repr=False)
    beyond: int
    notes: Sequence[str] = field(repr=False)
    spoken: str
    quoted: frozenset[str] = field(repr=False)
    footer: str


def title_of(of: Named) -> Title:
    """Return what a report is called; one without words of ours by its name."""
    return TITLES.get(of.name, Title(of.name, of.name, of.question))


def reported(report: Report, language: Language, most: int) -> Reported:
    """Say a report in a language, with `most` of its rows; `beyond` counts the others that its files have."""
    body, title = report.body, title_of(report)
    kept = _read(body, language)
    rows = [[columns.cell(language, report.name, each.name, row[at]) for at, each in kept] for row in body.rows[:most]]
    spoken = language.tag if report.in_french else ENGLISH
    asked = [columns.asked(language, name, value) for name, value in report.filter.items()]
    return Reported(
        title=language.say(title.title),
        question=language.say(title.question),
        asked=asked,
        facts=[
            (language.say(N_("The question it answers")), language.say(title.question)),
            *asked,
            (language.say(N_("Made")), language.moment(report.generated_at)),
            (language.say(N_("Policy in force")), report.policies),
            (language.say(N_("Rows")), language.number(len(body.rows) + body.more)),
            *([(language.say(N_("Rows left out")), language.number(body.more))] if body.more else []),
        ],
        totals=[
            (columns.column(language, name, report.name), columns.cell(language, report.name, name, value))
            for name, value in body.totals
        ],
        columns=[(columns.column(language, each.name, report.name), each.kind) for _, each in kept],
        rows=rows,
        beyond=max(0, len(body.rows) - most),
        notes=[english if spoken == ENGLISH else french for english, french in body.notes],
        spoken=spoken,
        quoted=_quoted(kept, body, rows, language),
        footer="  ".join(
            language.say(N_("%(origin)s at %(size)s, root %(root)s"))
            % {"origin": each.origin, "size": language.number(each.size), "root": each.root.hex()}
            for each in report.upto
        ),
    )


def _read(body: Body, language: Language) -> list[tuple[int, Column]]:
    """Return the columns that a reader is shown, with their places: of two that say the same, the one in their language."""
    places = {each.name: at for at, each in enumerate(body.columns)}
    own = _FRENCH if language.tag == "fr" else ""
    return [
        (places.get(f"{each.name}{own}", at), each)
        for at, each in enumerate(body.columns)
        if not each.name.endswith(_FRENCH)
    ]


def _quoted(
    kept: Sequence[tuple[int, Column]], body: Body, rows: Sequence[Sequence[str]], language: Language
) -> frozenset[str]:
    if language.tag == ENGLISH:
        return frozenset()
    at = [
        (shown, place)
        for shown, (place, each) in enumerate(kept)
        if each.name in columns.IN_ENGLISH and not body.columns[place].name.endswith(_FRENCH)
    ]
    pairs = [(said[shown], row[place]) for said, row in zip(rows, body.rows, strict=False) for shown, place in at]
    return frozenset([said for said, raw in pairs if said and said == raw])
