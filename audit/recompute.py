"""Recomputing one log from its stored bytes, entry by entry, against the roots it must have.

Standard library and `cryptography` only: the verifier takes this file along when it is copied out.
"""

from binascii import unhexlify
from collections.abc import Sequence
from datetime import datetime

from audit.errors import VerificationError
from audit.findings import Fault, Finding, Result
from audit.grammar import read_form
from audit.keychange import ADDED, RETIRED, KeyChange, SignedBy, read_change, signed_after_its_end
from audit.merkle import HASH_SIZE, Frontier, leaf_hash
from audit.note import VerifierKey
from audit.prunedpart import PrunedPart
from audit.stored import StoredEntry, StoredLog
from audit.strangers import Strangers
from audit.targets import ELSEWHERE, Target, read_targets

MAX_FINDINGS = 100  # of one log; what goes beyond is counted
CLOCK_TOLERANCE = 60  # seconds that one process's unit may lag behind another's
FLUSH = 4096  # leaves collected before they enter the tree
CHANGES = {ADDED.encode(), RETIRED.encode()}


class TwoTrees:
    """The tree over the bodies, and from the first difference on a second one over the stored hashes."""

    __slots__ = ("_apart", "_leaves", "_recorded_leaves", "bodies", "recorded")

    def __init__(self) -> None:
        self.bodies = self.recorded = Frontier()
        self._leaves: list[bytes] = []
        self._recorded_leaves: list[bytes] = []
        self._apart = False

    def add(self, leaf: bytes, recorded: bytes) -> None:
        """Add one leaf to both."""
        if self._apart:
            self._recorded_leaves.append(recorded)
        elif recorded != leaf:
            self.flush()
            self._apart = True
            self._recorded_leaves.append(recorded)
        self._leaves.append(leaf)
        if len(self._leaves) >= FLUSH:
            self.flush()

    def flush(self) -> None:
        """Hash what was collected into the trees."""
        self.bodies = self.bodies.extend(self._leaves)
        self.recorded = self.recorded.extend(self._recorded_leaves) if self._apart else self.bodies
        self._leaves.clear()
        self._recorded_leaves.clear()


class Recomputation:
    """One run over one log: state between entries, and what was found so far."""

    def __init__(self, log: StoredLog, keys: Sequence[VerifierKey], pinned: Sequence[str], origin: str | None) -> None:
        self.log = log
        self.origin = log.origin if origin is None else origin
        read = read_targets(log.checkpoints, pinned, keys, self.origin)
        self.targets = read.targets
        self.findings = list(read.findings)
        self.doubts = list(read.doubts)
        self.foreign = Strangers(read.foreign)
        self.more_findings = 0
        self.notices: list[str] = []
        self.tree = TwoTrees()
        self.next = 0  # index expected next
        self.gap: int | None = None  # first index after which the tree cannot be followed
        self.ids: set[bytes] = set()
        self.latest = b""
        self.moved: list[tuple[int, bytes, bytes]] = []  # index, hash of the body, recorded hash
        self.good = 0  # largest size confirmed by a checkpoint
        self.checked = 0
        self.lost = False  # a stored checkpoint disagreed: every later one will
        self.changes: list[KeyChange] = []
        self.pruned = PrunedPart()

    def run(self) -> Result:
        """Read everything once, in order."""
        self._origin()
        remaining = iter(self.targets)
        target = next(remaining, None)
        while target is not None and target.size == 0:
            self._compare(target)
            target = next(remaining, None)
        for entry in self.log.entries:
            self._entry(entry)
            if self.foreign.wait_for(self.next) and self.gap is None:
                self.tree.flush()
                self.foreign.reached(self.next, {self.tree.bodies.root(), self.tree.recorded.root()})
            while target is not None and target.size == self.next and self.gap is None:
                self._compare(target)
                target = next(remaining, None)
        self._moved()
        self._pruned()
        beyond = [each.size for each in self.targets if each.size > self.next] + self._strangers()
        self._end(beyond)
        return Result(
            self.log.shard,
            self.origin,
            self.tree.bodies.size,
            self.tree.bodies.root(),
            self.checked,
            self.good,
            tuple(sorted(self.findings, key=lambda each: -1 if each.index is None else each.index)),
            self.more_findings,
            tuple(self.doubts),
            tuple(self.notices),
            self.pruned.first,
        )

    def _found(self, kind: Fault, index: int | None, message: str) -> None:
        if len(self.findings) < MAX_FINDINGS:
            self.findings.append(Finding(kind, index, message))
        else:
            self.more_findings += 1

    def _origin(self) -> None:
        if not self.log.origin:
            self._found(Fault.HEAD, None, "the log has no head")
        elif self.log.origin != self.origin:
            self._found(Fault.HEAD, None, "the log goes by another name than expected")

    def _compare(self, target: Target) -> None:
        self.tree.flush()
        if self.lost and not target.pinned:
            return
        self.checked += 1
        # The second case: the entries that differ from their stored hashes have been named, and explain all of it.
        if target.root in {self.tree.bodies.root(), self.tree.recorded.root()}:
            self.good = max(self.good, target.size)
            return
        if target.pinned:
            self._found(
                Fault.FORKED, self.good, f"the log does not extend the checkpoint kept elsewhere at {target.size}"
            )
            return
        self.lost = True
        span = f"entry {self.good}" if target.size - self.good == 1 else f"entries {self.good} to {target.size - 1}"
        self._found(Fault.CHANGED, self.good, f"{span} do not lead to the root signed at size {target.size}")

    def _entry(self, entry: StoredEntry) -> None:
        index = entry.idx
        if index != self.next and not self._skipped(index):
            return
        self.next = index + 1
        if not entry.body and entry.leaf is not None and len(entry.leaf) == HASH_SIZE:
            self._gone(index, entry.leaf, entry.entry_id)
            return
        leaf = leaf_hash(entry.body)
        recorded = leaf if entry.leaf is None else entry.leaf
        if self.gap is None:
            # A recorded hash of a wrong length is a fault of its own and must not stop the tree.
            self.tree.add(leaf, recorded if len(recorded) == len(leaf) else leaf)
        if recorded != leaf:
            self._differs(index, leaf, recorded)
            return
        form = read_form(entry.body)
        if form is None:
            self._found(Fault.MALFORMED, index, f"entry {index} is not in canonical form")
            return
        act, identifier, time = form
        if act in CHANGES and (change := read_change(index, entry.body)) is not None:
            self.changes.append(change)
        self.pruned.entry(index, act, entry.body)
        own_id = unhexlify(identifier)
        if entry.entry_id is not None and entry.entry_id != own_id:
            self._found(Fault.CHANGED, index, f"entry {index} is filed under another id than its own")
        self._named(index, own_id)
        if time < self.latest:
            self._clock(index, time)
        else:
            self.latest = time

    def _gone(self, index: int, recorded: bytes, filed: bytes | None) -> None:
        """Let the recorded hash stand for a body that is not there: every signed root rests on it."""
        if self.gap is None:
            self.tree.add(recorded, recorded)
        self.pruned.gone(index)
        if filed is not None:
            self._named(index, filed)

    def _named(self, index: int, own_id: bytes) -> None:
        if own_id in self.ids:
            self._found(Fault.DUPLICATE, index, f"entry {index} repeats the id of an earlier entry")
        self.ids.add(own_id)

    def _pruned(self) -> None:
        findings, doubts, notices = self.pruned.judged(self.good)
        for each in findings:
            self._found(each.kind, each.index, each.message)
        self.doubts += doubts
        self.notices += notices

    def _skipped(self, index: int) -> bool:
        """Note an index out of turn; tell whether the log goes on from there."""
        if index < self.next:
            self._found(Fault.REORDERED, index, f"entry {index} comes after entry {self.next - 1}")
            return False
        last = f" to {index - 1}" if index - self.next > 1 else ""
        self._found(Fault.MISSING, self.next, f"entry {self.next}{last} is missing")
        self.gap = self.next if self.gap is None else self.gap
        return True

    def _differs(self, index: int, leaf: bytes, recorded: bytes) -> None:
        if len(self.moved) < MAX_FINDINGS:
            self.moved.append((index, leaf, recorded))
        else:
            self.more_findings += 1

    def _moved(self) -> None:
        """Tell bodies that changed places from bodies that changed."""
        places = {recorded: index for index, _, recorded in self.moved}
        for index, leaf, _ in self.moved:
            place = places.get(leaf)
            if place is None:
                self._found(Fault.CHANGED, index, f"entry {index} or the hash recorded beside it was changed")
            else:
                self._found(Fault.REORDERED, index, f"entry {index} holds what was recorded as entry {place}")

    def _strangers(self) -> list[int]:
        """Take up what is signed by keys that the log itself brings in, and say of the rest that nobody known signed it.

        Returns the sizes that such checkpoints promise and the log does not reach.
        """
        taken, keys = self.foreign.taken_up(self.good, self.changes, self.origin)
        for size in taken.wrong:
            self._found(Fault.CHANGED, self.good, f"the entries do not lead to the root signed at size {size}")
        for size in taken.forked:
            self._found(Fault.FORKED, self.good, f"the log does not extend the checkpoint kept elsewhere at {size}")
        self.checked += len(taken.good)
        self.good = max([self.good, *taken.good])
        if taken.good:
            names = ", ".join(sorted(key.hex()[:16] for key in keys))
            self.notices.append(f"on the log's own word, by entries under a known key: its other keys {names}")
        message = "carries no signature of a known key"
        if taken.left and not self.targets:
            self.doubts.append(
                "no checkpoint is signed by a known key: either the key is of another log, or the log is"
            )
        elif self.pruned.first and any(self.good < size <= self.next for size in taken.left):
            self.doubts.append(
                "the newest checkpoint carries no signature of a known key: what brought it in may be pruned"
            )
        else:
            for size in taken.left:
                self._found(Fault.CHECKPOINT, None, f"the checkpoint at size {size}: {message}")
        self.doubts += [f"{ELSEWHERE}: no signature is of a known key"] * taken.unusable
        signed = [SignedBy(each.size, each.by) for each in self.targets]
        for each in (*signed, *taken.signed):
            if (change := signed_after_its_end(each, self.changes)) is not None:
                ended = f"is signed by a key that ended at entry {change.index}, and by none since"
                self._found(Fault.CHECKPOINT, None, f"the checkpoint at size {each.size} {ended}")
        return [size for size in taken.beyond if size > self.next]

    def _clock(self, index: int, time: bytes) -> None:
        try:
            step = datetime.fromisoformat(self.latest.decode()) - datetime.fromisoformat(time.decode())
        except ValueError:
            self._found(Fault.MALFORMED, index, f"entry {index} or an earlier one has a date that does not exist")
            return
        if step.total_seconds() > CLOCK_TOLERANCE and len(self.notices) < MAX_FINDINGS:
            self.notices.append(f"the clock steps back {int(step.total_seconds())} s at entry {index}")

    def _end(self, beyond: Sequence[int]) -> None:
        self.tree.flush()
        promised = max([*beyond, self.log.size or 0])
        if promised > self.next:
            who = "a checkpoint" if beyond else "the head"
            which = f"; what is gone may be any entry from {self.good} on" if self.good < self.next else ""
            self._found(
                Fault.TRUNCATED, self.next, f"the log ends at {self.next}, {who} promises {promised} entries{which}"
            )
        if self.log.size is None:
            return
        if self.log.size < self.next:
            self._found(Fault.HEAD, self.log.size, f"there are entries beyond the head, which says {self.log.size}")
        if self.gap is not None or self.lost or self.log.size != self.next:
            return  # found already; the head can say nothing new
        try:
            head = Frontier.unpack(self.log.size, self.log.stack or b"")
        except VerificationError:
            self._found(Fault.HEAD, None, "the head is damaged")
            return
        if head not in {self.tree.bodies, self.tree.recorded}:
            where = None if self.good == self.next else self.good
            self._found(Fault.HEAD, where, f"the head, or an entry from {self.good} on, was changed")
