"""The epoch keeper as the settings describe it: beside the keys in this process, or in the key holder."""

from api import roots
from api.settings import Settings
from vault.keys.copies import FolderPlace
from vault.keys.home import open_store
from vault.keys.keeper import ChangeKeeper, EpochKeeper, ReadBack
from vault.keys.keyd.client import KeydClient
from vault.keys.keyd.remotekeeper import RemoteKeeper
from vault.keys.provider import DestroyingProvider
from vault.runtime import SystemClock, SystemEntropy


def keeper_of(settings: Settings) -> EpochKeeper:
    """Return the keeper for the data plane, which need not know where the keys live. Opens nothing yet."""
    if settings.keyd_socket is not None:
        return RemoteKeeper(KeydClient(settings.keyd_socket, settings.deployment))
    return own_keeper(settings, roots.provider_of(settings))


def own_keeper(settings: Settings, provider: DestroyingProvider, read_back: ReadBack | None = None) -> ChangeKeeper:
    """Return the keeper of a process that has keystore and root. Fewer than two places for copies: it refuses to begin.

    `read_back` as `ChangeKeeper` says.
    """
    entropy = SystemEntropy()
    places = [FolderPlace(folder, entropy) for folder in settings.keystore_copies]
    return ChangeKeeper(
        lambda: open_store(settings.keystore),
        provider,
        places,
        clock=SystemClock(),
        entropy=entropy,
        read_back=read_back,
    )
