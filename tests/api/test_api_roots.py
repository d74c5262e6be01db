"""From settings to a provider of roots: each by its name, refused in a sentence where something is missing."""

import subprocess
import sys
from pathlib import Path

import pytest

from api import roots
from api.settings import InvalidSettings, load
from vault.errors import Conflict, Sealed
from vault.keys.local import KeyFileProvider, PassphraseProvider
from vault.keys.provider import RootState
from vault.keys.providers.aws_kms import AwsKmsProvider
from vault.keys.providers.pkcs11 import Pkcs11Provider
from vault.keys.providers.shamir import ByShares
from vault.keys.providers.transit import TransitProvider
from vault.keys.providers.withheld import WithheldProvider

REF = "00112233445566778899aabbccddeeff"


@pytest.fixture(autouse=True)
def alone(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def secret(tmp_path):
    path = tmp_path / "secret"
    path.touch(mode=0o600)
    path.write_text("a secret that is long enough\n")
    return path


def made(**values):
    return roots.provider_of(load(values))


def findings(**values):
    with pytest.raises(InvalidSettings) as caught:
        made(**values)
    return caught.value.findings


def test_each_name_gives_its_provider(secret):
    assert type(made()) is KeyFileProvider
    assert type(made(root_passphrase_file=secret)) is PassphraseProvider
    assert type(made(root_provider="passphrase")) is WithheldProvider
    assert type(made(root_provider="shamir")) is WithheldProvider
    hsm = {"pkcs11_module": "/usr/lib/hsm.so", "pkcs11_token": "ecrin", "pkcs11_pin_file": secret}
    assert type(made(root_provider="pkcs11", **hsm)) is Pkcs11Provider
    assert type(made(root_provider="aws-kms", kms_region="eu-west-3")) is AwsKmsProvider
    engine = {"transit_url": "https://bao.example", "transit_token_file": secret}
    assert type(made(root_provider="vault-transit", **engine)) is TransitProvider


@pytest.mark.parametrize(
    ("provider", "missing"),
    [
        ("pkcs11", {"pkcs11_module", "pkcs11_token", "pkcs11_pin_file"}),
        ("aws-kms", {"kms_region"}),
        ("vault-transit", {"transit_url", "transit_token_file"}),
    ],
)
def test_what_a_provider_needs_is_said(provider, missing):
    assert {finding.partition(":")[0] for finding in findings(root_provider=provider)} == missing


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("root_provider", "escrow"),
        ("kms_window_days", 6),
        ("kms_window_days", 31),
        ("transit_url", "http://bao.example"),
        ("transit_url", "https://token@bao.example"),
        ("kms_endpoint", "http://kms.example"),
        ("kms_endpoint", "ftp://127.0.0.1"),
    ],
)
def test_what_is_unsafe_is_refused(name, value):
    assert findings(**{name: value})[0].startswith(name)


@pytest.mark.parametrize("name", ["pkcs11_pin_file", "transit_token_file"])
@pytest.mark.parametrize("mode", [0o640, 0o604])
def test_a_secret_that_others_may_read_is_refused(secret, name, mode):
    secret.chmod(mode)
    assert findings(**{name: secret}) == (f"{name}: others may read it; set its mode to 0600",)


@pytest.mark.parametrize("name", ["pkcs11_pin_file", "transit_token_file", "root_passphrase_file"])
def test_a_secret_that_is_not_there_is_said(tmp_path, name):
    provider = {"pkcs11_pin_file": "pkcs11", "transit_token_file": "vault-transit"}.get(name, "passphrase")
    rest = {"pkcs11_module": "/m", "pkcs11_token": "t", "pkcs11_pin_file": "/absent"} if provider == "pkcs11" else {}
    rest |= {"transit_url": "https://bao.example"} if provider == "vault-transit" else {}
    assert findings(root_provider=provider, **rest | {name: tmp_path / "absent"}) == (f"{name}: cannot be read",)


MISSING = """
import sys
sys.modules[sys.argv[1]] = None
from api import roots
from api.settings import InvalidSettings, load
try:
    getattr(roots, sys.argv[2])(load(dict(pair.split("=") for pair in sys.argv[3:])))
except InvalidSettings as error:
    print(*error.findings)
"""


@pytest.mark.parametrize(
    ("module", "extra", "values"),
    [
        ("shamir_mnemonic", "shamir", []),
        ("pkcs11", "pkcs11", ["pkcs11_module=/m", "pkcs11_token=t", "pkcs11_pin_file={secret}"]),
        ("boto3", "aws-kms", ["kms_region=eu-west-3"]),
        ("hvac", "vault-transit", ["transit_url=https://bao.example", "transit_token_file={secret}"]),
    ],
)
def test_a_client_that_is_not_installed_is_named_by_its_extra(secret, module, extra, values):
    factory = "unsealer_of" if extra == "shamir" else "provider_of"
    arguments = [module, factory, f"root_provider={extra}", *(value.format(secret=secret) for value in values)]
    done = subprocess.run(
        [sys.executable, "-c", MISSING, *arguments], check=True, capture_output=True, text=True,
        cwd=Path(__file__).parents[2],
    )  # fmt: skip
    assert done.stdout == f"root_provider: `{extra}` needs its extra; install ecrin[{extra}]\n"


def test_no_client_is_loaded_that_is_not_named():
    code = "import sys; from api import bootstrap, roots; from api.settings import load; roots.provider_of(load({}));"
    code += "print(sorted({'boto3', 'hvac', 'pkcs11', 'shamir_mnemonic', 'requests'} & sys.modules.keys()))"
    done = subprocess.run(
        [sys.executable, "-c", code], check=True, capture_output=True, text=True, cwd=Path(__file__).parents[2]
    )
    assert done.stdout == "[]\n"


def test_a_secret_held_by_people_is_asked_of_them_and_opens_nothing_without(tmp_path):
    settings = load({"root_provider": "shamir"})
    shares = [share.encode() for share in roots.deal_shares(settings, 2, 3)]
    with pytest.raises(Conflict):
        roots.deal_shares(settings, 2, 3)
    unsealer = roots.unsealer_of(settings)
    assert isinstance(unsealer, ByShares)
    unsealer.provider(shares[:2]).create(REF)
    alone = roots.provider_of(settings)
    assert alone.status(REF).state is RootState.LIVE
    for verb in (
        lambda: alone.create(REF),
        lambda: alone.wrap(REF, bytes(32), b""),
        lambda: alone.unwrap(REF, bytes(136), b""),
        lambda: alone.destroy(REF),
    ):
        with pytest.raises(Sealed):
            verb()
    assert unsealer.provider(shares[1:]).status(REF).state is RootState.LIVE
