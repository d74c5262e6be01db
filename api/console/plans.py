"""Filters of reports that officers keep, plans that make one by itself, and what was made in the background."""

from typing import Final

from starlette.responses import Response

from api.console import filters, reports
from api.console.visit import PREFIX, Visit
from api.pages.reported import title_of
from api.problems import Problem
from audit.entry import Act, Entry, Outcome
from audit.reports import document
from vault.errors import InvalidReport, ReportNotReady, UnknownReport
from vault.reports import catalog, runs, saved
from vault.reports.saved import NewSaved, Saved

KEPT: Final = f"{PREFIX}/kept"
MADE: Final = f"{PREFIX}/made"
_DAY: Final = 86_400
_WORDS: Final = ("brand", "system", "purpose")


def keep(visit: Visit) -> Response:
    """Keep a filter under a title, perhaps with a plan."""
    form = visit.form
    words = {name: word for name in _WORDS if (word := filters.word(form, name))}
    every = form.get("every", "")
    if every not in reports.EVERY:
        raise Problem("bad_request")
    new = NewSaved(
        form.get("title", "").strip(), visit.params["name"], filters.number(form, "days") or 0, words, int(every)
    )
    try:
        saved.save(visit.vault, new, visit.actor)
    except UnknownReport:
        raise Problem("not_found") from None
    except InvalidReport:
        raise Problem("bad_request") from None
    return visit.go(reports.PATH, done="kept")


def kept_page(visit: Visit) -> Response:
    """Open the report with a kept filter, over the days back from today."""
    kept = _kept(visit)
    since = filters.day_of(visit.now - kept.new.days * _DAY)
    return visit.go(filters.link(f"{reports.PATH}/{kept.new.name}", {**kept.new.words, "since": since}))


def kept_step(visit: Visit) -> Response:
    """Have it made now in the background, or keep it no longer."""
    kept, step = _kept(visit), visit.form.get("step", "")
    if step == "forget":
        saved.forget(visit.vault, kept.id, visit.actor)
        return visit.go(reports.PATH, done="forgotten")
    if step != "make":
        raise Problem("bad_request")
    run = runs.queue(visit.vault, kept.new.name, saved.asked_of(kept, visit.now), visit.actor)
    return visit.go(f"{MADE}/{run.id.hex()}")


def made_page(visit: Visit) -> Response:
    """Say how far one has come."""
    try:
        run = runs.standing(visit.vault, _identifier(visit))
    except UnknownReport:
        raise Problem("not_found") from None
    title = title_of(catalog.definition(run.name))
    return visit.page("made.html", run=run, title=title, formats=reports.formats_of(visit))


def made(visit: Visit) -> Response:
    """Hand one out, as the signed document that was made; recorded before."""
    kind = reports.form_of(visit)
    try:
        taken = runs.taken(visit.vault, _identifier(visit), visit.actor)
    except UnknownReport:
        raise Problem("not_found") from None
    except ReportNotReady:
        raise Problem("conflict") from None
    report = document.read(taken.json)
    said = (f"report:{report.name}", f"run:{taken.run.id.hex()}")
    rows = len(report.body.rows) + report.body.more
    visit.record(Entry(Act.AUDIT_EXPORTED, Outcome.ALLOW, visit.actor, pol=said, n=rows))
    return reports.given(visit, report, kind)


def _kept(visit: Visit) -> Saved:
    try:
        return saved.one(visit.vault, _identifier(visit))
    except UnknownReport:
        raise Problem("not_found") from None


def _identifier(visit: Visit) -> bytes:
    try:
        return bytes.fromhex(filters.word(visit.params, "id"))
    except ValueError:
        raise Problem("not_found") from None
