"""The Python of the README runs against the service as it is written; only the wire is the test's."""

import re
from pathlib import Path

import httpx2
import pytest
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from maison_callers import CONSENT, PERSON
from served_maison import maison, pos  # noqa: F401 - fixtures

from api.client import blocking
from api.client.exchange import Settings

README = Path(__file__).resolve().parents[2] / "README.md"
EXAMPLES = re.findall(r"^```python\n(.*?)^```$", README.read_text("utf-8"), re.MULTILINE | re.DOTALL)


class Wire(httpx2.BaseTransport):
    """Hands requests to the application in this process."""

    def __init__(self, http):
        self.http = http

    def handle_request(self, request):
        answer = self.http.request(
            request.method, request.url.path, headers=list(request.headers.items()), content=request.read()
        )
        return httpx2.Response(answer.status_code, headers=list(answer.headers.items()), content=answer.content)


@pytest.mark.parametrize("example", EXAMPLES)
def test_every_python_example_runs(maison, pos, example, monkeypatch, capsys):  # noqa: F811
    pos.created(PERSON, CONSENT)
    settings = Settings(pos.public, clock=maison.clock.now)

    class Wired(blocking.Ecrin):
        def __init__(self, url, identity):
            assert url == pos.public
            super().__init__(url, identity, settings, transport=Wire(maison.http))

    monkeypatch.setattr(blocking, "Ecrin", Wired)
    key = pos.identity.key.private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    exec(compile(example, "README.md", "exec"), {"key": key})  # noqa: S102 - our own document
    printed = capsys.readouterr().out
    assert "•" in printed
    assert "'value': '52'" in printed


def test_there_is_an_example():
    assert EXAMPLES
