"""The reports: which question each answers, a filter that is in the address, the rows, and the signed files.

Looking at a report and taking it away are both entries; taking it away takes an officer who has just proved to be there.
"""

from dataclasses import dataclass
from typing import Final

from starlette.responses import Response

from api.console import filters
from api.console.visit import PREFIX, Visit
from api.pages import render
from api.pages.language import N_
from api.problems import Problem
from audit.entry import Act, Entry, Outcome
from audit.reports import document
from audit.reports.asked import Asked
from audit.reports.document import Report
from vault import systems
from vault.errors import InvalidReport, UnknownReport
from vault.reports import catalog, running
from vault.reports.catalog import Definition

PATH: Final = f"{PREFIX}/reports"
SHOWN: Final = 500  # rows on a page; the files have all
_DAY: Final = 86_400
_WORDS: Final = ("brand", "system", "purpose")


@dataclass(frozen=True, slots=True)
class Title:
    """What a report is called and asks, in the reader's words."""

    name: str
    title: str
    question: str


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


def page(visit: Visit) -> Response:
    """List the reports."""
    return visit.page("reports.html", reports=[_title(each) for each in catalog.DEFINITIONS.values()])


def report(visit: Visit) -> Response:
    """Run one and show it."""
    wanted = _wanted(visit)
    visit.unsealed()
    kept = _kept(visit, wanted)
    made: Report | None
    try:
        made = running.run(visit.vault, wanted.name, _asked(visit, wanted, kept), visit.actor)
    except InvalidReport:  # it is about one system, and none is named yet
        made = None
    with visit.vault.reading() as conn:
        known = systems.listed(conn)
    return visit.page(
        "report.html",
        report=made,
        title=_title(wanted),
        knows=wanted.knows,
        kept=kept,
        shown=SHOWN,
        systems_said=[(each.id, each.id) for each in known],
        brands_said=[(each, each) for each in sorted({each.brand for each in known})],
        purposes_said=[(each.key, each.key) for each in visit.vault.bundle.purposes.every],
        take=filters.link(f"{PATH}/{wanted.name}/files", kept),
    )


def files_page(visit: Visit) -> Response:
    """Say what would be handed out."""
    wanted = _wanted(visit)
    kept = _kept(visit, wanted)
    back = filters.link(f"{PATH}/{wanted.name}", kept)
    return visit.page("files.html", title=_title(wanted), kept=kept, back=back)


def files(visit: Visit) -> Response:
    """Hand out a report as JSON, which carries its signature or as CSV."""
    wanted, kind = _wanted(visit), visit.form.get("format", "")
    if kind not in {"csv", "json"}:
        raise Problem("bad_request")
    visit.unsealed()
    visit.query = visit.form
    made = running.run(visit.vault, wanted.name, _asked(visit, wanted, _kept(visit, wanted)), visit.actor)
    visit.record(Entry(Act.AUDIT_EXPORTED, Outcome.ALLOW, visit.actor, pol=(f"report:{wanted.name}",), n=_rows(made)))
    content = document.to_csv(made) if kind == "csv" else document.to_json(made)
    return render.download(content, f"ecrin-{wanted.name}.{kind}")


def _wanted(visit: Visit) -> Definition:
    try:
        return catalog.definition(visit.params["name"])
    except UnknownReport:
        raise Problem("not_found") from None


def _kept(visit: Visit, wanted: Definition) -> dict[str, str]:
    words = {name: filters.word(visit.query, name) for name in _WORDS if name in wanted.knows}
    return words | {name: visit.query.get(name, "") for name in ("since", "until")}


def _asked(visit: Visit, wanted: Definition, kept: dict[str, str]) -> Asked:
    now = visit.now
    until = filters.day(kept, "until", after=True) or now + 1
    since = filters.day(kept, "since")
    try:
        return Asked(
            max(0, until - wanted.days * _DAY) if since is None else since,
            until,
            kept.get("brand", ""),
            kept.get("system", ""),
            kept.get("purpose", ""),
        )
    except ValueError:
        raise Problem("bad_request") from None


def _title(wanted: Definition) -> Title:
    return TITLES.get(wanted.name, Title(wanted.name, wanted.name, wanted.question))


def _rows(made: Report) -> int:
    return len(made.body.rows) + made.body.more
