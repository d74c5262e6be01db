"""What requests lead to: values mended, processing restricted, people erased after two looks; each on both engines."""

import pytest
from erasure_scene import DPO
from maison_people import AURELLE, VANTIER, items, person, rows, value
from policy_officers import APPROVER, AUTHOR
from request_desk import DAY, Desk
from sqlalchemy import text
from test_vault_restrictions import listens

from policies.rights import Right
from vault import outbox
from vault.erasure import certificates, holds
from vault.erasure.holds import HoldReason
from vault.errors import Conflict, InvalidFields, LetterWaiting, NothingToErase, NotSigned, Refused, UnknownReference
from vault.governance import desk as texts
from vault.outbox import Told
from vault.requests import acts, erasing, handling, letters, records
from vault.requests.content import Content
from vault.requests.intake import of_system
from vault.requests.letters import Carried, LetterKind
from vault.requests.records import Ground, Outcome
from vault.requests.states import IllegalMove, Move, State
from vault.requests.steps import by_officer, by_vault


@pytest.fixture
def desk(vault, clock):
    return Desk(vault, clock)


@pytest.fixture
def closing(scene, clock):
    """A desk in a deployment whose epochs end, with systems of two brands that listen."""
    listens(scene.vault, "aurelle-crm", AURELLE)
    listens(scene.vault, "vantier-crm", VANTIER)
    made = Desk(scene.vault, clock, person(vantier={"client_number": "VA-7"}))
    made.scene = scene
    return made


# ------------------------------------------------------------------------------------------------- rectification


def test_a_rectification_writes_what_the_person_gave_and_forgets_what_was_wrong(desk):
    wrong = {"family": "Rouselin", "given": "Apoline"}
    request = desk.reviewed(Right.RECTIFICATION, content=Content(values={"name": wrong}))
    before = rows(desk.vault, "SELECT count(*) FROM field_value")[0][0]
    done = acts.rectify(desk.vault, request.id, desk.by())
    assert (done.state, done.outcome) == (State.READY, Outcome.GRANTED)
    assert value(desk.vault, desk.person.subject, "name") == wrong
    assert rows(desk.vault, "SELECT count(*) FROM field_value")[0][0] == before
    step = desk.history(done)[1][-1]
    assert step.said == ("field:name",)
    closed = desk.advance(done, Move.DELIVER, Move.CLOSE)
    assert not closed.has_content


def test_a_rectification_can_name_an_item_or_tell_what_was_not_there(desk):
    (number,) = items(desk.vault, desk.person.subject, "email")
    values = {"email": [{"item": number, "value": "apo@example.com"}], "preferred_language": "fr"}
    request = desk.reviewed(Right.RECTIFICATION, content=Content(values=values))
    acts.rectify(desk.vault, request.id, desk.by())
    assert list(items(desk.vault, desk.person.subject, "email").values()) == ["apo@example.com"]
    assert value(desk.vault, desk.person.subject, "preferred_language") == "fr"


def test_values_that_do_not_fit_are_written_nowhere(desk):
    request = desk.reviewed(Right.RECTIFICATION, content=Content(values={"birth_date": "the first of May"}))
    with pytest.raises(InvalidFields):
        acts.rectify(desk.vault, request.id, desk.by())
    assert desk.history(request)[0].state is State.OFFICER_REVIEW
    assert value(desk.vault, desk.person.subject, "birth_date") is None  # contested, until it is decided
    desk.advance(request, Move.WITHDRAW)
    assert value(desk.vault, desk.person.subject, "birth_date") == "1984-05-17"


@pytest.mark.parametrize("right", [Right.ACCESS, Right.ERASURE, Right.COMPLAINT])
def test_an_act_of_another_right_is_refused(desk, right):
    request = desk.reviewed(right)
    for act in (acts.rectify, acts.restrict):
        with pytest.raises(IllegalMove):
            act(desk.vault, request.id, desk.by())


def test_nothing_is_carried_out_before_the_review(desk):
    request = desk.ask(Right.RECTIFICATION)
    with pytest.raises(IllegalMove):
        acts.rectify(desk.vault, request.id, desk.by())
    with pytest.raises(Refused):
        acts.restrict(desk.vault, desk.reviewed(Right.RESTRICTION).id, by_vault(desk.vault))


# ------------------------------------------------------------------------------------------- restriction, decisions


def test_a_restriction_holds_from_then_on(desk):
    request = desk.reviewed(Right.RESTRICTION)
    done = acts.restrict(desk.vault, request.id, desk.by())
    assert done.outcome is Outcome.GRANTED
    assert rows(desk.vault, "SELECT restricted FROM subject WHERE id = ?", desk.person.subject)[0][0]


@pytest.mark.parametrize("right", [Right.DECISION_REVIEW, Right.COMPLAINT])
def test_what_only_a_person_can_decide_an_officer_decides(desk, right):
    request = desk.reviewed(right)
    with pytest.raises(InvalidFields):
        handling.decide(desk.vault, request.id, desk.by(), "Not a code!", "x")
    done = handling.decide(desk.vault, request.id, desk.by(), "upheld", "You are right, and we have put it in order.")
    assert done.state is State.READY
    assert desk.history(done)[1][-1].said == ("decision:upheld",)
    with pytest.raises(IllegalMove):
        handling.decide(
            desk.vault,
            desk.reviewed(Right.ACCESS).id,
            desk.by(),
            "upheld",
            "You are right, and we have put it in order.",
        )


# ------------------------------------------------------------------------------------------------------- erasure


def to_approval(desk, **more):
    request = desk.reviewed(Right.ERASURE, **more)
    erasing.check_holds(desk.vault, request.id, desk.by())
    return erasing.rehearse(desk.vault, request.id, desk.by())


def test_an_erasure_from_the_request_to_its_certificate(closing, clock):
    vault = closing.vault
    request, plan = to_approval(closing)
    assert plan.whole
    assert set(plan.destroyed) >= {"identity", "contact"}
    assert erasing.approve(vault, request.id, closing.by(APPROVER)).state is State.SECOND_APPROVAL
    done = erasing.execute(vault, request.id, closing.by(), without_letter=True)
    assert (done.state, done.outcome, len(done.erasures)) == (State.EXECUTED, Outcome.GRANTED, 1)
    assert erasing.follow(vault) == 0  # nobody has acknowledged yet
    assert {each.system_id for each in erasing.notices(vault, done)} == {"aurelle-crm", "vantier-crm"}
    outbox.settle(vault, [Told(each, "") for each in outbox.claim(vault, 50)])
    assert erasing.follow(vault) == 1
    assert closing.history(done)[0].state is State.RECIPIENTS_NOTIFIED
    closing.scene.run()
    assert erasing.follow(vault) == 0  # by this clock the destruction is still to come
    clock.advance(1000 * DAY)
    assert erasing.follow(vault) == 2
    request, steps = closing.history(done)
    assert (request.state, request.subject) == (State.CERTIFIED, None)
    assert certificates.certificate(vault, steps[-1].said[0].removeprefix("certificate:"))
    assert closing.advance(request, Move.CLOSE).outcome is Outcome.GRANTED
    assert {each.actor_id for each in steps if each.move in {Move.REHEARSE, Move.APPROVE}} == {"m.lefevre", "a.moreau"}


def approved(desk, **more):
    request, _ = to_approval(desk, **more)
    return erasing.approve(desk.vault, request.id, desk.by(APPROVER))


def posted(desk, problem=""):
    """Carry what is due; return the numbers that the letters of an erasure told."""
    due = letters.claim(desk.vault, 50)
    letters.settle(desk.vault, [Carried(each.id, problem) for each in due])
    return [each.words["request"] for each in due if each.kind is LetterKind.UNDERWAY]


def waits(desk, request):
    with pytest.raises(LetterWaiting):
        erasing.execute(desk.vault, request.id, desk.by())
    return desk.history(request)[0].state is State.SECOND_APPROVAL and desk.log()[-1]["act"] == "request.denied"


def test_nobody_is_erased_before_the_letter_with_the_number_has_gone(desk, clock):
    request = approved(desk)
    assert waits(desk, request)
    posted(desk, "unreachable")  # tried in vain
    assert waits(desk, request)
    assert rows(desk.vault, "SELECT count(*) FROM erasure")[0][0] == 0
    clock.advance(letters.FIRST_PAUSE)
    assert posted(desk) == [request.name]
    done = erasing.execute(desk.vault, request.id, desk.by())
    assert done.state is State.EXECUTED
    (said,) = [each.said for each in desk.history(done)[1] if each.move is Move.EXECUTE]
    assert erasing.WAIVED not in said


def test_a_letter_that_ran_out_told_nobody(desk, clock):
    request = approved(desk)
    clock.advance(letters.GOOD_FOR)
    assert posted(desk) == []
    assert waits(desk, request)


def test_an_officer_may_say_that_the_number_is_told_in_another_way_and_signs_it(desk):
    request = approved(desk)
    said = next(each.said for each in desk.history(request)[1] if each.move is Move.APPROVE)
    with desk.vault.reading() as conn:
        step = records.step(request.id, request.version + 1, said)
        plain = texts.next_text(desk.vault, conn, step, Move.EXECUTE, AUTHOR)
    with pytest.raises(NotSigned):  # by a signature over the step without those words
        signed = desk.officers.signing(AUTHOR)(plain)
        erasing.execute(desk.vault, request.id, by_officer(AUTHOR, lambda _: signed), without_letter=True)
    done = erasing.execute(desk.vault, request.id, desk.by(), without_letter=True)
    (said,) = [each.said for each in desk.history(done)[1] if each.move is Move.EXECUTE]
    assert said[1:] == (erasing.WAIVED,)
    assert erasing.WAIVED in next(each for each in reversed(desk.log()) if "move:execute" in each.get("pol", ()))["pol"]
    assert posted(desk) == []  # and nobody is written to any more


def test_where_there_is_no_address_nothing_is_waited_for(desk):
    with desk.vault.unit() as uow:
        uow.conn.execute(
            text("UPDATE field_value SET current = false WHERE field_id = :of"),
            {"of": desk.vault.bundle.catalogue.field("email").id},
        )
        uow.commit()
    request = approved(desk)
    assert posted(desk) == []
    assert erasing.execute(desk.vault, request.id, desk.by()).state is State.EXECUTED


def test_who_can_still_be_written_to_afterwards_is_not_waited_for(desk):
    request = approved(desk, names=("measurements",))
    assert erasing.execute(desk.vault, request.id, desk.by()).state is State.EXECUTED
    assert posted(desk) == [request.name]


def test_from_the_execution_on_nobody_finds_the_person(closing):
    request, _ = to_approval(closing)
    erasing.approve(closing.vault, request.id, closing.by(APPROVER))
    erasing.execute(closing.vault, request.id, closing.by(), without_letter=True)
    assert isinstance(closing.answer(), UnknownReference)


def test_nobody_approves_what_they_rehearsed(desk):
    request, _ = to_approval(desk)
    with pytest.raises(NotSigned, match="nobody approves their own"):
        erasing.approve(desk.vault, request.id, desk.by())
    with pytest.raises(NotSigned):
        erasing.approve(desk.vault, request.id, by_vault(desk.vault))
    with pytest.raises(IllegalMove):
        erasing.execute(desk.vault, request.id, desk.by(), without_letter=True)
    assert desk.history(request)[0].state is State.DRY_RUN


def test_no_step_before_the_second_approval_touches_anything(desk):
    before = rows(desk.vault, "SELECT count(*) FROM compartment WHERE state = 'active'")
    request, _ = to_approval(desk)
    erasing.approve(desk.vault, request.id, desk.by(APPROVER))
    assert rows(desk.vault, "SELECT count(*) FROM compartment WHERE state = 'active'") == before
    assert rows(desk.vault, "SELECT count(*) FROM erasure")[0][0] == 0
    assert desk.advance(request, Move.WITHDRAW).outcome is Outcome.WITHDRAWN


@pytest.mark.parametrize("late", [False, True])
def test_an_approval_is_of_one_plan(desk, late):
    """A hold that came since makes another plan, which has to be shown again: before the approval and after it."""
    request, first = to_approval(desk)
    if late:
        erasing.approve(desk.vault, request.id, desk.by(APPROVER))
    holds.place(desk.vault, desk.person.subject, HoldReason.LEGAL_CLAIM, DPO, "contact")
    with pytest.raises(Conflict):
        if late:
            erasing.execute(desk.vault, request.id, desk.by(), without_letter=True)
        else:
            erasing.approve(desk.vault, request.id, desk.by(APPROVER))
    assert rows(desk.vault, "SELECT count(*) FROM erasure")[0][0] == 0
    if not late:
        _, second = erasing.rehearse(desk.vault, request.id, desk.by())
        assert second.hash != first.hash
        assert [each.category for each in second.kept] == ["contact"]
        erasing.approve(desk.vault, request.id, desk.by(APPROVER))
        assert (
            erasing.execute(desk.vault, request.id, desk.by(), without_letter=True).outcome is Outcome.PARTIALLY_GRANTED
        )


def test_where_everything_is_held_there_is_nothing_to_rehearse(desk):
    holds.place(desk.vault, desk.person.subject, HoldReason.LEGAL_CLAIM, DPO)
    request = desk.reviewed(Right.ERASURE)
    _, plan = erasing.check_holds(desk.vault, request.id, desk.by())
    assert plan.destroyed == ()
    with pytest.raises(NothingToErase):
        erasing.rehearse(desk.vault, request.id, desk.by())
    handling.propose_refusal(desk.vault, request.id, Ground.LEGAL_CLAIMS, desk.by())
    refused = handling.decide_refusal(desk.vault, request.id, desk.by(APPROVER), confirm=True)
    assert refused.outcome is Outcome.REFUSED


def test_a_part_that_was_refused_stays_as_it_is(desk):
    request = desk.reviewed(Right.ERASURE)
    handling.propose_refusal(desk.vault, request.id, Ground.LEGAL_CLAIMS, desk.by(), ["measurements"])
    handling.decide_refusal(desk.vault, request.id, desk.by(APPROVER), confirm=True)
    erasing.check_holds(desk.vault, request.id, desk.by())
    _, plan = erasing.rehearse(desk.vault, request.id, desk.by())
    assert not plan.whole
    assert [(each.category, each.because) for each in plan.kept] == [("measurements", "refused")]
    erasing.approve(desk.vault, request.id, desk.by(APPROVER))
    done = erasing.execute(desk.vault, request.id, desk.by(), without_letter=True)
    assert len(done.erasures) == len(plan.destroyed)
    assert done.outcome is Outcome.PARTIALLY_GRANTED
    assert value(desk.vault, desk.person.subject, "ring_size")["value"] == "52"


def test_a_category_alone_can_be_asked_for(desk):
    request, plan = to_approval(desk, names=("contact",))
    assert (plan.whole, plan.destroyed) == (False, ("contact",))
    erasing.approve(desk.vault, request.id, desk.by(APPROVER))
    done = erasing.execute(desk.vault, request.id, desk.by(), without_letter=True)
    assert len(done.erasures) == 1
    assert value(desk.vault, desk.person.subject, "name")["family"] == "Rousselin"


def test_a_brand_erases_nobody(desk):
    request = desk.reviewed(Right.ERASURE)
    for act in (erasing.check_holds, erasing.rehearse, erasing.approve, erasing.execute):
        with pytest.raises((Refused, IllegalMove, NotSigned)):
            act(desk.vault, request.id, of_system("aurelle-crm"))


def test_an_erasure_that_failed_half_way_leaves_nothing_half_done(desk):
    """The step, the erasure and the log are one unit."""
    request, _ = to_approval(desk)
    erasing.approve(desk.vault, request.id, desk.by(APPROVER))
    log = len(desk.log())

    def sign(_):
        raise NotSigned("no key at hand")

    from vault.requests.steps import by_officer

    with pytest.raises(NotSigned):
        erasing.execute(desk.vault, request.id, by_officer("m.lefevre", sign), without_letter=True)
    assert desk.history(request)[0].state is State.SECOND_APPROVAL
    assert [each["act"] for each in desk.log()[log:]] == ["request.denied"]


def test_days_that_pass_do_not_change_a_plan(desk, clock):
    request, _ = to_approval(desk)
    clock.advance(3 * DAY)
    assert erasing.approve(desk.vault, request.id, desk.by(APPROVER)).state is State.SECOND_APPROVAL
