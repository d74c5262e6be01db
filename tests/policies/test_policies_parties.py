"""The look of a party: a colour that can be read on paper, or none."""

import pytest

from policies.bundle import PARTIES, parse_bundle
from policies.errors import InvalidBundle


def with_accent(shipped_files, accent):
    text = shipped_files[PARTIES].decode().replace('accent = "#7a1f3d"', f"accent = {accent}")
    return parse_bundle("changed", {**shipped_files, PARTIES: text.encode()}).parties.named("aurelle")


def test_every_shipped_house_has_a_colour(maisons):
    assert all(each.accent for each in maisons.parties.by_id.values())
    assert maisons.parties.named("nobody").accent == ""


@pytest.mark.parametrize("accent", ['"#000000"', '"#767676"', '""'])
def test_a_colour_that_can_be_read_is_taken(shipped_files, accent):
    assert with_accent(shipped_files, accent).accent == accent.strip('"')


@pytest.mark.parametrize(
    ("accent", "fault"),
    [
        ('"#777777"', "too pale"),
        ('"#ffffff"', "too pale"),
        ('"#FFF"', "six digits"),
        ('"red; } body { display: none"', "six digits"),
        ("3", "must be given as str"),
    ],
)
def test_a_colour_that_is_none_or_cannot_be_read_is_told(shipped_files, accent, fault):
    with pytest.raises(InvalidBundle, match=fault):
        with_accent(shipped_files, accent)
