"""The composition root: settings in, an opened vault out. The server, the CLI and the tests all come through here."""

from collections.abc import Callable
from pathlib import Path

from api.keepers import keeper_of
from api.roots import provider_of, seal_mark
from api.settings import Settings
from vault.errors import Sealed
from vault.keys.closed import closed_keys
from vault.keys.keyd.client import KeydClient
from vault.keys.keystore import open_keystore
from vault.keys.local import KeyFileProvider
from vault.keys.service import KeyService, KeyState
from vault.recovery import restores
from vault.runtime import SystemClock, SystemEntropy
from vault.setup import Place, bundle_in_force, open_vault, refuse_one_cluster
from vault.unit import Vault


def place_of(settings: Settings) -> Place:
    """Say where the deployment lives: database, keystore, root key provider."""
    url = settings.database.render_as_string(hide_password=False)
    return Place(url, settings.keystore, provider_of(settings))


def open_from(settings: Settings) -> Vault:
    """Open the vault that the settings describe, for use: behind the restore guard (`vault.recovery.restores.admit`).

    Raises what `vault.setup.open_vault`, `bundle_in_force` and the guard raise, and `Sealed` while an operator's seal
    stands: on the mark where keys are our own, else, as `KeyHolderUnavailable`, on the key holder's word.
    """
    if settings.keyd_socket is None:
        refuse_sealed(settings)
    vault = open_unadmitted(settings)
    try:
        admit(settings, vault)
    except BaseException:
        vault.close()
        raise
    return vault


def refuse_sealed(settings: Settings) -> None:
    """Raise `Sealed` where an operator put the seal mark: no process opens the keystore then, however it could."""
    if seal_mark(settings).is_set():
        raise Sealed("an operator sealed it: `ecrin unseal`")


def admit(settings: Settings, vault: Vault) -> None:
    """Let the restore guard look at the data, before anybody is served from them."""
    restores.admit(
        vault, lambda since: keeper_of(settings).history(since), settings.checkpoint_file, settings.log_mirror
    )


def open_unadmitted(settings: Settings) -> Vault:
    """Open the vault as it is, also one whose data have just been brought back: for a restore alone.

    A restore goes on under an operator's seal. Where data or keystore are lost no unsealing could be put on record, and
    after it the services are closed still.
    """
    if settings.keyd_socket is None:
        return _open(settings, None)
    vault = open_to_serve(settings)
    try:
        sealed = vault.keys.status().state is KeyState.SEALED
    except BaseException:
        vault.close()
        raise
    if sealed:
        vault.close()
        raise Sealed("the key holder is sealed")
    return vault


def open_to_serve(settings: Settings) -> Vault:
    """Open all of the vault that needs no key. Its keys are sealed, or in the holder, whatever that says now."""
    socket = settings.keyd_socket
    if socket is None:
        return _open(settings, lambda _: closed_keys())
    return _open(settings, lambda deployment: KeydClient(socket, deployment))


def open_keys(settings: Settings, vault: Vault) -> KeyService:
    """Open this process's own keystore for a vault that was opened without."""
    place = place_of(settings)
    refuse_one_cluster(place)
    return open_keystore(place.keystore, place.provider, vault.deployment)


def open_keys_alone(settings: Settings) -> KeyService:
    """Open the keys where there are no data yet. Raises `Sealed`, `KeyHolderUnavailable`, `WrongDeployment`."""
    if settings.keyd_socket is not None:
        return KeydClient(settings.keyd_socket, settings.deployment)
    place = place_of(settings)
    return open_keystore(place.keystore, place.provider, settings.deployment)


def data_place_of(settings: Settings) -> Place:
    """Say where the data lives; of the root nothing is read, which may be another account's."""
    url = settings.database.render_as_string(hide_password=False)
    return Place(url, settings.keystore_path, KeyFileProvider(Path(), SystemEntropy()))


def _open(settings: Settings, keys: Callable[[str], KeyService] | None) -> Vault:
    place = data_place_of(settings) if keys else place_of(settings)
    vault = open_vault(
        place,
        bundle_in_force(place),
        clock=SystemClock(),
        entropy=SystemEntropy(),
        keys=keys,
    )
    vault.mirror = settings.log_mirror
    return vault
