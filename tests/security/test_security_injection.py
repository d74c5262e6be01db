"""What somebody wrote, on every page: text that stays text, whoever wrote it and whoever reads it.

The texts are found and not listed: every field of the catalogue that takes such a text, by asking the validator; every
field of every form of the pages, by reading them.
"""

import ast
import io
import re
import zipfile
from html.parser import HTMLParser
from pathlib import Path

import pytest
from canary_hunter import WORD
from canary_paths import everything
from console_browser import Browser, add_officer, set_up
from maison_callers import CONSENT, PUBLIC
from policy_officers import AUTHOR, Officers
from portal_visitor import ADDRESS, package_of, signed_in

from api.console.site import PAGES
from api.pages.render import FILES, FOLDERS
from api.portal.site import ROUTES
from policies.errors import PolicyError
from policies.fieldtypes import validate
from policies.levels import Level
from policies.model import Wanted
from vault import evidence
from vault.governance import breakglass
from vault.governance.cases import Asked
from vault.reports.catalog import DEFINITIONS
from vault.requests import handling, records
from vault.requests.steps import by_officer
from vault.signin import passkeys

ROOT = Path(__file__).parents[2]
EVIL = "\"'><x-evil onclick=e()><script>e()</script><img src=x onerror=e()>{{9**9}}"
HERE = {"Origin": PUBLIC, "Sec-Fetch-Site": "same-origin"}
PRODUCT = ("api", "vault", "audit", "policies")


class Markup(HTMLParser):
    """What a page would do: its elements, the handlers on them, its scripts, and its text."""

    def __init__(self, html):
        super().__init__()
        self.found, self.words = [], []
        self.feed(html)

    def handle_starttag(self, tag, attributes):
        told = dict(attributes)
        handlers = [name for name in told if name.startswith("on")]
        inline = tag == "script" and not str(told.get("src", "")).startswith(
            ("/console/static/", "/me/static/", "/package/")
        )
        foreign = tag in {"x-evil", "iframe", "object", "embed", "base"} or told.get("src") == "x"
        address = str(told.get("href", "") or told.get("action", "") or "").strip().lower()
        if handlers or inline or foreign or address.startswith(("javascript:", "data:", "vbscript:", "//")):
            self.found.append((tag, attributes))

    def handle_data(self, data):
        self.words.append(data)


def harmless(html):
    page = Markup(html)
    assert page.found == []
    assert str(9**9) not in " ".join(page.words)
    return " ".join(page.words)


def places(value, at=()):
    """Where in a value a text stands that a canary was put into."""
    if isinstance(value, dict):
        for name, each in value.items():
            yield from places(each, (*at, name))
    elif isinstance(value, list):
        for index, each in enumerate(value):
            yield from places(each, (*at, index))
    elif isinstance(value, str) and WORD in value.lower():
        yield at


def with_text(value, at, text):
    if not at:
        return text
    if isinstance(value, dict):
        return value | {at[0]: with_text(value[at[0]], at[1:], text)}
    return [with_text(each, at[1:], text) if index == at[0] else each for index, each in enumerate(value)]


def takes(field, value):
    for each in value if isinstance(value, list) else [value]:
        held = each["value"] if isinstance(each, dict) and "valid_from" in each else each
        try:
            validate(field, held)
        except PolicyError:
            return False
    return True


def wicked(catalogue):
    """A person whose every text that may be free is the evil one; and how many there are."""
    found, count = {}, 0
    for name, value in everything().items():
        field = catalogue.field(name)
        for at in list(places(value)):
            changed = with_text(value, at, EVIL)
            if takes(field, changed):
                value, count = changed, count + 1  # noqa: PLW2901 - the same value, worse
        found[name] = value
    return found | {"email": [ADDRESS], "client_number": "AU-0042"}, count


@pytest.fixture
def person(maison, pos):
    fields, count = wicked(maison.vault.bundle.catalogue)
    assert count >= 20
    reference = pos.created(fields, CONSENT)
    pos.disclose(pos.granted(reference, ("phone", "masked"), max_uses=5))
    evidence.sign_checkpoints(maison.vault, maison.http.app.state.services.settings.checkpoint_file)
    return reference


def officer_of(maison, role):
    browser = Browser(maison.http.app)
    browser.authenticator = set_up(browser, add_officer(maison.vault, f"{role}-1", role), maison.clock)
    with maison.vault.unit() as uow:
        passkeys.add(uow, f"{role}-1", f"id-{role}".encode(), b"key", 0, EVIL)
        uow.commit()
    return browser


def console_paths(**places):
    for page in PAGES:
        if page.get is not None and not page.path.startswith("/sign"):
            names = re.findall(r"{(\w+)}", page.path)
            kinds = places.get(page.path, []) if names else [""]
            yield from (f"/console{page.path}" if not each else f"/console{page.path.replace('{' + names[0] + '}', each)}" for each in kinds)  # fmt: skip


def fill(browser, page, path):
    """Send each form of a page with the evil text in every field that a hand can fill; yield the answers."""
    for form in page.forms:
        if form["action"] in {"/console/sign-out", "/me/sign-out"}:
            continue
        free = {
            name: EVIL for name in form["fields"] if name not in {"form", "step", "thing", "next", "request", "right"}
        }
        yield browser.post(form["action"] or path, form["fields"] | free)


def test_nothing_that_was_written_becomes_markup_on_any_page(maison, person):
    claire, ines, me = officer_of(maison, "compliance"), officer_of(maison, "approver"), signed_in(maison)
    assert me.submit("/me/ask/access", words=EVIL).status in {200, 303}
    with maison.vault.reading() as conn:
        (request,) = records.listed(conn, records.Wanted())
    signing = Officers(maison.vault)
    case = breakglass.ask(
        maison.vault, Asked("aurelle", person, (Wanted("phone", Level.RAW),), AUTHOR, 15, EVIL), AUTHOR, signing.signing(AUTHOR)
    )  # fmt: skip
    handling.annotate(maison.vault, request.id, EVIL, by_officer("compliance-1"))
    filled = {
        "/requests/{id}": [f"{request.name}?tab={tab}" for tab in ("summary", "identity", "work", "answer", "steps")],
        "/systems/{id}": ["aurelle-pos"], "/policy/{number}": ["1"], "/log/{index}": ["0", "5"],
        "/reports/{name}": list(DEFINITIONS), "/reports/{name}/files": ["access"], "/break-glass/{id}": [case.name],
    }  # fmt: skip
    opened = claire.post(f"/console/requests/{request.name}", {"step": "open", "form": csrf_of(claire)})
    assert harmless(opened.answer.text).count("x-evil") >= 2  # the words and the note, as words
    assert "x-evil" in harmless(claire.get("/console/account").answer.text)
    seen, sent = 0, 0
    for browser in (claire, ines):
        for path in console_paths(**filled):
            page = browser.get(path)
            harmless(page.answer.text)
            seen += page.status == 200
            if browser is claire and page.status == 200 and "/account" not in path:
                for answer in fill(browser, page, path):
                    harmless(answer.answer.text)
                    sent += 1
    assert seen > 50
    assert sent > 20
    for name, (_, get, _) in ROUTES.items():
        if get is not None:
            page = me.get(f"/me{name}")
            harmless(page.answer.text)
            for answer in fill(me, page, f"/me{name}"):
                harmless(answer.answer.text)


def csrf_of(browser):
    return re.search(r'name="form" value="([0-9a-f]+)"', browser.get("/console/account").answer.text)[1]


def test_nothing_that_was_written_becomes_markup_or_a_path_in_a_package(maison, person):
    me = signed_in(maison)
    me.submit("/me/ask/access", words=EVIL)
    with maison.vault.reading() as conn:
        (request,) = records.listed(conn, records.Wanted())
    with zipfile.ZipFile(io.BytesIO(package_of(maison, me, request))) as package:
        names = package.namelist()
        assert all(re.fullmatch(r"(?:[a-z0-9_]+/)?[A-Za-z0-9_.]+", name) and ".." not in name for name in names)
        html = package.read("package.html").decode()
        tables = [package.read(name).decode() for name in names if name.endswith(".csv")]
    assert harmless(html).count("x-evil") > 10
    assert "&lt;x-evil" in html
    for table in tables:
        assert not re.search(r'(?:^|,)"?[=+\-@\t\r]', table.replace("\r\n", "\n"), re.MULTILINE), table[:200]


def test_our_scripts_make_no_markup():
    """Nor do they keep anything, ask another host, or take messages from one."""
    scripts = [path.read_text() for path in FILES.glob("*.js")]
    assert scripts
    told = "innerHTML|outerHTML|insertAdjacentHTML|document.write|eval|Function|setTimeout|localStorage|sessionStorage"
    told += '|indexedDB|postMessage|addEventListener\\("message|fetch|XMLHttpRequest|WebSocket|__proto__|import\\('
    assert [each for script in scripts for each in re.findall(rf"\b(?:{told})", script)] == []


def test_templates_escape_and_hold_no_script():
    texts = {path.name: path.read_text() for folder in FOLDERS for path in folder.glob("*.html")}
    assert len(texts) > 30
    # A report that leaves the house as a file brings our own style sheet along; nothing else is within it.
    assert texts["report_file.html"].count("<style>{{ style }}</style>") == 1
    texts["report_file.html"] = texts["report_file.html"].replace("<style>{{ style }}</style>", "")
    for name, text in texts.items():
        assert not re.search(r"\|\s*safe\b|autoescape\s+false|Markup\(|style=|<style|javascript:|\son[a-z]+=", text), (
            name
        )
        assert not re.search(r"<script(?![^>]*\ssrc=)", text), name


def test_passwords_are_masked_and_may_be_pasted(maison):
    """And a way out is on every page; there is no question instead of a password."""
    code = add_officer(maison.vault, "claire", "compliance")
    browser = Browser(maison.http.app)
    text = browser.get("/console/sign-in").answer.text
    (field,) = re.findall(r"<input[^>]*name=\"password\"[^>]*>", text)
    assert 'type="password"' in field
    assert 'autocomplete="current-password"' in field
    assert "onpaste" not in text
    browser.authenticator = set_up(browser, code, maison.clock)
    for path in ("", "/requests", "/log", "/account", "/nowhere"):
        assert any(each["action"] == "/console/sign-out" for each in browser.get(f"/console{path}").forms), path


def test_one_writer_makes_every_table_and_every_archive():
    """Cells that a spreadsheet would run are made text in one place: nobody writes a table beside it."""
    tables, archives = set(), set()
    for path in (each for part in PRODUCT for each in (ROOT / part).rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Attribute) and node.attr in {"writer", "DictWriter"}:
                tables.add(path.relative_to(ROOT).as_posix())
            if isinstance(node, ast.Attribute) and node.attr in {"ZipInfo", "ZipFile", "TarInfo"}:
                archives.add(path.relative_to(ROOT).as_posix())
    assert tables == {"audit/spreadsheet.py"}
    archives -= {"audit/archive.py", "audit/packagecheck.py"}  # these read: whoever verifies an archive
    archives -= {"api/bundles.py"}  # and this: what an officer brings to the console
    assert archives == {"api/packages/archive.py"}
