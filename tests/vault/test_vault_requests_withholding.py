"""Single texts that an officer keeps back from a package: said to be, on a ground; at the portal too; and given after all."""

import csv
import io
import json
import zipfile

import pytest
from erasure_scene import Scene
from maison_people import AURELLE, FIELDS, change, given, person, rows, value
from policy_officers import APPROVER, AUTHOR
from request_desk import Desk

from api.packages.archive import archive_of
from policies.rights import Right
from vault import officers
from vault.errors import InvalidFields, NotSigned, UnknownOfficer
from vault.officers import Role
from vault.requests import delivering, entries, revealing, withholding
from vault.requests.records import Ground
from vault.requests.states import IllegalMove, Move
from vault.requests.steps import by_officer

CONFIDED, HARMLESS, DOOR = (
    "her brother is ill and wants nobody to know",
    "likes sapphires",
    "the code of the door is old",
)
NOTES = [
    {"date": "2026-01-05", "topic": "family", "text": CONFIDED, "advisor": "adv-7781"},
    {"date": "2026-01-06", "topic": "taste", "text": HARMLESS, "advisor": "adv-7781"},
]
HELD = FIELDS | {"advisor_notes": NOTES, "delivery_instructions": DOOR}


@pytest.fixture
def desk(vault, clock):
    return Desk(vault, clock, person(HELD, consents=[given()], vantier={"delivery_instructions": "at the back"}))


@pytest.fixture
def request_(desk):
    return desk.reviewed()


def texts(desk, request):
    return withholding.texts(desk.vault, request.id, desk.by())


def item_of(desk, request, text):
    (found,) = [each for each in texts(desk, request) if each.text == text]
    return found.of.name, found.item


def keep(desk, request, text, ground=Ground.RIGHTS_OF_OTHERS, by=None):
    withholding.withhold(desk.vault, request.id, *item_of(desk, request, text), ground, by or desk.by())


def packed(desk, request):
    delivering.prepare(desk.vault, request.id, desk.by())
    gathered, _ = delivering.hand_over(desk.vault, request.id, desk.by())
    with zipfile.ZipFile(io.BytesIO(archive_of(desk.vault, gathered))) as found:
        return {each.filename: found.read(each) for each in found.infolist()}


def told(files, category, field):
    (held,) = [each for each in json.loads(files["data.json"])["categories"] if each["category"] == category]
    (found,) = [each for each in held["fields"] if each["field"] == field]
    return found["values"] + found["earlier"]


def shown(desk, name):
    category = desk.vault.bundle.catalogue.category_by_id(desk.vault.bundle.catalogue.field(name).category_id)
    own = revealing.reveal(desk.vault, AURELLE, desk.person.references[AURELLE], category)
    return [each for of, part in own.held.items() if of.name == name for each in part]


def test_one_text_is_kept_back_and_the_package_says_so_with_its_ground(desk, request_):
    keep(desk, request_, CONFIDED)
    keep(desk, request_, DOOR, Ground.LEGAL_CLAIMS)
    files = packed(desk, request_)
    for name, content in files.items():
        assert CONFIDED.encode() not in content, name
        assert DOOR.encode() not in content, name
    first, second = sorted(told(files, "notes", "advisor_notes"), key=lambda each: each["value"]["date"])
    assert (first["value"], first["withheld"]) == ({"date": "2026-01-05", "topic": "family"}, "rights_of_others")
    assert (second["value"]["text"], second["withheld"]) == (HARMLESS, None)
    (door,) = told(files, "address", "delivery_instructions")
    assert (door["value"], door["withheld"]) == (None, "legal_claims")
    html = files["package.html"].decode()
    assert html.count("What is written here is kept back") == 2
    assert "Legal claims" in html
    table = list(csv.DictReader(io.StringIO(files["csv/notes.csv"].decode())))
    assert sorted(each["withheld"] for each in table) == ["", "rights_of_others"]
    assert value(desk.vault, desk.person.subject, "delivery_instructions") == DOOR  # what is stored is never touched


def test_what_is_kept_back_in_a_package_is_not_read_at_the_portal_instead(desk, request_):
    keep(desk, request_, CONFIDED)
    keep(desk, request_, DOOR)
    assert [each.value.get("text") for each in shown(desk, "advisor_notes")] == [None, None]
    assert [each.unreviewed for each in shown(desk, "advisor_notes")] == [False, True]  # the review is not over
    assert [(each.value, each.withheld) for each in shown(desk, "delivery_instructions")] == [
        (None, "rights_of_others")
    ]
    fields, reference = desk.vault.bundle.catalogue.fields, desk.person.references[AURELLE]
    name, item = item_of(desk, request_, CONFIDED)
    assert "text" not in entries.standing(desk.vault, AURELLE, reference, fields[name], item)
    with pytest.raises(InvalidFields):
        entries.standing(desk.vault, AURELLE, reference, fields["delivery_instructions"], 0)
    packed(desk, request_)
    assert [each.value.get("text") for each in shown(desk, "advisor_notes")] == [None, HARMLESS]
    desk.advance(request_, Move.CLOSE)
    assert [each.value.get("text") for each in shown(desk, "advisor_notes")] == [None, HARMLESS]  # and afterwards
    again = desk.reviewed(Right.PORTABILITY)
    assert {each.text: each.ground for each in texts(desk, again)}[CONFIDED] is Ground.RIGHTS_OF_OTHERS


def test_what_it_said_before_is_kept_back_with_it(desk, request_):
    change(desk.vault, desk.person, set={"delivery_instructions": "ring twice"})
    assert {each.text: each.stands for each in texts(desk, request_)}[DOOR] is False
    keep(desk, request_, DOOR)
    assert {each["value"] for each in told(packed(desk, request_), "address", "delivery_instructions")} == {None}


def test_it_is_given_after_all(desk, request_):
    keep(desk, request_, CONFIDED)
    keep(desk, request_, CONFIDED, Ground.LEGAL_OBLIGATION)  # on another ground
    assert rows(desk.vault, "SELECT ground FROM withheld_text") == [("legal_obligation",)]
    withholding.give(desk.vault, request_.id, *item_of(desk, request_, CONFIDED), desk.by())
    with pytest.raises(InvalidFields):
        withholding.give(desk.vault, request_.id, *item_of(desk, request_, CONFIDED), desk.by())
    assert CONFIDED in packed(desk, request_)["package.html"].decode()


def test_every_look_and_every_decision_is_on_record_and_says_no_text(desk, request_):
    before = len(desk.log())
    keep(desk, request_, CONFIDED)
    new = desk.log()[before:]
    looked = [each for each in new if each["act"] == "request.viewed"]
    assert {each.split(":")[0] for entry in looked for each in entry["fld"]} >= {
        "advisor_notes",
        "delivery_instructions",
    }
    (kept,) = [each for each in new if each["act"] == "request.advanced"]
    assert kept["fld"] == ["advisor_notes"]
    assert {"change:withheld", "ground:rights_of_others", f"request:{request_.name}"} <= set(kept["pol"])
    assert kept["actor"] == {"id": AUTHOR, "k": "officer"}
    assert "sref" in kept
    assert "brother" not in str(desk.log())
    (text,) = [each for each in texts(desk, request_) if each.text == CONFIDED]
    assert "brother" not in repr(text)
    assert b"brother" not in desk.stored()


@pytest.mark.parametrize(
    ("name", "item", "ground"),
    [
        ("advisor_notes", 999, Ground.RIGHTS_OF_OTHERS), ("advisor_notes", 0, Ground.RIGHTS_OF_OTHERS),
        ("riches", 0, Ground.RIGHTS_OF_OTHERS), ("email", 1, Ground.RIGHTS_OF_OTHERS), ("birth_date", 0, Ground.RIGHTS_OF_OTHERS),
        ("delivery_instructions", 0, Ground.UNFOUNDED),
    ],
)  # fmt: skip
def test_only_a_text_that_is_there_is_kept_back_on_a_ground_that_fits(desk, request_, name, item, ground):
    with pytest.raises(InvalidFields):
        withholding.withhold(desk.vault, request_.id, name, item, ground, desk.by())
    assert rows(desk.vault, "SELECT count(*) FROM withheld_text") == [(0,)]


def test_only_while_the_package_is_reviewed(desk):
    request = desk.ask()
    with pytest.raises(IllegalMove):
        texts(desk, request)
    request = desk.to_review(request)
    place = item_of(desk, request, CONFIDED)
    delivering.prepare(desk.vault, request.id, desk.by())
    erasure = desk.reviewed(Right.ERASURE)
    for each in (request, erasure):
        for act in (
            lambda: texts(desk, each),  # noqa: B023 - called at once
            lambda: withholding.withhold(desk.vault, each.id, *place, Ground.RIGHTS_OF_OTHERS, desk.by()),  # noqa: B023
            lambda: withholding.give(desk.vault, each.id, *place, desk.by()),  # noqa: B023
        ):
            with pytest.raises(IllegalMove):
                act()
    assert [each["act"] for each in desk.log()].count("request.denied") >= 6


def test_only_who_handles_requests(desk, request_):
    place = item_of(desk, request_, CONFIDED)
    with desk.vault.unit() as uow:
        officers.add(uow, "audit-1", Role.AUDITOR, "a long enough passphrase", by_officer(AUTHOR).actor)
        uow.commit()
    before = len(desk.log())
    for who in ("audit-1", "nobody"):
        for act in (
            lambda: withholding.texts(desk.vault, request_.id, by_officer(who)),  # noqa: B023
            lambda: withholding.withhold(desk.vault, request_.id, *place, Ground.RIGHTS_OF_OTHERS, by_officer(who)),  # noqa: B023
        ):
            with pytest.raises((NotSigned, UnknownOfficer)):
                act()
    assert {each["act"] for each in desk.log()[before:]} <= {"request.denied"}
    withholding.withhold(desk.vault, request_.id, *place, Ground.RIGHTS_OF_OTHERS, desk.by(APPROVER))


def test_it_goes_with_the_person(vault, place, tmp_path, clock):
    scene = Scene(vault, place, tmp_path, clock)
    desk = Desk(vault, clock, person(HELD))
    keep(desk, desk.reviewed(), CONFIDED)
    scene.whole(desk.person.subject)
    scene.run()
    assert rows(vault, "SELECT count(*) FROM withheld_text") == [(0,)]
    scene.close()
