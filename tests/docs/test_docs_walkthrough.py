"""docs/walkthrough.sh runs against a real server, and docs/api.md quotes it and what it prints."""

import os
import re
import shutil
import socket
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path
from time import monotonic, sleep
from urllib.error import URLError
from urllib.request import urlopen

import pytest

ROOT = Path(__file__).resolve().parents[2]
SCRIPT = ROOT / "docs" / "walkthrough.sh"
CHAPTER = (
    (ROOT / "docs" / "api.md")
    .read_text(encoding="utf-8")
    .partition("## Walk-through with curl and openssl\n")[2]
    .partition("\n## ")[0]
)
ECRIN = (sys.executable, "-m", "api.cli.main")
START_PATIENCE = 120.0

# What is drawn anew in each run, each a word of its own.
_WORD = r"(?<![A-Za-z0-9+/=_-])(?:%s)(?![A-Za-z0-9+/=_-])"
DRAWN = tuple(
    re.compile(shape)
    for shape in (
        _WORD % r"ref_[0-9a-z]{26}",
        _WORD % r"[0-9a-f]{64}|[0-9a-f]{32}",
        r"\+[0-9a-f]{8}\+[A-Za-z0-9+/]{44}",  # the end of a verifier key
        _WORD % r"[A-Za-z0-9+/]{91}=|[A-Za-z0-9+/]{43}=|[A-Za-z0-9_-]{43}",  # signature, hash, token
        _WORD % r"[0-9]{10}|[0-9]{4}-[0-9]{2}",  # second, month
        r"\d+ checkpoints?(?= checked)",
    )
)


def fences(language):
    return re.findall(rf"^```{language}\n(.*?)^```$", CHAPTER, re.MULTILINE | re.DOTALL)


def plain(text):
    """Reduce an output to what is the same in each run. The document breaks JSON into lines, so white space goes."""
    text = text.replace("\\n", "\n")
    for drawn in DRAWN:
        text = drawn.sub("*", text)
    return "".join(text.split())


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@contextmanager
def serving(environment):
    subprocess.run([*ECRIN, "init"], env=environment, check=True, capture_output=True, cwd=ROOT)
    process = subprocess.Popen([*ECRIN, "serve"], env=environment, stderr=subprocess.DEVNULL, cwd=ROOT)
    try:
        deadline = monotonic() + START_PATIENCE
        while True:
            assert process.poll() is None
            assert monotonic() < deadline
            try:
                with urlopen(f"{environment['ECRIN_PUBLIC_URL']}/readyz", timeout=1):  # noqa: S310 - our own loopback
                    break
            except (URLError, OSError):
                sleep(0.05)
        yield
    finally:
        process.terminate()
        process.wait(15)


def test_the_document_quotes_the_script_whole():
    script = SCRIPT.read_text(encoding="utf-8")
    sections = re.split(r"^### (.*)\n", script, flags=re.MULTILINE)[1:]
    assert re.findall(r"^### (.*)$", CHAPTER, re.MULTILINE) == sections[::2]
    assert fences("bash") == [body.strip("\n") + "\n" for body in sections[1::2]]


@pytest.mark.server
@pytest.mark.skipif(
    not (shutil.which("curl") and shutil.which("openssl")),
    reason="*** WALK-THROUGH NOT TESTED *** needs curl and openssl",
)
def test_the_script_prints_what_the_document_says(tmp_path):
    port = free_port()
    data, work = tmp_path / "data", tmp_path / "work"
    work.mkdir()
    environment = {name: value for name, value in os.environ.items() if not name.startswith("ECRIN_")} | {
        "ECRIN_DATA_DIR": str(data),
        "ECRIN_PORT": str(port),
        "ECRIN_PUBLIC_URL": f"http://127.0.0.1:{port}",
        "ECRIN_LOG_LEVEL": "error",
        "ECRIN": " ".join(ECRIN),
        "PYTHONPATH": str(ROOT),
    }
    with serving(environment):
        run = subprocess.run(
            ["bash", SCRIPT, work], env=environment, capture_output=True, text=True, timeout=120, check=False
        )
    assert run.returncode == 0, run.stderr
    assert plain(run.stdout) == plain("".join(fences("text")))
