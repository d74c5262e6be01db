"""Events: queued with the act, told as signed tokens until acknowledged, through refusals, restarts and SIGKILL."""

import io
import json
import os
import signal
import subprocess
import sys
from base64 import urlsafe_b64encode
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import jwt
import pytest
from event_receiver import receiving
from maison_callers import CONSENT, PERSON, PUBLIC

from api import eventpush, jws
from api.cli.opened import OPERATOR
from api.client.errors import EventInvalid
from api.client.events import verify_event
from api.client.identity import Identity, SigningKey
from api.eventpush import EventPush
from api.observability.events import Event
from api.observability.logs import Log
from api.periodic import Periodic
from vault import housekeeping, outbox, signers, systems
from vault.erasure import requests
from vault.errors import UnknownSystem
from vault.outbox import FIRST_PAUSE, LEASE_SECONDS, EventKind, EventState, Happened
from vault.signers import SignedAs
from vault.systems import NewSystem

REFERENCE = "ref_7gy7sf7x7nyvvzhyftzfyfvzqz"
NOWHERE = "http://127.0.0.1:9/events"  # nothing listens there


@pytest.fixture
def receiver():
    with receiving() as made:
        yield made


def system(vault, name, brand="aurelle", url=None):
    jwks = Identity(name, SigningKey.generate(), "k").registration()
    with vault.unit() as uow:
        systems.register(uow, NewSystem(name, brand, name, jwks, frozenset({"lookup"})), OPERATOR)
        if url is not None:
            outbox.listen(uow, name, url, OPERATOR)
        uow.commit()


def happen(vault, *, brand="aurelle", kind=EventKind.WITHDRAWN, **detail):
    with vault.unit() as uow:
        outbox.queue(uow, [Happened(brand, REFERENCE, kind, detail or {"purpose": "clienteling"})])
        uow.commit()


def turn(vault):
    EventPush(vault, PUBLIC, Log(vault.clock, stream=io.BytesIO())).turn()


def ledger(vault, *, done=True):
    with vault.reading() as conn:
        return outbox.ledger(conn, done=done)


def published(vault, *uses):
    with vault.reading() as conn:
        return json.loads(jws.key_set(conn, vault.clock.now(), uses or [SignedAs.EVENT]))


def checked(vault, token, **more):
    return verify_event(
        token, published(vault), **({"issuer": PUBLIC, "system": "crm", "now": vault.clock.now()} | more)
    )


# --- queued with the act


def listening(maison, *callers):
    with maison.vault.unit() as uow:
        for each in callers:
            outbox.listen(uow, each.id, NOWHERE, OPERATOR)
        uow.commit()


def queued(maison):
    return sorted((each.system_id, str(each.kind)) for each in ledger(maison.vault))


def test_a_withdrawal_is_told_to_the_own_brands_systems_alone(maison, pos, sister):
    crm = maison.system("aurelle-crm", "aurelle")
    listening(maison, pos, crm, sister)
    reference = pos.created(PERSON, CONSENT)
    assert queued(maison) == []
    assert pos.withdraw(reference).status_code == 201
    assert queued(maison) == [("aurelle-crm", "consent-withdrawn"), ("aurelle-pos", "consent-withdrawn")]


def test_a_correction_is_told_and_an_ordinary_change_is_not(maison, pos):
    listening(maison, pos)
    reference = pos.created(PERSON, CONSENT)
    assert pos.patch(reference, {"set": {"preferred_language": "en"}}, '"1"').status_code == 200
    assert queued(maison) == []
    assert pos.patch(reference, {"correct": {"birth_date": "1984-05-18"}}, '"2"').status_code == 200
    assert queued(maison) == [("aurelle-pos", "rectified")]
    assert pos.patch(reference, {"correct": {"birth_date": "1984-05-19"}}, '"2"').status_code == 412
    assert queued(maison) == [("aurelle-pos", "rectified")]


def test_an_erasure_is_told_to_each_brand_under_its_own_reference(maison, pos, sister, migration):
    listening(maison, pos, sister)
    holding = {"fields": {"client_number": "X-1"}, "consents": []}
    row = {"ref": "1", "region": "fr", "holdings": [{"brand": brand, **holding} for brand in ("aurelle", "vantier")]}
    answer = migration.bring(json.dumps(row).encode() + b"\n", "k")
    references = json.loads(answer.content)["references"]
    subject = requests.behind(maison.vault, "aurelle", references["aurelle"])
    (asked,) = requests.erase(maison.vault, [requests.Erase(subject, OPERATOR)])
    assert asked.erasure
    assert queued(maison) == [("aurelle-pos", "erased"), ("vantier-pos", "erased")]
    with maison.vault.engine.connect() as conn:
        stored = conn.exec_driver_sql("SELECT id, payload, system_id FROM outgoing_event").all()
    opened = maison.vault.keys.open("event/outbox", [(bytes(row[0]), bytes(row[1])) for row in stored])
    told = {row[2]: json.loads(text) for row, text in zip(stored, opened, strict=True)}
    assert told["aurelle-pos"] == [references["aurelle"], {"scope": "subject"}]
    assert told["vantier-pos"] == [references["vantier"], {"scope": "subject"}]
    assert not any(reference.encode() in bytes(row[1]) for reference in references.values() for row in stored)


def test_a_unit_that_rolls_back_tells_nothing(vault):
    system(vault, "crm", url=NOWHERE)
    with vault.unit() as uow:
        outbox.queue(uow, [Happened("aurelle", REFERENCE, EventKind.WITHDRAWN, {})])
    assert ledger(vault) == []


def test_who_listens_nowhere_is_told_nothing(vault):
    system(vault, "crm")
    happen(vault)
    assert ledger(vault) == []
    with vault.unit() as uow, pytest.raises(UnknownSystem):
        outbox.listen(uow, "nobody", NOWHERE, OPERATOR)


# --- the ledger


def test_old_lines_of_the_ledger_go_and_what_nobody_acknowledged_stays(vault, receiver, clock):
    system(vault, "crm", url=receiver.url)
    system(vault, "pos", url=NOWHERE)
    for _ in range(3):
        happen(vault)
    turn(vault)
    days = 1095
    clock.advance(days * housekeeping.DAY)
    assert housekeeping.purge_ledger(vault, days) == 0  # not a second too early
    happen(vault)
    turn(vault)
    clock.advance(1)
    assert housekeeping.purge_ledger(vault, days) == 3
    assert [(each.system_id, each.state) for each in ledger(vault) if each.system_id == "crm"] == [
        ("crm", EventState.ACKNOWLEDGED)
    ]
    assert len(ledger(vault, done=False)) == 4
    assert housekeeping.purge_ledger(vault, days) == 0


def test_a_purge_goes_in_small_units_and_may_stop_after_any(vault, receiver, clock, monkeypatch):
    monkeypatch.setattr(housekeeping, "ROWS_PER_UNIT", 2)
    system(vault, "crm", url=receiver.url)
    for _ in range(5):
        happen(vault)
    turn(vault)
    clock.advance(91 * housekeeping.DAY)
    assert housekeeping.purge_ledger(vault, 90, most_units=1) == 2
    assert housekeeping.purge_ledger(vault, 90) == 3


# --- told until acknowledged


def test_an_acknowledged_event_is_dropped_and_stays_in_the_ledger(vault, receiver):
    system(vault, "crm", url=receiver.url)
    happen(vault)
    turn(vault)
    ((media_type, token),) = receiver.taken
    assert media_type == "application/secevent+jwt"
    event = checked(vault, token)
    assert (event.kind, event.reference, event.detail) == ("consent-withdrawn", REFERENCE, {"purpose": "clienteling"})
    (standing,) = ledger(vault)
    assert (standing.id, standing.state, standing.acknowledged_at) == (event.id, "acknowledged", vault.clock.now())
    assert ledger(vault, done=False) == []
    with vault.engine.connect() as conn:
        assert [bytes(each) for each in conn.exec_driver_sql("SELECT payload FROM outgoing_event").scalars()] == [b""]
        last = conn.exec_driver_sql("SELECT body FROM log_entry ORDER BY idx DESC LIMIT 1").scalar_one()
    entry = json.loads(bytes(last))
    assert (entry["act"], entry["actor"]["id"]) == ("event.acknowledged", "crm")
    turn(vault)
    assert len(receiver.taken) == 1


@pytest.mark.parametrize("status", [200, 204, 302, 307, 400, 401, 500, 503])
def test_anything_but_202_is_told_again_with_the_same_token_ever_more_rarely(vault, clock, receiver, status):
    if vault.engine.dialect.name == "postgresql" and status != 302:
        pytest.skip("the answer does not touch the database")
    system(vault, "crm", url=receiver.url)
    happen(vault)
    receiver.answers = [status] * 3
    for attempt in range(3):
        turn(vault)
        turn(vault)  # too early: nothing
        assert len(receiver.taken) == attempt + 1  # no redirect was followed either
        (standing,) = ledger(vault, done=False)
        assert (standing.attempts, standing.problem) == (attempt + 1, f"http_{status}")
        clock.advance((FIRST_PAUSE << attempt) - 1)
        turn(vault)
        assert len(receiver.taken) == attempt + 1
        clock.advance(1)
    turn(vault)
    assert len(set(receiver.tokens)) == 1
    assert ledger(vault, done=False) == []


def test_an_address_that_is_away_holds_nobody_up(vault, clock, receiver):
    system(vault, "away", url=NOWHERE)
    system(vault, "crm", url=receiver.url)
    for _ in range(3):
        happen(vault)
    turn(vault)
    assert len(receiver.taken) == 3
    assert [(each.system_id, each.problem) for each in ledger(vault, done=False)] == [("away", "unreachable")] * 3
    clock.advance(10 * 86_400)
    for _ in range(40):
        turn(vault)
        clock.advance(outbox.LONGEST_PAUSE)
    assert len(ledger(vault, done=False)) == 3  # never given up


def test_two_processes_do_not_tell_the_same_at_once(opening, vault, receiver):
    system(vault, "crm", url=receiver.url)
    happen(vault)
    assert len(outbox.claim(vault, 9)) == 1
    assert outbox.claim(opening(), 9) == []


def test_an_event_outlives_a_kill_in_the_middle_of_telling(vault, opening, clock, place, receiver, root_folder):
    system(vault, "crm", url=receiver.url)
    happen(vault)
    receiver.answers = [None]
    script = Path(__file__).parent / "event_pusher.py"
    arguments = [place.database, str(place.keystore), str(root_folder), str(clock.now())]
    process = subprocess.Popen([sys.executable, str(script), *arguments])
    assert receiver.arrived.wait(60)
    os.kill(process.pid, signal.SIGKILL)
    assert process.wait(10) == -signal.SIGKILL
    receiver.released.set()
    again = opening()  # another process, after the restart
    clock.advance(LEASE_SECONDS - 1)
    turn(again)
    assert len(receiver.taken) == 1
    clock.advance(1)
    turn(again)
    assert len(receiver.taken) == 2
    assert len(set(receiver.tokens)) == 1  # under the same id: the system knows it for the same
    assert ledger(again, done=False) == []


def test_a_sealed_vault_tells_nothing(vault, receiver):
    system(vault, "crm", url=receiver.url)
    happen(vault)
    push, log, door = EventPush(vault, PUBLIC, Log(vault.clock)).turn, Log(vault.clock), SimpleNamespace(open=False)
    job = Periodic(1, push, log, Event.EVENTS_FAILED, door=door)
    job.turn()
    assert receiver.taken == []
    vault.keys.close()  # under it, before anybody looked
    door.open = True
    job.turn()
    assert receiver.taken == []


def test_an_altered_row_is_told_to_nobody_and_stays_on_the_list(vault, receiver):
    system(vault, "crm", url=receiver.url)
    happen(vault)
    with vault.unit() as uow:
        uow.conn.exec_driver_sql("UPDATE outgoing_event SET payload = id")
        uow.commit()
    turn(vault)
    assert receiver.taken == []
    assert len(ledger(vault, done=False)) == 1


@pytest.mark.parametrize(
    ("url", "fits"),
    [
        ("https://crm.example/events", True),
        ("https://crm.example:8443/events?tenant=1", True),
        ("https://10.1.2.3/events", True),
        ("http://127.0.0.1:8000/", True),
        ("http://[::1]:8000/", True),
        ("http://localhost/", True),
        ("http://crm.example/", False),
        ("http://127.0.0.1.example/", False),
        ("http://169.254.169.254/latest", False),
        ("https://169.254.169.254/latest", False),
        ("https://[fe80::1]/", False),
        ("https://0.0.0.0/", False),
        ("https://user@crm.example/", False),
        ("https://crm.example/#x", False),
        ("https://crm.example/ x", False),
        ("https://crm.example:port/", False),
        ("file:///etc/passwd", False),
        ("gopher://crm.example/", False),
        ("//crm.example/", False),
        ("https://", False),
        ("https://" + "a" * 600, False),
    ],
)
def test_addresses_that_are_admissible(url, fits):
    assert (eventpush.address_fault(url) is None) is fits


# --- the token, and who believes it


def token_of(vault, **more):
    due = outbox.Due(bytes(16), "crm", NOWHERE, EventKind.ERASED, REFERENCE, {"scope": "subject"}, vault.clock.now())
    return eventpush.tokens_of(signers.ready(vault, SignedAs.EVENT), PUBLIC, [replace(due, **more)])[0]


def test_another_library_verifies_the_token_by_the_published_keys(maison, pos):
    vault = maison.vault
    listening(maison, pos)  # from then on there is a key to fetch, before there is any event
    told = maison.http.get("/events/jwks").json()
    key = jwt.PyJWKSet.from_dict(told)[jwt.get_unverified_header(token_of(vault))["kid"]]
    options = {"audience": "crm", "issuer": PUBLIC, "options": {"verify_iat": False}}
    claims = jwt.decode(token_of(vault), key, algorithms=["EdDSA"], **options)
    assert claims["sub_id"] == {"format": "opaque", "id": REFERENCE}
    assert claims["events"] == {"urn:ecrin:event:erased:v1": {"scope": "subject"}}
    assert "exp" not in claims  # RFC 8417 §2.2: an event does not expire
    assert jwt.get_unverified_header(token_of(vault))["typ"] == "secevent+jwt"


def test_the_key_is_named_by_its_thumbprint():
    """RFC 8037 Appendix A.3."""
    key = bytes.fromhex("d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a")
    assert signers.thumbprint(key) == "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k"


def test_events_have_a_key_of_their_own_that_rotates(maison, pos, clock):
    listening(maison, pos)
    vault = maison.vault
    assert maison.http.get("/events/jwks").json() == maison.http.get("/oauth/jwks").json() == published(vault)
    with vault.unit() as uow:
        attesting = signers.opened(uow, SignedAs.ATTESTATION)
        uow.commit()
    before = token_of(vault, system_id="aurelle-pos")
    forged = jws.signed(jws.unsigned(eventpush.TYPE, attesting.kid, {"iss": PUBLIC}), attesting.sign)
    with pytest.raises(EventInvalid, match="key"):  # what attests tells no events
        checked(vault, forged)
    with vault.unit() as uow:
        kid = signers.rotate(uow, SignedAs.EVENT, OPERATOR)
        uow.commit()
    after = token_of(vault, system_id="aurelle-pos")
    assert jwt.get_unverified_header(after)["kid"] == kid
    for token in (before, after):
        assert checked(vault, token, system="aurelle-pos").kind == "erased"
    clock.advance(signers.OVERLAP_SECONDS)
    assert [each["kid"] for each in published(vault)["keys"]] == [kid]
    assert {each["kid"] for each in maison.http.get("/oauth/jwks").json()["keys"]} == {kid, attesting.kid}


@pytest.mark.parametrize(
    "more", [{"issuer": "https://other.example"}, {"system": "pos"}, {"now": 0}, {"now": 1_790_000_000 - 301}]
)
def test_a_token_for_another_or_from_the_future_is_refused(vault, more):
    with pytest.raises(EventInvalid):
        checked(vault, token_of(vault), **more)


def test_an_event_that_waited_long_is_good(vault):
    assert checked(vault, token_of(vault), now=vault.clock.now() + 10**8).kind == "erased"


def signed(vault, header, claims):
    parts = [urlsafe_b64encode(json.dumps(each).encode()).rstrip(b"=").decode() for each in (header, claims)]
    return jws.signed(".".join(parts), signers.ready(vault, SignedAs.EVENT).sign)


@pytest.mark.parametrize("part", [b"[" * 4000, b'{"a":' * 1500, b"null", b"\xff"])
def test_a_token_whose_parts_are_no_objects_is_refused_as_that(vault, part):
    nested = urlsafe_b64encode(part).rstrip(b"=").decode()
    with pytest.raises(EventInvalid) as refused:
        checked(vault, f"{nested}.{nested[:8]}.{nested[:8]}")
    assert (str(refused.value), refused.value.__cause__) == ("not a token", None)


def test_what_is_not_quite_an_event_of_ours_is_refused(vault):
    kid = signers.ready(vault, SignedAs.EVENT).kid
    header = {"typ": "secevent+jwt", "alg": "EdDSA", "kid": kid}
    events = {"urn:ecrin:event:erased:v1": {"scope": "subject"}}
    subject = {"format": "opaque", "id": REFERENCE}
    claims = {"iss": PUBLIC, "aud": "crm", "jti": "1", "iat": 1_790_000_000, "sub_id": subject, "events": events}
    assert checked(vault, signed(vault, header, claims)).kind == "erased"
    for changed in (
        {"typ": "JWT"},
        {"typ": None},
        {"alg": "none"},
        {"alg": "HS256"},
        {"kid": "other"},
        {"crit": ["exp"]},
    ):
        with pytest.raises(EventInvalid):
            checked(vault, signed(vault, header | changed, claims))
    for changed in (
        {"aud": ["crm"]},
        {"jti": ""},
        {"jti": 7},
        {"iat": "now"},
        {"iat": True},
        {"sub_id": REFERENCE},
        {"sub_id": {"format": "email", "id": REFERENCE}},
        {"events": {}},
        {"events": events | {"urn:ecrin:event:rectified:v1": {}}},
        {"events": {"https://elsewhere.example": {}}},
        {"events": {"urn:ecrin:event:erased:v1": "all"}},
    ):
        with pytest.raises(EventInvalid):
            checked(vault, signed(vault, header, claims | changed))
    good = signed(vault, header, claims)
    head, body, signature = good.split(".")
    bent = [
        f"{head}.{body}.",
        f"{head}.{body}",
        f"{good}.x",
        f"{head}.{body}.{signature}=",
        f"{head}.{head}.{signature}",
    ]
    for each in (*bent, "", "...", "a.b.c", "é.é.é", "x" * 10_000, good[:-4] + "AAAA"):
        with pytest.raises(EventInvalid):
            checked(vault, each)
    with pytest.raises(EventInvalid):
        verify_event(good, {"keys": "none"}, issuer=PUBLIC, system="crm", now=1_790_000_000)
