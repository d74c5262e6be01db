import base64
import hashlib
import json

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from hypothesis import given
from hypothesis import strategies as st

from api.authn import dpop, jwk
from api.authn.jwk import ALGORITHMS, decode_segment, encode_segment, public_key
from vault.errors import Refused

URL = "https://vault.example/v1/disclosures"
NOW = 1_700_000_000
TOKEN = "c3ludGhldGljLXRva2VuLW9mLW5vLXZhbHVlLWF0LWFsbA"

EC_KEY = ec.generate_private_key(ec.SECP256R1())
ED_KEY = ed25519.Ed25519PrivateKey.generate()


def segment(value):
    return encode_segment(value if isinstance(value, bytes) else json.dumps(value).encode())


def jwk_of(key):
    if isinstance(key, ed25519.Ed25519PrivateKey):
        return {"kty": "OKP", "crv": "Ed25519", "x": segment(key.public_key().public_bytes_raw())}
    numbers = key.public_key().public_numbers()
    return {
        "kty": "EC",
        "crv": "P-256",
        "x": segment(numbers.x.to_bytes(32, "big")),
        "y": segment(numbers.y.to_bytes(32, "big")),
    }


def claims(**changes):
    made = {
        "jti": "a-proof-identifier-of-32-letters",
        "htm": "POST",
        "htu": URL,
        "iat": NOW,
        "ath": dpop.token_digest(TOKEN),
    }
    return {name: value for name, value in (made | changes).items() if value is not None}


def signed(key=EC_KEY, header=None, payload=None, algorithm=None):
    algorithm = algorithm or ("EdDSA" if isinstance(key, ed25519.Ed25519PrivateKey) else "ES256")
    head = {"typ": "dpop+jwt", "alg": algorithm, "jwk": jwk_of(key), **(header or {})}
    head = {name: value for name, value in head.items() if value is not None}
    signing_input = f"{segment(head)}.{segment(claims() if payload is None else payload)}"
    signature = jwt.get_algorithm_by_name("EdDSA" if algorithm == "EdDSA" else "ES256").sign(
        signing_input.encode(), key
    )
    return f"{signing_input}.{segment(signature)}"


def verify(*proofs, method="POST", url=URL, access_token=TOKEN, now=NOW):
    return dpop.verify(proofs, method=method, url=url, access_token=access_token, now=now)


def check_of(result):
    assert isinstance(result, Refused), result
    assert result.code == "invalid_dpop_proof"
    return result.audit.removeprefix("dpop_")


# --- refused ---------------------------------------------------------------------------------------------------------


def test_two_headers_are_refused_even_when_both_are_good():
    assert check_of(verify(signed(), signed())) == "count"


def test_no_header_is_refused():
    assert check_of(verify()) == "count"


@pytest.mark.parametrize("glue", [",", ", "])
def test_a_pair_folded_by_commas_is_refused(glue):
    assert check_of(verify(signed() + glue + signed())) == "count"


@pytest.mark.parametrize(
    "text",
    ["", ".", "..", "...", "a.b", "a.b.c.d", "é.é.é", "a.b.c", "=.=.=", "e30.e30.e30", "W10.W10.W10", "\x00.\x00.\x00"],
)
def test_what_is_no_compact_jws_is_refused(text):
    assert check_of(verify(text)) in {"form", "header"}


def test_a_proof_longer_than_the_limit_is_refused():
    assert check_of(verify(signed(payload=claims(padding="x" * dpop.MAX_PROOF)))) == "form"


def test_a_huge_key_is_refused_before_it_is_parsed():
    assert check_of(verify(signed(header={"jwk": jwk_of(EC_KEY) | {"x5c": ["A" * 2000]}}))) == "form"


@pytest.mark.parametrize("kind", ["JWT", "dpop+JWT", "application/dpop+jwt", "", None, 7])
def test_another_type_is_refused(kind):
    assert check_of(verify(signed(header={"typ": kind}))) == "header"


@pytest.mark.parametrize("algorithm", ["none", "None", "HS256", "RS256", "PS256", "ES384", "es256", "EdDSA", None, 1])
def test_another_algorithm_than_the_keys_own_is_refused(algorithm):
    assert check_of(verify(signed(header={"alg": algorithm}))) == "header"


def test_no_signature_under_alg_none_is_refused():
    head = {"typ": "dpop+jwt", "alg": "none", "jwk": jwk_of(EC_KEY)}
    assert check_of(verify(f"{segment(head)}.{segment(claims())}.")) == "header"


def test_an_hmac_under_the_public_key_is_refused():
    secret = json.dumps(jwk_of(EC_KEY)).encode()
    head = {"typ": "dpop+jwt", "alg": "HS256", "jwk": jwk_of(EC_KEY)}
    text = f"{segment(head)}.{segment(claims())}"
    mac = hashlib.sha256(secret + text.encode()).digest()
    assert check_of(verify(f"{text}.{segment(mac)}")) == "header"


def test_a_symmetric_key_is_refused():
    assert check_of(verify(signed(header={"jwk": {"kty": "oct", "k": "c2VjcmV0"}}))) == "header"


@pytest.mark.parametrize("member", ["d", "p", "q", "dp", "dq", "qi", "oth", "k"])
def test_a_key_with_a_private_member_is_refused(member):
    assert check_of(verify(signed(header={"jwk": jwk_of(EC_KEY) | {member: "AA"}}))) == "header"


@pytest.mark.parametrize(
    "change",
    [
        {"crv": "P-384"},
        {"crv": "secp256k1"},
        {"kty": "RSA"},
        {"kty": None},
        {"x": "AA"},
        {"x": None},
        {"x": "A" * 43},  # not on the curve
        {"y": 5},
        {"x": "A" * 42 + "="},
        {"x": "B" * 43},  # stray low bits
    ],
)
def test_a_key_that_is_not_exactly_p256_is_refused(change):
    assert check_of(verify(signed(header={"jwk": jwk_of(EC_KEY) | change}))) == "header"


@pytest.mark.parametrize("jwk", [None, "key", [], {}, 1])
def test_a_header_without_a_key_is_refused(jwk):
    assert check_of(verify(signed(header={"jwk": jwk}))) == "header"


@pytest.mark.parametrize("crit", [["b64"], [], "b64", 1])
def test_a_critical_header_is_refused(crit):
    assert check_of(verify(signed(header={"crit": crit}))) == "header"


def test_another_keys_signature_is_refused():
    other = ec.generate_private_key(ec.SECP256R1())
    assert check_of(verify(signed(other, header={"jwk": jwk_of(EC_KEY)}))) == "signature"


@pytest.mark.parametrize("signature", [b"", b"\x00" * 64, b"\x00" * 63, b"\xff" * 64, b"\x30" * 70])
def test_a_malformed_signature_is_refused(signature):
    head, payload, _ = signed().split(".")
    assert check_of(verify(f"{head}.{payload}.{segment(signature)}")) == "signature"


def test_a_der_signature_is_refused():
    from cryptography.hazmat.primitives import hashes

    head, payload, _ = signed().split(".")
    der = EC_KEY.sign(f"{head}.{payload}".encode(), ec.ECDSA(hashes.SHA256()))
    assert check_of(verify(f"{head}.{payload}.{segment(der)}")) == "signature"


@pytest.mark.parametrize("payload", [b"", b"[]", b"null", b"{", b'"text"', b"\xff", b'{"iat":NaN}'])
def test_claims_that_are_no_object_are_refused(payload):
    assert check_of(verify(signed(payload=payload))) == "claims"


@pytest.mark.parametrize("method", ["GET", "post", "", None, 1, ["POST"]])
def test_another_method_is_refused(method):
    assert check_of(verify(signed(payload=claims(htm=method)))) == "htm"


@pytest.mark.parametrize(
    "url",
    [
        "http://vault.example/v1/disclosures",
        "https://evil.example/v1/disclosures",
        "https://vault.example/v1/disclosures/",
        "https://vault.example/v1/disclosures/bulk",
        "https://vault.example/V1/disclosures",
        "https://vault.example:8443/v1/disclosures",
        "https://vault.example/v1/disclosures?x=1",
        "https://vault.example/v1/disclosures#x",
        "https://user@vault.example/v1/disclosures",
        "https://vault.example/v1/%64isclosures",
        "https://vault.example/v1/../v1/disclosures",
        "https://vault.example\\@evil.example/v1/disclosures",
        "https://vault.example/v1/disclosures ",
        "https://väult.example/v1/disclosures",
        "https://[::1/v1/disclosures",
        "https://vault.example:99999999/v1/disclosures",
        "/v1/disclosures",
        "",
        None,
        1,
        [URL],
    ],
)
def test_another_target_is_refused(url):
    assert check_of(verify(signed(payload=claims(htu=url)))) == "htu"


@pytest.mark.parametrize(
    "issued", [NOW - 61, NOW + 61, 0, -NOW, NOW + 0.5 + 60, 1e300, str(NOW), None, True, [NOW], 2**70]
)
def test_a_proof_that_is_too_old_or_from_the_future_is_refused(issued):
    assert check_of(verify(signed(payload=claims(iat=issued)))) == "iat"


@pytest.mark.parametrize("identifier", ["", "short", "x" * 15, "x" * 129, None, 123456789012345678, ["x" * 20]])
def test_an_identifier_of_another_shape_is_refused(identifier):
    assert check_of(verify(signed(payload=claims(jti=identifier)))) == "jti"


@pytest.mark.parametrize("digest", [None, "", dpop.token_digest("another"), TOKEN, 5])
def test_a_proof_for_another_token_is_refused(digest):
    assert check_of(verify(signed(payload=claims(ath=digest)))) == "ath"


@given(st.text(max_size=300))
def test_no_text_raises(text):
    assert isinstance(verify(text), Refused)


@given(place=st.integers(min_value=0), letter=st.sampled_from("ABCabc019-_.=,% é"))
def test_no_single_changed_character_is_accepted(place, letter):
    proof = GOOD
    place %= len(proof)
    changed = proof[:place] + letter + proof[place + 1 :]
    assert changed == proof or isinstance(verify(changed), Refused)


GOOD = signed()

# --- accepted --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("key", [EC_KEY, ED_KEY], ids=ALGORITHMS)
def test_a_good_proof_names_its_key_and_itself(key):
    proof = verify(signed(key))
    assert isinstance(proof, dpop.Proof)
    assert proof.jkt == public_key(jwk_of(key)).jkt
    assert len(proof.proof_hash) == 16
    # Remembered for longer than it is good for.
    assert proof.expires_at > NOW + dpop.WINDOW


@pytest.mark.parametrize("issued", [NOW - 60, NOW + 60, NOW - 0.25])
def test_the_window_is_open_to_its_edges(issued):
    assert isinstance(verify(signed(payload=claims(iat=issued))), dpop.Proof)


@pytest.mark.parametrize("url", ["HTTPS://vault.example/v1/disclosures", "https://VAULT.example:443/v1/disclosures"])
def test_scheme_host_and_default_port_compare_as_urls_do(url):
    assert isinstance(verify(signed(payload=claims(htu=url))), dpop.Proof)


def test_at_the_token_endpoint_there_is_no_token_to_hash():
    assert isinstance(verify(signed(payload=claims(ath=None)), access_token=None), dpop.Proof)


def test_the_same_identifier_under_one_key_is_the_same_proof_and_under_another_is_not():
    first = verify(signed())
    later = verify(signed(payload=claims(iat=NOW + 1, note="another body")))
    other = verify(signed(ED_KEY))
    assert first.proof_hash == later.proof_hash != other.proof_hash


def test_extra_members_of_a_public_key_change_nothing():
    proof = verify(signed(header={"jwk": jwk_of(EC_KEY) | {"kid": "till-1", "use": "sig", "alg": "ES256"}}))
    assert proof.jkt == public_key(jwk_of(EC_KEY)).jkt


# --- vectors that nobody here wrote ----------------------------------------------------------------------------------

# RFC 9449 §4.1, figure 2, and the thumbprint of its key from §6.1.
RFC9449_PROOF = (
    "eyJ0eXAiOiJkcG9wK2p3dCIsImFsZyI6IkVTMjU2IiwiandrIjp7Imt0eSI6IkVDIiwieCI6Imw4dEZyaHgtMzR0VjNoUklDUkRZOXpDa0RscEJoRjQy"
    "VVFVZldWQVdCRnMiLCJ5IjoiOVZFNGpmX09rX282NHpiVFRsY3VOSmFqSG10NnY5VERWclUwQ2R2R1JEQSIsImNydiI6IlAtMjU2In19.eyJqdGkiOiIt"
    "QndDM0VTYzZhY2MybFRjIiwiaHRtIjoiUE9TVCIsImh0dSI6Imh0dHBzOi8vc2VydmVyLmV4YW1wbGUuY29tL3Rva2VuIiwiaWF0IjoxNTYyMjYyNjE2f"
    "Q.2-GxA6T8lP4vfrg8v-FdWP0A0zdrj8igiMLvqRMUvwnQg4PtFLbdLXiOSsX0x7NVY-FNyJK70nfbV37xRZT3Lg"
)
RFC9449_THUMBPRINT = "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I"

# RFC 9449 §7.1, figure 12: the proof for a protected resource, with the `ath` of its token.
RFC9449_RESOURCE_PROOF = (
    "eyJ0eXAiOiJkcG9wK2p3dCIsImFsZyI6IkVTMjU2IiwiandrIjp7Imt0eSI6IkVDIiwieCI6Imw4dEZyaHgtMzR0VjNoUklDUkRZOXpDa0RscEJoRjQy"
    "VVFVZldWQVdCRnMiLCJ5IjoiOVZFNGpmX09rX282NHpiVFRsY3VOSmFqSG10NnY5VERWclUwQ2R2R1JEQSIsImNydiI6IlAtMjU2In19.eyJqdGkiOiJl"
    "MWozVl9iS2ljOC1MQUVCIiwiaHRtIjoiR0VUIiwiaHR1IjoiaHR0cHM6Ly9yZXNvdXJjZS5leGFtcGxlLm9yZy9wcm90ZWN0ZWRyZXNvdXJjZSIsImlhd"
    "CI6MTU2MjI2MjYxOCwiYXRoIjoiZlVIeU8ycjJaM0RaNTNFc05yV0JiMHhXWG9hTnk1OUlpS0NBcWtzbVFFbyJ9.2oW9RP35yRqzhrtNP86L-Ey71EOpt"
    "xRimPPToA1plemAgR6pxHF8y6-yqyVnmcw6Fy1dqd-jfxSYoMxhAJpLjA"
)
RFC9449_TOKEN = "Kz~8mXK1EalYznwH-LC-1fBAo.4Ljp~zsPE_NeO.gxU"


def test_the_example_proof_of_rfc_9449_verifies():
    proof = dpop.verify(
        [RFC9449_PROOF], method="POST", url="https://server.example.com/token", access_token=None, now=1562262616
    )
    assert isinstance(proof, dpop.Proof)
    assert proof.jkt == RFC9449_THUMBPRINT


def test_the_resource_proof_of_rfc_9449_verifies_with_its_token():
    def at(token):
        return dpop.verify(
            [RFC9449_RESOURCE_PROOF],
            method="GET",
            url="https://resource.example.org/protectedresource",
            access_token=token,
            now=1562262618,
        )

    assert at(RFC9449_TOKEN).jkt == RFC9449_THUMBPRINT
    assert check_of(at(RFC9449_TOKEN + "x")) == "ath"


def test_the_thumbprint_of_rfc_7638_section_3_1():
    """Its key is RSA, which we take from nobody: the text that it hashes stands here as the RFC prints it."""
    modulus = (
        "0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWKRXjBZCiFV4n3oknj"
        "hMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6qMQ"
        "vRL5hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awapJzK"
        "nqDKgw"
    )
    published = "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs"
    assert jwk._thumbprint(f'{{"e":"AQAB","kty":"RSA","n":"{modulus}"}}') == published
    assert public_key({"e": "AQAB", "kty": "RSA", "n": modulus}) is None


def test_the_ed25519_key_of_rfc_8037_has_its_thumbprint_and_verifies_its_signature():
    key = public_key({"kty": "OKP", "crv": "Ed25519", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"})
    assert key.jkt == "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k"
    text = b"eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc"
    signature = decode_segment("hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg")
    assert key.verify(signature, text)
    assert not key.verify(signature, text + b"x")


def test_the_es256_signature_of_rfc_7515_a3_verifies():
    key = public_key(
        {
            "kty": "EC",
            "crv": "P-256",
            "x": "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU",
            "y": "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0",
        }
    )
    text = (
        b"eyJhbGciOiJFUzI1NiJ9"
        b".eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ"
    )
    signature = decode_segment("DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q")
    assert key.verify(signature, text)
    assert not key.verify(signature[::-1], text)


@given(st.binary(max_size=80))
def test_segments_have_one_spelling(raw):
    text = encode_segment(raw)
    assert decode_segment(text) == raw
    assert base64.urlsafe_b64encode(raw).decode().rstrip("=") == text
    assert text == "" or decode_segment(text + "=") is None


@given(st.text(max_size=12))
def test_what_decodes_is_canonical(text):
    raw = decode_segment(text)
    assert raw is None or encode_segment(raw) == text
