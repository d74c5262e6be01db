"""The counter: a link gives its package out once; every other way to ask for it gives nothing, alike, and is in the log."""

import io
import re
import zipfile
from concurrent.futures import ThreadPoolExecutor

import pytest
from console_browser import PUBLIC, Browser
from joserfc import jwe
from joserfc.jwk import OKPKey
from policy_officers import AUTHOR
from sqlalchemy import text

from api import roots
from api.console.attempts import MOST_TRIES, WINDOW_SECONDS
from api.pages.render import HEADERS
from policies.rights import Assurance, Right
from vault.erasure import requests as erasures
from vault.erasure.requests import Erase
from vault.requests import delivering, handling, intake
from vault.requests.content import Content
from vault.requests.records import Source
from vault.requests.states import Move
from vault.requests.steps import by_officer
from vault.store.tables import metadata
from vault.unit import execute

EMPTY = Content()
HERE = {"Origin": PUBLIC, "Sec-Fetch-Site": "same-origin"}


@pytest.fixture
def desk(maison, officers, reference):
    return Desk(maison, officers, reference)


class Desk:
    """An officer who prepares packages of the person and makes links."""

    def __init__(self, maison, officers, reference):
        self.maison, self.vault, self.reference = maison, maison.vault, reference
        self.by = by_officer(AUTHOR, officers.signing(AUTHOR))
        self.browser = Browser(maison.http.app)

    def ready(self, right=Right.ACCESS, content=EMPTY):
        ask = intake.Ask(self.reference, "aurelle", right, self.by, Source.OFFICER, Assurance.DOCUMENT, content=content)
        (made,) = execute(self.vault, intake.received, [ask])
        for move in (Move.COLLECT, Move.REVIEW):
            handling.advance(self.vault, made.id, move, self.by)
        return delivering.prepare(self.vault, made.id, self.by)

    def link(self, *given, **more):
        return delivering.link(self.vault, self.ready(*given, **more).id, self.by)

    def come(self, code, headers=HERE):
        return self.browser.http.post("/package", data={"code": code}, headers=headers)

    def acts(self, act):
        return [each.read for each in self.maison.entries() if each.act == act]


def is_package(answer):
    return answer.content[:2] == b"PK" or answer.headers["content-type"] in {"application/zip", "application/jose"}


def test_a_link_gives_the_package_out_once_and_is_on_record(desk):
    request = desk.ready()
    secret = delivering.link(desk.vault, request.id, desk.by)
    answer = desk.come(f" {secret[:20]}\n{secret[20:]} ")  # as it is copied out of a letter
    assert (answer.status_code, answer.headers["content-type"]) == (200, "application/zip")
    assert answer.headers["content-disposition"] == f'attachment; filename="{request.name}.zip"'
    assert answer.headers["cache-control"] == "no-store"
    with zipfile.ZipFile(io.BytesIO(answer.content)) as package:
        assert package.testzip() is None
        assert any(b"Rousselin" in package.read(name) for name in package.namelist())
    exported = desk.acts("subject.exported")
    assert {(each["out"], "sref" in each) for each in exported} == {("allow", True)}
    again = desk.come(secret)
    assert (again.status_code, is_package(again)) == (403, False)
    assert desk.acts("subject.exported") == exported


def test_to_open_the_page_uses_nothing_up_and_nothing_of_the_link_is_in_an_address(desk):
    """A mail program that follows links ahead of its reader asks for `/package`: what is behind the # stays with it."""
    secret = desk.link()
    for _ in range(3):
        page = desk.browser.get("/package")
        assert page.status == 200
        assert secret not in page.answer.text
        for name, value in HEADERS.items():
            assert page.answer.headers[name] == value
    for answer in (desk.browser.get(f"/package?code={secret}"), desk.browser.get(f"/package/{secret}")):
        assert not is_package(answer.answer)
    assert is_package(desk.come(secret))


def test_of_a_link_only_a_hash_is_kept(desk):
    secret = desk.link()
    with desk.vault.reading() as conn:
        for table in metadata.sorted_tables:
            for row in conn.execute(table.select()):
                assert not [each for each in row if each == secret or each == secret.encode()], table.name
    assert re.fullmatch(r"[\w-]{43}", secret)  # 256 bits
    assert secret not in repr(desk.maison.entries())


def test_every_wrong_way_is_answered_alike_and_is_in_the_log(desk, clock):
    request = desk.ready()
    used = delivering.link(desk.vault, request.id, desk.by)
    assert is_package(desk.come(used))
    replaced, late = (delivering.link(desk.vault, request.id, desk.by) for _ in range(2))
    exported = desk.acts("subject.exported")
    clock.advance(delivering.GOOD_FOR)
    codes = (used, replaced, late, late[:-1], "A" * 43, "", "x" * 10_000, "'; DROP TABLE package_link; --", "é")
    seen = set()
    for code in codes:
        answer = desk.come(code)
        assert not is_package(answer)
        seen.add((answer.status_code, re.sub(r"Request [0-9a-f]{32}", "", answer.text)))
    assert len(seen) == 1
    assert seen.pop()[0] == 403
    refused = desk.acts("auth.failed")
    assert {tuple(each["pol"]) for each in refused} == {("auth.link",)}
    assert len(refused) == len(codes)
    assert desk.acts("subject.exported") == exported


def test_whoever_was_erased_meanwhile_is_not_handed_out(desk):
    secret = desk.link()
    subject = erasures.behind(desk.vault, "aurelle", desk.reference)
    erasures.erase(desk.vault, [Erase(subject, desk.by.actor)])
    answer = desk.come(secret)
    assert (answer.status_code, is_package(answer)) == (403, False)
    assert desk.acts("subject.exported") == []


def test_a_request_that_ended_or_was_taken_back_gives_nothing(desk):
    request = desk.ready()
    secret = delivering.link(desk.vault, request.id, desk.by)
    handling.advance(desk.vault, request.id, Move.WITHDRAW, desk.by)
    assert desk.come(secret).status_code == 403
    assert desk.acts("subject.exported") == []


def test_it_is_sealed_where_the_person_gave_a_key(desk):
    key = OKPKey.generate_key("X25519")
    request = desk.ready(content=Content(key=key.as_dict(private=False)))
    answer = desk.come(delivering.link(desk.vault, request.id, desk.by))
    assert answer.headers["content-disposition"] == f'attachment; filename="{request.name}.jwe"'
    assert b"Rousselin" not in answer.content
    opened = jwe.decrypt_compact(answer.content, key, algorithms=["ECDH-ES+A256KW", "A256GCM"])
    assert opened.plaintext[:2] == b"PK"


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "https://evil.example", "Sec-Fetch-Site": "cross-site"},
        {"Origin": PUBLIC, "Sec-Fetch-Site": "cross-site"},
        {"Origin": None, "Sec-Fetch-Site": None},
    ],
)
def test_a_form_from_elsewhere_uses_nothing_up(desk, headers):
    secret = desk.link()
    answer = desk.come(secret, {name: value for name, value in headers.items() if value})
    assert (answer.status_code, is_package(answer)) == (403, False)
    assert is_package(desk.come(secret))


def test_an_address_may_try_so_often_and_no_more(desk, clock):
    secret = desk.link()
    for _ in range(MOST_TRIES):
        assert desk.come("A" * 43).status_code == 403
    assert desk.come(secret).status_code == 429
    clock.advance(WINDOW_SECONDS)
    assert is_package(desk.come(secret))


def test_two_who_come_at_once_get_it_once(desk):
    """The row of the link is taken under a lock: what a first hand took is not there for a second."""
    secret = desk.link()
    with ThreadPoolExecutor(2) as pool:
        answers = list(
            pool.map(
                lambda _: Browser(desk.maison.http.app).http.post("/package", data={"code": secret}, headers=HERE),
                range(2),
            )
        )
    assert sorted(each.status_code for each in answers) == [200, 403]


def test_a_sealed_vault_gives_nothing_and_uses_nothing_up(desk):
    secret, services = desk.link(), desk.maison.http.app.state.services
    roots.seal_mark(services.settings).set()
    services.sealing.look()
    answer = desk.come(secret)
    assert (answer.status_code, is_package(answer)) == (503, False)
    with desk.vault.reading() as conn:
        assert conn.execute(text("SELECT count(*) FROM package_link WHERE used_at IS NULL")).scalar() == 1


def test_it_speaks_both_languages_and_is_the_only_page_there(desk):
    french = Browser(desk.maison.http.app, "fr").get("/package")
    assert '<html lang="fr">' in french.answer.text
    assert (
        desk.browser.get("/package/language?to=fr&next=https://evil.example").answer.headers["location"] == "/package"
    )
    assert desk.browser.get("/package/static/nothing.js").status == 404
    assert desk.browser.get("/package/static/pages.css").status == 200
    assert desk.browser.http.put("/package").status_code == 405
