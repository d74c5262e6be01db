"""A log of 300 entries with every bit of every stored byte flipped: each flip found, each answered by the right code.

Bodies and the hashes beside them are flipped a hundred entries at a time, the same bit of each: the verifier must name
every one of them. What is one of a kind (notes, frontiers, head, upper tiles, lengths in bundles) is flipped bit by bit.
"""

import shutil

import pytest
from tamperable_log import ORIGIN, START, Ed25519Signer, make_log

from audit import ledger, published, tables
from audit.errors import CannotDecide
from audit.findings import Fault, Verdict
from audit.merkle import Frontier, root_hash
from audit.publishing import publish
from audit.tiles import unpack_bundle
from audit.verify import verify_directory, verify_log
from vault.store.engine import open_engine

SIZE = 300
SIGNED = (100, 256, SIZE)
SIGNER = Ed25519Signer(ORIGIN)
GROUP = 100  # findings of one log that are told one by one


@pytest.fixture
def log():
    return make_log(SIGNER, SIZE, SIGNED)


def check(log):
    return verify_log(log.stored(), [SIGNER.vkey])


def flipped(content, bit):
    place = bit // 8
    return content[:place] + bytes([content[place] ^ 1 << bit % 8]) + content[place + 1 :]


def test_the_log_is_sound(log):
    result = check(log)
    assert (result.verdict, result.size, result.checkpoints) == (Verdict.FINE, SIZE, 3)


@pytest.mark.parametrize("column", ["body", "leaf", "entry_id"])
def test_every_bit_of_every_entry_is_found_and_its_entry_named(log, column):
    sound = list(log.entries)
    flips = 0
    for first in range(0, SIZE, GROUP):
        longest = max(len(getattr(entry, column)) for entry in sound[first : first + GROUP])
        for bit in range(8 * longest):
            log.entries = list(sound)
            meant = set()
            for index in range(first, first + GROUP):
                content = getattr(sound[index], column)
                if bit < 8 * len(content):
                    log.entries[index] = sound[index]._replace(**{column: flipped(content, bit)})
                    meant.add(index)
            result = check(log)
            assert result.verdict is Verdict.TAMPERED
            assert {each.index for each in result.findings} == meant
            assert {each.kind for each in result.findings} == {Fault.CHANGED}
            flips += len(meant)
    assert flips == 8 * sum(len(getattr(entry, column)) for entry in sound)


def test_every_bit_of_checkpoints_and_head_is_tampering_and_not_doubt(log):
    for place, stored in enumerate(log.checkpoints):
        for name in ("note", "stack"):
            content = stored.note.encode() if name == "note" else stored.stack
            for bit in range(8 * len(content)):
                changed = flipped(content, bit)
                value = changed.decode("utf-8", "replace") if name == "note" else changed
                log.checkpoints[place] = stored._replace(**{name: value})
                assert check(log).verdict is Verdict.TAMPERED, (place, name, bit)
        for bit in range(40):
            log.checkpoints[place] = stored._replace(size=stored.size ^ 1 << bit)
            assert check(log).verdict is Verdict.TAMPERED, (place, "size", bit)
        log.checkpoints[place] = stored
    sound = log.stack
    for bit in range(8 * len(sound)):
        log.stack = flipped(sound, bit)
        assert check(log).verdict is Verdict.TAMPERED, ("head", bit)
    log.stack = sound
    for bit in range(40):
        log.size = SIZE ^ 1 << bit
        assert check(log).verdict is Verdict.TAMPERED, ("size", bit)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """The same log, published."""
    home = tmp_path_factory.mktemp("every-bit")
    made = open_engine(f"sqlite:///{home / 'log.sqlite'}")
    log = make_log(SIGNER, SIZE, SIGNED)
    with made.begin() as conn:
        tables.metadata.create_all(conn)
        ledger.create_head(conn, 0, ORIGIN, START)
        ledger.append(conn, 0, [(each.entry_id, each.body) for each in log.entries], START)
    with made.begin() as conn:
        ledger.sign_checkpoint(conn, 0, (SIGNER,), None)
        published.grow(conn, 0, SIZE)
        publish(conn, 0, home / "log", entries=True)
    made.dispose()
    return home / "log"


def verdict(folder):
    try:
        return verify_directory(folder, [SIGNER.vkey]).verdict
    except CannotDecide:
        return Verdict.UNDECIDED


def test_every_bit_of_a_published_checkpoint_is_never_fine(folder, tmp_path):
    """A note that can no longer be read decides nothing; one that says something else is tampering."""
    shutil.copytree(folder, tmp_path / "log")
    path = tmp_path / "log" / "checkpoint"
    sound = path.read_bytes()
    tampered = unreadable = 0
    for bit in range(8 * len(sound)):
        path.write_bytes(flipped(sound, bit))
        try:
            # Where it still reads as a checkpoint, a change is never taken for a stranger's note or missing material.
            assert verify_directory(tmp_path / "log", [SIGNER.vkey]).verdict is Verdict.TAMPERED, bit
            tampered += 1
        except CannotDecide as error:
            assert "no checkpoint that can be read" in str(error)
            unreadable += 1
    assert tampered > unreadable > 0


def test_every_bit_of_every_tile_is_tampering(folder, tmp_path):
    shutil.copytree(folder, tmp_path / "log")
    names = sorted(path.relative_to(folder) for path in (folder / "tile").rglob("*") if path.is_file())
    assert [str(each) for each in names] == [
        "tile/0/000", "tile/0/001.p/44", "tile/1/000.p/1", "tile/entries/000", "tile/entries/001.p/44",
    ]  # fmt: skip
    for name in names[:3]:
        path = tmp_path / "log" / name
        sound = path.read_bytes()
        step = 1 if len(sound) == 32 else 61  # level 0 repeats the hashes beside the entries, flipped one by one above
        for bit in range(0, 8 * len(sound), step):
            path.write_bytes(flipped(sound, bit))
            assert verdict(tmp_path / "log") is Verdict.TAMPERED, (name, bit)
        path.write_bytes(sound)


def test_every_bit_of_every_length_in_a_bundle_is_tampering(folder, tmp_path):
    shutil.copytree(folder, tmp_path / "log")
    for name in ("000", "001.p/44"):
        path = tmp_path / "log" / "tile" / "entries" / name
        sound = path.read_bytes()
        at = 0
        for entry in unpack_bundle(sound):
            for bit in range(8 * at, 8 * at + 16):
                path.write_bytes(flipped(sound, bit))
                assert verdict(tmp_path / "log") is Verdict.TAMPERED, (name, bit)
            at += 2 + len(entry)
        path.write_bytes(sound)
    assert verdict(tmp_path / "log") is Verdict.FINE


def test_the_frontier_of_a_thousand_sizes_is_the_recursive_tree():
    """A second, naive implementation: the definition of RFC 6962 §2.1, written down as it stands."""
    import hashlib

    leaves = [hashlib.sha256(b"\x00%d" % number).digest() for number in range(1000)]
    known = {}

    def tree(start, end):
        if (start, end) not in known:
            if end - start == 0:
                known[start, end] = hashlib.sha256(b"").digest()
            elif end - start == 1:
                known[start, end] = leaves[start]
            else:
                split = 1
                while split * 2 < end - start:
                    split *= 2
                both = tree(start, start + split) + tree(start + split, end)
                known[start, end] = hashlib.sha256(b"\x01" + both).digest()
        return known[start, end]

    grown = Frontier()
    for size in range(1001):
        assert grown.root() == tree(0, size)
        assert Frontier.unpack(size, grown.pack()) == grown
        if size < 1000:
            grown = grown.append(leaves[size])
    assert root_hash(leaves) == tree(0, 1000)
