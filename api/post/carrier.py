"""Carries letters: takes what is due, hands it to a port, notes how that went. Addresses live in memory for that long."""

from collections.abc import Mapping
from typing import Final, Protocol

from api.observability.events import Event
from api.observability.logs import Log
from api.post.words import written
from vault.requests import letters
from vault.requests.letters import Carried
from vault.unit import Vault

LOOK_SECONDS: Final = 2.0
MOST_AT_ONCE: Final = 10


class Port(Protocol):
    """A way out: mail, messages to telephones, the terminal of the demo."""

    def send(self, address: str, subject: str, text: str) -> str:
        """Hand one letter over; return an empty string, or a short code of what was in the way. Raises nothing."""
        ...


class Carrier:
    """One round per turn. `ports` maps kinds of address, as the catalogue names them, to a way out; others wait.

    `portal` is the address at which people sign in, as letters name it.
    """

    def __init__(self, vault: Vault, ports: Mapping[str, Port], log: Log, portal: str) -> None:
        self._vault = vault
        self._ports = ports
        self._log = log
        self._portal = portal

    def turn(self) -> int:
        """Carry what is due; return how many letters went."""
        if not self._ports:
            return 0
        due = letters.claim(self._vault, MOST_AT_ONCE)
        outcomes: list[Carried] = []
        for each in due:
            port = self._ports.get(each.channel)
            letter = written(each, self._vault.bundle.parties.named(each.brand), self._portal)
            outcomes.append(Carried(each.id, "no_port" if port is None else port.send(each.address, *letter)))
        letters.settle(self._vault, outcomes)
        failed = sum(bool(each.problem) for each in outcomes)
        if failed:
            self._log.warning(Event.LETTERS_UNDELIVERED, count=failed)
        return len(outcomes) - failed
