"""Consents: evidence in a chain, a projection of it, and a withdrawal that nothing can outrun."""

import dataclasses

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import given as for_any
from hypothesis import strategies as st
from maison_people import AURELLE, VANTIER, given, one, person, rows, take_in

import audit.entry
from policies.model import ConsentStatus
from vault.consents import Change, ConsentAct, ConsentEvent, Notice, record, statuses, verify_chain
from vault.errors import IntegrityFailure, InvalidFields, UnknownPurpose, UnknownReference
from vault.unit import execute

YEAR = 365 * 86_400
KEY = "clienteling"


@pytest.fixture
def registered(vault):
    return one(take_in(vault, person(vantier={})))


def did(act, purpose=KEY, **more):
    return ConsentEvent(purpose, act, "boutique", **more)


def tell(vault, registered, *events, brand=AURELLE):
    return execute(
        vault, record, [Change(registered.references[brand], brand, f"{brand}-crm", each) for each in events]
    )


def now(vault, registered, brand=AURELLE):
    with vault.unit() as uow:
        return dict(statuses(uow, brand, [registered.subject])[registered.subject])


def checked(vault, registered, brand=AURELLE):
    with vault.unit() as uow:
        return verify_chain(uow, registered.subject, brand)


def test_given_withdrawn_given_again(vault, registered):
    first, second, third = tell(vault, registered, given(), did(ConsentAct.WITHDRAWN), given())
    assert [each.state for each in (first, second, third)] == ["given", "withdrawn", "given"]
    assert [each.epoch for each in (first, second, third)] == [1, 2, 3]
    assert now(vault, registered) == {KEY: ConsentStatus.GIVEN}
    assert checked(vault, registered) == 3


def test_a_brands_consent_is_its_own(vault, registered):
    tell(vault, registered, given())
    assert now(vault, registered, VANTIER) == {}
    tell(vault, registered, did(ConsentAct.OBJECTED), brand=VANTIER)
    assert now(vault, registered) == {KEY: ConsentStatus.GIVEN}
    assert (checked(vault, registered), checked(vault, registered, VANTIER)) == (1, 1)


def test_withdrawing_needs_no_field_that_giving_does_not_need(vault, registered):
    needed = {"purpose", "act", "channel"}
    required = {each.name for each in dataclasses.fields(ConsentEvent) if each.default is dataclasses.MISSING}
    assert required == needed
    (refused,) = tell(vault, registered, did(ConsentAct.GIVEN))
    assert refused.problems == (("notice", "missing"),)
    (withdrawn,) = tell(vault, registered, did(ConsentAct.WITHDRAWN))
    assert withdrawn.state is ConsentStatus.WITHDRAWN


@pytest.mark.parametrize(
    ("event", "problem"),
    [
        (given(notice="hospitality"), ("notice", "not_for_this_purpose")),
        (ConsentEvent(KEY, ConsentAct.GIVEN, "web", Notice(KEY, 99, "fr")), ("notice", "unknown_notice")),
        (ConsentEvent(KEY, ConsentAct.GIVEN, "web", Notice(KEY, 1, "xx")), ("notice", "unknown_notice")),
        (ConsentEvent(KEY, ConsentAct.WITHDRAWN, ""), ("channel", "not_a_code")),
        (given(place="Place Vendôme"), ("place", "not_a_code")),
        (given(collector="jeanne@example.com"), ("collector", "not_a_code")),
        (given(collector="x" * 65), ("collector", "not_a_code")),
        (given(collector="0639981234"), ("collector", "looks_like_contact_data")),
        (given(collector="06.39.98.12.34"), ("collector", "looks_like_contact_data")),
        (given(place="tel:33-6-39-98-12-34"), ("place", "looks_like_contact_data")),
        (given(place="00971/50/123/4567/shop"), ("place", "looks_like_contact_data")),
        (given(place="123-4567"), ("place", "looks_like_contact_data")),
        (ConsentEvent(KEY, ConsentAct.WITHDRAWN, "33639981234"), ("channel", "looks_like_contact_data")),
        (given(event_at=9_999_999_999), ("event_at", "not_in_the_past")),
        (given(event_at=-1), ("event_at", "not_in_the_past")),
        (given("service.repair", notice="clienteling"), ("purpose", "takes_no_consent")),
    ],
)
def test_what_would_be_no_evidence_is_refused(vault, registered, event, problem):
    (error,) = tell(vault, registered, event)
    assert isinstance(error, InvalidFields)
    assert problem in error.problems
    assert rows(vault, "SELECT count(*) FROM consent_event") == [(0,)]


@pytest.mark.parametrize(
    "word", ["s-1234567", "advisor.17", "par:8:0042", "2026-11", "staff-00012345", "1234.56", "7fa93c02e1"]
)
def test_codes_with_digits_are_codes(vault, registered, word):
    (taken,) = tell(vault, registered, given(place=word, collector=word))
    assert taken.state is ConsentStatus.GIVEN


def test_strangers_and_unknown_purposes_fail_alone(vault, registered):
    answers = execute(
        vault,
        record,
        [
            Change(registered.references[VANTIER], AURELLE, "s", given("no.such")),
            Change(registered.references[AURELLE], AURELLE, "s", given("no.such")),
            Change(registered.references[AURELLE], AURELLE, "s", given()),
        ],
    )
    assert [type(each) for each in answers[:2]] == [UnknownReference, UnknownPurpose]
    assert answers[2].state is ConsentStatus.GIVEN


def test_a_consent_lasts_as_long_as_the_purpose_says(vault, registered, clock):
    tell(vault, registered, given())
    clock.advance(3 * YEAR - 1)
    assert now(vault, registered) == {KEY: ConsentStatus.GIVEN}
    clock.advance(1)
    assert now(vault, registered) == {KEY: ConsentStatus.EXPIRED}
    tell(vault, registered, given())
    assert now(vault, registered) == {KEY: ConsentStatus.GIVEN}


def test_a_withdrawal_counts_however_late_or_early_its_clock(vault, registered, clock):
    tell(vault, registered, given(event_at=clock.now() + 200))
    (late,) = tell(vault, registered, did(ConsentAct.WITHDRAWN, event_at=clock.now() - YEAR))
    assert late.state is ConsentStatus.WITHDRAWN
    (older,) = tell(vault, registered, given(event_at=clock.now() - 1))
    assert (older.state, older.epoch) == (ConsentStatus.WITHDRAWN, 3)
    (newer,) = tell(vault, registered, given())
    assert newer.state is ConsentStatus.GIVEN
    assert checked(vault, registered) == 4


def test_an_objection_stands_until_it_is_lifted(vault, registered):
    _, lifted, none = tell(
        vault,
        registered,
        did(ConsentAct.OBJECTED),
        did(ConsentAct.OBJECTION_LIFTED),
        did(ConsentAct.WITHDRAWN, "marketing"),
    )
    assert lifted.state is ConsentStatus.NONE
    assert none.state is ConsentStatus.WITHDRAWN
    (unmoved,) = tell(vault, registered, did(ConsentAct.OBJECTION_LIFTED, "marketing"))
    assert unmoved.state is ConsentStatus.WITHDRAWN
    assert checked(vault, registered) == 4


def test_imported_history_ends_with_what_happened_last(vault, clock):
    early, late = clock.now() - 2 * YEAR, clock.now() - YEAR
    history = [given(event_at=late), did(ConsentAct.WITHDRAWN, event_at=early)]
    registered = one(take_in(vault, person(consents=history)))
    assert now(vault, registered) == {KEY: ConsentStatus.GIVEN}
    assert checked(vault, registered) == 2


def test_the_evidence_is_stored_with_the_hash_of_what_was_shown(vault, registered, clock):
    tell(vault, registered, given(place="paris.vendome", collector="advisor-17", event_at=clock.now() - 60))
    (row,) = rows(
        vault,
        "SELECT notice_hash, place, collector, event_at, recorded_at, basis, jurisdiction, purpose_version FROM consent_event",
    )
    assert bytes(row[0]) == vault.bundle.notices[KEY, 1, "fr"].hash
    assert tuple(row[1:]) == ("paris.vendome", "advisor-17", clock.now() - 60, clock.now(), "consent", "eu", 1)


def test_each_event_has_its_entry(vault, registered):
    answers = tell(vault, registered, given(), did(ConsentAct.WITHDRAWN), did(ConsentAct.OBJECTED))
    bodies = [audit.entry.decode(bytes(body)) for (body,) in rows(vault, "SELECT body FROM log_entry ORDER BY idx")][
        -3:
    ]
    assert [each["act"] for each in bodies] == ["consent.given", "consent.withdrawn", "consent.objected"]
    assert [each["id"] for each in bodies] == [each.entry.hex() for each in answers]
    assert all(each["pur"] == KEY and "sref" in each for each in bodies)


TAMPERINGS = {
    "a changed state": "UPDATE consent_event SET state = 'given' WHERE state = 'withdrawn'",
    "a changed time": "UPDATE consent_event SET event_at = event_at - 1 WHERE state = 'withdrawn'",
    "a changed place": "UPDATE consent_event SET place = 'tokyo' WHERE state = 'withdrawn'",
    "a changed notice": "UPDATE consent_event SET notice_version = 2 WHERE state = 'given'",
    "a missing first": "DELETE FROM consent_event WHERE recorded_at = (SELECT min(recorded_at) FROM consent_event)",
    "a missing middle": "DELETE FROM consent_event WHERE state = 'withdrawn'",
    "a missing last": "DELETE FROM consent_event WHERE recorded_at = (SELECT max(recorded_at) FROM consent_event)",
    "all missing": "DELETE FROM consent_event",
    "a projection set back": "UPDATE consent_state SET epoch = epoch - 1",
    "a projection gone": "DELETE FROM consent_state",
}


@pytest.mark.parametrize("tampering", TAMPERINGS.values(), ids=TAMPERINGS)
def test_the_chain_shows_tampering(vault, registered, clock, tampering):
    for event in (given(), did(ConsentAct.WITHDRAWN), did(ConsentAct.OBJECTED)):
        tell(vault, registered, event)
        clock.advance(10)
    assert checked(vault, registered) == 3
    rows(vault, tampering)
    with pytest.raises(IntegrityFailure):
        checked(vault, registered)


def test_nothing_is_added_to_a_forked_chain(vault, registered):
    tell(vault, registered, given(), did(ConsentAct.WITHDRAWN))
    rows(vault, "UPDATE consent_event SET previous_hash = ?", bytes(32))
    (error,) = tell(vault, registered, given())
    assert isinstance(error, IntegrityFailure)


def test_an_empty_chain_is_whole(vault, registered):
    assert checked(vault, registered) == 0


OWN_ACTS = (ConsentAct.GIVEN, ConsentAct.WITHDRAWN, ConsentAct.OBJECTED, ConsentAct.OBJECTION_LIFTED)
moments = st.tuples(st.sampled_from(OWN_ACTS), st.integers(-500, 250), st.integers(0, 50), st.booleans())


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@for_any(story=st.lists(moments, max_size=8))
def test_after_any_story_a_restriction_told_last_stands(vault, clock, story):
    registered = one(take_in(vault))
    events = []
    for act, offset, passing, together in story:
        notice = Notice(KEY, 1, "fr") if act is ConsentAct.GIVEN else None
        events.append(ConsentEvent(KEY, act, "web", notice, event_at=clock.now() + offset))
        if not together:
            tell(vault, registered, *events)
            events = []
            clock.advance(passing)
    tell(vault, registered, *events)
    assert checked(vault, registered) == len(story)
    state = now(vault, registered).get(KEY, ConsentStatus.NONE)
    if story and story[-1][0] in {ConsentAct.WITHDRAWN, ConsentAct.OBJECTED}:
        assert state == story[-1][0].value
    if not any(act is ConsentAct.GIVEN for act, *_ in story):
        assert state is not ConsentStatus.GIVEN
    epoch = rows(vault, "SELECT sum(epoch) FROM consent_state WHERE subject_id = ?", registered.subject)[0][0]
    assert (epoch or 0) == len(story)
