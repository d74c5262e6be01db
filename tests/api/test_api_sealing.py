"""Sealed and unsealed while it runs: the door closes within a second, opens without a restart, and the log knows."""

import time
from types import SimpleNamespace

import pytest
from maison_callers import ELSEWHERE, Caller, app_of, problem_of, register
from sqlalchemy import text
from starlette.testclient import TestClient

from api import roots
from audit.errors import SigningRefused
from vault import clockwatch, evidence
from vault.errors import IntegrityFailure, KeyHolderUnavailable, Sealed
from vault.keys.closed import closed_keys
from vault.keys.keystore import open_keystore
from vault.keys.service import KeyService, KeyState


@pytest.fixture
def scene(opening, bundle, place, tmp_path, clock):
    """A served vault that opens its own keys when it may; `away` holds what the root does instead of opening."""
    away = []

    def reopen(_, vault):
        if away:
            raise away[-1]
        return open_keystore(place.keystore, place.provider, vault.deployment)

    app = app_of(lambda _: opening(bundle, keys=lambda _: closed_keys()), tmp_path, reopen=reopen)
    scene = SimpleNamespace(app=app, away=away, mark=roots.SealMark(tmp_path / "sealed", roots.SystemEntropy()))

    def until(status, code=None):
        deadline = time.monotonic() + 120
        while time.monotonic() < deadline:
            answer = scene.http.get("/readyz")
            if answer.status_code == status and (code is None or answer.json()["code"] == code):
                return
            time.sleep(0.05)
        raise AssertionError((answer.status_code, answer.text))

    def acts():
        with scene.vault.engine.connect() as conn:
            return [bytes(row[0]) for row in conn.exec_driver_sql("SELECT body FROM log_entry ORDER BY idx")]

    scene.until = until
    scene.started = lambda: sum(b'"log.started"' in body for body in acts())
    return scene


def served(scene, clock):
    scene.http = TestClient(scene.app, base_url=ELSEWHERE, raise_server_exceptions=False)
    scene.http.__enter__()
    scene.vault = scene.app.state.services.vault
    return Caller(scene.http, clock)


def test_sealed_and_unsealed_while_it_runs(scene, clock):
    caller = served(scene, clock)
    try:
        register(scene.vault, caller)
        scene.until(200)
        reference = caller.created({"client_number": "AU-1"})
        caller.service("lookup")
        started = scene.started()
        for turn in range(2):
            scene.mark.set()
            scene.until(503, "sealed")
            problem_of(caller.describe(reference), 503, "sealed")
            assert scene.vault.keys.status().state is KeyState.SEALED
            assert scene.http.get("/audit/checkpoint").status_code == 200
            scene.mark.clear()
            scene.until(200)
            assert caller.describe(reference).status_code == 200
            assert scene.started() == started + turn + 1
    finally:
        scene.http.__exit__(None, None, None)


def test_a_root_that_comes_later_opens_it(scene, clock):
    scene.away.append(Sealed("away"))
    served(scene, clock)
    try:
        scene.until(503, "sealed")
        assert scene.started() == 0  # nobody was served yet
        scene.away.clear()
        scene.until(200)
        assert scene.started() == 1
    finally:
        scene.http.__exit__(None, None, None)


def test_what_is_not_a_seal_keeps_the_service_from_starting(scene, clock):
    scene.away.append(IntegrityFailure())
    with pytest.raises(IntegrityFailure):
        served(scene, clock)


def test_a_log_that_cannot_be_vouched_for_keeps_the_door_shut(scene, clock, tmp_path):
    """As after a restore: unsealing must not serve what a start would refuse."""
    scene.mark.set()
    served(scene, clock)
    try:
        with scene.app.state.services.sealing._lock:  # nobody looks while this is made
            with scene.vault.engine.connect() as conn:
                head = conn.exec_driver_sql("SELECT size, stack, last_t FROM log_head").one()
            sealed, scene.vault.keys = scene.vault.keys, open_keystore(*scene_keys(scene))
            clockwatch.note_start(scene.vault)
            evidence.sign_checkpoints(scene.vault, tmp_path / "checkpoint")
            scene.vault.keys.close()
            scene.vault.keys = sealed
            with scene.vault.engine.begin() as conn:
                conn.execute(text("DELETE FROM log_checkpoint"))
                conn.execute(text("DELETE FROM log_entry WHERE idx >= :size"), {"size": head.size})
                conn.execute(text("UPDATE log_head SET size = :size, stack = :stack, last_t = :last_t"), head._asdict())
                # As many entries as were vouched for, and others.
            clockwatch.note_start(scene.vault)
        scene.mark.clear()
        time.sleep(2.5)
        problem_of(scene.http.get("/readyz"), 503, "sealed")
        sealing = scene.app.state.services.sealing
        with pytest.raises(SigningRefused):
            sealing.look()
        assert not sealing.open
    finally:
        scene.http.__exit__(None, None, None)


def scene_keys(scene):
    return scene.place.keystore, scene.place.provider, scene.vault.deployment


@pytest.fixture(autouse=True)
def _place(scene, place):
    scene.place = place


def test_a_closed_key_service_refuses_every_verb():
    keys = closed_keys()
    assert keys.status().state is KeyState.SEALED
    keys.refresh()
    keys.close()
    for verb in set(KeyService.__dict__) - {"status", "refresh", "close"}:
        if not verb.startswith("_"):
            with pytest.raises(Sealed):
                getattr(keys, verb)
    with pytest.raises(AttributeError):
        _ = keys.no_such_verb


def test_a_holder_that_is_gone_is_told_apart_from_a_seal(scene, clock):
    served(scene, clock)
    try:
        scene.until(200)

        class Gone:
            def refresh(self):
                raise KeyHolderUnavailable

            status = refresh

            def close(self):
                pass

        real, scene.vault.keys = scene.vault.keys, Gone()
        scene.until(503, "key_holder_unavailable")
        started = scene.started()
        scene.vault.keys = real
        scene.until(200)
        assert scene.started() == started  # it was not this process that began anew
    finally:
        scene.http.__exit__(None, None, None)
