"""The OAuth endpoints over HTTP, in the words of the standards."""

import json

import jwt
import pytest
from oauth_parties import ISSUER, TOKEN_URL, Party, consent, entry, person, take_in

from api import rar
from api.authn.jwk import ALGORITHMS

CANARY = "canary-51aa"


@pytest.fixture
def pos(served, now):
    party = Party().register(served.vault)
    party.nonce = post(served, party.form(now), party.proof_header(now)).headers["dpop-nonce"]
    return party


@pytest.fixture
def now(clock):
    return clock.now()


def post(served, form, *proofs, path="/oauth/token", **headers):
    sent = [("DPoP", proof) for proof in proofs] + list(headers.items())
    return served.http.post(path, data=form, headers=sent)


def error_of(answer):
    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers["pragma"] == "no-cache"
    assert CANARY not in answer.text
    body = answer.json()
    assert body.keys() == {"error", "code", "request_id"}
    assert answer.status_code == (401 if body["error"] == "invalid_client" else 400)
    return body["error"]


# --- refused ---------------------------------------------------------------------------------------------------------


def test_dpop_is_not_optional(served, pos, now):
    assert error_of(post(served, pos.form(now, scope="lookup"))) == "invalid_dpop_proof"


def test_two_proofs_and_a_folded_pair_are_refused(served, pos, now):
    pair = pos.proof_header(now), pos.proof_header(now)
    assert error_of(post(served, pos.form(now, scope="lookup"), *pair)) == "invalid_dpop_proof"
    assert error_of(post(served, pos.form(now, scope="lookup"), ", ".join(pair))) == "invalid_dpop_proof"


@pytest.mark.parametrize(
    "url", ["http://10.0.0.9:8420/oauth/token", f"{ISSUER}/oauth/revoke", "http://evil.example/oauth/token"]
)
def test_the_proof_must_name_the_published_url_and_not_the_host_header(served, pos, now, url):
    answer = post(served, pos.form(now, scope="lookup"), pos.proof_header(now, url=url), Host="evil.example")
    assert error_of(answer) == "invalid_dpop_proof"


def test_a_proof_is_good_once(served, pos, now):
    proof = pos.proof_header(now)
    assert post(served, pos.form(now, scope="lookup"), proof).status_code == 200
    assert error_of(post(served, pos.form(now, scope="lookup"), proof)) == "invalid_dpop_proof"


def test_an_assertion_is_good_once(served, pos, now):
    form = pos.form(now, scope="lookup")
    assert post(served, form, pos.proof_header(now)).status_code == 200
    assert error_of(post(served, form, pos.proof_header(now))) == "invalid_client"


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"grant_type": ""}, "invalid_request"),
        ({"grant_type": "authorization_code"}, "unsupported_grant_type"),
        ({"grant_type": CANARY}, "unsupported_grant_type"),
        ({"client_assertion_type": CANARY}, "invalid_client"),
        ({"client_assertion": CANARY}, "invalid_client"),
        ({"client_assertion": ""}, "invalid_client"),
        ({"client_id": CANARY}, "invalid_client"),
        ({"client_secret": CANARY}, "invalid_request"),
        ({"scope": ""}, "invalid_request"),
        ({"scope": CANARY}, "invalid_scope"),
        ({"scope": "lookup import"}, "invalid_scope"),
        ({"scope": " "}, "invalid_scope"),
        ({"authorization_details": "[]"}, "invalid_request"),
        ({"scope": "", "authorization_details": CANARY}, "invalid_authorization_details"),
        ({"scope": "", "authorization_details": "[]"}, "invalid_authorization_details"),
        ({"scope": "", "authorization_details": "[{},{}]"}, "invalid_authorization_details"),
        ({"scope": "", "authorization_details": json.dumps([{"type": CANARY}])}, "invalid_authorization_details"),
    ],
)
def test_what_is_wrong_is_named_in_the_standards_words(served, pos, now, changes, error):
    assert error_of(post(served, pos.form(now, scope="lookup") | changes, pos.proof_header(now))) == error


@pytest.mark.parametrize(
    "body",
    [
        "grant_type=x&grant_type=x",
        "%zz=%ff",
        "a",
        "&",
        "scope=%ed%a0%80",
        "é=1",
        "&".join(f"p{n}=1" for n in range(17)),
    ],
)
def test_a_malformed_form_is_refused(served, body):
    answer = served.http.post(
        "/oauth/token", content=body.encode(), headers={"content-type": "application/x-www-form-urlencoded"}
    )
    assert error_of(answer) == "invalid_request"


@pytest.mark.parametrize("kind", ["application/json", "multipart/form-data; boundary=x", ""])
def test_another_media_type_is_refused(served, kind):
    assert (
        error_of(served.http.post("/oauth/token", content=b"{}", headers={"content-type": kind})) == "invalid_request"
    )


def test_a_second_way_to_authenticate_is_refused(served, pos, now):
    answer = post(served, pos.form(now, scope="lookup"), pos.proof_header(now), Authorization="Basic eDp5")
    assert error_of(answer) == "invalid_request"


@pytest.mark.parametrize("path", ["/oauth/introspect", "/oauth/revoke"])
def test_introspection_and_revocation_ask_who_asks(served, pos, now, path):
    assert error_of(post(served, {"token": "x"}, path=path)) == "invalid_client"
    assert error_of(post(served, pos.form(now), path=path)) == "invalid_request"
    assert error_of(post(served, pos.form(now, token="x" * 513), path=path)) == "invalid_request"


def test_only_post(served):
    for path in ("/oauth/token", "/oauth/introspect", "/oauth/revoke"):
        assert served.http.get(path).json()["code"] == "method_not_allowed"


@pytest.mark.parametrize(
    ("authorization", "code"),
    [
        ([], "token_required"),
        (["Bearer " + "x" * 43], "token_required"),
        (["DPoP"], "token_required"),
        (["DPoP " + "x" * 129], "invalid_token"),
        (["DPoP " + "x" * 43] * 2, "invalid_token"),
        (["DPoP " + "x" * 43], "invalid_dpop_proof"),
    ],
)
def test_without_one_bound_token_and_its_proof_nothing_is_looked_at(served, authorization, code):
    answer = served.http.post("/v1/disclosures", json={}, headers=[("Authorization", each) for each in authorization])
    assert (answer.status_code, answer.json()["code"]) == (401, code)
    assert answer.headers["www-authenticate"].startswith("DPoP ")
    assert answer.headers["cache-control"] == "no-store"


def test_a_token_nobody_issued_is_refused_with_a_good_proof(served, pos, now):
    token = "x" * 43
    proof = pos.proof_header(now, url=f"{ISSUER}/v1/disclosures", token=token)
    answer = served.http.post("/v1/disclosures", json={}, headers={"Authorization": f"DPoP {token}", "DPoP": proof})
    assert (answer.status_code, answer.json()["code"]) == (401, "invalid_token")


# --- granted ---------------------------------------------------------------------------------------------------------


def test_a_token_lives_until_it_is_revoked(served, pos, now):
    answer = post(served, pos.form(now, scope="lookup", client_id=pos.id), pos.proof_header(now))
    assert answer.headers["cache-control"] == "no-store"
    token = answer.json()["access_token"]
    assert answer.json() == {"access_token": token, "token_type": "DPoP", "expires_in": 300, "scope": "lookup"}
    known = post(served, pos.form(now, token=token), path="/oauth/introspect").json()
    assert (known["active"], known["client_id"], known["scope"]) == (True, pos.id, "lookup")
    revoked = post(served, pos.form(now, token=token, token_type_hint="access_token"), path="/oauth/revoke")
    assert (revoked.status_code, revoked.content) == (200, b"")
    assert post(served, pos.form(now, token=token), path="/oauth/introspect").json() == {"active": False}


def test_a_disclosure_token_opens_what_it_says_to_the_holder_of_its_key_once(served, pos, now):
    (known,) = take_in(served.vault, person(consent("clienteling"), consent()))
    details = json.dumps([entry(known, ("phone", "masked"), ("birth_date", "generalised"))])
    answer = post(served, pos.form(now, authorization_details=details), pos.proof_header(now)).json()
    assert answer["token_type"] == "DPoP"
    token, url = answer["access_token"], f"{ISSUER}/v1/disclosures"

    def redeem(party):
        headers = {"Authorization": f"DPoP {token}", "DPoP": party.proof_header(now, url=url, token=token)}
        return served.http.post("/v1/disclosures", json={}, headers=headers)

    stolen = redeem(Party("thief"))
    assert stolen.status_code == 401
    assert stolen.headers["www-authenticate"] == (
        f'DPoP error="invalid_token", algs="ES256 EdDSA", resource_metadata="{ISSUER}/.well-known/oauth-protected-resource"'
    )
    opened = redeem(pos)
    assert opened.status_code == 200, opened.text
    assert [field["level"] for field in opened.json()["fields"]] == ["masked", "generalised"]
    assert "39981234" not in opened.text
    assert redeem(pos).json()["code"] == "uses_exhausted"


def test_a_recorded_request_cannot_be_sent_again(served, pos, now):
    (known,) = take_in(served.vault, person(consent("clienteling"), consent()))
    details = json.dumps([entry(known, ("phone", "masked"), max_uses=5)])
    token = post(served, pos.form(now, authorization_details=details), pos.proof_header(now)).json()["access_token"]
    proof = pos.proof_header(now, url=f"{ISSUER}/v1/disclosures", token=token)
    headers = {"Authorization": f"DPoP {token}", "DPoP": proof}
    assert served.http.post("/v1/disclosures", json={}, headers=headers).status_code == 200
    again = served.http.post("/v1/disclosures", json={}, headers=headers)
    assert (again.status_code, again.json()["code"]) == (401, "proof_replayed")
    assert 'error="invalid_dpop_proof"' in again.headers["www-authenticate"]


@pytest.mark.parametrize("path", ["/.well-known/oauth-authorization-server", "/.well-known/oauth-protected-resource"])
def test_metadata_is_public_and_names_only_our_own_urls(served, path):
    answer = served.http.get(path, headers={"host": "evil.example"})
    assert answer.status_code == 200
    assert "evil" not in answer.text
    assert answer.json()["dpop_signing_alg_values_supported"] == list(ALGORITHMS)
    assert answer.json()["authorization_details_types_supported"] == [rar.TYPE]


def test_metadata_says_what_a_client_needs(served):
    server = served.http.get("/.well-known/oauth-authorization-server").json()
    assert server["issuer"] == ISSUER
    assert server["token_endpoint"] == TOKEN_URL
    assert server["token_endpoint_auth_methods_supported"] == ["private_key_jwt"]
    assert "none" not in server["token_endpoint_auth_signing_alg_values_supported"]
    resource = served.http.get("/.well-known/oauth-protected-resource").json()
    assert resource["authorization_servers"] == [ISSUER]
    assert resource["dpop_bound_access_tokens_required"]


def test_a_challenge_leads_to_what_a_client_needs(served):
    """RFC 9728 §5: from a refusal to the resource's metadata, to the server's, to its token endpoint; all at our own name."""
    challenge = served.http.get("/v1/subjects/ref_" + "0" * 26).headers["www-authenticate"]
    described = challenge.partition('resource_metadata="')[2].partition('"')[0]
    resource = served.http.get(described.removeprefix(ISSUER)).json()
    assert described.startswith(resource["resource"])
    (issuer,) = resource["authorization_servers"]
    server = served.http.get(f"{issuer}/.well-known/oauth-authorization-server".removeprefix(ISSUER)).json()
    assert server["token_endpoint"] == TOKEN_URL


def test_the_decision_point_describes_itself(served):
    """AuthZEN Authorization API 1.0 §9: the two members that it requires, and the endpoint for several questions."""
    answer = served.http.get("/.well-known/authzen-configuration", headers={"host": "evil.example"})
    assert answer.headers["content-type"] == "application/json"
    described = answer.json()
    assert described["policy_decision_point"] == ISSUER
    for endpoint in ("access_evaluation_endpoint", "access_evaluations_endpoint"):
        path = described[endpoint].removeprefix(ISSUER)
        assert served.http.post(path).status_code == 401  # there it is, and asks who


JWT_OF_INTROSPECTION = "application/token-introspection+jwt"


def test_an_introspection_comes_signed_for_who_accepts_it_so(served, pos, now):
    """RFC 9701: read by another's library, with the keys that the metadata lead to."""
    described = served.http.get("/.well-known/oauth-authorization-server").json()
    token = post(served, pos.form(now, scope="lookup"), pos.proof_header(now)).json()["access_token"]

    def ask(token, accept):
        return post(served, pos.form(now, token=token), path="/oauth/introspect", accept=accept)

    plain = ask(token, "application/json").json()
    for asked, told in ((token, plain), ("x" * 43, {"active": False})):
        answer = ask(asked, f"application/json;q=0.1, {JWT_OF_INTROSPECTION}")
        assert (answer.status_code, answer.headers["content-type"]) == (200, JWT_OF_INTROSPECTION)
        assert answer.headers["cache-control"] == "no-store"
        keys = served.http.get(described["jwks_uri"].removeprefix(ISSUER)).json()["keys"]
        header = jwt.get_unverified_header(answer.text)
        (key,) = [jwt.PyJWK(each) for each in keys if each["kid"] == header["kid"]]
        claims = jwt.decode(
            answer.text,
            key,
            algorithms=described["introspection_signing_alg_values_supported"],
            audience=pos.id,
            issuer=ISSUER,
            options={"verify_iat": False},  # the test's clock is its own
        )
        assert header["typ"] == "token-introspection+jwt"
        assert claims.keys() == {"iss", "aud", "iat", "token_introspection"}
        assert (claims["iat"], claims["token_introspection"]) == (now, told)


def test_only_what_was_answered_is_signed(served, pos, now):
    stranger = Party(pos.id)
    refused = post(served, stranger.form(now, token="x"), path="/oauth/introspect", accept=JWT_OF_INTROSPECTION)
    assert error_of(refused) == "invalid_client"
    assert refused.headers["content-type"] == "application/json"
