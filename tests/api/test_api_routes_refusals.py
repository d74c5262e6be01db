"""Who asks and how: tokens, proofs and bodies that are not good, on every kind of route. Nothing sent comes back."""

from concurrent.futures import ThreadPoolExecutor

from maison_callers import CONSENT, PERSON, disable, ndjson, problem_of

from api.client.identity import SigningKey

CANARY = "canary-ee41"


def challenge(answer):
    """The error that the challenge names (RFC 9449 §7.1)."""
    header = answer.headers["www-authenticate"]
    assert header.startswith("DPoP ")
    assert 'algs="ES256 EdDSA"' in header
    return header.partition('error="')[2].partition('"')[0]


# --- tokens and proofs -----------------------------------------------------------------------------------------------


def test_no_token_and_a_token_of_another_scheme_are_told_what_is_needed(pos):
    for headers in ({}, {"Authorization": "Bearer abc"}, {"Authorization": "DPoP"}, {"Authorization": "DPoP "}):
        answer = pos.http.post("/v1/subjects/search", json={"by": "phone", "value": CANARY}, headers=headers)
        problem_of(answer, 401, "token_required")
        assert challenge(answer) == ""
        assert CANARY not in answer.text


def test_a_token_that_is_not_one_is_refused(pos):
    for token in ("x" * 43, "x" * 129, "x", "ref_00000000000000000000000000"):
        answer = pos.send("POST", "/v1/subjects/search", token, {"by": "phone", "value": "+33639981234"})
        problem_of(answer, 401, "invalid_token")
        assert challenge(answer) == "invalid_token"
    token = pos.service("lookup")
    two = [("Authorization", f"DPoP {token}")]
    problem_of(pos.send("POST", "/v1/subjects/search", token, {}, headers=two), 401, "invalid_token")


def test_a_stolen_token_opens_nothing_under_another_key(maison, pos):
    reference = pos.created(PERSON, CONSENT)
    token, service = pos.granted(reference, ("phone", "masked")), pos.service("lookup")
    thief = pos.twin(key=SigningKey.generate())
    problem_of(thief.disclose(token), 401, "invalid_token")
    assert maison.entries()[-1].act == "auth.failed"
    problem_of(thief.send("GET", f"/v1/subjects/{reference}", service), 401, "invalid_token")
    # Its own proof around the owner's key does not help: the signature is not the key's.
    problem_of(pos.disclose(token, proofs=[pos.proof("POST", "/v1/disclosures", service)]), 401, "invalid_dpop_proof")
    assert pos.disclose(token).status_code == 200


def test_a_proof_is_for_one_request_just_now(pos):
    token, path = pos.service("lookup"), "/v1/subjects/search"
    body, now = {"by": "phone", "value": "+33639981234"}, pos.clock.now()
    for proofs in (
        [],
        [pos.proof("POST", path, token)] * 2,
        [", ".join([pos.proof("POST", path, token)] * 2)],
        [pos.proof("GET", path, token)],
        [pos.proof("POST", "/v1/subjects", token)],
        [pos.proof("POST", path)],
        [pos.proof("POST", path, "another-token")],
        [pos.proof("POST", path, token, now=now - 61)],
        [pos.proof("POST", path, token, now=now + 61)],
        [pos.proof("POST", path, token, jti="short")],
        [pos.proof("POST", path, token)[:-8] + "AAAAAAAA"],
        [CANARY],
    ):
        answer = pos.send("POST", path, token, body, proofs=proofs)
        problem_of(answer, 401, "invalid_dpop_proof")
        assert challenge(answer) == "invalid_dpop_proof"
        assert CANARY not in answer.text
    elsewhere = pos.twin(public="http://10.0.0.9:8420")  # where the request went, and not what we are called
    problem_of(elsewhere.send("POST", path, token, body), 401, "invalid_dpop_proof")


def test_a_proof_is_good_once_everywhere(pos):
    reference = pos.created(PERSON, CONSENT)
    lookup, write = pos.service("lookup"), pos.service("subject.write")
    disclosing = pos.granted(reference, ("phone", "masked"), max_uses=5)
    requests = (
        ("GET", f"/v1/subjects/{reference}", lookup, None),
        ("POST", "/v1/subjects/search", lookup, {"by": "phone", "value": "+33639981234"}),
        ("POST", "/v1/subjects", write, {"fields": PERSON}),
        ("POST", "/v1/disclosures", disclosing, {}),
        ("POST", "/v1/disclosures/bulk", disclosing, {"references": [reference]}),
    )
    for method, path, token, body in requests:
        proof = pos.proof(method, path, token)
        assert pos.send(method, path, token, body, proofs=[proof]).status_code < 300
        again = pos.send(method, path, token, body, proofs=[proof])
        problem_of(again, 401, "proof_replayed")
        assert challenge(again) == "invalid_dpop_proof"
        # Still within its window, and remembered to its end.
        pos.clock.advance(59)
        problem_of(pos.send(method, path, token, body, proofs=[proof]), 401, "proof_replayed")
        pos.clock.advance(-59)


def test_of_many_requests_with_one_proof_one_is_served(pos):
    token = pos.service("lookup")
    path, body = "/v1/subjects/search", {"by": "phone", "value": "+33639981234"}
    proof = pos.proof("POST", path, token)
    with ThreadPoolExecutor(6) as pool:
        answers = list(pool.map(lambda _: pos.send("POST", path, token, body, proofs=[proof]), range(6)))
    assert sorted(answer.status_code for answer in answers) == [200] + [401] * 5


def test_a_disabled_systems_tokens_are_dead_at_once_and_it_gets_no_new_one(maison, pos):
    reference = pos.created(PERSON, CONSENT)
    token = pos.granted(reference, ("phone", "masked"))
    pos.service("lookup")
    disable(maison.vault, pos)
    problem_of(pos.disclose(token), 401, "invalid_token")
    problem_of(pos.describe(reference), 401, "invalid_token")
    assert pos.ask(scope="lookup").json()["error"] == "invalid_client"
    # A twin of the same brand that was not disabled goes on with its own.
    crm = maison.system("aurelle-crm", "aurelle")
    assert crm.describe(reference).status_code == 200


def test_a_revoked_and_an_expired_token_are_dead(pos):
    path = "/v1/subjects/search"
    body = {"by": "phone", "value": "+33639981234"}
    token = pos.service("lookup")
    assert pos.http.post("/oauth/revoke", data=pos.form(token=token)).status_code == 200
    problem_of(pos.send("POST", path, token, body), 401, "invalid_token")
    pos.kept.clear()
    token = pos.service("lookup")
    pos.clock.advance(300)
    problem_of(pos.send("POST", path, token, body), 401, "invalid_token")


# --- bodies ----------------------------------------------------------------------------------------------------------


def test_a_body_that_is_no_json_is_malformed(pos):
    token = pos.service("subject.write")
    for content in (
        b"",
        f'{{"fields": {{"email": ["{CANARY}"'.encode(),
        b"\xff\xfe",
        b'{"fields": {"email": ["\xc3\x28"]}}',
        f"{CANARY}".encode(),
        b'{"fields":' * 400,
    ):
        headers = {"Content-Type": "application/json"}
        answer = pos.send("POST", "/v1/subjects", token, content=content, headers=headers)
        assert answer.status_code in {400, 422}
        assert answer.json()["code"] in {"malformed_body", "invalid_request"}
        assert CANARY not in answer.text


def test_json_that_is_no_object_or_no_json_by_name_is_refused(pos):
    token = pos.service("subject.write")
    for content in (b"[]", b"null", b'"text"', b"1", f'"{CANARY}"'.encode(), b"NaN"):
        headers = {"Content-Type": "application/json"}
        answer = pos.send("POST", "/v1/subjects", token, content=content, headers=headers)
        problem_of(answer, 422 if content != b"NaN" else answer.status_code, answer.json()["code"])
        assert answer.json()["code"] in {"invalid_request", "malformed_body"}
        assert CANARY not in answer.text
    for media_type in ("text/plain", "application/x-www-form-urlencoded", "application/xml"):
        body = f'{{"fields": {{"known_as": "{CANARY}"}}}}'.encode()
        answer = pos.send("POST", "/v1/subjects", token, content=body, headers={"Content-Type": media_type})
        assert answer.status_code in {415, 422}
        assert CANARY not in answer.text


def test_json_of_unbounded_depth_or_numbers_is_refused_and_breaks_nothing(pos):
    token = pos.service("subject.write")
    headers = {"Content-Type": "application/json"}
    deep = b'{"fields": {"name": ' + b"[" * 50_000 + b"]" * 50_000 + b"}}"
    for content in (
        deep,
        b'{"fields": {"children_count": ' + b"9" * 5000 + b"}}",
        b'{"fields": {"children_count": 1e999}}',
        b'{"fields": {"known_as": "\\ud800"}}',
        b'{"fields": {"known_as": "\\u0000"}}',
    ):
        answer = pos.send("POST", "/v1/subjects", token, content=content, headers=headers)
        assert answer.status_code in {400, 422}, answer.text
    assert pos.created(PERSON)


def test_a_body_beyond_the_limit_is_refused_before_it_is_read(pos):
    big = {"fields": {"delivery_instructions": CANARY * 100_000}}
    for method, path, token in (
        ("POST", "/v1/subjects", pos.service("subject.write")),
        ("POST", "/v1/subjects/search", pos.service("lookup")),
        ("POST", "/v1/consents", pos.service("consent.write")),
        ("POST", "/oauth/token", ""),
        ("POST", "/v1/nowhere", ""),
    ):
        answer = pos.send(method, path, token, big, proofs=[pos.proof(method, path, token)] if token else [])
        problem_of(answer, 413, "body_too_large")
        assert CANARY not in answer.text
    token = pos.service("subject.write")
    twice = [("Content-Length", "10"), ("Content-Length", "11")]
    assert pos.send("POST", "/v1/subjects", token, content=b"{}", headers=twice).status_code in {400, 413}


def test_a_value_beyond_its_own_limit_is_refused_by_name(pos):
    answer = pos.create({"delivery_instructions": "x" * 20_000})
    (refused,) = problem_of(answer, 422, "invalid_fields")["fields"]
    assert refused["name"] == "delivery_instructions"
    assert pos.search("phone", "9" * 321).status_code == 422
    many = pos.create({"phone": ["+33639981234"] * 257})
    problem_of(many, 422, "invalid_fields")


# --- scopes ----------------------------------------------------------------------------------------------------------


def test_a_service_token_discloses_nothing_and_a_disclosure_token_serves_nothing(pos):
    reference = pos.created(PERSON, CONSENT)
    for scope in ("lookup", "subject.write", "consent.write", "import"):
        token = pos.service(scope)
        problem_of(pos.disclose(token, {"reference": reference}), 403, "insufficient_scope")
        problem_of(pos.bulk(token, [reference]), 403, "insufficient_scope")
    token = pos.granted(reference, ("phone", "masked"))
    for method, path, body in (
        ("GET", f"/v1/subjects/{reference}", None),
        ("POST", "/v1/subjects", {"fields": PERSON}),
        ("POST", "/v1/subjects/search", {"by": "phone", "value": "+33639981234"}),
        ("POST", "/v1/consents/withdraw", {"reference": reference, "purpose": "clienteling", "channel": "in_store"}),
    ):
        problem_of(pos.send(method, path, token, body), 403, "insufficient_scope")
    headers = {"Idempotency-Key": "k", "Content-Type": "application/x-ndjson"}
    problem_of(pos.send("POST", "/v1/imports", token, content=ndjson({}), headers=headers), 403, "insufficient_scope")
    assert pos.disclose(token).status_code == 200  # and none of that cost its use


def test_a_scope_that_was_not_registered_is_not_issued(maison):
    reader = maison.system("aurelle-reader", "aurelle", scopes={"lookup"})
    for scope in ("import", "lookup import", "admin", "*"):
        assert reader.ask(scope=scope).json()["error"] == "invalid_scope"
