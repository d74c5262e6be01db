"""The composition root: settings in, an opened vault out. The server, the CLI and the tests all come through here."""

from pathlib import Path

from api import bundles
from api.settings import InvalidSettings, Settings
from vault.keys.local import KeyFileProvider, PassphraseProvider
from vault.keys.provider import RootProvider
from vault.runtime import SystemClock, SystemEntropy
from vault.setup import Place, open_vault
from vault.unit import Vault


def place_of(settings: Settings) -> Place:
    """Say where the deployment lives: database, keystore, root key provider."""
    url = settings.database.render_as_string(hide_password=False)
    return Place(url, settings.keystore_path, provider_of(settings))


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


def open_from(settings: Settings) -> Vault:
    """Open the vault that the settings describe. Raises what `vault.setup.open_vault` raises, and `InvalidBundle`."""
    bundle = bundles.load(settings.bundle_path)
    return open_vault(place_of(settings), bundle, clock=SystemClock(), entropy=SystemEntropy())
