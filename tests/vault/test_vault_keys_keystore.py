"""Keystore files: made whole or not at all, opened by their own root and deployment only, damaged one page at a time."""

import hashlib
import os
import sqlite3
import stat
from contextlib import closing

import pytest

from vault.errors import Conflict, IntegrityFailure, Sealed, StoreFull, UnsafeFile, VaultError, WrongDeployment
from vault.keys.keystore import Geometry, create_keystore, open_keystore
from vault.keys.local import KeyFileProvider
from vault.keys.service import KeyState, SigningKey, Slot
from vault.runtime import SystemClock, SystemEntropy

SMALL = Geometry(8, 2)
DEPLOYMENT = "keystore-test"
DEK = bytes(range(32))


def create(folder, deployment=DEPLOYMENT, geometry=SMALL, name="keys.db", provider=None):
    provider = provider or KeyFileProvider(folder / f"{name}.root", SystemEntropy())
    create_keystore(folder / name, provider, deployment, geometry, entropy=SystemEntropy(), clock=SystemClock())
    return folder / name, provider


@pytest.fixture
def keystore(tmp_path):
    return create(tmp_path)


@pytest.fixture
def service(keystore):
    with closing(open_keystore(*keystore, DEPLOYMENT)) as opened:
        yield opened


def change(path, statement, *values):
    """Do what somebody with write access to the file could do."""
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        assert db.execute(statement, values).rowcount == 1


def slots(leaves=64):
    return [Slot(leaf, 0) for leaf in range(leaves)]


def test_a_reopened_keystore_gives_the_same_keys(keystore):
    def answers():
        with closing(open_keystore(*keystore, DEPLOYMENT)) as service:
            wrapped = service.wrap([(slot, DEK) for slot in slots()])
            public = [service.public_key(key) for key in SigningKey]
            return wrapped, service.mac("a", [b"m"]), service.seal("a", [(b"c", b"p")]), public

    first, second = answers(), answers()
    assert first == second
    assert len(set(first[0])) == 64


def test_what_one_opening_wrapped_the_next_unwraps(keystore):
    with closing(open_keystore(*keystore, DEPLOYMENT)) as service:
        items = list(zip(slots(), service.wrap([(slot, DEK) for slot in slots()]), strict=True))
    with closing(open_keystore(*keystore, DEPLOYMENT)) as service:
        assert service.unwrap(items) == [DEK] * 64


def test_files_are_private_and_nothing_unfinished_is_left(keystore, service):
    path, _ = keystore
    service.reserve(1)
    names = {file.name: stat.S_IMODE(file.stat().st_mode) for file in path.parent.iterdir()}
    assert names.pop("keys.db.root") == 0o700
    assert [stat.S_IMODE(file.stat().st_mode) for file in (path.parent / "keys.db.root").iterdir()] == [0o600]
    assert names == {"keys.db": 0o600, "keys.db-wal": 0o600, "keys.db-shm": 0o600}


def test_a_keystore_is_never_replaced(keystore):
    path, provider = keystore
    before = hashlib.sha256(path.read_bytes()).digest()
    with pytest.raises(Conflict):
        create(path.parent, provider=provider)
    assert hashlib.sha256(path.read_bytes()).digest() == before


def test_a_keystore_is_never_made_by_opening_it(tmp_path):
    provider = KeyFileProvider(tmp_path / "root", SystemEntropy())
    with pytest.raises(Sealed):
        open_keystore(tmp_path / "absent.db", provider, DEPLOYMENT)
    assert list(tmp_path.iterdir()) == []


def test_a_creation_that_fails_leaves_nothing(tmp_path):
    class Failing:
        def __init__(self):
            self.calls = 0

        def bytes(self, count):
            self.calls += 1
            if self.calls > 12:
                raise OSError
            return os.urandom(count)

    provider = KeyFileProvider(tmp_path / "root", SystemEntropy())
    with pytest.raises(StoreFull):
        create_keystore(
            tmp_path / "keys.db", provider, DEPLOYMENT, Geometry(4, 3), entropy=Failing(), clock=SystemClock()
        )
    assert [file.name for file in tmp_path.iterdir()] == ["root"]
    create(tmp_path, provider=provider)


def test_another_deployment_is_told_apart(keystore):
    with pytest.raises(WrongDeployment):
        open_keystore(*keystore, "another")


def test_a_relabelled_keystore_does_not_open(keystore):
    path, provider = keystore
    change(path, "UPDATE keystore SET deployment = 'another'")
    with pytest.raises(WrongDeployment):
        open_keystore(path, provider, DEPLOYMENT)
    with pytest.raises(IntegrityFailure):
        open_keystore(path, provider, "another")


def test_another_root_is_sealed(keystore, tmp_path):
    path, _ = keystore
    other = KeyFileProvider(tmp_path / "other", SystemEntropy())
    with pytest.raises(Sealed):
        open_keystore(path, other, DEPLOYMENT)
    other.create("00" * 16)
    with pytest.raises(Sealed):
        open_keystore(path, other, DEPLOYMENT)


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE keystore SET format = 1",
        "UPDATE keystore SET format = 3",
        "UPDATE keystore SET epoch = 1",
        "UPDATE keystore SET fanout = 9",
        "UPDATE keystore SET depth = 1",
        "UPDATE epoch SET epoch = 1",
        "UPDATE epoch SET top_key = CAST(substr(top_key, 1, 32) || zeroblob(104) AS BLOB)",
        "UPDATE epoch SET top_key = CAST(substr(top_key, 1, 135) AS BLOB)",
        "DELETE FROM keystore",
        "DELETE FROM epoch",
        "UPDATE epoch SET top = x''",
        "UPDATE epoch SET service = x''",
        "UPDATE epoch SET top = x'00'",
        "UPDATE epoch SET top = service",
        "UPDATE epoch SET service = top",
    ],
)
def test_an_altered_head_or_part_is_an_integrity_failure(keystore, statement):
    path, provider = keystore
    change(path, statement)
    with pytest.raises(IntegrityFailure):
        open_keystore(path, provider, DEPLOYMENT)


@pytest.mark.parametrize("table", ["keystore", "epoch", "retired", "leaving"])
def test_a_missing_table_is_an_integrity_failure(keystore, table):
    path, provider = keystore
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.execute(f"DROP TABLE {table}")
    with pytest.raises(IntegrityFailure):
        open_keystore(path, provider, DEPLOYMENT)


def test_parts_of_two_keystores_do_not_mix(keystore, tmp_path):
    """Same deployment, same shape, even the same root: the keys differ."""
    path, provider = keystore
    other, _ = create(tmp_path, name="other.db", provider=provider)
    with closing(sqlite3.connect(other)) as db:
        ((top, service),) = db.execute("SELECT top, service FROM epoch")
    change(path, "UPDATE epoch SET top = ?, service = ?", top, service)
    with pytest.raises(IntegrityFailure):
        open_keystore(path, provider, DEPLOYMENT)


def page_address(level, position):
    return level << 32 | position


def test_an_altered_page_fails_alone(keystore):
    path, provider = keystore
    with closing(open_keystore(path, provider, DEPLOYMENT)) as service:
        items = list(zip(slots(), service.wrap([(slot, DEK) for slot in slots()]), strict=True))
    statement = "UPDATE page SET body = CAST(substr(body, 1, 100) || zeroblob(8) || substr(body, 109) AS BLOB) WHERE address = ?"
    change(path, statement, page_address(0, 3))
    change(path, "DELETE FROM page WHERE address = ?", page_address(0, 5))
    with closing(open_keystore(path, provider, DEPLOYMENT)) as service:
        expected = [None if slot.number // 8 in {3, 5} else DEK for slot, _ in items]
        assert service.unwrap(items) == expected
        assert [wrapped is None for wrapped in service.wrap([(slot, DEK) for slot in slots()])] == [
            dek is None for dek in expected
        ]
        assert len(service.mac("a", [b"m"])) == 1


def test_an_altered_root_page_fails_every_slot_and_nothing_else(keystore):
    path, provider = keystore
    change(path, "UPDATE page SET body = x'00' WHERE address = ?", page_address(1, 0))
    with closing(open_keystore(path, provider, DEPLOYMENT)) as service:
        assert service.wrap([(slot, DEK) for slot in slots()]) == [None] * 64
        assert service.status().state is KeyState.UNSEALED
        assert len(service.sign(SigningKey.LOG, [b"m"])) == 1


@pytest.mark.parametrize("kept", [0, 1, 50, 100, 4095, 4096, 8192])
def test_a_truncated_file_does_not_open(keystore, kept):
    path, provider = keystore
    content = path.read_bytes()
    path.write_bytes(content[:kept])
    with pytest.raises(VaultError) as raised:
        open_keystore(path, provider, DEPLOYMENT)
    assert isinstance(raised.value, IntegrityFailure)
    assert raised.value.__suppress_context__ or raised.value.__context__ is None


def test_a_file_that_lost_its_end_keeps_what_is_left(tmp_path):
    path, provider = create(tmp_path, geometry=Geometry(120, 2))
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])
    items = [(Slot(page * 120, 0), DEK) for page in range(120)]
    try:
        service = open_keystore(path, provider, DEPLOYMENT)
    except IntegrityFailure:
        return  # refusing the whole file is right too; which one it is, is SQLite's layout
    with closing(service):
        wrapped = service.wrap(items)
    assert None in wrapped


def test_garbage_is_not_a_keystore(tmp_path, keystore):
    _, provider = keystore
    path = tmp_path / "garbage.db"
    path.touch(mode=0o600)
    path.write_bytes(bytes(range(256)) * 64)
    with pytest.raises(IntegrityFailure):
        open_keystore(path, provider, DEPLOYMENT)


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660])
def test_a_keystore_open_to_others_is_refused(keystore, mode):
    path, provider = keystore
    path.chmod(mode)
    with pytest.raises(UnsafeFile):
        open_keystore(path, provider, DEPLOYMENT)


@pytest.mark.parametrize("deployment", ["", "d" * 65, "é" * 33])
def test_impossible_deployment_ids_are_refused(tmp_path, deployment):
    with pytest.raises(ValueError):
        create(tmp_path, deployment=deployment)
    assert list(tmp_path.iterdir()) == []


def test_no_leaf_is_in_the_file_in_clear(keystore):
    """The one unsealed thing would be a leaf; a leaf shows by wrapping a known key to a known result."""
    path, provider = keystore
    with closing(open_keystore(path, provider, DEPLOYMENT)) as service:
        keys = [bytes(service._view.tree.leaf_page(0, leaf // 8).key(leaf % 8)) for leaf in range(64)]
    content = path.read_bytes()
    assert len(set(keys)) == 64
    assert not any(key in content for key in keys)


def test_the_default_keystore_holds_a_million_leaves_in_sixty_megabytes(tmp_path):
    path, provider = create(tmp_path, geometry=Geometry())
    assert path.stat().st_size < 60_000_000
    with closing(open_keystore(path, provider, DEPLOYMENT)) as service:
        assert service.status().slots_total == 1_728_000
        ends = [Slot(0, 0), Slot(1_727_999, 0), Slot(1_728_000, 0)]
        assert [wrapped is None for wrapped in service.wrap([(slot, DEK) for slot in ends])] == [False, False, True]
