"""Every provider of roots, each behind the same four things: open it, open it anew, its clock, what it must not show."""

import os
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from moto import mock_aws
from strict_services import StrictKms, StrictTransit, served

from vault.keys.local import FLOOR, KeyFileProvider, PassphraseProvider
from vault.keys.provider import DestructionClass
from vault.keys.providers import aws_kms, transit
from vault.keys.providers.pkcs11 import Pkcs11Provider
from vault.keys.providers.shamir import Quorum, ShamirProvider, deal
from vault.runtime import SystemEntropy

ENTROPY = SystemEntropy()
PASSPHRASE = b"six random words are enough here"
TOKEN = "hvs.a-token-that-must-not-be-shown"
WEEK = 7 * 86_400

KINDS = ("file", "passphrase", "shamir", "pkcs11", "strict kms", "moto kms", "transit")
CLASSES = {
    "strict kms": DestructionClass.DATED,
    "moto kms": DestructionClass.DATED,
}  # the others here: C. SoftHSM2 is a folder of files, and the token says that it is no hardware.


@dataclass
class Home:
    """Where roots of one kind live. `service`: the fake behind it, if any."""

    kind: str
    opener: Any
    clock: Any
    secrets: list = field(default_factory=list)
    service: Any = None
    folder: Path | None = None

    def open(self):
        """A provider as a process has it that was just started."""
        return self.opener()


def home_of(kind, folder: Path, clock, request, stack: ExitStack) -> Home:
    """Make the home of a kind, empty."""
    match kind:
        case "file":
            return Home(kind, lambda: KeyFileProvider(folder, ENTROPY, clock=clock), clock, folder=folder)
        case "passphrase":
            opener = lambda: PassphraseProvider(folder, PASSPHRASE, ENTROPY, FLOOR, clock=clock)  # noqa: E731
            return Home(kind, opener, clock, [PASSPHRASE], folder=folder)
        case "shamir":
            shares = [share.encode() for share in deal(folder, Quorum(2, 3), ENTROPY)]
            opener = lambda: ShamirProvider(folder, shares[1:], ENTROPY, clock=clock)  # noqa: E731
            return Home(kind, opener, clock, shares, folder=folder)
        case "pkcs11":
            token = request.getfixturevalue("hsm")
            opener = lambda: Pkcs11Provider(token.module, "ecrin-test", token.pin, ENTROPY, clock)  # noqa: E731
            return Home(kind, opener, clock, [token.pin.encode()], service=token)
        case "strict kms":
            service = StrictKms(clock)
            url = stack.enter_context(served(service))
            stack.enter_context(credentials())
            return Home(
                kind, lambda: aws_kms.AwsKmsProvider(aws_kms.connect("eu-west-3", url), clock), clock, service=service
            )
        case "moto kms":
            stack.enter_context(credentials())
            stack.enter_context(mock_aws())
            return Home(kind, lambda: aws_kms.AwsKmsProvider(aws_kms.connect("eu-west-3"), clock), clock)
        case "transit":
            service = StrictTransit(TOKEN)
            url = stack.enter_context(served(service))
            opener = lambda: transit.TransitProvider(transit.connect(url, TOKEN), "transit", clock)  # noqa: E731
            return Home(kind, opener, clock, [TOKEN.encode()], service=service)
    raise AssertionError(kind)


def credentials():
    """Synthetic ones, found where boto3 looks first, for as long as the context lasts."""
    patch = pytest.MonkeyPatch.context()
    entered = ExitStack()
    at = entered.enter_context(patch)
    for name, value in {
        "AWS_ACCESS_KEY_ID": "synthetic",
        "AWS_SECRET_ACCESS_KEY": "synthetic",
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
    }.items():
        at.setenv(name, value)
    return entered
