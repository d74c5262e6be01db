"""Ages and terms that laws set, with their dates; parties; and what a bundle may not say about either."""

import datetime as dt

import pytest

from policies.bundle import LAW, PARTIES, PURPOSES, parse_bundle
from policies.decision import decide
from policies.errors import InvalidBundle
from policies.law import ADULT_AGE, Law, LogRule, ProspectRule, SuppressionRule
from policies.model import ConsentStatus, Level
from policies.purposes import GROUP_SHARING
from policies.succession import succession_findings

TODAY = dt.date(2026, 9, 21)


@pytest.mark.parametrize(
    ("places", "on", "age"),
    [
        (("fr", "eu"), TODAY, 18),
        (("kr", "kr"), TODAY, 19),
        (("jp", "jp"), TODAY, 18),
        (("jp", "jp"), dt.date(2022, 3, 31), 20),
        (("jp", "jp"), dt.date(2022, 4, 1), 18),
        (("kr", "kr"), dt.date(2013, 6, 30), 18),
    ],
)
def test_the_age_is_the_one_of_the_place_and_day(maisons, places, on, age):
    assert maisons.law.age_of_majority(places, on) == age


def test_without_a_file_the_codes_own_age_holds(shipped_files):
    files = {name: content for name, content in shipped_files.items() if name not in {LAW, PARTIES}}
    bundle = parse_bundle("bare", files)
    assert bundle.law == Law()
    assert bundle.law.age_of_majority(("kr",), TODAY) == ADULT_AGE
    assert bundle.law.prospect_rule(TODAY) is None
    assert bundle.parties.named("aurelle").name == "aurelle"


def test_a_party_outside_the_eea_says_on_what_ground_it_is_given_data(maisons, shipped_files):
    assert (maisons.parties.named("vantier").is_outside, maisons.parties.named("vantier").safeguard) == (
        True,
        "adequacy",
    )
    assert not maisons.parties.named("solenne").is_outside
    assert maisons.parties.named("a-stranger").is_outside  # of an unknown country nothing is supposed
    said = 'safeguard = "clauses"\nassessment = "TIA-2026/3"\nassessed = 2026-03-02'
    text = shipped_files[PARTIES].decode().replace('safeguard = "adequacy"', said)
    vantier = parse_bundle("m", shipped_files | {PARTIES: text.encode()}).parties.named("vantier")
    assert (vantier.safeguard, vantier.assessment, vantier.assessed) == ("clauses", "TIA-2026/3", "2026-03-02")


def test_a_rule_on_prospects_holds_from_its_day(maisons):
    assert maisons.law.prospect_rule(dt.date(2005, 6, 9)) is None
    assert maisons.law.prospect_rule(TODAY).days == 1095
    later = Law((), (*maisons.law.prospects, ProspectRule(730, dt.date(2027, 1, 1), ("purchases",), "")))
    assert [later.prospect_rule(day).days for day in (TODAY, dt.date(2027, 1, 1))] == [1095, 730]


def test_a_rule_on_the_suppression_list_holds_from_its_day(maisons):
    assert maisons.law.suppression_rule(dt.date(2018, 5, 24)) is None
    later = Law((), (), (*maisons.law.suppressions, SuppressionRule(30, dt.date(2027, 1, 1), "")))
    assert [later.suppression_rule(day).days for day in (TODAY, dt.date(2027, 1, 1))] == [1095, 30]


def test_a_rule_on_the_log_holds_from_its_day_and_without_one_it_is_kept_for_ever(maisons):
    assert maisons.law.log_rule(dt.date(2021, 10, 13)) is None
    later = Law(logs=(*maisons.law.logs, LogRule(24, dt.date(2027, 1, 1), "")))
    assert [later.log_rule(day).months for day in (TODAY, dt.date(2027, 1, 1))] == [12, 24]
    assert Law().log_rule(TODAY) is None


@pytest.mark.parametrize(
    ("path", "old", "new", "finding"),
    [
        (LAW, "age = 19", "age = 13", "`age` must be between 16 and 21"),
        (LAW, "age = 19", 'age = "19"', "`age` must be given as int"),
        (LAW, "since = 2022-04-01", "since = 1896-04-27", "two rules begin on one day"),
        (LAW, 'region = "kr"', 'region = "Korea!"', "`region` is a region"),
        (LAW, "days = 1095", "days = 0", "`days` must be at least 1"),
        (LAW, 'client_categories = ["purchases", "service"]', "client_categories = []", "names categories"),
        (LAW, "[[prospects]]", "[[suspects]]", "unknown key `suspects`"),
        (LAW, "days = 1095\nsince = 2018-05-25", "days = 0\nsince = 2018-05-25", "`days` must be at least 1"),
        (LAW, "since = 2018-05-25", 'since = "2018-05-25"', "`since` must be given as date"),
        (
            LAW,
            "[[suppression]]",
            "[[suppression]]\ndays = 9\nsince = 2018-05-25\nsource = ''\n\n[[suppression]]",
            "two rules",
        ),
        (LAW, "months = 12", "months = 5", "`months` must be between 6 and 36"),
        (LAW, "months = 12", "months = 37", "`months` must be between 6 and 36"),
        (
            LAW,
            "[[log]]",
            "[[log]]\nmonths = 9\nsince = 2021-10-14\nsource = ''\n\n[[log]]",
            "two rules begin on one day",
        ),
        (PARTIES, 'storage = ["FR"]', 'storage = "FR"', "`storage` is a list of countries"),
        (PARTIES, 'contact = "privacy@aurelle.example"\n', "", "`contact` must be given as str"),
        (PARTIES, 'type = "controller"', 'type = "friend"', "`type` must be one of"),
        (PARTIES, 'country = "IT"', 'country = "Italy"', "two capital letters"),
        (PARTIES, 'safeguard = "adequacy"', 'safeguard = "trust"', "`safeguard` must be one of"),
        (PARTIES, 'safeguard = "adequacy"', "safeguard = 1", "`safeguard` must be given as str"),
        (PARTIES, 'safeguard = "adequacy"', 'assessment = "TIA-7"', "go together"),
        (PARTIES, 'safeguard = "adequacy"', "assessed = 2026-03-02", "go together"),
        (PARTIES, 'safeguard = "adequacy"', 'assessment = "T A"\nassessed = 2026-03-02', "is a reference"),
        (PURPOSES, 'channel = "email"', 'channel = "name"', "`channel` names a list field with a search index"),
        (PURPOSES, 'notice = "hospitality"', 'notice = "hospitality"\nnotice_from = 2', "newer than the newest"),
        (PURPOSES, 'notice = "hospitality"', 'notice = "hospitality"\nnotice_from = 0', "must be at least 1"),
        (PURPOSES, 'recipients = ["aurelle", "solenne", "vantier"]', "recipients = []", "names its `recipients`"),
        (PURPOSES, 'recipients = ["aurelle", "solenne", "vantier"]', 'recipients = ["A B"]', "in small letters"),
    ],
)
def test_faulty_files_are_refused_with_the_place(shipped_files, path, old, new, finding):
    text = shipped_files[path].decode()
    assert old in text
    with pytest.raises(InvalidBundle) as refused:
        parse_bundle("faulty", shipped_files | {path: text.replace(old, new, 1).encode()})
    assert any(finding in each for each in refused.value.findings), refused.value.findings


def test_a_maison_not_named_is_given_nothing_of_the_others(maisons, question):
    consents = {
        "clienteling": ConsentStatus.GIVEN,
        "clienteling.in_store": ConsentStatus.GIVEN,
        GROUP_SHARING: ConsentStatus.GIVEN,
    }
    shared = {
        brand: decide(
            question("clienteling.in_store", ("ring_size", "raw"), consents=consents, brand=brand), maisons
        ).group_values
        for brand in ("aurelle", "newcomer")
    }
    assert shared == {"aurelle": True, "newcomer": False}


def test_no_file_gives_an_address_out_under_a_channel(shipped_files, question):
    text = shipped_files[PURPOSES].decode().replace('contact = "predicate"', 'contact = "raw"')
    rules = b'@id("all") @title("all") @basis("none") permit (principal, action, resource);'
    bundle = parse_bundle("open", shipped_files | {PURPOSES: text.encode(), "access.cedar": rules})
    consents = {"marketing.email": ConsentStatus.GIVEN}
    answers = decide(question("marketing.email", ("email", "raw"), ("phone", "raw"), consents=consents), bundle).answers
    assert [each.granted for each in answers] == [Level.PRESENCE, Level.RAW]


@pytest.mark.parametrize("purpose", ["marketing.email", "marketing.events", "marketing.post"])
def test_no_guardian_opens_marketing_for_a_minor(maisons, question, purpose):
    consents = {purpose: ConsentStatus.GUARDED}
    wanted = ("preferred_language", "presence")
    refused = decide(question(purpose, wanted, consents=consents, minor=True), maisons).answers[0]
    assert refused.policies == ("floor.minor",)
    assert refused.told == ()
    assert decide(question(purpose, wanted, consents={purpose: ConsentStatus.GIVEN}), maisons).answers[0].granted


def test_what_is_marketing_is_known_by_three_signs(maisons):
    purposes = maisons.purposes
    told = {each.key for each in purposes.every if purposes.is_marketing(each.key)}
    assert told == {"marketing", "marketing.email", "marketing.post", "marketing.events"}


def test_a_published_notice_is_neither_edited_nor_taken_away(maisons, shipped_files):
    shown = "notices/marketing_email.1.en.md"
    text = shipped_files[shown]
    newer = {f"notices/marketing_email.2.{each}.md": text for each in ("en", "fr")}
    edited = parse_bundle("edited", shipped_files | {shown: text + b"\n"})
    assert succession_findings(maisons, edited) == (f"{shown}: was shown to people; another text is another version",)
    gone = {name: each for name, each in (shipped_files | newer).items() if "marketing_email.1" not in name}
    assert f"{shown}: was shown to people and stays" in succession_findings(maisons, parse_bundle("gone", gone))
    assert succession_findings(maisons, parse_bundle("newer", shipped_files | newer)) == ()
