"""Two servers on one database: what must happen once happens once, whichever of them is asked."""

from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import pytest
from maison_callers import CONSENT, ELSEWHERE, PERSON, Maison, app_of, fresh
from starlette.testclient import TestClient

ROUNDS = 8


@pytest.fixture
def servers(opening, bundle, tmp_path, clock):
    """Two applications, each with its own vault, connections and database thread, on one deployment."""
    apps = [app_of(lambda _: opening(bundle), tmp_path) for _ in range(2)]
    with (
        TestClient(apps[0], base_url=ELSEWHERE, raise_server_exceptions=False) as first,
        TestClient(apps[1], base_url=ELSEWHERE, raise_server_exceptions=False) as second,
    ):
        yield Maison(first, apps[0].state.services.vault, clock), second


@pytest.fixture
def twins(servers):
    """One system at both servers, under the same keys and tokens."""
    maison, second = servers
    here = maison.system("aurelle-pos", "aurelle")
    there = here.twin(second, kept=here.kept)
    return here, there


def at_once(*acts):
    """Do all acts at the same moment, each in its own thread."""
    barrier = Barrier(len(acts))

    def begin(act):
        barrier.wait()
        return act()

    with ThreadPoolExecutor(len(acts)) as pool:
        return list(pool.map(begin, acts))


def test_the_last_use_is_redeemed_by_exactly_one(servers, twins):
    maison, _ = servers
    here, there = twins
    reference = here.created(PERSON, CONSENT)
    for _ in range(ROUNDS):
        token = here.granted(reference, ("phone", "masked"))
        answers = at_once(lambda: here.disclose(token), lambda: there.disclose(token))  # noqa: B023 - done within
        assert sorted(answer.status_code for answer in answers) == [200, 403]
        assert {answer.json().get("code") for answer in answers} == {None, "uses_exhausted"}
    acts = [entry.act for entry in maison.entries()]
    assert acts.count("field.disclosed") == ROUNDS
    assert acts.count("field.denied") == ROUNDS


def test_a_proof_is_good_at_one_server_once(twins):
    here, there = twins
    reference = here.created(PERSON, CONSENT)
    token = here.granted(reference, ("phone", "masked"), max_uses=ROUNDS * 2)
    for _ in range(ROUNDS):
        proof = here.proof("POST", "/v1/disclosures", token)
        answers = at_once(
            lambda: here.disclose(token, proofs=[proof]),  # noqa: B023
            lambda: there.disclose(token, proofs=[proof]),  # noqa: B023
        )
        assert sorted(answer.status_code for answer in answers) == [200, 401]
        assert {answer.json().get("code") for answer in answers} == {None, "proof_replayed"}


def test_one_change_of_one_version_wins(twins):
    here, there = twins
    reference = here.created()
    here.service("subject.write")
    for version in range(1, ROUNDS + 1):
        etag = f'"{version}"'
        answers = at_once(
            lambda: here.patch(reference, {"set": {"preferred_language": "en"}}, etag),  # noqa: B023
            lambda: there.patch(reference, {"set": {"preferred_language": "it"}}, etag),  # noqa: B023
        )
        assert sorted(answer.status_code for answer in answers) == [200, 412]
    assert here.describe(reference).json()["version"] == ROUNDS + 1


def test_one_key_is_one_creation(servers, twins):
    maison, _ = servers
    here, there = twins
    here.service("subject.write")
    for _ in range(ROUNDS):
        headers = {"Idempotency-Key": fresh()}
        answers = at_once(
            lambda: here.create(PERSON, headers=headers),  # noqa: B023
            lambda: there.create(PERSON, headers=headers),  # noqa: B023
        )
        assert sorted(answer.status_code for answer in answers) == [200, 201]
        assert len({answer.json()["reference"] for answer in answers}) == 1
    assert [entry.act for entry in maison.entries()].count("subject.registered") == ROUNDS


def test_a_withdrawal_at_one_server_is_felt_at_the_other(twins):
    here, there = twins
    reference = here.created(PERSON, CONSENT)
    token = here.granted(reference, ("phone", "masked"), max_uses=2)
    assert there.disclose(token).status_code == 200
    assert here.withdraw(reference).status_code == 201
    assert there.disclose(token).status_code == 401


def test_the_last_uses_are_redeemed_or_handed_on_but_never_both(twins):
    here, there = twins
    reference = here.created(PERSON, CONSENT)
    for _ in range(ROUNDS):
        token = here.granted(reference, ("phone", "masked"))
        looked, first, second = at_once(
            lambda: here.disclose(token),  # noqa: B023
            lambda: there.exchange(token, reference, ("phone", "generalised")),  # noqa: B023
            lambda: here.twin().exchange(token, reference, ("phone", "generalised")),  # noqa: B023
        )
        assert [answer.status_code for answer in (looked, first, second)].count(200) == 1
