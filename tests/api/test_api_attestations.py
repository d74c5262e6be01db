"""Attestations through the service: what goes in, what they die by, and that anybody can check them without us."""

import itertools
import json
import zlib

import pytest
from maison_callers import CONSENT, PERSON, STRANGER, disable, problem_of

from api.attestation import sdjwt, statuslist
from api.client.attestations import claims_of, present, status_at, status_of, verify_attestation
from api.client.errors import AttestationInvalid
from api.client.identity import SigningKey
from api.client.sdjwt import opened, split
from vault import attestations, housekeeping, signers
from vault.predicates import MOST_A_DAY
from vault.signers import SignedAs

DOOR = "https://door.example"
ASKED = (("birth_date", "predicate", "over_18"), ("phone", "generalised"))


@pytest.fixture
def holder():
    return SigningKey.generate()


@pytest.fixture
def reference(pos):
    return pos.created(PERSON, CONSENT)


def ask(pos, token, holder, **more):
    body = {"audience": DOOR, "key": dict(holder.public_jwk), **more}
    return pos.send("POST", "/v1/attestations", token, body)


def issued(pos, reference, holder, *fields, **more):
    token = pos.granted(reference, *(fields or ASKED), purpose="clienteling.aftercare")
    answer = ask(pos, token, holder, **more)
    assert answer.status_code == 200, answer.text
    return answer.json()


def fetched(pos, attestation):
    answer = pos.http.get(status_of(attestation).uri.removeprefix(pos.public))
    assert answer.status_code == 200, answer.text
    return answer


def checked(pos, attestation, holder, show=("birth_date.over_18",), **changes):
    shown = present(attestation, show, key=holder, audience=DOOR, nonce="n-1", now=pos.clock.now())
    how = {
        "jwks": pos.http.get("/oauth/jwks").json(),
        "issuer": pos.public,
        "audience": DOOR,
        "nonce": "n-1",
        "now": pos.clock.now(),
        "status_list": fetched(pos, attestation).text,
    }
    return verify_attestation(shown, **(how | changes))


def fails(*arguments, **changes):
    with pytest.raises(AttestationInvalid) as refused:
        checked(*arguments, **changes)
    return str(refused.value)


def test_an_attestation_shows_what_its_holder_chooses_and_nothing_else(maison, pos, reference, holder):
    answer = issued(pos, reference, holder)
    assert answer["claims"] == ["birth_date.over_18", "phone"]
    assert set(claims_of(answer["attestation"])) == {"birth_date.over_18", "phone"}
    attested = checked(pos, answer["attestation"], holder)
    assert (dict(attested.claims), attested.purpose) == ({"birth_date.over_18": True}, "clienteling.aftercare")
    both = checked(pos, answer["attestation"], holder, ("birth_date.over_18", "phone"))
    assert [each["country"] for each in both.claims["phone"]] == ["FR", "AE"]
    assert checked(pos, answer["attestation"], holder, ()).claims == {}
    # Nothing personal in what is shown to nobody, nor the brand's reference anywhere.
    issuer_part = json.loads(sdjwt_payload(answer["attestation"]))
    assert len(issuer_part["_sd"]) == 8
    assert issuer_part["_sd"] == sorted(issuer_part["_sd"])
    assert reference not in str(issuer_part)
    acts = [entry.act for entry in maison.entries()][-3:]
    assert sorted(acts) == ["attestation.issued", "field.disclosed", "keys.signer_drawn"]


def sdjwt_payload(attestation):
    import base64

    part = attestation.split(".")[1]
    return base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))


def test_two_attestations_of_one_person_have_nothing_in_common(pos, reference, holder):
    first, second = (issued(pos, reference, SigningKey.generate())["attestation"] for _ in range(2))
    a, b = json.loads(sdjwt_payload(first)), json.loads(sdjwt_payload(second))
    assert not set(a["_sd"]) & set(b["_sd"])
    assert not set(split(first)[1]) & set(split(second)[1])
    assert a["status"] != b["status"]


def test_what_is_masked_or_raw_is_never_attested(maison, pos, reference, holder):
    token = pos.granted(reference, ("phone", "masked"), ("birth_date", "generalised"))
    problem_of(ask(pos, token, holder), 422, "not_attestable")
    assert ask(pos, token, holder, fields=["birth_date"]).status_code == 200
    problem_of(ask(pos, token, holder, fields=["birth_date"]), 403, "uses_exhausted")


def test_it_is_a_disclosure_like_any_other(pos, sister, reference, holder):
    token = pos.granted(reference, *ASKED, purpose="clienteling.aftercare")
    problem_of(ask(sister, token, holder), 401, "invalid_token")
    problem_of(ask(pos, token, holder, reference=STRANGER), 404, "unknown_reference")
    problem_of(ask(pos, token, holder, fields=["name"]), 403, "insufficient_scope")
    problem_of(ask(pos, pos.service("lookup"), holder), 403, "insufficient_scope")
    pos.withdraw(reference)
    problem_of(ask(pos, token, holder), 401, "invalid_token")


def test_bodies_are_closed_and_keys_are_keys(pos, reference, holder):
    token = pos.granted(reference, *ASKED, purpose="clienteling.aftercare")
    jwk = dict(holder.public_jwk)
    for change in (
        {"key": jwk | {"d": "x" * 43}},
        {"key": jwk | {"x": "A" * 43}},
        {"key": {"kty": "oct", "k": "x"}},
        {"key": {name: value for name, value in jwk.items() if name != "y"}},
        {"seconds": 86_401},
        {"seconds": 59},
        {"audience": ""},
        {"audience": "a b"},
        {"more": 1},
    ):
        body = {"audience": DOOR, "key": jwk} | change
        problem_of(pos.send("POST", "/v1/attestations", token, body), 422, "invalid_request")
    assert ask(pos, token, holder).status_code == 200


def test_nothing_held_is_nothing_attested(pos, holder):
    reference = pos.created({"client_number": "AU-9"}, CONSENT)
    token = pos.granted(reference, ("birth_date", "generalised"), purpose="clienteling.aftercare")
    problem_of(ask(pos, token, holder), 422, "nothing_to_attest")


# --- it dies ---------------------------------------------------------------------------------------------------------


def test_every_fall_sets_the_bit(maison, pos, sister, holder):
    people = [pos.created(PERSON | {"client_number": f"AU-{n}"}, CONSENT) for n in range(3)]
    held = [issued(pos, each, holder)["attestation"] for each in people]
    theirs = sister.created(PERSON, CONSENT)
    other = issued(sister, theirs, holder)["attestation"]
    assert status_of(other).uri != status_of(held[0]).uri
    assert len({status_of(each).uri for each in held}) == 1
    for each in held:
        assert checked(pos, each, holder).claims
    pos.withdraw(people[0])
    assert fails(pos, held[0], holder) == "revoked"
    assert checked(pos, held[1], holder).claims
    pos.give(people[0])  # consent anew does not revive it
    assert fails(pos, held[0], holder) == "revoked"
    restrict(maison.vault, people[1])
    assert fails(pos, held[1], holder) == "revoked"
    assert checked(pos, held[2], holder).claims
    keys = pos.http.get("/oauth/jwks").json()
    disable(maison.vault, pos)
    assert fails(pos, held[2], holder, jwks=keys) == "revoked"
    assert checked(sister, other, holder).claims


def restrict(vault, reference):
    from sqlalchemy import text

    from vault import references

    with vault.unit() as uow:
        (subject,) = references.resolve(uow, "aurelle", [reference])
        uow.conn.execute(text("UPDATE subject SET restricted = :yes WHERE id = :id"), {"yes": True, "id": subject})
        uow.commit()


def test_a_person_who_is_gone_leaves_the_bit_set(maison, pos, reference, holder):
    held = issued(pos, reference, holder)["attestation"]
    from sqlalchemy import text

    with maison.vault.unit() as uow:
        uow.conn.execute(text("DELETE FROM subject"))
        uow.commit()
    assert fails(pos, held, holder) == "revoked"


def test_a_list_is_whole_signed_and_cacheable(maison, pos, reference, holder):
    answer = fetched(pos, issued(pos, reference, holder)["attestation"])
    assert answer.headers["content-type"] == "application/statuslist+jwt"
    assert answer.headers["cache-control"] == "public, max-age=300"
    claims = json.loads(sdjwt_payload(answer.text))
    assert claims["ttl"] == 300
    compressed = claims["status_list"]["lst"]
    assert len(zlib.decompress(_decoded(compressed))) * 8 == attestations.CAPACITY
    assert pos.http.get("/attestations/status/" + "0" * 32).status_code == 404
    assert pos.http.get("/attestations/status/elsewhere").status_code == 422


def _decoded(text):
    import base64

    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def test_what_expired_is_forgotten(maison, pos, reference, holder, clock):
    held = issued(pos, reference, holder, seconds=60)["attestation"]
    uri = status_of(held).uri.removeprefix(pos.public)
    clock.advance(60)
    assert fails(pos, held, holder) == "exp"
    clock.advance(housekeeping.GRACE_SECONDS + 1)
    assert housekeeping.purge(maison.vault).attestations == 1
    assert pos.http.get(uri).status_code == 404


# --- keys ------------------------------------------------------------------------------------------------------------


def test_keys_rotate_and_the_old_one_verifies_as_long_as_it_may_be_needed(maison, pos, reference, holder, clock):

    from api.cli.opened import OPERATOR

    with maison.vault.unit() as uow:  # a key of another use, which this rotation leaves alone
        fixed = signers.opened(uow, SignedAs.EVENT).kid
        uow.commit()
    before = issued(pos, reference, holder, seconds=86_400)["attestation"]
    with maison.vault.unit() as uow:
        kid = signers.rotate(uow, SignedAs.ATTESTATION, OPERATOR)
        uow.commit()
    assert maison.entries()[-1].act == "keys.signer_drawn"
    after = issued(pos, pos.created(PERSON | {"client_number": "AU-2"}, CONSENT), holder)["attestation"]
    keys = pos.http.get("/oauth/jwks").json()["keys"]
    assert len(keys) == 3
    assert {kid, fixed} < {key["kid"] for key in keys}
    assert all(key["kid"] == signers.thumbprint(_decoded(key["x"])) for key in keys)
    for each in (before, after):
        assert checked(pos, each, holder).claims
    clock.advance(86_399)
    assert checked(pos, before, holder).claims
    clock.advance(signers.OVERLAP_SECONDS)
    assert {key["kid"] for key in pos.http.get("/oauth/jwks").json()["keys"]} == {kid, fixed}


# --- predicates are metered ------------------------------------------------------------------------------------------

PREDICATES = (
    ("birth_date", "predicate", "over_18"),
    ("birth_date", "predicate", "birthday_this_month"),
    ("visits", "predicate", "visited_this_quarter"),
    ("repairs", "predicate", "repair_is_ready"),
)


def test_the_questions_of_a_day_are_few_and_repeating_one_is_free(maison, pos, reference, monkeypatch):
    monkeypatch.setattr("vault.predicates.MOST_A_DAY", 1)
    assert MOST_A_DAY == 6
    first, second = PREDICATES[:2]
    for _ in range(3):
        assert pos.disclose(pos.granted(reference, first)).status_code == 200
    token = pos.granted(reference, second, ("phone", "masked"), max_uses=2)
    problem_of(pos.disclose(token), 429, "predicate_budget")
    assert maison.entries()[-1].read["pol"] == ["token.predicate_budget"]
    # A look without predicates is free, and the refused one cost no use.
    assert pos.disclose(token, {"fields": ["phone"]}).status_code == 200
    # Another subject, another system and another day have questions of their own.
    other = pos.created(PERSON | {"client_number": "AU-7"}, CONSENT)
    assert pos.disclose(pos.granted(other, second)).status_code == 200
    desk = maison.system("aurelle-desk", "aurelle")
    assert desk.disclose(desk.granted(reference, second)).status_code == 200
    maison.clock.advance(86_400)
    pos.kept.clear()
    assert pos.disclose(pos.granted(reference, second)).status_code == 200


# --- published vectors -----------------------------------------------------------------------------------------------


def test_the_digest_of_rfc_9901_section_4_2_3():
    written = "WyJfMjZiYzRMVC1hYzZxMktJNmNCVzVlcyIsICJmYW1pbHlfbmFtZSIsICJNw7ZiaXVzIl0"
    assert sdjwt.digest(written) == "X9yH0Ajrdm1Oij4tWso9UzzKJvPoDxwmuEcO3XAdRC0"
    payload = {"_sd": ["X9yH0Ajrdm1Oij4tWso9UzzKJvPoDxwmuEcO3XAdRC0"], "_sd_alg": "sha-256"}
    assert opened(payload, [written]) == {"family_name": "Möbius"}
    assert opened(payload, []) == {}


def test_the_array_element_of_rfc_9901_section_4_2_2():
    written = "WyJsa2x4RjVqTVlsR1RQVW92TU5JdkNBIiwgIkZSIl0"
    assert sdjwt.digest(written) == "w0I8EKcdCtUPkGCNUrfwVp2xEgNjtoIDlOxc9-PlOhs"
    payload = {"nationalities": ["DE", {"...": "w0I8EKcdCtUPkGCNUrfwVp2xEgNjtoIDlOxc9-PlOhs"}]}
    assert opened(payload, [written]) == {"nationalities": ["DE", "FR"]}
    assert opened(payload, []) == {"nationalities": ["DE"]}


def test_the_lists_of_the_status_list_draft():
    """§4.1: sixteen one-bit statuses, and twelve of two bits."""
    one = [1, 0, 0, 1, 1, 1, 0, 1, 1, 1, 0, 0, 0, 1, 0, 1]
    assert statuslist.bits(16, [index for index, bit in enumerate(one) if bit]) == bytes.fromhex("b9a3")
    assert [status_at("eNrbuRgAAhcBXQ", 1, index) for index in range(16)] == one
    two = [1, 2, 0, 3, 0, 1, 0, 1, 1, 2, 3, 3]
    assert [status_at("eNo76fITAAPfAgc", 2, index) for index in range(12)] == two
    assert zlib.decompress(_decoded(statuslist.compress(bytes.fromhex("b9a3")))) == bytes.fromhex("b9a3")
    for index in (16, -1, 1 << 40):
        with pytest.raises(AttestationInvalid):
            status_at("eNrbuRgAAhcBXQ", 1, index)


def test_the_thumbprint_of_rfc_8037_appendix_a_3():
    public = _decoded("11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo")
    assert signers.thumbprint(public) == "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k"


def test_decoys_look_like_digests(entropy):
    for count in range(1, 20):
        hidden = {f"claim_{number}": number for number in range(count)}
        members, disclosures = sdjwt.conceal(hidden, entropy.bytes)
        assert len(members["_sd"]) % 8 == 0
        assert {len(each) for each in members["_sd"]} == {43}
        assert {sdjwt.digest(each) for each in disclosures} <= set(members["_sd"])
        assert opened(members, disclosures) == hidden
        for some in itertools.islice(itertools.combinations(disclosures, max(0, count - 1)), 3):
            assert len(opened(members, list(some))) == len(some)
