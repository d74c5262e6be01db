"""Restriction of processing: one flag for everybody, who placed what apart, tokens dead, brands told, nothing destroyed."""

from types import SimpleNamespace

import pytest
from erasure_scene import DPO
from maison_people import AURELLE, FIELDS, VANTIER, change, one, person, rows, take_in, value

from audit.entry import Act
from policies.consent import Standing
from policies.floors import RESTRICTED, Facts, standing_floors
from policies.purposes import Basis
from vault import facts, outbox, restrictions, systems
from vault.erasure import retention
from vault.erasure.keeping import DAY
from vault.errors import UnknownReference, UnknownRestriction
from vault.outbox import EventKind
from vault.restrictions import Ground, Lift, Restrict
from vault.systems import NewSystem
from vault.unit import execute

ACCURACY, CLAIM = Ground.ACCURACY_CONTESTED, Ground.NEEDED_FOR_CLAIM


def restrict(vault, reference, ground=ACCURACY, brand=AURELLE):
    (answer,) = execute(vault, restrictions.restrictions, [Restrict(brand, reference, ground, DPO)])
    return answer


def lift(vault, reference, ground=ACCURACY, brand=AURELLE):
    (answer,) = execute(vault, restrictions.liftings, [Lift(brand, reference, ground, DPO)])
    return answer


def state(vault, subject):
    return rows(vault, "SELECT restricted, epoch FROM subject WHERE id = ?", subject)[0]


def listens(vault, name, brand):
    from api.client.identity import Identity, SigningKey

    jwks = Identity(name, SigningKey.generate(), "k").registration()
    with vault.unit() as uow:
        systems.register(uow, NewSystem(name, brand, name, jwks, frozenset({"lookup"})), DPO)
        outbox.listen(uow, name, "http://127.0.0.1:9/events", DPO)
        uow.commit()


def told(vault):
    with vault.reading() as conn:
        found = outbox.ledger(conn, done=True)
    return sorted((each.system_id, each.kind) for each in found)


@pytest.fixture
def known(vault):
    """Somebody whom two brands know, each under its own reference, with a system of each that listens."""
    listens(vault, "aurelle-crm", AURELLE)
    listens(vault, "vantier-crm", VANTIER)
    who = one(take_in(vault, person(vantier={"client_number": "VA-7"})))
    return SimpleNamespace(subject=who.subject, **who.references)


def test_the_first_restriction_closes_and_steps_the_epoch_and_a_second_does_neither(vault, known):
    before = state(vault, known.subject)[1]
    assert restrict(vault, known.aurelle).stands
    assert state(vault, known.subject) == (True, before + 1)
    assert restrict(vault, known.aurelle).stands  # the same again
    assert restrict(vault, known.aurelle, CLAIM).stands
    assert restrict(vault, known.vantier, brand=VANTIER).stands
    assert state(vault, known.subject) == (True, before + 1)
    assert rows(vault, "SELECT count(*) FROM restriction") == [(3,)]


def test_it_stands_until_the_last_one_is_lifted_and_the_dead_stay_dead(vault, known):
    restrict(vault, known.aurelle)
    restrict(vault, known.vantier, CLAIM, VANTIER)
    closed = state(vault, known.subject)[1]
    assert lift(vault, known.aurelle).stands
    assert state(vault, known.subject)[0]
    assert not lift(vault, known.vantier, CLAIM, VANTIER).stands
    assert state(vault, known.subject) == (False, closed)
    with vault.reading() as conn:
        assert restrictions.listed(conn) == []
        assert {each.lifted_by for each in restrictions.listed(conn, lifted=True)} == {DPO.id}


def test_nobody_lifts_what_they_did_not_place(vault, known):
    restrict(vault, known.aurelle)
    refused = [
        lift(vault, known.aurelle, CLAIM),
        lift(vault, known.vantier, ACCURACY, VANTIER),
        lift(vault, known.aurelle, Ground.RESTORED),
    ]
    assert [type(each) for each in refused] == [UnknownRestriction] * 3
    assert isinstance(lift(vault, known.vantier), UnknownReference)  # another brand's reference
    assert isinstance(restrict(vault, "ref_" + "0" * 26), UnknownReference)
    assert isinstance(restrict(vault, known.aurelle, Ground.RESTORED), UnknownRestriction)
    assert state(vault, known.subject)[0]
    assert isinstance(lift(vault, known.vantier, ACCURACY, VANTIER), UnknownRestriction)


def test_every_brand_that_knows_them_is_told_of_the_first_and_of_the_end_and_never_why(vault, known):
    restrict(vault, known.aurelle)
    restrict(vault, known.aurelle, CLAIM)
    both = [("aurelle-crm", EventKind.RESTRICTED), ("vantier-crm", EventKind.RESTRICTED)]
    assert told(vault) == both
    lift(vault, known.aurelle)
    assert told(vault) == both
    lift(vault, known.aurelle, CLAIM)
    assert told(vault) == sorted([*both, *((name, EventKind.UNRESTRICTED) for name, _ in both)])
    stored = [(bytes(row[0]), bytes(row[1])) for row in rows(vault, "SELECT id, payload FROM outgoing_event")]
    opened = vault.keys.open("event/outbox", stored)
    assert all(text.endswith(b",{}]") for text in opened)


def test_each_act_is_an_entry_with_its_ground_and_a_refusal_names_nobody(scene):
    vault = scene.vault
    who = one(take_in(vault)).references[AURELLE]
    restrict(vault, who)
    lift(vault, who, CLAIM)
    lift(vault, who)
    entries = [each for each in scene.entries() if "restrict" in each["act"]]
    assert [(each["act"], each["out"], each.get("pol")) for each in entries] == [
        (Act.SUBJECT_RESTRICTED, "allow", ["restriction.accuracy_contested"]),
        (Act.SUBJECT_RESTRICTION_LIFTED, "deny", None),
        (Act.SUBJECT_RESTRICTION_LIFTED, "allow", ["restriction.accuracy_contested", "restriction.person_informed"]),
    ]
    assert ["sref" in each for each in entries] == [True, False, True]


def test_the_floor_sees_it_and_only_legal_claims_pass(vault, known):
    restrict(vault, known.aurelle)
    with vault.unit() as uow:
        seen = [facts.load(uow, brand, [known.subject])[0].facts for brand in (AURELLE, VANTIER)]
    assert all(each.restricted for each in seen)
    shared = {"known_to_brand": True, "erased": False, "restricted": True, "minor": False, "registered": True}
    for basis in Basis:
        found = standing_floors(Facts(**shared, basis=basis, standing=Standing.STANDS, given_here=True))
        assert (RESTRICTED in found) == (basis is not Basis.LEGAL_CLAIMS), basis


def test_a_wrong_value_may_still_be_corrected(vault, known):
    who = SimpleNamespace(subject=known.subject, references={AURELLE: known.aurelle})
    restrict(vault, known.aurelle)
    assert change(vault, who, correct={"birth_date": "1984-05-18"}).version
    assert value(vault, known.subject, "birth_date") == "1984-05-18"


def test_nothing_restricted_is_destroyed_because_its_time_is_over(scene, clock):
    vault = scene.vault
    who = one(take_in(vault))
    restrict(vault, who.references[AURELLE], CLAIM)
    clock.advance(40 * 366 * DAY)
    swept = retention.sweep(vault, DPO)
    assert (swept.requested, swept.kept) == (0, swept.over)
    assert swept.over
    lift(vault, who.references[AURELLE], CLAIM)
    assert retention.sweep(vault, DPO).requested == 1


def test_what_was_restricted_leaves_no_row_when_its_person_is_erased(scene):
    vault = scene.vault
    who = one(take_in(vault, person(FIELDS)))
    restrict(vault, who.references[AURELLE])
    scene.whole(who.subject)
    assert isinstance(restrict(vault, who.references[AURELLE]), UnknownReference)
    assert isinstance(lift(vault, who.references[AURELLE]), UnknownReference)
    scene.run()
    assert rows(vault, "SELECT count(*) FROM restriction") == [(0,)]
