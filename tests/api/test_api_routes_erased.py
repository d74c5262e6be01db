"""Erasure over HTTP: from the request on, whoever asks hears what they hear of a stranger; and it runs by the clock."""

from io import BytesIO
from json import loads

import pytest
from maison_callers import CONSENT, PERSON, STRANGER, problem_of

from api.epochs import Epochs
from api.keepers import keeper_of
from api.observability.events import Event
from api.observability.logs import Log
from api.periodic import Periodic
from api.retentions import Retentions
from api.settings import load
from audit.entry import Actor, ActorKind
from vault import errands
from vault.erasure import progress, requests
from vault.erasure.keeping import DAY
from vault.erasure.requests import Erase
from vault.errors import Sealed, UnsafeFile
from vault.keys.keeper import KeptChange

DPO = Actor(ActorKind.OFFICER, "dpo-1")


@pytest.fixture
def vault(pos):
    return pos.http.app.state.services.vault


@pytest.fixture
def erase(vault):
    def asked(reference, category=None):
        subject = requests.behind(vault, "aurelle", reference)
        catalogue = vault.bundle.catalogue
        one = Erase(subject, DPO) if category is None else requests.of_category(catalogue, subject, category, DPO)
        (answer,) = requests.erase(vault, [one])
        return answer

    return asked


def same(erased, stranger, status, code):
    for answer in (erased, stranger):
        problem_of(answer, status, code)
    assert erased.json() | {"request_id": ""} == stranger.json() | {"request_id": ""}
    assert erased.headers.keys() == stranger.headers.keys()


def test_every_route_answers_as_for_a_stranger(pos, erase):
    known = pos.created(PERSON, CONSENT)
    token = pos.granted(known, ("phone", "masked"))
    assert pos.disclose(token).status_code == 200
    token = pos.granted(known, ("phone", "masked"), max_uses=3)
    erase(known)
    same(pos.describe(known), pos.describe(STRANGER), 404, "unknown_reference")
    changes = {"set": {"known_as": "x"}}
    same(pos.patch(known, changes, '"1"'), pos.patch(STRANGER, changes, '"1"'), 404, "unknown_reference")
    same(pos.give(known), pos.give(STRANGER), 404, "unknown_reference")
    same(pos.withdraw(known), pos.withdraw(STRANGER), 404, "unknown_reference")
    found, nobody = pos.search("client_number", PERSON["client_number"]), pos.search("client_number", "NONE-1")
    assert found.status_code == nobody.status_code == 200
    assert found.json()["candidates"] == nobody.json()["candidates"] == []
    assert found.json().keys() == nobody.json().keys()
    wished, unknown = pos.wish(known, ("phone", "masked")), pos.wish(STRANGER, ("phone", "masked"))
    assert wished.status_code == unknown.status_code == 400
    assert wished.json() | {"request_id": ""} == unknown.json() | {"request_id": ""}
    dead = pos.disclose(token)
    assert dead.status_code == 401
    problem_of(dead, 401, "invalid_token")


def test_a_list_with_somebody_erased_shows_the_others(pos, erase):
    stays, goes = pos.created(PERSON, CONSENT), pos.created(PERSON | {"client_number": "AU-9"}, CONSENT)
    token = pos.granted([stays, goes], ("phone", "masked"))
    erase(goes)
    shown, refused = pos.bulk(token, [stays, goes]).json()["disclosures"]
    assert [each["decision"] for each in shown["fields"]] == ["granted"]
    assert refused == {"reference": goes, "error": "invalid_token"}


def test_a_category_is_as_if_it_had_never_been_given(pos, erase):
    known, bare = pos.created(PERSON, CONSENT), pos.created({"client_number": "AU-77"}, CONSENT)
    erase(known, "contact")
    seen = []
    for reference in (known, bare):
        (field,) = pos.disclose(pos.granted(reference, ("phone", "masked"))).json()["fields"]
        seen.append(field)
    assert seen[0] == seen[1]
    refused = pos.patch(known, {"append": {"email": "new@example.com"}}, pos.describe(known).headers["ETag"])
    problem_of(refused, 422, "invalid_fields")


@pytest.fixture
def settings_of(pos, place, tmp_path):
    """Settings of the vault that is served, with places for copies."""

    def made(**changes):
        for name in ("one", "two"):
            (tmp_path / name).mkdir(exist_ok=True)
        return load(
            {
                "data_dir": tmp_path,
                "keystore_path": place.keystore,
                "root_folder": tmp_path / "roots",
                "keystore_copies": f"{tmp_path / 'one'},{tmp_path / 'two'}",
                "checkpoint_file": pos.http.app.state.services.settings.checkpoint_file,
                "epoch_seconds": 3600,
                **changes,
            }
        )

    return made


def test_the_clock_runs_epochs_and_the_first_turn_only_catches_up(pos, vault, erase, settings_of):
    known = pos.created(PERSON, CONSENT)
    settings = settings_of()
    turning = Epochs(settings, vault)
    erase(known)
    turning.turn()
    assert [each.state for each in progress.listed(vault)] == ["requested"]
    turning.turn()  # before its time
    assert vault.keys.status().epoch == 0
    turning._next = 0.0
    turning.turn()
    assert progress.listed(vault) == []
    assert vault.keys.status().epoch == 1
    assert [each.certified for each in progress.listed(vault, done=True)] == [True]


def test_what_a_law_kept_goes_by_the_clock_alone(pos, vault, erase, settings_of, clock):
    """Nobody asks again and nobody releases anything: the run that comes by the clock finds that the time is over."""
    known = pos.created(PERSON | {"last_purchase_date": "2026-03-02"}, CONSENT)
    turning = Epochs(settings_of(), vault)
    turning.turn()
    erase(known)

    def turned():
        turning._next = 0.0
        turning.turn()
        return [each.state for each in progress.listed(vault)]

    assert turned() == ["partial"]
    days = vault.bundle.catalogue.category("purchases").legal_retention.days
    clock.advance(days * DAY - 1)
    assert turned() == ["partial"]
    clock.advance(1)
    assert turned() == []
    assert [each.kept for each in progress.listed(vault, done=True)] == [()]
    assert vault.keys.status().epoch == 2


def absent(path, keystore):
    """No keystore there: the turn finds the vault sealed."""


def exposed(path, keystore):
    path.write_bytes(b"")
    path.chmod(0o644)


@pytest.mark.parametrize(("away", "raised"), [(absent, Sealed), (exposed, UnsafeFile)])
def test_a_first_turn_that_failed_is_tried_again(pos, vault, erase, place, settings_of, tmp_path, away, raised):
    """A process died between a destruction and what follows it. The keystore is away when the next one starts."""
    known = pos.created(PERSON, CONSENT)
    erase(known)
    KeptChange(keeper_of(settings_of())).run()
    assert [each.state for each in progress.listed(vault)] == ["requested"]
    elsewhere = tmp_path / "elsewhere.db"
    away(elsewhere, place.keystore)
    turning = Epochs(settings_of(keystore_path=elsewhere), vault)
    with pytest.raises(raised):
        turning.turn()
    assert [each.state for each in progress.listed(vault)] == ["requested"]
    elsewhere.unlink(missing_ok=True)
    elsewhere.symlink_to(place.keystore)
    turning.turn()
    assert progress.listed(vault) == []
    assert [each.certified for each in progress.listed(vault, done=True)] == [True]
    # Caught up: what is asked for now waits for its time.
    erase(pos.created(PERSON | {"client_number": "AU-8"}, CONSENT))
    turning.turn()
    assert [each.state for each in progress.listed(vault)] == ["requested"]
    assert vault.keys.status().epoch == 1


def test_the_clock_sweeps_what_is_over_its_time_once_for_all_processes(pos, vault, clock, settings_of):
    lines = BytesIO()
    log = Log(clock, stream=lines)
    pos.created(PERSON, CONSENT)
    days = max(each.retention_days for each in vault.bundle.catalogue.categories)
    by_hand = Retentions(settings_of(retention_seconds=0), vault, log)
    one, two = (Retentions(settings_of(retention_seconds=DAY), vault, log) for _ in range(2))
    clock.advance(days * DAY)
    for each in (by_hand, one, two):
        each.turn()  # the first sweep is a day off, so that a dry run can come before
    assert progress.listed(vault) == []
    clock.advance(DAY)
    by_hand.turn()
    assert progress.listed(vault) == []
    one.turn()
    (asked,) = progress.listed(vault)
    assert (asked.what, asked.cause) == ("subject", "retention")
    pos.kept.clear()  # tokens of years ago
    pos.created(PERSON | {"client_number": "AU-8"}, CONSENT)
    clock.advance(days * DAY)
    one.turn()
    two.turn()
    assert len(progress.listed(vault)) == 2
    told = [loads(line) for line in lines.getvalue().splitlines()]
    assert [(each["event"], each["count"]) for each in told] == [("retention.swept", 1), ("retention.swept", 1)]


def test_a_sealed_vault_is_not_swept(pos, vault, clock, settings_of):
    class Closed:
        open = False

    pos.created(PERSON, CONSENT)
    assert errands.claim(vault, "retention", DAY) is False  # nobody asked before: it is only planned now
    clock.advance((1 + max(each.retention_days for each in vault.bundle.catalogue.categories)) * DAY)
    sweeps = Retentions(settings_of(retention_seconds=DAY), vault, Log(clock))
    Periodic(1, sweeps.turn, Log(clock), Event.RETENTION_FAILED, door=Closed()).turn()
    assert progress.listed(vault) == []
    assert errands.claim(vault, "retention", DAY)  # still due: the sealed turn did not take it


def test_an_attestation_falls_in_the_unit_of_the_request(pos, erase):
    from api.client.attestations import status_at, status_of
    from api.client.identity import SigningKey
    from api.client.sdjwt import decoded

    reference = pos.created(PERSON, CONSENT)
    token = pos.granted(reference, ("birth_date", "predicate", "over_18"))
    asked = {"audience": "https://door.example", "key": dict(SigningKey.generate().public_jwk)}
    held = pos.send("POST", "/v1/attestations", token, asked).json()["attestation"]
    place = status_of(held)

    def fallen():
        listed = pos.http.get(place.uri.removeprefix(pos.public)).text
        return status_at(loads(decoded(listed.split(".")[1]))["status_list"]["lst"], 1, place.index)

    assert fallen() == 0
    erase(reference)
    assert fallen() == 1
