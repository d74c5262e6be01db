"""The root key as the settings describe it: its provider, and what it takes to open it. Loads no more than that needs.

Apart from `api.bootstrap`, because the key holder process starts anew after each epoch and should be back at once.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from api.settings import InvalidSettings, Settings
from vault.keys.keyd.holder import ByPassphrase, SealMark, Unattended, Unsealer
from vault.keys.local import KeyFileProvider, PassphraseProvider
from vault.keys.provider import DestroyingProvider
from vault.keys.providers.withheld import WithheldProvider
from vault.runtime import SystemClock, SystemEntropy


def provider_of(settings: Settings) -> DestroyingProvider:
    """Return the provider that `root_provider` names. Reads secrets from their files; opens nothing.

    Where the secret is not in a file but with people, the provider says Sealed to everything: `unsealer_of` asks them.
    Raises InvalidSettings, also when the provider's client is not installed.
    """
    entropy, clock = SystemEntropy(), SystemClock()
    match settings.root_provider:
        case "file":
            return KeyFileProvider(settings.root_folder, entropy)
        case "passphrase" if settings.root_passphrase_file is not None:
            try:
                return PassphraseProvider(settings.root_folder, _secret(settings, "root_passphrase_file"), entropy)
            except ValueError:
                raise InvalidSettings(("root_passphrase_file: the passphrase is too short",)) from None
        case "passphrase" | "shamir":
            return WithheldProvider(settings.root_folder)
        case "pkcs11":
            with _client_of("pkcs11"):
                from vault.keys.providers.pkcs11 import Pkcs11Provider  # noqa: PLC0415 - an extra
            pin = _secret(settings, "pkcs11_pin_file").decode("utf-8", "replace")
            return Pkcs11Provider(settings.pkcs11_module or Path(), settings.pkcs11_token, pin, entropy, clock)
        case "aws-kms":
            with _client_of("aws-kms"):
                from vault.keys.providers import aws_kms  # noqa: PLC0415 - an extra
            client = aws_kms.connect(settings.kms_region, settings.kms_endpoint or None)
            return aws_kms.AwsKmsProvider(client, clock, settings.kms_window_days)
        case "vault-transit":
            with _client_of("vault-transit"):
                from vault.keys.providers import transit  # noqa: PLC0415 - an extra
            token = _secret(settings, "transit_token_file").decode("utf-8", "replace")
            ca_file = str(settings.transit_ca_file) if settings.transit_ca_file else None
            client = transit.connect(
                settings.transit_url, token, namespace=settings.transit_namespace or None, ca_file=ca_file
            )
            return transit.TransitProvider(client, settings.transit_mount, clock)


def unsealer_of(settings: Settings) -> Unsealer:
    """Say what has to come together before the key holder opens the root."""
    folder, entropy = settings.root_folder, SystemEntropy()
    if settings.root_provider == "passphrase" and settings.root_passphrase_file is None:
        return ByPassphrase(lambda passphrase: PassphraseProvider(folder, passphrase, entropy))
    if settings.root_provider == "shamir":
        with _client_of("shamir"):
            from vault.keys.providers.shamir import ByShares  # noqa: PLC0415 - an extra
        return ByShares(folder, entropy)
    return Unattended(provider_of(settings))


@contextmanager
def _client_of(extra: str) -> Iterator[None]:
    """Say which extra is missing, instead of which module."""
    try:
        yield
    except ModuleNotFoundError:
        raise InvalidSettings((f"root_provider: `{extra}` needs its extra; install ecrin[{extra}]",)) from None


def _secret(settings: Settings, name: str) -> bytes:
    path: Path | None = getattr(settings, name)
    try:
        return (path or Path()).read_bytes().strip()
    except OSError:
        raise InvalidSettings((f"{name}: cannot be read",)) from None


def deal_shares(settings: Settings, needed: int, total: int) -> tuple[str, ...]:
    """Draw the secret of the roots to be, as shares. Raises ValueError for a quorum that protects nothing, Conflict."""
    with _client_of("shamir"):
        from vault.keys.providers import shamir  # noqa: PLC0415 - an extra
    return shamir.deal(settings.root_folder, shamir.Quorum(needed, total), SystemEntropy())


def seal_mark(settings: Settings) -> SealMark:
    """Say where an operator's seal is written down."""
    return SealMark(settings.data_dir / "sealed", SystemEntropy())
