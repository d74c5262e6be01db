"""Reports over live tables: what is due, what was consented to, and what changed in the rules."""

import pytest
from maison_people import AURELLE, FIELDS, VANTIER, given, one, person, rows, take_in
from policy_officers import FILES, Officers, changed
from report_scene import told

from audit.entry import Act, Actor, ActorKind, Entry, Outcome
from vault.erasure import holds, retention
from vault.erasure.holds import HoldReason
from vault.erasure.keeping import DAY
from vault.errors import InvalidReport
from vault.reports import catalog

DPO = Actor(ActorKind.OFFICER, "m.lefevre")


def of(rows_, **wanted):
    (row,) = [each for each in rows_ if all(each[name] == value for name, value in wanted.items())]
    return row


# ------------------------------------------------------------------------------------------------------- retention


@pytest.fixture
def aged(reporting):
    """Seven people written in one moment, and the clock at the second at which contact details are over."""
    reporting.people = [reporting.person(FIELDS | {"client_number": f"AU-3{place}"}) for place in range(7)]
    reporting.over = reporting.start + reporting.vault.bundle.catalogue.category("contact").retention_days * DAY
    reporting.clock.seconds = reporting.over - 1
    return reporting


def test_nothing_is_due_a_second_before_and_all_of_it_then(aged):
    before = of(aged.rows("retention", since=0, until=aged.over + DAY), category="contact")
    assert (before["due_now"], before["due_until_end"], before["oldest_due"]) == (0, 7, "")
    aged.clock.seconds += 1
    due = of(aged.rows("retention", since=0), category="contact")
    assert (due["due_now"], due["due_until_end"], due["free_to_go"]) == (7, 0, 7)
    assert due["oldest_due"].startswith("20")


def test_the_report_counts_what_the_sweep_would_request(aged):
    aged.clock.seconds += 1
    swept = retention.sweep(aged.vault, DPO, dry_run=True)
    told_ = {row["category"]: row["due_now"] for row in aged.rows("retention", since=0)}
    assert told_ == {name: count if count >= 5 else "<5" for name, count in swept.over.items()}


def test_what_is_held_is_due_and_not_free_to_go(aged):
    aged.clock.seconds += 1
    for who in aged.people[:6]:
        holds.place(aged.vault, who.subject, HoldReason.LEGAL_CLAIM, DPO)
    due = of(aged.rows("retention", since=0), category="contact")
    assert (due["due_now"], due["held"], due["free_to_go"]) == (7, 6, "<5")


def test_retention_knows_no_filter(aged):
    for more in ({"brand": AURELLE}, {"system": "x"}, {"purpose": "x"}):
        with pytest.raises(InvalidReport):
            aged.run("retention", **more)


# -------------------------------------------------------------------------------------------------------- consents


def test_a_persons_consents_are_told_event_by_event_with_the_text_that_was_shown(reporting):
    who = one(take_in(reporting.vault, person(consents=[given()])))
    reporting.person(FIELDS | {"client_number": "AU-9"}, consents=[given()])
    report = reporting.run("consents", brand=AURELLE, reference=who.references[AURELLE])
    (event,) = told(report)
    assert (event["purpose"], event["state"], event["notice"]) == ("clienteling", "given", "clienteling.1.fr")
    assert event["notice_as_shown"] is True
    assert event["notice_hash"] == reporting.vault.bundle.notices["clienteling", 1, "fr"].hash.hex()
    assert "recomputed: 1 events" in report.body.notes[0][0]
    assert "nombre d’événements, 1," in report.body.notes[0][1]
    assert who.references[AURELLE] not in str(report.body)
    assert reporting.rows("consents", brand=AURELLE, reference=who.references[AURELLE], purpose="service") == []


def test_a_chain_that_was_touched_is_said_to_be_and_nothing_is_told_of_it(reporting):
    who = one(take_in(reporting.vault, person(consents=[given()])))
    rows(reporting.vault, "UPDATE consent_event SET channel = 'telephone'")
    report = reporting.run("consents", brand=AURELLE, reference=who.references[AURELLE])
    assert report.body.rows == ()
    assert "DOES NOT VERIFY" in report.body.notes[0][0]
    assert "N’EST PAS INTÈGRE" in report.body.notes[0][1]


def test_a_text_that_is_not_the_one_shown_is_told(reporting):
    reporting.person(consents=[given()])
    rows(reporting.vault, "UPDATE consent_event SET notice_hash = ?", b"\x00" * 32)
    (row,) = reporting.rows("consents")
    assert row["notice_as_shown"] is False


def test_a_campaign_is_counted_and_few_are_not_told(reporting):
    for place in range(6):
        reporting.person(FIELDS | {"client_number": f"AU-4{place}"}, consents=[given()])
    reporting.person({"client_number": "VA-1"}, brand=VANTIER, consents=[given()])
    found = reporting.rows("consents", purpose="clienteling")
    assert {row["brand"]: row["events"] for row in found} == {AURELLE: 6, VANTIER: "<5"}
    assert reporting.rows("consents", purpose="marketing") == []
    assert reporting.rows("consents", since=reporting.start + 1, until=reporting.start + 2) == []


# -------------------------------------------------------------------------------------------------- policy changes


def test_versions_are_told_with_who_signed_what_differs_and_what_turns(reporting):
    vault = reporting.vault
    reporting.system("aurelle-crm", purposes=("clienteling.in_store",))
    officers = Officers(vault)
    officers.adopt(FILES)
    said = {"pur": "clienteling.in_store", "bas": "consent", "pol": ("store.notes",)}
    reporting.did("aurelle-crm", times=8, fld=("advisor_notes:raw",), **said)
    reporting.did("aurelle-crm", times=8, fld=("phone:masked",), **said)
    reporting.clock.advance(DAY)
    officers.adopt(changed())
    found = told(report := reporting.run("policy_changes"))
    assert [row["version"] for row in found] == [1, 2]
    first, second = found
    assert (first["differences"], first["state"]) == ("the first", "retired")
    assert (second["author"], second["approver"], second["follows"]) == ("m.lefevre", "a.moreau", 1)
    assert "refuse.nobody_reads_notes" in second["differences"]
    assert first["differences_fr"] == "la première version"
    assert second["differences_fr"] == (
        "règle refuse.nobody_reads_notes\u00a0: ajout effet\u00a0: interdit titre\u00a0: Nobody reads notes this month "
        "fondement\u00a0: GDPR 5(1)(c) condition pour interdire\u00a0: la catégorie est «\u202fNotes et visites\u202f»"
    )
    assert (second["decisions_turned"], second["decisions_perhaps_turned"]) == (8, 0)
    assert dict(report.body.totals)["policy.activated"] == 2
    later = reporting.rows("policy_changes", since=reporting.start + 1)
    assert [row["version"] for row in later] == [1, 2]  # the first was retired in this time
    assert reporting.rows("policy_changes", since=reporting.clock.now() + 1, until=reporting.clock.now() + 2) == []


def test_what_was_turned_away_is_counted_and_a_damaged_version_is_said_to_be(reporting):
    officers = Officers(reporting.vault)
    officers.adopt(FILES)
    officers.adopt(changed())
    reporting.noted(Entry(Act.POLICY_REFUSED, Outcome.DENY, DPO, pol=("policy.not_signed", "version:2")))
    rows(reporting.vault, "UPDATE policy_version SET content = ? WHERE number = 2", b"")
    report = reporting.run("policy_changes")
    assert "not" in told(report)[1]["differences"]
    assert told(report)[1]["differences_fr"] == "ce qui en est conservé ne peut pas être lu"
    assert dict(report.body.totals)["policy.refused.turned_away"] == 1


# ------------------------------------------------------------------------------------------------------------- all


@pytest.mark.parametrize("name", sorted(catalog.DEFINITIONS))
def test_every_report_runs_on_an_empty_vault_and_on_one_with_people(reporting, name):
    more = {"system": "aurelle-crm"} if name == "blast_radius" else {}
    reporting.system("aurelle-crm")
    assert reporting.run(name, **more).body.columns
    reporting.person(consents=[given()])
    report = reporting.run(name, **more)
    names = [each.name for each in report.body.columns]
    assert len(set(names)) == len(names)
    assert all(len(row) == len(names) for row in report.body.rows)
    for english, french in report.body.notes:
        assert french and french != english, english
    assert len(report.content["notes"]) == len(report.content["notes_fr"]) == len(report.body.notes)
