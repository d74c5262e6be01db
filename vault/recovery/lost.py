"""What a log outside says that the log brought back does not: checked, before anything is changed on its word.

Where the keystore went back in time together with the data, nothing in either knows of an erasure since. The log that was
signed does, and a copy of it lies elsewhere. It is believed where a key of this deployment signed it and the log brought
back is its beginning: a fork, another log, a shorter one, one with a gap are refused.

After an earlier restore there are several logs. The one that goes on from the log brought back counts, and whatever
succeeded it; what was in a log that an earlier restore closed, that restore has dealt with.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from audit import outside, succession
from audit.checkpoint import Checkpoint
from audit.entry import Act
from audit.errors import CannotDecide, SigningRefused, VerificationError
from audit.outside import Asked, Source, Told
from audit.pin import read_pin, write_pin
from vault.errors import LogRefused
from vault.evidence import outside_file
from vault.keys.service import FIRST_GENERATION, LAST_GENERATION, KeyService, SigningKey

Extends = Callable[[int, Checkpoint], bool]


class Known(NamedTuple):
    """A log as the data brought back have it: its shard (negative: closed), name, size and root."""

    shard: int
    origin: str
    size: int
    root: bytes


@dataclass(frozen=True, slots=True)
class Lost:
    """What the logs outside tell: people erased as a whole (commitments), erasures asked for.

    `beyond` counts entries that the data lack, `absent` those that were pruned. `notes`: the newest checkpoint of each shard
    that is ahead of the data.
    """

    erased: frozenset[bytes]
    asked: tuple[Asked, ...] = field(repr=False)
    beyond: int
    absent: int
    notes: Mapping[int, str]

    @property
    def anything(self) -> bool:
        """Whether anybody may have to be erased again."""
        return bool(self.erased or self.asked)


@dataclass(slots=True)
class _Log:
    """A log outside, and how it is related to the data."""

    source: Source
    signed: Checkpoint
    after: "_Link | None"
    newer: int | None = None  # the shard whose log it is, or whose log it follows
    role: str = ""
    counts: bool = False  # whether what is beyond the data's own has not been dealt with


class _Link(NamedTuple):
    """What the first entry of a successor says: the rule that names the log before, and its last signed size and root."""

    rule: str
    size: int
    root: bytes


def publics_of(keys: KeyService) -> list[bytes]:
    """Return every public key that a log of this deployment can have been signed with, newest first."""
    return [keys.public_key(SigningKey.LOG, each) for each in range(LAST_GENERATION, FIRST_GENERATION - 1, -1)]


def pins_of(checkpoint_file: Path, shards: int) -> list[str]:
    """Return the checkpoints that are kept outside the database."""
    found = [read_pin(outside_file(checkpoint_file, shard)) for shard in range(shards)]
    return [each for each in found if each is not None]


def examine(
    places: Sequence[Path],
    publics: Sequence[bytes],
    known: Sequence[Known],
    pins: Sequence[str],
    extends: Extends | None,
    *,
    whole: bool = False,
    followed: Collection[str] = (),
) -> Lost:
    """Check the logs at `places` and say what they tell. Changes nothing.

    `known` are the logs of the data, `pins` the checkpoints kept outside. `extends` holds a shard's log against a
    checkpoint of a size that it has; without it (the data are not in place yet) none may be smaller. `whole`: of people
    erased as a whole also what the data should know. `followed` names (as `audit.succession.after` does) the logs that the
    data's own follow, where the restore that closed them had no log outside. Raises `LogRefused`.
    """
    try:
        return _examine(places, publics, known, pins, extends, whole=whole, followed=followed)
    except (VerificationError, CannotDecide, SigningRefused) as error:
        raise LogRefused(str(error)) from None


def advance(notes: Mapping[int, str], checkpoint_file: Path) -> None:
    """Note outside the database what was signed last, as far as is known now: no service opens data that lack it."""
    for shard, note in notes.items():
        write_pin(outside_file(checkpoint_file, shard), note)


def _examine(
    places: Sequence[Path],
    publics: Sequence[bytes],
    known: Sequence[Known],
    pins: Sequence[str],
    extends: Extends | None,
    *,
    whole: bool,
    followed: Collection[str],
) -> Lost:
    with ExitStack() as stack:
        logs: dict[str, _Log] = {}
        for place in places:
            for source in stack.enter_context(outside.open_outside(place)):
                signed = _signed(source, publics)
                held = logs.get(source.origin)
                if held is None or held.signed.size < signed.size:
                    logs[source.origin] = _Log(source, signed, _link(source))
        if not logs:
            raise CannotDecide("no log with its entries is there: give one (--log), or go on without (--without-log)")
        _relate(logs, known, followed, all_known=extends is not None)
        roots = _roots(logs, known, pins, publics, extends)
        told = {
            each.source.origin: _read(each, roots[each.source.origin], known, whole=whole) for each in logs.values()
        }
    all_of = outside.merged(told.values())
    return Lost(frozenset(all_of.erased), tuple(all_of.asked), all_of.beyond, all_of.absent, _notes(logs, known, pins))


def _signed(source: Source, publics: Sequence[bytes]) -> Checkpoint:
    try:
        return succession.open_note(source.note, publics)
    except SigningRefused:
        raise VerificationError("its checkpoint is not signed by this deployment") from None


def _link(source: Source) -> _Link | None:
    first = source.beginning()
    if first is None or first["act"] != Act.LOG_SUCCESSION or "com" not in first:
        return None
    rule = next((each for each in first.get("pol", ()) if each.startswith(succession.AFTER)), "")
    return _Link(rule, int(first.get("n", 0)), bytes.fromhex(first["com"]))


def _relate(logs: Mapping[str, _Log], known: Sequence[Known], followed: Collection[str], *, all_known: bool) -> None:
    """Tell how each log is related to those of the data. Raises `VerificationError` for one that is not at all.

    Of a log whose first entry was pruned nothing says what it follows. Until `all_known` logs of the data are (a backup's
    manifest does not name those that were closed), nothing is said against such a log, and nothing taken from it.
    """
    named = {succession.after(origin): origin for origin in (*logs, *(each.origin for each in known))}
    here = {each.origin: each for each in known}
    for origin, log in logs.items():
        if origin in here:
            log.role, log.newer = ("here", here[origin].shard) if here[origin].shard >= 0 else ("closed", None)
            log.counts = log.role == "here" or succession.after(origin) in followed
    for _ in logs:  # as long as a chain can be
        for log in logs.values():
            before = named.get(log.after.rule) if log.after is not None else None
            if log.role or before is None:
                continue
            ahead = logs.get(before)
            if ahead is not None and ahead.newer is not None:
                log.role, log.newer, log.counts = "newer", ahead.newer, True
            elif before in here and here[before].shard >= 0:
                raise CannotDecide(f"the log {before} is not among them, which {log.source.origin} follows")
            elif (ahead is not None and ahead.role) or before in here:
                # It follows one that was closed, as the data's own log does.
                log.role, log.counts = "aside", ahead is not None and ahead.counts
        for log in [each for each in logs.values() if each.role]:
            before = named.get(log.after.rule, "") if log.after is not None else ""
            if before in logs and not logs[before].role:
                logs[before].role = "earlier"
    headless = not all_known and any(log.source.beginning() is None for log in logs.values())
    strangers = [origin for origin, log in logs.items() if not log.role and not headless]
    if strangers:
        raise VerificationError(f"{strangers[0]} is not the log of these data, nor follows it")


def _roots(
    logs: Mapping[str, _Log],
    known: Sequence[Known],
    pins: Sequence[str],
    publics: Sequence[bytes],
    extends: Extends | None,
) -> dict[str, dict[int, bytes]]:
    """Say what each log must have been at which sizes. Raises where one is too short to say, or is none of these."""
    roots: dict[str, dict[int, bytes]] = {origin: {} for origin in logs}
    for each in known:
        log = logs.get(each.origin)
        if log is None:
            if each.shard >= 0 and not any(other.role == "closed" for other in logs.values()):
                raise CannotDecide(f"the log {each.origin} is not among them")
        elif each.size <= log.signed.size:
            _want(roots, each.origin, each.size, each.root)
        elif each.shard >= 0 and (extends is None or not extends(each.shard, log.signed)):
            raise VerificationError(f"{each.origin} ends at {log.signed.size} entries; the data have {each.size}")
    for log in logs.values():
        before = None if log.after is None else next((o for o in logs if succession.after(o) == log.after.rule), None)
        if before is not None and log.after is not None:
            if log.after.size > logs[before].signed.size:
                raise CannotDecide(f"{before} ends at {logs[before].signed.size} entries of {log.after.size}")
            _want(roots, before, log.after.size, log.after.root)
    for note in pins:
        pin = succession.open_note(note, publics)
        log = logs.get(pin.origin)
        mine = next((each for each in known if each.origin == pin.origin), None)
        if log is not None and pin.size <= log.signed.size:
            _want(roots, pin.origin, pin.size, pin.root)
        elif mine is None or pin.size > mine.size:
            ends = "is not among them" if log is None else f"ends at {log.signed.size} entries"
            raise CannotDecide(f"{pin.origin} {ends}; {pin.size} were signed for")
    return roots


def _want(roots: dict[str, dict[int, bytes]], origin: str, size: int, root: bytes) -> None:
    if roots[origin].setdefault(size, root) != root:
        raise VerificationError(f"{origin}: two states of {size} entries are known of it")


def _read(log: _Log, roots: Mapping[int, bytes], known: Sequence[Known], *, whole: bool) -> Told:
    size = log.signed.size
    held = next((each.size for each in known if each.origin == log.source.origin), 0)
    asked = min(held, size) if log.counts else size
    return outside.read(log.source, log.signed, roots, asked, 0 if whole else asked)


def _notes(logs: Mapping[str, _Log], known: Sequence[Known], pins: Sequence[str]) -> dict[int, str]:
    """Return for each shard the checkpoint of the last log that follows what the data have, where it is ahead."""
    pinned = {note.partition("\n")[0] for note in pins}
    sizes = {each.origin: each.size for each in known}
    notes: dict[int, str] = {}
    for shard in {log.newer for log in logs.values() if log.newer is not None}:
        chain = [log for log in logs.values() if log.newer == shard]
        before = {log.after.rule for log in chain if log.after is not None and log.role == "newer"}
        ends = [log for log in chain if succession.after(log.source.origin) not in before]
        last = max(ends, key=lambda each: each.source.origin in pinned)  # two follow one where a restore was done again
        if last.signed.size > sizes.get(last.source.origin, 0):
            notes[shard] = last.source.note
    return notes
