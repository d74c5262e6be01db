"""Introspection and revocation on real vaults: dead tokens all look the same."""

from urllib.parse import urlencode

import pytest
from oauth_parties import ISSUER, OPERATOR, Party, ask, consent, person, take_in

from api import rar
from api.oauth.errors import OAuthError
from api.oauth.introspection import INACTIVE, TokenQuestion, introspect
from api.oauth.revocation import revoke
from vault import references, systems, tokens
from vault.consents import Change, ConsentAct, record
from vault.unit import execute


@pytest.fixture
def pos(vault):
    return Party().register(vault)


@pytest.fixture
def known(vault):
    return take_in(vault, person(consent("clienteling"), consent()))[0]


def introspected(vault, clock, party, token):
    (answer,) = execute(vault, introspect, [TokenQuestion(party.credential(clock.now()), token)])
    return answer


def revoked(vault, clock, party, token):
    return execute(vault, revoke, [TokenQuestion(party.credential(clock.now()), token)])


def service_token(vault, clock, party):
    return ask(vault, party.service(clock.now()))[0]["access_token"]


def disclosure_token(vault, clock, party, subjects, **more):
    return ask(vault, party.disclosure(clock.now(), subjects, ("phone", "masked"), **more))[0]["access_token"]


def test_who_does_not_prove_itself_learns_nothing(vault, clock, pos):
    token = service_token(vault, clock, pos)
    stranger = Party(pos.id)
    assert isinstance(introspected(vault, clock, stranger, token), OAuthError)
    assert isinstance(revoked(vault, clock, stranger, token)[0], OAuthError)
    assert introspected(vault, clock, pos, token)["active"]


@pytest.mark.parametrize("token", ["x", "x" * 43, "é", "\x00"])
def test_an_unknown_token_is_inactive(vault, clock, pos, token):
    assert introspected(vault, clock, pos, token) == INACTIVE == {"active": False}


def test_another_brands_token_is_inactive_and_a_colleagues_is_not(vault, clock, pos):
    token = service_token(vault, clock, pos)
    assert introspected(vault, clock, Party("vantier-pos", "vantier").register(vault), token) == INACTIVE
    assert introspected(vault, clock, Party("aurelle-crm").register(vault), token)["client_id"] == "aurelle-pos"


def test_an_expired_token_is_inactive(vault, clock, pos):
    token = service_token(vault, clock, pos)
    clock.advance(299)
    assert introspected(vault, clock, pos, token)["active"]
    clock.advance(1)
    assert introspected(vault, clock, pos, token) == INACTIVE


def test_a_disabled_systems_token_is_inactive(vault, clock, pos):
    token = service_token(vault, clock, pos)
    pos.disable(vault)
    assert introspected(vault, clock, Party("aurelle-crm").register(vault), token) == INACTIVE


def test_after_a_key_was_lost_its_tokens_are_dead_and_the_new_key_gets_new_ones(vault, clock, pos):
    token = service_token(vault, clock, pos)
    heir = Party()
    with vault.unit() as uow:
        systems.replace_keys(uow, pos.id, {"keys": [heir.jwk | {"kid": "k1"}]}, OPERATOR, compromised=True)
        uow.commit()
    assert isinstance(introspected(vault, clock, pos, token), OAuthError)  # the old key proves nothing any more
    assert introspected(vault, clock, heir, token) == INACTIVE
    assert introspected(vault, clock, heir, service_token(vault, clock, heir))["active"]


def test_a_token_dies_with_the_consent_it_rests_on(vault, clock, pos, known):
    token = disclosure_token(vault, clock, pos, known)
    assert introspected(vault, clock, pos, token)["active"]
    execute(vault, record, [Change(known, "aurelle", "aurelle-crm", consent("clienteling", act=ConsentAct.WITHDRAWN))])
    assert introspected(vault, clock, pos, token) == INACTIVE


def test_a_used_up_token_is_inactive(vault, clock, pos, known):
    token = disclosure_token(vault, clock, pos, known)
    with vault.unit() as uow:
        (subject,) = references.resolve(uow, "aurelle", [known])
        assert tokens.consume(uow, [(tokens.hash_of(token), subject)]) == [True]
        uow.commit()
    assert introspected(vault, clock, pos, token) == INACTIVE


def test_a_list_token_lives_while_one_of_its_subjects_is_open(vault, clock, pos, known):
    other = take_in(vault, person(consent("clienteling"), consent(), client_number="AU-0043"))[0]
    token = disclosure_token(vault, clock, pos, [known, other])
    execute(vault, record, [Change(known, "aurelle", "aurelle-crm", consent(act=ConsentAct.WITHDRAWN))])
    assert introspected(vault, clock, pos, token)["active"]
    execute(vault, record, [Change(other, "aurelle", "aurelle-crm", consent(act=ConsentAct.WITHDRAWN))])
    assert introspected(vault, clock, pos, token) == INACTIVE


def test_an_active_answer_tells_what_the_token_is_for_and_not_about_whom(vault, clock, pos, known):
    service = introspected(vault, clock, pos, service_token(vault, clock, pos))
    assert service == {
        "active": True,
        "iss": ISSUER,
        "client_id": pos.id,
        "token_type": "DPoP",
        "iat": clock.now(),
        "exp": clock.now() + 300,
        "cnf": {"jkt": pos.jkt},
        "scope": "lookup",
    }
    disclosure = introspected(vault, clock, pos, disclosure_token(vault, clock, pos, known, max_uses=2))
    assert disclosure["authorization_details"] == [
        {
            "type": rar.TYPE,
            "purpose": "clienteling.in_store",
            "fields": [{"name": "phone", "level": "masked"}],
            "max_uses": 2,
        }
    ]
    assert known not in str(disclosure)


def test_a_revoked_token_is_dead_and_revoking_again_is_as_silent(vault, clock, pos):
    token = service_token(vault, clock, pos)
    assert revoked(vault, clock, pos, token) == [None]
    assert introspected(vault, clock, pos, token) == INACTIVE
    assert revoked(vault, clock, pos, token) == [None]
    assert revoked(vault, clock, pos, "no-such-token") == [None]


def test_nobody_revokes_anothers_token(vault, clock, pos):
    token = service_token(vault, clock, pos)
    assert revoked(vault, clock, Party("aurelle-crm").register(vault), token) == [None]
    assert introspected(vault, clock, pos, token)["active"]


# RFC 7662 §2.2: the two answers that it publishes.
RFC7662_ACTIVE = {
    "active": True,
    "client_id": "l238j323ds-23ij4",
    "username": "jdoe",
    "scope": "read write dolphin",
    "sub": "Z5O3upPC88QrAjx00dis",
    "aud": "https://protected.example.net/resource",
    "iss": "https://server.example.com/",
    "exp": 1419356238,
    "iat": 1419350238,
    "extension_field": "twenty-seven",
}
RFC7662_INACTIVE = {"active": False}
# Members that other standards registered since: RFC 6749 and 7662 (token_type), 9449 and 8705 (cnf), 9396, 8693 (act).
REGISTERED = {"token_type", "cnf", "authorization_details", "act"}


def test_an_active_answer_has_the_shape_that_rfc_7662_publishes(vault, clock, pos, known):
    answers = [
        introspected(vault, clock, pos, service_token(vault, clock, pos)),
        introspected(vault, clock, pos, disclosure_token(vault, clock, pos, known)),
    ]
    for answer in answers:
        assert set(answer) <= RFC7662_ACTIVE.keys() | REGISTERED
        assert all(type(answer[name]) is type(RFC7662_ACTIVE[name]) for name in answer.keys() & RFC7662_ACTIVE.keys())
        assert answer["iat"] < answer["exp"]
        assert set(answer["scope"].split()) if "scope" in answer else answer["authorization_details"]
        # What the RFC has and we never tell: a person's name.
        assert not {"username", "extension_field"} & answer.keys()


def test_the_request_of_rfc_7662_is_read_and_answered_as_it_says(served, clock):
    """§2.1, the second figure, with its token and hint; the client proves itself as our metadata says."""
    party = Party().register(served.vault)
    figure = "token=mF_9.B5f-4.1JqM&token_type_hint=access_token"
    form = urlencode({name: text for name, text in party.form(clock.now()).items() if name != "grant_type"})
    kind = {"Content-Type": "application/x-www-form-urlencoded", "Accept": "application/json"}
    answer = served.http.post("/oauth/introspect", content=f"{figure}&{form}", headers=kind)
    assert (answer.status_code, answer.json()) == (200, RFC7662_INACTIVE)
    assert answer.headers["content-type"] == "application/json"
