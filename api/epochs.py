"""Epoch runs by the clock: what was asked to be erased does not wait for somebody to type a command.

The first turn after the door opened carries on whatever a crash left between database and keystore, and ends a change
that it left under way. Several processes may be at it: one has the lease, the others find it taken and leave it alone.
"""

import time
from contextlib import suppress
from typing import Final

from api.keepers import keeper_of
from api.settings import Settings
from vault.erasure import epochrun
from vault.erasure.finishing import anything_queued
from vault.erasure.settling import settle
from vault.errors import Conflict
from vault.keys.keeper import KeptChange
from vault.unit import Vault

LOOK_SECONDS: Final = 10.0


class Epochs:
    """The epoch runs of one process. `turn` is cheap until it is time."""

    def __init__(self, settings: Settings, vault: Vault) -> None:
        self._settings = settings
        self._vault = vault
        self._next: float | None = None

    def turn(self) -> None:
        """Run if it is time. Raises what a run raises; the next comes at its time all the same, a first at the next turn."""
        now = time.monotonic()
        if self._next is not None and now < self._next:
            return
        first, self._next = self._next is None, now + (self._settings.epoch_seconds or float("inf"))
        caught_up = False
        try:
            with suppress(Conflict):
                if first:
                    self._catch_up()
                else:
                    self._run()
                caught_up = True
        finally:
            if first and not caught_up:  # what a crash left cannot wait for the next epoch: again at the next turn
                self._next = None

    def _catch_up(self) -> None:
        """Do what a crash may have left; start no change of our own."""
        settle(self._vault)
        if self._vault.keys.status().change is not None:
            self._run()
        elif anything_queued(self._vault):
            change = KeptChange(keeper_of(self._settings))
            epochrun.reconcile(self._vault, change, self._settings.checkpoint_file)

    def _run(self) -> None:
        epochrun.run(self._vault, KeptChange(keeper_of(self._settings)), self._settings.checkpoint_file)
