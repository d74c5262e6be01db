"""The pruned part of a log, as the log itself tells it.

`log.pruned` says from which entry on bodies are kept, by which policy, and how many commitments to erased people's log keys
were carried over in the entries right before it (`erasure.carried`). The leaf hashes of pruned entries stay: they lead to
every root that was ever signed, so what was cut out without a word, or is not what it was, is found all the same.

Standard library only: the verifier takes this file along when it is copied out.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass

from audit.findings import Fault, Finding
from audit.tiles import TILE_WIDTH

PRUNED = "log.pruned"
CARRIED = "erasure.carried"
CARRIED_OVER = "carried.pruned"  # the rule of entries that a pruning writes anew
_BETWEEN = {b"log.key_added", b"log.key_retired"}  # may be written anew by the same pruning
_POLICY, _AGAIN, _MONTHS, _ARCHIVE = "policy:", "carried:", "months:", "archive:"
_COM = b'"com":"'


@dataclass(frozen=True, slots=True)
class Pruning:
    """What one entry says: at `index`, that bodies are kept from `first` on, by a policy (hexadecimal hash)."""

    index: int
    first: int
    policy: str
    carried: int


def pruning_rules(policy: str, months: int, carried: int, archives: Sequence[str]) -> tuple[str, ...]:
    """Spell, as an entry's `pol` does: the policy's hash, for how long it keeps entries, and what holds what goes.

    `archives` are SHA-256 (hexadecimal) of the evidence bundles that hold the bodies.
    """
    held = [_ARCHIVE + each for each in archives]
    return (f"{_POLICY}{policy}", f"{_MONTHS}{months}", f"{_AGAIN}{carried}", *held)


def read_pruning(index: int, body: bytes) -> Pruning | None:
    """Read an entry that is in canonical form; None if it says nothing of this kind."""
    content = json.loads(body)
    if content["act"] != PRUNED or content["out"] != "allow":
        return None
    said = content.get("pol", ())
    policy = [each.removeprefix(_POLICY) for each in said if each.startswith(_POLICY)]
    count = [each.removeprefix(_AGAIN) for each in said if each.startswith(_AGAIN)]
    if len(policy) != 1 or len(count) != 1 or not count[0].isdecimal() or "n" not in content:
        return None
    return Pruning(index, content["n"], policy[0], int(count[0]))


class PrunedPart:
    """Entries whose bodies are not there, and what the log says of them; filled while the log is read in order."""

    __slots__ = ("_carried", "_findings", "_missing", "_runs", "_told")

    def __init__(self) -> None:
        self._runs: list[list[int]] = []  # first and behind the last
        self._missing = 0
        self._told: list[Pruning] = []
        self._carried = 0
        self._findings: list[Finding] = []

    def gone(self, index: int) -> None:
        """Note that the body of an entry is not there."""
        self._missing += 1
        if self._runs and self._runs[-1][1] == index:
            self._runs[-1][1] = index + 1
        else:
            self._runs.append([index, index + 1])

    def entry(self, index: int, act: bytes, body: bytes) -> None:
        """Take note of an entry that is there."""
        if act == CARRIED.encode() and _COM in body:
            self._carried += 1
        elif act == PRUNED.encode():
            self._pruning(index, body)
            self._carried = 0
        elif act not in _BETWEEN:
            self._carried = 0

    @property
    def first(self) -> int:
        """The first entry whose body is kept, by the log's own word."""
        return max((each.first for each in self._told), default=0)

    def judged(self, covered: int) -> tuple[list[Finding], list[str], list[str]]:
        """Return findings, doubts and notices. `covered` entries lie under a checkpoint of a known key."""
        found = list(self._findings)
        known = [each for each in self._told if each.index < covered]
        vouched = max(known, key=lambda each: each.first, default=None)
        end = 0 if vouched is None else vouched.first
        found += [_silent(max(run[0], self.first), run[1] - 1) for run in self._runs if run[1] > self.first]
        doubts = []
        if any(run[0] < self.first and min(run[1], self.first) > end for run in self._runs):
            doubts.append(
                f"entries {end} to {self.first - 1} are pruned by the word of an entry that no checkpoint covers"
            )
        notices = []
        if vouched is not None:
            gone = sum(max(0, min(run[1], end) - run[0]) for run in self._runs)
            kept = "" if gone == end else f"; {end - gone} bodies are there all the same, and were checked"
            notices.append(
                f"entries 0 to {end - 1} pruned under policy {vouched.policy} (entry {vouched.index}): "
                f"hashes verified, bodies not{kept}"
            )
        return found, doubts, notices

    def _pruning(self, index: int, body: bytes) -> None:
        told = read_pruning(index, body)
        if told is None or told.first % TILE_WIDTH or not self.first < told.first <= index:
            self._findings.append(
                Finding(Fault.MALFORMED, index, f"entry {index} tells a pruning that cannot have been")
            )
            return
        self._told.append(told)
        if told.carried != self._carried:
            message = (
                f"entry {index} says that {told.carried} erasures were carried over before it, and {self._carried} were"
            )
            self._findings.append(Finding(Fault.MISSING, index, message))


def _silent(first: int, last: int) -> Finding:
    what = f"the body of entry {first} is" if first == last else f"the bodies of entries {first} to {last} are"
    return Finding(Fault.MISSING, first, f"{what} not there, and no entry says that they were pruned")
