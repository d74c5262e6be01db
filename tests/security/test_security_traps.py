"""Traps of the frameworks that would break what we promise; each was seen to spring before it was disarmed.

1. FastAPI's own 422 repeats the body. 2. PostgreSQL's error texts quote rows (`DETAIL: Key (email)=(…)`), SQLAlchemy's
the parameters. 3. What runs after the answer is sent cannot be taken back: the commit must come before.
4. A batch is one transaction: what a database cannot read at all would fail for everybody in it.
"""

import json
import logging
import threading
from base64 import urlsafe_b64encode

import pytest
import sqlalchemy
from maison_callers import CONSENT, ELSEWHERE, PERSON, PUBLIC, STRANGER, Maison, app_of, fresh, ndjson, problem_of
from starlette.testclient import TestClient

from vault.store.engine import translate

CANARY = "canary-2f8c@example.com"
HIDDEN = "canary_2f8c"


# --- 1. what was sent never comes back -------------------------------------------------------------------------------

MISFITS = (
    {"fields": {"email": [CANARY]}, HIDDEN: 1},
    {"fields": CANARY},
    {"fields": [CANARY]},
    {"fields": {CANARY: 1}},
    {"fields": {HIDDEN: CANARY}},
    {"fields": {"email": CANARY}, "region": CANARY},
    {"fields": {"email": [{"value": CANARY, HIDDEN: 1}]}},
    {"fields": {"name": {"family": CANARY, HIDDEN: CANARY}}},
    {"fields": {"birth_date": {"value": CANARY}}},
    {"fields": {"birth_date": {"value": "1984-05-17", "valid_from": CANARY}}},
    {"fields": {"phone": [CANARY]}},
    {"fields": {"favourite_stones": [CANARY]}},
    {"fields": {"lifetime_spend": {"amount": CANARY, "currency": CANARY}}},
    {"fields": {"known_as": "x"}, "consents": [{"purpose": CANARY}]},
    {"fields": {"known_as": "x"}, "consents": [CONSENT | {"place": f"{CANARY} {CANARY}"}]},
    {"fields": {"known_as": "x"}, "consents": CANARY},
)


def test_no_refusal_of_any_route_repeats_what_was_sent(pos, capfdbinary):
    reference = pos.created(PERSON, CONSENT)
    token = pos.granted(reference, ("phone", "masked"), max_uses=50)
    consent, lookup = pos.service("consent.write"), pos.service("lookup")
    answers = [pos.send("POST", "/v1/subjects", pos.service("subject.write"), body) for body in MISFITS]
    for body in MISFITS:
        answers.append(pos.patch(reference, {"set": body["fields"], "append": body["fields"]}, '"1"'))
        answers.append(pos.patch(reference, {"correct": body["fields"]}, '"1"'))
    answers += [
        pos.patch(reference, {"end": {"phone": [CANARY], HIDDEN: [1]}}, '"1"'),
        pos.patch(reference, {}, CANARY),
        pos.describe(f"ref_{HIDDEN}"),
        pos.describe(CANARY),
        pos.send("POST", "/v1/subjects/search", lookup, {"by": HIDDEN, "value": CANARY}),
        pos.send("POST", "/v1/subjects/search", lookup, {"by": "email", "value": {"is": CANARY}}),
        pos.send("POST", "/v1/subjects/search", lookup, {"by": "phone", "value": CANARY}),
        pos.send("POST", "/v1/consents", consent, {"reference": reference, **CONSENT, "collector": f"{CANARY} x"}),
        pos.send("POST", "/v1/consents/withdraw", consent, {"reference": CANARY, "purpose": HIDDEN, "channel": HIDDEN}),
        pos.disclose(token, {"reference": CANARY}),
        pos.disclose(token, {"fields": [HIDDEN]}),
        pos.disclose(token, {HIDDEN: CANARY}),
        pos.bulk(token, [CANARY]),
        pos.wish(CANARY, ("phone", "masked")),
        pos.wish(reference, (HIDDEN, "masked")),
        pos.wish(reference, ("phone", HIDDEN)),
        pos.wish(reference, ("phone", "masked"), purpose=HIDDEN),
        pos.wish(reference, ("phone", "masked"), reason=CANARY * 20),
        pos.wish(reference, ("phone", "masked"), staff=CANARY),
        pos.ask(scope=CANARY),
        pos.ask(scope="lookup", **{HIDDEN: CANARY}, client_id=CANARY),
        pos.http.get(f"/v1/{HIDDEN}/{CANARY}?q={CANARY}"),
    ]
    for answer in answers:
        assert 400 <= answer.status_code < 500 or answer.request.url.path == "/oauth/token", answer.text
        for canary in (CANARY, HIDDEN):
            assert canary not in answer.text + str(answer.headers), answer.text
    # A row's own ref is the caller's name for it, and the one thing that does come back.
    rows = [{"ref": str(place), **body} for place, body in enumerate(MISFITS)]
    answer = pos.bring(ndjson(*rows), "traps")
    assert CANARY not in answer.text
    assert HIDDEN not in answer.text
    assert all(json.loads(line)["status"] == "refused" for line in answer.content.splitlines())
    logged = b"".join(capfdbinary.readouterr())
    assert CANARY.encode() not in logged
    assert HIDDEN.encode() not in logged


def test_an_error_of_the_schema_names_places_of_ours_only(pos):
    token = pos.service("subject.write")
    answer = pos.send("POST", "/v1/subjects", token, {"fields": {CANARY: 1}, HIDDEN: 1, "region": 1})
    errors = problem_of(answer, 422, "invalid_request")["errors"]
    assert all(error.keys() == {"loc", "type"} for error in errors)
    assert {"body", "region", "*", "fields"} >= {part for error in errors for part in error["loc"] if part != "[key]"}


# --- 2. what the database says stays here ----------------------------------------------------------------------------


def test_what_a_driver_says_of_a_row_never_gets_out(maison, caplog):
    engine = maison.vault.engine
    caplog.set_level(logging.DEBUG)
    with engine.begin() as conn:
        conn.exec_driver_sql("CREATE TABLE trap (email VARCHAR(64) PRIMARY KEY, age INTEGER NOT NULL)")
    table = sqlalchemy.table("trap", sqlalchemy.column("email"), sqlalchemy.column("age"))
    insert = sqlalchemy.insert(table)
    with engine.begin() as conn:
        conn.execute(insert, {"email": CANARY, "age": 1})
    refused = [{"email": CANARY, "age": 1}, {"email": f"{CANARY}.org", "age": None}]
    if engine.dialect.name == "postgresql":  # SQLite takes any type anywhere
        refused += [{"email": None, "age": 1}, {"email": "x", "age": CANARY}, {"email": CANARY * 9, "age": 1}]
    for values in refused:
        with pytest.raises(Exception) as caught, translate(), engine.begin() as conn:
            conn.execute(insert, values)
        error = caught.value
        while error is not None:
            assert CANARY not in str(error) + repr(error) + str(error.args)
            assert not isinstance(error, sqlalchemy.exc.SQLAlchemyError)
            error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    assert CANARY not in caplog.text


def test_a_conflict_in_the_database_answers_without_its_words(maison, pos, capfdbinary):
    """Two systems of one id: the constraint's message would hold the row."""
    from api.cli.opened import OPERATOR
    from vault import systems
    from vault.errors import VaultError

    with pytest.raises(VaultError) as caught, maison.vault.unit() as uow:
        systems.register(uow, pos.registration(), OPERATOR)
        uow.commit()
    assert pos.id not in str(caught.value)
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__ or caught.value.__context__ is None


# --- 3. the commit comes before the answer ---------------------------------------------------------------------------


@pytest.fixture
def unlucky(opening, bundle, tmp_path, clock):
    """A service whose next commits can be made to fail at the database, and the switch."""
    switch = threading.Event()
    app = app_of(lambda _: opening(bundle), tmp_path)
    with TestClient(app, base_url=ELSEWHERE, raise_server_exceptions=False) as http:
        vault = app.state.services.vault

        def refuse(connection):
            if switch.is_set():
                raise sqlalchemy.exc.OperationalError(CANARY, {"email": CANARY}, Exception(CANARY))

        sqlalchemy.event.listen(vault.engine, "commit", refuse)
        yield Maison(http, vault, clock), switch
        switch.clear()


def test_nothing_is_answered_that_was_not_committed(unlucky, capfdbinary):
    maison, switch = unlucky
    pos = maison.system("aurelle-pos", "aurelle")
    reference = pos.created(PERSON, CONSENT)
    token = pos.granted(reference, ("phone", "raw"), purpose="service.repair", staff="smith-1", max_uses=3)
    for scope in ("lookup", "import", "consent.write"):
        pos.service(scope)
    before = [entry.raw for entry in maison.entries()]
    switch.set()
    answers = (
        pos.disclose(token),
        pos.bulk(token, [reference]),
        pos.create(PERSON, headers={"Idempotency-Key": "unlucky"}),
        pos.patch(reference, {"set": {"preferred_language": "en"}}, '"1"'),
        pos.search("phone", "+33639981234"),
        pos.withdraw(reference),
        pos.bring(ndjson({"ref": "1", "fields": PERSON}), "unlucky"),
        pos.ask(scope="lookup"),
    )
    for answer in answers:
        problem_of(answer, 503, "store_unavailable")
        assert answer.headers["retry-after"] == "1"
        assert "639981" not in answer.text
        assert CANARY not in answer.text
        assert STRANGER[:4] not in answer.text
    switch.clear()
    # Nothing happened: no entry, no use, no version, no consent, no key.
    assert [entry.raw for entry in maison.entries()] == before
    assert pos.describe(reference).json()["version"] == 1
    assert len(pos.search("phone", "+33639981234").json()["candidates"]) == 1
    assert [pos.disclose(token).status_code for _ in range(4)] == [200, 200, 200, 403]
    assert pos.create(PERSON, headers={"Idempotency-Key": "unlucky"}).status_code == 201
    assert CANARY.encode() not in b"".join(capfdbinary.readouterr())


def test_what_was_answered_is_durable_whatever_follows(maison, pos):
    """Read by another connection at the moment the first byte of the answer is out."""
    reference = pos.created(PERSON, CONSENT)
    token = pos.granted(reference, ("phone", "masked"))
    seen = []
    app = pos.http.app

    async def watched(scope, receive, send):
        async def noticed(message):
            if scope["type"] == "http" and message["type"] == "http.response.start":
                seen.append([entry.act for entry in maison.entries()][-1])
            await send(message)

        await app(scope, receive, noticed)

    with_eyes = TestClient(watched, base_url=ELSEWHERE)
    assert pos.twin(with_eyes).disclose(token).status_code == 200
    assert pos.twin(with_eyes, kept=pos.kept).withdraw(reference).status_code == 201
    assert seen[0] == "field.disclosed"
    assert seen[-1] == "consent.withdrawn"


UNCALLABLE = ("\x00", "aurelle\x00pos", "\ud800", "Aurelle", "aurelle pos", "a\nb", "é" * 8)


@pytest.mark.parametrize("path", ["/oauth/introspect", "/oauth/revoke", "/oauth/token"])
def test_a_stranger_whose_name_no_database_reads_takes_no_neighbour_along(maison, pos, path):
    """What waits is done in one unit: an item that the database refuses would fail for everybody else in it."""
    good = pos.service("lookup")  # and with it the nonce
    for name in UNCALLABLE:
        claims = {"iss": name, "sub": name, "aud": PUBLIC, "jti": fresh(), "exp": maison.clock.now() + 60}
        parts = [{"alg": "ES256", "kid": "k1", "typ": "JWT"}, claims]
        encoded = [urlsafe_b64encode(json.dumps(each).encode()).rstrip(b"=").decode() for each in parts]
        form = pos.form(scope="lookup", token=good) | {"client_assertion": ".".join([*encoded, "A" * 86])}
        answer = pos.http.post(path, data=form, headers={"DPoP": pos.proof("POST", path)})
        assert (answer.status_code, answer.json()["error"]) == (401, "invalid_client"), name
