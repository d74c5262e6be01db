"""The canary hunt through the portal's flows: what a person made of canaries does there, and what officers answer.

A value may be in the body of an answer that is made to show it to its very person, or to the officer who opened what they
wrote. A secret may be in the letter or on the page that hands it over, once. Both are nowhere else: not in addresses, headers,
cookies, names and metadata of files, letters, logs, the log that outsiders read, tables, files, temporary files.
Mutants that leak are caught.
"""

import io
import re
import tempfile
from functools import partial

import pikepdf
import pytest
from canary_hunter import HIDDEN, Hunter, spellings
from erasure_scene import Scene
from letter_boxes import providing, serving
from maison_callers import ELSEWHERE, Maison, app_of
from portal_walk import Walk, archives
from print_reading import opened
from served_maison import pos
from sqlalchemy import inspect, text
from starlette.testclient import TestClient

from api import app as app_module
from api.observability.logs import Log
from api.packages import archive
from api.pages import render
from api.portal import door, proof, requests
from api.post import carrier
from audit import ledger

__all__ = ["pos", "providing", "serving"]

VALUES = Hunter(HIDDEN)


@pytest.fixture
def temporary(tmp_path, monkeypatch):
    """Where whatever makes a temporary file makes it."""
    place = tmp_path / "temporary"
    place.mkdir()
    monkeypatch.setenv("TMPDIR", str(place))
    monkeypatch.setattr(tempfile, "tempdir", str(place))
    return place


@pytest.fixture
def spoken(monkeypatch):
    """What the server writes to its log, to the last line that it writes when it ends."""
    lines = io.BytesIO()
    monkeypatch.setattr(app_module, "Log", partial(Log, stream=lines))
    return lines


@pytest.fixture
def maison(spoken, vault, tmp_path, clock):
    app = app_of(lambda _: vault, tmp_path, log_level="debug")
    with TestClient(app, base_url=ELSEWHERE, raise_server_exceptions=False) as http:
        yield Maison(http, vault, clock)


@pytest.fixture
def walk(maison, pos, serving, providing):
    return Walk(maison, pos, serving, providing)


def said(walk):
    """Addresses and headers of every answer, and the bodies of those that are not meant."""
    for each in walk.heard:
        yield f"address of {each.where}", each.address
        yield f"headers of {each.where}", repr([pair for pair in each.headers if pair[0].lower() != "set-cookie"])
        if not each.meant:
            yield each.where, each.body


def around(walk):
    """Of archives, meant or not: names of files, metadata of prints; of those that are not, what is in them."""
    for each in walk.heard:
        if each.header("content-type") != ["application/zip"]:
            continue
        for name, content in archives(each.body):
            yield f"name in {each.where}", name
            if not each.meant:
                yield f"{name} in {each.where}", content
            if name.endswith(".pdf"):
                yield from metadata(f"{name} in {each.where}", content)


def metadata(where, content):
    with opened(content) as document:
        yield f"info of {where}", str(document.docinfo)
        with document.open_metadata() as found:
            yield f"metadata of {where}", str(found)


def written_down(walk, tmp_path):
    """Letters, the log, every table, every file there is."""
    for to, told in walk.letters():
        assert to in ([walk.mail], [walk.mail.capitalize()], [walk.phone]) or len(to) == 1
        yield "letter", told
    yield "log of the carrier", walk.log.getvalue()
    with walk.vault.reading() as conn:
        yield from (("entry", each.body) for each in ledger.read(conn, 0, 0, 100_000))
        for table in inspect(conn).get_table_names():
            for row in conn.execute(text(f'SELECT * FROM "{table}"')):  # noqa: S608 - names of our own tables
                yield table, b"\0".join(each if isinstance(each, bytes) else str(each).encode() for each in row)
    for path in sorted(tmp_path.rglob("*")):
        yield "name of a file", str(path.relative_to(tmp_path))
        if path.is_file():
            yield str(path), path.read_bytes()


def everything_but_meant(walk, tmp_path, *more):
    return [*said(walk), *around(walk), *written_down(walk, tmp_path), *more]


def secrets_in(walk, things):
    """Where a secret is that should not be there; digits of a code count where they stand alone."""
    found = []
    for name, secret in walk.secrets.items():
        whole = re.compile(rb"(?<![0-9A-Za-z])" + re.escape(secret.encode()) + rb"(?![0-9A-Za-z])")
        for where, content in things:
            raw = content.encode("utf-8", "surrogateescape") if isinstance(content, str) else content
            hit = whole.search(raw) if secret.isdigit() else any(each in raw for each in spellings(secret))
            if hit and not handed_over(name, secret, where, raw):
                found.append((name, where))
    return found


def handed_over(name, secret, where, raw):
    """The letter that brings a code; the page that shows a link once, in full and in the field to copy from."""
    if name.startswith("code"):
        return where == "letter" and raw.count(secret.encode()) == 1
    if name == "link":
        return where.startswith("claire POST /console/requests/") and raw.count(secret.encode()) == 1
    # An authenticator's seed is shown where it is set up.
    return name.endswith(" seed") and where.endswith("GET /console/set-up 200")


def kept(walk):
    """Answers that a cache may keep."""
    return [each.where for each in walk.heard if each.header("cache-control") != ["no-store"]]


@pytest.mark.timeout(600)
def test_a_person_goes_through_the_portal_and_leaves_no_trace_of_who_they_are(
    walk, place, clock, tmp_path, temporary, spoken, capfdbinary
):
    walk.sign_in()
    walk.corrections()
    walk.texts()
    walk.words()
    walk.package()
    walk.whole_package()
    walk.receipts()
    walk.account()
    scene = Scene(walk.vault, place, tmp_path, clock)
    walk.erased(scene)
    scene.close()
    output = capfdbinary.readouterr()
    told = [("log", spoken.getvalue()), ("output", output.out), ("errors", output.err)]
    assert spoken.getvalue().count(b"http.request") > 150  # the server did say something
    things = everything_but_meant(walk, tmp_path, *told)
    assert VALUES.hunt(things) == []
    assert secrets_in(walk, things) == []
    assert kept(walk) == []
    assert list(temporary.iterdir()) == []
    assert sum(len(content) for _, content in things) > 2_000_000
    # The values and secrets were there: where they are meant they were found.
    shown = {each.where.split(" ")[0] for each in walk.heard if each.meant and VALUES.hunt([("", each.body)])}
    assert shown == {"me", "claire"}
    assert len([name for name in walk.secrets if name.startswith("code")]) == 2
    packed = [of for each in walk.heard if each.meant and each.body[:2] == b"PK" for of in archives(each.body)]
    found = {name for name, content in packed if VALUES.hunt([(name, content)])}
    assert {"answer.txt", "package.html", "data.json", "portable/data.json", "csv/purchases.csv"} <= found
    assert len([each for each in walk.heard if each.meant]) >= 12
    assert len(walk.heard) > 150


# ----------------------------------------------------------------------------------------------------------- mutants


def leaks_in_a_letter(walk, monkeypatch):
    honest = carrier.written
    monkeypatch.setattr(carrier, "written", lambda each, *of: (each.address, honest(each, *of)[1]))
    walk.sign_in()


def leaks_in_an_address(walk, monkeypatch):
    honest = door.elsewhere
    monkeypatch.setattr(door, "elsewhere", lambda path, *done: honest(f"{path}?of={walk.mail}", *done))
    walk.me.submit("/me/sign-in", brand="aurelle", address=walk.mail)


def leaks_in_the_metadata_of_a_print(walk, monkeypatch):
    honest = archive.paper_of

    def titled(document):
        with opened(honest(document)) as paper:
            paper.docinfo["/Author"] = walk.mail
            return _saved(paper)

    monkeypatch.setattr(archive, "paper_of", titled)
    walk.sign_in()
    walk.whole_package()


def leaks_in_the_name_of_a_file(walk, monkeypatch):
    honest = archive.zipped
    for module in (archive, proof):  # imported before it is put back: what takes the name from there keeps it for good
        monkeypatch.setattr(module, "zipped", lambda files: honest({**files, f"{walk.mail}.txt": b""}))
    walk.sign_in()
    walk.whole_package()


def leaks_a_code_into_a_temporary_file(walk, monkeypatch):
    honest = door.codes.check

    def careless(vault, handle, code):
        with tempfile.NamedTemporaryFile(delete=False) as file:
            file.write(code.encode())
        return honest(vault, handle, code)

    monkeypatch.setattr(door.codes, "check", careless)
    walk.sign_in()


def leaks_the_certificate_to_a_cache(walk, monkeypatch):
    monkeypatch.setattr(requests.render, "HEADERS", {**render.HEADERS, "Cache-Control": "private"})
    walk.me.get("/me/erased")


MUTANTS = [
    (leaks_in_a_letter, "letter"),
    (leaks_in_an_address, "headers of me"),
    (leaks_in_the_metadata_of_a_print, "info of package.pdf"),
    (leaks_in_the_name_of_a_file, "name in me POST /me/package"),
    (leaks_a_code_into_a_temporary_file, "/temporary/"),
    (leaks_the_certificate_to_a_cache, "me GET /me/erased"),
]


@pytest.mark.parametrize(("leaks", "where"), MUTANTS)
def test_a_mutant_that_leaks_is_caught(walk, tmp_path, temporary, monkeypatch, leaks, where):
    leaks(walk, monkeypatch)
    things = everything_but_meant(walk, tmp_path)
    found = [each.where for each in VALUES.hunt(things)]
    found += [each for _, each in secrets_in(walk, things)]
    assert [each for each in [*found, *kept(walk)] if where in each]


def _saved(paper: pikepdf.Pdf):
    out = io.BytesIO()
    paper.save(out)
    return out.getvalue()
