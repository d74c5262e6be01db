"""A log that was kept outside the database, read for what a database brought back does not know: who was erased since.

Nothing in it is believed before all of it is held together: the checkpoint is signed, every entry leads to its root, and
so do the states that the reader knows of (that of the log brought back, the last checkpoint kept elsewhere). What stands
behind the checkpoint is nobody's word.

A log can be had from a published folder with its entries, from a folder of such folders, from a data file or a backup of
one (SQLite), or from an evidence bundle whose range is long enough.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, NamedTuple

from audit.archive import read_archive
from audit.checkpoint import Checkpoint, parse
from audit.directory import hash_tile_of
from audit.entry import Act, Outcome, decode
from audit.errors import CannotDecide, InvalidEntry, VerificationError
from audit.merkle import HASH_SIZE, Frontier, leaf_hash
from audit.note import split_note
from audit.stored import StoredEntry, StoredLog, open_sqlite
from audit.tiles import TILE_WIDTH, bundle_path, tile_path, tiles_of, unpack_bundle

_CHECKPOINT: Final = "checkpoint"
_ERASURES: Final = tuple(
    f'{{"act":"{act}"'.encode() for act in (Act.SUBJECT_ERASED, Act.ERASURE_CARRIED, Act.ERASURE_REQUESTED)
)
_PRUNED: Final = b'{"act":"log.pruned"'


class Run(NamedTuple):
    """Entries of a log from `first` on: `bodies` in order, empty where only the hash is left, and `leaves` as recorded.

    A `root` stands for 256 entries of which nothing else is there.
    """

    first: int
    bodies: Sequence[bytes] = ()
    leaves: Sequence[bytes | None] = ()
    root: bytes | None = None


@dataclass(frozen=True, slots=True)
class Source:
    """One log outside. `note` is its newest checkpoint, unchecked, of `size` entries; `runs` gives these in order, each time."""

    origin: str
    size: int
    note: str
    runs: Callable[[], Iterator[Run]]

    def beginning(self) -> dict[str, Any] | None:
        """Return the first entry, unchecked; None where it is not there."""
        for run in self.runs():
            return _decoded(run.bodies[0]) if run.first == 0 and run.bodies and run.bodies[0] else None
        return None


@dataclass(frozen=True, slots=True)
class Asked:
    """That an erasure was asked for: known again by who has the person's log key. `names` is what, `rules` how and why."""

    entry_id: bytes
    sref: bytes
    names: tuple[str, ...]
    rules: frozenset[str]


@dataclass(slots=True)
class Told:
    """What a log says: commitments of people erased as a whole, erasures asked for; and how many entries it no longer has."""

    erased: set[bytes] = field(default_factory=set)
    asked: list[Asked] = field(default_factory=list, repr=False)
    beyond: int = 0
    absent: int = 0


@contextmanager
def open_outside(path: Path) -> Iterator[list[Source]]:
    """Give the logs at a path. Raises `CannotDecide` where there is none that can be read."""
    if path.is_dir():
        folders = [path] if (path / _CHECKPOINT).exists() else sorted(each.parent for each in path.glob("*/checkpoint"))
        yield [_of_folder(each) for each in folders]
    elif path.suffix == ".zip":
        yield [_of_bundle(path)]
    else:
        with open_sqlite(path) as logs:
            yield [_of_rows(path, each) for each in logs if each.checkpoints]


def read(source: Source, signed: Checkpoint, roots: Mapping[int, bytes], asked: int, erased: int) -> Told:
    """Read one log whole, and say what it tells of erasures: those asked for from index `asked` on, the done from `erased` on.

    `signed` is its checkpoint, whose signature the caller has checked; `roots` are what the log must have been at other
    sizes, none larger. Raises `VerificationError` where it is not, or where unsigned entries behind it tell of erasures;
    `CannotDecide` where entries from `asked` on are not there and no pruning took them.
    """
    if roots.get(signed.size, signed.root) != signed.root:
        raise VerificationError(f"{source.origin}: two states of {signed.size} entries are known of it")
    reading = _Reading(source.origin, signed, dict(roots) | {signed.size: signed.root}, asked, erased)
    for run in source.runs():
        reading.take(run)
    return reading.end()


class _Reading:
    """One pass over one log."""

    def __init__(self, origin: str, signed: Checkpoint, roots: dict[int, bytes], asked: int, erased: int) -> None:
        self.origin, self.signed, self.asked, self.erased = origin, signed, asked, erased
        self.wanted = sorted(roots.items())
        self.tree = Frontier()
        self.told = Told(beyond=max(0, signed.size - asked))
        self.gone = -1  # the last entry from `asked` on that is not there
        self.pruned = 0  # the first that a pruning kept
        self._confirm()

    def take(self, run: Run) -> None:
        """Add entries to the tree, and note what they say."""
        if run.first >= self.signed.size:
            self._behind(run)
            return
        if run.first != self.tree.size:
            raise CannotDecide(f"{self.origin}: entry {self.tree.size} is not there")
        if run.root is not None:
            self._take_root(run.first, run.root)
            return
        within = min(len(run.bodies), self.signed.size - run.first)
        leaves = [_leaf(self.origin, run, place) for place in range(within)]
        self._grow(leaves)
        for index, body in enumerate(run.bodies[:within], run.first):
            if body:
                self._note(index, body)
            else:
                self._missed(index, 1)
        if within < len(run.bodies):
            self._behind(Run(run.first + within, run.bodies[within:]))

    def end(self) -> Told:
        """Return what was found once everything was there."""
        if self.tree.size < self.signed.size:
            raise CannotDecide(f"{self.origin}: entry {self.tree.size} is not there")
        if self.gone >= self.pruned:
            raise CannotDecide(f"{self.origin}: entry {self.gone} is not there, only its hash")
        return self.told

    def _take_root(self, first: int, root: bytes) -> None:
        if self.wanted and first < self.wanted[0][0] < first + TILE_WIDTH:
            raise CannotDecide(f"{self.origin}: entry {first} is not there")
        # A tree of whole tiles is one over their roots.
        above = Frontier(self.tree.size // TILE_WIDTH, self.tree.stack).extend([root])
        self.tree = Frontier(above.size * TILE_WIDTH, above.stack)
        self._missed(first, TILE_WIDTH)
        self._confirm()

    def _grow(self, leaves: Sequence[bytes]) -> None:
        while leaves:
            upto = min(len(leaves), self.wanted[0][0] - self.tree.size)
            self.tree = self.tree.extend(leaves[:upto])
            leaves = leaves[upto:]
            self._confirm()

    def _confirm(self) -> None:
        while self.wanted and self.wanted[0][0] == self.tree.size:
            size, root = self.wanted.pop(0)
            if root != self.tree.root():
                whose = "its checkpoint signs" if size == self.signed.size else "is known of it"
                raise VerificationError(f"{self.origin}: at {size} entries it is not what {whose}")

    def _missed(self, index: int, count: int) -> None:
        if index + count > self.asked:
            self.gone = max(self.gone, index + count - 1)
        if index + count > min(self.asked, self.erased):
            self.told.absent += count

    def _note(self, index: int, body: bytes) -> None:
        if body.startswith(_PRUNED):
            self.pruned = max(self.pruned, int(_entry(self.origin, index, body).get("n", 0)))
        if index < min(self.asked, self.erased) or not body.startswith(_ERASURES):
            return
        content = _entry(self.origin, index, body)
        if content["out"] != Outcome.ALLOW:
            return
        if content["act"] != Act.ERASURE_REQUESTED:
            if index >= self.erased and "com" in content:
                self.told.erased.add(bytes.fromhex(content["com"]))
        elif index >= self.asked and "sref" in content:
            named, rules = tuple(content.get("fld", ())), frozenset(content.get("pol", ()))
            self.told.asked.append(Asked(bytes.fromhex(content["id"]), bytes.fromhex(content["sref"]), named, rules))

    def _behind(self, run: Run) -> None:
        if any(body.startswith(_ERASURES) for body in run.bodies):
            raise VerificationError(f"{self.origin}: entries from {run.first} on tell of erasures and are not signed")


def _leaf(origin: str, run: Run, place: int) -> bytes:
    body, recorded = run.bodies[place], run.leaves[place] if run.leaves else None
    if not body and (recorded is None or len(recorded) != HASH_SIZE):
        raise CannotDecide(f"{origin}: entry {run.first + place} is not there")
    leaf = leaf_hash(body) if body else bytes(recorded or b"")
    if recorded is not None and recorded != leaf:
        raise VerificationError(f"{origin}: entry {run.first + place} was changed")
    return leaf


def _entry(origin: str, index: int, body: bytes) -> dict[str, Any]:
    content = _decoded(body)
    if content is None:
        raise VerificationError(f"{origin}: entry {index} is not in canonical form")
    return content


def _decoded(body: bytes) -> dict[str, Any] | None:
    try:
        return decode(body)
    except (InvalidEntry, ValueError, TypeError, KeyError):
        return None


def _said(note: str) -> tuple[str, int]:
    try:
        signed = parse(split_note(note).text)
    except VerificationError:
        raise CannotDecide("a checkpoint outside cannot be read") from None
    return signed.origin, signed.size


def _of_folder(folder: Path) -> Source:
    try:
        note = (folder / _CHECKPOINT).read_text("utf-8")
    except (OSError, UnicodeDecodeError):
        raise CannotDecide("the folder holds no checkpoint that can be read") from None

    origin, size = _said(note)

    def runs() -> Iterator[Run]:
        for index, width in tiles_of(0, size):
            bodies = _bundle(folder, index, width)
            leaves = hash_tile_of(folder, index, width)
            if bodies is None and leaves is not None:
                bodies = [b""] * width
            if bodies is not None:
                yield Run(index * TILE_WIDTH, bodies, leaves or ())

    return Source(origin, size, note, runs)


def _bundle(folder: Path, index: int, width: int) -> list[bytes] | None:
    """Return the first `width` entries of a bundle, or None if it is not there or not whole. A full one serves for a partial."""
    for spelt in dict.fromkeys((bundle_path(index, width), bundle_path(index))):
        try:
            bodies = unpack_bundle((folder / spelt).read_bytes())
        except (OSError, VerificationError):
            continue
        if len(bodies) >= width:
            return bodies[:width]
    return None


def _of_rows(path: Path, log: StoredLog) -> Source:
    newest = max(log.checkpoints, key=lambda each: each.size)

    def runs() -> Iterator[Run]:
        with open_sqlite(path) as logs:
            for each in logs:
                if each.shard == log.shard:
                    yield from _collected(each.entries)

    return Source(log.origin, newest.size, newest.note, runs)


def _collected(entries: Iterable[StoredEntry]) -> Iterator[Run]:
    first, bodies, leaves = 0, list[bytes](), list[bytes | None]()
    for entry in entries:
        if entry.idx != first + len(bodies) or len(bodies) == TILE_WIDTH:
            yield Run(first, bodies, leaves)
            first, bodies, leaves = entry.idx, [], []
        bodies.append(entry.body)
        leaves.append(entry.leaf)
    yield Run(first, bodies, leaves)


def _of_bundle(path: Path) -> Source:
    try:
        members = dict(read_archive(path))
        note = members[_CHECKPOINT].decode()
    except VerificationError as error:
        raise CannotDecide(str(error)) from None
    except (KeyError, UnicodeDecodeError):
        raise CannotDecide("the archive is no evidence bundle") from None
    origin, size = _said(note)
    roots: list[bytes] = []
    for index, width in tiles_of(1, size):
        roots += _cut(members.get(tile_path(1, index, width), b""))

    def runs() -> Iterator[Run]:
        for index, width in tiles_of(0, size):
            first, bundle = index * TILE_WIDTH, members.get(bundle_path(index, width))
            if bundle is not None:
                yield Run(first, unpack_bundle(bundle))
            elif width == TILE_WIDTH and index < len(roots):
                yield Run(first, root=roots[index])
            else:
                leaves = _cut(members.get(tile_path(0, index, width), b""))
                yield Run(first, [b""] * len(leaves), leaves)

    return Source(origin, size, note, runs)


def _cut(content: bytes) -> list[bytes]:
    return [content[at : at + HASH_SIZE] for at in range(0, len(content), HASH_SIZE)]


def merged(told: Iterable[Told]) -> Told:
    """Join what several logs tell."""
    all_of = Told()
    for each in told:
        all_of.erased |= each.erased
        all_of.asked += each.asked
        all_of.beyond += each.beyond
        all_of.absent += each.absent
    return all_of
