"""The wire's verbs of an epoch change: long work is started and asked after, so that no caller's time-out ends it.

`epoch_begin`, `epoch_finish` and `grow` start the work, or join the same work under way, and answer with its ticket;
`work` tells how it stands, or raises what ended it. A ticket lives as long as this image of the holder; of one that it
does not know it says `lost`, and the caller starts again, which all three allow.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any, Final, Self

import orjson

from vault.keys.epochs import Destroyed
from vault.keys.keeper import EpochStatus
from vault.keys.keyd.wire import BLOB, INTEGER, SLOTS, Body, Malformed, Record, Verb
from vault.keys.pagestore import DestroyedRow
from vault.keys.provider import Destruction, DestructionClass
from vault.keys.service import Slot

MOST_SLOTS: Final = 1 << 15  # in one answer of `leaving`: half a megabyte
MOST_ENDED: Final = 1000  # in one answer of `ended`: some 300 bytes each


@dataclass(frozen=True, slots=True)
class Work:
    """How a work stands. When it is done: the epoch that ends or ended with how many copies, or the leaves there are."""

    ticket: int
    done: bool = False
    lost: bool = False
    epoch: int = 0
    root_ref: str = ""
    copies: int = 0
    leaves: int = 0


@dataclass(frozen=True, slots=True)
class Ended:
    """A `Destroyed` without its slots, which `leaving` lists."""

    epoch: int
    root_ref: str
    copies: int
    effective_at: int
    evidence: str
    destruction_class: DestructionClass

    @classmethod
    def of(cls, row: DestroyedRow) -> Self:
        """Take what the keystore keeps of it."""
        kind = DestructionClass(row.destruction_class)
        return cls(row.epoch, row.root_ref, row.copies, row.effective_at, row.evidence, kind)

    def destroyed(self, slots: Sequence[Slot]) -> Destroyed:
        """Put the slots in."""
        destruction = Destruction(self.effective_at, self.evidence, self.destruction_class)
        return Destroyed(self.epoch, self.root_ref, destruction, tuple(slots), self.copies)


class _Endings:
    """Records of ended epochs, as a JSON list."""

    _known: Final = {each.name for each in fields(Ended)}

    def pack(self, value: Sequence[Ended]) -> bytes:
        return BLOB.pack(orjson.dumps([asdict(each) for each in value]))

    def read(self, body: Body) -> list[Ended]:
        try:
            return [self._read(each) for each in orjson.loads(BLOB.read(body))]
        except (ValueError, TypeError, AttributeError, KeyError):
            raise Malformed("a record does not fit its kind") from None

    def _read(self, found: dict[str, Any]) -> Ended:
        known = {name: value for name, value in found.items() if name in self._known}
        return Ended(**known | {"destruction_class": DestructionClass(known["destruction_class"])})


_WORK: Final = Record(Work)

EPOCH_STATUS: Final = Verb(32, "epoch_status", (), Record(EpochStatus))
EPOCH_BEGIN: Final = Verb(33, "epoch_begin", (), _WORK)
EPOCH_FINISH: Final = Verb(34, "epoch_finish", (INTEGER,), _WORK)
GROW: Final = Verb(35, "grow", (INTEGER,), _WORK)
WORK: Final = Verb(36, "work", (INTEGER,), _WORK)
LEAVING: Final = Verb(37, "leaving", (INTEGER, INTEGER), SLOTS)
ENDED: Final = Verb(38, "ended", (INTEGER,), _Endings())

EPOCHS: Final = {verb.number: verb for verb in (EPOCH_STATUS, EPOCH_BEGIN, EPOCH_FINISH, GROW, WORK, LEAVING, ENDED)}
