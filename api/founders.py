"""The founding officers' keys, as files, and the first policy version that they sign (`vault.governance.founding`)."""

from pathlib import Path
from typing import Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from api import bootstrap, bundles
from api.settings import Settings
from vault.governance import founding, officerkeys
from vault.governance.versions import Version
from vault.keys.closed import closed_keys
from vault.keys.private_file import read_private, write_private
from vault.runtime import Entropy, SystemClock, SystemEntropy
from vault.setup import open_vault

FOLDER: Final = "officers"  # in the data folder; the keys are needed no more once officers of the house have signed


def found(settings: Settings) -> Version | None:
    """Put the bundle of the settings in force where none is, under two signatures made here and now.

    Needs no key of the vault. Raises `InvalidBundle`, and what opening the database raises.
    """
    entropy = SystemEntropy()
    vault = open_vault(
        bootstrap.data_place_of(settings), bundles.load(), clock=SystemClock(), entropy=entropy,
        keys=lambda _: closed_keys(),
    )  # fmt: skip
    try:
        if not founding.is_unfounded(vault):
            return None
        name, files = bundles.read(settings.bundle_path)
        folder = settings.data_dir / FOLDER
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        keys = {each: _drawn(folder / f"{each}.key", entropy) for each in founding.ROLES}
        return founding.found(vault, files, name, keys)
    finally:
        vault.close()


def _drawn(path: Path, entropy: Entropy) -> Ed25519PrivateKey:
    """Return a founder's key, drawn anew unless a run that did not come to its end has left one."""
    # Why safe: 256 bits from the system's generator are an Ed25519 seed (RFC 8032 §5.1.5).
    key = Ed25519PrivateKey.from_private_bytes(entropy.bytes(32))
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    if write_private(path, pem, entropy.bytes(8).hex()):
        return key
    found = officerkeys.read_private(read_private(path, officerkeys.LARGEST_KEY))
    if not isinstance(found, Ed25519PrivateKey):
        raise TypeError("a founder's key is Ed25519")
    return found
