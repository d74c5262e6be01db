"""Introspection and revocation on real vaults: dead tokens all look the same."""

import pytest
from oauth_parties import ISSUER, Party, ask, consent, person, take_in

from api import rar
from api.oauth.errors import OAuthError
from api.oauth.introspection import INACTIVE, TokenQuestion, introspect
from api.oauth.revocation import revoke
from vault import references, tokens
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
