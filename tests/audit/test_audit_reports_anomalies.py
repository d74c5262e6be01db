"""Bulk and anomaly review: what is usual is not highlighted, what is not explains itself, and nothing counts people."""

from datetime import UTC, datetime

import pytest

from audit.pseudonym import veiled
from audit.reports.anomalies import BASELINE_DAYS, anomalies
from audit.reports.asked import Actors, Asked
from audit.reports.lines import Line

DAY, HOUR = 86_400, 3_600
START = 1_790_000_000 - 1_790_000_000 % DAY
ASKED = Asked(START, START + 7 * DAY)
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

    def report(self, asked=ASKED):
        body = anomalies(self.lines, ACTORS, asked)
        names = [each.name for each in body.columns]
        return [dict(zip(names, row, strict=True)) for row in body.rows]

    def rules(self):
        return {row["rule"] for row in self.report() if row["severity"] != "none"}


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
