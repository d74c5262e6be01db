"""A verifier as one file: the modules it is made of, joined in the order they need each other.

An auditor gets a single Python file to read and to run with nothing but `cryptography` installed. It is made from the
very modules the product runs, not kept beside them: `python -m audit.standalone > verify.py` for the log, and
`python -m audit.standalone certificate > verify.py` for certificates of erasure.

Joining is plain: imports of each other go, imports of libraries move to the top, and every module keeps its text. No
two of them may define the same name; that is checked here, since the later one would silently win.
"""

import ast
import sys
from collections.abc import Sequence
from pathlib import Path

from audit.errors import AuditError

MODULES = (
    "errors",
    "merkle",
    "note",
    "checkpoint",
    "grammar",
    "tiles",
    "stored",
    "findings",
    "keychange",
    "prunedpart",
    "targets",
    "strangers",
    "recompute",
    "directory",
    "served",
    "cosignature",
    "quorum",
    "tlogproof",
    "receipt",
    "pseudonym",
    "spreadsheet",
    "keystatement",
    "selection",
    "archive",
    "stamp",
    "bundleparts",
    "bundlevouched",
    "bundlecheck",
    "commitment",
    "subjectentries",
    "detail",
    "bundledetails",
    "single",
    "packagecheck",
    "verify",
)
OF_CERTIFICATES = (
    "errors", "merkle", "note", "checkpoint", "grammar", "findings", "stored", "keychange", "targets", "tlogproof",
    "keystatement", "certificate", "certificatecheck",
)  # fmt: skip


def standalone(modules: Sequence[str] = MODULES) -> str:
    """Return the source of a one-file verifier; the last of its modules is what it runs."""
    folder = Path(__file__).parent
    imports: set[str] = set()
    names: dict[str, str] = {}
    parts = []
    for module in modules:
        source = (folder / f"{module}.py").read_text("utf-8")
        tree = ast.parse(source)
        for name in _defined(tree):
            if names.setdefault(name, module) != module:
                raise AuditError(f"{name} is defined by {names[name]} and by {module}")
        imports.update(ast.unparse(node) for node in tree.body if _library(node))
        parts.append(_body(module, source, tree))
    documentation = ast.get_docstring(ast.parse((folder / f"{modules[-1]}.py").read_text("utf-8")))
    return f'"""{documentation}\n"""\n\n' + "\n".join(sorted(imports)) + "\n" + "".join(parts)


def _body(module: str, source: str, tree: ast.Module) -> str:
    """Return a module's text from the first statement that is neither its docstring nor an import."""
    statements = [node for node in tree.body[1:] if not isinstance(node, ast.Import | ast.ImportFrom)]
    lines = source.splitlines(keepends=True)
    first = statements[0]
    start = min([first.lineno, *(each.lineno for each in getattr(first, "decorator_list", []))]) - 1
    title = ast.get_docstring(tree) or ""
    return f"\n\n# --- {module}: {title.splitlines()[0]}\n\n{''.join(lines[start:])}"


def _library(node: ast.stmt) -> bool:
    if isinstance(node, ast.ImportFrom):
        return not (node.module or "").startswith("audit")
    return isinstance(node, ast.Import)


def _defined(tree: ast.Module) -> set[str]:
    names = set()
    for node in tree.body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            names.add(node.name)
        elif isinstance(node, ast.Assign):
            names.update(each.id for target in node.targets for each in ast.walk(target) if isinstance(each, ast.Name))
        elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            names.add(node.target.id)
    return names - {"__all__"}


if __name__ == "__main__":
    sys.stdout.write(standalone(OF_CERTIFICATES if sys.argv[1:] == ["certificate"] else MODULES))
