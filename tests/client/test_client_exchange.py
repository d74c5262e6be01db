"""Both clients against a loopback stand-in that checks every assertion and proof and refuses a repeated one."""

import asyncio
import json
import logging
import socket
from urllib.parse import parse_qsl

import pytest
from loopback import Loopback, Stub

from api.client.answers import Want
from api.client.asynchronous import AsyncEcrin
from api.client.blocking import Ecrin
from api.client.errors import EcrinProblem, EcrinProtocolError, EcrinUnreachable
from api.client.exchange import Settings
from api.client.identity import Identity, SigningKey
from api.client.verbs import ROWS_PER_REQUEST
from api.client.wire import json_object

CANARY = "+33612345678"
SUBJECT = (200, {"ETag": '"3"'}, b'{"reference":"ref_a","version":3}')


class Driver:
    """Runs the same calls through either client."""

    def __init__(self, kind, url, identity, settings=None):
        self.kind = kind
        self.client = (Ecrin if kind == "blocking" else AsyncEcrin)(url, identity, settings)
        self.runner = asyncio.Runner() if kind != "blocking" else None

    def __getattr__(self, name):
        method = getattr(self.client, name)
        if self.runner is None:
            return lambda *a, **k: (
                list(made) if name == "import_rows" and (made := method(*a, **k)) else method(*a, **k)
            )
        if name == "import_rows":

            async def collect(*a, **k):
                return [result async for result in method(*a, **k)]

            return lambda *a, **k: self.runner.run(collect(*a, **k))
        return lambda *a, **k: self.runner.run(method(*a, **k))

    def __enter__(self):
        return self

    def __exit__(self, *error):
        if self.runner is None:
            self.client.close()
        else:
            self.runner.run(self.client.close())
            self.runner.close()


@pytest.fixture
def identity():
    return Identity("aurelle-paris", SigningKey.generate(), "k1")


@pytest.fixture
def stub(identity):
    with Loopback(Stub(identity.registration())) as running:
        yield running


@pytest.fixture(params=["blocking", "asynchronous"])
def client(request, stub, identity):
    with Driver(request.param, stub.url, identity, Settings(stub.url, pause=0.0)) as driver:
        yield driver


def problem(status, code, **extra):
    body = {"status": status, "code": code, "title": "No", "request_id": "req-1", **extra}
    return status, {"Content-Type": "application/problem+json"}, json.dumps(body).encode()


def test_service_tokens_are_kept_per_scope(client, stub):
    stub.answers["/v1/subjects/ref_a"] = [SUBJECT]
    stub.answers["/v1/subjects"] = [(201, {"ETag": '"1"'}, b'{"reference":"ref_b","version":1}')]
    for _ in range(3):
        assert client.get_subject("ref_a").etag == '"3"'
    client.create_subject({"fields": {}}, key="k")
    assert stub.tokens == 2
    scopes = [dict(parse_qsl(seen.body.decode()))["scope"] for seen in stub.seen if seen.path == "/oauth/token"]
    assert scopes == ["lookup", "subject.write"]


def test_a_token_near_its_end_is_replaced(stub, identity):
    stub.answers["/v1/subjects/ref_a"] = [SUBJECT]
    now = [Settings(stub.url).clock() - 300]  # the stand-in holds `iat` against the real clock: start in the past
    stub.leeway = 300
    with Driver("blocking", stub.url, identity, Settings(stub.url, clock=lambda: now[0])) as client:
        client.get_subject("ref_a")
        now[0] += 269
        client.get_subject("ref_a")
        assert stub.tokens == 1
        now[0] += 1  # 30 s before the end
        client.get_subject("ref_a")
    assert stub.tokens == 2


def test_a_token_the_server_forgot_is_replaced_once(client, stub):
    stub.answers["/v1/subjects/ref_a"] = [problem(401, "invalid_token"), SUBJECT]
    assert client.get_subject("ref_a").reference == "ref_a"
    assert stub.tokens == 2
    stub.answers["/v1/subjects/ref_a"] = [problem(401, "invalid_token")]
    with pytest.raises(EcrinProblem) as refused:
        client.get_subject("ref_a")
    assert (refused.value.status, refused.value.code, refused.value.request_id) == (401, "invalid_token", "req-1")


def test_nonce_challenges_are_answered_at_both_ends_and_remembered(client, stub):
    stub.nonce = "n-1"
    stub.answers["/v1/subjects/ref_a"] = [SUBJECT]
    client.get_subject("ref_a")
    client.get_subject("ref_a")
    assert [seen.proof.get("nonce") for seen in stub.seen] == [None, "n-1", "n-1", "n-1"]
    stub.nonce = "n-2"
    client.get_subject("ref_a")
    assert [seen.proof["nonce"] for seen in stub.seen[-2:]] == ["n-1", "n-2"]


def test_a_nonce_challenge_is_answered_for_what_may_not_be_repeated_too(client, stub):
    token = client.authorise("ref_a", "clienteling", [("phone", "masked")])
    stub.nonce = "n-1"
    stub.answers["/v1/disclosures"] = [(200, {}, b'{"reference":"ref_a","fields":[],"entry":"e","receipt":"r"}')]
    assert client.disclose(token).receipt == "r"


def test_a_disclosure_is_asked_for_and_redeemed(client, stub):
    wants = [Want("phone", "masked"), ("birth_date", "predicate", "over_18"), ("allergies", "raw")]
    token = client.authorise("ref_a", "clienteling.aftercare", wants, reason="ring", staff="s1")
    asked = json.loads(dict(parse_qsl(stub.seen[-1].body.decode()))["authorization_details"])
    assert asked == [
        {
            "type": "urn:ecrin:disclosure:v1",
            "subject": "ref_a",
            "purpose": "clienteling.aftercare",
            "fields": [
                {"name": "phone", "level": "masked"},
                {"name": "birth_date", "level": "predicate", "predicate": "over_18"},
                {"name": "allergies", "level": "raw"},
            ],
            "max_uses": 1,
            "reason": "ring",
            "staff": "s1",
        }
    ]
    stub.answers["/v1/disclosures"] = [
        (
            200,
            {},
            json.dumps(
                {
                    "reference": "ref_a",
                    "fields": [
                        {"name": "phone", "decision": "granted", "level": "masked", "value": [CANARY]},
                        {"name": "allergies", "decision": "refused", "level": None, "reason": "not_permitted"},
                    ],
                    "entry": "e1",
                    "receipt": "note",
                }
            ).encode(),
        )
    ]
    answer = client.disclose(token)
    assert stub.seen[-1].headers["authorization"] == f"DPoP {token.secret}"
    assert answer.value("phone") == [CANARY]
    with pytest.raises(KeyError):
        answer.value("allergies")
    assert answer.fields["allergies"].reason == "not_permitted"
    assert CANARY not in repr(answer)
    assert token.secret not in repr(token)


def test_bulk_keeps_one_failure_to_itself(client, stub):
    token = client.authorise(["ref_a", "ref_b"], "clienteling", [("phone", "masked")])
    body = {
        "disclosures": [
            {
                "reference": "ref_a",
                "fields": [{"name": "phone", "decision": "granted", "level": "masked", "value": ["x"]}],
                "entry": "e",
            },
            {"reference": "ref_b", "error": "integrity_failure"},
        ],
        "receipt": "n",
    }
    stub.answers["/v1/disclosures/bulk"] = [(200, {}, json.dumps(body).encode())]
    good, bad = client.disclose_bulk(token)
    assert good.value("phone") == ["x"]
    assert good.receipt == "n"
    assert bad.error == "integrity_failure"
    assert not bad.fields
    assert not bad.receipt


def test_what_may_be_repeated_is_and_with_a_new_proof_each_time(client, stub):
    stub.answers["/v1/subjects/ref_a"] = [problem(503, "store_unavailable"), lambda _: None, SUBJECT]
    assert client.get_subject("ref_a").reference == "ref_a"
    tries = [seen for seen in stub.seen if seen.path == "/v1/subjects/ref_a"]
    assert len({seen.proof["jti"] for seen in tries}) == 3


def test_patience_ends(client, stub):
    stub.answers["/v1/subjects/ref_a"] = [problem(503, "sealed")]
    with pytest.raises(EcrinProblem, match="503 sealed"):
        client.get_subject("ref_a")
    assert len([seen for seen in stub.seen if seen.path == "/v1/subjects/ref_a"]) == 3


def test_redemption_and_update_are_never_repeated(client, stub):
    token = client.authorise("ref_a", "clienteling", [("phone", "masked")])
    stub.answers["/v1/disclosures"] = [lambda _: None]
    stub.answers["/v1/subjects/ref_a"] = [lambda _: None]
    with pytest.raises(EcrinUnreachable) as lost:
        client.disclose(token)
    assert lost.value.__cause__ is None
    with pytest.raises(EcrinUnreachable):
        client.update_subject("ref_a", '"3"', {"set": {}})
    assert len(stub.seen) == 4


def test_search_terms_travel_in_the_body_only(client, stub):
    stub.answers["/v1/subjects/search"] = [
        (200, {}, json.dumps({"candidates": [{"reference": "ref_a", "hints": {"phone": "•••78"}}]}).encode())
    ]
    found = client.search("phone", CANARY)
    assert [candidate.reference for candidate in found.candidates] == ["ref_a"]
    assert not found.more
    assert "•" not in repr(found)
    sent = stub.seen[-1]
    assert CANARY in sent.body.decode()
    assert CANARY not in sent.path + json.dumps(sent.headers)


def test_consent_is_given_and_withdrawn(client, stub):
    stub.answers["/v1/consents"] = [(200, {}, b'{"event":"e","purpose":"marketing","state":"given","receipt":"r"}')]
    stub.answers["/v1/consents/withdraw"] = [
        (200, {}, b'{"event":"e","purpose":"marketing","state":"withdrawn","receipt":"r"}')
    ]
    assert client.give_consent("ref_a", {"purpose": "marketing"}).state == "given"
    assert client.withdraw_consent("ref_a", {"purpose": "marketing"}).state == "withdrawn"
    assert json.loads(stub.seen[-1].body) == {"reference": "ref_a", "purpose": "marketing"}


def test_other_events_and_signals_go_under_a_key_of_their_own(client, stub):
    stub.answers["/v1/consents/events"] = [(201, {}, b'{"event":"e","purpose":"marketing","state":"refused"}')]
    stub.answers["/v1/consents/signal"] = [(201, {}, b'{"reference":"ref_a","objected":["sale"]}')]
    assert client.tell_consent("ref_a", "refused", {"purpose": "marketing", "channel": "web"}).state == "refused"
    told = stub.seen[-1]
    assert json.loads(told.body)["event"] == "refused"
    assert client.pass_signal("ref_a", "1") == ("sale",)
    assert stub.seen[-1].headers["sec-gpc"] == "1"
    assert told.headers["idempotency-key"] != stub.seen[-1].headers["idempotency-key"]
    client.pass_signal("ref_a", "")  # the browser sent none: none is made up
    assert "sec-gpc" not in stub.seen[-1].headers


def test_a_lost_answer_to_a_write_is_asked_for_again_under_the_same_key(client, stub):
    recorded = (201, {}, b'{"event":"e","purpose":"marketing","state":"given"}')
    stub.answers["/v1/consents"] = [problem(503, "store_unavailable"), recorded]
    assert client.give_consent("ref_a", {"purpose": "marketing"}).state == "given"
    keys = [seen.headers["idempotency-key"] for seen in stub.seen if seen.path == "/v1/consents"]
    assert len(keys) == 2
    assert len(set(keys)) == 1


def test_guidance_on_contact_is_no_address_and_shows_no_wish_in_a_log(client, stub):
    body = {"reference": "ref_a", "allowed": False, "why": ["silence"], "language": "fr", "mind": ["no_voicemail"]}
    stub.answers["/v1/contact/evaluation"] = [(200, {}, json.dumps(body).encode())]
    guidance = client.may_contact("ref_a", "clienteling", "phone", staff="s1")
    assert (guidance.allowed, guidance.why, guidance.language, guidance.mind) == (
        False, ("silence",), "fr", ("no_voicemail",),
    )  # fmt: skip
    assert "no_voicemail" not in repr(guidance)
    assert json.loads(stub.seen[-1].body)["staff"] == "s1"


def test_a_request_is_handed_in_followed_and_taken_back(client, stub):
    body = {"request": "ab", "right": "access", "state": "scoping", "status": "in_progress", "reason": None, "due": 7}
    said = (201, {}, json.dumps(body | {"outcome": None, "duplicate_of": None}).encode())
    stub.answers["/v1/requests"] = stub.answers["/v1/requests/ab"] = stub.answers["/v1/requests/ab/withdraw"] = [said]
    made = client.hand_in_request("ref_a", "access", {"words": CANARY})
    assert (made.request, made.reason, made.due, made.duplicate_of) == ("ab", "", 7, "")
    sent = stub.seen[-1]
    assert json.loads(sent.body) == {"reference": "ref_a", "right": "access", "words": CANARY}
    assert CANARY not in sent.path + json.dumps(sent.headers)
    assert client.request_standing("ab") == made
    assert stub.seen[-1].method == "GET"
    assert client.withdraw_request("ab") == made
    assert stub.seen[-1].headers["idempotency-key"] != sent.headers["idempotency-key"]


def test_the_record_of_consents_comes_as_the_text_that_was_signed(client, stub):
    stub.answers["/v1/consents/ref_a"] = [(200, {}, b'{"record":"{\\"a\\": 1}","receipt":"note"}')]
    history = client.consent_history("ref_a")
    assert (history.record, history.receipt) == ('{"a": 1}', "note")
    assert stub.seen[-1].method == "GET"
    assert "note" not in repr(history)


def test_update_names_the_version_it_saw(client, stub):
    stub.answers["/v1/subjects/ref_a"] = [SUBJECT]
    client.update_subject("ref_a", '"2"', {"set": {"ring_size": 52}})
    assert stub.seen[-1].method == "PATCH"
    assert stub.seen[-1].headers["if-match"] == '"2"'


def test_import_is_cut_streamed_and_resumable(client, stub):
    def take(seen):
        rows = [json.loads(line) for line in seen.body.splitlines()]
        lines = [
            json.dumps({"ref": row["ref"], "status": "created", "references": {"aurelle": "ref_x"}}) for row in rows
        ]
        return 200, {"Content-Type": "application/x-ndjson"}, ("\n".join(lines) + "\n").encode()

    stub.answers["/v1/imports"] = [problem(503, "store_unavailable"), take]
    rows = ({"ref": f"row-{n}", "fields": {"family_name": "Écrin"}} for n in range(ROWS_PER_REQUEST + 3))
    results = client.import_rows(rows, key="load-1")
    assert [result.ref for result in results] == [f"row-{n}" for n in range(ROWS_PER_REQUEST + 3)]
    posts = [seen for seen in stub.seen if seen.path == "/v1/imports"]
    assert len(posts) == 3
    assert posts[0].body == posts[1].body
    assert {seen.headers["idempotency-key"] for seen in posts} == {"load-1"}
    assert {seen.headers["content-type"] for seen in posts} == {"application/x-ndjson"}


def test_rows_may_come_from_an_asynchronous_source(stub, identity):
    stub.answers["/v1/imports"] = [
        (200, {}, b'{"ref":"r","status":"refused","code":"invalid_fields","fields":[{"name":"email","reason":"no"}]}\n')
    ]

    async def source():
        yield {"ref": "r", "fields": {}}

    with Driver("asynchronous", stub.url, identity) as client:
        (result,) = client.import_rows(source(), key="k")
    assert (result.status, result.code, result.fields) == ("refused", "invalid_fields", {"email": "no"})


def test_an_empty_import_asks_nothing(client, stub):
    assert client.import_rows([], key="k") == []
    assert not stub.seen


def test_problems_name_fields_and_never_quote_bodies(client, stub):
    listed = [{"name": "phone", "reason": "not_a_number"}, {"loc": ["body"], "type": "missing"}]
    stub.answers["/v1/subjects"] = [problem(422, "invalid_fields", fields=listed)]
    with pytest.raises(EcrinProblem) as refused:
        client.create_subject({"fields": {"phone": [CANARY]}})
    assert refused.value.fields == {"phone": "not_a_number"}
    assert refused.value.title == "No"
    assert CANARY not in str(refused.value) + repr(refused.value)
    stub.answers["/v1/subjects"] = [(500, {}, CANARY.encode())]
    with pytest.raises(EcrinProblem) as broken:
        client.create_subject({"fields": {}})
    assert broken.value.code == "http_error"
    assert CANARY not in str(broken.value)


def test_oauth_errors_are_problems_too(client, stub):
    stub.answers["/oauth/token"] = [(400, {}, b'{"error":"invalid_scope","error_description":"not registered"}')]
    with pytest.raises(EcrinProblem) as refused:
        client.get_subject("ref_a")
    assert (refused.value.code, refused.value.title) == ("invalid_scope", "not registered")


@pytest.mark.parametrize("body", [b"{}", b"[]", b"junk", b'{"access_token":"t","token_type":"Bearer","expires_in":9}'])
def test_a_promise_broken_by_the_server_is_said(client, stub, body):
    stub.answers["/oauth/token"] = [(200, {}, body)]
    with pytest.raises(EcrinProtocolError):
        client.get_subject("ref_a")
    with pytest.raises(EcrinProtocolError):
        client.authorise("ref_a", "clienteling", [("phone", "masked")])


def test_nobody_listens(identity):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{free.getsockname()[1]}"
        with Ecrin(url, identity, Settings(url, attempts=2, pause=0.0)) as client, pytest.raises(EcrinUnreachable):
            client.checkpoint()


def test_checkpoint_needs_no_token(client, stub):
    stub.answers["/audit/checkpoint"] = [(200, {}, "origin\n1\nroot\n\n— o s\n".encode())]
    assert client.checkpoint().startswith("origin\n")
    assert stub.tokens == 0


def test_repr_names_the_system_only(stub, identity):
    with Ecrin(stub.url, identity) as client:
        assert repr(client) == "<Ecrin aurelle-paris>"
        client._exchange._tokens["lookup"] = ("secret-token", 1)
        assert "secret-token" not in repr(client._exchange)


def test_a_token_is_narrowed_for_oneself_and_for_another(client, stub):
    token = client.authorise("ref_a", "clienteling.in_store", [("phone", "masked")], max_uses=3)
    mine = client.narrow(token, [("phone", "generalised")])
    theirs = client.narrow(token, [Want("phone", "presence")], actor_token="theirs", max_uses=2, purpose="a.b")
    forms = [dict(parse_qsl(seen.body.decode())) for seen in stub.seen[-2:]]
    kind = "urn:ietf:params:oauth:token-type:access_token"
    for form in forms:
        assert form["grant_type"] == "urn:ietf:params:oauth:grant-type:token-exchange"
        assert (form["subject_token"], form["subject_token_type"]) == (token.secret, kind)
    assert "actor_token" not in forms[0]
    assert (forms[1]["actor_token"], forms[1]["actor_token_type"]) == ("theirs", kind)
    (entry,) = json.loads(forms[1]["authorization_details"])
    assert (entry["subject"], entry["purpose"], entry["max_uses"]) == ("ref_a", "a.b", 2)
    assert mine.purpose == token.purpose
    assert theirs.secret not in repr(theirs)


def answered(body, status=200):
    return status, {"Content-Type": "application/json"}, json.dumps(body).encode()


def test_a_reference_is_replaced_under_a_key(client, stub):
    stub.answers["/v1/subjects/ref_a/rotation"] = [answered({"reference": "ref_b", "until": 7})]
    rotated = client.rotate_reference("ref_a", grace_seconds=60, key="k")
    assert (rotated.reference, rotated.until) == ("ref_b", 7)
    assert json.loads(stub.seen[-1].body) == {"grace_seconds": 60}
    assert stub.seen[-1].headers["idempotency-key"] == "k"
    stub.answers["/v1/subjects/ref_a/rotation"] = [answered({"reference": "ref_b", "until": None})]
    assert client.rotate_reference("ref_a").until is None
    assert len(stub.seen[-1].headers["idempotency-key"]) > 16


def test_may_is_a_plain_yes_or_no(client, stub):
    for body, allowed in (({"decision": True}, True), ({"decision": False}, False), ({"decision": "yes"}, False)):
        stub.answers["/access/v1/evaluation"] = [answered(body)]
        assert client.may("ref_a", "clienteling.in_store", [("phone", "masked")]) is allowed
    asked = json.loads(stub.seen[-1].body)
    assert asked["subject"] == {"type": "system", "id": "aurelle-paris"}
    assert asked["resource"] == {"type": "subject", "id": "ref_a"}
    assert asked["action"]["properties"]["fields"] == [{"name": "phone", "level": "masked"}]
    stub.answers["/access/v1/evaluation"] = [answered({})]
    with pytest.raises(EcrinProtocolError):
        client.may("ref_a", "clienteling.in_store", [("phone", "masked")])


def test_an_attestation_is_asked_for_once_and_its_text_shown_to_nobody(client, stub):
    token = client.authorise("ref_a", "clienteling.in_store", [Want("birth_date", "predicate", "over_18")])
    body = {"attestation": "a.b.c~d~", "claims": ["birth_date.over_18"], "expires_at": 9, "entry": "e", "receipt": "r"}
    stub.answers["/v1/attestations"] = [answered(body)]
    made = client.attest(token, "https://door.example", {"kty": "OKP"}, seconds=60, fields=["birth_date"])
    assert (made.text, made.claims, made.expires_at) == ("a.b.c~d~", ("birth_date.over_18",), 9)
    assert "a.b.c" not in repr(made)
    asked = json.loads(stub.seen[-1].body)
    assert asked == {"audience": "https://door.example", "key": {"kty": "OKP"}, "seconds": 60, "fields": ["birth_date"]}
    stub.answers["/v1/attestations"] = [problem(503, "overloaded")]
    before = len(stub.seen)
    with pytest.raises(EcrinProblem):
        client.attest(token, "https://door.example", {"kty": "OKP"})
    assert len(stub.seen) == before + 1


def test_what_a_verifier_needs_is_fetched_without_a_token(client, stub):
    stub.answers["/oauth/jwks"] = [answered({"keys": []})]
    stub.answers["/attestations/status/0a"] = [(200, {}, b"a.b.c")]
    assert client.issuer_keys() == {"keys": []}
    assert client.status_list(f"{stub.url}/attestations/status/0a") == "a.b.c"
    assert stub.tokens == 0
    with pytest.raises(EcrinProtocolError):
        client.status_list("https://elsewhere.example/attestations/status/0a")


def test_both_clients_have_the_same_verbs():
    of = [{name for name in vars(client) if not name.startswith("_")} for client in (Ecrin, AsyncEcrin)]
    assert of[0] == of[1]


def test_nothing_that_the_http_library_logs_names_a_person(client, stub, caplog):
    caplog.set_level(logging.DEBUG)
    stub.answers["/v1/subjects/ref_a"] = [SUBJECT]
    stub.answers["/v1/consents/ref_a"] = [problem(404, "unknown_reference")]
    stub.answers["/v1/subjects/ref_a/rotation"] = [(200, {}, b'{"reference":"ref_b","until":null}')]
    client.get_subject("ref_a")
    client.rotate_reference("ref_a")
    with pytest.raises(EcrinProblem):
        client.consent_history("ref_a")
    paths = [seen.path for seen in stub.seen]
    assert {path for path in paths if "ref_a" in path} == set(stub.answers)
    assert not [each.getMessage() for each in caplog.records if "ref_" in each.getMessage()]
    # What names nobody is the application's to read, as before.
    assert sum("/oauth/token" in each.getMessage() for each in caplog.records if each.name == "httpx2") == stub.tokens


def test_many_clients_quiet_the_library_once(stub, identity):
    for _ in range(3):
        with Driver("blocking", stub.url, identity):
            pass
    assert len(logging.getLogger("httpx2").filters) == 1


@pytest.mark.parametrize("body", [b"[" * 100_000, b'{"a":' * 100_000])
def test_an_answer_nested_without_end_is_no_answer(body):
    assert json_object(body) == {}


def named_in(stub):
    return [(each.path, each.headers.get("ecrin-staff")) for each in stub.seen]


@pytest.mark.parametrize("word", ["", "Mme Aubin", "é", "a\r\nX-More: 1", "a" * 129])
def test_what_names_nobody_by_a_pseudonym_is_refused_before_it_is_sent(client, stub, word):
    with pytest.raises(ValueError, match="characters") as refused:
        client.client.for_staff(word)
    assert not word or word not in str(refused.value)
    assert stub.seen == []


def test_a_client_for_a_member_of_staff_names_them_in_every_request_and_the_other_names_nobody(client, stub):
    stub.answers["/v1/subjects/ref_a"] = [SUBJECT]
    plain, stub.nonce = client.client, "n1"
    client.client = plain.for_staff("advisor-1")
    client.get_subject("ref_a")
    client.authorise("ref_a", "clienteling", [Want("phone", "masked")])
    client.client = plain
    client.get_subject("ref_a")
    sent = [each for each in named_in(stub) if each[0] != "/oauth/token"]
    assert sent[0] == ("/v1/subjects/ref_a", "advisor-1")
    assert sent[-1] == ("/v1/subjects/ref_a", None)
    asked = [
        (parse_qsl(each.body.decode()), each.headers.get("ecrin-staff"))
        for each in stub.seen
        if each.path == "/oauth/token"
    ]
    # A service token is shared: it is the system's own. A token to look at somebody is asked for by whoever looks.
    assert {who for form, who in asked if "scope" in dict(form)} == {None}
    assert {who for form, who in asked if "authorization_details" in dict(form)} == {"advisor-1"}
    assert stub.tokens == 2
    assert "advisor-1" not in repr(plain.for_staff("advisor-1"))
