"""What no `repr` may say, and what no exception may carry on: both leak by themselves, into logs and error trackers."""

import ast
import re
from functools import cache
from pathlib import Path

import pytest

from api.bodies.common import Answer, Body

ROOT = Path(__file__).resolve().parents[2]
MODULES = sorted(path for package in ("api", "vault", "policies", "audit") for path in (ROOT / package).rglob("*.py"))

# Values, what they are asked by, references, whoever else is named, key material, and words that callers choose. Ids of
# subjects are not among them: they are drawn at random, never leave the vault, and are what a fault is looked up by.
SENSITIVE = re.compile(
    r"(subject_|actor_)?token|references?|ref|guardian|of_age_on|evidence_hash|place|collector|staff|detail|plaintext"
    r"|value|message|dated|asked|log_keys?|top_key|private|secret|key|trace|reason_given|bits|wishes"
)
SENSITIVE_TYPE = re.compile(r"\bAny$|^T$|\bJsonValue\b|\bFieldInput\b|\bDated\b|PrivateKey\b")
HARMLESS_TYPE = re.compile(
    r"(int|bool|float|Path)( \| None)?|Callable\[.*|Entropy|(Cosigner|Verifier)Key|tuple\[Column, \.\.\.\]"
)
# What is called like one of them and is none.
HARMLESS = {
    "api/authn/jwk.py::PublicKey.key": "a public key",
    "api/demo/people.py::Person.place": "a country and its cities, of a made-up person",
    "api/demo/tampering.py::Evidence.key": "a verifier's key",
    "api/settings.py::Described.value": "secrets are masked before",
    "policies/difference.py::Facet.value": "what a policy file says",
    "policies/difference.py::Line.value": "what a policy file says",
    "vault/reports/view.py::View.asked": "hides the reference in it",
    "audit/findings.py::Finding.message": "our own words",
    "audit/keychange.py::KeyChange.key": "a public key",
    "audit/note.py::Signature.value": "a published signature",
    "policies/purposes.py::Purpose.key": "a purpose's name",
    "vault/envelope.py::Sealed.message": "sealed",
    "vault/guardians.py::Standing.guardian": "a subject's id",
    "vault/keys/copies.py::CopyInfo.place": "a folder's name",
    "vault/keys/pagestore.py::EpochRow.top_key": "wrapped by the root key",
    "vault/predicates.py::Questions.asked": "names of predicates",
    "vault/rememberedepochs.py::_Kind.key": "a column's name",
    "vault/remembering.py::Handle.key": "a keyed hash",
}


def name(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


@cache
def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def is_record(node: ast.ClassDef) -> bool:
    decorated = any("dataclass" in ast.unparse(each) for each in node.decorator_list)
    return decorated or any(ast.unparse(base).endswith("NamedTuple") for base in node.bases)


def is_silent(node: ast.ClassDef) -> bool:
    """Whether the class says nothing: its own `__repr__`, or none that shows fields."""
    own = any(isinstance(each, ast.FunctionDef) and each.name == "__repr__" for each in node.body)
    return own or any("repr=False" in ast.unparse(each) for each in node.decorator_list)


def shown(source: ast.Module) -> list[str]:
    """Give the fields of records that a `repr` shows and should not, as `Class.field`."""
    found = []
    for node in ast.walk(source):
        if not isinstance(node, ast.ClassDef) or not is_record(node) or is_silent(node):
            continue
        for each in node.body:
            if not isinstance(each, ast.AnnAssign) or not isinstance(each.target, ast.Name):
                continue
            kind = ast.unparse(each.annotation)
            if each.value is not None and "repr=False" in ast.unparse(each.value):
                continue
            if HARMLESS_TYPE.fullmatch(kind) or kind.startswith("ClassVar"):
                continue
            if SENSITIVE.fullmatch(each.target.id) or SENSITIVE_TYPE.search(kind):
                found.append(f"{node.name}.{each.target.id}")
    return found


def chained(source: ast.Module) -> list[int]:
    """Give the lines that raise another exception than the one being handled, and not `from None`."""
    return [
        node.lineno
        for handler in ast.walk(source)
        if isinstance(handler, ast.ExceptHandler)
        for node in ast.walk(handler)
        if isinstance(node, ast.Raise)
        and node.exc is not None
        and not (isinstance(node.cause, ast.Constant) and node.cause.value is None)
    ]


@pytest.mark.parametrize("path", MODULES, ids=name)
def test_no_repr_shows_what_is_personal_or_secret(path):
    assert not [each for each in shown(tree(path)) if f"{name(path)}::{each}" not in HARMLESS]


def test_what_is_called_harmless_is_there_and_shown():
    """An exception that nothing needs any more would hide the next field of that name."""
    found = {f"{name(path)}::{each}" for path in MODULES for each in shown(tree(path))}
    assert found == set(HARMLESS)


@pytest.mark.parametrize(
    ("source", "fields"),
    [
        ("@dataclass\nclass A:\n    reference: str", ["A.reference"]),
        ("@dataclass(frozen=True)\nclass A:\n    log_key: bytes | None = None", ["A.log_key"]),
        ("@dataclass\nclass A:\n    what: JsonValue = field(default=None)", ["A.what"]),
        ("class A(NamedTuple):\n    message: bytes", ["A.message"]),
        ("class A(NamedTuple):\n    message: bytes\n    def __repr__(self): ...", []),
        ("@dataclass(repr=False)\nclass A:\n    reference: str", []),
        ("@dataclass\nclass A:\n    reference: str = field(repr=False)\n    references: int = 0", []),
        ("class A:\n    reference: str", []),
    ],
)
def test_what_is_shown_is_found(source, fields):
    assert shown(ast.parse(source)) == fields


@pytest.mark.parametrize("kind", [Body, Answer])
def test_bodies_say_nothing_of_what_they_hold(kind):
    class Told(kind):
        phone: str

    told = Told(phone="+33639981234")
    assert not re.search(r"\d{4}", f"{told!r} {told} {[told]}")


@pytest.mark.parametrize("path", MODULES, ids=name)
def test_no_exception_carries_on_the_one_it_was_raised_for(path):
    """A parser's error holds the document, a driver's the parameters: a cause is printed with every trace."""
    assert not chained(tree(path))


@pytest.mark.parametrize(
    ("raised", "lines"),
    [("raise Bad", [4]), ("raise Bad from error", [4]), ("raise Bad from None", []), ("raise", [])],
)
def test_a_chained_exception_is_found(raised, lines):
    assert chained(ast.parse(f"try:\n    read()\nexcept ValueError as error:\n    {raised}")) == lines
