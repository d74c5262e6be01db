"""What ends by itself: terms, old words, a prospect's silence, a guardian's word at majority."""

import datetime as dt

import pytest
from maison_people import AURELLE, FIELDS, given, one, person, rows, take_in
from test_vault_consent_events import KEY, bundle_with, chain, did, files_with_new_notice, linked, now, tell

from audit.entry import Actor, ActorKind
from policies.model import ConsentStatus
from vault import consentterms, contactactivity, guardians
from vault.consents import ConsentAct, Who
from vault.contactactivity import Activity, Kind
from vault.errors import InvalidFields, UnknownReference
from vault.unit import execute

DAY, YEAR = 86_400, 365 * 86_400
LATE = 3 * YEAR


@pytest.fixture
def prospect(vault):
    return one(take_in(vault, person(FIELDS, consents=[given("clienteling.hospitality", "hospitality"), given()])))


def client():
    bought = {"date": "2026-01-05", "family": "watches", "product": "W", "price": {"amount": "1", "currency": "EUR"}}
    return person({"purchases": [bought]}, consents=[given()])


def noted(vault, known, kind=Kind.CLICK, at=None):
    (answer,) = execute(
        vault, contactactivity.record, [Activity(known.references[AURELLE], AURELLE, "aurelle-web", kind, at)]
    )
    return answer


def test_a_term_that_is_over_gets_its_event_once(vault, prospect, clock):
    clock.advance(YEAR)
    dry = consentterms.sweep(vault, dry_run=True)
    assert dry.ended == {"term": 1}
    assert len(chain(vault, prospect)) == 2
    assert consentterms.sweep(vault).ended == {"term": 1}
    assert consentterms.sweep(vault).ended == {}
    last = chain(vault, prospect)[-1]
    assert (last["state"], last["actor"], last["source"], last["method"]) == ("expired", "system", "term", "rule")
    assert now(vault, prospect) == {"clienteling.hospitality": ConsentStatus.EXPIRED, KEY: ConsentStatus.GIVEN}


def test_an_expired_consent_may_be_renewed(vault, prospect, clock):
    clock.advance(YEAR)
    consentterms.sweep(vault)
    tell(vault, prospect, given("clienteling.hospitality", "hospitality"))
    assert now(vault, prospect)["clienteling.hospitality"] is ConsentStatus.GIVEN
    assert consentterms.sweep(vault).ended == {}


def test_other_words_get_their_event(vault, prospect):
    vault.bundle = bundle_with(**files_with_new_notice(KEY))
    assert consentterms.sweep(vault).ended == {"notice": 1}
    assert chain(vault, prospect)[-1]["state"] == "invalidated"
    assert now(vault, prospect)[KEY] is ConsentStatus.NEEDS_RENEWAL


@pytest.mark.parametrize(
    ("kind", "ended"),
    [(Kind.EMAIL_OPEN, {"inactivity": 1}), (Kind.CLICK, {}), (Kind.VISIT, {}), (None, {"inactivity": 1})],
)
def test_a_prospects_time_runs_from_the_last_contact_the_prospect_made(vault, clock, kind, ended):
    long = bundle_with(**{"purposes.toml": with_long_terms()})
    vault.bundle = long
    prospect = one(take_in(vault, person({"client_number": "P-1"}, consents=[given()])))
    clock.advance(LATE - DAY)
    if kind is not None:
        assert noted(vault, prospect, kind) is (kind is not Kind.EMAIL_OPEN)
    assert consentterms.sweep(vault).ended == {}
    clock.advance(DAY)
    assert consentterms.sweep(vault).ended == ended
    assert (now(vault, prospect)[KEY] is ConsentStatus.EXPIRED) is bool(ended)


def test_who_bought_something_is_no_prospect(vault, clock):
    vault.bundle = bundle_with(**{"purposes.toml": with_long_terms()})
    bought = one(take_in(vault, client()))
    clock.advance(LATE + DAY)
    assert consentterms.sweep(vault).ended == {}
    assert now(vault, bought)[KEY] is ConsentStatus.GIVEN


def with_long_terms():
    from pathlib import Path

    import policies

    text = (Path(policies.__file__).parent / "bundles" / "maisons" / "purposes.toml").read_text()
    return text.replace("validity_days = 1095", "validity_days = 5000").encode()


def test_a_contact_is_never_set_back_and_never_of_tomorrow(vault, prospect, clock):
    assert noted(vault, prospect, at=clock.now()) is True
    assert noted(vault, prospect, Kind.VISIT, at=clock.now() - YEAR) is True
    assert rows(vault, "SELECT last_at, kind FROM contact_activity") == [(clock.now(), "click")]
    assert isinstance(noted(vault, prospect, at=clock.now() + YEAR), InvalidFields)
    (stranger,) = execute(
        vault, contactactivity.record, [Activity("ref_00000000000000000000000000", AURELLE, "s", Kind.CALL)]
    )
    assert isinstance(stranger, UnknownReference)


def test_what_was_withdrawn_does_not_expire(vault, prospect, clock):
    tell(vault, prospect, did(ConsentAct.WITHDRAWN), did(ConsentAct.WITHDRAWN, "clienteling.hospitality"))
    clock.advance(2 * LATE)
    assert consentterms.sweep(vault).ended == {}
    assert set(now(vault, prospect).values()) == {ConsentStatus.WITHDRAWN}


def test_coming_of_age_is_a_task_and_ends_what_the_guardian_gave(vault, clock):
    child, parent = family = take_in(vault, person({"birth_date": "2009-03-04"}), person())
    linked(vault, family, of_age_on=dt.date(2027, 3, 4))
    tell(vault, child, given(actor=Who.GUARDIAN))
    due = [(AURELLE, Actor(ActorKind.SYSTEM, "aurelle-crm"))]
    assert consentterms.sweep(vault).matured == 0
    clock.advance(200 * DAY)
    assert consentterms.sweep(vault, dry_run=True).matured == 1
    assert execute(vault, guardians_due, due) == [[]]
    swept = consentterms.sweep(vault)
    assert (swept.matured, swept.ended) == (1, {"majority": 1})
    assert now(vault, child)[KEY] is ConsentStatus.NEEDS_RENEWAL
    assert execute(vault, guardians_due, due) == [[child.references[AURELLE]]]
    ended = guardians.End(child.references[AURELLE], parent.references[AURELLE], AURELLE, "s")
    assert isinstance(execute(vault, guardians.ends, [ended])[0], bytes)
    assert execute(vault, guardians_due, due) == [[]]
    assert isinstance(execute(vault, guardians.ends, [ended])[0], UnknownReference)
    assert consentterms.sweep(vault).matured == 0


def guardians_due(uow, asked):
    found = guardians.due(uow, asked)
    return lambda _: found


def test_the_day_of_majority_is_not_in_clear(vault):
    linked(vault, take_in(vault, person({"birth_date": "2009-03-04"}), person()), of_age_on=dt.date(2027, 3, 4))
    ((sealed,),) = rows(vault, "SELECT of_age_sealed FROM guardian_link")
    assert b"2027" not in bytes(sealed)
