"""The blast radius: whom a leaked credential saw, by country and level, with the clock of Art. 33 and a draft."""

import hashlib

import pytest
from maison_people import AURELLE, FIELDS, VANTIER, rows
from report_scene import OPERATOR, told

from audit.entry import Act, Asker, Outcome
from audit.reports.lines import told as written
from vault import systems
from vault.errors import InvalidReport
from vault.reports import people
from vault.store.tables import metadata

HOUR = 3_600


def seen(*fields):
    return {"fld": fields, "pur": "clienteling.in_store", "bas": "consent", "pol": ("store.contact",)}


@pytest.fixture
def leaked(reporting):
    """Six people of France and one of Japan, looked at by a system; a seventh of France that nobody looked at."""
    reporting.system("aurelle-pos")
    reporting.system("aurelle-crm")
    reporting.french = [reporting.person(FIELDS | {"client_number": f"AU-1{place}"}) for place in range(7)]
    reporting.abroad = reporting.person(FIELDS | {"client_number": "AU-2"}, region="jp")
    reporting.clock.advance(HOUR)
    reporting.since = reporting.clock.now()
    for who in reporting.french[:6]:
        reporting.did("aurelle-pos", whom=who, times=2, **seen("phone:masked"))
    reporting.did("aurelle-pos", whom=reporting.abroad, **seen("phone:raw", "ring_size:raw"))
    reporting.did("aurelle-crm", whom=reporting.french[6], **seen("phone:raw"))
    return reporting


def run(scene, **more):
    return scene.run("blast_radius", since=scene.since, system="aurelle-pos", **more)


def test_people_are_found_by_country_and_level_and_few_are_not_told(leaked):
    report = run(leaked)
    france, japan = told(report)
    assert (france["country"], france["people"], france["people_masked"], france["people_raw"]) == ("fr", 6, 6, 0)
    assert france["disclosures"] == 12
    assert (japan["country"], japan["people"], japan["people_raw"]) == ("jp", "<5", "<5")
    totals = dict(report.body.totals)
    assert totals["people"] == ">=6"
    assert (totals["records_given_out"], totals["records_with_raw_values"], totals["fields"]) == (13, "<5", 2)


def test_only_that_system_and_only_since_that_moment(leaked):
    report = leaked.run("blast_radius", since=leaked.since + 1, system="aurelle-pos")
    assert dict(report.body.totals)["records_given_out"] == 0
    other = leaked.run("blast_radius", since=leaked.since, system="aurelle-crm")
    assert dict(other.body.totals)["records_given_out"] == "<5"


def test_without_a_system_or_for_an_unknown_one_there_is_no_radius(leaked):
    for more in ({}, {"system": "nobody"}):
        with pytest.raises(InvalidReport):
            leaked.run("blast_radius", **more)


def test_the_clock_runs_from_the_entry_that_stopped_the_system(leaked):
    unknown = dict(run(leaked).body.totals)
    assert (unknown["system"], unknown["hours_left"]) == ("active", 72)
    assert any("STILL ACTIVE" in each for each, _ in run(leaked).body.notes)
    leaked.clock.advance(10 * HOUR)
    stopped = leaked.clock.now()
    with leaked.vault.unit() as uow:
        systems.disable(uow, "aurelle-pos", OPERATOR)
        uow.commit()
    leaked.clock.advance(5 * HOUR + 1)
    report = run(leaked)
    totals = dict(report.body.totals)
    assert (totals["system"], totals["known_since"]) == ("disabled", written(stopped))
    assert (totals["notify_by"], totals["hours_left"]) == (written(stopped + 72 * HOUR), 66)
    leaked.clock.advance(100 * HOUR)
    assert dict(run(leaked).body.totals)["hours_left"] == 0


def test_the_draft_says_what_article_33_asks_for_and_names_nobody(leaked):
    notes = [each for each, _ in run(leaked).body.notes]
    for part in ("33(3)(a)", "33(3)(b)", "33(3)(c)", "33(3)(d)"):
        assert [each for each in notes if part in each], part
    text = " ".join(notes)
    assert "privacy@aurelle.example" in text
    assert "contact, measurements" in text
    for who in (*leaked.french, leaked.abroad):
        assert who.references[AURELLE] not in text


def test_who_was_erased_since_is_not_found_and_is_counted(leaked):
    subject = leaked.abroad.subject
    rows(leaked.vault, "DELETE FROM relation WHERE subject_id = ?", subject)
    report = run(leaked)
    assert [row["country"] for row in told(report)] == ["fr"]
    assert dict(report.body.totals)["people_not_found_any_more"] == "<5"


def test_too_much_work_is_not_begun_and_the_bounds_are_told(leaked):
    leaked.sign()
    entries = [people.Unresolved(place, bytes(16), bytes(32)) for place in range(10)]
    with leaked.vault.reading() as conn:

        def log_keys(brand, subjects):
            return people.log_keys(conn, leaked.vault.keys, brand, subjects)

        found = people.resolve(conn, log_keys, AURELLE, entries, most=79)
        assert (found.exact, found.people, found.known) == (False, (), 8)
        found = people.resolve(conn, log_keys, AURELLE, entries, most=80)
        assert (found.exact, found.people, found.unmatched) == (True, (), 10)
        assert people.resolve(conn, log_keys, VANTIER, entries).known == 0


def test_searches_refusals_and_what_was_usual_are_counted_beside(leaked):
    leaked.did("aurelle-pos", act=Act.SUBJECT_SEARCHED, times=7, fld=("phone",), n=1)
    leaked.did("aurelle-pos", act=Act.FIELD_DENIED, out=Outcome.DENY, times=6, **seen("advisor_notes:raw"))
    totals = dict(run(leaked).body.totals)
    assert (totals["searches"], totals["refused"], totals["fullest_hour_looks"]) == (7, 6, 13)
    assert totals["fullest_hour_usually"] == 0
    assert (totals["tokens_dead"], totals["tokens_alive"]) == (0, 0)


LEAKED, NARROWED, OTHER = (hashlib.sha256(each).digest() for each in (b"leaked", b"narrowed", b"other"))


def token_row(scene, token, system, parent=None):
    row = {
        "hash": token, "kind": "disclosure", "system_id": system, "system_epoch": 1, "jkt": "k" * 43, "scope": "",
        "purpose": "clienteling.in_store", "detail": "", "policy_hash": bytes(32), "issued_at": scene.clock.now(),
        "expires_at": scene.clock.now() + HOUR, "revoked": False, "parent": parent, "actors": "", "x5t": "",
    }  # fmt: skip
    with scene.vault.unit() as uow:
        uow.conn.execute(metadata.tables["access_token"].insert(), [row])
        uow.commit()


def by(token):
    return {"asker": Asker(AURELLE, token=token)}


def test_of_one_leaked_token_only_what_was_seen_with_it_and_below_it_counts(leaked):
    token_row(leaked, LEAKED, "aurelle-pos")
    token_row(leaked, NARROWED, "aurelle-crm", parent=LEAKED)
    for who in leaked.french[:5]:
        leaked.did("aurelle-pos", whom=who, **seen("phone:masked"), **by(LEAKED))
    leaked.did("aurelle-crm", whom=leaked.french[5], **seen("phone:masked"), **by(NARROWED))
    leaked.did("aurelle-crm", whom=leaked.abroad, **seen("phone:raw"), **by(OTHER))
    report = leaked.run("blast_radius", since=leaked.since, token=LEAKED.hex())
    (row,) = told(report)
    assert (row["country"], row["people"], row["disclosures"], row["people_raw"]) == ("fr", 6, 6, 0)
    totals = dict(report.body.totals)
    assert (totals["records_given_out"], totals["tokens_alive"]) == (6, 2)
    assert "searches" not in totals
    assert any("a token of aurelle-pos" in each for each, _ in report.body.notes)


def test_a_token_that_is_swept_is_still_told_by_its_hash_and_its_system(leaked):
    leaked.did("aurelle-pos", whom=leaked.abroad, **seen("phone:raw"), **by(OTHER))
    with pytest.raises(InvalidReport):
        leaked.run("blast_radius", since=leaked.since, token=OTHER.hex())
    (row,) = told(run(leaked, token=OTHER.hex()))
    assert (row["country"], row["people"]) == ("jp", "<5")


def test_an_erased_person_is_not_told_by_a_token(leaked):
    leaked.did("aurelle-pos", whom=leaked.abroad, **seen("phone:raw"), **by(OTHER))
    rows(leaked.vault, "DELETE FROM relation WHERE subject_id = ?", leaked.abroad.subject)
    assert told(run(leaked, token=OTHER.hex())) == []


def test_the_draft_is_signed_in_french_too_with_what_was_counted(leaked):
    report = run(leaked)
    english, french = zip(*report.body.notes, strict=True)
    assert (report.content["notes"], report.content["notes_fr"]) == (list(english), list(french))
    (nature,) = [each for each in french if "nature de la violation" in each]
    assert "personnes concernées\u00a0: au moins 6\u00a0; nombre d’enregistrements\u00a0: 13" in nature
    assert "valeurs en clair\u00a0: moins de 5" in nature
    assert "Coordonnées" in nature and "contact, " not in nature
    assert any("ENCORE ACTIF" in each for each in french)
    for who in (*leaked.french, leaked.abroad):
        assert who.references[AURELLE] not in " ".join(french)
