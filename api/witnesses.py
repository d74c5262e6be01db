"""Has witnesses cosign the log: the job of a serving process, and the way a witness is asked over HTTP.

Only addresses of the policy file are called: https, or http on the loopback interface (`api.asking`).
"""

from pathlib import Path
from typing import Final

from api import asking
from api.eventpush import address_fault
from api.observability.events import Event
from api.observability.logs import Log
from audit.addcheckpoint import ADD_CHECKPOINT
from audit.errors import CannotDecide, VerificationError
from audit.quorum import KnownWitness, QuorumPolicy, parse_policy
from vault import witnessing
from vault.secondsigner import second_signers
from vault.unit import Vault
from vault.witnessing import Answered, Said

ASK_SECONDS: Final = 5.0  # for connecting, for each read, and for all of an answer


def read_policy(path: Path, origin: str) -> QuorumPolicy:
    """Read the policy file of one log; raises `VerificationError`, or `CannotDecide` when it cannot be read."""
    try:
        policy = parse_policy(path.read_bytes())
    except OSError:
        raise CannotDecide("the policy file of witnesses cannot be read") from None
    if policy.logs and all(each.key.name != origin for each in policy.logs):
        raise VerificationError("the policy is of another log")
    for each in policy.witnesses:
        if each.url and address_fault(each.url) is not None:
            raise VerificationError(f"witness {each.name}: {address_fault(each.url)}")
    return policy


def ask(witness: KnownWitness, body: bytes) -> Answered:
    """Submit one request to a witness; status 0 when there was no whole answer."""
    url = f"{witness.url.rstrip('/')}/{ADD_CHECKPOINT}"
    headers = {"Content-Type": "text/plain; charset=utf-8", "Accept": "text/plain"}
    heard = asking.ask(url, body, headers, ASK_SECONDS)
    return Answered(0) if heard is None else Answered(heard.status, heard.content)


class Witnesses:
    """Asks once per turn. `missing` says whether a quorum has been missing for longer than it may."""

    def __init__(self, vault: Vault, path: Path, log: Log, *, second: bool = False) -> None:
        self._vault = vault
        self._path = path
        self._log = log
        self._second = second
        self._since: int | None = None  # when a quorum was first found missing
        self._told: bool | None = None  # what this process last put on record, or found there
        self.missing = False

    def turn(self) -> None:
        """Ask whoever has not cosigned the newest checkpoint, and raise or end the alarm."""
        policy = read_policy(self._path, self._vault.origin)  # each time: a changed file needs no restart
        second = second_signers(self._vault) if self._second else ()
        told = witnessing.turn(self._vault, policy, ask, second=second)
        for name, said in told.said.items():
            if said in {Said.AHEAD, Said.REFUSED, Said.INVALID}:
                self._log.error(Event.WITNESS_REFUSED, code=said.value, witness=name)
        now = self._vault.clock.now()
        if told.quorum:
            self._since = None
            self._settle(missing=False)
            return
        self._since = now if self._since is None else self._since
        absent = sum(said is not Said.COSIGNED for said in told.said.values())
        self._log.warning(Event.QUORUM_MISSING, count=absent, size=told.size)
        if now - self._since >= witnessing.LATE_SECONDS:
            self._settle(missing=True)

    def _settle(self, *, missing: bool) -> None:
        self.missing = missing
        if missing is not self._told:
            witnessing.record(self._vault, lost=missing)
            self._told = missing
