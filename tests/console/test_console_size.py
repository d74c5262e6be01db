"""Pages of a large house: what a page asks of the database does not grow with what there is to show, and lists are leafed through."""

import re
import threading
from contextlib import contextmanager

import pytest
from busy_group import higher
from console_browser import vouch
from policy_officers import AUTHOR, Officers
from sqlalchemy import event, text

from policies.levels import Level
from policies.model import Wanted as Field
from policies.rights import Right
from vault import budgetraises, officers
from vault.governance import breakglass
from vault.governance.cases import Asked
from vault.reports import runs, saved
from vault.requests import intake, records
from vault.requests.content import Content
from vault.requests.records import Source
from vault.requests.steps import by_officer
from vault.store.bulk import insert_rows
from vault.store.tables import Officer, SubjectRequest, System, metadata
from vault.unit import execute

PATHS = (
    "", "/requests", "/requests?show=all", "/systems", "/systems/aurelle-pos", "/purposes", "/consents", "/policy", "/log",
    "/reports", "/erasures", "/alerts", "/budgets", "/break-glass", "/officers",
)  # fmt: skip


@contextmanager
def counted(vault):
    """Count the statements that pages send to the database; the jobs of the server have threads of their own."""
    seen = []

    def note(conn, cursor, statement, *_):
        if threading.current_thread().name.startswith("AnyIO"):
            seen.append(statement)

    event.listen(vault.engine, "before_cursor_execute", note)
    try:
        yield seen
    finally:
        event.remove(vault.engine, "before_cursor_execute", note)


def row_of(vault, table, **where):
    with vault.reading() as conn:
        found = conn.execute(metadata.tables[table].select().filter_by(**where).limit(1)).mappings().one()
    return dict(found)


class House:
    """Grows: so many more requests, officers, systems, raises, emergencies, kept filters and reports."""

    def __init__(self, maison, reference):
        self.maison, self.vault, self.reference = maison, maison.vault, reference
        self.signing, self.count = Officers(self.vault), 0
        self.request = row_of(self.vault, "subject_request")

    def grow(self, many):
        vault, sign = self.vault, self.signing.signing(AUTHOR)
        names = range(self.count, self.count + many)
        system = row_of(vault, "system", id="aurelle-pos")
        with vault.unit() as uow:
            insert_rows(uow.conn, SubjectRequest, [
                self.request | {"id": each.to_bytes(16), "due_at": self.request["due_at"] + each % 7} for each in names
            ])  # fmt: skip
            insert_rows(uow.conn, Officer, [
                {"id": f"o.{each}", "role": "auditor", "status": "active", "password_hash": "", "created_at": uow.now} for each in names
            ])  # fmt: skip
            insert_rows(uow.conn, System, [system | {"id": f"till-{each}"} for each in names])
            uow.commit()
        for _ in names[:8]:
            budgetraises.propose(vault, "aurelle-pos", higher(vault, "aurelle-pos"), 3600, AUTHOR, sign)
            asked = Asked(
                "aurelle", self.reference, (Field("phone", Level.RAW),), AUTHOR, 15, "A reason of twenty letters."
            )
            breakglass.ask(vault, asked, AUTHOR, sign)
            kept = saved.save(vault, saved.NewSaved("weekly", "access", 7, {}, 0), by_officer(AUTHOR).actor)
            runs.queue(vault, "access", saved.asked_of(kept, self.maison.clock.now()), by_officer(AUTHOR).actor)
        self.count += many
        vouch(self.maison)


@pytest.fixture
def house(maison, life, pos):
    asker = by_officer("nobody")
    ask = intake.Ask(life, "aurelle", Right.ACCESS, asker, Source.OFFICER, content=Content("words"))
    execute(maison.vault, intake.received, [ask])
    return House(maison, life)


def test_what_a_page_asks_the_database_does_not_grow_with_what_it_shows(maison, house, signed_in):
    officer = signed_in("compliance", officer_id="claire")
    house.grow(3)
    before = {}
    for path in PATHS:
        with counted(maison.vault) as seen:
            assert officer.get(f"/console{path}").status == 200, path
        before[path] = len(seen)
    house.grow(60)
    for path in PATHS:
        with counted(maison.vault) as seen:
            assert officer.get(f"/console{path}").status == 200, path
        assert len(seen) <= before[path] + 4, (path, before[path], len(seen))


def test_the_register_is_leafed_through_in_the_order_of_what_is_due(maison, house, signed_in):
    officer = signed_in("compliance", officer_id="claire")
    house.grow(120)
    path, seen, pages = "/console/requests?show=all&right=access", [], 0
    while path:
        page = officer.get(path)
        found = [each.rpartition("/")[2] for each in page.links if re.search(r"/requests/[0-9a-f]{32}$", each)]
        assert len(found) <= 50
        seen, pages = seen + found, pages + 1
        (path,) = [each for each in page.links if "after=" in each][:1] or [""]
        if path:
            assert "right=access" in path  # the filter goes along
            assert "show=all" in path
    assert (pages, len(seen), len(set(seen))) == (3, 121, 121)
    with maison.vault.reading() as conn:
        due = {each.name: each.due_at for each in records.listed(conn, records.Wanted())}
    assert [due[each] for each in seen] == sorted(due.values())
    for query, some in (
        ("right=erasure", False),
        ("brand=aurelle", True),
        ("brand=other", False),
        ("state=closed", False),
    ):
        found = officer.get(f"/console/requests?{query}")
        assert any(re.search(r"/requests/[0-9a-f]{32}$", each) for each in found.links) == some, query
    for wrong in ("right=x", "state=x", "after=x", "after=1.zz", "after=1", "brand=<b>", f"after=0.x.{'0' * 32}"):
        assert officer.get(f"/console/requests?{wrong}").status == 400, wrong


def test_the_first_page_counts_all_that_is_due_and_what_is_paused_by_its_own_clock(maison, house, signed_in):
    house.grow(700)  # more than the register shows at once
    vault, now, rights = maison.vault, maison.clock.now(), maison.vault.bundle.rights
    with vault.reading() as conn:
        every = records.listed(conn, records.Wanted(open_only=True, most=10_000))
        week = max(each.due_at for each in every) + 1
        assert records.due(conn, rights, now, week) == (701, 0)
        assert records.due(conn, rights, week, week) == (701, 701)
        assert records.due(conn, rights, now, now) == (0, 0)
    with vault.engine.begin() as conn:
        halted = text(
            "UPDATE subject_request SET paused_at = :now WHERE id IN (SELECT id FROM subject_request LIMIT 3)"
        )
        conn.execute(halted, {"now": now})
    later = week - 3600
    with vault.reading() as conn:
        every = records.listed(conn, records.Wanted(open_only=True, most=10_000))
        ends = [each.due(rights, later) for each in every]
        assert max(ends) > week  # what is paused is due later
        assert records.due(conn, rights, later, week) == (
            sum(each < week for each in ends),
            sum(each < later for each in ends),
        )
    maison.clock.advance(later - now)
    assert f"{sum(each < later + 7 * 86_400 for each in ends)}" in signed_in("compliance").get("/console").text


def test_officers_are_leafed_through_and_nobodys_name_is_in_an_address(maison, house, signed_in):
    officer = signed_in("auditor", officer_id="claire")
    house.grow(120)
    for wrong in ("x", "-1", "1.5", "<b>", "9" * 16):
        assert officer.get(f"/console/officers?after={wrong}").status == 400, wrong
    path, seen, pages = "/console/officers", [], 0
    while path:
        assert re.fullmatch(r"/console/officers(\?after=[0-9]+)?", path)
        page = officer.get(path)
        found = re.findall(r'<th scope="row">([a-z0-9._-]+)', page.answer.text)
        assert 0 < len(found) <= 50
        assert ("From the beginning" in page.text) == (pages > 0)
        seen, pages = seen + found, pages + 1
        (path,) = [each for each in page.links if "after=" in each][:1] or [""]
    with maison.vault.reading() as conn:
        assert seen == [each.id for each in officers.listed(conn)]
    assert pages == 3
    assert officer.get("/console/officers?after=100000").status == 200
