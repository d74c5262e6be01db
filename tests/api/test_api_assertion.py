import hashlib
import hmac
import json

import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from hypothesis import given
from hypothesis import strategies as st

from api.authn import assertion
from vault.errors import Refused

ISSUER = "https://vault.example"
CLIENT = "aurelle-pos"
NOW = 1_700_000_000
EC_KEY = ec.generate_private_key(ec.SECP256R1())
ED_KEY = ed25519.Ed25519PrivateKey.generate()


def jwk_of(key, **members):
    algorithm = "EdDSA" if isinstance(key, ed25519.Ed25519PrivateKey) else "ES256"
    public = jwt.get_algorithm_by_name(algorithm).to_jwk(key.public_key(), as_dict=True)
    return {name: value for name, value in public.items() if name in {"kty", "crv", "x", "y"}} | members


JWKS = {"keys": [jwk_of(EC_KEY, kid="till", use="sig", alg="ES256"), jwk_of(ED_KEY, kid="desk")]}


def claims(**changes):
    made = {"iss": CLIENT, "sub": CLIENT, "aud": ISSUER, "iat": NOW, "exp": NOW + 60, "jti": "one-assertion-identifier"}
    return {name: value for name, value in (made | changes).items() if value is not None}


def signed(payload=None, key=EC_KEY, algorithm="ES256", **header):
    header = {"kid": "till"} | header
    header = {name: value for name, value in header.items() if value is not None}
    return jwt.encode(claims() if payload is None else payload, key, algorithm=algorithm, headers=header)


def verify(text, *, client_id=CLIENT, jwks=JWKS, issuer=ISSUER, now=NOW):
    return assertion.verify(text, client_id=client_id, jwks=jwks, issuer=issuer, now=now)


def check_of(result):
    assert isinstance(result, Refused), result
    assert result.code == "invalid_client"
    return result.audit.removeprefix("assertion_")


# --- refused ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "audience",
    [
        f"{ISSUER}/oauth/token",
        f"{ISSUER}/",
        "https://VAULT.example",
        "https://other.example",
        [ISSUER],
        [ISSUER, "https://other.example"],
        "",
        5,
    ],
)
def test_any_audience_but_our_issuer_alone_is_refused(audience):
    assert check_of(verify(signed(claims(aud=audience)))) == "audience"


@pytest.mark.parametrize("missing", ["iss", "sub", "aud", "exp", "jti"])
def test_a_missing_claim_is_refused(missing):
    assert check_of(verify(signed(claims(**{missing: None})))) in {"signature", "subject"}


@pytest.mark.parametrize("changes", [{"iss": "other"}, {"sub": "other"}, {"sub": 5}, {"iss": "", "sub": ""}])
def test_an_assertion_about_someone_else_is_refused(changes):
    assert check_of(verify(signed(claims(**changes), algorithm="ES256"))) in {"subject", "signature"}


@pytest.mark.parametrize("expires", [NOW, NOW - 1, NOW + 331, NOW + 86400, "1700000060", True, 1e300])
def test_an_expiry_that_is_past_or_too_far_is_refused(expires):
    assert check_of(verify(signed(claims(exp=expires)))) == "exp"


@pytest.mark.parametrize("name", ["iat", "nbf"])
@pytest.mark.parametrize("time", [NOW + 31, NOW + 9999, "now", True])
def test_an_assertion_from_the_future_is_refused(name, time):
    assert check_of(verify(signed(claims(**{name: time})))) == name


@pytest.mark.parametrize("identifier", ["", "short", "x" * 129])
def test_an_identifier_of_another_shape_is_refused(identifier):
    assert check_of(verify(signed(claims(jti=identifier)))) == "jti"


def test_alg_none_is_refused():
    assert check_of(verify(jwt.encode(claims(), None, algorithm="none", headers={"kid": "till"}))) == "signature"


def test_an_hmac_under_the_registered_public_key_is_refused():
    # PyJWT refuses to make such a token, so it is made by hand.
    public = EC_KEY.public_key()
    for secret in (
        json.dumps(jwk_of(EC_KEY)).encode(),
        public.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo),
        public.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo),
    ):
        head = jwt.utils.base64url_encode(b'{"alg":"HS256","kid":"till"}').decode()
        text = f"{head}.{signed().split('.')[1]}"
        mac = hmac.digest(secret, text.encode(), hashlib.sha256)
        assert check_of(verify(f"{text}.{jwt.utils.base64url_encode(mac).decode()}")) == "signature"


def test_an_algorithm_that_is_not_the_keys_own_is_refused():
    other = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    assert check_of(verify(signed(key=other, algorithm="RS256"))) == "signature"
    assert check_of(verify(signed(key=ED_KEY, algorithm="EdDSA"))) == "signature"


def test_a_stranger_signing_as_the_client_is_refused():
    assert check_of(verify(signed(key=ec.generate_private_key(ec.SECP256R1())))) == "signature"


@pytest.mark.parametrize("kid", ["stranger", "", "TILL", None])
def test_without_a_key_that_is_meant_it_is_refused(kid):
    assert check_of(verify(signed(kid=kid))) in {"key", "form"}


@pytest.mark.parametrize(
    "jwks",
    [
        {},
        {"keys": []},
        {"keys": [jwk_of(EC_KEY, kid="till", use="enc")]},
        {"keys": [jwk_of(EC_KEY, kid="till", alg="ES384")]},
        {"keys": [jwk_of(EC_KEY, kid="till", d="AA")]},
        {"keys": [jwk_of(EC_KEY, kid="till"), jwk_of(ED_KEY, kid="till")]},
        {"keys": [{"kty": "oct", "k": "c2VjcmV0", "kid": "till"}]},
    ],
)
def test_a_registration_without_exactly_one_usable_key_is_refused(jwks):
    assert check_of(verify(signed(), jwks=jwks)) == "key"


@pytest.mark.parametrize("kind", ["dpop+jwt", "at+jwt", "secevent+jwt"])
def test_a_token_made_for_another_purpose_is_refused(kind):
    assert check_of(verify(signed(typ=kind))) == "type"


def test_a_critical_header_is_refused():
    assert check_of(verify(signed(crit=["b64"], b64=True))) in {"type", "form"}


@pytest.mark.parametrize("text", ["", "a.b", "a.b.c", "....", "é.é.é", "e30.e30.", "x" * 5000])
def test_what_is_no_jws_is_refused(text):
    assert check_of(verify(text)) in {"form", "key", "signature"}
    assert assertion.claimed_client(text) is None


@given(st.text(max_size=200))
def test_no_text_raises(text):
    assert isinstance(verify(text), Refused)
    assert assertion.claimed_client(text) is None


@pytest.mark.parametrize("issuer", [None, 5, "", "x" * 65, ["aurelle-pos"], "a\x00b", "\ud800", "A", "a b"])
def test_no_client_is_claimed_by_another_shape_of_issuer(issuer):
    payload = json.dumps(claims() | {"iss": issuer}).encode()
    text = f"{signed().split('.')[0]}.{jwt.utils.base64url_encode(payload).decode()}.AA"
    assert assertion.claimed_client(text) is None


# --- accepted --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [None, "JWT", "jwt", "client-authentication+jwt"])
def test_a_good_assertion_names_the_client_and_itself(kind):
    text = signed(typ=kind)
    assert assertion.claimed_client(text) == CLIENT
    good = verify(text)
    assert isinstance(good, assertion.Assertion)
    assert good.client_id == CLIENT
    assert len(good.proof_hash) == 16
    assert good.expires_at >= NOW + 60


def test_ed25519_works_as_well():
    assert isinstance(verify(signed(key=ED_KEY, algorithm="EdDSA", kid="desk")), assertion.Assertion)


def test_a_lone_key_needs_no_name():
    assert isinstance(verify(signed(kid=None), jwks={"keys": [jwk_of(EC_KEY)]}), assertion.Assertion)


def test_the_same_identifier_is_the_same_assertion_whatever_else_it_says():
    first, again = verify(signed()), verify(signed(claims(exp=NOW + 200)))
    other = verify(signed(claims(jti="another-assertion-identifier")))
    assert first.proof_hash == again.proof_hash != other.proof_hash
