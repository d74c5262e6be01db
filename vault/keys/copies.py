"""Copies of the keystore: where they are kept, and how one is known to be as good as the original.

A copy is a keystore file that holds the current epoch and nothing of the one that is to end. It is brought up to date in
one transaction, so at every moment it is a whole copy of one epoch or of the next. It is good when it opens through the
root of the current epoch, and when a digest over its pages, keyed by what that root opened, is that of the original.
"""

import os
import struct
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Final, NamedTuple, Protocol

from cryptography.hazmat.primitives.hashes import SHA256, SHA512
from cryptography.hazmat.primitives.hmac import HMAC
from cryptography.hazmat.primitives.kdf.hkdf import HKDFExpand

from vault.errors import (
    Conflict,
    Damaged,
    IntegrityFailure,
    Sealed,
    StoreFull,
    StoreUnavailable,
    VaultError,
    WrongDeployment,
)
from vault.keys.message import bind
from vault.keys.pagefile import PageFile, create_file
from vault.keys.pagestore import PageRow, PageStore
from vault.keys.provider import RootProvider
from vault.keys.toppage import OpenEpoch, deployment_bytes, open_epoch
from vault.runtime import Entropy

NEEDED: Final = 2  # copies that must be read back before a root is destroyed

ALWAYS_WHOLE: Final = 20_000  # pages: one tree of the usual shape, a third of a second for two copies

_DAY: Final = 86_400
_FILE: Final = "keystore.copy"
_LABEL: Final = b"ecrin/copy-digest/v1"
_PAGE = struct.Struct(">QII")  # address, generation, length


class CopyInfo(NamedTuple):
    """What a copy says of itself, unproved: deployment, epoch, structure, and the UTC second it was written."""

    place: str
    deployment: str
    epoch: int
    structure: int
    written_at: int


class CopyPlace(Protocol):
    """One place that keeps a copy, independent of the keystore and of every other place."""

    @property
    def name(self) -> str:
        """What operators call it. No two places share one."""
        ...

    def put(self, source: PageStore, *, anew: bool = False, pages: bool = True) -> None:
        """Bring the copy up to date, durably; `anew` writes all of it, over what is there; without `pages` but those.

        Raises Sealed when there is no copy, IntegrityFailure when it is damaged: it can then be written anew only.
        Raises WrongDeployment when it is another deployment's; StoreUnavailable or StoreFull.
        """
        ...

    def opened(self) -> AbstractContextManager[PageStore]:
        """Open the copy, to read it back. Raises Sealed when there is none."""
        ...

    def listed(self) -> tuple[CopyInfo, ...]:
        """List what is kept here."""
        ...


class FolderPlace:
    """A copy in a folder: another disk, or one mounted from another host. The folder is never made.

    `file` is its name there, for whoever keeps one beside that of the epoch changes.
    """

    def __init__(self, folder: Path, entropy: Entropy, file: str = _FILE) -> None:
        self._folder = folder
        self._path = folder / file
        self._entropy = entropy

    @property
    def name(self) -> str:
        """The folder's path."""
        return str(self._folder)

    def put(self, source: PageStore, *, anew: bool = False, pages: bool = True) -> None:
        """Write what the copy lacks, or all of it."""
        if not self._folder.is_dir():
            raise StoreUnavailable("a folder for copies is absent")  # not made: it may be a disk that is not there
        if anew:
            self._write(source)
            return
        with self.opened() as copy:
            self._check(copy, source)
            copy.update(source, pages=pages)

    @contextmanager
    def opened(self) -> Iterator[PageStore]:
        """Open the copy."""
        file = PageFile(self._path)
        try:
            yield file
        finally:
            file.close()

    def listed(self) -> tuple[CopyInfo, ...]:
        """Read the head of the copy, if there is one that can be read."""
        try:
            with self.opened() as copy:
                head = copy.head()
            written = int(self._path.stat().st_mtime)
        except (Sealed, IntegrityFailure, OSError):
            return ()
        return (CopyInfo(self.name, head.deployment, head.epoch, head.structure, written),)

    def _write(self, source: PageStore) -> None:
        """Write all of it under another name and give it its own: at every moment the old copy or the new is there."""
        try:
            with self.opened() as copy:
                self._check(copy, source)
        except (Sealed, IntegrityFailure):
            pass  # absent or damaged
        unique = self._entropy.bytes(8).hex()
        fresh = self._path.with_name(f"{self._path.name}.{unique}")
        with source.reading():
            create_file(fresh, unique, source.rows(), source.current_pages())
        try:
            for suffix in ("-wal", "-shm"):  # of a damaged copy: they would be taken for parts of the new one
                self._path.with_name(self._path.name + suffix).unlink(missing_ok=True)
            fresh.replace(self._path)
            folder = os.open(self._folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            try:
                os.fsync(folder)
            finally:
                os.close(folder)
        except OSError:
            raise StoreFull("a copy of the keystore cannot be written") from None
        finally:
            fresh.unlink(missing_ok=True)

    @staticmethod
    def _check(copy: PageStore, source: PageStore) -> None:
        if copy.head().deployment != source.head().deployment:
            raise WrongDeployment("the folder keeps a copy of another deployment's keystore")


def digest(store: PageStore, opened: OpenEpoch, pages: Iterable[tuple[int, int]] | None = None) -> bytes:
    """HMAC-SHA-256 over the top page and `pages`, or every current page, under a key derived from the top key.

    Over sealed pages: they are authenticated, so equal bytes under equal keys are equal leaves, and nothing of a
    million opened pages has to pass through memory. Raises IntegrityFailure when one of `pages` is missing.
    """
    mac = HMAC(HKDFExpand(SHA512(), 32, bind(_LABEL)).derive(opened.top_key), SHA256())
    mac.update(opened.top.encode())
    for address, generation, body in store.current_pages() if pages is None else _pages(store, pages):
        mac.update(_PAGE.pack(address, generation, len(body)))
        mac.update(body)
    return mac.finalize()


def replicate(
    store: PageStore,
    places: Sequence[CopyPlace],
    current: OpenEpoch,
    provider: RootProvider,
    renew: Callable[[], int],
    prove_whole: Callable[[], None],
    always_whole: int = ALWAYS_WHOLE,
) -> int:
    """Bring all copies up to date; return how many were read back. One that is absent or damaged is written anew.

    Never before `prove_whole` opened every page of the keystore: a damaged page must not go over a sound copy. `renew`
    is called before each long step, to keep the lease, and tells the time. Raises Damaged, and Conflict when the lease is
    another's: no place is to blame for that. What else a place raises only makes it not count.
    """
    read_back = _ReadBack(store, current, provider, always_whole)
    good, sound = 0, False
    for place in places:
        now = renew()
        try:
            try:
                place.put(store)
                renew()
                read_back(place, now)
            except (Sealed, IntegrityFailure):
                if not sound:
                    prove_whole()
                    sound = True
                now = renew()
                place.put(store, anew=True)
                renew()
                read_back(place, now)
        except (Conflict, Damaged):
            raise
        except VaultError:
            continue
        good += 1
    return good


def standing(store: PageStore, places: Sequence[CopyPlace], structure: int | None) -> bool:
    """Whether enough copies, once read back, are still where they were, by what they say of themselves."""
    head = store.head()
    wanted = head.deployment, head.epoch, structure
    listed = [each for place in places for each in place.listed()]
    return sum((each.deployment, each.epoch, each.structure) == wanted for each in listed) >= NEEDED


class _ReadBack:
    """Proves that copies hold what the original holds, and open through the root of its epoch.

    All pages of a copy are read back, unless there are more than `always_whole`: then what was written since, and all
    once a day, so that erasing one person of eight million leaves does not read a gigabyte.
    """

    def __init__(self, original: PageStore, current: OpenEpoch, provider: RootProvider, always_whole: int) -> None:
        self._original = original
        self._current = current
        self._provider = provider
        self._head = original.head()
        self._pages = original.current()
        self._small = len(self._pages) <= always_whole
        self._whole: bytes | None = None

    def __call__(self, place: CopyPlace, now: int) -> None:
        """Read a copy back. Raises IntegrityFailure when it is not so, Sealed when there is no copy or its root does not open it."""
        with place.opened() as copy:
            with copy.reading():
                unread, whole_at = copy.unread()
                whole = self._small or whole_at is None or not 0 <= now - whole_at < _DAY
                self._compare(copy, None if whole else sorted(unread))
            copy.was_read(now if whole else None)

    def _compare(self, copy: PageStore, pages: list[tuple[int, int]] | None) -> None:
        head, found = self._head, copy.head()
        row = copy.epoch(head.epoch)
        same = ("deployment", "epoch", "structure", "fanout", "depth")
        if row is None or any(getattr(head, each) != getattr(found, each) for each in same):
            raise IntegrityFailure(IntegrityFailure.code)
        opened = open_epoch(deployment_bytes(head.deployment), row, found, self._provider)
        if copy.current() != self._pages or opened.service != self._current.service:
            raise IntegrityFailure(IntegrityFailure.code)
        # Compared in the open: whoever could measure it holds both files already.
        if digest(copy, opened, pages) != self._expected(pages):
            raise IntegrityFailure(IntegrityFailure.code)

    def _expected(self, pages: list[tuple[int, int]] | None) -> bytes:
        if pages is not None:
            return digest(self._original, self._current, pages)
        if self._whole is None:
            self._whole = digest(self._original, self._current)
        return self._whole


def _pages(store: PageStore, pages: Iterable[tuple[int, int]]) -> Iterator[PageRow]:
    for address, generation in pages:
        body = store.page(address, generation)
        if body is None:
            raise IntegrityFailure(IntegrityFailure.code)
        yield PageRow(address, generation, body)
