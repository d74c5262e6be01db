"""Asking witnesses to cosign the newest checkpoint, and keeping what they said.

A turn holds no transaction while it waits for anybody, and no request ever waits for a turn. A witness that tells
another size than the one remembered of it is asked once more from there. One that has seen more than was ever signed
here, or that says no, is an alarm: either this log went back, or somebody shows the witness another one.
"""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Final

from audit import addcheckpoint, ledger, pruning, subtrees, witnessed
from audit.checkpoint import parse
from audit.cosignature import Cosignature, cosignatures
from audit.entry import Act, Actor, ActorKind, Entry, Outcome, decode
from audit.errors import CannotDecide, VerificationError
from audit.note import split_note
from audit.quorum import KnownWitness, QuorumPolicy
from audit.witnessed import Kept
from vault import errands
from vault.secondsigner import SecondSigner
from vault.store.engine import translate
from vault.unit import Vault

LATE_SECONDS: Final = 120  # without a quorum for so long: an entry says so, and readiness

_QUORUM: Final = "quorum_lost"  # the mark that all processes share
_OK: Final = 200
_CONFLICT: Final = 409


class Said(StrEnum):
    """What came of asking one witness."""

    COSIGNED = "cosigned"
    UNREACHABLE = "unreachable"
    AHEAD = "ahead"  # it has seen a larger log than was signed here
    REFUSED = "refused"
    INVALID = "invalid"  # an answer that no key of it made


@dataclass(frozen=True, slots=True)
class Answered:
    """A witness's answer: HTTP status, and body. Status 0: there was none."""

    status: int
    body: bytes = b""


Ask = Callable[[KnownWitness, bytes], Answered]


@dataclass(frozen=True, slots=True)
class Turn:
    """One turn: the size it was about (0: nothing is signed yet), whether a quorum stands, and what each said."""

    size: int
    quorum: bool
    said: dict[str, Said]


def turn(vault: Vault, policy: QuorumPolicy, ask: Ask, shard: int = 0, *, second: Sequence[SecondSigner] = ()) -> Turn:
    """Have the newest checkpoint of a log cosigned by whoever has not done so yet; `second` adds the log's other lines."""
    keys = [each.key for each in policy.witnesses]
    with vault.reading() as conn:
        note = ledger.latest_checkpoint(conn, shard)
        if note is None:
            return Turn(0, policy.met_by(()), {})
        size = parse(split_note(note).text).size
        seen = witnessed.seen_by(conn, shard, keys)
        lines = witnessed.lines_at(conn, shard, size, keys)
    have = {each.name for each in policy.witnesses if each.key in lines}
    left = [each for each in policy.witnesses if each.name not in have and each.url]
    asking = _Asking(vault, shard, note, size, ask)
    with ThreadPoolExecutor(max(1, len(left)), "ecrin-witness") as pool:
        answers = list(pool.map(asking.exchange, left, [seen[each.key] for each in left]))
    given = [each for _, each in answers if each is not None]
    said = dict.fromkeys(sorted(have), Said.COSIGNED)
    said |= {each.name: outcome for each, (outcome, _) in zip(left, answers, strict=True)}
    quorum = policy.met_by([name for name, outcome in said.items() if outcome is Said.COSIGNED])
    lines |= {each.key: each.line for each in given}
    if given or (quorum and (lines or second)):
        now = vault.clock.now()
        own = "".join(each.line(split_note(note).text) for each in second)
        whole = note + own + "".join(lines[key] for key in keys if key in lines)
        with translate(), vault.engine.connect() as conn, conn.begin():
            witnessed.keep(conn, shard, size, now, given)
            if quorum:
                witnessed.keep_witnessed(conn, shard, now, whole)
    return Turn(size, quorum, said)


def newest(vault: Vault, shard: int = 0) -> Kept | None:
    """Return the newest checkpoint that a quorum cosigned, or None."""
    with vault.reading() as conn:
        return witnessed.newest(conn, shard)


def lag(vault: Vault, shard: int = 0) -> int:
    """Tell for how many seconds the oldest signed entry that no quorum has seen has been waiting; 0: there is none."""
    with vault.reading() as conn:
        note = ledger.latest_checkpoint(conn, shard)
        kept = witnessed.newest(conn, shard)
        seen = 0 if kept is None else kept.size
        if note is None or parse(split_note(note).text).size <= seen:
            return 0
        # What was pruned was either seen by a quorum or is older than the policy that asks for one.
        (first,) = ledger.read(conn, shard, max(seen, pruning.kept_from(conn, shard)), 1)
    waiting = int(datetime.fromisoformat(decode(first.body)["t"]).timestamp())
    return max(0, vault.clock.now() - waiting)


def record(vault: Vault, *, lost: bool) -> bool:
    """Put on record that no quorum of witnesses stands any more, or that one does again; False if that is on record.

    Each process sees it for itself, and one of them says so.
    """
    kept = newest(vault)
    act, out = (Act.LOG_QUORUM_LOST, Outcome.ERROR) if lost else (Act.LOG_QUORUM_REGAINED, Outcome.ALLOW)
    with vault.unit() as uow:
        if not errands.marked(uow, _QUORUM, stands=lost):
            return False
        actor = Actor(ActorKind.VAULT, vault.deployment)
        uow.record(Entry(act, out, actor, n=0 if kept is None else kept.size))
        uow.commit()
    return True


class _Asking:
    """One checkpoint on its way to witnesses."""

    def __init__(self, vault: Vault, shard: int, note: str, size: int, ask: Ask) -> None:
        self._vault, self._shard, self._note, self._size, self._ask = vault, shard, note, size, ask

    def exchange(self, witness: KnownWitness, old: int) -> tuple[Said, Cosignature | None]:
        """Ask one witness, from the size it is thought to have seen; once more from the size it then tells."""
        answer = self._send(witness, min(old, self._size))
        if answer.status == _CONFLICT:
            try:
                told = addcheckpoint.read_size(answer.body)
            except VerificationError:
                return Said.INVALID, None
            if told > self._size:
                return Said.AHEAD, None
            answer = self._send(witness, told)
        if answer.status != _OK:
            return (Said.REFUSED if answer.status else Said.UNREACHABLE), None
        return self._checked(witness, answer.body)

    def _send(self, witness: KnownWitness, old: int) -> Answered:
        with self._vault.reading() as conn:
            proof: Sequence[bytes] = subtrees.consistency(conn, self._shard, old, self._size)
        return self._ask(witness, addcheckpoint.write_request(old, proof, self._note))

    def _checked(self, witness: KnownWitness, body: bytes) -> tuple[Said, Cosignature | None]:
        try:
            # As the specification has it: the answer appended to the checkpoint is a note like any other.
            found = cosignatures(self._note.encode() + body, [witness.key])
        except (VerificationError, CannotDecide):
            return Said.INVALID, None
        return (Said.COSIGNED, found[0]) if found else (Said.INVALID, None)
