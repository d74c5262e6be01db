"""Tokens through the batch function, on real vaults of both engines."""

import json
import re

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from oauth_parties import ISSUER, TOKEN_URL, Party, ask, consent, person, take_in

from api.oauth.errors import OAuthError
from api.oauth.issue import TokenRequest
from audit.entry import decode
from vault import facts, references, tokens
from vault.consents import Change, ConsentAct, record
from vault.tokens import Credential, Kind
from vault.unit import execute

CANARY = "canary-5f0c"


@pytest.fixture
def pos(vault):
    return Party().register(vault)


@pytest.fixture
def known(vault):
    """A person who agreed to clienteling; the brand's reference."""
    return take_in(vault, person(consent("clienteling"), consent()))[0]


def refusal(results, error, code=None):
    (result,) = results
    assert isinstance(result, OAuthError), result
    assert result.error == error
    assert code is None or result.code == code
    return result.audit


def entries(vault):
    with vault.engine.connect() as conn:
        rows = conn.exec_driver_sql("SELECT body FROM log_entry ORDER BY idx").all()
    return [decode(bytes(body)) for (body,) in rows]


def session_of(vault, party, token):
    """What authenticating with the token gives, as a fresh request would."""
    with vault.unit() as uow:
        credential = Credential(tokens.hash_of(token), party.jkt, uow.vault.entropy.bytes(16), uow.now + 120)
        (session,) = tokens.authenticate(uow, [credential])
        uow.commit()
    return session


# --- refused: who asks -----------------------------------------------------------------------------------------------


def test_an_unregistered_system_is_refused(vault, clock):
    assert refusal(ask(vault, Party().service(clock.now())), "invalid_client") == "client_unknown"
    assert entries(vault)[-1]["act"] == "auth.failed"


def test_a_disabled_system_is_refused(vault, clock, pos):
    pos.disable(vault)
    assert refusal(ask(vault, pos.service(clock.now())), "invalid_client") == "client_disabled"


@pytest.mark.parametrize("audience", [TOKEN_URL, f"{ISSUER}/", [ISSUER, "https://other.example"]])
def test_an_assertion_for_the_token_endpoint_or_for_others_is_refused(vault, clock, pos, audience):
    request = TokenRequest(
        pos.credential(clock.now(), aud=audience), pos.proof(clock.now()), frozenset({"lookup"}), None
    )
    assert refusal(ask(vault, request), "invalid_client") == "assertion_audience"


def test_a_strangers_key_is_refused(vault, clock, pos):
    credential = pos.credential(clock.now(), key=ec.generate_private_key(ec.SECP256R1()))
    request = TokenRequest(credential, pos.proof(clock.now()), frozenset({"lookup"}), None)
    assert refusal(ask(vault, request), "invalid_client") == "assertion_signature"


def test_an_assertion_is_good_once(vault, clock, pos):
    first = pos.service(clock.now())
    again = TokenRequest(first.client, pos.proof(clock.now()), frozenset({"lookup"}), None)
    assert ask(vault, first)[0]["token_type"] == "DPoP"
    assert refusal(ask(vault, again), "invalid_client") == "assertion_replayed"


def test_of_two_equal_assertions_in_one_batch_the_first_wins(vault, clock, pos):
    first = pos.service(clock.now())
    again = TokenRequest(first.client, pos.proof(clock.now()), frozenset({"lookup"}), None)
    won, lost = ask(vault, first, again)
    assert "access_token" in won
    assert lost.audit == "assertion_replayed"


def test_a_proof_is_good_once(vault, clock, pos):
    first = pos.service(clock.now())
    again = TokenRequest(pos.credential(clock.now()), first.proof, frozenset({"lookup"}), None)
    assert "access_token" in ask(vault, first)[0]
    assert refusal(ask(vault, again), "invalid_dpop_proof") == "proof_replayed"


# --- refused: what is asked ------------------------------------------------------------------------------------------


def test_a_scope_the_system_does_not_have_is_refused(vault, clock, pos):
    assert refusal(ask(vault, pos.service(clock.now(), "lookup", "import")), "invalid_scope")
    assert entries(vault)[-1]["act"] == "token.refused"


def test_an_unknown_field_is_refused_and_not_repeated(vault, clock, pos, known):
    request = pos.disclosure(clock.now(), known, (CANARY.replace("-", "_"), "raw"))
    refusal(ask(vault, request), "invalid_authorization_details", "unknown_field")
    assert CANARY.replace("-", "_") not in json.dumps(entries(vault))


def test_an_unknown_purpose_is_refused_and_not_repeated(vault, clock, pos, known):
    request = pos.disclosure(clock.now(), known, ("phone", "masked"), purpose="canary.purpose")
    refusal(ask(vault, request), "invalid_authorization_details", "unknown_purpose")
    assert "canary.purpose" not in json.dumps(entries(vault))


def test_a_purpose_the_system_is_not_registered_for_is_refused(vault, clock, pos, known):
    request = pos.disclosure(clock.now(), known, ("phone", "masked"), purpose="legal.claims")
    refusal(ask(vault, request), "invalid_authorization_details", "purpose_not_registered")


def test_who_does_not_exist_who_is_another_brands_and_who_did_not_agree_look_the_same(vault, clock, pos, known):
    foreign = take_in(vault, person(consent("clienteling"), consent(), brand="vantier"))[0]
    silent = take_in(vault, person(client_number="AU-0043"))[0]
    answers = set()
    for reference in ("ref_" + "0" * 26, foreign, silent, [known, foreign], [known, "ref_" + "0" * 26]):
        (result,) = ask(vault, pos.disclosure(clock.now(), reference, ("phone", "masked")))
        answers.add((type(result), result.error, result.code, str(result)))
        last = entries(vault)[-1]
        assert (last["act"], last["out"]) == ("token.refused", "deny")
    assert len(answers) == 1


def test_after_withdrawal_nothing_is_issued(vault, clock, pos, known):
    execute(vault, record, [Change(known, "aurelle", "aurelle-crm", consent(act=ConsentAct.WITHDRAWN))])
    refusal(
        ask(vault, pos.disclosure(clock.now(), known, ("phone", "masked"))),
        "invalid_authorization_details",
        "not_granted",
    )


def test_one_bad_request_fails_alone(vault, clock, pos, known):
    good = pos.disclosure(clock.now(), known, ("phone", "masked"))
    bad = pos.disclosure(clock.now(), "ref_" + "0" * 26, ("phone", "masked"))
    service = pos.service(clock.now())
    first, second, third = ask(vault, bad, good, service)
    assert isinstance(first, OAuthError)
    assert second["authorization_details"][0]["subject"] == known
    assert third["scope"] == "lookup"


# --- granted ---------------------------------------------------------------------------------------------------------


def test_a_service_token_carries_its_scopes_and_its_key(vault, clock, pos):
    (answer,) = ask(vault, pos.service(clock.now(), "lookup", "consent.write"))
    assert answer["expires_in"] == 300
    assert answer["scope"] == "consent.write lookup"
    session = session_of(vault, pos, answer["access_token"])
    assert session.kind is Kind.SERVICE
    assert session.scopes == {"lookup", "consent.write"}
    thief = Party("thief")
    assert session_of(vault, thief, answer["access_token"]).audit == "wrong_key"


def test_a_disclosure_token_says_field_by_field_what_was_granted(vault, clock, pos, known):
    request = pos.disclosure(
        clock.now(),
        known,
        ("phone", "raw"),
        ("birth_date", "generalised"),
        ("email", "masked"),
        max_uses=2,
        staff="adv-7",
    )
    (answer,) = ask(vault, request)
    (detail,) = answer["authorization_details"]
    assert detail["subject"] == known
    assert detail["purpose"] == "clienteling.in_store"
    assert detail["basis"] == "consent"
    assert detail["max_uses"] == 2
    phone, birth_date, email = detail["fields"]
    assert (phone["requested"], phone["level"], phone["decision"]) == ("raw", "masked", "narrowed")
    assert (birth_date["level"], birth_date["decision"], birth_date["reason"]) == ("generalised", "granted", None)
    assert "clienteling.dates" in birth_date["policies"]
    assert email["decision"] == "granted"
    assert answer["expires_in"] == 900
    last = entries(vault)[-1]
    assert last["act"] == "token.issued"
    assert last["fld"] == ["birth_date:generalised", "email:masked", "phone:masked"]
    assert len(last["sref"]) == 64


def test_what_a_token_does_not_grant_of_a_wish_is_an_entry_of_its_own(vault, clock, pos, known):
    request = pos.disclosure(
        clock.now(), known, ("phone", "masked"), ("ring_size", "generalised"), ("allergies", "raw")
    )
    (answer,) = ask(vault, request)
    decided = [each["decision"] for each in answer["authorization_details"][0]["fields"]]
    assert decided == ["granted", "refused", "refused"]
    refused, issued = entries(vault)[-2:]
    assert (refused["act"], refused["out"], refused["pur"]) == ("token.refused", "deny", "clienteling.in_store")
    assert refused["fld"] == ["allergies:raw", "ring_size:generalised"]
    assert issued["fld"] == ["phone:masked"]
    assert issued["req"] == refused["req"]
    assert len(refused["sref"]) == 64


def test_what_the_token_keeps_is_what_was_granted_and_no_word_of_the_caller(vault, clock, pos, known):
    request = pos.disclosure(
        clock.now(), known, ("phone", "raw"), ("allergies", "raw"), reason=CANARY, staff="adv-canary"
    )
    (answer,) = ask(vault, request)
    session = session_of(vault, pos, answer["access_token"])
    stored = json.loads(session.detail)
    staff = stored.pop("staff")
    assert re.fullmatch("[0-9a-f]{32}", staff)  # a keyed hash
    assert stored == {"fields": [{"name": "phone", "level": "masked"}], "max_uses": 1}
    refused = answer["authorization_details"][0]["fields"][1]
    assert (refused["decision"], refused["level"]) == ("refused", None)
    assert refused["reason"] is not None
    assert "canary" not in json.dumps(entries(vault))


@pytest.mark.parametrize(
    ("fields", "seconds"),
    [
        ([("ring_size", "raw"), ("phone", "masked")], 300),
        ([("phone", "masked"), ("birth_date", "generalised")], 900),
        ([("birth_date", "generalised")], 3600),
        ([("birth_date", "predicate", "over_18"), ("phone", "presence")], 3600),
    ],
)
def test_the_more_a_token_opens_the_shorter_it_lives(vault, clock, pos, known, fields, seconds):
    (answer,) = ask(vault, pos.disclosure(clock.now(), known, *fields, staff="adv-7"))
    assert answer["expires_in"] == seconds


def test_a_list_is_granted_the_most_that_any_of_its_subjects_is(vault, clock, pos, known):
    silent = take_in(vault, person(client_number="AU-0043"))[0]
    (answer,) = ask(vault, pos.disclosure(clock.now(), [known, silent], ("phone", "masked"), max_uses=3))
    (detail,) = answer["authorization_details"]
    assert detail["subjects"] == [known, silent]
    assert detail["fields"][0]["decision"] == "granted"
    session = session_of(vault, pos, answer["access_token"])
    with vault.unit() as uow:
        named = tokens.named(uow, [session.token_hash])[session.token_hash]
        assert set(named) == set(references.resolve(uow, "aurelle", [known, silent]))
    assert {each.uses_left for each in named.values()} == {3}
    assert entries(vault)[-1]["n"] == 2


def test_a_token_carries_the_epochs_it_was_granted_under(vault, clock, pos, known):
    (answer,) = ask(vault, pos.disclosure(clock.now(), known, ("phone", "masked")))
    purposes = vault.bundle.purposes

    def epochs():
        with vault.unit() as uow:
            (subject,) = references.resolve(uow, "aurelle", [known])
            (now,) = facts.load(uow, "aurelle", [subject])
            then = tokens.named(uow, [tokens.hash_of(answer["access_token"])])[tokens.hash_of(answer["access_token"])]
        return now.consent_epoch("clienteling.in_store", purposes), then[subject].consent_epoch

    now, then = epochs()
    assert now == then
    # A change above the purpose counts as one of its own.
    execute(vault, record, [Change(known, "aurelle", "aurelle-crm", consent("clienteling", act=ConsentAct.WITHDRAWN))])
    now, then = epochs()
    assert now > then
