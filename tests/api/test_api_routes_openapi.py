"""The committed OpenAPI document is the running code's, and tells what a caller has to know."""

import json
from pathlib import Path

import pytest

from api.app import create_app
from api.problems import KINDS
from api.settings import load

COMMITTED = Path(__file__).parents[2] / "docs" / "openapi.json"
ENTRIES = "/audit/tile/entries/{path}"  # of the log: the one route below /audit that is not for everybody
OPEN = {"/healthz", "/readyz", "/v1/catalogue", "/audit/checkpoint", "/audit/keys", "/events/jwks"}


@pytest.fixture(scope="module")
def document(tmp_path_factory):
    return create_app(load({"data_dir": tmp_path_factory.mktemp("none")})).openapi()


@pytest.fixture(scope="module")
def operations(document):
    return {(m, path): each for path, methods in document["paths"].items() for m, each in methods.items()}


def headers(operation):
    return {each["name"]: each["required"] for each in operation.get("parameters", ()) if each["in"] == "header"}


def test_the_committed_document_is_current(document):
    written = json.dumps(document, indent=2, sort_keys=True) + "\n"
    assert COMMITTED.read_text("utf-8") == written, "run `make openapi`"


def test_every_operation_says_how_it_refuses_and_none_promises_the_frameworks_error(document, operations):
    assert "HTTPValidationError" not in json.dumps(document)
    for place, operation in operations.items():
        assert "application/problem+json" in operation["responses"]["default"]["content"], place
        assert "422" not in operation["responses"]
        assert operation["description"], place
    assert document["components"]["schemas"]["Problem"]["properties"]["code"]["enum"] == sorted(KINDS)


def test_tokens_proofs_keys_and_versions_are_told_where_they_are_needed(operations):
    for (method, path), operation in operations.items():
        needs_token = (path.startswith(("/v1/", "/access/")) and path not in OPEN) or path == ENTRIES
        assert (operation.get("security") == [{"dpop": []}]) is needs_token, path
        assert headers(operation).get("DPoP", False) is (needs_token or path == "/oauth/token"), path
        assert ("If-Match" in headers(operation)) is (method == "patch")
    assert headers(operations["post", "/v1/imports"])["Idempotency-Key"] is True
    assert headers(operations["post", "/v1/subjects"])["Idempotency-Key"] is False
    assert "ETag" in operations["get", "/v1/subjects/{reference}"]["responses"]["200"]["headers"]
    # Nothing personal has a place in an address: a path has a reference in it, the keyed name of a status list, a place in
    # the log, an entry's, a request's or a report's random id; no query exists.
    places = {(each["in"], each["name"]) for one in operations.values() for each in one.get("parameters", ())}
    named = {place for place in places if place[0] != "header"}
    assert named == {
        ("path", "reference"),
        ("path", "status_list"),
        ("path", "run_id"),
        ("path", "path"),
        ("path", "entry_id"),
        ("path", "request_id"),
    }
