"""Reads the examples of docs/api.md, sends them, and holds each answer against the one that is written there.

An example is a pair of `http` blocks: a request line with headers and body, and a status with headers and body. What
changes from run to run is bound: where the document and the service both say a reference, an id or a month, the
document's stands for the service's from then on, so that later examples may use it.

In requests: `<proof>` and `<assertion>` are made, the proof with the last `DPoP-Nonce` that came, `<service token>` and `<disclosure token>` are the last of their kind.
In answers: a text that ends with `…` matches by what stands before it, a list or an object with `…` in it may be longer,
and so may lines of text of which `…` is the last.
"""

import json
import re
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import parse_qsl, urlencode

DOCUMENT = Path(__file__).resolve().parents[2] / "docs" / "api.md"
MORE = "…"

_JSON = ("application/json", "application/problem+json", "application/jwk-set+json")
_BLOCK = re.compile(r"^```http\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_SHAPES = tuple(
    re.compile(shape)
    for shape in (r"ref_[0-9a-hjkmnp-tv-z]{26}", r"[0-9a-f]{32}", r"[0-9a-f]{64}", r"[0-9]{4}-[0-9]{2}")
)


@dataclass(frozen=True)
class Example:
    method: str
    path: str
    headers: dict
    body: str
    status: int
    answer_headers: dict
    answer: str

    def __str__(self):
        return f"{self.method} {self.path} {self.status}"


def examples(text):
    """Pair the blocks of a document; a request without its answer, or an answer alone, is an error."""
    blocks = [_parts(block) for block in _BLOCK.findall(text)]
    assert len(blocks) % 2 == 0
    found = []
    for (line, headers, body), (status, answer_headers, answer) in zip(blocks[::2], blocks[1::2], strict=True):
        method, path = line.split()
        found.append(Example(method, path, headers, body, int(status.split()[0]), answer_headers, answer))
    return found


def _parts(block):
    head, _, body = block.partition("\n\n")
    line, *headers = head.strip().split("\n")
    return line, dict(header.split(": ", 1) for header in headers), body.strip("\n")


class Reader:
    """Sends examples in order as one caller, and remembers what the document's words stand for."""

    def __init__(self, caller):
        self._caller = caller
        self._bound = {}
        self._tokens = {"service token": "", "disclosure token": ""}

    def send(self, example):
        headers = {name: self._put(value) for name, value in example.headers.items()}
        path = self._put(example.path)
        token = headers.get("Authorization", "").removeprefix("DPoP ")
        if headers.get("DPoP") == "<proof>":
            headers["DPoP"] = self._caller.proof(example.method, path, token)
        body = self._put(example.body)
        if headers.get("Content-Type") == "application/x-www-form-urlencoded":
            body = self._form(body)
        elif body and "Content-Type" not in headers:
            headers["Content-Type"] = "application/json"
        answer = self._caller.http.request(example.method, path, headers=headers, content=body.encode())
        self._caller.nonce = answer.headers.get("dpop-nonce", self._caller.nonce)
        self._remember(answer)
        return answer

    def compare(self, example, answer):
        """Say what is not as documented; an empty list is agreement."""
        found = [] if answer.status_code == example.status else [f"status {answer.status_code}"]
        for name, value in example.answer_headers.items():
            got = answer.headers.get(name, "")
            if not got or not self._is_alike(value, got):
                found.append(f"{name}: {answer.headers.get(name)}")
        if answer.headers.get("content-type") not in _JSON:
            return found + self._compare_lines(example.answer, answer.text)
        return found + self._differences(json.loads(example.answer), answer.json(), "answer")

    def _compare_lines(self, documented, real):
        if documented == MORE:  # bytes that are no text
            return []
        shown, got_lines = documented.split("\n"), real.rstrip("\n").split("\n")
        if shown[-1] == MORE and len(got_lines) > len(shown):
            got_lines = got_lines[: len(shown)]
        pairs = list(zip(shown, got_lines, strict=False))
        if len(shown) != len(got_lines):
            return [f"lines: {real}"]
        found = []
        for said, got in pairs:
            try:
                found += self._differences(json.loads(said), json.loads(got), "line")
            except ValueError:
                found += self._differences(said, got, "line")
        return found

    def _differences(self, said, got, place):
        if said == MORE:
            return []
        if isinstance(said, dict) and isinstance(got, dict):
            extra = got.keys() - said.keys() if MORE not in said else set()
            found = [f"{place}.{name}: not documented" for name in sorted(extra)]
            for name in said.keys() - {MORE}:
                if name not in got:
                    found.append(f"{place}.{name}: missing")
                else:
                    found += self._differences(said[name], got[name], f"{place}.{name}")
            return found
        if isinstance(said, list) and isinstance(got, list):
            shown = said[:-1] if said and said[-1] == MORE else said
            if len(shown) > len(got) or (shown is said and len(said) != len(got)):
                return [f"{place}: {len(got)} items"]
            return [
                each
                for number, (one, other) in enumerate(zip(shown, got, strict=False))
                for each in self._differences(one, other, f"{place}[{number}]")
            ]
        if isinstance(said, str) and isinstance(got, str) and self._is_alike(said, got):
            return []
        return [] if said == got else [f"{place}: {got!r}"]

    def _is_alike(self, said, got):
        if self._put(said) == got:
            return True
        if said.endswith(MORE):
            return got.startswith(said[:-1])
        if said not in self._bound and any(shape.fullmatch(said) and shape.fullmatch(got) for shape in _SHAPES):
            self._bound[said] = got
            return True
        return False

    def _put(self, text):
        for said, got in self._bound.items():
            text = text.replace(said, got)
        for name, token in self._tokens.items():
            text = text.replace(f"<{name}>", token)
        return text

    def _form(self, text):
        fields = dict(parse_qsl(text.replace("\n", ""), keep_blank_values=True))
        if fields.get("client_assertion") == "<assertion>":
            fields["client_assertion"] = self._caller.form()["client_assertion"]
        return urlencode(fields)

    def _remember(self, answer):
        if answer.headers.get("content-type") != "application/json":
            return
        content = answer.json()
        if isinstance(content, dict) and "access_token" in content:
            self._tokens["service token" if "scope" in content else "disclosure token"] = content["access_token"]
