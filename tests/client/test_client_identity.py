"""Proofs and assertions, checked by a library the client did not make them with the shape of."""

import hashlib
import json

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, SECP384R1, generate_private_key
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from api.client.identity import Identity, SigningKey, base64url, proof, target


def pem(key):
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


@pytest.fixture(params=["ES256", "EdDSA"])
def key(request):
    return SigningKey.of(
        generate_private_key(SECP256R1()) if request.param == "ES256" else Ed25519PrivateKey.generate()
    )


def test_other_curves_and_junk_are_refused_without_quoting_them():
    with pytest.raises(ValueError, match="P-256 or Ed25519"):
        SigningKey.load(pem(generate_private_key(SECP384R1())))
    for junk in (b"-----BEGIN SECRET-----", "hunter2", {"kty": "EC", "d": "hunter2"}, {}):
        with pytest.raises(ValueError, match="P-256 or Ed25519") as refused:
            SigningKey.load(junk)
        assert "hunter2" not in str(refused.value)
        assert refused.value.__cause__ is None


def test_thumbprint_is_that_of_rfc_9449():
    """The key of RFC 9449 figure 1 and the thumbprint in its figure 15."""
    public = {
        "kty": "EC",
        "x": "l8tFrhx-34tV3hRICRDY9zCkDlpBhF42UQUfWVAWBFs",
        "y": "9VE4jf_Ok_o64zbTTlcuNJajHmt6v9TDVrU0CdvGRDA",
        "crv": "P-256",
    }
    from api.client import identity

    assert identity._thumbprint(public) == "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I"


def test_thumbprint_is_that_of_rfc_8037():
    """RFC 8037 A.1 and A.3: Ed25519 private JWK and its thumbprint."""
    key = SigningKey.load(
        {
            "kty": "OKP",
            "crv": "Ed25519",
            "d": "nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A",
            "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo",
        }
    )
    assert key.thumbprint == "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k"


def test_proof_verifies_with_the_key_it_carries(key):
    made = proof(key, "POST", "https://vault.example/v1/x?q=1#f", 1_700_000_000, "jti-1", token="tok", nonce="n")
    header = jwt.get_unverified_header(made)
    assert header["typ"] == "dpop+jwt"
    assert header["alg"] == key.algorithm
    assert "d" not in header["jwk"]
    claims = jwt.decode(made, jwt.PyJWK(header["jwk"], algorithm=header["alg"]), [header["alg"]])
    assert claims == {
        "jti": "jti-1",
        "htm": "POST",
        "htu": "https://vault.example/v1/x",
        "iat": 1_700_000_000,
        "ath": base64url(hashlib.sha256(b"tok").digest()),
        "nonce": "n",
    }
    canonical = json.dumps(dict(sorted(header["jwk"].items())), separators=(",", ":")).encode()
    assert key.thumbprint == base64url(hashlib.sha256(canonical).digest())


def test_proof_without_token_or_nonce_claims_neither(key):
    claims = jwt.decode(proof(key, "GET", "https://v.example/a", 1, "j"), options={"verify_signature": False})
    assert set(claims) == {"jti", "htm", "htu", "iat"}


def test_assertion_names_the_issuer_alone_and_is_short_lived():
    private = generate_private_key(SECP256R1())
    identity = Identity.load("aurelle-paris", pem(private), "key-1")
    made = identity.assertion("https://vault.example", 1_700_000_000, "once")
    assert jwt.get_unverified_header(made)["kid"] == "key-1"
    options = {"verify_exp": False, "verify_iat": False}
    claims = jwt.decode(made, private.public_key(), ["ES256"], audience="https://vault.example", options=options)
    assert claims["aud"] == "https://vault.example"
    assert claims["exp"] - claims["iat"] <= 60
    assert claims["iss"] == claims["sub"] == "aurelle-paris"


def test_registration_is_public_and_verifies_what_the_identity_signs():
    identity = Identity.load("aurelle-paris", pem(Ed25519PrivateKey.generate()))
    registered = identity.registration()
    assert all("d" not in entry for entry in registered["keys"])
    assert identity.kid == identity.key.thumbprint
    options = {"verify_exp": False, "verify_iat": False}
    made = identity.assertion("iss", 1, "j")
    jwt.decode(made, jwt.PyJWK(registered["keys"][0]), ["EdDSA"], audience="iss", options=options)


def test_nothing_private_in_repr():
    identity = Identity.load("aurelle-paris", pem(generate_private_key(SECP256R1())), "k")
    assert repr(identity) == "Identity(client_id='aurelle-paris', kid='k')"
    assert "PrivateKey" not in repr(identity.key)


def test_target_drops_query_and_fragment():
    assert target("https://v.example:8443/v1/a?b=c#d") == "https://v.example:8443/v1/a"
