"""DPoP nonces (RFC 9449 §8, §9): demanded where a proof made beforehand would be worth most, known to every process."""

import base64

import pytest
from maison_callers import CONSENT, ELSEWHERE, PERSON, Maison, app_of, problem_of
from starlette.testclient import TestClient

from api.authn.nonce import WINDOW_SECONDS, Nonces


@pytest.fixture
def reference(pos):
    return pos.created(PERSON, CONSENT)


def raw(pos, reference):
    return pos.granted(reference, ("ring_size", "raw"), purpose="clienteling.aftercare", max_uses=5)


def refused(answer, status):
    assert (answer.status_code, answer.json()["code"]) == (status, "use_dpop_nonce"), answer.text
    assert len(answer.headers["dpop-nonce"]) == 24
    return answer.headers["dpop-nonce"]


def redeem(pos, token, nonce):
    proof = pos.proof("POST", "/v1/disclosures", token, nonce=nonce)
    return pos.disclose(token, proofs=[proof])


def test_a_token_needs_a_nonce_and_is_told_which(maison, pos):
    before = len(maison.entries())
    pos.nonce = ""
    nonce = refused(pos._ask({"scope": "lookup"}), 400)
    # Nothing was done, so the assertion is unused and the log silent: no token and no system was looked at.
    assert len(maison.entries()) == before
    answer = pos._ask({"scope": "lookup"})
    assert answer.status_code == 200
    assert answer.headers["dpop-nonce"] == nonce
    assert answer.headers["cache-control"] == "no-store"


def test_a_raw_value_needs_a_nonce(maison, pos, reference):
    token = raw(pos, reference)
    for nonce in ("", "x" * 24, "x", "x" * 64):
        answer = redeem(pos, token, nonce)
        problem_of(answer, 401, "use_dpop_nonce")
        assert 'error="use_dpop_nonce"' in answer.headers["www-authenticate"]
        last = maison.entries()[-1]
        assert (last.act, last.read["pol"]) == ("field.denied", ["token.use_dpop_nonce"])
    # No use was counted: all five are left.
    for _ in range(5):
        assert redeem(pos, token, answer.headers["dpop-nonce"]).status_code == 200
    problem_of(redeem(pos, token, answer.headers["dpop-nonce"]), 403, "uses_exhausted")


def test_a_whole_bulk_is_refused_once(maison, pos, reference):
    token = raw(pos, reference)
    pos.nonce, before = "", len(maison.entries())
    problem_of(pos.bulk(token, [reference]), 401, "use_dpop_nonce")
    assert len(maison.entries()) == before + 1


def test_what_is_not_raw_and_what_is_no_value_needs_none(pos, reference):
    token = pos.granted(reference, ("phone", "masked"))
    pos.service("lookup")
    pos.nonce = ""
    assert pos.describe(reference).status_code == 200
    assert pos.disclose(token).status_code == 200


def test_a_nonce_is_a_short_text(pos, reference):
    token = raw(pos, reference)
    for claim in (7, ["x"], "x" * 65, "né"):
        problem_of(redeem(pos, token, claim), 401, "invalid_dpop_proof")


def test_a_nonce_lives_as_long_as_a_raw_token_and_then_dies(maison, pos, reference, clock):
    clock.seconds -= clock.seconds % WINDOW_SECONDS - (WINDOW_SECONDS - 1)  # the last second of a window
    token = raw(pos, reference)
    nonce = pos.nonce
    clock.advance(299)
    assert redeem(pos, token, nonce).status_code == 200
    clock.advance(WINDOW_SECONDS)
    assert refused(pos._ask({"scope": "lookup"}), 400) != nonce


def test_a_nonce_cannot_be_made_from_another(maison):
    nonces = Nonces(maison.vault)
    at = maison.clock.now()
    seen = {nonces.current(at + each * WINDOW_SECONDS) for each in range(50)}
    assert len(seen) == 50
    assert all(len(base64.urlsafe_b64decode(each)) == 18 for each in seen)
    assert nonces.is_good(nonces.current(at), at + WINDOW_SECONDS)
    assert nonces.is_good(nonces.current(at), at - WINDOW_SECONDS)
    assert not nonces.is_good(nonces.current(at), at + 2 * WINDOW_SECONDS)
    assert not nonces.is_good(nonces.current(at + 2 * WINDOW_SECONDS), at)


def test_every_process_knows_the_nonce_of_any(opening, bundle, tmp_path, clock):
    """Two applications on one deployment, with key services of their own."""
    apps = [app_of(lambda _: opening(bundle), tmp_path) for _ in range(2)]
    with (
        TestClient(apps[0], base_url=ELSEWHERE) as first,
        TestClient(apps[1], base_url=ELSEWHERE) as second,
    ):
        here = Maison(first, apps[0].state.services.vault, clock).system("aurelle-pos", "aurelle")
        assert here.service("lookup")
        there = here.twin(second)
        assert there._ask({"scope": "lookup"}).status_code == 200


def test_a_deployment_may_ask_for_nonces_everywhere(opening, bundle, tmp_path, clock):
    app = app_of(lambda _: opening(bundle), tmp_path, dpop_nonces="every")
    with TestClient(app, base_url=ELSEWHERE) as http:
        pos = Maison(http, app.state.services.vault, clock).system("aurelle-pos", "aurelle")
        reference = pos.created(PERSON, CONSENT)
        assert pos.describe(reference).status_code == 200
        kept, pos.nonce = pos.nonce, ""
        answer = pos.describe(reference)
        problem_of(answer, 401, "use_dpop_nonce")
        assert answer.headers["dpop-nonce"] == kept
