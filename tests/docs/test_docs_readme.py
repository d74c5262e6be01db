"""The Python of the documents runs against the service as it is written, and prints what they say; only the wire is ours."""

import json
import re
import tomllib
from pathlib import Path

import httpx2
import pytest
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from maison_callers import CONSENT, PERSON
from served_maison import maison, pos  # noqa: F401 - fixtures

from api.client import asynchronous, blocking
from api.client.exchange import Settings

ROOT = Path(__file__).resolve().parents[2]
METHODS = frozenset({"get", "put", "post", "patch", "delete"})


def examples(document):
    return re.findall(r"^```python\n(.*?)^```$", (ROOT / document).read_text("utf-8"), re.MULTILINE | re.DOTALL)


class Wire(httpx2.BaseTransport, httpx2.AsyncBaseTransport):
    """Hands requests to the application in this process."""

    def __init__(self, http):
        self.http = http

    def handle_request(self, request):
        answer = self.http.request(
            request.method, request.url.path, headers=list(request.headers.items()), content=request.read()
        )
        return httpx2.Response(answer.status_code, headers=list(answer.headers.items()), content=answer.content)

    async def handle_async_request(self, request):
        return self.handle_request(request)


@pytest.fixture
def run(maison, pos, monkeypatch, capsys):  # noqa: F811
    """Run an example over the test's wire, and return what it printed."""
    pos.created(PERSON, CONSENT)
    settings = Settings(pos.public, clock=maison.clock.now)
    for module, name in ((blocking, "Ecrin"), (asynchronous, "AsyncEcrin")):
        given = getattr(module, name)

        def wired(url, identity, given=given):
            assert url == pos.public
            return given(url, identity, settings, transport=Wire(maison.http))

        monkeypatch.setattr(module, name, wired)
    key = pos.identity.key.private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())

    def ran(example):
        exec(compile(example, "document", "exec"), {"key": key})  # noqa: S102 - our own document
        return capsys.readouterr().out

    return ran


@pytest.mark.parametrize("example", examples("README.md"))
def test_every_python_example_of_the_readme_runs(run, example):
    printed = run(example)
    assert "•" in printed
    assert "'value': '52'" in printed


@pytest.mark.parametrize("example", examples("docs/api.md"))
def test_every_python_example_of_the_api_prints_what_it_says(run, example):
    said = re.findall(r"\bprint\(.*\)  # (.*)$", example, re.MULTILINE)
    assert run(example).splitlines() == said


def test_there_are_examples():
    assert examples("README.md")
    assert len(examples("docs/api.md")) == 2


def test_the_numbers_of_the_readme_are_the_codes():
    text = (ROOT / "README.md").read_text("utf-8")
    paths = json.loads((ROOT / "docs/openapi.json").read_text("utf-8"))["paths"]
    catalogue = tomllib.loads((ROOT / "policies/bundles/maisons/catalogue.toml").read_text("utf-8"))
    categories = [each for each in catalogue.values() if "field" in each]
    routes = sum(len(METHODS & set(path)) for path in paths.values())
    said = re.search(r"(\d+) routes\b.*?(\d+) typed fields\s+in (\d+) categories", text, re.DOTALL)
    assert tuple(map(int, said.groups())) == (routes, sum(len(each["field"]) for each in categories), len(categories))


def test_every_verb_of_both_clients_is_in_the_document():
    text = (ROOT / "docs/api.md").read_text("utf-8")
    verbs = {
        name
        for client in (blocking.Ecrin, asynchronous.AsyncEcrin)
        for name in vars(client)
        if not name.startswith("_") and name not in {"close", "service_token"}
    }
    assert {name for name in verbs if f"`{name}`" not in text} == set()
