"""A join of two brands' references: two officers, named references, told once, and in every such person's own log."""

import pytest
from maison_people import AURELLE, VANTIER, person, take_in
from sqlalchemy import text, update
from sqlalchemy.exc import IntegrityError

from audit.entry import decode
from vault import joins
from vault.errors import InvalidRegistration, NotAllowed, UnknownProposal
from vault.joins import PROPOSAL_SECONDS, JoinReason, JoinState
from vault.officers import OfficerRecord, OfficerStatus, Role
from vault.store.tables import BrandJoin, Subject

OTHER = {"client_number": "VA-7"}
STRANGER = "ref_00000000000000000000000000"


def officer(name, role=Role.APPROVER):
    return OfficerRecord(name, role, OfficerStatus.ACTIVE, 0)


ALICE, BOB = officer("alice", Role.COMPLIANCE), officer("bob")


@pytest.fixture
def people(vault):
    """Two known to both maisons, one to the first alone."""
    here = person(vantier=OTHER), person({"client_number": "AU-2"}, vantier={"client_number": "VA-8"})
    return take_in(vault, *here, person({"client_number": "AU-3"}))


def propose(vault, named, by=ALICE, brand=AURELLE, other=VANTIER):
    with vault.unit() as unit:
        made = joins.propose(unit, brand, other, named, JoinReason.LEGAL_CLAIM, by)
        unit.commit()
    return made


def approve(vault, made, by=BOB):
    with vault.unit() as unit:
        answer = joins.approve(unit, made.id, by)
        unit.commit()
    return answer


def entries(vault):
    with vault.reading() as conn:
        return [decode(bytes(body)) for (body,) in conn.execute(text("SELECT body FROM log_entry ORDER BY idx"))]


def test_two_officers_join_named_references_and_the_log_is_loud(vault, people):
    first, _, alone = people
    named = [first.references[AURELLE], alone.references[AURELLE], STRANGER]
    made = propose(vault, named)
    assert (made.count, made.state) == (3, JoinState.PROPOSED)
    done, told = approve(vault, made)
    # The second is known to both, but was not named; the third is no client of the other; the stranger is nobody.
    assert told == {first.references[AURELLE]: first.references[VANTIER]}
    assert (done.state, done.approved_by) == (JoinState.APPROVED, "bob")
    said = [each for each in entries(vault) if each["act"].startswith("join.") or each["act"] == "reference.joined"]
    assert [(each["act"], each["actor"]["id"], each.get("n")) for each in said] == [
        ("join.proposed", "alice", 3),
        ("reference.joined", "bob", None),
        ("join.approved", "bob", 1),
    ]
    assert "sref" in said[1]
    assert {"brand:aurelle", "other:vantier", "reason:legal_claim"} <= set(said[2]["pol"])
    with pytest.raises(UnknownProposal):
        approve(vault, made)


def test_nobody_joins_alone_or_without_the_role(vault, people):
    named = [people[0].references[AURELLE]]
    made = propose(vault, named)
    for by in (ALICE, officer("carol", Role.AUDITOR), officer("dan", Role.OPERATOR)):
        with pytest.raises(NotAllowed):
            approve(vault, made, by)
    for by in (officer("carol", Role.AUDITOR), officer("dan", Role.OPERATOR)):
        with pytest.raises(NotAllowed):
            propose(vault, named, by)
    with vault.unit() as unit, pytest.raises(IntegrityError, match="two_officers"):
        unit.conn.execute(update(BrandJoin).values(approved_by="alice"))
    assert len(approve(vault, made)[1]) == 1


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
    with vault.unit() as unit:
        assert joins.withdraw(unit, other.id, BOB).state is JoinState.WITHDRAWN
        unit.commit()
    clock.advance(PROPOSAL_SECONDS)
    for each in (made, other):
        with pytest.raises(UnknownProposal):
            approve(vault, each)
    with pytest.raises(UnknownProposal), vault.unit() as unit:
        joins.approve(unit, "nonsense", BOB)
    with vault.reading() as conn:
        assert {each.state for each in joins.listed(conn)} == {JoinState.PROPOSED, JoinState.WITHDRAWN}


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
