"""Erasure: denied from the request on, destroyed with the epoch, certified; in every scope."""

import pytest
from erasure_scene import DPO
from maison_people import (
    ACTOR,
    AURELLE,
    FIELDS,
    VANTIER,
    change,
    given,
    grant,
    look,
    look_all,
    one,
    person,
    rows,
    take_in,
    value,
)

from audit.entry import Act, Entry, Outcome, commitment
from vault import disclosure, facts, references
from vault.consents import Change, ConsentAct, ConsentEvent, record
from vault.erasure import requests
from vault.erasure.records import ErasureState
from vault.erasure.requests import Erase
from vault.errors import InvalidFields, KeyRetired, NothingToErase, UnknownReference
from vault.keys.service import Slot
from vault.subjects import describe
from vault.unit import execute, settled

OTHER = FIELDS | {"client_number": "AU-7", "phone": ["+33639980007"], "email": ["other@example.com"]}
TABLES = (
    "subject", "compartment", "field_value", "search_token", "relation", "reference", "consent_event", "consent_state",
    "hold",
)  # fmt: skip


def counts(vault):
    return {table: rows(vault, f"SELECT count(*) FROM {table}")[0][0] for table in TABLES}  # noqa: S608 - ours


def pair(vault):
    """Somebody who stays and somebody who goes."""
    return take_in(vault, person(OTHER, consents=[given()]), person(consents=[given()], vantier=FIELDS))


def test_a_whole_person_is_nobody_from_the_request_on(scene):
    vault = scene.vault
    stays, goes = pair(vault)
    with vault.unit() as uow:
        (before,) = facts.load(uow, AURELLE, [goes.subject])
    requested = scene.whole(goes.subject)
    assert requested.state is ErasureState.REQUESTED
    assert requested.kept == ()

    described = execute(vault, settled(describe), [(AURELLE, goes.references[AURELLE])])
    assert isinstance(described[0], UnknownReference)
    assert isinstance(change(vault, goes, append={"email": "x@example.com"}), UnknownReference)
    event = ConsentEvent("clienteling", ConsentAct.WITHDRAWN, "boutique")
    withdrawn = execute(vault, record, [Change(goes.references[AURELLE], AURELLE, "aurelle-crm", event)])
    assert isinstance(withdrawn[0], UnknownReference)
    assert scene.found("phone", "+33639981234") == scene.found("client_number", "AU-0042", VANTIER) == []
    with vault.unit() as uow:
        (now,) = facts.load(uow, AURELLE, [goes.subject])
    assert now.facts.erased
    assert now.subject_epoch == before.subject_epoch + 1
    with pytest.raises(KeyRetired):
        facts.log_keys(vault.keys, [now])
    assert not look(vault, goes.subject, "phone")["phone"].present
    assert value(vault, stays.subject, "email") == ["other@example.com"]
    assert scene.found("email", "other@example.com") == [stays.subject]


def test_after_the_epoch_nothing_of_them_is_left_and_the_log_says_so(scene):
    vault = scene.vault
    (stays,) = take_in(vault, person(OTHER, consents=[given()]))
    left = counts(vault)
    (goes,) = take_in(vault, person(consents=[given()], vantier=FIELDS))
    with vault.unit() as uow:
        (key,) = facts.log_keys(vault.keys, facts.load(uow, AURELLE, [goes.subject]))
    requested = scene.whole(goes.subject)
    ran = scene.run()
    assert (len(ran.ended), ran.erasures, ran.certificates) == (1, 1, 1)
    assert counts(vault) == left
    assert rows(vault, "SELECT subject_id, state FROM erasure") == [(None, "done")]
    erased = [each for each in scene.entries() if each["act"] == Act.SUBJECT_ERASED]
    assert [each["com"] for each in erased] == [commitment(key).hex()]
    assert "sref" not in erased[0]
    (registered,) = [each for each in scene.entries() if each.get("com") == commitment(key).hex() and "sref" in each]
    assert registered["act"] == Act.SUBJECT_REGISTERED
    with vault.unit() as uow:
        assert references.resolve(uow, AURELLE, [goes.references[AURELLE]]) == [None]
        assert references.of(uow, VANTIER, [goes.subject]) == [None]
    certificate = scene.certificate(requested)
    assert (certificate.scope, certificate.kept, certificate.destruction_class) == ("subject", (), "C")
    categories = {vault.bundle.catalogue.field(name).category for name in FIELDS}
    assert len(certificate.keys) == len(categories) + 1  # and the log key's
    assert value(vault, stays.subject, "email") == ["other@example.com"]


def test_a_category_goes_and_the_rest_stays(scene):
    vault = scene.vault
    stays, goes = pair(vault)
    requested = scene.category(goes.subject, "contact")
    assert not look(vault, goes.subject, "email")["email"].present
    assert value(vault, goes.subject, "birth_date") == "1984-05-17"
    refused = change(vault, goes, append={"email": "again@example.com"})
    assert isinstance(refused, InvalidFields)
    assert refused.problems == (("email", "unavailable"),)
    assert change(vault, goes, set={"ring_size": {"value": "53", "system": "eu"}}).version
    assert scene.found("phone", "+33639981234") == []
    assert scene.found("client_number", "AU-0042") == [goes.subject]
    scene.run()
    certificate = scene.certificate(requested)
    assert (certificate.scope, len(certificate.keys)) == ("category contact", 1)
    assert Act.CATEGORY_ERASED in scene.acts()
    # What is given again later is new data in a new compartment.
    assert change(vault, goes, append={"email": "again@example.com"}).version
    assert value(vault, goes.subject, "email") == ["again@example.com"]
    assert value(vault, stays.subject, "email") == ["other@example.com"]


def test_a_field_goes_at_once_and_its_neighbours_move_to_another_leaf(scene):
    vault = scene.vault
    (goes,) = take_in(vault, person(consents=[given()], vantier=FIELDS))
    category = vault.bundle.catalogue.field("email").category_id
    before = rows(vault, "SELECT slot, generation FROM compartment WHERE category_id = ?", category)[0]
    requested = scene.field(goes.subject, "email")
    field_id = vault.bundle.catalogue.field("email").id
    assert rows(vault, "SELECT count(*) FROM field_value WHERE field_id = ?", field_id) == [(0,)]
    assert rows(vault, "SELECT count(*) FROM search_token WHERE field_id = ?", field_id) == [(0,)]
    after = rows(vault, "SELECT slot, generation FROM compartment WHERE category_id = ?", category)[0]
    assert after != before
    assert vault.keys.alive([Slot(*before), Slot(*after)]) == [False, True]
    phones = ["+33639981234", "+971501234567"]
    assert value(vault, goes.subject, "phone") == phones
    assert value(vault, goes.subject, "phone", brand=VANTIER) == phones
    scene.run()
    assert value(vault, goes.subject, "phone") == phones
    assert scene.found("phone", phones[0]) == [goes.subject]
    certificate = scene.certificate(requested)
    assert (certificate.scope, len(certificate.keys)) == ("field email", 1)
    about = [act for act in scene.acts() if act.split(".")[1] in {"requested", "deleted", "epoch_ended", "erased"}]
    assert about == [Act.ERASURE_REQUESTED, Act.FIELD_DELETED, Act.KEYS_EPOCH_ENDED, Act.FIELD_ERASED]
    assert change(vault, goes, append={"email": "new@example.com"}).version
    assert value(vault, goes.subject, "email") == ["new@example.com"]


def test_a_disclosure_that_read_before_a_rekeying_still_opens_what_stays(scene):
    vault = scene.vault
    (goes,) = take_in(vault)
    with vault.unit() as uow:
        selection = disclosure.select(uow, [grant(vault, goes.subject, "phone", "email")])
        entry = uow.record(Entry(Act.FIELD_DISCLOSED, Outcome.ALLOW, ACTOR))
        commit = uow.commit()
    scene.field(goes.subject, "email")
    (revealed,) = disclosure.reveal(vault, commit, selection, [entry])
    assert revealed["phone"].present
    assert isinstance(revealed["email"], Exception)


def test_asking_twice_is_asking_once(scene):
    vault = scene.vault
    stays, goes = pair(vault)
    first = scene.category(goes.subject, "contact")
    assert scene.category(goes.subject, "contact").erasure == first.erasure
    whole = scene.whole(goes.subject)
    assert scene.whole(goes.subject).erasure == whole.erasure
    catalogue = vault.bundle.catalogue
    late = requests.erase(vault, [requests.of_field(catalogue, goes.subject, "ring_size", DPO)])
    assert one(late).erasure == whole.erasure
    nothing = requests.erase(vault, [requests.of_category(catalogue, stays.subject, "health", DPO)])
    assert isinstance(nothing[0], NothingToErase)
    scene.run()
    assert {state for (state,) in rows(vault, "SELECT state FROM erasure")} == {"done"}
    assert scene.certificate(first).scope == "category contact"
    assert scene.certificate(whole).scope == "subject"
    again = requests.erase(vault, [Erase(goes.subject, DPO)])
    assert isinstance(again[0], UnknownReference)


def test_a_batch_of_one_disclosure_with_somebody_who_is_being_erased_shows_the_others(scene):
    vault = scene.vault
    stays, goes = pair(vault)
    scene.whole(goes.subject)
    here, gone = look_all(vault, [grant(vault, stays.subject, "email"), grant(vault, goes.subject, "email")])
    assert here["email"].present
    assert not gone["email"].present


def test_without_anything_to_destroy_a_run_changes_no_epoch(scene):
    take_in(scene.vault)
    assert scene.run().ended == ()
    assert len(scene.run(anyway=True).ended) == 1
    assert scene.vault.keys.status().epoch == 1


def test_the_epoch_moves_the_survivors_search_tokens(scene):
    vault = scene.vault
    stays, goes = pair(vault)
    tokens = {bytes(token) for (token,) in rows(vault, "SELECT token FROM search_token")}
    scene.whole(goes.subject)
    scene.run()
    assert {epoch for (epoch,) in rows(vault, "SELECT epoch FROM search_token")} == {1}
    assert not tokens & {bytes(token) for (token,) in rows(vault, "SELECT token FROM search_token")}
    assert scene.found("email", "OTHER@example.com") == [stays.subject]
    assert one(take_in(vault, person({"email": ["other@example.com"]}))).subject in scene.found(
        "email", "other@example.com"
    )
