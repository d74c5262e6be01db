"""Disclosure: nothing without a covering commit, nothing above the level, nothing from a row that was moved."""

from datetime import UTC, datetime, timedelta

import pytest
from maison_people import (
    ACTOR,
    AURELLE,
    FIELDS,
    VANTIER,
    change,
    grant,
    items,
    look,
    look_all,
    one,
    person,
    rows,
    take_in,
    value,
)

from audit.entry import Act, Entry, Outcome
from policies.levels import Level
from policies.model import Wanted
from vault import disclosure
from vault.errors import IntegrityFailure, UnrecordedDisclosure

DAY = 86_400
ALL = tuple(FIELDS)


@pytest.fixture
def registered(vault):
    return one(take_in(vault))


class Watched:
    """A key service that counts what it unwraps."""

    def __init__(self, keys):
        self._keys = keys
        self.calls = []

    def __getattr__(self, name):
        return getattr(self._keys, name)

    def unwrap(self, wanted):
        self.calls.append(len(wanted))
        return self._keys.unwrap(wanted)


def entry_of(uow):
    return uow.record(Entry(Act.FIELD_DISCLOSED, Outcome.ALLOW, ACTOR))


# --- no plaintext without a durable entry


def test_reveal_refuses_without_the_commit_of_the_entry_and_unwraps_nothing(vault, registered):
    vault.keys = watched = Watched(vault.keys)
    asked = [grant(vault, registered.subject, "phone")]
    with vault.unit() as uow:
        selection = disclosure.select(uow, asked)
        lost = entry_of(uow)  # never committed
    with vault.unit() as uow:
        other = entry_of(uow)
        commit = uow.commit()
    for entries in ([lost], [], [other, lost], [other, other], [b""]):
        with pytest.raises(UnrecordedDisclosure):
            disclosure.reveal(vault, commit, selection, entries)
    assert watched.calls == []


def test_one_unwrap_call_for_a_whole_batch(vault):
    people = take_in(vault, person(), person(), person())
    vault.keys = watched = Watched(vault.keys)
    revealed = look_all(vault, [grant(vault, each.subject, *ALL) for each in people])
    assert watched.calls == [21]
    assert len(revealed) == 3


def test_an_empty_batch_and_an_empty_grant_ask_for_nothing(vault, registered):
    vault.keys = watched = Watched(vault.keys)
    assert look_all(vault, []) == []
    assert list(one(look_all(vault, [grant(vault, registered.subject)]))) == []
    assert watched.calls == []


def test_a_selection_shows_nothing(vault, registered):
    with vault.unit() as uow:
        selection = disclosure.select(uow, [grant(vault, registered.subject, *ALL)])
    assert "envelope" not in repr(selection)
    part = look(vault, registered.subject, "phone")["phone"]
    assert "33639981234" not in repr(part)


# --- levels


def test_each_level_shows_what_it_may(vault, registered):
    levels = [
        ("phone", Level.MASKED),
        ("phone", Level.PRESENCE),
        ("birth_date", Level.GENERALISED),
        ("birth_date", Level.PREDICATE, "over_18"),
        ("ring_size", Level.RAW),
    ]
    revealed = look(vault, registered.subject, *levels)
    masked = revealed.get(Wanted("phone", Level.MASKED))
    assert [each["value"][:3] for each in masked.value] == ["+33", "+97"]
    assert "9981" not in str(masked.value)
    assert revealed.get(Wanted("phone", Level.PRESENCE)).value is True
    assert "17" not in str(revealed.get(Wanted("birth_date", Level.GENERALISED)).value)
    assert revealed.get(Wanted("birth_date", Level.PREDICATE, "over_18")).value is True
    assert revealed["ring_size"].value == FIELDS["ring_size"]
    assert revealed["phone"].level is Level.MASKED


def test_a_narrowed_wish_finds_the_level_that_was_granted_and_no_higher(vault, registered):
    revealed = look(vault, registered.subject, ("phone", Level.MASKED), ("birth_date", Level.PREDICATE, "over_18"))
    assert revealed.get(Wanted("phone", Level.RAW)).level is Level.MASKED
    assert revealed.get(Wanted("phone", Level.GENERALISED)) is None
    assert revealed.get(Wanted("birth_date", Level.RAW)) is None
    assert revealed.get(Wanted("birth_date", Level.PREDICATE, "birthday_this_month")) is None
    assert revealed.get(Wanted("email", Level.RAW)) is None
    with pytest.raises(KeyError):
        revealed["email"]


def test_what_is_not_there_is_said_to_be_absent(vault, registered):
    wanted = [("wrist_size", Level.RAW), ("languages", Level.RAW), ("shoe_size", Level.PRESENCE)]
    revealed = look(vault, registered.subject, *wanted)
    assert [(name, part.present, part.value) for name, part in revealed] == [
        ("wrist_size", False, None),
        ("languages", False, None),
        ("shoe_size", False, False),
    ]


def test_predicates_follow_the_day(vault, clock):
    young = one(take_in(vault, person({"birth_date": "2008-09-22"})))
    asked = ("birth_date", Level.PREDICATE, "over_18")
    assert look(vault, young.subject, asked)["birth_date"].value is False
    clock.advance(DAY)
    assert look(vault, young.subject, asked)["birth_date"].value is True


# --- holders


def test_a_sister_brands_values_need_the_grants_word(vault):
    both = one(take_in(vault, person({"phone": ["+33639981234"]}, vantier=FIELDS | {"phone": ["+33639985555"]})))
    subject = both.subject
    assert value(vault, subject, "phone") == ["+33639981234"]
    assert value(vault, subject, "client_number") is None
    assert look(vault, subject, ("client_number", Level.PRESENCE))["client_number"].value is False
    assert value(vault, subject, "phone", group=True) == ["+33639981234", "+33639985555"]
    assert value(vault, subject, "client_number", group=True) == "AU-0042"


def test_the_own_value_comes_first_else_the_newest_shared_one(vault, clock):
    both = one(
        take_in(vault, person({"client_number": "A"}, vantier={"client_number": "V"}, solenne={"client_number": "S"}))
    )
    clock.advance(DAY)
    change(vault, both, brand=VANTIER, set={"client_number": "V2"})
    assert value(vault, both.subject, "client_number", group=True) == "A"
    change(vault, both, end={"client_number": [0]})
    assert value(vault, both.subject, "client_number", group=True) == "V2"
    assert value(vault, both.subject, "client_number") is None


# --- time


def test_a_value_is_shown_on_the_days_it_holds(vault, clock):
    dated = {"value": "notary", "valid_from": "2026-09-22", "valid_until": "2026-09-23"}
    registered = one(take_in(vault, person({"profession": dated})))
    seen = []
    for _ in range(4):  # from 2026-09-21 on
        seen.append(value(vault, registered.subject, "profession"))
        clock.advance(DAY)
    assert seen == [None, "notary", "notary", None]


def test_grants_of_one_batch_are_answered_each_by_its_own_day(vault, registered, clock):
    subject = registered.subject
    first = datetime.fromtimestamp(clock.now(), UTC).date()
    clock.advance(DAY)
    change(vault, registered, set={"client_number": "AU-2"})
    days = [None, first, first - timedelta(1), None]
    with vault.unit() as uow:
        asked = [grant(vault, subject, "client_number") for _ in days]
        selection = disclosure.select(uow, asked, as_known_on=days)
        entries = [entry_of(uow) for _ in days]
        commit = uow.commit()
    revealed = disclosure.reveal(vault, commit, selection, entries)
    assert [each["client_number"].value for each in revealed] == ["AU-2", "AU-0042", None, "AU-2"]


def test_the_history_answers_as_known_on_a_day(vault, registered, clock):
    subject = registered.subject
    days = [datetime.fromtimestamp(clock.now() + place * DAY, UTC).date() for place in range(-1, 6)]
    clock.advance(DAY)
    change(vault, registered, set={"client_number": "AU-2"}, append={"phone": ["+33639985555"]})
    clock.advance(DAY)
    (first, *_) = items(vault, subject, "phone")
    change(vault, registered, end={"phone": [first]}, set={"client_number": "AU-3"})
    clock.advance(DAY)
    change(vault, registered, set={"phone": ["+33639986666"]}, correct={"client_number": "AU-4"})
    known = [
        (value(vault, subject, "client_number", known_on=day), value(vault, subject, "phone", known_on=day))
        for day in days
    ]
    a, b, c, d = "+33639981234", "+971501234567", "+33639985555", "+33639986666"
    assert known == [
        (None, None),
        ("AU-0042", [a, b]),
        ("AU-2", [a, b, c]),
        ("AU-2", [b, c]),  # what was said on this day, AU-3, was wrong and is gone
        ("AU-4", [d]),
        ("AU-4", [d]),
        ("AU-4", [d]),
    ]


# --- tampering: one field fails, always alike, the others stand


def failed(revealed):
    return {name for name, part in revealed if isinstance(part, IntegrityFailure)}


OTHERS = "SET envelope = (SELECT b.envelope FROM field_value b WHERE b.subject_id {} field_value.subject_id AND b.{}) WHERE {}"
OWN = "subject_id = (SELECT subject_id FROM field_value WHERE field_id = 102)"
MOVES = {
    "subject": (OTHERS.format("<>", "field_id = 101", f"field_id = 101 AND {OWN}"), "client_number"),
    "field": (OTHERS.format("=", "field_id = 102", f"field_id = 101 AND {OWN}"), "client_number"),
    "item": (OTHERS.format("=", "field_id = 201 AND b.version = 2", "field_id = 201 AND version = 1"), "phone"),
    "version": ("SET version = 77 WHERE field_id = 101", "client_number"),
    "item number": ("SET item = 77 WHERE field_id = 201 AND version = 1", "phone"),
    "schema version": ("SET schema_version = schema_version + 1 WHERE field_id = 601", "ring_size"),
    "field number": ("SET field_id = 103 WHERE field_id = 101", "known_as"),
    "holder": ("SET holder = 'aurelle' WHERE holder = 'vantier'", "profession"),
}


@pytest.mark.parametrize(("tampering", "hurt"), MOVES.values(), ids=MOVES)
def test_a_row_moved_anywhere_fails_its_field_alone(vault, tampering, hurt):
    people = take_in(vault, person(vantier={"profession": "notary"}), person({"client_number": "B"}))
    subject = people[0].subject
    asked = (*ALL, "known_as", "profession")
    before = look(vault, subject, *asked)
    assert not failed(before)
    assert rows(vault, f"UPDATE field_value {tampering}")
    after = look(vault, subject, *asked)
    assert failed(after) == {hurt}
    moved_away = {"client_number"} if hurt == "known_as" else set()
    assert all(after[name] == before[name] for name in set(asked) - {hurt} - moved_away)
    assert (type(after[hurt]), str(after[hurt])) == (IntegrityFailure, "")


def test_every_byte_of_an_envelope_is_bound(vault, registered):
    subject = registered.subject
    (whole,) = rows(vault, "SELECT envelope FROM field_value WHERE field_id = 101")[0]
    whole = bytes(whole)
    altered = [whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :] for place in range(0, len(whole), 7)]
    for stored in [*altered, whole[:-1], whole + b"\0", b"", whole[:46]]:
        rows(vault, "UPDATE field_value SET envelope = ? WHERE field_id = 101", stored)
        assert failed(look(vault, subject, *ALL)) == {"client_number"}
    rows(vault, "UPDATE field_value SET envelope = ? WHERE field_id = 101", whole)
    assert not failed(look(vault, subject, *ALL))


def test_presence_and_predicates_are_no_way_around_a_tampered_row(vault, registered):
    rows(vault, "UPDATE field_value SET version = 9 WHERE field_id = 401")
    revealed = look(
        vault, registered.subject, ("birth_date", Level.PRESENCE), ("birth_date", Level.PREDICATE, "over_18")
    )
    assert [type(part) for _, part in revealed] == [IntegrityFailure, IntegrityFailure]


def test_another_row_does_not_paper_over_a_tampered_one(vault):
    both = one(take_in(vault, person({"client_number": "A"}, vantier={"client_number": "V"})))
    rows(vault, "UPDATE field_value SET version = 9 WHERE holder = ?", AURELLE)
    assert isinstance(value(vault, both.subject, "client_number", group=True), IntegrityFailure)


def test_a_compartment_pointed_at_another_leaf_opens_nothing_and_harms_nobody_else(vault):
    hurt, fine = take_in(vault, person(), person())
    rows(
        vault,
        "UPDATE compartment SET slot = (SELECT slot FROM compartment WHERE subject_id = ? AND category_id = 1)"
        " WHERE subject_id = ? AND category_id = 2",
        fine.subject,
        hurt.subject,
    )
    first, second = look_all(vault, [grant(vault, each.subject, *ALL) for each in (hurt, fine)])
    assert failed(first) == {"phone", "email"}
    assert not failed(second)


def test_grants_of_one_batch_do_not_mix(vault):
    people = take_in(vault, *[person({"client_number": f"N{each}", "phone": ["+33639981234"]}) for each in range(5)])
    asked = [
        grant(vault, each.subject, *(["client_number"] if place % 2 else ["phone"]))
        for place, each in enumerate(people)
    ]
    asked.append(grant(vault, people[1].subject, "client_number", brand=VANTIER))
    asked.append(grant(vault, people[1].subject, ("phone", Level.PRESENCE)))
    revealed = look_all(vault, asked)
    assert [revealed[place]["client_number"].value for place in (1, 3)] == ["N1", "N3"]
    assert [name for name, _ in revealed[0]] == ["phone"]
    assert revealed[5]["client_number"].value is None
    assert revealed[6]["phone"].value is True
