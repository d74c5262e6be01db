"""What the verifier answers: verdict, findings, doubts, and how they read.

Standard library only: the verifier takes this file along when it is copied out.
"""

from dataclasses import asdict, dataclass
from enum import IntEnum, StrEnum


class Verdict(IntEnum):
    """The answer, and the exit code."""

    FINE = 0
    TAMPERED = 1
    UNDECIDED = 2


class Fault(StrEnum):
    """What was found."""

    CHANGED = "changed"
    MALFORMED = "malformed"
    MISSING = "missing"
    DUPLICATE = "duplicate"
    REORDERED = "reordered"
    TRUNCATED = "truncated"
    FORKED = "forked"
    HEAD = "head"
    CHECKPOINT = "checkpoint"


@dataclass(frozen=True, slots=True)
class Finding:
    """One fault. `index` is the first entry that may be meant; None where no entry is."""

    kind: Fault
    index: int | None
    message: str


@dataclass(frozen=True, slots=True)
class Result:
    """What the verification of one log says.

    `size` and `root` are recomputed from the bodies; `checkpoints` counts those that were checked against the tree,
    `signed` is the largest of them: entries from there on rest on the database's word alone. `doubts` say what could
    not be checked, `notices` what is unusual and no fault. Of the first `pruned` entries the log says that they were pruned.
    """

    shard: int
    origin: str
    size: int
    root: bytes
    checkpoints: int
    signed: int
    findings: tuple[Finding, ...] = ()
    more_findings: int = 0
    doubts: tuple[str, ...] = ()
    notices: tuple[str, ...] = ()
    pruned: int = 0

    @property
    def verdict(self) -> Verdict:
        """Tampering outweighs doubt: a found change stays found, whatever else is missing."""
        if self.findings:
            return Verdict.TAMPERED
        return Verdict.UNDECIDED if self.doubts else Verdict.FINE

    @property
    def first_bad_index(self) -> int | None:
        """The lowest entry that any finding points at."""
        return min((each.index for each in self.findings if each.index is not None), default=None)


def how_many(count: int, what: str, many: str = "") -> str:
    """Write a number and its noun: `1 entry`, `2 entries`. `many`: where it is not the noun with an s."""
    return f"{count} {what if count == 1 else many or what + 's'}"


def report(result: Result) -> str:
    """Return the result as lines to read."""
    head = {
        Verdict.FINE: "verified",
        Verdict.TAMPERED: "TAMPERED",
        Verdict.UNDECIDED: "cannot decide",
    }[result.verdict]
    lines = [
        f"{result.origin or 'log without a head'}: {head}",
        f"  {how_many(result.size, 'entry', 'entries')}, root {result.root.hex()}",
        f"  {how_many(result.checkpoints, 'checkpoint')} checked, the largest at {result.signed}",
    ]
    if result.size > result.signed:
        rest = how_many(result.size - result.signed, "entry is", "entries are")
        lines.append(f"  {rest} not under a checkpoint yet")
    lines += [f"  {each.kind}: {each.message}" for each in result.findings]
    if result.more_findings:
        lines.append(f"  and {how_many(result.more_findings, 'finding')} more")
    lines += [f"  not checked: {each}" for each in result.doubts]
    lines += [f"  note: {each}" for each in result.notices]
    return "".join(f"{line}\n" for line in lines)


def plain(result: Result) -> dict[str, object]:
    """Return the result as JSON values, hashes in hex."""
    return {
        **asdict(result),
        "root": result.root.hex(),
        "verdict": result.verdict.name.lower(),
        "first_bad_index": result.first_bad_index,
    }
