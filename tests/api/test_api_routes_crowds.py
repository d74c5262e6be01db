"""Too few over HTTP: refused with its own reason, logged as a denial, and the rest of the answer untouched."""

import pytest
from maison_callers import PERSON

from vault import census

SEGMENTS = {"purpose": "analytics.segments"}


@pytest.fixture
def insight(maison):
    return maison.system("aurelle-insight", "aurelle", purposes=("analytics.segments",))


def test_a_rare_value_is_refused_and_a_shared_one_released(maison, insight):
    known = [insight.created(PERSON | {"birth_date": "1980-05-17"}, region="fr") for _ in range(20)]
    rare = insight.created(PERSON | {"birth_date": "1980-12-24"}, region="fr")

    def seen(reference):
        token = insight.granted(reference, ("birth_date", "generalised"), ("phone", "presence"), **SEGMENTS)
        answer = insight.disclose(token)
        assert answer.status_code == 200, answer.text
        return {each["name"]: each for each in answer.json()["fields"]}

    before = seen(known[0])["birth_date"]
    assert (before["decision"], before["reason"], before["value"], before["level"]) == (
        "refused",
        "too_few",
        None,
        None,
    )
    assert census.count(maison.vault, lambda _: False)
    census.take_up(maison.vault)
    released = seen(known[0])["birth_date"]
    assert (released["decision"], released["value"]) == ("granted", {"month": 5})
    held = seen(rare)["birth_date"]
    assert (held["decision"], held["reason"], held["value"]) == ("refused", "too_few", None)
    denied = [each.read for each in maison.entries() if each.read.get("pol") == ["floor.too_few"]]
    assert len(denied) == 2
    assert all(
        (each["act"], each["out"]) == ("field.denied", "deny") and "birth_date:generalised" in each["fld"]
        for each in denied
    )
