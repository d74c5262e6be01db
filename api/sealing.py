"""Whether this process serves people now: the door that closes when the vault is sealed and opens when it is unsealed.

Looked at each second, and never within a request. A process whose keys are its own closes them when an operator put the
seal mark, and opens the keystore again when the mark is gone and the root opens. A process whose keys are in the key
holder asks the holder. Before the door opens the log must be vouched for: a start is noted and a checkpoint signed.
"""

import time
from collections.abc import Callable
from contextlib import suppress
from threading import Lock
from typing import Final

from api import bootstrap
from api.observability.events import Event
from api.observability.logs import Log
from api.settings import Settings
from vault import clockwatch, evidence
from vault.errors import KeyHolderUnavailable, Sealed, VaultError
from vault.keys.keyd.holder import SealMark
from vault.keys.service import KeyService, KeyState
from vault.unit import Vault

LOOK_SECONDS: Final = 1.0
_SLOWEST: Final = 8.0  # seconds between tries to open: each may cost an Argon2id


class Sealing:
    """The door of one process. `reopen` opens the process's own keystore, or is None where the holder has it."""

    def __init__(
        self, settings: Settings, vault: Vault, log: Log, mark: SealMark, reopen: Callable[[], KeyService] | None
    ) -> None:
        self._settings = settings
        self._vault = vault
        self._log = log
        self._mark = mark
        self._reopen = reopen
        self._refusal: type[VaultError] | None = Sealed
        self._told: Event | None = None
        self._noted = False
        self._pause = LOOK_SECONDS
        self._next_try = 0.0
        self._lock = Lock()

    @property
    def open(self) -> bool:
        """Whether requests that need keys are taken."""
        return self._refusal is None

    def check(self) -> None:
        """Raise what keeps the door shut: Sealed, or KeyHolderUnavailable."""
        if self._refusal is not None:
            raise self._refusal

    def look(self) -> None:
        """Look, and open or close the door. Raises what keeps a vault from opening other than its seal."""
        with self._lock:
            try:
                self._look()
            except KeyHolderUnavailable:
                self._shut(KeyHolderUnavailable, Event.KEYS_LOST)

    def _look(self) -> None:
        vault = self._vault
        if self._reopen is not None and self._mark.is_set():
            vault.keys.close()
            self._next_try = 0.0
        elif self._reopen is not None and vault.keys.status().state is KeyState.SEALED:
            self._try_to_open(self._reopen)
        vault.keys.refresh()
        if vault.keys.status().state is KeyState.SEALED:
            self._noted = False
            self._shut(Sealed, Event.SEALED)
        elif not self.open:
            self._open()

    def _try_to_open(self, reopen: Callable[[], KeyService]) -> None:
        if time.monotonic() < self._next_try:
            return
        self._pause = min(2 * self._pause, _SLOWEST)
        self._next_try = time.monotonic() + self._pause
        with suppress(Sealed):
            opened = reopen()
            self._refusal, self._noted = Sealed, False  # also where the seal was on and off between two looks
            self._vault.keys = opened
            self._pause = LOOK_SECONDS

    def _open(self) -> None:
        bootstrap.admit(self._settings, self._vault)  # data from a backup: whoever was erased since goes first
        if not self._noted:
            clockwatch.note_start(self._vault)
            self._noted = True
        # Before the first request: a log that cannot be vouched for, as one brought back from backup, is not served.
        evidence.sign_checkpoints(self._vault, self._settings.checkpoint_file, wait=True)
        evidence.mirror_behind(self._vault)
        self._refusal = self._told = None
        self._log.info(Event.READY)

    def _shut(self, refusal: type[VaultError], event: Event) -> None:
        if self._told is not event:
            self._log.warning(event)
        self._refusal, self._told = refusal, event
