"""Erasure over HTTP: from the request on, whoever asks hears what they hear of a stranger; and it runs by the clock."""

import pytest
from maison_callers import CONSENT, PERSON, STRANGER, problem_of

from api.epochs import Epochs
from api.settings import load
from audit.entry import Actor, ActorKind
from vault.erasure import progress, requests
from vault.erasure.requests import Erase

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


def test_the_clock_runs_epochs_and_the_first_turn_only_catches_up(pos, vault, erase, place, tmp_path):
    known = pos.created(PERSON, CONSENT)
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
    settings = load(
        {
            "data_dir": tmp_path,
            "keystore_path": place.keystore,
            "root_folder": tmp_path / "roots",
            "keystore_copies": f"{tmp_path / 'one'},{tmp_path / 'two'}",
            "checkpoint_file": pos.http.app.state.services.settings.checkpoint_file,
            "epoch_seconds": 1,
        }
    )
    turning = Epochs(settings, vault, pos.http.app.state.services.sealing)
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
