"""The shape of a module: small, named for what it holds, and free of the few calls that would break a promise."""

import ast
import re
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("api", "vault", "policies", "audit")
MODULES = sorted(path for package in PACKAGES for path in (ROOT / package).rglob("*.py"))
LARGEST = 15_000
# Settings are one flat list, and migrations are generated: neither gets clearer by being cut.
LONG_BY_NATURE = re.compile(r"(^|/)(settings\.py|migrations/versions/.+\.py)$")
VAGUE = {"utils", "util", "helpers", "helper", "manager", "managers", "misc", "common_utils", "base", "stuff", "tools"}
ENVIRONMENT_READERS = {"api/settings.py"}
# The client stands alone and cannot import the vault's clock: it carries its own.
CLOCKS_AND_ENTROPY = {"vault/runtime.py", "api/client/exchange.py"}


def name(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


@cache
def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def attributes(path: Path) -> set[str]:
    """Give every dotted `a.b` that the module mentions."""
    return {
        f"{node.value.id}.{node.attr}"
        for node in ast.walk(tree(path))
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name)
    }


def test_modules_stay_small_enough_to_review():
    large = {
        name(path): path.stat().st_size
        for path in MODULES
        if path.stat().st_size > LARGEST and not LONG_BY_NATURE.search(name(path))
    }
    assert not large


def test_modules_are_named_for_what_they_hold():
    assert not [name(path) for path in MODULES if VAGUE & set(path.relative_to(ROOT).with_suffix("").parts)]


def test_classes_are_named_for_what_they_are():
    vague = re.compile(r"(Utils?|Helpers?|Manager)$")
    assert not [
        f"{name(path)}: {node.name}"
        for path in MODULES
        for node in ast.walk(tree(path))
        if isinstance(node, ast.ClassDef) and vague.search(node.name)
    ]


@pytest.mark.parametrize(
    ("calls", "homes"),
    [
        ({"os.environ", "os.getenv", "os.environb"}, ENVIRONMENT_READERS),
        ({"os.urandom", "secrets.token_bytes", "time.time", "time.time_ns"}, CLOCKS_AND_ENTROPY),
    ],
)
def test_the_world_enters_through_named_doors(calls, homes):
    assert not [name(path) for path in MODULES if name(path) not in homes and attributes(path) & calls]


def test_no_dependency_commits():
    """FastAPI runs the half of a `yield` dependency behind the yield after the response has left: too late to refuse."""
    functions = [
        (path, node)
        for path in MODULES
        if name(path).startswith("api/")
        for node in ast.walk(tree(path))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    ]
    assert not [
        f"{name(path)}:{function.lineno}"
        for path, function in functions
        if any(isinstance(node, ast.Yield) for node in ast.walk(function))
        and any(isinstance(node, ast.Attribute) and node.attr == "commit" for node in ast.walk(function))
    ]


def test_nothing_executable_is_unpickled_or_evaluated():
    forbidden = {"pickle", "marshal", "shelve", "dill"}
    guilty = []
    for path in MODULES:
        for node in ast.walk(tree(path)):
            if isinstance(node, ast.Import) and forbidden & {alias.name.partition(".")[0] for alias in node.names}:
                guilty.append(f"{name(path)}:{node.lineno}")
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in {"eval", "exec"}:
                guilty.append(f"{name(path)}:{node.lineno}")
    assert not guilty


def test_security_has_no_assert_statement():
    """`python -O` removes asserts: a check that matters must raise."""
    assert not [
        f"{name(path)}:{node.lineno}"
        for path in MODULES
        for node in ast.walk(tree(path))
        if isinstance(node, ast.Assert)
    ]
