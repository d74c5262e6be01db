"""The dependency rule: api -> vault -> (policies | audit), read from the import statements themselves.

import-linter holds the same rule with chains in `make arch`. This second reading is direct, needs no configuration file
that a change could loosen in passing, and names the line.
"""

import ast
import sys
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("api", "vault", "policies", "audit")
MODULES = sorted(path for package in PACKAGES for path in (ROOT / package).rglob("*.py"))
LAYER = {"policies": 0, "audit": 0, "vault": 1, "api": 2}
PROCESS_AND_IO = {
    "os",
    "io",
    "pathlib",
    "socket",
    "sqlite3",
    "subprocess",
    "tempfile",
    "threading",
    "time",
    "random",
    "secrets",
}


def name(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


@cache
def imports(path: Path) -> tuple[tuple[int, str], ...]:
    """Give (line, absolute module name) for each import, `from x import y` as both x and x.y."""
    package = path.relative_to(ROOT).parent.parts
    found = []
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found += [(node.lineno, alias.name) for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = ".".join(package[: len(package) - node.level + 1]) if node.level else ""
            module = ".".join(part for part in (base, node.module) if part)
            found += [(node.lineno, module), *((node.lineno, f"{module}.{alias.name}") for alias in node.names)]
    return tuple(found)


def offences(paths: list[Path], forbidden) -> list[str]:
    return sorted(
        {
            f"{name(path)}:{line} imports {module}"
            for path in paths
            for line, module in imports(path)
            if forbidden(path, module)
        }
    )


def test_layers_point_one_way():
    def upward(path: Path, module: str) -> bool:
        mine, theirs = path.relative_to(ROOT).parts[0], module.partition(".")[0]
        return theirs in LAYER and theirs != mine and LAYER[theirs] >= LAYER[mine]

    assert not offences(MODULES, upward)


def test_product_imports_no_test():
    assert not offences(MODULES, lambda _, module: module.partition(".")[0] == "tests")


def test_policies_decide_without_looking_outside():
    forbidden = PROCESS_AND_IO | {"fastapi", "starlette", "sqlmodel", "sqlalchemy", "cryptography", "httpx2", "psycopg"}
    paths = [path for path in MODULES if name(path).startswith("policies/")]
    assert not offences(paths, lambda _, module: module.partition(".")[0] in forbidden)


def test_verifier_and_all_behind_it_need_the_standard_library_and_cryptography_alone():
    """An auditor runs it without installing us."""
    allowed = sys.stdlib_module_names | {"cryptography", "audit"}
    reached, waiting = set(), {"audit.verify"}
    while waiting:
        module = waiting.pop()
        reached.add(path := ROOT / f"{module.replace('.', '/')}.py")
        found = {found for _, found in imports(path) if found.startswith("audit.")}
        waiting |= {
            module
            for module in found
            if (candidate := ROOT / f"{module.replace('.', '/')}.py").is_file() and candidate not in reached
        }
    assert not offences(sorted(reached), lambda _, module: module.partition(".")[0] not in allowed)
    assert len(reached) > 1


def test_routes_reach_the_store_through_the_services():
    assert not offences(
        [path for path in MODULES if name(path).startswith("api/")], lambda _, module: module.startswith("vault.store")
    )


def test_client_stands_alone():
    def server(_: Path, module: str) -> bool:
        top = module.partition(".")[0]
        return top in {"vault", "policies", "audit", "fastapi", "sqlmodel", "sqlalchemy"} or (
            top == "api" and module != "api" and not module.startswith("api.client")
        )

    assert not offences([path for path in MODULES if name(path).startswith("api/client/")], server)


@pytest.mark.parametrize("package", PACKAGES)
def test_package_files_hold_a_docstring_and_no_code(package):
    """An eager import in a package file would pull every module behind it into each chain above."""
    guilty = []
    for path in (ROOT / package).rglob("__init__.py"):
        body = ast.parse(path.read_text(encoding="utf-8")).body
        if len(body) != 1 or not isinstance(body[0], ast.Expr) or not isinstance(body[0].value, ast.Constant):
            guilty.append(name(path))
    assert not guilty
    assert (ROOT / package / "__init__.py").is_file()
    assert (ROOT / package / "py.typed").is_file()
