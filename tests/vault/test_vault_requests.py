"""Requests: receipt, the clock, who may do what, what is kept of them and what is not; on both engines."""

import pytest
from maison_people import AURELLE, VANTIER, change, given, one, person, take_in
from policy_officers import APPROVER, AUTHOR
from request_desk import DAY, SECRET, Desk
from sqlalchemy import event

from policies.rights import Assurance, Right
from vault import consents
from vault.consents import Change
from vault.erasure import requests as erasures
from vault.errors import (
    IntegrityFailure,
    InvalidFields,
    NotSigned,
    Refused,
    UnknownOfficer,
    UnknownReference,
    UnknownRequest,
)
from vault.officers import FOUNDERS, Role
from vault.requests import content, handling
from vault.requests.content import Content
from vault.requests.intake import MOST_OPEN, of_system
from vault.requests.records import Ground, Outcome, Requester, Source, Wanted, protocol_reason
from vault.requests.states import IllegalMove, Move, State
from vault.requests.steps import STOPPING, by_officer, by_vault
from vault.store.tables import metadata
from vault.unit import execute


@pytest.fixture
def desk(vault, clock):
    return Desk(vault, clock)


def problems(answer):
    assert isinstance(answer, InvalidFields)
    return set(answer.problems)


# ------------------------------------------------------------------------------------------------------- receipt


@pytest.mark.parametrize("right", sorted(set(Right) - STOPPING))
def test_a_request_is_received_and_confirmed_at_once(desk, right):
    request = desk.ask(right)
    assert request.state is State.SCOPING
    assert desk.moves(request) == [Move.RECEIVE, Move.ACKNOWLEDGE, Move.ACCEPT_IDENTITY]
    assert request.jurisdiction == "eu"
    acts = [each["act"] for each in desk.log()[-3:]]
    assert acts == ["request.received", "request.advanced", "request.advanced"]
    assert all("sref" in each for each in desk.log()[-3:])


@pytest.mark.parametrize("right", sorted(STOPPING))
def test_what_only_stops_something_is_done_at_once(desk, right):
    """As easily as it was given (Art. 7(3)): no code, no officer, and the consent is dead when the answer comes."""
    one(
        execute(desk.vault, consents.record, [Change(desk.person.references[AURELLE], AURELLE, "aurelle-crm", given())])
    )
    request = desk.ask(right, assurance=Assurance.NONE)
    assert (request.state, request.outcome) == (State.CLOSED, Outcome.GRANTED)
    with desk.vault.unit() as uow:
        status = consents.statuses(uow, AURELLE, [desk.person.subject])[desk.person.subject]["clienteling"]
    assert status == ("objected" if right is Right.OBJECTION else "withdrawn")
    assert "consent.objected" in {each["act"] for each in desk.log()} or right is Right.CONSENT_WITHDRAWAL


def test_an_agent_stops_with_a_mandate(desk):
    agent = {"requester": Requester.AGENT, "mandate_hash": b"\x01" * 32}
    assert desk.ask(Right.OBJECTION, assurance=Assurance.NONE, **agent).state is State.CLOSED


def test_who_is_not_known_well_enough_is_to_be_asked(desk):
    assert desk.ask(assurance=Assurance.NONE).state is State.ACKNOWLEDGED
    assert desk.ask(Right.ERASURE, assurance=Assurance.PURCHASE).state is State.ACKNOWLEDGED


def test_an_agent_is_never_taken_as_the_person(desk):
    """A mandate says who may ask, not who it is about: the person is asked, at a contact point on file."""
    agent = {"requester": Requester.AGENT, "mandate_hash": b"\x01" * 32, "content": Content(agent="Me Delorme")}
    request = desk.ask(Right.ACCESS, assurance=Assurance.DOCUMENT, **agent)
    assert (request.assurance, request.state) == (Assurance.NONE, State.ACKNOWLEDGED)
    assert desk.ask(Right.RESTRICTION, **agent).state is State.ACKNOWLEDGED


def test_an_agent_needs_a_mandate_and_nobody_else_has_one(desk):
    assert problems(desk.answer(requester=Requester.AGENT)) == {("mandate_hash", "mandate_missing")}
    assert problems(desk.answer(mandate_hash=b"\x01" * 32)) == {("mandate_hash", "no_agent")}
    short = desk.answer(requester=Requester.AGENT, mandate_hash=b"short")
    assert problems(short) == {("mandate_hash", "not_a_hash")}
    assert problems(desk.answer(content=Content(agent="x"))) == {("agent", "no_agent")}


def test_a_guardian_has_to_be_linked_to_a_minor(desk):
    assert problems(desk.answer(requester=Requester.GUARDIAN)) == {("requester", "guardian_not_linked")}


def test_a_brand_cannot_say_what_only_we_can_check(desk):
    assert problems(desk.answer(assurance=Assurance.CODE)) == {("assurance", "not_yours_to_say")}


@pytest.mark.parametrize(
    ("right", "more", "problem"),
    [
        (Right.ACCESS, {"names": ("nonsense",)}, ("names", "unknown_category")),
        (Right.ACCESS, {"language": "de"}, ("language", "unknown_language")),
        (Right.ACCESS, {"content": Content(words="x" * 4001)}, ("words", "too_long")),
        (Right.ACCESS, {"content": Content(values={"email": []})}, ("values", "takes_no_values")),
        (Right.RECTIFICATION, {"content": Content()}, ("values", "missing")),
        (Right.RECTIFICATION, {"content": Content(values={"shoe": 1})}, ("values.shoe", "unknown_field")),
        (Right.COMPLAINT, {"names": ("contact",)}, ("names", "takes_no_names")),
        (Right.RESTRICTION, {"names": ()}, ("names", "unknown_ground")),
        (Right.RESTRICTION, {"names": ("restored",)}, ("names", "unknown_ground")),
        (Right.OBJECTION, {"names": ()}, ("names", "missing")),
        (Right.OBJECTION, {"names": ("no.purpose",)}, ("names", "unknown_purpose")),
        (Right.CONSENT_WITHDRAWAL, {"names": ("legal.accounting",)}, ("names", "takes_no_consent")),
        (Right.ERASURE, {"names": ("contact",) * 65}, ("names", "too_many")),
    ],
)
def test_what_cannot_be_meant_is_refused(desk, right, more, problem):
    assert problem in problems(desk.answer(right, **more))
    with desk.vault.reading() as conn:
        assert conn.execute(metadata.tables["subject_request"].select()).first() is None


def test_a_stranger_hears_nothing_but_unknown(desk):
    assert isinstance(desk.answer(reference="ref_" + "0" * 26), UnknownReference)
    assert isinstance(desk.answer(brand=VANTIER), UnknownReference)
    erasures.erase(desk.vault, [erasures.Erase(desk.person.subject, by_vault(desk.vault).actor)])
    assert isinstance(desk.answer(), UnknownReference)


def test_a_flood_ends(desk):
    # each about something else, so that none is a duplicate
    names = [each.name for each in desk.vault.bundle.catalogue.categories]
    asked = [(right, (name,)) for right in (Right.ACCESS, Right.PORTABILITY, Right.ERASURE) for name in names]
    for right, name in asked[:MOST_OPEN]:
        desk.ask(right, names=name)
    answer = desk.answer(asked[MOST_OPEN][0], names=asked[MOST_OPEN][1])
    assert isinstance(answer, Refused)
    assert answer.code == "too_many_requests"


# ---------------------------------------------------------------------------------------------------- duplicates


def test_a_duplicate_leads_to_nothing(desk):
    first = desk.ask(content=Content(words="once"))
    second = desk.ask(content=Content(words="twice"))
    assert (second.state, second.duplicate_of, second.outcome) == (State.DUPLICATE, first.id, Outcome.DUPLICATE)
    assert not second.has_content
    for move in Move:
        with pytest.raises((IllegalMove, InvalidFields)):
            handling.advance(desk.vault, second.id, move, desk.by())


def test_a_duplicate_gives_and_gains_no_identity(desk):
    """GHSA-qx5f-ghc2-7g5c elsewhere: whoever files again what a verified person filed must not be taken for verified."""
    verified = desk.ask()
    stranger = desk.ask(assurance=Assurance.NONE)
    assert (stranger.state, stranger.assurance) == (State.DUPLICATE, Assurance.NONE)
    assert desk.history(verified)[0].assurance is Assurance.SIGNED_IN
    with pytest.raises(IllegalMove):
        handling.accept(desk.vault, stranger.id, Assurance.DOCUMENT, desk.by())


def test_a_strangers_request_does_not_stand_in_the_persons_way(desk):
    stranger = desk.ask(assurance=Assurance.NONE)
    mine = desk.ask()
    assert mine.state is State.SCOPING
    assert desk.history(stranger)[0].state is State.ACKNOWLEDGED  # and is no better known for it
    assert desk.history(stranger)[0].assurance is Assurance.NONE


def test_what_is_over_or_about_something_else_makes_no_duplicate(desk):
    first = desk.ask()
    assert desk.ask(names=("contact",)).state is State.SCOPING
    assert desk.ask(Right.PORTABILITY).state is State.SCOPING
    desk.advance(first, Move.WITHDRAW)
    assert desk.ask().state is State.SCOPING


# ------------------------------------------------------------------------------------------------- identity, clock


def test_the_clock_stands_while_the_person_is_asked(desk, clock):
    request = desk.advance(desk.ask(assurance=Assurance.NONE), Move.ASK_IDENTITY)
    due = request.due_at
    clock.advance(5 * DAY)
    with desk.vault.reading() as conn:
        seen = handling.records.get(conn, request.id)
    assert seen.due(desk.vault.bundle.rights, clock.now()) >= due + 4 * DAY
    proven = handling.accept(desk.vault, request.id, Assurance.DOCUMENT, desk.by())
    assert (proven.clock.paused_days, proven.clock.paused_at) == (5, None)
    assert proven.due_at >= due + 5 * DAY


def test_who_asks_late_stops_no_clock(desk, clock):
    request = desk.ask(assurance=Assurance.NONE)
    clock.advance(4 * DAY)
    assert desk.advance(request, Move.ASK_IDENTITY).clock.paused_at is None


def test_identity_has_to_reach_the_rung(desk):
    request = desk.advance(desk.ask(Right.ERASURE, assurance=Assurance.NONE), Move.ASK_IDENTITY)
    for rung in (Assurance.NONE, Assurance.PURCHASE, Assurance.CODE):
        with pytest.raises(InvalidFields):
            handling.accept(desk.vault, request.id, rung, desk.by())
    assert handling.accept(desk.vault, request.id, Assurance.DOCUMENT, desk.by()).state is State.SCOPING


def test_who_does_not_prove_it_gets_nothing_and_may_try_again(desk):
    request = desk.advance(desk.ask(assurance=Assurance.NONE), Move.ASK_IDENTITY)
    failed = desk.advance(request, Move.FAIL_IDENTITY, reason="no_answer")
    assert failed.state is State.IDENTITY_FAILED
    assert desk.advance(failed, Move.ASK_IDENTITY).state is State.IDENTITY_CHECK
    closed = desk.advance(desk.advance(failed, Move.FAIL_IDENTITY, reason="no_answer"), Move.CLOSE)
    assert (closed.outcome, closed.is_open) == (Outcome.UNVERIFIED, False)


def test_more_time_is_there_once_and_in_time(desk, clock):
    request = desk.ask()
    with pytest.raises(InvalidFields):
        desk.advance(request, Move.EXTEND)
    longer = desk.advance(request, Move.EXTEND, reason="complexity")
    assert longer.due_at > request.due_at + 55 * DAY
    with pytest.raises(IllegalMove):
        desk.advance(longer, Move.EXTEND, reason="complexity")
    late = desk.ask(Right.PORTABILITY)
    clock.seconds = late.due_at
    with pytest.raises(IllegalMove):
        desk.advance(late, Move.EXTEND, reason="complexity")


def test_a_halt_stops_the_work_and_not_the_clock(desk, clock):
    request = desk.advance(desk.ask(), Move.COLLECT)
    halted = desk.advance(request, Move.HALT, reason="awaiting_counsel")
    clock.advance(3 * DAY)
    again = desk.advance(halted, Move.RESUME)
    assert (again.state, again.due_at) == (State.COLLECTING, request.due_at)


# ------------------------------------------------------------------------------------------------------- refusal


def test_a_refusal_takes_a_ground_and_two_officers(desk):
    request = desk.reviewed()
    proposed = handling.propose_refusal(desk.vault, request.id, Ground.UNFOUNDED, desk.by())
    assert proposed.state is State.REFUSAL_PROPOSED
    with pytest.raises(NotSigned, match="nobody approves their own"):
        handling.decide_refusal(desk.vault, request.id, desk.by(), confirm=True)
    with pytest.raises(NotSigned):
        handling.decide_refusal(desk.vault, request.id, desk.by(signed=False), confirm=True)
    refused = handling.decide_refusal(desk.vault, request.id, desk.by(APPROVER), confirm=True)
    assert (refused.state, refused.outcome, refused.ground) == (State.REFUSED, Outcome.REFUSED, Ground.UNFOUNDED)
    assert desk.log()[-1]["act"] == "request.refused"
    assert "ground:unfounded" in desk.log()[-1]["pol"]
    assert desk.advance(refused, Move.CLOSE).outcome is Outcome.REFUSED


def test_nobody_else_can_refuse_by_other_ways(desk):
    request = desk.reviewed()
    with pytest.raises(IllegalMove):
        handling.decide_refusal(desk.vault, request.id, desk.by(APPROVER), confirm=True)
    for move in (Move.PROPOSE_REFUSAL, Move.CONFIRM_REFUSAL, Move.CONFIRM_PARTIAL, Move.EXECUTE, Move.PREPARE):
        with pytest.raises(IllegalMove):
            handling.advance(desk.vault, request.id, move, desk.by())


def test_a_refusal_that_is_turned_down_leads_back(desk):
    request = desk.reviewed()
    handling.propose_refusal(desk.vault, request.id, Ground.UNFOUNDED, desk.by())
    back = handling.decide_refusal(desk.vault, request.id, desk.by(APPROVER), confirm=False)
    assert (back.state, back.ground, back.outcome) == (State.OFFICER_REVIEW, None, Outcome.OPEN)


def test_a_refusal_in_part_goes_on_with_the_rest(desk):
    request = desk.reviewed()
    with pytest.raises(InvalidFields):
        handling.propose_refusal(desk.vault, request.id, Ground.RIGHTS_OF_OTHERS, desk.by(), ["nonsense"])
    handling.propose_refusal(desk.vault, request.id, Ground.RIGHTS_OF_OTHERS, desk.by(), ["notes"])
    part = handling.decide_refusal(desk.vault, request.id, desk.by(APPROVER), confirm=True)
    assert (part.state, part.outcome, part.kept) == (State.OFFICER_REVIEW, Outcome.PARTIALLY_GRANTED, ("notes",))


@pytest.mark.parametrize("ground", list(Ground))
def test_every_ground_has_a_reason_of_the_protocol(ground):
    reasons = {
        "suspected_fraud", "insuf_verification", "no_match", "claim_not_covered", "outside_jurisdiction",
        "too_many_requests", "other",
    }  # fmt: skip
    assert protocol_reason(ground) in reasons


# ---------------------------------------------------------------------------------------------------------- who may


@pytest.mark.parametrize("role", [Role.AUDITOR, Role.OPERATOR])
def test_who_does_not_handle_requests_does_not(desk, role):
    desk.officers.add("someone", role)
    request = desk.ask()
    with pytest.raises(NotSigned):
        desk.advance(request, Move.COLLECT, officer="someone")
    with pytest.raises(NotSigned):
        handling.view(desk.vault, request.id, desk.by("someone"))
    denied = [each for each in desk.log() if each["act"] == "request.denied"]
    assert [each["actor"]["id"] for each in denied] == ["someone"]


def test_a_founder_handles_nothing(desk):
    desk.officers.add(FOUNDERS[0], Role.COMPLIANCE)
    with pytest.raises(NotSigned):
        desk.advance(desk.ask(), Move.COLLECT, officer=FOUNDERS[0])


def test_who_is_gone_or_never_was_does_nothing(desk):
    request = desk.ask()
    with pytest.raises(UnknownOfficer):
        handling.advance(desk.vault, request.id, Move.COLLECT, by_officer("nobody"))
    with pytest.raises(UnknownOfficer):
        by_officer("not an id")


def test_a_signature_is_good_for_one_step_of_one_request(desk):
    request, kept = desk.ask(), []

    def remember(message):
        kept.append(desk.officers.signing(AUTHOR)(message))
        return kept[-1]

    handling.advance(desk.vault, request.id, Move.COLLECT, by_officer(AUTHOR, remember))
    for other, move in ((request, Move.REVIEW), (desk.ask(Right.PORTABILITY), Move.COLLECT)):
        with pytest.raises(NotSigned):
            handling.advance(desk.vault, other.id, move, by_officer(AUTHOR, lambda _: kept[0]))
    assert [each.signed for each in desk.history(request)[1]] == [False, False, False, True]


def test_a_brand_may_take_a_request_back_and_nothing_more(desk):
    request = desk.ask()
    with pytest.raises(Refused):
        handling.advance(desk.vault, request.id, Move.COLLECT, of_system("aurelle-crm"))
    with pytest.raises(UnknownRequest):
        handling.advance(desk.vault, request.id, Move.WITHDRAW, of_system("vantier-crm"), brand=VANTIER)
    back = handling.advance(desk.vault, request.id, Move.WITHDRAW, of_system("aurelle-crm"), brand=AURELLE)
    assert (back.state, back.outcome) == (State.WITHDRAWN, Outcome.WITHDRAWN)


def test_a_register_row_says_nothing_of_the_person(desk):
    desk.ask(content=Content(words=SECRET))
    (row,) = handling.register(desk.vault, Wanted(brand=AURELLE, open_only=True), desk.by())
    assert desk.person.references[AURELLE] not in repr(row)
    assert desk.person.subject.hex() not in repr(row)
    assert repr(desk.person.subject) not in repr(row)
    assert desk.log()[-1]["act"] == "request.listed"


def test_the_register_is_sifted(desk, clock):
    first, second = desk.ask(), desk.ask(Right.COMPLAINT)
    by = desk.by()

    def names(**wanted):
        return [each.name for each in handling.register(desk.vault, Wanted(**wanted), by)]

    assert set(names()) == {first.name, second.name}
    assert names(rights=[Right.COMPLAINT]) == [second.name]
    assert names(states=[State.READY]) == []
    assert names(brand=VANTIER) == []
    assert names(received_from=clock.now() + 1) == []
    assert set(names(received_until=clock.now() + 1)) == {first.name, second.name}
    assert names(due_before=clock.now()) == []
    assert names(subject=desk.person.subject, most=1) in ([first.name], [second.name])
    page = names(after=min(first.id, second.id))
    assert page == [max(first.id, second.id).hex()]


# ---------------------------------------------------------------------------------------------------------- content


def test_what_was_written_is_sealed_read_on_record_and_gone_when_it_is_over(desk):
    request = desk.ask(content=Content(words=SECRET))
    assert SECRET.encode() not in desk.stored()
    seen, written = handling.view(desk.vault, request.id, desk.by())
    assert (seen.id, written.words) == (request.id, SECRET)
    assert desk.log()[-1]["act"] == "request.viewed"
    assert SECRET not in repr(written)
    desk.advance(request, Move.WITHDRAW)
    assert handling.view(desk.vault, request.id, desk.by())[1] == Content()
    with desk.vault.reading() as conn:
        assert conn.execute(metadata.tables["left_leaf"].select()).first() is None  # handed to the key service


def test_its_key_dies_with_the_request(desk):
    request = desk.ask(content=Content(words=SECRET))
    with desk.vault.unit() as uow:
        sealed = content.stored(uow, request.id)
    assert content.opened(desk.vault, desk.person.subject, request.id, sealed).words == SECRET
    desk.advance(request, Move.WITHDRAW)
    assert content.opened(desk.vault, desk.person.subject, request.id, sealed) is None


def test_its_key_dies_with_the_person(desk):
    request = desk.ask(content=Content(words=SECRET))
    with desk.vault.unit() as uow:
        sealed = content.stored(uow, request.id)
    erasures.erase(desk.vault, [erasures.Erase(desk.person.subject, by_vault(desk.vault).actor)])
    assert content.opened(desk.vault, desk.person.subject, request.id, sealed) is None
    assert not desk.history(request)[0].has_content


def test_content_opens_nowhere_else(desk):
    request, other = desk.ask(content=Content(words=SECRET)), desk.ask(Right.PORTABILITY)
    with desk.vault.unit() as uow:
        sealed = content.stored(uow, request.id)
    with pytest.raises(IntegrityFailure):
        content.opened(desk.vault, desk.person.subject, other.id, sealed)
    with pytest.raises(IntegrityFailure):
        content.opened(desk.vault, bytes(16), request.id, sealed)


def test_its_length_says_little(desk):
    lengths = set()
    for words in ("a", "b" * 100, "c" * 300):
        request = desk.ask(content=Content(words=words), names=("contact",))
        with desk.vault.unit() as uow:
            lengths.add(len(content.stored(uow, request.id).blob))
        desk.advance(request, Move.WITHDRAW)
    assert len(lengths) == 1


def test_an_officers_note_is_sealed_too(desk):
    request = desk.ask(content=Content(words="x"))
    handling.annotate(desk.vault, request.id, SECRET, desk.by())
    assert SECRET.encode() not in desk.stored()
    assert handling.view(desk.vault, request.id, desk.by())[1] == Content(words="x", notes=(SECRET,))
    desk.advance(request, Move.WITHDRAW)
    with pytest.raises(IllegalMove):
        handling.annotate(desk.vault, request.id, SECRET, desk.by())


def test_two_officers_who_note_at_once_lose_neither_note(desk):
    """The second writes after the first has read: its note is added to what stands then, not to what was read."""
    request, others = desk.ask(content=Content(words="x")), [AUTHOR]

    def between(*_):
        if others:
            handling.annotate(desk.vault, request.id, "second", desk.by(others.pop()))

    event.listen(desk.vault.engine, "checkin", between)  # the first has read, and gave its connection back
    try:
        handling.annotate(desk.vault, request.id, "first", desk.by(APPROVER))
    finally:
        event.remove(desk.vault.engine, "checkin", between)
    assert handling.view(desk.vault, request.id, desk.by())[1].notes == ("second", "first")


# ------------------------------------------------------------------------------------------------------- erased people


def test_the_register_outlives_the_person_and_forgets_them(scene, clock):
    desk = Desk(scene.vault, clock)
    request = desk.ask(content=Content(words=SECRET))
    stays = one(take_in(scene.vault, person({"client_number": "AU-0043"})))
    other = desk.ask(reference=stays.references[AURELLE])
    scene.whole(desk.person.subject)
    scene.run()
    with scene.vault.reading() as conn:
        found, kept = handling.records.get(conn, request.id), handling.records.get(conn, other.id)
    assert (found.subject, found.has_content, found.right) == (None, False, Right.ACCESS)
    assert kept.subject == stays.subject
    assert desk.advance(found, Move.WITHDRAW).outcome is Outcome.WITHDRAWN  # nothing is owed any more


def test_a_change_of_values_leaves_requests_alone(desk):
    request = desk.ask()
    change(desk.vault, desk.person, set={"ring_size": {"value": "53", "system": "eu"}})
    assert desk.history(request)[0] == request


def test_only_officers_and_the_portal_have_other_doors(desk):
    ok = desk.answer(source=Source.PORTAL, assurance=Assurance.CODE, by=by_vault(desk.vault))
    assert ok.state is State.SCOPING
    assert problems(desk.answer(Right.PORTABILITY, by=by_officer(AUTHOR))) == {("source", "not_an_officer")}


@pytest.mark.parametrize(
    ("said", "law"),
    [
        ("us", "eu"),
        ("zz", None),
        ("uk", "uk"),
        ("kr", "kr"),
        ("usva", "eu"),
        ("gb", "uk"),
        ("fr", "eu"),
        ("default", None),
    ],
)
def test_no_brand_buys_time_by_naming_another_law(desk, said, law):
    answer = desk.answer(jurisdiction=said)
    if law is None:
        assert answer.problems == (("jurisdiction", "unknown_jurisdiction"),)
    else:
        assert answer.jurisdiction == law


def test_what_needs_proof_and_only_stops_something_is_done_when_the_proof_is_there(vault, clock):
    """A bundle may ask for a code before an objection; then it must not hang after it."""
    from dataclasses import replace

    rights = vault.bundle.rights
    stricter = replace(rights, assurance={**rights.assurance, Right.OBJECTION: Assurance.CODE})
    vault.bundle = replace(vault.bundle, rights=stricter)
    desk = Desk(vault, clock)
    request = desk.ask(Right.OBJECTION, assurance=Assurance.NONE)
    assert request.state is State.ACKNOWLEDGED
    done = handling.accept(vault, request.id, Assurance.DOCUMENT, desk.by())
    assert (done.state, done.outcome) == (State.CLOSED, Outcome.GRANTED)


def test_late_is_what_was_not_answered_in_time(desk, clock):
    """An erasure waits for backups long after it was carried out; a package for whoever fetches it."""
    request = desk.reviewed(Right.ACCESS)
    assert (request.is_owed, request.answered_at) == (True, None)
    from vault.requests import delivering

    ready = delivering.prepare(desk.vault, request.id, desk.by())
    assert (ready.is_owed, ready.answered_at) == (False, clock.now())
    clock.advance(400 * DAY)
    rights = desk.vault.bundle.rights
    assert not desk.history(ready)[0].is_late(rights, clock.now())
    waits = desk.ask(Right.ERASURE)
    clock.advance(400 * DAY)
    assert desk.history(waits)[0].is_late(rights, clock.now())
    with desk.vault.reading() as conn:
        from vault.requests.records import Wanted, listed

        assert [each.id for each in listed(conn, Wanted(owed_only=True))] == [waits.id]
        assert [each.id for each in listed(conn, Wanted(open_only=True))] == [waits.id, ready.id]
