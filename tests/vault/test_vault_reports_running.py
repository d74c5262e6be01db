"""Running a report: in the log before it is told, up to a signed checkpoint, signed itself, and never half filtered."""

import json

import pytest
from maison_people import AURELLE, VANTIER, rows
from report_scene import DPO, told
from sqlalchemy import select, update

from audit import ledger
from audit.entry import Act, Asker, Outcome, decode
from audit.errors import InvalidEntry, UnknownLog, VerificationError
from audit.note import vkey
from audit.reports import document
from audit.reports.asked import Asked
from audit.reports.lines import vouched
from audit.tables import LogEntry
from vault import systems
from vault.errors import InvalidReport, UnknownReference, UnknownReport
from vault.keys.service import SigningKey
from vault.reports import catalog, running
from vault.reports.view import View
from vault.staff import staff_told

DISCLOSED = {"fld": ("phone:masked",), "pur": "clienteling.in_store", "bas": "consent", "pol": ("store.contact",)}
REFUSED = {"act": Act.FIELD_DENIED, "out": Outcome.DENY, "fld": ("advisor_notes:raw",), "pol": ("floor.minor",)}


def last_entry(vault):
    with vault.reading() as conn:
        size = ledger.head(conn, 0).size
        return decode(ledger.read(conn, 0, size - 1, 1)[0].body)


def test_what_is_no_report_is_refused_and_leaves_nothing(reporting):
    who = reporting.person()
    before = rows(reporting.vault, "SELECT size FROM log_head")
    with pytest.raises(UnknownReport):
        reporting.run("nothing")
    with pytest.raises(InvalidReport):
        reporting.run("transfers", brand=AURELLE, reference=who.references[AURELLE])
    with pytest.raises(InvalidReport):
        reporting.run("access", reference=who.references[AURELLE])
    with pytest.raises(UnknownReference):
        reporting.run("access", brand=VANTIER, reference=who.references[AURELLE])
    assert rows(reporting.vault, "SELECT size FROM log_head") == before


def test_a_run_is_an_entry_that_says_who_ran_what_and_by_which_filter(reporting):
    report = reporting.run("refusals", brand=AURELLE)
    entry = last_entry(reporting.vault)
    assert (entry["act"], entry["actor"], entry["n"]) == ("audit.viewed", {"id": DPO.id, "k": "officer"}, 0)
    assert "report:refusals" in entry["pol"]
    again = reporting.run("refusals", brand=VANTIER)
    assert report.signature != again.signature
    assert last_entry(reporting.vault)["pol"] != entry["pol"]


def test_no_entry_no_report(reporting):
    reporting.sign()
    rows(reporting.vault, "DELETE FROM log_head")
    with pytest.raises(UnknownLog):
        reporting.run("access", sign=False)


def test_a_report_goes_as_far_as_its_checkpoint_and_no_further(reporting):
    who = reporting.person()
    reporting.system("aurelle-crm")
    reporting.did("aurelle-crm", whom=who, **DISCLOSED)
    nothing_signed = reporting.run("access", sign=False)
    assert (nothing_signed.body.rows, nothing_signed.upto[0].size) == ((), 0)
    reporting.sign()
    reporting.did("aurelle-crm", whom=who, **DISCLOSED)
    report = reporting.run("access", sign=False)
    (row,) = told(report)
    assert row["index"] < report.upto[0].size
    assert len(told(reporting.run("access"))) == 2


def test_the_signed_note_holds_for_both_forms_and_for_no_other_report(reporting):
    reporting.system("aurelle-crm")
    reporting.did("aurelle-crm", times=6, **REFUSED)
    report, other = reporting.run("refusals"), reporting.run("access")
    keys = [vkey(running.report_key_name(reporting.vault), reporting.vault.keys.public_key(SigningKey.RECEIPT))]
    origin = reporting.vault.origin
    for form in (document.to_json, document.to_csv):
        assert document.verify(report.signature, form(report), keys, origin) == "refusals"
        with pytest.raises(VerificationError):
            document.verify(report.signature, form(other), keys, origin)
    content = json.loads(document.to_json(report))["content"]
    assert content["policies"] == reporting.vault.bundle.hash.hex()
    assert content["filter"].keys() == {"since", "until"}


def test_refusals_are_counted_by_rule_the_most_frequent_first(reporting):
    reporting.system("aurelle-crm")
    reporting.system("vantier-pos", VANTIER)
    reporting.did("aurelle-crm", times=7, **REFUSED)
    reporting.clock.advance(60)
    reporting.did("vantier-pos", times=3, act=Act.TOKEN_REFUSED, out=Outcome.DENY, pol=("token.expired", "case:1"))
    reporting.did("vantier-pos", act=Act.AUTH_FAILED, out=Outcome.DENY, pol=("auth.expired", "auth.counted"), n=40)
    report = reporting.run("refusals")
    found = told(report)
    assert [(row["rule"], row["actor"], row["brand"], row["refusals"]) for row in found] == [
        ("auth.expired", "vantier-pos", VANTIER, 40),
        ("floor.minor", "aurelle-crm", AURELLE, 7),
        ("token.expired", "vantier-pos", VANTIER, "<5"),
    ]
    assert dict(report.body.totals) == {"refusals": ">=47"}
    assert [row["rule"] for row in reporting.rows("refusals", brand=AURELLE)] == ["floor.minor"]
    assert reporting.rows("refusals", system="nobody") == []


def test_a_period_begins_in_it_and_ends_before_its_end(reporting):
    reporting.system("aurelle-crm")
    for _ in range(5):
        reporting.did("aurelle-crm", **REFUSED)
        reporting.clock.advance(100)
    start = reporting.start
    assert len(reporting.rows("access", since=start + 100, until=start + 300)) == 2
    assert len(reporting.rows("access", since=start + 100, until=start + 301)) == 3
    assert reporting.rows("access", since=start + 401, until=start + 10_000) == []


def test_access_of_one_person_is_all_of_theirs_and_nothing_else(reporting):
    her, him = reporting.person(), reporting.person()
    reporting.system("aurelle-crm")
    reporting.did("aurelle-crm", whom=her, times=3, **DISCLOSED)
    reporting.did("aurelle-crm", whom=him, times=2, **DISCLOSED)
    reporting.did("aurelle-crm", times=2, **REFUSED)
    hers = reporting.rows("access", brand=AURELLE, reference=her.references[AURELLE])
    assert [row["act"] for row in hers] == ["field.disclosed"] * 3
    assert len({row["subject"] for row in hers}) == 3
    # That somebody looked at her list is about her too.
    entry = last_entry(reporting.vault)
    assert "sref" in entry
    assert her.references[AURELLE] not in str(entry)
    every = reporting.rows("access")
    assert len(every) == 7
    assert every[0]["fields"] == ("phone:masked",)
    assert every[0]["rules"] == ("store.contact",)


def test_rows_are_bounded_and_the_rest_is_counted(reporting):
    reporting.system("aurelle-crm")
    reporting.did("aurelle-crm", times=12, **REFUSED)
    report = reporting.run("access", most=5)
    assert (len(report.body.rows), report.body.more) == (5, 7)
    assert dict(report.body.totals) == {"deny": 12}


def test_who_writes_while_a_report_is_read_does_not_wait_and_is_not_in_it(reporting):
    vault = reporting.vault
    reporting.system("aurelle-crm")
    reporting.did("aurelle-crm", **REFUSED)
    reporting.sign()
    asked = Asked(reporting.start, reporting.clock.now() + 1)
    with vault.reading() as conn:
        register = {each.id: each for each in systems.listed(conn)}
        view = View(vault, conn, asked, vouched(conn), register, reporting.clock.now())
        reporting.did("aurelle-crm", times=4, **REFUSED)
        reporting.sign()
        assert len(catalog.DEFINITIONS["access"].query(view).rows) == 1
    assert len(reporting.rows("access")) == 5


def test_access_tells_staff_by_a_keyed_hash_and_filters_by_it(reporting):
    reporting.system("aurelle-pos")
    word, other = (staff_told(reporting.vault.keys, AURELLE, each) for each in ("adv-1", "adv-2"))
    for who in (word, word, other):
        reporting.did("aurelle-pos", asker=Asker(AURELLE, bytes.fromhex(who)), fld=("phone:masked",))
    reporting.did("aurelle-pos", fld=("phone:masked",))
    assert [row["staff"] for row in reporting.rows("access")] == [word, word, other, ""]
    assert [row["staff"] for row in reporting.rows("access", brand=AURELLE, staff=word)] == [word, word]
    with pytest.raises(InvalidReport):
        reporting.run("transfers", staff=word)
    for wrong in ("adv-1", word.upper(), word[:-1]):
        with pytest.raises(ValueError, match="32 hex"):
            reporting.run("access", staff=wrong)


def test_refusals_are_counted_of_one_member_of_staff_and_of_one_person(reporting):
    reporting.system("aurelle-pos")
    one, two = reporting.person(), reporting.person()
    word, other = (staff_told(reporting.vault.keys, AURELLE, each) for each in ("adv-1", "adv-2"))
    for whom, who, times in ((one, word, 5), (one, other, 6), (two, word, 7)):
        reporting.did("aurelle-pos", whom=whom, times=times, asker=Asker(AURELLE, bytes.fromhex(who)), **REFUSED)
    reporting.did("aurelle-pos", times=9, **REFUSED)

    def counted(**more):
        return [row["refusals"] for row in reporting.rows("refusals", brand=AURELLE, **more)]

    assert counted() == [27]
    assert counted(staff=word) == [12]
    assert counted(reference=one.references[AURELLE]) == [11]
    assert counted(reference=one.references[AURELLE], staff=word) == [5]
    assert counted(staff="ab" * 16) == []
    assert reporting.rows("refusals", brand=VANTIER, staff=word) == []  # a word of one brand is nobody at another
    with pytest.raises(UnknownReference):
        reporting.run("refusals", brand=VANTIER, reference=one.references[AURELLE])
    last = last_entry(reporting.vault)
    assert word not in str(last)
    assert one.references[AURELLE] not in str(last)


def test_an_entry_that_is_not_what_its_leaf_hash_stands_for_makes_no_report(reporting):
    """Also one that the report would have passed over: refusals are counted past what was let through."""
    reporting.system("aurelle-pos")
    reporting.did("aurelle-pos", times=3, fld=("phone:masked",))
    reporting.did("aurelle-pos", act=Act.FIELD_DENIED, out=Outcome.DENY, times=6, pol=("store.contact",))
    assert reporting.rows("refusals")[0]["refusals"] == 6
    entries = LogEntry.__table__
    with reporting.vault.engine.begin() as conn:
        (body,) = [row.body for row in conn.execute(select(entries)) if b'"field.disclosed"' in bytes(row.body)][:1]
        changed = bytes(body).replace(b"phone:masked", b"phone:maske_")
        conn.execute(update(entries).where(entries.c.body == body).values(body=changed))
    with pytest.raises(InvalidEntry):
        reporting.rows("refusals")
