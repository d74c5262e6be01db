"""Facts: one brand's view of a subject, and the epochs that a token carries."""

import pytest
from maison_people import AURELLE, FIELDS, VANTIER, given, one, person, rows, take_in

from policies.errors import UnknownPurpose
from policies.model import ConsentStatus
from vault import facts
from vault.consents import Change, ConsentAct, ConsentEvent, record
from vault.errors import KeyUnavailable
from vault.unit import execute

DAY = 86_400


def load(vault, *pairs):
    with vault.unit() as uow:
        return facts.load_each(uow, pairs)


def known_to(vault, registered, brand=AURELLE):
    return one(load(vault, (brand, registered.subject)))


def happen(vault, registered, purpose, act, brand=AURELLE):
    event = ConsentEvent(purpose, act, "boutique", given(purpose).notice if act is ConsentAct.GIVEN else None)
    one(execute(vault, record, [Change(registered.references[brand], brand, f"{brand}-crm", event)]))


def test_an_id_that_is_no_subject_has_no_facts(vault):
    assert load(vault, (AURELLE, bytes(16)), (VANTIER, bytes(16))) == [None, None]
    assert load(vault) == []


def test_one_brand_learns_nothing_of_another(vault):
    registered = one(take_in(vault, person(consents=[given()])))
    here, there = load(vault, (AURELLE, registered.subject), (VANTIER, registered.subject))
    assert here.facts.known_to_brand
    assert here.facts.consents == {"clienteling": ConsentStatus.GIVEN}
    assert not there.facts.known_to_brand
    assert there.facts.consents == {}
    assert there.consent_epochs == {}


def test_sister_brands_each_have_their_own_view_in_one_batch(vault):
    registered = one(take_in(vault, person(consents=[given()], vantier=FIELDS)))
    happen(vault, registered, "clienteling", ConsentAct.WITHDRAWN, brand=VANTIER)
    here, there, again = load(vault, *[(brand, registered.subject) for brand in (AURELLE, VANTIER, AURELLE)])
    assert here == again
    assert here.facts.known_to_brand and there.facts.known_to_brand
    assert here.facts.consents["clienteling"] is ConsentStatus.GIVEN
    assert there.facts.consents["clienteling"] is ConsentStatus.WITHDRAWN


@pytest.mark.parametrize("state", ["erasing", "erased"])
def test_who_is_being_erased_counts_as_erased(vault, state):
    registered = one(take_in(vault))
    rows(vault, "UPDATE subject SET state = ?", state)
    assert known_to(vault, registered).facts.erased


def test_restriction_minority_and_region_are_told(vault):
    child = one(take_in(vault, person(FIELDS | {"birth_date": "2020-05-17"}, region="ch")))
    assert known_to(vault, child).facts.minor
    assert known_to(vault, child).facts.region.lower() == "ch"
    assert not known_to(vault, child).facts.restricted
    rows(vault, "UPDATE subject SET restricted = ?", True)
    assert known_to(vault, child).facts.restricted


def test_a_consent_past_its_term_is_expired(vault, clock):
    registered = one(take_in(vault, person(consents=[given()])))
    validity = vault.bundle.purposes.get("clienteling").validity_days
    clock.advance(validity * DAY - 1)
    assert known_to(vault, registered).facts.consents["clienteling"] is ConsentStatus.GIVEN
    clock.advance(1)
    assert known_to(vault, registered).facts.consents["clienteling"] is ConsentStatus.EXPIRED


def test_every_event_on_a_purpose_or_above_it_steps_its_epoch_and_no_other_does(vault):
    registered = one(take_in(vault, person(consents=[given()])))
    purposes = vault.bundle.purposes

    def epochs():
        known = known_to(vault, registered)
        return [
            known.consent_epoch(key, purposes) for key in ("clienteling", "clienteling.in_store", "marketing.email")
        ]

    def stepped(before):
        return [after - was for after, was in zip(epochs(), before, strict=True)]

    before = epochs()
    happen(vault, registered, "clienteling.in_store", ConsentAct.GIVEN)
    assert stepped(before) == [0, 1, 0]
    before = epochs()
    happen(vault, registered, "clienteling", ConsentAct.WITHDRAWN)
    assert stepped(before) == [1, 1, 0]
    with pytest.raises(UnknownPurpose):
        known_to(vault, registered).consent_epoch("no.such", purposes)


def test_log_keys_open_in_order_and_never_half(vault):
    first, second = take_in(vault, person(), person(FIELDS | {"client_number": "AU-0043"}))
    known = load(vault, (AURELLE, first.subject), (AURELLE, second.subject))
    keys = facts.log_keys(vault.keys, known)
    assert [len(key) for key in keys] == [32, 32]
    assert facts.log_keys(vault.keys, known[::-1]) == keys[::-1]
    assert facts.log_keys(vault.keys, []) == []
    rows(vault, "UPDATE subject SET log_key = ? WHERE id = ?", bytes(40), second.subject)
    with pytest.raises(KeyUnavailable):
        facts.log_keys(vault.keys, load(vault, (AURELLE, first.subject), (AURELLE, second.subject)))
    assert "log_key" not in repr(known[0])
