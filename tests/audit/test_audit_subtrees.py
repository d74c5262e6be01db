"""Proofs out of tiles: the same as out of all leaves, on both databases, and read as files."""

import random

import pytest
from tamperable_log import ORIGIN, START, Ed25519Signer, body, entry_id

from audit import ledger, published, subtrees
from audit.errors import VerificationError
from audit.merkle import Frontier, consistency_proof, inclusion_proof, leaf_hash, verify_consistency, verify_inclusion
from audit.tlogproof import format_proof, parse_proof
from vault.store.engine import open_engine

SIZE = 1_300
LEAVES = [leaf_hash(body(number)) for number in range(SIZE)]


@pytest.fixture
def conn(database_url):
    made = open_engine(database_url)
    with made.begin() as conn:
        ledger.create_head(conn, 0, ORIGIN, START)
        ledger.append(conn, 0, [(entry_id(number), body(number)) for number in range(SIZE)], START)
    with made.begin() as conn:
        ledger.sign_checkpoint(conn, 0, (Ed25519Signer(ORIGIN),), None)
        published.grow(conn, 0, SIZE)
    with made.begin() as conn:
        yield conn
    made.dispose()


def test_proofs_are_those_out_of_all_leaves(conn):
    chance = random.Random(7)  # noqa: S311 - sizes, not secrets
    edges = [1, 2, 3, 255, 256, 257, 511, 512, 513, 1024, 1279, 1280, 1281, SIZE]
    sizes = edges + [chance.randrange(1, SIZE) for _ in range(20)]
    for size in sizes:
        for old in {1, size, max(1, size - 1), *(each for each in (256, 700) if each <= size)}:
            proof = subtrees.consistency(conn, 0, old, size)
            assert proof == consistency_proof(old, LEAVES[:size])
            roots = [Frontier().extend(LEAVES[:each]).root() for each in (old, size)]
            verify_consistency(old, size, *roots, proof)
        for index in {0, size - 1, size // 2}:
            proof = subtrees.inclusion(conn, 0, index, size)
            assert proof == inclusion_proof(index, LEAVES[:size])
            verify_inclusion(index, size, LEAVES[index], proof, Frontier().extend(LEAVES[:size]).root())


def test_from_nothing_and_to_itself_nothing_is_to_prove(conn):
    assert subtrees.consistency(conn, 0, 0, SIZE) == []
    assert subtrees.consistency(conn, 0, SIZE, SIZE) == []


@pytest.mark.parametrize("pair", [(-1, 5), (6, 5)])
def test_what_is_no_growth_has_no_proof(conn, pair):
    with pytest.raises(VerificationError):
        subtrees.consistency(conn, 0, *pair)
    with pytest.raises(VerificationError):
        subtrees.inclusion(conn, 0, *pair)


def test_a_gap_is_no_proof(conn):
    conn.exec_driver_sql("DELETE FROM log_entry WHERE idx = 1200")
    with pytest.raises(VerificationError):
        subtrees.consistency(conn, 0, 1100, SIZE)


def test_a_proof_as_a_file_is_read_as_written(conn):
    note = ledger.latest_checkpoint(conn, 0)
    hashes = subtrees.inclusion(conn, 0, 700, SIZE)
    text = format_proof(700, hashes, note)
    assert text.startswith("c2sp.org/tlog-proof@v1\nindex 700\n")
    read = parse_proof(text)
    assert (read.index, list(read.hashes), read.checkpoint, read.extra) == (700, hashes, note, None)
    assert parse_proof(text.replace("index", "extra AAEC\nindex", 1)).extra == b"\x00\x01\x02"
    assert parse_proof(format_proof(0, [], note)).hashes == ()


@pytest.mark.parametrize(
    "text",
    [
        "",
        "c2sp.org/tlog-proof@v1\nindex 0\n",
        "c2sp.org/tlog-proof@v1\n\nnote",
        "c2sp.org/tlog-proof@v2\nindex 0\n\nnote",
        "c2sp.org/tlog-proof@v1\nindex 01\n\nnote",
        "c2sp.org/tlog-proof@v1\nindex -1\n\nnote",
        "c2sp.org/tlog-proof@v1\nindex 0\nnot base64\n\nnote",
        "c2sp.org/tlog-proof@v1\nextra ?\nindex 0\n\nnote",
        "c2sp.org/tlog-proof@v1\nindex 0\nextra AA==\n\nnote",
        "c2sp.org/tlog-proof@v1\nindex 0\n" + "AAAA\n" * 64 + "\nnote",
    ],
)
def test_another_text_is_no_proof(text):
    with pytest.raises(VerificationError):
        parse_proof(text)
