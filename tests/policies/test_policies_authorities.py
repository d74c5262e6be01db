"""Whom a person may complain to: by where they live and when, and what a bundle may not say about it."""

import datetime as dt

import pytest

from policies.authorities import Authority, competent
from policies.bundle import RIGHTS, parse_bundle
from policies.errors import InvalidBundle

ENTRY = '[[authority]]\nregion = "fr"\nsince = 2018-05-25\nname = "A"\nsite = "https://a.example"\n'


def one(region, since, name):
    return Authority(region, dt.date.fromisoformat(since), name, "", "https://a.example")


def test_the_nearest_comes_first_and_the_newest_that_has_begun():
    known = [one("default", "2018-05-25", "d"), one("eu", "2018-05-25", "e"), one("eu", "2027-01-01", "f")]
    places = ("fr", "eu", "default")
    assert competent(known, places, dt.date(2026, 12, 31)).name == "e"
    assert competent(known, places, dt.date(2027, 1, 1)).name == "f"
    assert competent(known, ("ae", "ae", "default"), dt.date(2027, 1, 1)).name == "d"
    assert competent(known, places, dt.date(2018, 5, 24)) is None


def test_every_place_the_shipped_bundle_writes_for_has_one(maisons):
    today = dt.date(2026, 12, 1)
    for place in {each.jurisdiction for each in maisons.rights.deadlines}:
        law = maisons.purposes.jurisdiction(place)
        assert maisons.rights.authority(place, law, today).region in (place, law)
    assert maisons.rights.authority("FR", "eu", dt.date(2026, 12, 1)).site == "https://www.cnil.fr"


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        (ENTRY + ENTRY, "begin on one day"),
        (ENTRY.replace('"fr"', '"F R"'), "`region` is"),
        (ENTRY.replace('"A"', '" "'), "`name` is needed"),
        (ENTRY.replace("https://a.example", "javascript:alert(1)"), "begins with https://"),
        (ENTRY.replace("https://a.example", "http://a.example"), "begins with https://"),
        (ENTRY + 'fax = "1"\n', "unknown key `fax`"),
        ("authority = 3\n", "list of tables"),
    ],
)
def test_what_names_nobody_properly_is_told(shipped_files, text, fault):
    with pytest.raises(InvalidBundle, match=fault):
        parse_bundle("changed", {**shipped_files, RIGHTS: text.encode()})
