"""What `make demo` and `make run` do, as processes of their own: the story holds, again on kept data, and stops."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from http.client import HTTPConnection
from pathlib import Path
from urllib.parse import urlencode
from urllib.request import urlopen

import pytest

pytestmark = pytest.mark.server

ROOT = Path(__file__).parents[2]
COMMAND = [sys.executable, "-m", "api.cli.main", "demo", "--size", "60"]
PATIENCE = 120


@pytest.fixture
def environment(tmp_path):
    """The tests' environment without any setting of ours, and a folder that is nobody's."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("ECRIN_")}
    return {**kept, "PYTHONPATH": str(ROOT)}


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def test_the_story_holds_on_a_throw_away_vault_and_leaves_nothing(environment, tmp_path):
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    ended = subprocess.run(
        [*COMMAND, "--json"],
        check=False,
        capture_output=True,
        timeout=PATIENCE,
        cwd=tmp_path,
        env={**environment, "TMPDIR": str(scratch)},
    )
    assert ended.returncode == 0, ended.stderr.decode()
    told = json.loads(ended.stdout)
    assert told["holds"] is True
    assert len(told["promises"]) >= 18
    for promise in (
        "exactly one client has this number",
        "the disclosure gives what the token grants, and nothing else",
        "what is masked or generalised shows no value",
        "and holds another reference",
        "the other maison's reference is as unknown as an invented one",
        "a token does not outlive its consent",
        "a token without its key opens nothing",
        "one flipped byte is found and named",
    ):
        assert promise in told["promises"]
    assert list(scratch.iterdir()) == []


def test_it_is_told_again_on_kept_data_and_serves_until_stopped(environment, tmp_path):
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    environment |= {"ECRIN_PORT": str(port), "ECRIN_PUBLIC_URL": url}
    data = tmp_path / "kept"
    sizes = []
    for _ in range(2):
        command = [*COMMAND, "--serve", "--data", str(data)]
        telling = subprocess.Popen(
            command, cwd=tmp_path, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        try:
            told = until_serving(telling)
            assert f"Serving on {url}" in told
            assert "does not hold" not in told
            sign_in_at_the_portal(telling, told)
            with urlopen(f"{url}/readyz", timeout=5) as answer:  # noqa: S310 - our own
                assert json.load(answer) == {"status": "ready"}
            with urlopen(f"{url}/audit/checkpoint", timeout=5) as answer:  # noqa: S310 - our own
                sizes.append(int(answer.read().split(b"\n")[1]))
        finally:
            telling.send_signal(signal.SIGTERM)
            rest, _ = telling.communicate(timeout=30)
        assert telling.returncode == 0, rest
        assert "Traceback" not in rest
        with pytest.raises(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
            pass
    assert sizes[1] > sizes[0]
    # What is left lies in order: the log verifies, and the second telling imported nobody twice.
    told = subprocess.run(
        [sys.executable, "-m", "api.cli.main", "audit", "verify", "--json"],
        check=False,
        capture_output=True,
        timeout=PATIENCE,
        cwd=tmp_path,
        env={**environment, "ECRIN_DATA_DIR": str(data), "ECRIN_DEPLOYMENT": "ecrin-demo"},
    )
    assert told.returncode == 0, told.stdout + told.stderr
    (log,) = json.loads(told.stdout)["logs"]
    assert (log["verdict"], log["findings"]) == ("fine", [])


def test_data_that_moved_on_are_served_without_the_story(environment, tmp_path):
    port = free_port()
    environment |= {"ECRIN_PORT": str(port), "ECRIN_PUBLIC_URL": f"http://127.0.0.1:{port}"}
    data = tmp_path / "kept"
    command = [*COMMAND, "--serve", "--data", str(data)]
    heard = []
    for _ in range(2):
        telling = subprocess.Popen(
            command, cwd=tmp_path, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        try:
            heard.append(until_serving(telling))
        finally:
            telling.send_signal(signal.SIGTERM)
            rest, _ = telling.communicate(timeout=30)
        assert telling.returncode == 0, rest
        if len(heard) == 1:
            lady = re.search(r"The boutique finds her and stores: (ref_\w+)", heard[0])[1]
            erased = subprocess.run(
                [sys.executable, "-m", "api.cli.main", "erase", "--brand", "aurelle", "--reference", lady],
                check=False, capture_output=True, timeout=PATIENCE, cwd=tmp_path,
                env={**environment, "ECRIN_DATA_DIR": str(data), "ECRIN_DEPLOYMENT": "ecrin-demo"},
            )  # fmt: skip
            assert erased.returncode == 0, erased.stderr
    assert "the lady of the story" in heard[0]
    assert "cannot be told again: exactly one client has this number" in heard[1]
    assert "the lady of the story" not in heard[1]
    assert "afterwards: " in heard[1]


def sign_in_at_the_portal(process, told):
    """Do as `make run` says: ask for a code in a browser's way, and read it off the terminal."""
    host, maison, address = re.search(r"http://(localhost:\d+)/me\n.*maison (\w+), (\S+@\S+)", told).groups()
    jar = {}
    assert fill_in(host, jar, "/me/sign-in", brand=maison.lower(), address=address) == "/me/code"
    letter = []
    for line in process.stdout:
        letter.append(line)
        if found := re.search(r"code is (\d{8})", line):
            break
    assert address not in "".join(letter)
    assert fill_in(host, jar, "/me/code", code=found[1]) == "/me"
    assert 'href="/me/looks"' in ask(host, jar, "GET", "/me")[1]


def fill_in(host, jar, path, **fields):
    """Fill in the last form of a page; return where that leads."""
    csrf = re.findall(r'name="form" value="([0-9a-f]{64})"', ask(host, jar, "GET", path)[1])[-1]
    return ask(host, jar, "POST", path, urlencode({"form": csrf, **fields}))[0]


def ask(host, jar, method, path, body=None):
    """Send what a browser sends; its cookies are `Secure`, which browsers send to localhost and libraries do not."""
    headers = {"Origin": f"http://{host}", "Cookie": "; ".join(f"{name}={value}" for name, value in jar.items())}
    headers |= {} if body is None else {"Content-Type": "application/x-www-form-urlencoded"}
    connection = HTTPConnection(host, timeout=30)
    connection.request(method, path, body, headers)
    answer = connection.getresponse()
    jar |= dict(line.split(";")[0].split("=", 1) for line in answer.headers.get_all("set-cookie", ()))
    found = answer.headers.get("location"), answer.read().decode()
    connection.close()
    return found


def until_serving(process):
    """What the process printed up to the line that says it serves."""
    deadline = time.monotonic() + PATIENCE
    told = []
    for line in process.stdout:
        told.append(line)
        if "Serving on" in line or time.monotonic() > deadline:
            break
    return "".join(told)
