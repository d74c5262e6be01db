"""A join of two brands' references: two officers, named references, told once, and in every such person's own log."""

import pytest
from maison_people import AURELLE, VANTIER, person, take_in
from policy_officers import APPROVER, AUTHOR, OPERATOR, Officers
from sqlalchemy import text, update
from sqlalchemy.exc import IntegrityError

from audit.entry import decode
from vault import housekeeping, joins
from vault.erasure import requests
from vault.errors import IntegrityFailure, InvalidRegistration, NotSigned, UnknownOfficer, UnknownProposal
from vault.governance import proposals
from vault.governance.proposals import WAITING_SECONDS, State
from vault.joins import JoinReason
from vault.officers import Role
from vault.store.tables import BrandJoin, Subject

OTHER = {"client_number": "VA-7"}
STRANGER = "ref_00000000000000000000000000"


ALICE, BOB = AUTHOR, APPROVER


@pytest.fixture(autouse=True)
def desks(vault):
    """A compliance officer and an approver, and two whose roles join nothing."""
    made = Officers(vault)
    made.add("carol", Role.AUDITOR)
    made.add("dan", Role.OPERATOR)
    SIGNING.update({each: made.signing(each) for each in made.keys})
    return made


SIGNING = {}


@pytest.fixture
def people(vault):
    """Two known to both maisons, one to the first alone."""
    here = person(vantier=OTHER), person({"client_number": "AU-2"}, vantier={"client_number": "VA-8"})
    return take_in(vault, *here, person({"client_number": "AU-3"}))


def propose(vault, named, by=ALICE, brand=AURELLE, other=VANTIER):
    return joins.propose(vault, brand, other, named, JoinReason.LEGAL_CLAIM, by, SIGNING[by])


def approve(vault, made, by=BOB):
    return joins.approve(vault, made.id, by, SIGNING[by])


def named_of(vault):
    with vault.reading() as conn:
        return [bytes(each) for each in conn.scalars(text("SELECT named FROM brand_join ORDER BY proposed_at, id"))]


def entries(vault):
    with vault.reading() as conn:
        return [decode(bytes(body)) for (body,) in conn.execute(text("SELECT body FROM log_entry ORDER BY idx"))]


def test_two_officers_join_named_references_and_the_log_is_loud(vault, people):
    first, _, alone = people
    named = [first.references[AURELLE], alone.references[AURELLE], STRANGER]
    made = propose(vault, named)
    assert (made.count, made.state) == (3, State.PROPOSED)
    done, told = approve(vault, made)
    # The second is known to both, but was not named; the third is no client of the other; the stranger is nobody.
    assert told == {first.references[AURELLE]: first.references[VANTIER]}
    assert (done.state, done.approved_by) == (State.APPROVED, BOB)
    said = [each for each in entries(vault) if each["act"].startswith("join.") or each["act"] == "reference.joined"]
    assert [(each["act"], each["actor"]["id"], each.get("n")) for each in said] == [
        ("join.proposed", ALICE, 3),
        ("reference.joined", BOB, None),
        ("join.approved", BOB, 1),
    ]
    assert "sref" in said[1]
    assert {"brand:aurelle", "other:vantier", "reason:legal_claim"} <= set(said[2]["pol"])
    with pytest.raises(UnknownProposal):
        approve(vault, made)
    assert named_of(vault) == [b""]  # told once, and kept nowhere


def test_nobody_joins_alone_or_without_the_role(vault, people):
    named = [people[0].references[AURELLE]]
    made = propose(vault, named)
    for by in (ALICE, "carol", "dan"):
        with pytest.raises(NotSigned):
            approve(vault, made, by)
    for by in ("carol", "dan"):
        with pytest.raises(NotSigned):
            propose(vault, named, by)
    with pytest.raises(UnknownOfficer):
        joins.approve(vault, made.id, "jeanne.martin", SIGNING[BOB])
    for forged in (lambda _: b"", SIGNING[ALICE]):
        with pytest.raises(NotSigned):
            joins.approve(vault, made.id, BOB, forged)
    with vault.unit() as unit, pytest.raises(IntegrityError, match="two_officers"):
        unit.conn.execute(update(BrandJoin).values(approved_by=ALICE))
    assert len(approve(vault, made)[1]) == 1
    denied = [(each["act"], each["actor"]["id"]) for each in entries(vault) if each["out"] == "deny"]
    refused = [(ALICE, "approved"), ("carol", "approved"), ("dan", "approved"), ("carol", "proposed"),
               ("dan", "proposed"), ("unknown", "approved"), (BOB, "approved"), (BOB, "approved")]  # fmt: skip
    assert denied == [(f"join.{act}", by) for by, act in refused]


def test_a_join_altered_in_the_database_is_approved_by_nobody(vault, people):
    made = propose(vault, [people[0].references[AURELLE]])
    other = propose(vault, [people[1].references[AURELLE]])
    for statement in (
        "UPDATE brand_join SET reason = 'merger'",
        "UPDATE brand_join SET proposed_by = 'dan'",
        "DELETE FROM officer_signature WHERE part = 'propose'",
        "UPDATE officer_signature SET thing = 'x' WHERE part = 'propose'",
        "UPDATE brand_join SET named = id",
    ):
        with vault.unit() as unit:
            unit.conn.execute(text(statement))
            row = proposals.waiting(unit, joins.JOINS, made.id)
            if "proposed_by" in statement:  # a column for lists: who signed is what counts
                continue
            with pytest.raises((IntegrityFailure, NotSigned)):
                plain = joins._opened(unit, row)
                proposals.approve(unit, joins.JOINS, row, joins._says(row, plain), BOB, SIGNING[BOB])
    assert other.id


def test_what_was_named_goes_when_a_join_is_closed_void_or_about_somebody_being_erased(vault, people, clock):
    first, second, _ = people
    taken = propose(vault, [first.references[AURELLE]])
    joins.withdraw(vault, taken.id, "carol", SIGNING["carol"])
    assert named_of(vault) == [b""]
    clock.advance(1)
    both = propose(vault, [first.references[AURELLE], second.references[AURELLE]])
    clock.advance(1)
    kept = propose(vault, [second.references[AURELLE]])
    requests.erase(vault, [requests.Erase(first.subject, OPERATOR)])
    assert [bool(each) for each in named_of(vault)] == [False, False, True]
    with pytest.raises(UnknownProposal):
        approve(vault, both)
    clock.advance(WAITING_SECONDS)
    housekeeping.purge(vault)
    assert named_of(vault) == [b""] * 3
    with vault.reading() as conn:
        states = {each.id: each.state for each in joins.listed(conn)}
    assert states == {taken.id: State.WITHDRAWN, both.id: State.EXPIRED, kept.id: State.EXPIRED}
    expired = [each for each in entries(vault) if each["act"] == "join.expired"]
    assert [(each["pol"], each["out"], each["actor"]["k"]) for each in expired] == [
        ([f"join:{kept.id}"], "allow", "vault")
    ]
    housekeeping.purge(vault)
    assert [each["act"] for each in entries(vault)].count("join.expired") == 1


def test_the_restricted_and_the_erased_are_left_out(vault, people):
    first, second, _ = people
    made = propose(vault, [each.references[AURELLE] for each in (first, second)])
    with vault.unit() as unit:
        unit.conn.execute(update(Subject).where(Subject.id == first.subject).values(restricted=True))
        unit.conn.execute(update(Subject).where(Subject.id == second.subject).values(state="erasing"))
        unit.commit()
    assert approve(vault, made)[1] == {}


def test_a_proposal_is_void_after_a_week_or_withdrawn(vault, people, clock):
    named = [people[0].references[AURELLE]]
    made, other = propose(vault, named), propose(vault, named)
    assert joins.withdraw(vault, other.id, BOB, SIGNING[BOB]).state is State.WITHDRAWN
    clock.advance(WAITING_SECONDS)
    for each in (made, other):
        with pytest.raises(UnknownProposal):
            approve(vault, each)
    with pytest.raises(UnknownProposal):
        joins.approve(vault, "nonsense", BOB, SIGNING[BOB])
    assert entries(vault)[-1]["pol"] == ["join.unknown_proposal"]  # nothing that somebody typed
    with vault.reading() as conn:
        assert {each.state for each in joins.listed(conn)} == {State.PROPOSED, State.WITHDRAWN}


def test_what_cannot_be_asked(vault, people):
    good = people[0].references[AURELLE]
    for named, brand, other in (
        ([], AURELLE, VANTIER),
        (["AU-0042"], AURELLE, VANTIER),
        ([good], AURELLE, AURELLE),
        ([good], "Not a brand", VANTIER),
        ([f"ref_{number:026}" for number in range(501)], AURELLE, VANTIER),
    ):
        with pytest.raises(InvalidRegistration):
            propose(vault, named, brand=brand, other=other)


def test_no_reference_is_stored_in_clear(vault, people):
    made = propose(vault, [people[0].references[AURELLE]])
    with vault.reading() as conn:
        (stored,) = conn.execute(text("SELECT named FROM brand_join")).scalars()
    assert people[0].references[AURELLE].encode() not in bytes(stored)
    assert made.id
