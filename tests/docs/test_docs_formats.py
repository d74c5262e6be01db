"""docs/formats.md shows the bytes that the frozen vectors hold, and the lists that the code has."""

import base64
import json
import re
from pathlib import Path

import pytest

from audit.entry import Act, ActorKind, Outcome
from audit.findings import Fault
from vault import consentchain
from vault.compartments import domain
from vault.envelope import FieldContext, context_bytes

ROOT = Path(__file__).resolve().parents[2]
TEXT = (ROOT / "docs" / "formats.md").read_text(encoding="utf-8")
SHOWN = ["".join(block.split()) for block in re.findall(r"^```\n(.*?)^```$", TEXT, re.MULTILINE | re.DOTALL)]


def vectors(name):
    return json.loads((ROOT / "tests" / "vectors" / name).read_text(encoding="utf-8"))


def leaves(node):
    """Every text in a document."""
    if isinstance(node, str):
        return [node]
    return [leaf for each in (node.values() if isinstance(node, dict) else node) for leaf in leaves(each)]


def is_shown(text):
    return any("".join(text.split()) in block for block in SHOWN)


def test_every_small_record_is_shown():
    records = {name: each for name, each in vectors("records_v1.json").items() if name not in {"format", "note"}}
    assert not [text for text in leaves(records) if text != records["reference"]["bits"] and not is_shown(text)]


def test_the_shortest_envelope_is_shown():
    (case,) = [each for each in vectors("envelope_v1.json")["cases"] if each["id"] == "ok/0-bytes"]
    assert is_shown(base64.b64decode(case["envelope"]).hex())


def test_the_context_is_shown():
    where = FieldContext(domain("vectors", "aurelle"), bytes(range(16)), 2, 201, 1, 1, 7)
    assert is_shown(context_bytes(0, where).hex())


def test_the_root_file_and_answers_are_shown():
    kept = vectors("keystore_v2.json")
    wrapped = kept["answers"]["wraps"][1]
    assert (wrapped["slot"], wrapped["generation"]) == (1, 5)
    for text in (
        kept["root_file"]["content"],
        wrapped["wrapped"],
        kept["answers"]["mac"][1]["mac"],
        kept["answers"]["blind"][1]["token"],
    ):
        assert is_shown(text)


def test_the_columns_of_a_consent_event_are_listed_in_order():
    for form, mark in ((2, "<!-- consent columns:"), (1, "<!-- first consent columns:")):
        listed = TEXT.partition(mark)[2].partition("<!-- end")[0]
        assert tuple(re.findall(r"`(\w+)`", listed)) == consentchain.HASHED[form]


@pytest.mark.parametrize("kind", [ActorKind, Outcome, Fault])
def test_closed_lists_are_told_whole(kind):
    assert not [each for each in kind if f"`{each}`" not in TEXT]


def test_every_letter_of_an_event_code_is_explained():
    assert not [each for each in Act if f"**{each.code[0]}** " not in TEXT]
