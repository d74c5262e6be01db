"""Documents may only point at what exists: tests, files, make targets, decisions."""

import ast
import re
import shlex
import tomllib
from functools import cache
from pathlib import Path

import pytest
from typer.main import get_command

from api.cli.main import app
from api.cli.output import Exit
from api.observability.events import Event

ROOT = Path(__file__).resolve().parents[2]
DOCUMENTS = sorted(
    [
        *ROOT.glob("*.md"),
        *(ROOT / "docs").rglob("*.md"),
        *(ROOT / "deploy").rglob("*.md"),
        *(ROOT / ".ci").rglob("*.md"),
    ]
)
PACKAGES = ("api", "vault", "policies", "audit")
PLACE = re.compile(r"`((?:api|vault|policies|audit|tests)/[\w/.-]+)(?:::([\w.]+))?`")
TEST_ID = re.compile(r"tests/[\w/]+\.py(?:::\w+)*")
LINK = re.compile(r"\[[^\]]*\]\((?!https?://|mailto:|#)([^)#\s]+)(?:#[^)]*)?\)")


def name(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


@cache
def defined_in(path: Path) -> frozenset[str]:
    """Give the test functions of a file, those of classes as `Class::method` too."""
    found = set()
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef | ast.Assign):
            names = (
                [node.targets[0].id]
                if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name)
                else [getattr(node, "name", "")]
            )
            found.update(names)
        if isinstance(node, ast.ClassDef):
            found.update(
                f"{node.name}::{inner.name}"
                for inner in node.body
                if isinstance(inner, ast.FunctionDef | ast.AsyncFunctionDef)
            )
    return frozenset(found)


def dangling(document: Path) -> list[str]:
    missing = []
    for test_id in TEST_ID.findall(document.read_text(encoding="utf-8")):
        path, _, inside = test_id.partition("::")
        if not (ROOT / path).is_file() or (inside and inside not in defined_in(ROOT / path)):
            missing.append(test_id)
    return missing


@pytest.mark.parametrize("document", DOCUMENTS, ids=name)
def test_named_tests_exist(document):
    assert not dangling(document)


def test_what_the_code_points_at_exists():
    """Docstrings name documents and tests; a renamed file must not leave them pointing at nothing."""
    pointer = re.compile(r"\b(?:docs|tests|deploy)/[\w./-]+\.(?:md|py|json|yaml)\b")
    sources = [path for package in ("api", "vault", "policies", "audit") for path in (ROOT / package).rglob("*.py")]
    dangling = {
        (name(path), target) for path in sources for target in pointer.findall(path.read_text(encoding="utf-8"))
    }
    assert not sorted(pair for pair in dangling if not (ROOT / pair[1]).is_file())


@pytest.mark.parametrize("document", DOCUMENTS, ids=name)
def test_links_lead_somewhere(document):
    text = document.read_text(encoding="utf-8")
    assert not [target for target in LINK.findall(text) if not (document.parent / target).exists()]


@pytest.mark.parametrize("document", DOCUMENTS, ids=name)
def test_named_make_targets_exist(document):
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    named = set(re.findall(r"(?:`|^)make ([a-z-]+)", document.read_text(encoding="utf-8"), re.MULTILINE))
    assert named <= targets


def test_every_control_of_the_threat_model_names_its_test():
    rows = [
        line
        for line in (ROOT / "docs/threat-model.md").read_text(encoding="utf-8").splitlines()
        if re.match(r"\| T\d+ ", line)
    ]
    assert len(rows) > 20
    assert len({row.split()[1] for row in rows}) == len(rows)
    assert not [row for row in rows if not TEST_ID.search(row) and "*open*" not in row]


def test_every_trap_names_its_test():
    text = (ROOT / "docs/threat-model.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| P(\d+) (.*)$", text, re.MULTILINE)
    assert [int(number) for number, _ in rows] == list(range(1, 25))
    assert not [row for _, row in rows if not TEST_ID.search(row) and "*open*" not in row]


def test_every_decision_is_in_the_index():
    folder = ROOT / "docs/decisions"
    index = (folder / "README.md").read_text(encoding="utf-8")
    records = sorted(path.name for path in folder.glob("*.md") if path.name != "README.md")
    assert records
    assert sorted(LINK.findall(index)) == records
    assert [record[:4] for record in records] == [f"{number:04}" for number in range(1, len(records) + 1)]


@pytest.mark.parametrize("document", DOCUMENTS, ids=name)
def test_named_places_of_the_code_exist(document):
    """`path/file.py::name` names a function, class or constant of that file, or a method as `Class.method`."""
    missing = []
    for path, inside in PLACE.findall(document.read_text(encoding="utf-8")):
        found = ROOT / path
        if not found.exists() or (inside and inside.replace(".", "::") not in defined_in(found)):
            missing.append(f"{path}::{inside}")
    assert not missing


def commands():
    """Give every command of the command line as it is typed."""
    found = set()
    for word, command in get_command(app).commands.items():
        inner = getattr(command, "commands", None)
        found.update([word] if inner is None else [f"{word} {each}" for each in inner])
        if inner is not None and getattr(command, "invoke_without_command", False):
            found.add(word)
    return found


@pytest.mark.parametrize("document", DOCUMENTS, ids=name)
def test_named_commands_exist(document):
    text = document.read_text(encoding="utf-8")
    groups = {each.split()[0] for each in commands() if " " in each}
    named = re.findall(r"(?:`|\$ |; )ecrin ([a-z][a-z-]*)(?: ([a-z]+))?", text)
    assert {f"{word} {inner}" if word in groups and inner else word for word, inner in named} <= commands()


def test_operations_names_every_command():
    page = (ROOT / "docs/operations.md").read_text(encoding="utf-8")
    assert not [each for each in commands() - {"openapi", "demo"} if f"`ecrin {each}`" not in page]


def test_operations_lists_the_exit_codes():
    page = (ROOT / "docs/operations.md").read_text(encoding="utf-8")
    table = page.partition("### Exit codes")[2].partition("### ")[0]
    assert [int(code) for code in re.findall(r"^\| (\d+) \|", table, re.MULTILINE)] == [int(each) for each in Exit]


def test_operations_lists_the_events_that_are_written():
    page = (ROOT / "docs/operations.md").read_text(encoding="utf-8")
    table = page.partition("<!-- events:begin")[2].partition("<!-- events:end")[0]
    listed = {
        each for row in re.findall(r"^\| (`.*?) \|", table, re.MULTILINE) for each in re.findall(r"`([\w.]+)`", row)
    }
    vocabulary = ROOT / "api/observability/events.py"
    written = {
        Event[each].value
        for path in (ROOT / "api").rglob("*.py")
        if path != vocabulary
        for each in re.findall(r"\bEvent\.([A-Z_]+)", path.read_text(encoding="utf-8"))
    }
    assert listed == written


def test_the_story_of_the_readme_is_the_storys():
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    shown = readme.partition("<!-- story:begin")[2].partition("<!-- story:end")[0]
    told = (ROOT / "api/demo/story.py").read_text(encoding="utf-8")
    chapters = re.findall(r'\.chapter\("(.+?)"\)', told)
    assert re.findall(r"^\d+\. (.+)$", shown, re.MULTILINE) == chapters


def test_the_changes_name_this_version():
    version = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["version"]
    assert f"\n## {version}" in (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")


def test_documents_claim_nothing_that_nobody_checked():
    claims = re.compile(r"FIPS.validated|zero.knowledge|\banonym|military|unbreakable|state.of.the.art", re.IGNORECASE)
    assert not [(name(path), hit) for path in DOCUMENTS for hit in claims.findall(path.read_text(encoding="utf-8"))]


def typed(text: str) -> list[list[str]]:
    """Give what follows `ecrin` on each command line of the fenced blocks, as a shell splits it."""
    found = []
    for block in re.findall(r"^```\n(.*?)^```$", text, re.MULTILINE | re.DOTALL):
        lines = block.replace("\\\n", " ").splitlines()
        prompted = [
            line for line in lines if line.startswith("$ ")
        ]  # where there are any, the rest is what was printed
        for line in prompted or lines:
            for part in re.split(r"; (?=ecrin )", line.removeprefix("$ ")):
                if match := re.match(r"(?:[A-Z_]+=\S+ )*ecrin ([a-z].*)", part):
                    words = shlex.split(match[1], comments=True)
                    end = next((at for at, word in enumerate(words) if word in {"<", ">", "&", "|", ";"}), len(words))
                    found.append(words[:end])
    return found


def fault(arguments: list[str]) -> str | None:
    """Say what is wrong with a command line: no such command or option, or a required option left out. Runs nothing."""
    command, words = get_command(app), list(arguments)
    while words and words[0] in getattr(command, "commands", {}):
        command = command.commands[words.pop(0)]
    if getattr(command, "commands", None) and not command.invoke_without_command:
        return f"no command {words}"
    known = {each for parameter in command.params for each in (*parameter.opts, *parameter.secondary_opts)}
    unknown = [word for word in words if word.startswith("--") and word.partition("=")[0] not in known]
    missing = [
        parameter.name
        for parameter in command.params
        if parameter.required and parameter.param_type_name == "option" and not set(parameter.opts) & set(words)
    ]
    return f"unknown {unknown}, missing {missing}" if unknown or missing else None


@pytest.mark.parametrize("line", typed((ROOT / "docs/operations.md").read_text(encoding="utf-8")), ids=" ".join)
def test_what_operations_types_is_what_the_commands_take(line):
    assert fault(line) is None


def test_a_line_that_no_command_takes_is_found():
    shown = "```\n$ ecrin epoch walk\n$ ecrin epoch run --rotat\n$ ECRIN_PORT=1 ecrin system add x; ecrin doctor & # said\n```\n"
    nothing, wrong, incomplete, good = typed(shown)
    assert "walk" in fault(nothing)
    assert "--rotat" in fault(wrong)
    assert "brand" in fault(incomplete)
    assert (good, fault(good)) == (["doctor"], None)
