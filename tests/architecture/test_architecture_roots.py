"""No long-lived key may ever wrap the root of an epoch: there is no way to hand one in, and few who may ask to wrap."""

import ast
import importlib
import inspect
from pathlib import Path

import pytest

from api.settings import Settings
from vault.keys.provider import DestroyingProvider, RootProvider

ROOT = Path(__file__).resolve().parents[2]
VERBS = {
    "create": ["self", "ref"],
    "wrap": ["self", "ref", "key", "context"],
    "unwrap": ["self", "ref", "wrapped", "context"],
    "status": ["self", "ref"],
    "destroy": ["self", "ref"],
}
PROVIDERS = [
    "local.KeyFileProvider",
    "local.PassphraseProvider",
    "providers.shamir.ShamirProvider",
    "providers.pkcs11.Pkcs11Provider",
    "providers.aws_kms.AwsKmsProvider",
    "providers.transit.TransitProvider",
    "providers.withheld.WithheldProvider",
]
SECRETS_AND_ADDRESSES = {"folder", "passphrase", "shares", "module", "token", "pin", "client", "mount"}
OTHER_PARTS = {"entropy", "clock", "cost", "window_days"}


def provider(name):
    module, _, kind = name.rpartition(".")
    return getattr(importlib.import_module(f"vault.keys.{module}"), kind)


def parameters(function):
    return list(inspect.signature(function).parameters)


def test_the_list_of_providers_is_whole():
    found = set()
    for path in [ROOT / "vault/keys/local.py", *(ROOT / "vault/keys/providers").glob("*.py")]:
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.ClassDef) and node.name.endswith("Provider"):
                found.add(f"{'providers.' if path.parent.name == 'providers' else ''}{path.stem}.{node.name}")
    assert found == set(PROVIDERS)


@pytest.mark.parametrize("name", PROVIDERS)
def test_no_verb_takes_a_key_that_somebody_brought(name):
    kind = provider(name)
    for verb, expected in VERBS.items():
        assert parameters(getattr(kind, verb)) == expected, verb
    verbs = {each for each, value in vars(kind).items() if inspect.isfunction(value) and not each.startswith("_")}
    assert verbs <= VERBS.keys() | {"forget"}


@pytest.mark.parametrize("name", PROVIDERS)
def test_no_provider_is_built_around_a_key(name):
    """What it is given says where roots are and what opens that place. No key, key id or alias is among it."""
    assert set(parameters(provider(name).__init__)) - {"self"} <= SECRETS_AND_ADDRESSES | OTHER_PARTS


def test_the_interface_has_five_verbs():
    assert {each for each in vars(RootProvider) if not each.startswith("_")} == VERBS.keys() - {"destroy"}
    assert {each for each in vars(DestroyingProvider) if not each.startswith("_")} == {"destroy", "capabilities"}


def test_no_setting_names_a_key():
    """Settings say where roots live. One that named a key would be the place to put the group's own."""
    for name in Settings.model_fields:
        words = set(name.split("_"))
        assert not words & {"key", "keys", "kek", "alias", "arn", "escrow", "recovery", "keyid"}, name


def calls(attribute, arguments):
    """Modules of ours that call a method of this name with so many arguments."""
    found = set()
    for package in ("api", "vault", "audit", "policies"):
        for path in (ROOT / package).rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text("utf-8"))):
                if (
                    isinstance(node, ast.Call)
                    and isinstance(node.func, ast.Attribute)
                    and node.func.attr == attribute
                    and len(node.args) + len(node.keywords) == arguments
                ):
                    found.add(path.relative_to(ROOT).as_posix())
    return found


def test_only_drawing_an_epoch_wraps_under_a_root():
    """A provider's `wrap` has three arguments, and no other `wrap` of ours has."""
    assert calls("wrap", 3) == {"vault/keys/toppage.py"}


def test_what_is_wrapped_was_drawn_there():
    """The one call wraps 32 bytes drawn in the same function, under a name the caller drew for this epoch."""
    tree = ast.parse((ROOT / "vault/keys/toppage.py").read_text("utf-8"))
    (function,) = [
        node
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef)
        and any(isinstance(each, ast.Attribute) and each.attr == "wrap" for each in ast.walk(node))
    ]
    assert function.name == "draw_epoch"
    assert "top_key" not in [argument.arg for argument in function.args.args]


def test_only_the_epoch_change_destroys_a_root():
    assert "vault/keys/epochs.py" in calls("destroy", 1)
    assert calls("destroy", 1) <= {"vault/keys/epochs.py"}
