"""Settings are written down in three places besides the code; none of them may drift."""

import re
from pathlib import Path

import pytest
import yaml

from api.settings import PREFIX, Settings

ROOT = Path(__file__).resolve().parents[2]
VARIABLES = [PREFIX + name.upper() for name in Settings.model_fields]
MENTIONING = [
    *ROOT.glob("*.md"),
    *(ROOT / "docs").rglob("*.md"),
    *(path for path in (ROOT / "deploy").rglob("*") if path.is_file()),
]


def defaults() -> dict[str, str]:
    """Give variable -> default as a document shows it; empty where the default depends on another setting."""
    shown = {}
    for name, field in Settings.model_fields.items():
        text = "" if field.default is None or field.default == () else str(field.default)
        text = text.lower() if isinstance(field.default, bool) else text  # as a shell spells it
        shown[PREFIX + name.upper()] = "" if text == "." else text
    return shown


def test_operations_page_lists_every_setting_with_its_default():
    page = (ROOT / "docs/operations.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| `(ECRIN_\w+)` \| (?:`([^`]*)`)? ?\| \S", page, re.MULTILINE)
    assert dict(rows) == defaults()


def test_env_example_lists_every_setting_with_its_default():
    lines = (ROOT / ".env.example").read_text(encoding="utf-8")
    assert dict(re.findall(r"^#(ECRIN_\w+)=(.*)$", lines, re.MULTILINE)) == defaults()
    assert not re.search(r"^[^#\n]", lines, re.MULTILINE)


@pytest.mark.parametrize("path", MENTIONING, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_no_document_names_a_setting_that_is_not_there(path):
    assert set(re.findall(r"ECRIN_[A-Z0-9_]*[A-Z0-9]", path.read_text(encoding="utf-8"))) <= set(VARIABLES)


def test_compose_file_is_well_formed_and_mounts_what_it_names():
    compose = yaml.safe_load((ROOT / "deploy/compose.yaml").read_text(encoding="utf-8"))
    for service in compose["services"].values():
        assert {volume.partition(":")[0] for volume in service.get("volumes", ())} <= compose["volumes"].keys()
        assert set(service.get("secrets", ())) <= compose["secrets"].keys()
        assert set(service["networks"]) <= compose["networks"].keys()
