"""Texts that nobody has read are not given at the portal: each kind, each version, until a review that read it has ended."""

import pytest
from maison_people import AURELLE, FIELDS, VANTIER, change, given, person, rows
from policy_officers import APPROVER, FILES
from request_desk import Desk

from policies.bundle import parse_bundle
from policies.catalogue_file import FREE_TEXT
from policies.rights import Right
from vault.disclosure import Kept
from vault.erasure import holds
from vault.erasure.holds import HoldReason
from vault.errors import InvalidFields
from vault.requests import acts, delivering, entries, handling, revealing, withholding
from vault.requests.collecting import FREE
from vault.requests.content import Content
from vault.requests.intake import of_system
from vault.requests.masking import Masks
from vault.requests.records import Ground
from vault.requests.revealing import Judged
from vault.requests.states import IllegalMove, Move
from vault.values import FieldValue

CONFIDED, WORK, DOOR = "her brother is ill", "her brother scratched it", "her brother opens the door"
NOTE = {"date": "2026-01-05", "topic": "family", "text": CONFIDED, "advisor": "adv-7781"}
REPAIR = {"opened": "2026-01-05", "status": "in_work", "product": "Ring", "work": WORK}
UNWORKED = {"opened": "2026-02-05", "status": "received", "product": "Watch"}
HELD = FIELDS | {"advisor_notes": [NOTE], "repairs": [REPAIR, UNWORKED], "delivery_instructions": DOOR}
KINDS = {"advisor_notes": CONFIDED, "repairs": WORK, "delivery_instructions": DOOR}


@pytest.fixture
def desk(vault, clock):
    return Desk(vault, clock, person(HELD, consents=[given()], vantier={"delivery_instructions": DOOR}))


def held(desk, name, brand=AURELLE):
    """What the portal shows of a field, in the order of its items."""
    of = desk.vault.bundle.catalogue.field(name)
    own = revealing.own_values(desk.vault, brand, desk.person.references[brand], [of])
    return sorted(own.held.get(of, ()), key=lambda each: each.item)


def told(desk, name, brand=AURELLE):
    return "brother" in str([each.value for each in held(desk, name, brand)])


def read(desk, request, by=None):
    return {each.text: each for each in withholding.texts(desk.vault, request.id, by or desk.by())}


def place(found):
    return found.of.name, found.item


def ended(desk, request):
    delivering.prepare(desk.vault, request.id, desk.by())


def reviewed(desk, **more):
    request = desk.reviewed(**more)
    read(desk, request)
    ended(desk, request)
    return request


def kept(desk):
    return rows(desk.vault, "SELECT field_id, item, version, given FROM reviewed_text ORDER BY field_id, item, version")


def unread(desk, request):
    return withholding.unread(desk.vault, handling.history(desk.vault, request.id)[0])


# ------------------------------------------------------------------------------------------------------ nobody read it


def test_the_kinds_are_those_in_which_somebody_writes_as_they_like(bundle):
    assert set(FREE) == FREE_TEXT
    types = {each.type for each in bundle.catalogue.fields.values()}
    assert types & FREE_TEXT == {bundle.catalogue.field(name).type for name in KINDS} == FREE_TEXT
    assert not any(each.written_for_person for each in bundle.catalogue.fields.values())  # the shipped one trusts none


@pytest.mark.parametrize("name", KINDS)
def test_what_nobody_read_is_not_given_and_the_rest_of_its_entry_is(desk, name):
    assert not told(desk, name)
    one, *others = held(desk, name)
    assert (one.unreviewed, one.withheld) == (True, "")
    assert (
        one.value
        == {
            "advisor_notes": {"date": "2026-01-05", "topic": "family"},
            "repairs": {"opened": "2026-01-05", "status": "in_work", "product": "Ring"},
            "delivery_instructions": None,
        }[name]
    )
    assert [(each.value, each.unreviewed) for each in others] == ([(UNWORKED, False)] if name == "repairs" else [])
    of, reference = desk.vault.bundle.catalogue.field(name), desk.person.references[AURELLE]
    if one.value is None:
        with pytest.raises(InvalidFields) as refused:
            entries.standing(desk.vault, AURELLE, reference, of, one.item)
        assert refused.value.problems == ((name, "unreviewed"),)
    else:
        assert entries.standing(desk.vault, AURELLE, reference, of, one.item) == one.value


@pytest.mark.parametrize("name", KINDS)
def test_reading_is_not_giving_and_the_end_of_the_review_is(desk, name):
    request = desk.reviewed()
    assert read(desk, request)[KINDS[name]].ground is None
    assert not told(desk, name)  # whoever reads may still keep it back
    ended(desk, request)
    assert told(desk, name)
    assert not told(desk, "delivery_instructions", VANTIER)  # read at one house, and at no other
    assert not [each for each in held(desk, name) if each.unreviewed]


def test_a_package_that_nobody_read_gives_nothing_at_the_portal(desk):
    request = desk.reviewed()
    assert unread(desk, request) == 4  # a repair without a word of work among them: nothing was opened
    ended(desk, request)
    assert not any(told(desk, name) for name in KINDS)
    assert kept(desk) == []
    assert "change:reviewed" not in str(desk.log())


@pytest.mark.parametrize("over", ["withdrawn", "refused", "on_hold"])
def test_a_review_that_ends_otherwise_gives_nothing(desk, over):
    request = desk.reviewed()
    read(desk, request)
    assert len(kept(desk)) == 4
    if over == "withdrawn":
        handling.advance(desk.vault, request.id, Move.WITHDRAW, of_system("aurelle-crm"), brand=AURELLE)
    elif over == "refused":
        handling.propose_refusal(desk.vault, request.id, Ground.UNFOUNDED, desk.by())
        handling.decide_refusal(desk.vault, request.id, desk.by(APPROVER), confirm=True)
        desk.advance(request, Move.CLOSE)
    else:
        desk.advance(request, Move.HALT, reason="counsel")
    assert not any(told(desk, name) for name in KINDS)
    assert len(kept(desk)) == (4 if over == "on_hold" else 0)


def test_what_a_refusal_in_part_keeps_was_not_given_by_having_been_read(desk):
    request = desk.reviewed()
    read(desk, request)
    handling.propose_refusal(desk.vault, request.id, Ground.RIGHTS_OF_OTHERS, desk.by(), ["notes"])
    handling.decide_refusal(desk.vault, request.id, desk.by(APPROVER), confirm=True)
    ended(desk, request)
    assert (told(desk, "advisor_notes"), told(desk, "repairs")) == (False, True)


def test_only_the_categories_of_the_request_are_read_in_it(desk):
    reviewed(desk, names=("service",))
    assert [told(desk, name) for name in KINDS] == [False, True, False]


# ------------------------------------------------------------------------------------------------------ texts that change


def test_a_text_that_changed_is_unread_again(desk):
    reviewed(desk)
    change(desk.vault, desk.person, set={"delivery_instructions": "her other brother"})
    assert not told(desk, "delivery_instructions")
    assert told(desk, "repairs")
    change(desk.vault, desk.person, set={"delivery_instructions": DOOR})  # nor is it read by saying the same
    assert not told(desk, "delivery_instructions")
    request = desk.reviewed(Right.PORTABILITY)
    assert unread(desk, request) == 2
    read(desk, request)
    assert unread(desk, request) == 0
    ended(desk, request)
    assert told(desk, "delivery_instructions")


def test_a_text_that_changed_between_the_reading_and_the_end_was_not_read(desk):
    request = desk.reviewed()
    read(desk, request)
    change(desk.vault, desk.person, set={"delivery_instructions": "her other brother"})
    change(desk.vault, desk.person, append={"advisor_notes": [NOTE | {"text": "her third brother"}]})
    assert unread(desk, request) == 2
    ended(desk, request)
    assert not told(desk, "delivery_instructions")
    assert [each.unreviewed for each in held(desk, "advisor_notes")] == [False, True]


def test_what_was_said_before_counts_and_the_row_that_ends_it_holds_nothing(desk):
    change(desk.vault, desk.person, end={"delivery_instructions": [0]})
    request = desk.reviewed()
    assert unread(desk, request) == 4
    change(desk.vault, desk.person, set={"delivery_instructions": "nobody opens"})
    assert unread(desk, request) == 6  # what it said before, the row that ended it (nobody opened it), and what it says
    assert {DOOR, "nobody opens"} <= read(desk, request).keys()
    assert unread(desk, request) == 0


def test_a_text_that_is_written_while_an_officer_opens_them_counts_as_unread(desk, monkeypatch):
    """What is noted as read was there before anything opened."""
    honest = withholding.opened

    def meanwhile(*args, **more):
        change(desk.vault, desk.person, set={"delivery_instructions": "her other brother"})
        return honest(*args, **more)

    request = desk.reviewed()
    monkeypatch.setattr(withholding, "opened", meanwhile)
    read(desk, request)
    monkeypatch.undo()
    ended(desk, request)
    assert not told(desk, "delivery_instructions")
    assert told(desk, "repairs")


def test_a_text_that_did_not_open_was_read_by_nobody(desk):
    of = desk.vault.bundle.catalogue.field("delivery_instructions")
    damage = "UPDATE field_value SET envelope = ? WHERE field_id = ? AND holder = ?"
    stored = rows(desk.vault, "SELECT envelope FROM field_value WHERE field_id = ? AND holder = ?", of.id, AURELLE)
    rows(desk.vault, damage, b"\x00" * 150, of.id, AURELLE)
    request = desk.reviewed()
    assert DOOR not in read(desk, request)
    rows(desk.vault, damage, bytes(stored[0][0]), of.id, AURELLE)
    ended(desk, request)
    assert not told(desk, "delivery_instructions")
    assert told(desk, "repairs")


def test_two_reviews_at_once_each_give_what_was_read_in_them(desk):
    one, other = desk.reviewed(), desk.reviewed(names=("service",))
    read(desk, other)
    assert (unread(desk, one), unread(desk, other)) == (4, 0)
    read(desk, one)
    handling.advance(desk.vault, other.id, Move.WITHDRAW, of_system("aurelle-crm"), brand=AURELLE)
    ended(desk, one)
    assert told(desk, "repairs")


# ------------------------------------------------------------------------------------------------------ kept back


def test_what_is_kept_back_stays_so_and_is_read_anew_before_it_is_given(desk):
    request = desk.reviewed()
    at = place(read(desk, request)[CONFIDED])
    withholding.withhold(desk.vault, request.id, *at, Ground.RIGHTS_OF_OTHERS, desk.by())
    ended(desk, request)
    (one,) = held(desk, "advisor_notes")
    assert (one.withheld, one.unreviewed) == ("rights_of_others", False)
    assert not told(desk, "advisor_notes")
    again = desk.reviewed(Right.PORTABILITY)
    withholding.give(desk.vault, again.id, *at, desk.by())
    assert held(desk, "advisor_notes")[0].unreviewed  # given unseen: nobody read it for that
    assert unread(desk, again) == 1
    read(desk, again)
    ended(desk, again)
    assert told(desk, "advisor_notes")


def test_what_was_given_is_kept_back_by_the_next_who_reads(desk):
    reviewed(desk)
    again = desk.reviewed(Right.PORTABILITY)
    at = place(read(desk, again)[CONFIDED])
    withholding.withhold(desk.vault, again.id, *at, Ground.RIGHTS_OF_OTHERS, desk.by())
    assert not told(desk, "advisor_notes")
    withholding.give(desk.vault, again.id, *at, desk.by())
    assert not told(desk, "advisor_notes")
    ended(desk, again)
    assert not told(desk, "advisor_notes")  # read before it was kept back, and not since
    reviewed(desk, right=Right.PORTABILITY, names=("notes",))
    assert told(desk, "advisor_notes")


# ------------------------------------------------------------------------------------------------------ need not be read


def test_a_field_that_staff_write_for_the_person_is_given_unread(opening, clock):
    text = FILES["catalogue.toml"].decode()
    marked = text.replace('type = "repair"\n', 'type = "repair"\nwritten_for_person = true\n')
    desk = Desk(opening(parse_bundle("marked", FILES | {"catalogue.toml": marked.encode()})), clock, person(HELD))
    assert [told(desk, name) for name in KINDS] == [False, True, False]
    request = desk.reviewed()
    assert unread(desk, request) == 2
    at = place(read(desk, request)[WORK])  # and is read with the others, and may be kept back
    withholding.withhold(desk.vault, request.id, *at, Ground.RIGHTS_OF_OTHERS, desk.by())
    assert not told(desk, "repairs")


def test_own_words_need_no_officer_and_a_record_corrected_in_part_does(desk):
    def corrected(**values):
        request = desk.reviewed(Right.RECTIFICATION, content=Content(values=values))
        acts.rectify(desk.vault, request.id, desk.by())

    corrected(delivery_instructions="my brother opens")
    assert held(desk, "delivery_instructions")[0].value == "my brother opens"
    (note,) = held(desk, "advisor_notes")
    corrected(advisor_notes=[{"item": note.item, "value": {"topic": "taste"}}])
    (note,) = held(desk, "advisor_notes")
    assert (note.value, note.source, note.unreviewed) == (
        {"date": "2026-01-05", "topic": "taste"},
        "data_subject.own",
        True,
    )


@pytest.mark.parametrize("name", KINDS)
@pytest.mark.parametrize("other", [(0, 0, 1), (0, 1, 0), (1, 0, 0)])
def test_field_item_and_version_have_to_be_those_that_were_read(bundle, name, other):
    """A mutant that forgets one of the three gives another text than was read."""
    of = bundle.catalogue.field(name)
    value = KINDS[name] if of.type == "text" else {"advisor_notes": NOTE, "repairs": REPAIR}[name]
    one = Kept(3, FieldValue(value, "aurelle-crm", 0), None, 7)
    beside = tuple(map(sum, zip((of.id, 3, 7), other, strict=True)))
    for version, shows in (((of.id, 3, 7), True), (beside, False)):
        own = revealing.shown(of, one, Masks(), Judged({}, frozenset({version})))
        assert ("brother" in str(own.value), own.unreviewed) == (shows, not shows)
        assert "brother" not in repr(own)


# ------------------------------------------------------------------------------------------------------ on record, and gone


def test_what_was_read_is_on_record_without_a_word_of_it(desk):
    request = desk.reviewed()
    read(desk, request)
    before = len(desk.log())
    ended(desk, request)
    (entry,) = [each for each in desk.log()[before:] if "change:reviewed" in each["pol"]]
    assert (entry["act"], entry["out"], entry["n"]) == ("request.advanced", "allow", 4)
    assert entry["fld"] == ["advisor_notes", "delivery_instructions", "repairs"]
    assert f"request:{request.name}" in entry["pol"]
    assert "sref" in entry
    assert "brother" not in str(desk.log())
    assert {given for *_, given in kept(desk)} == {True}
    assert not {"text", "value", "digest"} & set(_columns())


def _columns():
    from vault.store.tables import metadata

    return metadata.tables["reviewed_text"].c.keys()


def test_once_it_is_prepared_nothing_is_read_in_it(desk):
    request = desk.reviewed()
    ended(desk, request)
    with pytest.raises(IllegalMove):
        read(desk, request)
    assert kept(desk) == []
    assert unread(desk, request) == 0


def test_what_was_read_of_somebody_goes_with_them(scene, clock):
    desk = Desk(scene.vault, clock, person(HELD))
    reviewed(desk)
    assert kept(desk)
    scene.whole(desk.person.subject)
    scene.run()
    assert kept(desk) == []


def test_what_is_written_after_a_category_went_was_not_read_with_what_went(scene, clock):
    """Versions and items are counted anew then: rows that stayed would be about other texts."""
    desk = Desk(scene.vault, clock, person(HELD))
    request = desk.reviewed()
    at = place(read(desk, request)[CONFIDED])
    ended(desk, request)
    again = desk.reviewed(Right.PORTABILITY, names=("service",))
    withholding.withhold(desk.vault, again.id, *place(read(desk, again)[WORK]), Ground.RIGHTS_OF_OTHERS, desk.by())
    for name in ("notes", "service"):
        scene.category(desk.person.subject, name)
    scene.run()
    address = desk.vault.bundle.catalogue.category("address").id
    assert {field_id // 100 for field_id, *_ in kept(desk)} == {address}
    assert rows(desk.vault, "SELECT count(*) FROM withheld_text") == [(0,)]
    change(desk.vault, desk.person, append={"advisor_notes": [NOTE], "repairs": [REPAIR]})
    (note,), (repair,) = held(desk, "advisor_notes"), held(desk, "repairs")
    assert note.item == at[1]  # the number that the other had
    assert (note.unreviewed, repair.unreviewed, repair.withheld) == (True, True, "")
    assert told(desk, "delivery_instructions")


def test_what_was_read_of_a_field_goes_with_the_field(scene, clock):
    desk = Desk(scene.vault, clock, person(HELD))
    request = desk.reviewed()
    found = read(desk, request)
    withholding.withhold(desk.vault, request.id, *place(found[DOOR]), Ground.RIGHTS_OF_OTHERS, desk.by())
    ended(desk, request)
    numbers = {name: desk.vault.bundle.catalogue.field(name).id for name in KINDS}
    for name in ("advisor_notes", "delivery_instructions"):
        scene.field(desk.person.subject, name)
    assert {field_id for field_id, *_ in kept(desk)} == {numbers["repairs"]}
    assert rows(desk.vault, "SELECT count(*) FROM withheld_text") == [(0,)]


def test_what_was_decided_of_a_text_that_a_waiting_erasure_spares_stays(scene, clock):
    desk = Desk(scene.vault, clock, person(HELD))
    subject = desk.person.subject
    reviewed(desk)
    hold = holds.place(scene.vault, subject, HoldReason.LEGAL_CLAIM, desk.by().actor, "address")
    scene.field(subject, "delivery_instructions")
    change(desk.vault, desk.person, set={"delivery_instructions": "her other brother"})
    request = desk.reviewed(Right.PORTABILITY)
    at = place(read(desk, request)["her other brother"])
    withholding.withhold(desk.vault, request.id, *at, Ground.RIGHTS_OF_OTHERS, desk.by())
    ended(desk, request)
    holds.release(scene.vault, hold.hold, desk.by().actor)
    scene.run()
    number = desk.vault.bundle.catalogue.field("delivery_instructions").id
    assert rows(desk.vault, "SELECT count(*) FROM field_value WHERE field_id = ?", number) == [(1,)]  # the old one went
    assert number not in {field_id for field_id, *_ in kept(desk)}  # what was read of the old one went with it
    assert rows(desk.vault, "SELECT count(*) FROM withheld_text") == [(1,)]
    assert not told(desk, "delivery_instructions")
