"""One entry of a journal put right: asked for, out of use until an officer decides, then as the person said, or as before."""

import pytest
from maison_people import AURELLE, VANTIER, grant, items, look_all, person, rows, take_in
from policy_officers import APPROVER
from request_desk import Desk
from test_vault_restrictions import listens

from policies.rights import Assurance, Right
from vault import outbox
from vault.erasure import holds
from vault.erasure.holds import HoldReason
from vault.errors import InvalidFields
from vault.outbox import EventKind
from vault.requests import acts, contesting, entries, handling, revealing
from vault.requests.content import Content
from vault.requests.records import Ground, Requester
from vault.requests.states import Move, State
from vault.requests.steps import by_person

BOUGHT = {"date": "2026-01-05", "family": "jewellery", "product": "Rivière", "for": "Capucine Delorme",
          "price": {"amount": "3200.00", "currency": "EUR"}}  # fmt: skip
NOTED = {"date": "2026-01-05", "topic": "taste", "text": "dislikes gold", "advisor": "adv-7781"}
FIELDS = {
    "client_number": "AU-0042",
    "name": {"family": "Rousselin", "given": "Apolline"},
    "email": ["Apolline.Rousselin@example.com"],
    "ring_size": {"value": "52", "system": "eu"},
    "purchases": [BOUGHT, BOUGHT | {"product": "Bracelet"}],
    "advisor_notes": [NOTED],
}


@pytest.fixture
def desk(vault, clock):
    listens(vault, "aurelle-crm", AURELLE)
    listens(vault, "vantier-crm", VANTIER)
    return Desk(vault, clock, person(FIELDS, vantier={"client_number": "VA-7"}))


def bought(desk):
    """Item -> purchase, as a system of the house is given it."""
    return items(desk.vault, desk.person.subject, "purchases")


def entry_of(desk, product):
    return next(item for item, value in bought(desk).items() if value["product"] == product)


def asking(item, value, field="purchases", **more):
    return more | {"content": Content(values={field: [{"item": item, "value": value}]})}


def told(desk):
    """What the systems of the brands hear, oldest first."""
    return [(each.system_id, each.kind, each.detail) for each in outbox.claim(desk.vault, 50)]


def test_one_entry_is_out_of_use_until_it_is_decided_and_then_as_the_person_said(desk):
    item = entry_of(desk, "Rivière")
    before = rows(desk.vault, "SELECT count(*) FROM field_value")
    request = desk.ask(Right.RECTIFICATION, **asking(item, {"date": "2025-12-05"}))
    assert request.names == (f"purchases#{item}",)
    assert [value["product"] for value in bought(desk).values()] == ["Bracelet"]
    acts.rectify(desk.vault, desk.to_review(request).id, desk.by())
    # The members that were given, and what the person is not shown stays.
    assert bought(desk)[item] == BOUGHT | {"date": "2025-12-05"}
    assert rows(desk.vault, "SELECT count(*) FROM field_value") == before  # what was wrong is deleted
    assert rows(desk.vault, "SELECT count(*) FROM contested_value") == [(0,)]
    heard = {kind: detail for system, kind, detail in told(desk) if system == "aurelle-crm"}
    assert heard.keys() == {EventKind.CONTESTED, EventKind.CONTEST_ENDED, EventKind.RECTIFIED}
    assert heard[EventKind.CONTESTED] == heard[EventKind.CONTEST_ENDED] == {"fields": "purchases"}


def test_a_part_of_a_member_is_enough(desk):
    item = entry_of(desk, "Rivière")
    request = desk.reviewed(Right.RECTIFICATION, **asking(item, {"price": {"amount": "2300.00"}}))
    acts.rectify(desk.vault, request.id, desk.by())
    assert bought(desk)[item]["price"] == {"amount": "2300.00", "currency": "EUR"}


def test_an_entry_that_is_not_theirs_is_taken_out(desk):
    item = entry_of(desk, "Bracelet")
    request = desk.reviewed(Right.RECTIFICATION, **asking(item, None))
    acts.rectify(desk.vault, request.id, desk.by())
    assert [value["product"] for value in bought(desk).values()] == ["Rivière"]
    assert rows(desk.vault, "SELECT count(*) FROM field_value WHERE field_id = 801 AND item = ?", item) == [(0,)]
    deleted = [each for each in desk.log() if each["act"] == "field.deleted"]
    assert [each["fld"] for each in deleted] == [["purchases"]]


def test_what_a_hold_keeps_leaves_the_current_values_and_is_not_destroyed(desk):
    item = entry_of(desk, "Rivière")
    holds.place(desk.vault, desk.person.subject, HoldReason.DISPUTE, desk.by().actor, "purchases")
    before = rows(desk.vault, "SELECT count(*) FROM field_value")[0][0]
    request = desk.reviewed(Right.RECTIFICATION, **asking(item, {"product": "Collier"}))
    acts.rectify(desk.vault, request.id, desk.by())
    assert bought(desk)[item]["product"] == "Collier"
    assert rows(desk.vault, "SELECT count(*) FROM field_value")[0][0] == before + 1
    request = desk.reviewed(Right.RECTIFICATION, **asking(item, None))
    acts.rectify(desk.vault, request.id, desk.by())
    assert item not in bought(desk)
    assert rows(desk.vault, "SELECT count(*) FROM field_value WHERE field_id = 801 AND item = ?", item) == [(2,)]


@pytest.mark.parametrize("way", ["refused", "withdrawn", "disowned"])
def test_whatever_ends_the_request_puts_the_value_into_use_again(desk, way):
    item = entry_of(desk, "Rivière")
    agent = {"requester": Requester.AGENT, "mandate_hash": b"m" * 32} if way == "disowned" else {}
    request = desk.ask(Right.RECTIFICATION, **asking(item, None, **agent))
    if way == "refused":
        request = desk.to_review(request)
        handling.propose_refusal(desk.vault, request.id, Ground.UNFOUNDED, desk.by())
        assert item not in bought(desk)  # still weighed
        handling.decide_refusal(desk.vault, request.id, desk.by(APPROVER), confirm=True)
    elif way == "withdrawn":
        handling.advance(desk.vault, request.id, Move.WITHDRAW, by_person(desk.vault))
    else:
        handling.disown(desk.vault, request.id, by_person(desk.vault), AURELLE)
    assert bought(desk)[item] == BOUGHT
    assert rows(desk.vault, "SELECT count(*) FROM contested_value") == [(0,)]


def test_nobody_contests_in_anothers_name(desk):
    item = entry_of(desk, "Rivière")
    agent = {"requester": Requester.AGENT, "mandate_hash": b"m" * 32}
    for more in (agent, {"assurance": Assurance.NONE}):
        request = desk.ask(Right.RECTIFICATION, **asking(item, None, **more))
        assert request.state is State.ACKNOWLEDGED
        assert bought(desk)[item] == BOUGHT
    assert told(desk) == []
    handling.confirm(desk.vault, request.id, by_person(desk.vault), AURELLE)
    assert item not in bought(desk)


def test_legal_claims_and_the_person_see_what_is_contested_and_a_sister_keeps_her_own(desk, vault):
    item = entry_of(desk, "Rivière")
    desk.ask(Right.RECTIFICATION, **asking(item, None))
    desk.ask(Right.RECTIFICATION)  # of the ring size
    subject = desk.person.subject
    assert desk.vault.bundle.catalogue.field("ring_size").name not in {
        name for name, part in look_all(vault, [grant(vault, subject, "ring_size")])[0] if part.present
    }
    import dataclasses

    claims = dataclasses.replace(grant(vault, subject, "purchases", "ring_size"), basis="legal_claims")
    (shown,) = look_all(vault, [claims])
    assert {each["item"] for each in shown["purchases"].value} >= {item}
    assert shown["ring_size"].value == {"value": "52", "system": "eu"}
    own, _ = revealing.opened(
        vault, AURELLE, desk.person.references[AURELLE], [vault.bundle.catalogue.field("purchases")]
    )
    assert item in {each.item for each in next(iter(own.values()))}
    with vault.unit() as uow:
        assert contesting.standing(uow, subject, VANTIER) == frozenset()
        assert len(contesting.standing(uow, subject, AURELLE)) == 2


def test_history_does_not_show_what_is_contested_either(desk, vault, clock):
    item = entry_of(desk, "Rivière")
    desk.ask(Right.RECTIFICATION, **asking(item, None))
    from datetime import UTC, datetime

    today = datetime.fromtimestamp(clock.now(), UTC).date()
    (shown,) = look_all(vault, [grant(vault, desk.person.subject, "purchases")], today)
    assert item not in {each["item"] for each in shown["purchases"].value}


def test_wishes_on_being_contacted_go_on_narrowing(desk):
    request = desk.ask(Right.RECTIFICATION, content=Content(values={"preferred_language": "fr"}))
    assert request.state is State.SCOPING
    assert rows(desk.vault, "SELECT count(*) FROM contested_value") == [(0,)]


@pytest.mark.parametrize(
    ("value", "problem"),
    [
        ({"family": "spaceships"}, "purchases"), ({"price": {"amount": "free"}}, "purchases"), ({"colour": "red"}, "purchases"),
        ("a text", "purchases"), ({"date": "soon"}, "purchases"),
    ],
)  # fmt: skip
def test_members_that_make_no_entry_are_written_nowhere(desk, value, problem):
    item = entry_of(desk, "Rivière")
    with pytest.raises(InvalidFields) as refused:
        entries.fits(
            desk.vault,
            AURELLE,
            desk.person.references[AURELLE],
            desk.vault.bundle.catalogue.field("purchases"),
            item,
            value,
        )
    assert refused.value.problems[0][0] == problem
    request = desk.reviewed(Right.RECTIFICATION, **asking(item, value))
    with pytest.raises(InvalidFields):
        acts.rectify(desk.vault, request.id, desk.by())
    assert desk.history(request)[0].state is State.OFFICER_REVIEW
    handling.propose_refusal(desk.vault, request.id, Ground.UNFOUNDED, desk.by())
    handling.decide_refusal(desk.vault, request.id, desk.by(APPROVER), confirm=True)
    assert bought(desk)[item] == BOUGHT


@pytest.mark.parametrize("values", [{"purchases": []}, {"purchases": {"date": "2026-01-01"}}, {"purchases": [BOUGHT]}])
def test_an_entry_is_named_by_its_number(desk, values):
    answer = desk.answer(Right.RECTIFICATION, content=Content(values=values))
    assert isinstance(answer, InvalidFields)
    assert answer.problems == (("values.purchases", "item_needed"),)


def test_an_entry_there_is_not_is_corrected_by_nobody(desk):
    request = desk.reviewed(Right.RECTIFICATION, **asking(99, {"date": "2025-12-05"}))
    with pytest.raises(InvalidFields):
        acts.rectify(desk.vault, request.id, desk.by())


def test_an_officer_sees_what_stands_beside_what_is_asked_for_on_record(desk):
    item = entry_of(desk, "Rivière")
    request = desk.reviewed(Right.RECTIFICATION, **asking(item, {"date": "2025-12-05"}))
    (shown,) = entries.compared(desk.vault, request.id, desk.by())
    assert (shown.of.name, shown.item, shown.stands, shown.asked) == ("purchases", item, BOUGHT, {"date": "2025-12-05"})
    viewed = [each for each in desk.log() if each["act"] == "request.viewed"]
    assert viewed[-1]["fld"] == ["purchases:raw"]
    assert viewed[-1]["actor"]["k"] == "officer"
    assert "2025-12-05" not in str(desk.log())
    assert "Rivière" not in repr(shown)


def test_a_second_correction_is_another_one(desk):
    first = desk.ask(Right.RECTIFICATION)
    for values in ({"name": {"family": "Roussel"}}, {"ring_size": {"value": "55", "system": "eu"}}):
        again = desk.ask(Right.RECTIFICATION, content=Content(values=values))
        assert (again.state, again.duplicate_of) == (State.SCOPING, None)
        assert handling.view(desk.vault, again.id, desk.by())[1].values == values
    acts.rectify(desk.vault, desk.to_review(first).id, desk.by())
    with desk.vault.unit() as uow:  # the other one about the ring size stands
        assert len(contesting.standing(uow, desk.person.subject, AURELLE)) == 2


def test_what_is_contested_dies_with_the_person(scene, clock):
    desk = Desk(scene.vault, clock)
    desk.ask(Right.RECTIFICATION)
    assert rows(scene.vault, "SELECT count(*) FROM contested_value") == [(1,)]
    scene.whole(desk.person.subject)
    scene.run()
    assert rows(scene.vault, "SELECT count(*) FROM contested_value") == [(0,)]


def test_others_are_not_touched(desk, vault):
    (other,) = take_in(vault, person(FIELDS | {"client_number": "AU-2", "email": ["x@example.com"]}))
    item = entry_of(desk, "Rivière")
    desk.ask(Right.RECTIFICATION, **asking(item, None))
    assert item in items(vault, other.subject, "purchases")
