"""Bulk and anomaly review: what is usual is not highlighted, what is not explains itself, and nothing counts people."""

from datetime import UTC, datetime

import pytest

from audit.entry import sref
from audit.pseudonym import veiled
from audit.reports import explained
from audit.reports.anomalies import BASELINE_DAYS, anomalies
from audit.reports.asked import Actors, Asked
from audit.reports.highlight import Beside, Leaving
from audit.reports.lines import Line

DAY, HOUR = 86_400, 3_600
START = 1_790_000_000 - 1_790_000_000 % DAY
ASKED = Asked(START, START + 7 * DAY)
NOTHING = Beside()
ACTORS = Actors({"aurelle-crm": "aurelle", "vantier-pos": "vantier"})


def at(seconds):
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


class Diary:
    def __init__(self):
        self.lines = []

    def wrote(self, when, act="field.disclosed", out="allow", actor="aurelle-crm", kind="system", times=1, **more):
        for place in range(times):
            content = {"act": act, "out": out, "actor": {"id": actor, "k": kind}, "t": at(when + place % 60), **more}
            self.lines.append(Line(0, len(self.lines), content))

    def usual(self, times=10, days=BASELINE_DAYS, **more):
        for day in range(days):
            self.wrote(START - (days - day) * DAY + 10 * HOUR, times=times, fld=("phone:masked",), **more)

    def report(self, asked=ASKED, beside=NOTHING):
        body = anomalies(self.lines, ACTORS, asked, beside)
        names = [each.name for each in body.columns]
        return [dict(zip(names, row, strict=True)) for row in body.rows]

    def rules(self, *given):
        return {row["rule"] for row in self.report(*given) if row["severity"] != "none"}

    def of(self, rule, *given):
        return [row for row in self.report(*given) if row["rule"] == rule]


@pytest.fixture
def diary():
    return Diary()


def test_nothing_seen_nothing_told(diary):
    assert diary.report() == []


def test_the_usual_is_told_as_usual(diary):
    diary.usual()
    diary.wrote(START + 10 * HOUR, times=12, fld=("phone:masked",))
    (row,) = diary.report()
    assert (row["severity"], row["rule"], row["seen"], row["usual"]) == ("none", "volume", 12, 10)


@pytest.mark.parametrize(("times", "high"), [(49, False), (50, True)])
def test_a_stranger_who_looks_a_lot_is_told_from_fifty_on(diary, times, high):
    diary.wrote(START + 10 * HOUR, times=times, fld=("phone:masked",))
    assert ("volume" in diary.rules()) is high


@pytest.mark.parametrize(("times", "high"), [(90, False), (91, True)])
def test_more_than_three_times_the_usual_hour_is_told_and_says_why(diary, times, high):
    diary.usual(times=30)
    diary.wrote(START + 10 * HOUR, times=times, fld=("phone:masked",))
    assert ("volume" in diary.rules()) is high
    if high:
        (row,) = [each for each in diary.report() if each["severity"] == "high"]
        assert "91 times in one hour" in row["why"]
        assert "30 at most" in row["why"]
        assert (row["brand"], row["actor"], row["when"]) == ("aurelle", "aurelle-crm", at(START + 10 * HOUR))


def test_a_small_usual_is_not_told_exactly(diary):
    diary.usual(times=2)
    diary.wrote(START + 10 * HOUR, times=60, fld=("phone:masked",))
    (row,) = [each for each in diary.report() if each["severity"] == "high"]
    assert row["usual"] == "<5"
    assert "<5 at most" in row["why"]


def test_a_field_never_seen_before_is_told_once_and_a_newcomers_are_not(diary):
    diary.wrote(START + HOUR * 9, actor="vantier-pos", fld=("advisor_notes:raw",))
    diary.usual()
    diary.wrote(START + HOUR * 9, times=3, fld=("phone:masked", "advisor_notes:raw"))
    (row,) = [each for each in diary.report() if each["rule"] == "new_field"]
    assert (row["actor"], row["severity"]) == ("aurelle-crm", "medium")
    assert "advisor_notes:raw" in row["why"]
    assert diary.lines[row["entry"]].content["fld"] == ("phone:masked", "advisor_notes:raw")


@pytest.mark.parametrize(("refusals", "pause", "told"), [(9, 60, False), (10, 60, True), (10, 700, False)])
def test_refusals_and_then_a_look(diary, refusals, pause, told):
    diary.wrote(START + HOUR, "field.denied", "deny", times=refusals, fld=("advisor_notes:raw",))
    diary.wrote(START + HOUR + pause, fld=("phone:masked",))
    assert ("refusals_then_look" in diary.rules()) is told


def test_vain_searches_and_failed_authentication(diary):
    diary.wrote(START + HOUR, "subject.searched", n=0, times=19)
    diary.wrote(START + HOUR, "subject.searched", n=1, times=40)
    diary.wrote(START + HOUR, "auth.failed", "deny", n=49, pol=("auth.expired", "auth.counted"))
    assert diary.rules() == set()
    diary.wrote(START + HOUR, "subject.searched", n=0)
    diary.wrote(START + HOUR, "auth.failed", "deny")
    assert diary.rules() == {"vain_searches", "failed_authentication"}


def test_looks_at_night_are_told_by_their_share(diary):
    diary.usual(times=40)
    diary.wrote(START + 2 * HOUR, times=25, fld=("phone:masked",))
    assert "night" in diary.rules()
    usual_at_night = Diary()
    for day in range(BASELINE_DAYS):
        usual_at_night.wrote(START - (day + 1) * DAY + 2 * HOUR, times=25, fld=("phone:masked",))
    usual_at_night.wrote(START + 2 * HOUR, times=25, fld=("phone:masked",))
    assert "night" not in usual_at_night.rules()


def test_an_emergency_stays_told_until_it_is_reviewed(diary):
    diary.wrote(START - DAY, "breakglass.approved", actor="a.moreau", kind="officer", pol=("case:ab", "minutes:15"))
    diary.wrote(START + HOUR, "breakglass.approved", actor="a.moreau", kind="officer", pol=("case:cd", "minutes:15"))
    assert [row["rule"] for row in diary.report()].count("emergency_not_reviewed") == 2
    diary.wrote(START + 2 * HOUR, "breakglass.reviewed", actor="j.brun", kind="officer", pol=("case:ab", "finding:ok"))
    (row,) = [each for each in diary.report() if each["rule"] == "emergency_not_reviewed"]
    assert "case:cd" in row["why"]


def test_a_frozen_system_is_told_by_its_name(diary):
    diary.wrote(START - DAY, "system.frozen", actor="honey", kind="vault", pol=("system:old-pos",))
    diary.wrote(START + HOUR, "system.frozen", actor="honey", kind="vault", pol=("system:vantier-pos",))
    (row,) = [each for each in diary.report() if each["rule"] == "honey"]
    assert (row["severity"], row["actor"]) == ("high", "vantier-pos")


def test_the_gravest_come_first_and_a_brand_sees_its_own(diary):
    diary.usual()
    diary.wrote(START + 10 * HOUR, times=80, fld=("phone:masked", "advisor_notes:raw"))
    diary.wrote(START + 10 * HOUR, times=80, actor="vantier-pos", fld=("phone:masked",))
    severities = [row["severity"] for row in diary.report()]
    assert severities == sorted(severities, key=("high", "medium", "low", "none").index)
    mine = diary.report(Asked(ASKED.since, ASKED.until, brand="vantier"))
    assert {row["brand"] for row in mine} == {"vantier"}


def test_a_member_of_staff_is_held_against_their_own_usual_through_whichever_systems(diary):
    key, who = b"\x11" * 32, b"\x22" * 16

    def marked(number):
        entry_id = number.to_bytes(16)
        return {"id": entry_id.hex(), "stf": veiled(key, entry_id, who).hex(), "fld": ("phone:masked",)}

    diary.usual(times=60)  # the systems are busy with others
    diary.usual(times=60, actor="aurelle-pos")
    for number in range(120):
        diary.wrote(START + 10 * HOUR, actor=("aurelle-crm", "aurelle-pos")[number % 2], **marked(number))
    brands = {"aurelle-crm": "aurelle", "aurelle-pos": "aurelle"}
    body = anomalies(diary.lines, Actors(brands, staff_keys={"aurelle": key}), ASKED)
    names = [each.name for each in body.columns]
    high = [row for row in (dict(zip(names, each, strict=True)) for each in body.rows) if row["severity"] == "high"]
    assert [(row["rule"], row["brand"], row["actor"], row["staff"], row["seen"]) for row in high] == [
        ("volume", "aurelle", "", who.hex(), 120)
    ]


# --- cases that are no matter of volume


def test_every_sentence_has_both_languages_and_asks_for_the_same_facts():
    import re

    for english, french in explained._SENTENCES.values():
        assert set(re.findall(r"{\w+}", english)) == set(re.findall(r"{\w+}", french))
        assert english != french
        assert not re.search("[^\u00a0][:;?!](?: |$)", french), french  # French sets a no-break space before them


def test_emergencies_and_honey_are_no_business_of_another_brand(diary):
    """A brand that asks for its own review must not read which system of a sister was caught."""
    diary.wrote(START + HOUR, "system.frozen", actor="honey", kind="vault", pol=("system:vantier-pos",))
    diary.wrote(START + HOUR, "breakglass.approved", actor="a.moreau", kind="officer", pol=("case:ab", "minutes:15"))
    assert diary.rules() == {"honey", "emergency_not_reviewed"}
    for asked, told in (
        ({"brand": "aurelle"}, set()),
        ({"brand": "vantier"}, {"honey"}),
        ({"system": "aurelle-crm"}, set()),
        ({"system": "vantier-pos"}, {"honey"}),
        ({"system": "a.moreau"}, {"emergency_not_reviewed"}),
        ({"staff": "ab" * 16}, set()),
    ):
        assert diary.rules(Asked(ASKED.since, ASKED.until, **asked)) == told, asked


OPENS = Beside(opens=lambda purpose, name: (purpose, name) == ("service.repair", "phone:masked"))


def test_a_field_that_its_purpose_does_not_open_is_told_once_with_how_often(diary):
    diary.usual()
    diary.wrote(START + HOUR, times=3, fld=("phone:masked",), pur="service.repair")
    assert diary.of("undeclared_field", ASKED, OPENS) == []
    diary.wrote(START + HOUR, times=7, fld=("phone:masked", "phone:raw"), pur="service.repair")
    diary.wrote(START + HOUR, times=2, fld=("phone:masked",), pur="marketing.email", actor="vantier-pos")
    crm, pos = diary.of("undeclared_field", ASKED, OPENS)
    assert (crm["severity"], crm["brand"], crm["actor"], crm["seen"]) == ("high", "aurelle", "aurelle-crm", 7)
    assert "phone:raw 7 times for service.repair" in crm["why"]
    assert "phone:raw 7 fois pour service.repair" in crm["why_fr"]
    assert (pos["actor"], pos["seen"], pos["about"]) == ("vantier-pos", "<5", "marketing.email phone:masked")
    assert "<5 times" in pos["why"]
    assert diary.lines[crm["entry"]].content["fld"] == ("phone:masked", "phone:raw")
    assert {
        row["actor"] for row in diary.of("undeclared_field", Asked(ASKED.since, ASKED.until, brand="vantier"), OPENS)
    } == {"vantier-pos"}


def test_a_field_that_is_refused_or_shown_in_an_emergency_or_before_the_period_is_no_mismatch(diary):
    diary.wrote(START - DAY, fld=("phone:raw",), pur="service.repair")
    diary.wrote(START + HOUR, "field.denied", "deny", fld=("phone:raw",), pur="service.repair")
    diary.wrote(START + HOUR, out="error", fld=("phone:raw",), pur="service.repair")
    diary.wrote(
        START + HOUR, "breakglass.disclosed", kind="officer", actor="a.moreau", fld=("phone:raw",), pur="break_glass"
    )
    assert diary.of("undeclared_field", ASKED, OPENS) == []


KEY = b"\x5a" * 32


def about(key, number, **more):
    identifier = number.to_bytes(16)
    return {"id": identifier.hex(), "sref": sref(key, identifier).hex(), **more}


@pytest.mark.parametrize(
    ("before", "level", "out", "kind", "key", "told"),
    [
        (60, "raw", "allow", "system", KEY, True),
        (3600, "raw", "allow", "system", KEY, True),
        (3601, "raw", "allow", "system", KEY, False),  # long before
        (-1, "raw", "allow", "system", KEY, False),  # after
        (60, "masked", "allow", "system", KEY, False),  # what a masked value shows is not worth taking
        (60, "raw", "deny", "system", KEY, False),
        (60, "raw", "allow", "vault", KEY, False),  # their own look, through the portal
        (60, "raw", "allow", "system", b"\x07" * 32, False),  # another person
    ],
)
def test_looks_in_full_before_an_erasure(diary, before, level, out, kind, key, told):
    asked_at = START + 5 * HOUR + 10
    actor = "portal" if kind == "vault" else "aurelle-crm"
    diary.wrote(asked_at - before, out=out, kind=kind, actor=actor, **about(key, 1, fld=(f"phone:{level}",)))
    rows = diary.of("look_before_erasure", ASKED, Beside(leaving=(Leaving(KEY, asked_at),)))
    assert bool(rows) is told
    assert diary.of("look_before_erasure") == []  # of whom the key is gone nothing is told
    if told:
        (row,) = rows
        assert (row["severity"], row["actor"], row["seen"], row["entry"]) == ("medium", "aurelle-crm", "<5", -1)
        assert row["when"].endswith(":00:00Z")  # no moment that would point at an entry
        assert "<5 looks in full" in row["why"] and "<5 consultations" in row["why_fr"]


def test_looks_before_erasures_are_counted_over_people_and_told_by_member_of_staff(diary):
    asked_at = START + 5 * HOUR + 1800
    key, who = b"\x11" * 32, b"\x22" * 16
    keys = [bytes([number]) * 32 for number in range(1, 7)]
    for number, each in enumerate(keys):
        identifier = (100 + number).to_bytes(16)
        mark = veiled(key, identifier, who).hex()
        diary.wrote(asked_at - 60, **about(each, 100 + number, fld=("phone:raw",), stf=mark))
    leaving = tuple(Leaving(each, asked_at) for each in keys)
    body = anomalies(
        diary.lines, Actors({"aurelle-crm": "aurelle"}, staff_keys={"aurelle": key}), ASKED, Beside(leaving=leaving)
    )
    names = [each.name for each in body.columns]
    (row,) = [
        row
        for row in (dict(zip(names, each, strict=True)) for each in body.rows)
        if row["rule"] == "look_before_erasure"
    ]
    assert (row["staff"], row["actor"], row["seen"], row["brand"]) == (who.hex(), "", 6, "aurelle")
    assert repr(leaving[0]).count("01") == 0  # a key is in no repr


@pytest.mark.parametrize(
    ("officer", "pause", "cause", "told"),
    [
        ("a.moreau", 600, "erasure.request", True),
        ("a.moreau", 3601, "erasure.request", False),
        ("j.brun", 600, "erasure.request", False),
        ("a.moreau", 600, "erasure.retention", False),
    ],
)
def test_who_looks_in_an_emergency_and_then_asks_for_an_erasure(diary, officer, pause, cause, told):
    look = {"kind": "officer", "fld": ("phone:raw",), "pol": ("case:ab",), "pur": "break_glass"}
    diary.wrote(START + HOUR, "breakglass.disclosed", actor="a.moreau", **look)
    diary.wrote(
        START + HOUR + pause, "erasure.requested", actor=officer, kind="officer", pol=(cause, "erasure.subject"), n=3
    )
    rows = diary.of("look_before_erasure")
    assert bool(rows) is told
    if told:
        assert (rows[0]["severity"], rows[0]["actor"]) == ("high", "a.moreau")
        assert diary.lines[rows[0]["entry"]].content["act"] == "erasure.requested"


def alive(diary, hours, act="log.heartbeat", start=START):
    for hour in hours:
        diary.wrote(start + hour * HOUR, act, kind="vault", actor="ecrin", n=0)


def test_a_heartbeat_an_hour_is_no_gap_and_one_missing_is(diary):
    alive(diary, range(-48, 30))
    assert diary.rules() == set()
    alive(diary, range(31, 40))  # one is late, or a little more: it comes an hour after the last
    assert diary.rules() == set()
    alive(diary, range(43, 60))
    (row,) = diary.of("heartbeat_gap")
    assert (row["severity"], row["when"], row["seen"], row["usual"]) == ("medium", at(START + 39 * HOUR), 240, 60)
    assert "240 minutes" in row["why"] and at(START + 39 * HOUR) in row["why"]
    assert "240 minutes" in row["why_fr"]
    assert diary.lines[row["entry"]].at == at(START + 43 * HOUR)  # the first sign after it


def test_a_gap_over_the_beginning_of_the_period_counts_and_one_before_it_does_not(diary):
    alive(diary, [-20, -10, -1, 0, 1, 2])
    assert diary.of("heartbeat_gap") == []
    other = Diary()
    alive(other, [-5, 1, 2])
    assert [row["when"] for row in other.of("heartbeat_gap")] == [at(START - 5 * HOUR)]


def test_silence_up_to_now_is_a_gap_unless_an_older_checkpoint_was_asked_for(diary):
    alive(diary, range(5))
    now = Beside(now=START + 10 * HOUR)
    assert diary.of("heartbeat_gap", ASKED, Beside(now=START + 6 * HOUR)) == []
    (row,) = diary.of("heartbeat_gap", ASKED, now)
    assert (row["when"], row["entry"]) == (at(START + 4 * HOUR), -1)
    assert diary.of("heartbeat_gap", Asked(ASKED.since, ASKED.until, upto=5), now) == []
    assert diary.of("heartbeat_gap", Asked(ASKED.since, START + 5 * HOUR), now) == []  # the period was over before
    assert diary.of("heartbeat_gap", Asked(ASKED.since, ASKED.until, brand="aurelle"), now) == []


def test_a_start_is_a_sign_of_life_and_ends_a_gap(diary):
    alive(diary, range(3))
    alive(diary, [8], act="log.started")
    alive(diary, [9])
    assert [row["seen"] for row in diary.of("heartbeat_gap")] == [360]


def test_shards_have_silences_of_their_own(diary):
    alive(diary, range(6))
    diary.lines += [line._replace(shard=1) for line in diary.lines if line.at <= at(START + HOUR)]
    diary.lines += [
        Line(
            1,
            90,
            {"act": "log.heartbeat", "out": "allow", "actor": {"id": "e", "k": "vault"}, "t": at(START + 5 * HOUR)},
        )
    ]
    assert [row["seen"] for row in diary.of("heartbeat_gap")] == [240]


def told_hour(hour, opened=90_000, explained=3, refused=0):
    return f"unusual:{at(START + hour * HOUR)[:13]}:{opened}:{explained}:{refused}"


def reconciled(diary, *hours, when=2 * DAY):
    said = {"pol": hours, "n": len(hours), "kind": "vault", "actor": "operator"}
    diary.wrote(START + when, "keys.reconciled", "error" if hours else "allow", **said)


def test_keys_that_the_log_does_not_explain_are_told_by_the_hour_and_once(diary):
    reconciled(diary)
    assert diary.rules() == set()
    reconciled(diary, told_hour(4), told_hour(5, 10, 10, 7))
    reconciled(
        diary, told_hour(4, 90_001), told_hour(-9), when=3 * DAY
    )  # the day after: the same hour again, an older one
    one, two = diary.of("keys_unexplained")
    assert (one["severity"], one["when"], one["seen"], one["usual"]) == ("high", at(START + 4 * HOUR), 90_001, "<5")
    assert "90001 keys" in one["why"] and "90001 clés" in one["why_fr"]
    assert "refused 7" in two["why"]
    assert diary.lines[one["entry"]].content["t"] == at(START + 3 * DAY)
    assert diary.of("keys_unexplained", Asked(ASKED.since, ASKED.until, system="aurelle-crm")) == []
