"""The log as outsiders read it: tiles that follow from the entries, nothing unsigned, folders that fit together."""

import shutil
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tamperable_log import ORIGIN, START, Ed25519Signer, body, entry_id, signed

from audit import ledger, published, succession
from audit.directory import open_directory
from audit.errors import CannotDecide, PublishingRefused, VerificationError
from audit.findings import Verdict
from audit.merkle import leaf_hash, root_hash
from audit.publishing import publish
from audit.standalone import standalone
from audit.tiles import Place, bundle_path, parse_path, tile_path, tiles_of, unpack_bundle
from audit.verify import verify_directory
from vault.store.engine import open_engine


@pytest.fixture
def engine(database_url):
    made = open_engine(database_url)
    with made.begin() as conn:
        ledger.create_head(conn, 0, ORIGIN, START)
    yield made
    made.dispose()


def append(engine, start, end, shard=0):
    with engine.begin() as conn:
        ledger.append(conn, shard, [(entry_id(number), body(number)) for number in range(start, end)], START)


def sign(engine, signer):
    with engine.begin() as conn:
        note = ledger.sign_checkpoint(conn, 0, (signer,), None)
        published.grow(conn, 0, published.signed_size(conn, 0))
    return note


def tile(engine, level, index, width=256):
    with engine.begin() as conn:
        return published.hash_tile(conn, 0, published.signed_size(conn, 0), Place(level, index, width))


def bundle(engine, index, width=256):
    with engine.begin() as conn:
        return published.entry_bundle(conn, 0, published.signed_size(conn, 0), Place(None, index, width))


def put(engine, folder, *, entries=True):
    with engine.begin() as conn:
        return publish(conn, 0, folder, entries=entries)


def files(folder):
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


# --- paths


@given(st.integers(0, 63) | st.none(), st.integers(0, 10**12), st.integers(1, 256))
def test_every_path_is_read_as_written(level, index, width):
    spelt = bundle_path(index, width) if level is None else tile_path(level, index, width)
    assert parse_path(spelt) == Place(level, index, width)


@pytest.mark.parametrize(
    "path",
    [
        "", "tile", "tile/0", "tile/0/", "tile/0/5", "tile/0/0005", "tile/00/005", "tile/64/005", "tile/-1/005",
        "tile/0/x000/005", "tile/0/001/005", "tile/0/x01/005", "tile/0/005.p/0", "tile/0/005.p/256", "tile/0/005.p/01",
        "tile/0/005.p/", "tile/0/005.p", "tile/0/005/", "/tile/0/005", "tile/0/\u0660\u0660\u0665", "tile/entries/5",
        "tile/entries/005.p/257", "tile/0/../0/005", "tile/0/005\n",
    ],
)  # fmt: skip
def test_another_spelling_is_no_path(path):
    with pytest.raises(VerificationError):
        parse_path(path)


# --- tiles


def test_tiles_and_bundles_follow_from_the_entries(engine, signer):
    sizes = [1, 255, 256, 257, 600]
    for before, size in zip([0, *sizes], sizes, strict=False):
        append(engine, before, size)
        sign(engine, signer)
        leaves = [leaf_hash(body(number)) for number in range(size)]
        for index, width in tiles_of(0, size):
            start = index * 256
            assert tile(engine, 0, index, width) == b"".join(leaves[start : start + width])
            assert unpack_bundle(bundle(engine, index, width)) == [body(start + at) for at in range(width)]
        for index, width in tiles_of(1, size):
            expected = [root_hash(leaves[at * 256 : at * 256 + 256]) for at in range(index * 256, index * 256 + width)]
            assert tile(engine, 1, index, width) == b"".join(expected)
        # A partial tile of any earlier size is served too: somebody holds the checkpoint that needs it.
        assert tile(engine, 0, 0, 1) == leaves[0]


def test_the_third_level(engine, signer):
    size = 65_536 + 300
    with engine.begin() as conn:
        for start in range(0, size, 8192):
            batch = [(entry_id(number), body(number)) for number in range(start, min(start + 8192, size))]
            ledger.append(conn, 0, batch, START)
    sign(engine, signer)
    leaves = [leaf_hash(body(number)) for number in range(65_536)]
    assert tile(engine, 2, 0, 1) == root_hash(leaves)
    assert tile(engine, 1, 1, 1) == root_hash(leaf_hash(body(number)) for number in range(65_536, 65_792))
    assert tile(engine, 2, 0, 2) is None
    assert tile(engine, 3, 0, 1) is None


def test_nothing_is_served_that_no_checkpoint_covers(engine, signer):
    append(engine, 0, 300)
    assert tile(engine, 0, 0, 1) is None
    assert bundle(engine, 0, 1) is None
    sign(engine, signer)
    append(engine, 300, 600)
    assert tile(engine, 0, 1, 44) is not None
    for place in ((0, 1, 45), (0, 1, 256), (0, 2, 1), (1, 0, 2), (2, 0, 1)):
        assert tile(engine, *place) is None
    assert bundle(engine, 1, 45) is None
    assert bundle(engine, 2, 1) is None


def test_growing_takes_up_where_it_stopped(engine, signer):
    append(engine, 0, 700)
    with engine.begin() as conn:
        ledger.sign_checkpoint(conn, 0, (signer,), None)  # and died before the tiles
    append(engine, 700, 701)
    sign(engine, signer)
    assert tile(engine, 1, 0, 2) == b"".join(
        root_hash(leaf_hash(body(number)) for number in range(at, at + 256)) for at in (0, 256)
    )


def test_a_log_with_a_hole_grows_no_tiles(engine, signer):
    append(engine, 0, 300)
    with engine.begin() as conn:
        ledger.sign_checkpoint(conn, 0, (signer,), None)
        conn.exec_driver_sql("DELETE FROM log_entry WHERE idx = 17")
    with pytest.raises(VerificationError), engine.begin() as conn:
        published.grow(conn, 0, 300)


def test_a_successor_begins_with_no_tile_of_the_log_before(engine, signer):
    append(engine, 0, 300)
    sign(engine, signer)
    with engine.begin() as conn:
        succession.succeed(conn, 0, f"{ORIGIN}/20260921-00", None, START)
        ledger.append(conn, 0, [(entry_id(1000 + number), body(1000 + number)) for number in range(256)], START)
    sign(engine, Ed25519Signer(f"{ORIGIN}/20260921-00"))
    assert tile(engine, 1, 0, 1) == root_hash(leaf_hash(body(1000 + number)) for number in range(256))


# --- a folder


def test_a_folder_is_verified_by_whoever_has_the_key(engine, signer, tmp_path):
    append(engine, 0, 300)
    sign(engine, signer)
    assert put(engine, tmp_path / "log").size == 300
    result = verify_directory(tmp_path / "log", [signer.vkey])
    assert (result.verdict, result.size, result.signed) == (Verdict.FINE, 300, 300)
    assert put(engine, tmp_path / "log").written == 1  # the checkpoint, again
    append(engine, 300, 520)
    note = sign(engine, signer)
    put(engine, tmp_path / "log")
    assert verify_directory(tmp_path / "log", [signer.vkey], [note]).verdict is Verdict.FINE
    assert files(tmp_path / "log") == {
        "checkpoint",
        *(f"tile/{kind}/{tile}" for kind in ("0", "entries") for tile in ("000", "001", "002.p/8")),
        "tile/1/000.p/1",  # of the checkpoint before
        "tile/1/000.p/2",
    }


def test_without_entries_a_folder_says_nothing_of_anybody_and_is_no_whole_log(engine, signer, tmp_path):
    append(engine, 0, 30)
    sign(engine, signer)
    put(engine, tmp_path / "log", entries=False)
    assert files(tmp_path / "log") == {"checkpoint", "tile/0/000.p/30"}
    with pytest.raises(CannotDecide):
        open_directory(tmp_path / "log")
    with pytest.raises(CannotDecide):
        open_directory(tmp_path)


def test_a_folder_never_goes_back_and_never_holds_two_logs(engine, signer, tmp_path):
    append(engine, 0, 30)
    sign(engine, signer)
    for name, note in {
        "other": signed(Ed25519Signer("another.example/audit"), "another.example/audit", 5, b"\x05" * 32),
        "later": signed(signer, ORIGIN, 31, b"\x05" * 32),
        "forked": signed(signer, ORIGIN, 30, b"\x05" * 32),
        "unreadable": "nothing of the kind\n",
    }.items():
        (tmp_path / name).mkdir()
        (tmp_path / name / "checkpoint").write_text(note)
        with pytest.raises(PublishingRefused):
            put(engine, tmp_path / name)
        assert files(tmp_path / name) == {"checkpoint"}


def test_a_checkpoint_is_never_there_before_its_tiles(engine, signer, tmp_path):
    append(engine, 0, 30)
    sign(engine, signer)
    (tmp_path / "log").mkdir()
    (tmp_path / "log" / "tile").write_text("in the way")
    with pytest.raises(OSError, match="tile"):
        put(engine, tmp_path / "log")
    assert not (tmp_path / "log" / "checkpoint").exists()


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A published log of 300 entries: two bundles, two tiles of level 0, one of level 1."""
    from audit import tables

    home = tmp_path_factory.mktemp("published")
    made = open_engine(f"sqlite:///{home / 'log.sqlite'}")
    with made.begin() as conn:
        tables.metadata.create_all(conn)
        ledger.create_head(conn, 0, ORIGIN, START)
    append(made, 0, 300)
    sign(made, Ed25519Signer(ORIGIN))
    put(made, home / "log")
    made.dispose()
    return home / "log"


@given(st.data())
def test_whatever_bit_is_flipped_is_found(folder, tmp_path_factory, data):
    copy = tmp_path_factory.mktemp("copy") / "log"
    shutil.copytree(folder, copy)
    path = copy / data.draw(st.sampled_from(sorted(files(folder) - {"checkpoint"})))
    content = bytearray(path.read_bytes())
    content[data.draw(st.integers(0, len(content) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    path.write_bytes(content)
    assert verify_directory(copy, [Ed25519Signer(ORIGIN).vkey]).verdict is Verdict.TAMPERED
    shutil.rmtree(copy)


@pytest.mark.parametrize("name", ["tile/0/000", "tile/0/001.p/44", "tile/1/000.p/1", "tile/entries/001.p/44"])
@pytest.mark.parametrize("how", ["gone", "cut", "longer"])
def test_a_file_gone_cut_or_lengthened_is_found(folder, tmp_path, name, how):
    shutil.copytree(folder, tmp_path / "log")
    path = tmp_path / "log" / name
    content = path.read_bytes()
    path.unlink()
    if how != "gone":
        path.write_bytes(content[:-1] if how == "cut" else content + b"\0")
    assert verify_directory(tmp_path / "log", [Ed25519Signer(ORIGIN).vkey]).verdict is Verdict.TAMPERED


def test_a_partial_tile_that_is_no_beginning_of_the_full_one_is_found(folder, tmp_path):
    shutil.copytree(folder, tmp_path / "log")
    partial = tmp_path / "log" / "tile" / "0" / "000.p" / "2"
    partial.parent.mkdir()
    partial.write_bytes((folder / "tile" / "0" / "000").read_bytes()[:64])
    keys = [Ed25519Signer(ORIGIN).vkey]
    assert verify_directory(tmp_path / "log", keys).verdict is Verdict.FINE
    partial.write_bytes((folder / "tile" / "0" / "000").read_bytes()[32:96])
    assert verify_directory(tmp_path / "log", keys).verdict is Verdict.TAMPERED


def test_an_older_state_is_found_by_a_checkpoint_kept_elsewhere(folder):
    signer = Ed25519Signer(ORIGIN)
    later = signed(signer, ORIGIN, 301, b"\x01" * 32)
    assert verify_directory(folder, [signer.vkey], [later]).verdict is Verdict.TAMPERED
    assert verify_directory(folder, [Ed25519Signer(ORIGIN, b"\x02" * 32).vkey]).verdict is Verdict.UNDECIDED


def test_the_one_file_verifier_reads_a_folder(folder, tmp_path):
    script = tmp_path / "verify.py"
    script.write_text(standalone())
    key = Ed25519Signer(ORIGIN).vkey
    done = subprocess.run(
        [sys.executable, "-I", script, folder, "--key", key], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert f"{ORIGIN}: verified" in done.stdout
