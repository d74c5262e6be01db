"""Reports in a reader's words: every name and code that a report can have, each in the language of who reads, and one way for all."""

import re
from dataclasses import replace

import pytest
from babel.messages.pofile import read_po

from api.pages import columns, terms
from api.pages.language import FOLDER, language
from api.pages.reported import TITLES, reported
from audit.entry import Act
from audit.entry import Outcome as Ended
from audit.reports import access, anomalies, refusals
from audit.reports.anomalies import Thresholds
from audit.reports.document import Report
from audit.reports.explained import explained
from audit.reports.lines import Vouched
from audit.reports.table import Body, Column, Kind
from policies.catalogue import Sensitivity
from policies.levels import Level
from policies.parties import Safeguard
from policies.purposes import Basis
from vault.governance.versions import State as VersionState
from vault.reports import (
    appendix,
    catalog,
    consents,
    dormant,
    leak,
    policychanges,
    processing,
    register,
    retention,
    transfers,
)
from vault.reports.notification import Leaked, notes_of
from vault.requests.records import Ground, Outcome, Right, Source, State
from vault.systems import SystemStatus

COLUMNS = (
    access.COLUMNS, anomalies.COLUMNS, refusals.COLUMNS, appendix.COLUMNS, consents.OF_PERSON, consents.OF_MANY, dormant.COLUMNS,
    leak.COLUMNS, policychanges.COLUMNS, processing.COLUMNS, register.COLUMNS, retention.COLUMNS, transfers.COLUMNS,
)  # fmt: skip
TOTALS = {
    "activities", "activities_used_and_not_declared", *Ended, "events", "open", "closed", "overdue", "median_days", "p90_days",
    *[f"outcome_{each or 'open'}" for each in Outcome], "people", "people_not_found_any_more", "records_given_out",
    "records_with_raw_values", "fields", "searches", "refused", "first_use", "last_use", "fullest_hour", "fullest_hour_looks",
    "fullest_hour_usually", "tokens_dead", "tokens_alive", "system", "known_since", "notify_by", "hours_left", "disclosures",
    "flows_without_ground", "due_now", "grants", "dormant_or_low", "refusals", *[f"given_out_{each}" for each in Level], "minors",
    "restricted", "systems", "policy_version", "last_deployment.backed_up", "last_deployment.restored", "last_keys.epoch_ended",
    "policy.proposed", "policy.signed", "policy.refused", "policy.activated", "policy.changed", "policy.refused.turned_away",
    "high_highlights", "medium_highlights", "low_highlights",
}  # fmt: skip
CODES = [
    ("access", "act", Act), ("access", "outcome", Ended), ("access", "basis", set(Basis) - {Basis.HEADING}),
    ("anomalies", "severity", ("high", "medium", "low", "none")), ("anomalies", "rule", terms.ANOMALIES),
    ("dormant", "ceiling", Level), ("dormant", "proposal", ("close", "drop the purpose", *[f"lower to {each}" for each in Level])),
    ("dormant", "proposal", ("drop: no such purpose is in force",)), ("dpia", "sensitivity", Sensitivity),
    ("requests", "right", Right), ("requests", "state", State), ("requests", "ground", Ground), ("requests", "source", Source),
    ("requests", "outcome", set(Outcome) - {Outcome.OPEN}), ("policy_changes", "state", VersionState),
    ("policy_changes", "differences", ("none", "the first", "the stored bundle does not stand")),
    ("transfers", "safeguard", Safeguard), ("transfers", "way", ("own systems", "named recipient")),
    ("transfers", "country", ("unknown",)), ("processing", "role", ("controller", "processor", "third_party")),
    ("retention", "counts_from", ("last write",)), ("retention", "rule", ("1 days", "1095 days")), ("refusals", "rule", ("none named",)),
    ("blast_radius", "people", ("at most <5", "at most 800")), ("blast_radius", "people_not_found_any_more", ("not counted",)),
    ("blast_radius", "system", SystemStatus), ("requests", "median_days", ("too few",)), ("x", "x", (True, False)),
]  # fmt: skip
ALIKE = {"Volume", "Rectification"}  # spelt alike in both
FRENCH = language("fr")


@pytest.fixture(scope="module")
def catalogue():
    with (FOLDER / "fr.po").open("rb") as file:
        return {str(each.id): str(each.string) for each in read_po(file, locale="fr") if each.id}


EMPTY = Body((), (), 0)


def report(body=EMPTY, name="refusals", **more):
    upto = (Vouched(0, "vault.example/audit", 7000, b"\x05" * 32, "n"),)
    return replace(Report(name, "Why?", {"since": "2026-12-01T00:00:00Z"}, 1_796_083_200, "ab", upto, body), **more)


# --------------------------------------------------------------------------------------------------------------- words


def test_every_column_and_total_of_every_report_has_its_words_in_both_languages(catalogue):
    names = {each.name for of in COLUMNS for each in of if not each.name.endswith("_fr")} | TOTALS
    for name in sorted(names):
        english, french = (columns.column(language(tag), name) for tag in ("en", "fr"))
        act, colon, more = english.partition(": ")  # of an act, and when or how
        assert act in catalogue, name
        assert french == (catalogue[f"%(act)s: {more}"] % {"act": catalogue[act]} if colon else catalogue[act]), name


def test_one_name_may_stand_for_another_thing_in_another_report():
    assert [columns.column(FRENCH, "system", name) for name in ("blast_radius", "dormant")] == [
        "État du système",
        "Système",
    ]


def test_a_name_without_words_is_shown_as_it_is():
    assert columns.column(FRENCH, "surprise_of_tomorrow") == "surprise of tomorrow"
    assert columns.column(FRENCH, "last_surprise") == "last surprise"
    assert columns.cell(FRENCH, "access", "outcome", "perhaps") == "perhaps"
    assert columns.cell(FRENCH, "access", "actor", "at most 5") == "at most 5"  # a system may be called anything
    assert columns.cell(FRENCH, "access", "actor", "none") == "none"


@pytest.mark.parametrize(("name", "column", "codes"), CODES)
def test_every_code_in_a_cell_is_said_in_both_languages(name, column, codes):
    for code in codes:
        value = code if isinstance(code, bool) else str(code)
        english, french = (columns.cell(language(tag), name, column, value) for tag in ("en", "fr"))
        assert english
        assert "_" not in english + french
        assert english != french or english in ALIKE, (column, code)


def test_cells_are_written_as_their_kind_is():
    for column, value, said in (
        ("index", 12345, "12\u202f345"), ("notice_as_shown", True, "oui"), ("notice_as_shown", False, "non"),
        ("time", "2026-12-01T00:00:00Z", "1er déc. 2026, 00:00:00 UTC"), ("time", "", ""), ("people", "<5", "<5"),
        ("fields", ("phone:masked", "email:raw"), "phone:masked, email:raw"), ("level", "raw", "en entier"),
        ("act", "field.disclosed", "Champs communiqués"), ("outcome", "deny", "refusé"), ("ceiling", "masked", "masqué"),
    ):  # fmt: skip
        assert columns.cell(FRENCH, "access", column, value) == said, column
    assert columns.cell(FRENCH, "retention", "law", "L123-22 (3650 days)") == "L123-22 (3\u202f650 jours)"


def test_every_report_has_a_title_and_asks_its_question_in_both_languages(catalogue):
    assert set(TITLES) == set(catalog.DEFINITIONS)
    for each in TITLES.values():
        assert catalogue[each.title]
        assert catalogue[each.question]


def test_every_word_of_the_filter_has_its_words(catalogue):
    known = {"since", "until", "upto"} | {word for each in catalog.DEFINITIONS.values() for word in each.knows}
    assert set(columns.FILTER) == known
    assert columns.asked(FRENCH, "since", "2026-12-01T00:00:00Z") == ("Depuis", "1er déc. 2026, 00:00:00 UTC")
    assert columns.asked(FRENCH, "brand", "aurelle") == ("Maison", "aurelle")


# --------------------------------------------------------------------------------------------------------------- notes


def test_notes_are_read_in_the_readers_language_and_those_from_before_in_english():
    made = report(Body((), (), 0, notes=(("Read this.", "À lire."),)))
    assert [(each.spoken, each.notes) for each in (reported(made, language(tag), 9) for tag in ("en", "fr"))] == [
        ("en", ["Read this."]),
        ("fr", ["À lire."]),
    ]
    before = reported(report(Body((), (), 0, notes=(("Read this.", ""),)), in_french=False), FRENCH, 9)
    assert (before.spoken, before.notes, before.title) == ("en", ["Read this."], "Refus")


def test_of_two_columns_that_say_the_same_the_readers_is_shown():
    body = Body((Column("title"), Column("uses", Kind.COUNT), Column("title_fr")), (("Repair", 9, "Réparation"),), 0)
    made = {tag: reported(report(body, "processing"), language(tag), 9) for tag in ("en", "fr")}
    assert [made[tag].rows for tag in ("en", "fr")] == [[["Repair", "9"]], [["Réparation", "9"]]]
    assert [[name for name, _ in made[tag].columns] for tag in ("en", "fr")] == [["Title", "Uses"], ["Titre", "Usages"]]
    before = replace(body, columns=(Column("title"), Column("uses")), rows=(("Repair", 9),))
    assert reported(report(before, "processing"), FRENCH, 9).rows == [["Repair", "9"]]


def test_what_is_there_in_english_only_is_told_from_what_is_not():
    body = Body((Column("differences"),), (("none",), ("rule x: changed",), ("",)), 0)
    assert reported(report(body, "policy_changes"), FRENCH, 9).quoted == {"rule x: changed"}
    assert reported(report(body, "policy_changes"), FRENCH, 1).quoted == set()
    assert reported(report(body, "policy_changes"), language("en"), 9).quoted == set()


def test_what_a_version_changes_is_told_in_the_readers_language_where_it_is_signed_in_both():
    body = Body(
        (Column("differences"), Column("differences_fr")), (("rule x: changed", "règle x\u00a0: modification"),), 0
    )
    french, english = (reported(report(body, "policy_changes"), language(tag), 9) for tag in ("fr", "en"))
    assert (french.rows, french.quoted) == ([["règle x\u00a0: modification"]], set())
    assert (english.rows, english.quoted) == ([["rule x: changed"]], set())
    assert len(french.columns) == len(english.columns) == 1


def test_rows_beyond_what_is_shown_are_counted():
    body = Body((Column("uses"),), ((1,), (2,), (3,)), 40)
    made = reported(report(body), FRENCH, 2)
    assert (made.rows, made.beyond) == ([["1"], ["2"]], 1)
    assert {("Lignes", "43"), ("Lignes omises", "40")} <= set(made.facts)
    assert made.footer == f"vault.example/audit à 7\u202f000, racine {'05' * 32}"


UNSPACED = re.compile(r"[^\u00a0](?=[:;?!])(?!:\w)|'")  # but `phone:masked`
LEAK = Leaked(
    system="aurelle-pos", brand="aurelle", contact="dpo@aurelle.example", first="2026-12-01T00:00:00Z", last="2026-12-02T00:00:00Z",
    fields=("phone:masked", "ring_size:raw"), categories=(("contact", "Coordonnées"), ("measurements", "Mesures")), records=13,
    among=800, totals={"people": ">=6", "records_given_out": 13, "records_with_raw_values": "<5", "tokens_dead": 1, "tokens_alive": 2},
    known=True, by_token=False, exact=True, special=True, stopped=True,
)  # fmt: skip
OTHERWISE = replace(
    LEAK, contact="", fields=(), categories=(), known=False, by_token=True, exact=False, special=False, stopped=False,
    totals=LEAK.totals | {"people": "at most <5", "records_with_raw_values": 0},
)  # fmt: skip


def constant_notes():
    yield from (*appendix.SAFEGUARDS, *processing.MEASURES, register.LATE, retention.NOTE, consents.WITHDRAWAL)
    limits = {name: getattr(Thresholds(), name) for name in ("looks", "times", "refusals", "vain", "failed")}
    yield explained("note_usual", days=30)
    yield explained("note_limits", **limits)
    yield explained("note_bounds")
    for each in (LEAK, OTHERWISE, replace(LEAK, by_token=True)):
        yield from notes_of(each)


def test_notes_are_written_as_french_is():
    notes = list(constant_notes())
    assert len(notes) > 25
    for english, french in notes:
        assert french and french != english
        text = re.sub(r"\d{4}-\d\d-\d\dT[0-9:]+Z", "", french)
        assert not UNSPACED.search(text), french
        assert "\u00a0" not in english
    assert (
        UNSPACED.search("Mesures: aucune")
        and UNSPACED.search("l'heure")
        and not UNSPACED.search("Mesures\u00a0: phone:raw")
    )


def test_the_draft_to_the_authority_is_in_the_words_of_its_form():
    clock, people, nature, contact, consequences, measures = [french for _, french in notes_of(LEAK)]
    assert "72\u00a0heures" in clock and "prise de connaissance de la violation" in clock
    assert "effacées depuis" in people
    for part in (
        "nature de la violation de données à caractère personnel", "entre le 2026-12-01T00:00:00Z et le 2026-12-02T00:00:00Z",
        "le moyen d’accès du système aurelle-pos (aurelle)", "personnes concernées\u00a0: au moins 6", "enregistrements\u00a0: 13",
        "valeurs en clair\u00a0: moins de 5", "Coordonnées, Mesures", "phone:masked, ring_size:raw",
    ):  # fmt: skip
        assert part in nature
    assert contact.endswith("point de contact\u00a0: dpo@aurelle.example.")
    assert "conséquences probables" in consequences and "des valeurs en clair ont été communiquées" in consequences
    assert "relèvent en partie de catégories particulières (art.\u00a09)" in consequences
    assert (
        "mesures prises ou proposées" in measures and "désactivé" in measures and "encore valables\u00a0: 2" in measures
    )


def test_the_draft_says_otherwise_where_it_is_otherwise():
    clock, people, nature, contact, consequences, measures = [french for _, french in notes_of(OTHERWISE)]
    assert "aucune écriture n’en fait encore foi" in clock
    assert "13 parmi 800 personnes" in people and "jeton n’est pas distingué" in people
    assert "un jeton du système aurelle-pos" in nature and "concernées\u00a0: moins de 5" in nature
    assert "Catégories de données\u00a0: aucune. Champs\u00a0: aucun." in nature
    assert contact.endswith("à désigner.")
    assert "aucune valeur en clair" in consequences and "aucune donnée ne relève" in consequences
    assert "LE SYSTÈME EST ENCORE ACTIF" in measures
    many = replace(OTHERWISE, totals=OTHERWISE.totals | {"people": "at most 120"})
    assert "concernées\u00a0: au plus 120" in notes_of(many)[2][1]
    assert len(notes_of(replace(LEAK, by_token=True))) == 7


def test_a_highlight_of_no_single_entry_names_none():
    french = language("fr")
    assert columns.cell(french, "anomalies", "entry", -1) == "–"
    assert columns.cell(french, "anomalies", "entry", 1_234) == "1\u202f234"
