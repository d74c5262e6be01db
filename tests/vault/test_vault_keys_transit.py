"""The transit engine: keys of another make, deletions that can be undone, and a client that goes where it is sent only."""

import os
import secrets
import shutil
import socket
import subprocess
import time
from contextlib import ExitStack

import pytest
from root_homes import TOKEN, home_of
from strict_services import StrictTransit, served

from vault.errors import IntegrityFailure, Sealed
from vault.keys.provider import RootState, RootStatus
from vault.keys.providers import transit
from vault.runtime import SystemClock

REF = "00112233445566778899aabbccddeeff"
NAME = f"ecrin-root-{REF}"
KEY = bytes(range(32))
CONTEXT = b"deployment and epoch"


@pytest.fixture
def home(request, tmp_path, clock):
    with ExitStack() as stack:
        yield home_of("transit", tmp_path, clock, request, stack)


@pytest.fixture
def engine(home):
    return home.service


@pytest.fixture
def made(home):
    provider = home.open()
    provider.create(REF)
    return provider


def refuses(provider):
    for verb in (
        lambda: provider.create(REF),
        lambda: provider.wrap(REF, KEY, CONTEXT),
        lambda: provider.unwrap(REF, b"\x01" + bytes.fromhex(REF) + b"vault:v1:AAAA", CONTEXT),
        lambda: provider.destroy(REF),
    ):
        with pytest.raises(Sealed):
            verb()
    return True


@pytest.mark.parametrize(
    "otherwise",
    [
        {"exportable": True},
        {"allow_plaintext_backup": True},
        {"imported_key": True},
        {"derived": True},
        {"type": "chacha20-poly1305"},
        {"type": "rsa-4096"},
        {"latest_version": 2},
    ],
)
def test_a_key_of_another_make_is_no_root_and_is_not_deleted(made, engine, otherwise):
    engine.keys[NAME] |= otherwise
    assert refuses(made)
    assert made.status(REF).state is RootState.UNKNOWN
    assert NAME in engine.keys


def test_a_key_is_deletable_only_when_it_is_deleted(made, engine):
    assert engine.keys[NAME]["deletion_allowed"] is False
    told = made.destroy(REF)
    assert "snapshots may keep it" in told.evidence
    assert not engine.keys
    assert [method for method, path, *_ in engine.seen if path.endswith(NAME)][-2:] == ["DELETE", "GET"]


def test_a_deletion_that_can_be_undone_is_pending(made, engine):
    """OpenBao's soft deletion."""
    engine.keys[NAME]["soft_deleted"] = True
    assert made.status(REF) == RootStatus(RootState.PENDING)
    with pytest.raises(Sealed):
        made.wrap(REF, KEY, CONTEXT)


def test_a_deletion_that_did_not_happen_is_no_destruction(made, engine):
    engine.keys = Undeletable(engine.keys)
    with pytest.raises(Sealed, match="still has the key"):
        made.destroy(REF)


class Undeletable(dict):
    def __delitem__(self, key):
        pass


def test_a_token_that_is_not_let_in_tells_nothing(engine, clock):
    with served(engine) as url:
        provider = transit.TransitProvider(transit.connect(url, "another"), "transit", clock)
        assert refuses(provider)
        assert provider.status(REF).state is RootState.UNKNOWN


def test_an_engine_that_is_away_tells_nothing(clock):
    with served(StrictTransit(TOKEN)) as url:
        pass
    provider = transit.TransitProvider(transit.connect(url, TOKEN), "transit", clock)
    assert refuses(provider)
    assert provider.status(REF).state is RootState.UNKNOWN


def test_the_token_goes_to_nobody_else(clock, monkeypatch):
    """No redirect is followed, and no proxy is taken from the environment."""
    front, other = StrictTransit(TOKEN), StrictTransit(TOKEN)
    with served(front) as url, served(other) as elsewhere:
        monkeypatch.setenv("HTTP_PROXY", elsewhere)
        monkeypatch.setenv("http_proxy", elsewhere)
        front.elsewhere = elsewhere
        provider = transit.TransitProvider(transit.connect(url, TOKEN), "transit", clock)
        with pytest.raises(Sealed):
            provider.create(REF)
    assert front.seen
    assert not other.seen


def test_the_namespace_is_sent(clock):
    engine = StrictTransit(TOKEN)
    with served(engine) as url:
        client = transit.connect(url, TOKEN, namespace="maisons")
        transit.TransitProvider(client, "transit", clock).create(REF)
    assert {headers.get("X-Vault-Namespace") for _, _, headers, _ in engine.seen} == {"maisons"}


@pytest.mark.parametrize("answer", [None, {}, {"plaintext": None}, {"plaintext": "%%"}, {"plaintext": "AAAA"}])
def test_an_answer_that_is_none_opens_nothing(made, engine, answer):
    wrapped = made.wrap(REF, KEY, CONTEXT)
    plain = engine._answer
    engine._answer = lambda method, path, asked: answer if "/decrypt/" in path else plain(method, path, asked)
    with pytest.raises((Sealed, IntegrityFailure)) as caught:
        made.unwrap(REF, wrapped, CONTEXT)
    assert caught.value.__cause__ is None


# --- a real engine, where there is one ---------------------------------------------------------------------------------

BINARY = shutil.which("bao") or shutil.which("vault")


@pytest.fixture
def real(tmp_path):
    if BINARY is None:
        pytest.skip("neither `bao` nor `vault` is installed: the real engine is NOT tested")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{probe.getsockname()[1]}"
    token = secrets.token_hex(12)
    command = [BINARY, "server", "-dev", f"-dev-root-token-id={token}", f"-dev-listen-address={address}"]
    environment = {"PATH": os.environ["PATH"], "HOME": str(tmp_path)}
    with (tmp_path / "log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, env=environment)
    try:
        client = transit.connect(f"http://{address}", token)
        deadline = time.monotonic() + 30
        while True:
            try:
                client.sys.enable_secrets_engine("transit", path="transit")
                break
            except Exception:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.1)
        yield client
    finally:
        process.terminate()
        process.wait(20)


def test_a_real_engine_does_what_the_strict_one_does(real):
    provider = transit.TransitProvider(real, "transit", SystemClock())
    assert provider.status(REF).state is RootState.GONE
    provider.create(REF)
    provider.create(REF)
    wrapped = provider.wrap(REF, KEY, CONTEXT)
    assert provider.unwrap(REF, wrapped, CONTEXT) == KEY
    for altered, context in ((wrapped[:-2] + b"AA", CONTEXT), (wrapped, b"another")):
        with pytest.raises(IntegrityFailure):
            provider.unwrap(REF, altered, context)
    provider.destroy(REF)
    assert provider.status(REF).state is RootState.GONE
    with pytest.raises(Sealed):
        provider.unwrap(REF, wrapped, CONTEXT)
