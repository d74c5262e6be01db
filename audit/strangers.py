"""Checkpoints that no key of the reader's signed, and which of them the log itself vouches for.

While entries are read, the root at each of their sizes is compared. What their signatures are worth shows at the end, when
it is known which keys the entries name and how far checkpoints of known keys reach (`audit.keychange`).

Standard library and `cryptography` only: the verifier takes this file along when it is copied out.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field

from audit.checkpoint import open_signed
from audit.errors import VerificationError
from audit.keychange import KeyChange, SignedBy
from audit.note import VerifierKey, key_id
from audit.targets import Foreign, signers_of


@dataclass(slots=True)
class TakenUp:
    """Sizes: `good` ones fit the tree; `wrong` (stored) and `forked` (kept elsewhere) do not; `beyond` it was not followed.

    `left` are those that nobody known signed; `unusable` counts those of them that were kept elsewhere. `signed` says whose lines are on what was taken up.
    """

    good: list[int] = field(default_factory=list)
    wrong: list[int] = field(default_factory=list)
    forked: list[int] = field(default_factory=list)
    beyond: list[int] = field(default_factory=list)
    left: list[int] = field(default_factory=list)
    unusable: int = 0
    signed: list[SignedBy] = field(default_factory=list)


class Strangers:
    """The foreign checkpoints of one log."""

    def __init__(self, foreign: Sequence[Foreign]) -> None:
        self._foreign = foreign
        self._sizes = {each.checkpoint.size for each in foreign}
        self._roots: dict[int, frozenset[bytes]] = {}

    def wait_for(self, size: int) -> bool:
        """Tell whether any of them is about this size."""
        return size in self._sizes

    def reached(self, size: int, roots: Collection[bytes]) -> None:
        """Note the roots that the tree has at this size."""
        self._roots[size] = frozenset(roots)

    def taken_up(self, covered: int, changes: Sequence[KeyChange], origin: str) -> tuple[TakenUp, frozenset[bytes]]:
        """Sort them. `covered` is the largest size that a known key's good checkpoint has; return the keys brought in too.

        A key counts from where a checkpoint of a known one covers the entry that names it; then its own may cover more.
        """
        taken = TakenUp()
        keys: set[bytes] = set()
        left = list(self._foreign)
        while True:
            keys |= {key for each in changes if each.index < covered for key in (each.key, each.before)}
            signed = [(each, _signers(each, keys, origin)) for each in left]
            left = [each for each, by in signed if not by]
            if len(left) == len(signed):
                break
            for each, by in signed:
                if by:
                    taken.signed.append(SignedBy(each.checkpoint.size, by))
                    self._file(each, taken).append(each.checkpoint.size)
            covered = max([covered, *taken.good])
        taken.left = [each.checkpoint.size for each in left if not each.pinned]
        taken.unusable = sum(each.pinned for each in left)
        return taken, frozenset(keys)

    def _file(self, foreign: Foreign, taken: TakenUp) -> list[int]:
        roots = self._roots.get(foreign.checkpoint.size)
        if roots is None:
            return taken.beyond
        if foreign.checkpoint.root in roots:
            return taken.good
        return taken.forked if foreign.pinned else taken.wrong


def _signers(foreign: Foreign, keys: Collection[bytes], origin: str) -> frozenset[bytes]:
    if not keys:
        return frozenset()
    known = [VerifierKey(origin, key_id(origin, each), each) for each in keys]
    try:
        _, opened = open_signed(foreign.note, known, origin)
    except VerificationError:
        return frozenset()
    return signers_of(opened, known)
