"""The root key as the settings describe it: its provider, and what it takes to open it. Loads no more than that needs.

Apart from `api.bootstrap`, because the key holder process starts anew after each epoch and should be back at once.
"""

from pathlib import Path

from api.settings import InvalidSettings, Settings
from vault.keys.keyd.holder import SealMark, Unattended, Unsealer
from vault.keys.local import KeyFileProvider, PassphraseProvider
from vault.keys.provider import RootProvider
from vault.runtime import SystemEntropy


def provider_of(settings: Settings) -> RootProvider:
    """Return the provider of the root key: a file sealed by a passphrase, or a bare key file. Reads the passphrase."""
    entropy = SystemEntropy()
    if settings.root_passphrase_file is None:
        return KeyFileProvider(settings.root_key_file or Path(), entropy)
    try:
        passphrase = settings.root_passphrase_file.read_bytes().strip()
        return PassphraseProvider(settings.root_sealed_path, passphrase, entropy)
    except OSError:
        raise InvalidSettings(("root_passphrase_file: cannot be read",)) from None
    except ValueError:
        raise InvalidSettings(("root_passphrase_file: the passphrase is too short",)) from None


def unsealer_of(settings: Settings) -> Unsealer:
    """Say what has to come together before the key holder opens the root."""
    return Unattended(provider_of(settings))


def seal_mark(settings: Settings) -> SealMark:
    """Say where an operator's seal is written down."""
    return SealMark(settings.data_dir / "sealed", SystemEntropy())
