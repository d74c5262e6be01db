"""The document does not break its readers unsaid: what goes, or is needed now, stands in CHANGELOG.md as `Breaking: …`."""

import copy
import json
import subprocess
from pathlib import Path

import pytest
from openapi_changes import breaks

ROOT = Path(__file__).parents[2]
DOCUMENT = json.loads((ROOT / "docs" / "openapi.json").read_text("utf-8"))


def git(*arguments):
    done = subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, check=False)
    return "" if done.returncode else done.stdout.decode()


def published():
    """What readers were last given: the newest release; before the first, where this branch left the main line.

    On the main line itself that is the document's first version, so that no series of commits breaks it unsaid.
    """
    tag = git("describe", "--tags", "--abbrev=0").strip()
    base = tag or git("merge-base", "HEAD", "main").strip()
    if base and base == git("rev-parse", "HEAD").strip():
        base = (git("log", "--format=%H", "--diff-filter=A", "--", "docs/openapi.json").split() or [base])[-1]
    return base or "HEAD"


@pytest.mark.parametrize("revision", ["HEAD", "HEAD~1", published()])
def test_a_break_is_told(revision):
    """Against what was committed last (by who works on it), before that (by CI, which sees a commit), and published."""
    shown = git("show", f"{revision}:docs/openapi.json")
    if not shown:
        pytest.skip("no history here")
    told = (ROOT / "CHANGELOG.md").read_text("utf-8")
    assert not [each for each in breaks(json.loads(shown), DOCUMENT) if f"Breaking: {each}" not in told]


def changed(change):
    new = copy.deepcopy(DOCUMENT)
    change(new)
    return breaks(DOCUMENT, new)


def test_what_is_gone_or_needed_is_found():
    subject = DOCUMENT["paths"]["/v1/subjects"]["post"]["requestBody"]["content"]["application/json"]["schema"]
    name = subject["$ref"].rpartition("/")[2]

    def gone(new):
        del new["paths"]["/v1/consents"]["post"]

    def needed(new):
        new["components"]["schemas"][name]["required"].append("consents")

    def header(new):
        for each in new["paths"]["/v1/subjects"]["post"]["parameters"]:
            each["required"] = True

    def code(new):
        new["components"]["schemas"]["Problem"]["properties"]["code"]["enum"].remove("sealed")

    def answer(new):
        del new["components"]["schemas"]["Disclosed"]["properties"]["receipt"]

    assert changed(gone) == ["gone: POST /v1/consents"]
    assert changed(header) == [
        f"needed now: header {name} of POST /v1/subjects" for name in ("Ecrin-Staff", "Idempotency-Key")
    ]
    assert changed(code) == ["gone: code sealed"]
    assert "gone: .receipt in the answer of POST /v1/disclosures" in changed(answer)
    assert "consents" not in DOCUMENT["components"]["schemas"][name]["required"]  # else this one shows nothing
    assert "needed now: .consents of POST /v1/subjects" in changed(needed)


def test_what_is_added_breaks_nothing():
    def added(new):
        new["paths"]["/v2/anything"] = {"get": {"responses": {}}}
        new["components"]["schemas"]["Disclosed"]["properties"]["more"] = {"type": "string"}
        new["components"]["schemas"]["Problem"]["properties"]["code"]["enum"].append("new")

    assert changed(added) == []
    assert breaks(DOCUMENT, DOCUMENT) == []
