"""The offline verifier against RFC 9901's own presentation, and against every fault that must be refused."""

import base64
import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from api.client.attestations import Attested, claims_of, present, verify_attestation
from api.client.errors import AttestationInvalid
from api.client.identity import SigningKey
from api.client.sdjwt import digest, encoded, key_of, opened, split, verified

NOW = 1_790_000_000
ISSUER, DOOR, NONCE = "https://vault.example", "https://door.example", "nonce-1"
URI = f"{ISSUER}/attestations/status/{'0' * 32}"

# RFC 9901 §8.2, as one SD-JWT+KB; the issuer's key is that of appendix A.5.
RFC_KEY = {
    "kty": "EC",
    "crv": "P-256",
    "x": "b28d4MwZMjw8-00CG4xfnn9SLMVMM19SlqZpVb_uNtQ",
    "y": "Xv5zWwuoaTgdS6hV43yI6gBwTnjukmFQQnJ_kCxzqk8",
}
RFC_ISSUED = (
    "eyJhbGciOiAiRVMyNTYiLCAidHlwIjogImV4YW1wbGUrc2Qtand0In0."
    "eyJfc2QiOiBbIjRIQm42YUlZM1d0dUdHV1R4LXFVajZjZGs2V0JwWn"
    "lnbHRkRmF2UGE3TFkiLCAiOHNtMVFDZjAyMXBObkhBQ0k1c1A0bTRLWmd5Tk9PQV"
    "ljVGo5SE5hQzF3WSIsICJjZ0ZkaHFQbzgzeFlObEpmYWNhQ2FhN3VQOVJDUjUwVk"
    "U1UjRMQVE5aXFVIiwgImpNQ1hWei0tOWI4eDM3WWNvRGZYUWluencxd1pjY2NmRl"
    "JCQ0ZHcWRHMm8iXSwgImlzcyI6ICJodHRwczovL2lzc3Vlci5leGFtcGxlLmNvbS"
    "IsICJpYXQiOiAxNjgzMDAwMDAwLCAiZXhwIjogMTg4MzAwMDAwMCwgIl9zZF9hbG"
    "ciOiAic2hhLTI1NiIsICJjbmYiOiB7Imp3ayI6IHsia3R5IjogIkVDIiwgImNydi"
    "I6ICJQLTI1NiIsICJ4IjogIlRDQUVSMTladnUzT0hGNGo0VzR2ZlNWb0hJUDFJTG"
    "lsRGxzN3ZDZUdlbWMiLCAieSI6ICJaeGppV1diWk1RR0hWV0tWUTRoYlNJaXJzVm"
    "Z1ZWNDRTZ0NGpUOUYySFpRIn19fQ."
    "tafypR458Veb7iGfxersENL-OX_w4jQBV37ZuD-8NtyfmsFf7cEn"
    "jeKxMbknWYytcjHMqBRrzhBT9-pWWzI7ig"
)
RFC_DISCLOSURES = (
    "WyI2SWo3dE0tYTVpVlBHYm9TNXRtdlZBIiwgImZhbWlseV9uYW1lIiwgIkRvZSJd",
    "WyJlbHVWNU9nM2dTTklJOEVZbnN4QV9BIiwgImdpdmVuX25hbWUiLCAiSm9obiJd",
)
RFC_BINDING = (
    "eyJhbGciOiAiRVMyNTYiLCAidHlwIjogImtiK2p3dCJ9.eyJub25j"
    "ZSI6ICIxMjM0NTY3ODkwIiwgImF1ZCI6ICJodHRwczovL3ZlcmlmaWVyLmV4YW"
    "1wbGUub3JnIiwgImlhdCI6IDE3NDgzNjE5NDEsICJzZF9oYXNoIjogIldMNlVJ"
    "VFQ4MXBMdDlWa2pWUFhFdXF4UXRBNXZKYnM4NEpTVzZ3RExVTlkifQ.ZfEccF_"
    "zaMG09mo_NQZQl-SezfbHPqLRJZc9C0s0pF0gkFC47hBxE33ugdJF776wa9PhI"
    "OKZjfXVhdfRMUvpSg"
)


def test_the_presentation_of_rfc_9901_opens():
    presentation = "~".join([RFC_ISSUED, *RFC_DISCLOSURES, RFC_BINDING])
    issued, disclosures, binding = split(presentation)
    _, payload = verified(issued, RFC_KEY, "example+sd-jwt")
    found = opened(payload, disclosures)
    assert (found["family_name"], found["given_name"], found["iss"]) == ("Doe", "John", "https://issuer.example.com")
    assert "_sd" not in found
    assert "_sd_alg" not in found
    _, claims = verified(binding, payload["cnf"]["jwk"], "kb+jwt")
    assert claims["sd_hash"] == digest(presentation.removesuffix(binding))
    assert (claims["nonce"], claims["aud"]) == ("1234567890", "https://verifier.example.org")


ISSUER_KEY, HOLDER = SigningKey.generate(), SigningKey.generate()
JWKS = {"keys": [{**ISSUER_KEY.public_jwk, "kid": ISSUER_KEY.thumbprint}]}


def disclosure(*parts):
    return encoded(json.dumps(list(parts)).encode())


OVER_18 = disclosure("salt-1", "birth_date.over_18", True)
COUNTRY = disclosure("salt-2", "phone", [{"country": "FR"}])


def payload(**changes):
    claims = {
        "iss": ISSUER,
        "aud": DOOR,
        "iat": NOW - 10,
        "exp": NOW + 3600,
        "purpose": "clienteling.in_store",
        "cnf": {"jwk": dict(HOLDER.public_jwk)},
        "status": {"status_list": {"idx": 5, "uri": URI}},
        "_sd": sorted([digest(OVER_18), digest(COUNTRY), digest("decoy")]),
        "_sd_alg": "sha-256",
    } | changes
    return {name: value for name, value in claims.items() if value is not ...}


def issue(key=ISSUER_KEY, disclosures=(OVER_18, COUNTRY), header=None, **changes):
    head = {"typ": "ecrin-attestation+sd-jwt", "kid": ISSUER_KEY.thumbprint} | (header or {})
    return "~".join([key.sign(head, payload(**changes)), *disclosures, ""])


def listed(bits=b"\x00", key=ISSUER_KEY, typ="statuslist+jwt", **changes):
    import zlib

    content = {"bits": 1, "lst": encoded(zlib.compress(bits))}
    claims = {"sub": URI, "iat": NOW - 10, "exp": NOW + 600, "ttl": 300, "status_list": content} | changes
    return key.sign({"typ": typ, "kid": ISSUER_KEY.thumbprint}, claims)


def bind(sdjwt, key=HOLDER, typ="kb+jwt", **changes):
    claims = {"iat": NOW, "aud": DOOR, "nonce": NONCE, "sd_hash": digest(sdjwt)} | changes
    return sdjwt + key.sign({"typ": typ}, {name: value for name, value in claims.items() if value is not ...})


def verify(presentation, **changes):
    how = {"jwks": JWKS, "issuer": ISSUER, "audience": DOOR, "nonce": NONCE, "now": NOW, "status_list": listed()}
    return verify_attestation(presentation, **(how | changes))


def refused(presentation, **changes):
    with pytest.raises(AttestationInvalid) as fault:
        verify(presentation, **changes)
    assert fault.value.__cause__ is None
    return str(fault.value)


def test_what_is_good_is_good():
    sdjwt = issue()
    assert claims_of(sdjwt) == ("birth_date.over_18", "phone")
    assert verify(bind(sdjwt)) == Attested(
        {"birth_date.over_18": True, "phone": [{"country": "FR"}]}, "clienteling.in_store", NOW + 3600
    )
    shown = present(sdjwt, {"phone"}, key=HOLDER, audience=DOOR, nonce=NONCE, now=NOW)
    assert dict(verify(shown).claims) == {"phone": [{"country": "FR"}]}
    with pytest.raises(KeyError):
        present(sdjwt, {"name"}, key=HOLDER, audience=DOOR, nonce=NONCE, now=NOW)
    assert "FR" not in repr(verify(shown))


STRANGER = disclosure("salt-3", "name", "somebody")
RESERVED = [disclosure("salt-4", name, "x") for name in ("_sd", "...", "_sd_alg")]
CLASH = disclosure("salt-5", "iss", "https://evil.example")
TWICE = disclosure("salt-6", "phone", "other")
NESTED = disclosure("salt-7", "inner", {"_sd": [digest(OVER_18)]})
ELEMENT = disclosure("salt-8", "value")


def unnamed(value):
    """A name for a case that is the same in every process: what is signed here is signed under keys of this run."""
    return "signed" if str(value).count(".") > 1 else None


@pytest.mark.parametrize(
    ("sdjwt", "fault"),
    [
        (issue(disclosures=(OVER_18, STRANGER)), "disclosure without digest"),
        (issue(disclosures=(OVER_18, OVER_18)), "disclosure twice"),
        (issue(_sd=[digest(OVER_18), digest(OVER_18)], disclosures=(OVER_18,)), "digest twice"),
        (issue(_sd=[digest(OVER_18), digest(NESTED)], disclosures=(OVER_18, NESTED)), "digest twice"),
        *[(issue(_sd=[digest(each)], disclosures=(each,)), "reserved name") for each in RESERVED],
        (issue(_sd=[digest(CLASH)], disclosures=(CLASH,)), "claim twice"),
        (issue(_sd=[digest(COUNTRY), digest(TWICE)], disclosures=(COUNTRY, TWICE)), "claim twice"),
        (issue(_sd=[digest(ELEMENT)], disclosures=(ELEMENT,)), "disclosure in the wrong place"),
        (issue(_sd_alg="sha-1"), "_sd_alg"),
        (issue(_sd_alg="md5"), "_sd_alg"),
        (issue(_sd_alg=None), "_sd_alg"),
        (issue(_sd="x"), "digests"),
        (issue(_sd=[1]), "digest twice"),
        (issue(nested={"...": "x"}), "reserved name"),
        (issue(nested={"_sd_alg": "sha-256"}), "reserved name"),
        (issue(nested=[{"...": "x", "more": 1}]), "digests"),
        (issue(disclosures=("!",)), "encoding"),
        (issue(disclosures=(encoded(b"{}"),)), "disclosure"),
        (issue(disclosures=(encoded(b'["salt"]'),)), "disclosure"),
        (issue(disclosures=(encoded(b'[1, "a", 2]'),)), "disclosure"),
        (issue(disclosures=(encoded(b"[NaN]"),)), "json"),
        (issue(disclosures=(encoded(b'["s", "a", {"b": 1, "b": 2}]'),)), "json"),
        (issue(exp=...), "exp"),
        (issue(exp=NOW), "exp"),
        (issue(exp=NOW - 1), "exp"),
        (issue(exp="tomorrow"), "exp"),
        (issue(exp=True), "exp"),
        (issue(iat=...), "iat"),
        (issue(iat=NOW + 61), "iat"),
        (issue(iat=NOW - 86_400, exp=NOW + 1), "iat"),
        (issue(nbf=NOW + 61), "nbf"),
        (issue(iss="https://evil.example"), "iss"),
        (issue(iss=...), "iss"),
        (issue(aud="https://elsewhere.example"), "aud"),
        (issue(aud=[DOOR]), "aud"),
        (issue(aud=...), "aud"),
        (issue(cnf=...), "key binding"),
        (issue(cnf={"jkt": "x"}), "key binding"),
        (issue(cnf={"jwk": {**HOLDER.public_jwk, "d": "x"}}), "key binding"),
        (issue(status=...), "status"),
        (issue(status={"status_list": {"idx": "5", "uri": URI}}), "status"),
        (issue(status={"status_list": {"idx": 8, "uri": URI}}), "status list"),
        (issue(status={"status_list": {"idx": -1, "uri": URI}}), "status list"),
        (issue(status={"status_list": {"idx": 5, "uri": URI + "0"}}), "status list of another address"),
        (issue(key=HOLDER), "signature"),
        (issue(header={"typ": "JWT"}), "header"),
        (issue(header={"typ": "kb+jwt"}), "header"),
        (issue(header={"crit": ["x"], "x": 1}), "header"),
        (issue(header={"kid": "another"}), "key"),
    ],
    ids=unnamed,
)
def test_a_faulty_attestation_is_refused(sdjwt, fault):
    assert refused(bind(sdjwt)) == fault


@pytest.mark.parametrize(
    ("changes", "fault"),
    [
        ({"key": ISSUER_KEY}, "signature"),
        ({"typ": "JWT"}, "header"),
        ({"aud": "https://elsewhere.example"}, "key binding aud"),
        ({"aud": ...}, "key binding aud"),
        ({"nonce": "nonce-2"}, "key binding nonce"),
        ({"nonce": ...}, "key binding nonce"),
        ({"iat": NOW - 301}, "key binding iat"),
        ({"iat": NOW + 61}, "key binding iat"),
        ({"iat": ...}, "iat"),
        ({"sd_hash": digest("other")}, "sd_hash"),
        ({"sd_hash": ...}, "sd_hash"),
    ],
)
def test_a_faulty_key_binding_is_refused(changes, fault):
    assert refused(bind(issue(), **changes)) == fault


def test_a_presentation_without_or_with_anothers_binding_is_refused():
    sdjwt = issue()
    assert refused(sdjwt) == "key binding"
    whole = bind(sdjwt)
    # A disclosure taken out, or one put in, after the holder signed.
    assert refused(whole.replace(f"~{COUNTRY}", "")) == "sd_hash"
    shown = present(sdjwt, {"phone"}, key=HOLDER, audience=DOOR, nonce=NONCE, now=NOW)
    assert refused(shown.replace(f"~{COUNTRY}", f"~{OVER_18}~{COUNTRY}")) == "sd_hash"
    assert refused(whole, nonce="") == "key binding nonce"
    assert refused(whole, audience="https://elsewhere.example") == "aud"
    assert refused(whole + "~") == "encoding"


def test_no_algorithm_but_the_keys_own():
    head, body, _ = issue().split("~")[0].split(".")
    kid = ISSUER_KEY.thumbprint
    for alg in ("none", "HS256", "RS256", "EdDSA", "ES384", None):
        header = encoded(json.dumps({"alg": alg, "typ": "ecrin-attestation+sd-jwt", "kid": kid}).encode())
        for signature in ("", encoded(b"\x00" * 64)):
            assert refused(bind(f"{header}.{body}.{signature}~")) in {"header", "signature", "encoding"}
    assert head


@pytest.mark.parametrize(
    ("status_list", "fault"),
    [
        (listed(b"\x20"), "revoked"),
        (listed(b"\xff"), "revoked"),
        (listed(b""), "status list"),
        (listed(sub=URI + "0"), "status list of another address"),
        (listed(exp=NOW), "status list expired"),
        (listed(iat=NOW - 361), "status list expired"),
        (listed(iat=NOW + 61), "status list expired"),
        (listed(key=HOLDER), "signature"),
        (listed(typ="JWT"), "header"),
        (listed(status_list={"bits": 2, "lst": "eNrbuRgAAhcBXQ"}), "status list"),
        (listed(status_list={"bits": 1, "lst": "AAAA"}), "status list"),
        ("", "json"),
        (None, "status"),
    ],
    ids=unnamed,
)
def test_a_fallen_or_faulty_status_is_refused(status_list, fault):
    assert refused(bind(issue()), status_list=status_list) == fault


def test_leaving_the_status_out_must_be_said():
    assert verify(bind(issue()), status_list=None, unsafe_without_status=True).claims


def test_a_list_that_unpacks_without_end_is_refused():
    assert refused(bind(issue()), status_list=listed(b"\x00" * ((1 << 22) + 1))) == "status list"


def test_two_keys_of_one_name_are_no_key():
    with pytest.raises(AttestationInvalid):
        key_of({"keys": JWKS["keys"] * 2}, issue())


@settings(max_examples=60)
@given(st.data())
def test_no_changed_byte_is_accepted(data):
    whole = bind(issue())
    at = data.draw(st.integers(0, len(whole) - 1))
    letter = data.draw(st.sampled_from("abcXYZ019-_.~"))
    if whole[at] == letter:
        return
    with pytest.raises(AttestationInvalid):
        verify(whole[:at] + letter + whole[at + 1 :])


@settings(max_examples=40)
@given(st.text(alphabet="abc.~=[]{}\"', \n", max_size=60))
def test_rubbish_is_refused_and_never_crashes(text):
    with pytest.raises(AttestationInvalid):
        verify(text)


def test_base64_has_one_spelling():
    assert base64.urlsafe_b64decode("QR==") == base64.urlsafe_b64decode("QQ==")
    assert refused(bind(issue(disclosures=("QR",)))) == "encoding"
