"""A grant is the vault's only key to plaintext, and one file makes it."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
MODULES = sorted(path for package in ("api", "vault", "policies", "audit") for path in (ROOT / package).rglob("*.py"))
MAKER = "policies/decision.py"
RESERVED = {"Grant", "GrantedField", "Decision"}
COPIERS = {"dataclasses.replace", "copy.copy", "copy.deepcopy", "copy.replace"}


def imported(tree: ast.Module) -> dict[str, str]:
    """Give what each imported name stands for, as `module.name`."""
    return {
        alias.asname or alias.name: f"{node.module}.{alias.name}"
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }


def calls(tree: ast.Module) -> set[str]:
    """Give the dotted names of everything called, with imported names resolved."""
    names = imported(tree)
    modules = {
        alias.asname or alias.name: alias.name
        for node in ast.walk(tree)
        if isinstance(node, ast.Import)
        for alias in node.names
    }
    found = set()
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call):
            continue
        head, _, rest = ast.unparse(node.func).partition(".")
        found.add(".".join(filter(None, (names.get(head) or modules.get(head) or head, rest))))
    return found


def builders(source: str) -> set[str]:
    """Give the reserved classes of `policies` that a module constructs, whatever it calls them.

    A class of its own that happens to share a name is another class.
    """
    tree = ast.parse(source)
    own = {node.name for node in ast.walk(tree) if isinstance(node, ast.ClassDef)} & RESERVED
    return {
        name.rpartition(".")[2]
        for name in calls(tree)
        if name.rpartition(".")[2] in RESERVED and (name.startswith("policies.") or name in own)
    }


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_only_the_decision_module_builds_grants(path):
    where = path.relative_to(ROOT).as_posix()
    if where == MAKER:
        return
    source = path.read_text(encoding="utf-8")
    made = builders(source)
    if not where.startswith("policies/"):
        own = {node.name for node in ast.walk(ast.parse(source)) if isinstance(node, ast.ClassDef)}
        made -= own
    assert not made


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_nothing_that_knows_grants_copies_with_changes(path):
    tree = ast.parse(path.read_text(encoding="utf-8"))
    knows = {f"policies.{module}.{name}" for module in ("decision", "model") for name in RESERVED}
    if path.relative_to(ROOT).as_posix() != MAKER and knows & set(imported(tree).values()):
        assert not calls(tree) & COPIERS


def test_the_maker_makes_all_of_them():
    assert builders((ROOT / MAKER).read_text(encoding="utf-8")) == RESERVED


@pytest.mark.parametrize(
    "source",
    [
        "from policies.decision import Grant\nGrant(b'', '', '', '', '', (), False)",
        "from policies.decision import Grant as G\nG(b'', '', '', '', '', (), False)",
        "from policies import decision as d\nd.Grant(b'', '', '', '', '', (), False)",
        "import policies.decision\npolicies.decision.Grant(b'', '', '', '', '', (), False)",
        "import policies.decision as d\nd.Grant(b'', '', '', '', '', (), False)",
    ],
)
def test_a_forger_is_found(source):
    assert builders(source) == {"Grant"}
