"""Cryptography is found by search and not by memory: every use of a primitive stands in docs/cryptography.md, and no other."""

import ast
import re
from collections import defaultdict
from pathlib import Path

from test_architecture_modules import MODULES, name, tree

ROOT = Path(__file__).resolve().parents[2]
ROW = re.compile(r"^\| `([\w.]+)` \| ([^|]+) \| ([^|]+) \| ([^|]+) \|$", re.MULTILINE)
# Whatever makes, checks, hides or opens something; without what only names errors and encodings.
FOREIGN = {
    "argon2", "boto3", "hvac", "joserfc", "jwt", "pkcs11", "pyotp", "rfc3161_client", "secrets", "shamir_mnemonic", "ssl",
    "webauthn",
}  # fmt: skip
GROUPS = {"cryptography", "cryptography.hazmat.primitives", "cryptography.hazmat.primitives.asymmetric"}
NO_PRIMITIVE = re.compile(
    r"cryptography\.(exceptions|hazmat\.primitives\.(serialization|asymmetric\.utils|hashes|hmac))$"
)
HASHES = {"sha256", "file_digest"}  # the second is given the name of the first


def imported(path):
    """Give every module that a module imports, also inside a function."""
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            if node.module in GROUPS:
                yield from (f"{node.module}.{alias.name}" for alias in node.names)
            else:
                yield node.module


def found():
    """Give every source of primitives, and the modules that use it."""
    uses = defaultdict(set)
    for path in MODULES:
        for each in imported(path):
            top = each.partition(".")[0]
            if top in FOREIGN:
                uses[top].add(name(path))
            elif top == "cryptography" and not NO_PRIMITIVE.match(each):
                uses[each].add(name(path))
        if mentioned(path, "hmac", {"new", "digest"}) or "cryptography.hazmat.primitives.hmac" in set(imported(path)):
            uses["hmac"].add(name(path))
    return dict(uses)


def mentioned(path, module, names):
    """Whether a module uses these names of another: imported by name, or by a dot."""
    return any(
        (isinstance(node, ast.ImportFrom) and node.module == module and names & {alias.name for alias in node.names})
        or (
            isinstance(node, ast.Attribute)
            and isinstance(node.value, ast.Name)
            and node.value.id == module
            and node.attr in names
        )
        for node in ast.walk(tree(path))
    )


def test_every_use_of_a_primitive_is_in_the_inventory_and_no_other():
    text = (ROOT / "docs/cryptography.md").read_text(encoding="utf-8")
    told = {source: set(re.findall(r"`([\w/]+\.py)`", where)) for source, _, _, where in ROW.findall(text)}
    assert told == found()


def test_one_hash_is_used():
    """What is hashed is hashed by SHA-256, wherever that is; other lengths are named where a standard asks for them."""
    others = {
        "sha1",
        "md5",
        "sha224",
        "sha384",
        "sha512",
        "sha3_256",
        "blake2b",
        "blake2s",
        "new",
        "shake_128",
        "shake_256",
    }
    assert not [name(path) for path in MODULES if mentioned(path, "hashlib", others)]
    for path in MODULES:
        for node in ast.walk(tree(path)):
            if isinstance(node, ast.ImportFrom) and node.module == "hashlib":
                assert {alias.name for alias in node.names} <= HASHES, name(path)


def test_every_row_says_what_a_quantum_computer_would_do_to_it():
    text = (ROOT / "docs/cryptography.md").read_text(encoding="utf-8")
    assert all(after.strip() in {"holds", "falls", "none", "theirs"} for _, _, after, _ in ROW.findall(text))
