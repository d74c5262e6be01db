"""Takes up what officers put in force: a look now and then, one assignment when there is something new.

A request reads `vault.bundle` once and pays nothing for this. Between two looks the processes of a deployment may
decide by two bundles; each decision names the one it was made by. A version that does not stand is refused and told
once, and the one before stays in force. So does the last one where none is in force any more, which only somebody who
writes to the tables brings about: that is told once too, and the process is not ready until it is over, because no new one
would start.
"""

from collections.abc import Callable
from enum import StrEnum
from typing import Final

from sqlalchemy import Connection

from audit.entry import Act, Actor, ActorKind, Entry, Outcome
from policies.bundle import Bundle
from policies.errors import InvalidBundle
from vault.errors import NotSigned, UnknownVersion
from vault.governance import versions
from vault.unit import Vault

LOOK_SECONDS: Final = 1.0


class Noticed(StrEnum):
    """What a look found that somebody should hear of."""

    TAKEN = "taken"
    REFUSED = "refused"
    LOST = "lost"


class BundleWatch:
    """What one process knows of the versions. `told` hears of what changed, after it did.

    `lost` says that a version was in force and none is now; a vault that never had one is not served at all.
    """

    def __init__(self, vault: Vault, told: Callable[[Noticed], None]) -> None:
        self.lost = False
        self._vault = vault
        self._told = told
        self._number: int | None = None  # of the version that `vault.bundle` is
        self._refused: int | None = None
        with vault.reading() as conn:
            self._founded = versions.active_number(conn) is not None

    def look(self) -> None:
        """Take up the version in force if it is another one. Raises what the store raises; the next look tries again."""
        with self._vault.reading() as conn:
            number = versions.active_number(conn)
            self._founded = self._founded or number is not None
            if self._lose(self._founded and number is None) or number is None:
                return
            if number in {self._number, self._refused}:
                return
            version = versions.get(conn, number)
            if self._number is None and version.hash == self._vault.bundle.hash:
                self._number = number  # the one this process was opened with
                return
            bundle = self._stands(conn, number)
        if bundle is None:
            self._refused = number
        else:
            self._vault.bundle = bundle
            self._number = number
        self._record(version, taken=bundle is not None)
        self._told(Noticed.REFUSED if bundle is None else Noticed.TAKEN)

    def _lose(self, lost: bool) -> bool:
        before, self.lost = self.lost, lost
        if lost and not before:
            self._told(Noticed.LOST)
        return lost

    def _stands(self, conn: Connection, number: int) -> Bundle | None:
        if self._number is not None and number < self._number:
            return None  # numbers only grow: somebody has set the tables back
        try:
            return versions.verified(conn, self._vault.deployment, number)
        except (NotSigned, InvalidBundle, UnknownVersion):
            return None

    def _record(self, version: versions.Version, *, taken: bool) -> None:
        act, out = (Act.POLICY_LOADED, Outcome.ALLOW) if taken else (Act.POLICY_REFUSED, Outcome.DENY)
        said = (f"bundle:{version.hash.hex()}", f"version:{version.number}")
        with self._vault.unit() as uow:
            uow.record(Entry(act, out, Actor(ActorKind.VAULT, self._vault.deployment), pol=said))
            uow.commit()
