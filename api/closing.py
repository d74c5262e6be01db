"""Closing the vault and opening it again, whoever asks: an operator at the command line, an officer in the console.

Closing acts first and is logged after: it must work on a day when the database does not. Opening is logged first: no
entry, no key. Passphrases and shares are in no entry, message or log line.
"""

from contextlib import closing

from api import bootstrap, roots
from api.settings import Settings
from audit.entry import Act, Actor, Entry, Outcome
from vault.errors import Sealed
from vault.keys.keyd.client import KeydClient
from vault.keys.keyd.wire import Progress
from vault.keys.service import KeyState
from vault.unit import Vault


def holder(settings: Settings) -> KeydClient | None:
    """Return a way to the key holder; None where each process has its own keys."""
    return None if settings.keyd_socket is None else KeydClient(settings.keyd_socket, settings.deployment)


def standing(settings: Settings) -> Progress:
    """Say how far an unsealing has come, and what it takes. Raises `KeyHolderUnavailable`."""
    asked = holder(settings)
    if asked is not None:
        with closing(asked):
            return asked.progress()
    if not roots.seal_mark(settings).is_set():
        return Progress(KeyState.UNSEALED, 0, 0, 0)
    unsealer = roots.unsealer_of(settings)
    return Progress(KeyState.SEALED, unsealer.needed, 0, unsealer.total)


def seal(settings: Settings) -> None:
    """Close at once, and keep closed across restarts. Raises `StoreFull`, `KeyHolderUnavailable`."""
    asked = holder(settings)
    if asked is None:
        roots.seal_mark(settings).set()
        return
    with closing(asked):
        asked.seal_vault()


def record_seal(vault: Vault, actor: Actor) -> None:
    """Put on record that it was closed. Raises what the database may."""
    _record(vault, Entry(Act.KEYS_SEALED, Outcome.ALLOW, actor))


def unseal(settings: Settings, vault: Vault, actor: Actor, secret: bytes = b"") -> Progress:
    """Open, or give one secret of those it takes. Raises `Sealed`, `Conflict`, `KeyHolderUnavailable`."""
    asked = holder(settings)
    if asked is None:
        _unseal_own(settings, vault, actor)
        return Progress(KeyState.UNSEALED, 0, 0, 0)
    with closing(asked):
        return _unseal_holder(asked, vault, actor, secret)


def _unseal_own(settings: Settings, vault: Vault, actor: Actor) -> None:
    """Try the root here, and take the mark away: serving processes then open their own."""
    try:
        bootstrap.open_keys(settings, vault).close()
    except Sealed:
        _record(vault, Entry(Act.KEYS_UNSEALED, Outcome.DENY, actor))
        raise
    _record(vault, Entry(Act.KEYS_UNSEALED, Outcome.ALLOW, actor))
    roots.seal_mark(settings).clear()


def _unseal_holder(asked: KeydClient, vault: Vault, actor: Actor, secret: bytes) -> Progress:
    before = asked.progress()
    if before.state is KeyState.UNSEALED:
        return before
    # Before the offer, as it may be the one that opens.
    _record(vault, Entry(Act.KEYS_SECRET_OFFERED, Outcome.ALLOW, actor, n=before.given + 1))
    try:
        progress = asked.offer(secret)
    except Sealed:
        _record(vault, Entry(Act.KEYS_UNSEALED, Outcome.DENY, actor))
        raise
    if progress.state is KeyState.UNSEALED:
        _record(vault, Entry(Act.KEYS_UNSEALED, Outcome.ALLOW, actor))
    return progress


def _record(vault: Vault, entry: Entry) -> None:
    with vault.unit() as uow:
        uow.record(entry)
        uow.commit()
