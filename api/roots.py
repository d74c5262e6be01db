"""The root key as the settings describe it: its provider, and what it takes to open it. Loads no more than that needs.

Apart from `api.bootstrap`, because the key holder process starts anew after each epoch and should be back at once.
"""

from pathlib import Path

from api.settings import InvalidSettings, Settings
from vault.keys.keyd.holder import ByPassphrase, SealMark, Unattended, Unsealer
from vault.keys.local import KeyFileProvider, PassphraseProvider
from vault.keys.provider import DestroyingProvider
from vault.runtime import SystemEntropy


def provider_of(settings: Settings) -> DestroyingProvider:
    """Return the provider of the root key that `root_provider` names. Reads the passphrase; opens nothing."""
    entropy = SystemEntropy()
    if settings.root_provider == "file":
        return KeyFileProvider(settings.root_folder, entropy)
    try:
        passphrase = (settings.root_passphrase_file or Path()).read_bytes().strip()
        return PassphraseProvider(settings.root_folder, passphrase, entropy)
    except OSError:
        raise InvalidSettings(("root_passphrase_file: cannot be read",)) from None
    except ValueError:
        raise InvalidSettings(("root_passphrase_file: the passphrase is too short",)) from None


def unsealer_of(settings: Settings) -> Unsealer:
    """Say what has to come together before the key holder opens the root."""
    if settings.root_provider == "passphrase" and settings.root_passphrase_file is None:
        return ByPassphrase(lambda secret: PassphraseProvider(settings.root_folder, secret, SystemEntropy()))
    return Unattended(provider_of(settings))


def seal_mark(settings: Settings) -> SealMark:
    """Say where an operator's seal is written down."""
    return SealMark(settings.data_dir / "sealed", SystemEntropy())
