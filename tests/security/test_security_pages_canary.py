"""The canary hunt on pages: a person whose every value is a canary, and everything that is shown to who may see none.

Searched: each page of the console for each role, each page of the portal for another person, each file and each report
that can be taken there, prints with their metadata, letters, the lines that a SIEM is told, headers and cookies, error
pages, the tables of sessions. The person's own package is the positive control.
"""

import io
import re
import zipfile

import pytest
from canary_hunter import HIDDEN, Hunter, phone, word
from canary_paths import everything
from console_browser import PUBLIC, Browser, add_officer, set_up
from maison_callers import CONSENT, PERSON
from portal_visitor import package_of, signed_in
from print_reading import letters as letters_of
from print_reading import opened
from sqlalchemy import inspect, text

from api import pdf
from api.console.site import PAGES
from api.pages.language import language
from api.portal.site import ROUTES
from api.siem.shapes import SHAPES
from audit import ledger
from audit.reports.asked import Asked
from audit.siem.event import event_of
from vault import evidence
from vault.reports import catalog, running
from vault.requests import records
from vault.requests.steps import by_officer

HERS, OTHERS = "apolline.rousselin@example.com", "other@example.com"
HEADERS = {"Origin": PUBLIC, "Sec-Fetch-Site": "same-origin"}


@pytest.fixture
def prey(maison, pos):
    """Somebody made of canaries, looked at, refused, sought in vain, with a request; and somebody else."""
    reference = pos.created(everything() | {"email": [HERS]}, CONSENT)
    pos.created(PERSON | {"email": [OTHERS], "phone": ["+33612345678"], "client_number": "AU-9"}, CONSENT)
    pos.disclose(pos.granted(reference, ("phone", "masked"), ("name", "masked"), max_uses=5))
    pos.wish(reference, ("phone", "masked"), purpose="marketing.email")
    pos.search("email", f"{word()}@example.com")
    pos.search("phone", phone())
    evidence.sign_checkpoints(maison.vault, maison.http.app.state.services.settings.checkpoint_file)
    return reference


def told(label, answer):
    """What one answer says: its body, its headers, where it sends, its cookies."""
    yield label, answer.content
    yield f"{label} headers", repr(answer.headers.raw)
    yield f"{label} address", str(answer.url)


def unpacked(label, content):
    with zipfile.ZipFile(io.BytesIO(content)) as files:
        yield from ((f"{label} {each}", files.read(each)) for each in files.namelist())


def printed(content):
    """The letters and the metadata of a print, unpacked; line breaks and places to break words taken out."""
    with opened(content) as document:
        told_text = letters_of(document)
        assert len(told_text) > 100  # it is read at all
        yield "print", told_text
        yield "print in one line", re.sub(r"[\s\u200b]", "", told_text)
        yield "print info", str(document.docinfo)
        with document.open_metadata() as metadata:
            yield "print metadata", str(metadata)


def seen_by_officers(maison, request, reference):
    """Every page, file and report that each role gets, and what a caller's own words come back as."""
    places = {"{number}": "1", "{index}": "3", "{name}": "access"}
    for role in ("compliance", "approver", "auditor", "operator"):
        browser = Browser(maison.http.app)
        set_up(browser, add_officer(maison.vault, f"{role}-1", role), maison.clock)
        form = {"form": browser.get("/console/account").form("form", action="/console/sign-out")["fields"]["form"]}
        for page in PAGES:
            path = page.path.replace("{id}", request.name if "requests" in page.path else "aurelle-pos")
            for place, value in places.items():
                path = path.replace(place, value)
            yield from told(f"{role} {path}", browser.get(f"/console{path}").answer)
        for name, of in catalog.DEFINITIONS.items():
            about = {"system": "aurelle-pos"} if "system" in of.knows else {}
            yield from told(f"{role} {name}", browser.get(f"/console/reports/{name}").answer)
            for kind in ("html", "json", "zip"):  # prints: `written_down`
                made = browser.http.post(
                    f"/console/reports/{name}/files", data=form | about | {"format": kind}, headers=HEADERS
                )
                assert made.status_code == (403 if role in {"approver", "operator"} else 200), (role, name, kind)
                yield from told(f"{role} {name}.{kind}", made)
                if made.status_code == 200 and kind == "zip":
                    yield from unpacked(f"{role} {name}", made.content)
        for kind in ("csv", "json"):
            yield from told(f"{role} log.{kind}", browser.post("/console/log/export", form | {"format": kind}).answer)
        lines = browser.post("/console/person", form | {"brand": "aurelle", "reference": reference})
        yield from told(f"{role} person", lines.answer)
        for path in (
            f"/console/{word()}",
            f"/console/systems/{word()}",
            f"/console?x={word()}",
        ):
            yield path[:12], browser.get(path, Referer=word(), **{"User-Agent": word()}).answer.content
        yield from told("error", browser.post("/console/person", form | {"brand": word(), "reference": word()}).answer)


def seen_by_others(maison, request):
    """The portal for somebody else and for nobody."""
    other, nobody = signed_in(maison, address=OTHERS), Browser(maison.http.app)
    fields = other.get("/me/requests").form("form", action="/me/sign-out")["fields"]
    for browser in (other, nobody):
        for name in ROUTES:
            yield from told(f"portal {name}", browser.get(f"/me{name}").answer)
        for path, more in (
            ("/me/package", {"request": request.name}), ("/package", {"code": word()}),
            ("/me/sign-in", {"brand": "aurelle", "address": f"{word()}@x.example"}), ("/me/code", {"code": word()}),
        ):  # fmt: skip
            yield from told(path, browser.http.post(path, data=fields | more, headers=HEADERS))


def written_down(maison):
    """Prints of every report, entries as they are and as a SIEM is told, and the tables of sessions and letters."""
    actor, now = by_officer("compliance-1").actor, maison.clock.now()
    for name, of in catalog.DEFINITIONS.items():
        about = {"system": "aurelle-pos"} if "system" in of.knows else {}
        asked = Asked(max(0, now - of.days * 86_400), now + 1, **about)
        yield from printed(pdf.of_report(running.run(maison.vault, name, asked, actor), language("fr")))
    with maison.vault.reading() as conn:
        for record in ledger.read(conn, 0, 0, 10_000):
            yield "entry", record.body
            event = event_of(maison.vault.origin, record)
            yield from ((f"siem {form}", shape.line(event)) for form, shape in SHAPES.items())
        for table in inspect(conn).get_table_names():
            if any(part in table for part in ("session", "letter", "request", "identity", "package")):
                rows = conn.execute(text(f'SELECT * FROM "{table}"')).all()  # noqa: S608 - names of our own tables
                yield table, repr(rows)


@pytest.mark.timeout(600)
def test_no_page_file_or_header_tells_who_somebody_is(maison, prey, capfdbinary):
    me = signed_in(maison, address=HERS)
    me.submit("/me/ask/access", words=f"please, {word()}")
    with maison.vault.reading() as conn:
        (request,) = records.listed(conn, records.Wanted())
    hunter = Hunter(HIDDEN)
    assert hunter.hunt(seen_by_officers(maison, request, prey)) == []
    assert hunter.hunt(seen_by_others(maison, request)) == []
    assert hunter.hunt(written_down(maison)) == []
    printed_lines = capfdbinary.readouterr()
    assert hunter.hunt([("output", printed_lines.out), ("errors", printed_lines.err)]) == []
    assert hunter.searched > 1_000_000
    assert seen_in_package(maison, me, request) != []  # the values were there: her own package has them


def seen_in_package(maison, me, request):
    with zipfile.ZipFile(io.BytesIO(package_of(maison, me, request))) as package:
        return Hunter(HIDDEN).hunt([("package.html", package.read("package.html"))])
