"""Which witnesses must have cosigned: a policy file (C2SP tlog-policy), read and asked.

    log <verifier key> [<url>]
    witness <name> <verifier key> [<url>]
    group <name> <k|any|all> <name>...
    quorum <name|none>

The file is for whoever verifies and comes to them by another way than the log. Names in it mean something in it alone.

Standard library and `cryptography` only: the verifier takes this file along when it is copied out.
"""

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from audit.checkpoint import Checkpoint, open_checkpoint
from audit.cosignature import Cosignature, CosignerKey, cosignatures, parse_cosigner
from audit.errors import VerificationError
from audit.note import VerifierKey, parse_vkey

NO_QUORUM = "none"
MAX_POLICY = 1 << 18  # bytes; 32 keys of the largest kind are a quarter of it
_COUNT = re.compile(r"[1-9][0-9]{0,4}", re.ASCII)
_SPACE = re.compile(r"[ \t]+")
_FORBIDDEN = re.compile(r"[\x00-\x08\x0b-\x1f\x7f]")


@dataclass(frozen=True, slots=True)
class KnownLog:
    """A log whose checkpoints the policy accepts."""

    key: VerifierKey
    url: str


@dataclass(frozen=True, slots=True)
class KnownWitness:
    """A witness, by the name that the policy gives it; `url` is its submission prefix, if it is told."""

    name: str
    key: CosignerKey
    url: str


@dataclass(frozen=True, slots=True)
class Group:
    """Members, of which so many must have witnessed for the group to have."""

    name: str
    needed: int
    members: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Witnessed:
    """A checkpoint held against a policy: who cosigned it, by the policy's names, and whether that is a quorum."""

    checkpoint: Checkpoint
    by: tuple[tuple[str, Cosignature], ...]
    quorum: bool


@dataclass(frozen=True, slots=True)
class QuorumPolicy:
    """A policy file, read."""

    logs: tuple[KnownLog, ...]
    witnesses: tuple[KnownWitness, ...]
    groups: tuple[Group, ...]
    quorum: str

    def met_by(self, names: Collection[str]) -> bool:
        """Tell whether these witnesses, by their names in the file, are a quorum."""
        if self.quorum == NO_QUORUM:
            return True
        met = set(names) & {each.name for each in self.witnesses}
        for group in self.groups:  # each names only what stands before it
            if len(met & set(group.members)) >= group.needed:
                met.add(group.name)
        return self.quorum in met

    def judge(self, note: str | bytes, origin: str, keys: Sequence[VerifierKey] = ()) -> Witnessed:
        """Check a checkpoint of one log: signed by it (by `keys`, or by the policy's) and cosigned by whom.

        Raises `VerificationError` when the log's signature or the line of a known witness does not hold.
        """
        accepted = tuple(keys) or tuple(each.key for each in self.logs)
        checkpoint = open_checkpoint(note, accepted, origin)
        names = {each.key: each.name for each in self.witnesses}
        by = tuple((names[each.key], each) for each in cosignatures(note, names))
        return Witnessed(checkpoint, by, self.met_by([name for name, _ in by]))


def parse_policy(content: bytes) -> QuorumPolicy:
    """Read a policy file; raises `VerificationError`, which names the line at fault."""
    if len(content) > MAX_POLICY:
        raise VerificationError("the policy file is too long")
    reading = _Reading()
    # Latin-1 keeps every byte above ASCII as one opaque character, as the specification wants it.
    for number, line in enumerate(content.decode("latin-1").split("\n"), 1):
        if _FORBIDDEN.search(line):
            raise VerificationError(f"line {number} of the policy: a control character")
        words = [word for word in _SPACE.split(line) if word]
        if not words or words[0].startswith("#"):
            continue
        try:
            reading.line(words)
        except VerificationError as error:
            raise VerificationError(f"line {number} of the policy: {error}") from None
    return reading.policy()


class _Reading:
    """What was read of a file so far."""

    def __init__(self) -> None:
        self.logs: list[KnownLog] = []
        self.witnesses: list[KnownWitness] = []
        self.groups: list[Group] = []
        self.free: set[str] = set()  # names that no group has as a member
        self.names: set[str] = set()
        self.quorum: str | None = None

    def line(self, words: Sequence[str]) -> None:
        kind, rest = words[0], words[1:]
        if kind == "log" and len(rest) in {1, 2}:
            self._log(rest[0], rest[1] if len(rest) > 1 else "")
        elif kind == "witness" and len(rest) in {2, 3}:
            self._witness(rest[0], rest[1], rest[2] if len(rest) > 2 else "")  # noqa: PLR2004
        elif kind == "group" and len(rest) > 2:  # noqa: PLR2004 - name, count, a member
            self._group(rest[0], rest[1], tuple(rest[2:]))
        elif kind == "quorum" and len(rest) == 1:
            self._quorum(rest[0])
        else:
            raise VerificationError("neither log, witness, group nor quorum as they are written")

    def policy(self) -> QuorumPolicy:
        if self.quorum is None:
            raise VerificationError("the policy names no quorum")
        return QuorumPolicy(tuple(self.logs), tuple(self.witnesses), tuple(self.groups), self.quorum)

    def _log(self, key: str, url: str) -> None:
        known = KnownLog(parse_vkey(_utf8(key)), url)
        if known.key.public_key in {each.key.public_key for each in self.logs}:
            raise VerificationError("a log's key stands twice")
        self.logs.append(known)

    def _witness(self, name: str, key: str, url: str) -> None:
        known = KnownWitness(self._new(name), parse_cosigner(_utf8(key)), url)
        if known.key.public_key in {each.key.public_key for each in self.witnesses}:
            raise VerificationError("a witness's key stands twice")
        self.witnesses.append(known)

    def _group(self, name: str, count: str, members: tuple[str, ...]) -> None:
        for member in members:
            if member not in self.free:
                raise VerificationError("a member is not defined above, or is a member already")
            self.free.remove(member)
        words = {"any": "1", "all": str(len(members))}
        needed = words.get(count, count)
        if not _COUNT.fullmatch(needed) or int(needed) > len(members):
            raise VerificationError("a group needs any, all, or a count from one to all of its members")
        self.groups.append(Group(self._new(name), int(needed), members))

    def _quorum(self, name: str) -> None:
        if self.quorum is not None:
            raise VerificationError("there is one quorum")
        if name != NO_QUORUM and name not in self.names:
            raise VerificationError("the quorum is not defined above")
        self.quorum = name

    def _new(self, name: str) -> str:
        if name in self.names or name == NO_QUORUM:
            raise VerificationError("a name is taken")
        self.names.add(name)
        self.free.add(name)
        return name


def _utf8(key: str) -> str:
    try:
        return key.encode("latin-1").decode()
    except UnicodeDecodeError:
        raise VerificationError("a verifier key is not UTF-8") from None
