"""A folder of roots: what a crash leaves in the middle of a destruction, and what an absent file does not mean."""

import os
import shutil

import pytest

from vault.errors import Sealed, UnsafeFile
from vault.keys.local import KeyFileProvider
from vault.keys.provider import RootState
from vault.runtime import SystemEntropy

REF = "00112233445566778899aabbccddeeff"
KEY = bytes(range(32))
ENTROPY = SystemEntropy()


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "roots"


@pytest.fixture
def provider(folder, clock):
    return KeyFileProvider(folder, ENTROPY, clock=clock)


@pytest.fixture
def path(folder, provider):
    provider.create(REF)
    return folder / f"root-{REF}"


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_destroying_leaves_a_mark_with_its_time_and_nothing_else(folder, provider, path, clock):
    provider.destroy(REF)
    assert names(folder) == [f"root-{REF}.destroyed"]
    assert (folder / f"root-{REF}.destroyed").read_text() == f"{clock.now()}\n"


def test_the_content_is_overwritten_where_it_lies(folder, provider, path):
    """Whoever holds the file open, or another name of it, holds zeros."""
    secret = path.read_bytes()
    os.link(path, folder / "another-name")
    with path.open("rb") as held:
        provider.destroy(REF)
        assert held.read() == bytes(len(secret))
    assert (folder / "another-name").read_bytes() == bytes(32)


def test_what_a_crash_of_writing_left_goes_too(folder, provider, path):
    left = folder / f"root-{REF}.0badc0de.unfinished"
    left.touch(mode=0o600)
    left.write_bytes(b"r" * 32)
    with left.open("rb") as held:
        provider.destroy(REF)
        assert held.read() == bytes(32)
    assert names(folder) == [f"root-{REF}.destroyed"]


@pytest.mark.parametrize("marked", [False, True])
@pytest.mark.parametrize("wiped", [False, True])
def test_a_destruction_half_done_opens_nothing_and_is_resumed(folder, provider, path, clock, wiped, marked):
    wrapped = provider.wrap(REF, KEY, b"")
    doomed, mark = folder / f"root-{REF}.destroying", folder / f"root-{REF}.destroyed"
    path.rename(doomed)
    if wiped:
        doomed.write_bytes(bytes(32))
    if marked:
        mark.touch(mode=0o600)
        mark.write_text(f"{clock.now() - 60}\n")
    for each in (provider, KeyFileProvider(folder, ENTROPY, clock=clock)):
        assert each.status(REF).state is RootState.PENDING
        for verb in (
            lambda p=each: p.unwrap(REF, wrapped, b""),
            lambda p=each: p.wrap(REF, KEY, b""),
            lambda p=each: p.create(REF),
        ):
            with pytest.raises(Sealed):
                verb()
    assert provider.destroy(REF).effective_at == clock.now() - (60 if marked else 0)
    assert names(folder) == [mark.name]
    assert provider.status(REF).state is RootState.GONE


def test_a_folder_that_is_away_is_no_destruction(folder, provider, path, tmp_path):
    """An unmounted medium, or another machine: nothing is certified, and the root comes back with its folder."""
    wrapped = provider.wrap(REF, KEY, b"")
    folder.rename(tmp_path / "away")
    assert provider.status(REF).state is RootState.UNKNOWN
    for verb in (lambda: provider.destroy(REF), lambda: provider.unwrap(REF, wrapped, b"")):
        with pytest.raises(Sealed):
            verb()
    (tmp_path / "away").rename(folder)
    assert provider.unwrap(REF, wrapped, b"") == KEY
    provider.destroy(REF)


def test_a_copy_of_the_file_brings_the_root_back_which_is_why_the_class_is_c(folder, provider, path, tmp_path):
    wrapped = provider.wrap(REF, KEY, b"")
    shutil.copy(path, tmp_path / "copy")
    provider.destroy(REF)
    other = tmp_path / "other"
    other.mkdir()
    shutil.copy(tmp_path / "copy", other / path.name)
    (other / path.name).chmod(0o600)
    assert KeyFileProvider(other, ENTROPY).unwrap(REF, wrapped, b"") == KEY


def test_a_copy_put_back_beside_its_mark_is_live_again_and_said_so(folder, provider, path, tmp_path):
    """Nothing is hidden: what is there is there, and can be destroyed again."""
    content = path.read_bytes()
    provider.destroy(REF)
    path.touch(mode=0o600)
    path.write_bytes(content)
    assert provider.status(REF).state is RootState.LIVE
    provider.destroy(REF)
    assert provider.status(REF).state is RootState.GONE


def test_an_exposed_root_opens_nothing_and_can_be_destroyed(folder, provider, path):
    provider.forget()
    path.chmod(0o644)
    with pytest.raises(UnsafeFile):
        provider.wrap(REF, KEY, b"")
    provider.destroy(REF)
    assert names(folder) == [f"root-{REF}.destroyed"]


def test_a_folder_in_a_roots_place_is_refused(folder, provider):
    (folder / f"root-{REF}").mkdir(parents=True)
    with pytest.raises(UnsafeFile):
        provider.destroy(REF)


@pytest.mark.parametrize("content", [b"", b"soon", b"-", b"9" * 40])
def test_a_damaged_mark_is_said_so(folder, provider, path, content):
    provider.destroy(REF)
    (folder / f"root-{REF}.destroyed").write_bytes(content)
    assert provider.status(REF).state is RootState.GONE
    with pytest.raises((UnsafeFile, Sealed)):
        provider.destroy(REF)
