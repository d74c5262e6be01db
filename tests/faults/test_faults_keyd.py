"""A key holder that is killed, hangs, or is sealed under load: clean answers, in time, and service again afterwards."""

import signal
import threading
import time
from collections import Counter
from contextlib import ExitStack, contextmanager

import httpx2
import pytest
from keyd_processes import PYTHON, Host
from maison_callers import CONSENT, Caller, register

from api import bootstrap
from api.settings import load

pytestmark = [pytest.mark.server, pytest.mark.xdist_group("keyd")]

CLEAN = {(200, ""), (503, "key_holder_unavailable"), (503, "sealed"), (503, "overloaded")}
USES = 1000  # of one token
LONGEST = 12.0  # seconds for any one answer: the holder's 5, and as many behind another batch


class WallClock:
    @staticmethod
    def now():
        return int(time.time())


class Load:
    """Callers who look somebody up and disclose without pause; every answer is kept."""

    def __init__(self, callers, reference, tokens):
        self.answers = []
        self._stop = threading.Event()
        self._threads = [
            threading.Thread(target=self._run, args=(caller, reference, iter(tokens[at])), daemon=True)
            for at, caller in enumerate(callers)
        ]

    def _run(self, caller, reference, tokens):
        uses = (token for token in tokens for _ in range(USES))
        asks = (lambda: caller.disclose(next(uses)), lambda: caller.describe(reference))
        while not self._stop.is_set():
            for ask in asks:
                began = time.monotonic()
                try:
                    answer = ask()
                except httpx2.HTTPError as error:
                    self.answers.append((time.monotonic(), 0.0, 0, type(error).__name__))
                    continue
                code = "" if answer.status_code == 200 else answer.json()["code"]
                self.answers.append((time.monotonic(), time.monotonic() - began, answer.status_code, code))
                if answer.status_code != 200:
                    time.sleep(0.02)

    def since(self, moment):
        """What was answered after a moment: (status, code), counted."""
        return Counter(each[2:] for each in self.answers if each[0] > moment)

    def wait_for(self, wanted, moment):
        deadline = time.monotonic() + 120
        while time.monotonic() < deadline:
            if self.since(moment)[wanted] > 10:
                return
            time.sleep(0.05)
        raise AssertionError((wanted, self.since(moment)))

    def __enter__(self):
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self._stop.set()
        for thread in self._threads:
            thread.join(30)


@pytest.fixture
def host():
    with Host() as made:
        yield made


@contextmanager
def loaded(host):
    """A served host with somebody in it, under load."""
    with ExitStack() as stack:
        http = [stack.enter_context(httpx2.Client(base_url=host.url, timeout=30)) for _ in range(4)]
        first = Caller(http[0], WallClock(), public=host.url)
        vault = bootstrap.open_from(load(host._settings))  # by the files, before anybody serves them
        register(vault, first)
        vault.close()
        host.own()
        holder, service = host.keyd(), host.serve()
        reference = first.created({"phone": ["+33639981234"]}, CONSENT)
        tokens = [[first.granted(reference, ("phone", "masked"), max_uses=USES) for _ in range(4)] for _ in http]
        first.service("lookup")
        callers = [first, *[first.twin(each) for each in http[1:]]]
        for caller in callers[1:]:
            caller.kept.update(first.kept)
        with Load(callers, reference, tokens) as load_on:
            load_on.wait_for((200, ""), 0)
            yield load_on, holder, service
        assert {each[2:] for each in load_on.answers} <= CLEAN
        assert max(each[1] for each in load_on.answers) < LONGEST
        assert service.poll() is None
    code, told = host.command("audit", "verify", "--json")
    assert code == 0, told
    assert "Traceback" not in host.lines.read_text()
    assert '"http.fault"' not in host.lines.read_text()


def test_a_holder_killed_again_and_again_under_load(host):
    with loaded(host) as (load_on, first, _):
        holder = first
        for _ in range(3):
            killed = time.monotonic()
            holder.kill()
            holder.wait()
            load_on.wait_for((503, "key_holder_unavailable"), killed)
            assert host.get("/healthz")[0] == 200
            assert host.get("/audit/checkpoint")[0] == 200
            back = time.monotonic()
            holder = host.keyd()
            load_on.wait_for((200, ""), back)


def test_a_holder_that_hangs_under_load(host):
    with loaded(host) as (load_on, holder, _):
        stopped = time.monotonic()
        holder.send_signal(signal.SIGSTOP)
        load_on.wait_for((503, "key_holder_unavailable"), stopped)
        assert host.get("/healthz")[0] == 200
        went_on = time.monotonic()
        holder.send_signal(signal.SIGCONT)
        load_on.wait_for((200, ""), went_on)


def test_sealing_and_unsealing_under_load(host):
    with loaded(host) as (load_on, holder, _):
        for _ in range(2):
            sealed = time.monotonic()
            assert host.command("seal")[0] == 0
            load_on.wait_for((503, "sealed"), sealed)
            assert holder.poll() is None
            unsealed = time.monotonic()
            code, told = host.command("unseal")
            assert code == 0, told
            load_on.wait_for((200, ""), unsealed)


def test_a_service_that_starts_before_its_holder_waits_for_it(host):
    service = host.serve(ready=False)
    status, body = host.get("/readyz")
    assert (status, b"key_holder_unavailable" in body) == (503, True)
    holder = host.keyd()
    host.until(lambda: host.get("/readyz")[0] == 200, service)
    holder.kill()
    holder.wait()
    code, told = host.command("doctor")
    assert code == 1
    assert "key_holder_unavailable" in told


def test_two_services_share_one_holder_and_never_a_slot(host):
    """Two processes on one holder reserve at the same time."""
    host.keyd()
    script = (
        "import sys; from pathlib import Path; from vault.keys.keyd.client import KeydClient\n"
        f"client = KeydClient(Path({str(host.socket)!r}), 'keyd-host')\n"
        "print([slot.number for _ in range(100) for slot in client.reserve(3)])"
    )
    found = []
    threads = [
        threading.Thread(target=lambda: found.append(host.run(*PYTHON[:1], "-c", script)), daemon=True)
        for _ in range(2)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    numbers = [int(number) for code, told in found for number in told.strip("[]\n").split(",")]
    assert len(numbers) == len(set(numbers)) == 600
