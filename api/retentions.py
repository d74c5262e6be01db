"""Retention sweeps by the clock: what is over its time is asked to be erased without anybody typing a command.

One process of all sweeps, once in `retention_seconds`; the database knows when the next sweep is due. The first is due
that long after the first start, so that a dry run can come before it.
"""

from typing import Final

from api.observability.events import Event
from api.observability.logs import Log
from api.settings import Settings
from audit.entry import Actor, ActorKind
from vault import errands
from vault.erasure import retention
from vault.unit import Vault

LOOK_SECONDS: Final = 60.0
RETRY_SECONDS: Final = 600  # after a sweep that failed; what it requested stands, and is passed over

_NAME: Final = "retention"


class Retentions:
    """The sweeps of one process. `turn` is cheap until one is due."""

    def __init__(self, settings: Settings, vault: Vault, log: Log) -> None:
        self._every = settings.retention_seconds
        self._vault = vault
        self._log = log

    def turn(self) -> None:
        """Sweep if it is time. Raises what a sweep raises."""
        if not self._every:
            return
        actor = Actor(ActorKind.VAULT, self._vault.deployment)
        swept = errands.run(
            self._vault, _NAME, self._every, lambda: retention.sweep(self._vault, actor), retry=RETRY_SECONDS
        )
        if swept is not None:
            self._log.info(Event.RETENTION_SWEPT, count=swept.requested)
