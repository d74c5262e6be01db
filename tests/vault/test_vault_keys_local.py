"""Local root keys: what opens, what is refused, and with which error."""

import os
import stat
import struct

import pytest

from vault.errors import IntegrityFailure, Sealed, StoreFull, UnsafeFile
from vault.keys.local import CEILING, DEFAULT, FLOOR, Cost, KeyFileProvider, PassphraseProvider
from vault.keys.provider import RootState
from vault.runtime import SystemEntropy

REF = "00112233445566778899aabbccddeeff"
KEY = bytes(range(32))
PASSPHRASE = b"six random words are enough here"
ENTROPY = SystemEntropy()


def key_file(path):
    return KeyFileProvider(path.parent, ENTROPY)


def passphrase_file(path, passphrase=PASSPHRASE):
    return PassphraseProvider(path.parent, passphrase, ENTROPY, FLOOR)


@pytest.fixture(params=[key_file, passphrase_file], ids=["key file", "passphrase"])
def kind(request):
    return request.param


@pytest.fixture
def path(tmp_path):
    """The file of the root REF."""
    folder = tmp_path / "roots"
    folder.mkdir()
    return folder / f"root-{REF}"


@pytest.fixture
def made(kind, path):
    provider = kind(path)
    provider.create(REF)
    return provider


def test_an_absent_root_is_never_made_by_using_it(kind, path):
    for verb in (lambda: kind(path).wrap(REF, KEY, b""), lambda: kind(path).unwrap(REF, bytes(136), b"")):
        with pytest.raises(Sealed):
            verb()
    assert not path.exists()
    assert kind(path).status(REF).state is RootState.UNKNOWN


def test_wrapped_keys_open_with_the_file_alone(made, kind, path):
    wrapped = made.wrap(REF, KEY, b"context")
    assert made.unwrap(REF, wrapped, b"context") == KEY
    assert kind(path).unwrap(REF, wrapped, b"context") == KEY
    made.forget()
    assert made.unwrap(REF, wrapped, b"context") == KEY
    assert made.status(REF).state is RootState.LIVE


def test_creating_twice_keeps_the_root(made, kind, path):
    before = path.read_bytes()
    wrapped = made.wrap(REF, KEY, b"")
    again = kind(path)
    again.create(REF)
    assert path.read_bytes() == before
    assert again.unwrap(REF, wrapped, b"") == KEY


def test_files_are_private_and_nothing_else_is_left(made, path):
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert list(path.parent.iterdir()) == [path]


def test_what_was_altered_or_moved_is_an_integrity_failure(made):
    wrapped = made.wrap(REF, KEY, b"context")
    with pytest.raises(IntegrityFailure):
        made.unwrap(REF, wrapped, b"other")
    for at in range(32, len(wrapped)):
        with pytest.raises(IntegrityFailure):
            made.unwrap(REF, wrapped[:at] + bytes([wrapped[at] ^ 1]) + wrapped[at + 1 :], b"context")
    with pytest.raises(IntegrityFailure):
        made.unwrap(REF, wrapped[:-1], b"context")


def test_another_root_is_sealed_and_not_an_integrity_failure(made, kind, tmp_path):
    wrapped = made.wrap(REF, KEY, b"context")
    other = kind(tmp_path / "other" / "root")
    other.create(REF)
    with pytest.raises(Sealed):
        other.unwrap(REF, wrapped, b"context")
    with pytest.raises(Sealed):
        made.unwrap("ff" * 16, wrapped, b"context")


def test_a_wrong_passphrase_and_an_altered_file_are_one_answer(path):
    passphrase_file(path).create(REF)
    with pytest.raises(Sealed) as wrong:
        passphrase_file(path, b"another passphrase").wrap(REF, KEY, b"")
    content = path.read_bytes()
    for at in (27, len(content) - 1):  # the Argon2id salt, the tag
        path.write_bytes(content[:at] + bytes([content[at] ^ 1]) + content[at + 1 :])
        with pytest.raises(Sealed) as altered:
            passphrase_file(path).wrap(REF, KEY, b"")
        assert str(altered.value) == str(wrong.value)
        assert altered.value.__suppress_context__


@pytest.mark.parametrize(
    "cost",
    [
        Cost(8, 1, 1),
        Cost(FLOOR.memory_kib - 1, 3, 4),
        Cost(FLOOR.memory_kib, 2, 4),
        Cost(FLOOR.memory_kib, 3, 3),
        Cost(CEILING.memory_kib + 1, 3, 4),
        Cost(2**32 - 1, 2**32 - 1, 2**32 - 1),
    ],
)
def test_a_hostile_file_cannot_choose_the_cost(path, cost):
    """Refused before Argon2id runs: the last one would ask for 4 TiB."""
    passphrase_file(path).create(REF)
    content = path.read_bytes()
    path.write_bytes(content[:11] + struct.pack(">III", cost.memory_kib, cost.passes, cost.lanes) + content[23:])
    with pytest.raises(Sealed, match="out of bounds"):
        passphrase_file(path).wrap(REF, KEY, b"")
    with pytest.raises(ValueError):
        PassphraseProvider(path.parent, PASSPHRASE, ENTROPY, cost)


def test_the_default_cost_is_a_gibibyte():
    assert Cost(1024 * 1024, 3, 4) == DEFAULT


def test_a_cost_within_bounds_that_is_not_the_written_one_does_not_open(path):
    passphrase_file(path).create(REF)
    content = path.read_bytes()
    path.write_bytes(content[:11] + struct.pack(">III", FLOOR.memory_kib, 4, 4) + content[23:])
    with pytest.raises(Sealed):
        passphrase_file(path).wrap(REF, KEY, b"")


@pytest.mark.parametrize("content", [b"", bytes(31), bytes(33), bytes(143), bytes(144), bytes(100_000)])
def test_a_file_of_another_shape_is_sealed(kind, path, content):
    path.touch(mode=0o600)
    path.write_bytes(content)
    with pytest.raises(Sealed):
        kind(path).create(REF)
    assert path.read_bytes() == content


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o602, 0o644, 0o610])
def test_a_file_open_to_others_is_refused_unread(kind, path, mode):
    path.touch()
    path.chmod(mode)
    with pytest.raises(UnsafeFile):
        kind(path).wrap(REF, KEY, b"")


def test_what_is_not_an_ordinary_file_is_refused_at_once(kind, path):
    os.mkfifo(path, 0o600)
    with pytest.raises(UnsafeFile):
        kind(path).wrap(REF, KEY, b"")


def test_a_folder_that_cannot_be_written_is_said_so(kind, tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(StoreFull) as raised:
        kind(tmp_path / "file" / "roots" / "root").create(REF)
    assert raised.value.__suppress_context__


@pytest.mark.parametrize("passphrase", [b"", b"too short"])
def test_a_short_passphrase_is_refused(path, passphrase):
    with pytest.raises(ValueError):
        passphrase_file(path, passphrase)


def test_no_repr_shows_a_secret(made):
    shown = repr(made)
    assert PASSPHRASE.decode() not in shown
    assert shown.startswith("<") and shown.endswith("Provider>")
