"""docs/api.md is true: its examples are sent and compared, its tables are the code's, no route is missing."""

import re
from pathlib import Path

import pytest
import schemathesis
from documented_requests import DOCUMENT, MORE, Example, Reader, examples
from schemathesis.checks import CHECKS, load_all_checks
from served_maison import maison, pos  # noqa: F401 - fixtures

from api import rar
from api.app import create_app
from api.cli.opened import OPERATOR
from api.oauth.errors import _STATUS
from api.oauth.issue import SERVICE_SECONDS
from api.problems import KINDS
from api.settings import load
from vault import evidence, outbox

TEXT = DOCUMENT.read_text(encoding="utf-8")
EXAMPLES = examples(TEXT)

# What is shown refused only: a list of an address that was given out, guardians of somebody who is a minor, and what
# witnesses cosigned (tests/api/test_api_routes_attestations.py, tests/api/test_api_routes_guardians.py,
# tests/api/test_api_witnesses.py).
REFUSED = {
    ("GET", "/attestations/status/{status_list}"),
    ("GET", "/audit/checkpoint/witnessed"),
    ("GET", "/v1/reports/{run_id}/document"),
    ("POST", "/v1/guardians"),
    ("POST", "/v1/guardians/end"),
}

load_all_checks()
PROMISES = [
    CHECKS.get_one(name)
    for name in (
        "not_a_server_error",
        "status_code_conformance",
        "content_type_conformance",
        "response_headers_conformance",
        "response_schema_conformance",
    )
]


def means(example, routes):
    """Which of these (method, path) an example is of."""
    shapes = {
        (method, path): re.sub(r"\{\w+\}", "[^/]+", path.replace(".", r"\.").replace("{path}", "[0-9].*"))
        for method, path in routes
    }
    matching = [
        route for route, shape in shapes.items() if route[0] == example.method and re.fullmatch(shape, example.path)
    ]
    exact = [route for route in matching if route[1] == example.path]
    assert len(exact or matching) == 1, str(example)
    return (exact or matching)[0]


def test_every_example_runs_as_documented(maison, pos, tmp_path):  # noqa: F811
    with maison.vault.unit() as uow:  # who listens can fetch the key
        outbox.listen(uow, pos.id, "https://crm.example/events", OPERATOR)
        uow.commit()
    reader = Reader(pos)
    promised = schemathesis.openapi.from_dict(maison.http.app.openapi())
    operations = {(each.ok().method.upper(), each.ok().path): each.ok() for each in promised.get_all_operations()}
    wrong, succeeded = {}, set()
    for example in EXAMPLES:
        if example.path == "/audit/checkpoint":
            evidence.sign_checkpoints(maison.vault, tmp_path / "checkpoint")  # a job does this while serving
        answer = reader.send(example)
        differences = reader.compare(example, answer)
        if differences:
            wrong[str(example)] = differences
        route = means(example, operations)
        places = dict.fromkeys(re.findall(r"\{(\w+)\}", route[1]), "any")
        operations[route].Case(path_parameters=places).validate_response(answer, checks=PROMISES)
        if answer.is_success:
            succeeded.add(route)
    assert wrong == {}
    assert operations.keys() - succeeded == REFUSED


def test_every_route_has_an_example_and_every_example_its_route(tmp_path):
    paths = create_app(load({"data_dir": tmp_path})).openapi()["paths"]
    routes = {(method.upper(), path) for path, methods in paths.items() for method in methods}
    shown = {means(example, routes) for example in EXAMPLES}
    assert shown == routes
    assert {f"{method} {path}" for method, path in routes} <= set(re.findall(r"^### (\w+ /\S+)$", TEXT, re.MULTILINE))


def test_the_table_of_problems_is_the_codes():
    table = TEXT.partition("<!-- problems:begin")[2].partition("<!-- problems:end")[0]
    rows = re.findall(r"^\| `(\w+)` \| (\d+) \| (.+?) \| (yes)? ?\|$", table, re.MULTILINE)
    assert [(code, int(status), title, bool(retry)) for code, status, title, retry in rows] == [
        (code, kind.status, kind.title, kind.retry) for code, kind in KINDS.items()
    ]


def test_the_table_of_oauth_errors_is_the_codes():
    table = TEXT.partition("### Errors of the OAuth endpoints")[2].partition("\n\n`not_granted`")[0]
    rows = dict(re.findall(r"^\| `(\w+)` \| (\d+) \|", table, re.MULTILINE))
    assert rows == {error: str(int(status)) for error, status in _STATUS.items() if error != "unauthorized_client"}
    spoken = set(re.findall(r"`(\w+)`", table))
    said = set()
    for path in (
        Path(rar.__file__),
        *Path(rar.__file__).with_name("oauth").glob("*.py"),
        Path(rar.__file__).parent / "routes/oauth.py",
    ):
        source = path.read_text(encoding="utf-8")
        said.update(
            re.findall(r'OAuthError\(\s*"\w+",\s*"(\w+)"', source) + re.findall(r'Malformed\("(\w+)"\)', source)
        )
    assert said <= spoken


def test_the_lifetimes_are_the_codes():
    minutes = {rar.Level.RAW: 5, rar.Level.MASKED: 15, rar.Level.GENERALISED: 60}
    assert {level: rar.life(frozenset({level})) for level in minutes} == {k: v * 60 for k, v in minutes.items()}
    assert SERVICE_SECONDS == 300
    assert "lives 5 minutes if it opens a raw value, 15 if a masked one, else an hour" in " ".join(TEXT.split())


@pytest.mark.parametrize(
    ("said", "got", "agree"),
    [
        ({"a": 1}, {"a": 1}, True),
        ({"a": 1}, {"a": 2}, False),
        ({"a": 1}, {"a": 1, "b": 2}, False),
        ({"a": 1, MORE: MORE}, {"a": 1, "b": 2}, True),
        ({"a": 1}, {}, False),
        ([1, MORE], [1, 2, 3], True),
        ([1, 2], [1], False),
        ("ab…", "abc", True),
        ("ab…", "b", False),
        (["a" * 32, "a" * 32], ["b" * 32, "b" * 32], True),
        (["a" * 32, "a" * 32], ["b" * 32, "c" * 32], False),
        ("ref_" + "0" * 26, "a" * 32, False),
    ],
)
def test_a_difference_is_noticed(said, got, agree):
    assert (Reader(None)._differences(said, got, "answer") == []) is agree


def test_a_block_without_its_answer_is_an_error():
    request = "```http\nGET /healthz\n```\n"
    (example,) = examples(request + '```http\n200\n\n{"status": "ok"}\n```\n')
    assert example == Example("GET", "/healthz", {}, "", 200, {}, '{"status": "ok"}')
    with pytest.raises(AssertionError):
        examples(request)
