"""Single questions to the verifier: each answered 0, 1 and 2, and none of the three taken for another."""

import http.server
import json
import socket
import subprocess
import sys
import threading
from functools import partial

import pytest
from tamperable_log import ORIGIN, START, Ed25519Signer, make_log, signed

from audit import verify
from audit.cosignature import ED25519_COSIGNATURE, cosign
from audit.detail import detail_commitment, hand_over, write_detail
from audit.entry import Act, Actor, ActorKind, Entry, Outcome, commitment, encode, sref
from audit.errors import CannotDecide, VerificationError
from audit.merkle import consistency_proof, inclusion_proof, leaf_hash, root_hash
from audit.note import parse_vkey, sign_note, split_note, vkey
from audit.receipt import Promised, Receipt, receipt_key_name, receipt_text
from audit.single import verify_extension, verify_proof, verify_subject
from audit.standalone import standalone
from audit.tiles import pack_bundle, tile_path, tiles_of
from audit.tlogproof import format_proof

LOG = Ed25519Signer(ORIGIN)
STRANGER = Ed25519Signer(ORIGIN, b"\x02" * 32)
WITNESS = Ed25519Signer("w.example", b"\x31" * 32)
PROMISER = Ed25519Signer(receipt_key_name(ORIGIN), b"\x03" * 32)
KEYS = [parse_vkey(LOG.vkey)]
PEOPLE = [bytes([number]) * 32 for number in (1, 2, 3)]
SIZE = 300
DETAILED, SALT, DETAIL = 21, b"\x09" * 32, write_detail({"reason": "Pièce d’identité vérifiée"})


def about(number):
    """Entries of three people among others; the first three register them."""
    identifier = b"%016d" % number
    person = PEOPLE[number % 3] if number < 3 or number % 4 else None
    system = Actor(ActorKind.SYSTEM, "sys-paris")
    if number < 3:
        entry = Entry(Act.SUBJECT_REGISTERED, Outcome.ALLOW, system, com=commitment(person))
    else:
        entry = Entry(Act.FIELD_DISCLOSED, Outcome.ALLOW, system, fld=("phone:masked",), pur="service.repair")
    dc = detail_commitment(SALT, DETAIL) if number == DETAILED else None
    return encode(entry, identifier, START + number, None if person is None else sref(person, identifier), dc=dc)


BODIES = [about(number) for number in range(SIZE)]
LEAVES = [leaf_hash(each) for each in BODIES]
FORK = [*LEAVES[:100], *reversed(LEAVES[100:])]


def note(size, leaves=LEAVES, signer=LOG):
    return signed(signer, ORIGIN, size, root_hash(leaves[:size]))


@pytest.fixture
def folder(tmp_path):
    """A published log of 300 entries."""
    home = tmp_path / "log"
    for level in (0, 1):
        for index, width in tiles_of(level, SIZE):
            path = home / tile_path(level, index, width)
            path.parent.mkdir(parents=True, exist_ok=True)
            hashes = LEAVES if level == 0 else [root_hash(LEAVES[:256])]
            path.write_bytes(b"".join(hashes[index * 256 : index * 256 + width]))
    for index, width in tiles_of(0, SIZE):
        path = home / tile_path(0, index, width).replace("tile/0", "tile/entries")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(pack_bundle(BODIES[index * 256 : index * 256 + width]))
    (home / "checkpoint").write_text(note(SIZE))
    return home


@pytest.fixture
def ask(tmp_path, capsys):
    """Ask on the command line: texts and bytes become files; returns the exit code and what was said."""

    def asked(question, *arguments, key=LOG.vkey):
        given = []
        for number, each in enumerate(arguments):
            if isinstance(each, bytes) or (isinstance(each, str) and "\n" in each):
                path = tmp_path / f"argument-{number}"
                path.write_bytes(each if isinstance(each, bytes) else each.encode())
                each = path  # noqa: PLW2901
            given.append(str(each))
        code = verify.main([question, *given, "--key", key])
        return code, "".join(capsys.readouterr())

    return asked


def proof(index, size=SIZE):
    return format_proof(index, inclusion_proof(index, LEAVES[:size]), note(size))


def test_an_entry_is_proven_by_one_text(ask):
    assert ask("proof", proof(17), "--entry", BODIES[17]) == (0, f"verified: entry 17 is in {ORIGIN}, of 300 entries\n")
    assert ask("proof", proof(17), "--leaf", LEAVES[17].hex())[0] == 0
    proven = verify_proof(proof(0, 1), LEAVES[0], KEYS)
    assert (proven.index, proven.checkpoint.size) == (0, 1)


def test_another_entry_another_place_another_hash_do_not_hold(ask):
    assert ask("proof", proof(17), "--entry", BODIES[18])[0] == 1
    assert ask("proof", proof(17).replace("index 17", "index 16"), "--entry", BODIES[17])[0] == 1
    assert ask("proof", proof(17).replace("index 17", "index 300"), "--entry", BODIES[17])[0] == 1
    lines = proof(17).split("\n")
    for at in range(2, 2 + len(inclusion_proof(17, LEAVES))):
        spoilt = (
            [*lines[:at], lines[at + 1], lines[at], *lines[at + 2 :]]
            if lines[at + 1]
            else [*lines[:at], *lines[at + 1 :]]
        )
        assert ask("proof", "\n".join(spoilt), "--entry", BODIES[17])[0] == 1
    forged = proof(17).replace("\n300\n", "\n301\n")
    assert ask("proof", forged, "--entry", BODIES[17])[0] == 1


def test_a_proof_of_nobody_known_or_of_no_form_decides_nothing(ask, tmp_path):
    strange = format_proof(17, inclusion_proof(17, LEAVES), note(SIZE, signer=STRANGER))
    for text in (strange, proof(17).replace("tlog-proof@v1", "tlog-proof@v9"), "nothing\n", b"\xff\n"):
        assert ask("proof", text, "--entry", BODIES[17])[0] == 2
    assert ask("proof", tmp_path / "none", "--entry", BODIES[17])[0] == 2
    assert ask("proof", proof(17))[0] == 2
    assert ask("proof", proof(17), "--leaf", "00")[0] == 2
    assert ask("proof", proof(17), "--entry", BODIES[17], key="nonsense+")[0] == 2


def test_a_receipt_promises_this_entry_or_another_or_says_nothing(ask):
    def promise(*bodies, signer=PROMISER):
        entries = tuple(Promised(b"%016d" % number, leaf_hash(body)) for number, body in enumerate(bodies))
        return sign_note(receipt_text(Receipt(ORIGIN, entries, START)), (signer,))

    note = promise(BODIES[17], BODIES[18])
    told = f"verified: promised to the log at {START}\n"
    assert ask("receipt", note, "--entry", BODIES[18], key=PROMISER.vkey) == (0, told)
    assert ask("receipt", note, "--leaf", LEAVES[17].hex(), key=PROMISER.vkey)[0] == 0
    assert ask("receipt", note, "--entry", BODIES[19], key=PROMISER.vkey)[0] == 1
    assert ask("receipt", note.replace(str(START), str(START + 1)), "--entry", BODIES[17], key=PROMISER.vkey)[0] == 1
    assert ask("receipt", note, "--entry", BODIES[17])[0] == 2  # the log's own key signs no receipts
    assert ask("receipt", "nothing\n", "--entry", BODIES[17], key=PROMISER.vkey)[0] == 2
    assert ask("receipt", note, key=PROMISER.vkey)[0] == 2


def test_growth_is_told_from_a_fork_and_from_going_back(ask, folder):
    assert ask("extend", note(100), note(SIZE), "--folder", folder)[0] == 0
    assert ask("extend", note(0, []), note(SIZE))[0] == 0
    assert ask("extend", note(SIZE), note(SIZE))[0] == 0
    assert ask("extend", note(200, FORK), note(SIZE), "--folder", folder)[0] == 1
    assert ask("extend", note(SIZE, FORK), note(SIZE))[0] == 1
    assert ask("extend", note(SIZE), note(100), "--folder", folder)[0] == 1
    assert ask("extend", note(100), note(SIZE, FORK), "--folder", folder)[0] == 1


def test_growth_without_material_decides_nothing(ask, folder, tmp_path):
    assert ask("extend", note(100), note(SIZE))[0] == 2
    assert ask("extend", note(100), note(SIZE), "--folder", tmp_path)[0] == 2
    assert ask("extend", note(100))[0] == 2
    assert ask("extend", note(100, signer=STRANGER), note(SIZE), "--folder", folder)[0] == 2
    (folder / tile_path(0, 0)).write_bytes(b"short")
    assert ask("extend", note(100), note(SIZE), "--folder", folder)[0] == 2


def test_growth_by_a_consistency_proof():
    hashes = consistency_proof(100, LEAVES)
    before, after = verify_extension(note(100), note(SIZE), KEYS, hashes)
    assert (before.size, after.size) == (100, SIZE)
    with pytest.raises(VerificationError):
        verify_extension(note(200, FORK), note(SIZE), KEYS, consistency_proof(200, LEAVES))
    other = Ed25519Signer("other.example")
    with pytest.raises(CannotDecide):
        verify_extension(signed(other, other.name, 1, LEAVES[0]), note(SIZE), [*KEYS, parse_vkey(other.vkey)], hashes)


def test_a_quorum_is_there_is_missing_or_is_forged(ask):
    key = vkey(WITNESS.name, WITNESS.public_key, ED25519_COSIGNATURE)
    policy = f"log {LOG.vkey}\nwitness w {key}\nquorum w\n"
    text = split_note(note(SIZE)).text
    good = note(SIZE) + cosign(text, WITNESS, START)
    code, told = ask("witnessed", good, "--policy", policy)
    assert (code, f"cosigned: w at {START}" in told) == (0, True)
    assert (
        ask("proof", format_proof(17, inclusion_proof(17, LEAVES), good), "--entry", BODIES[17], "--policy", policy)[0]
        == 0
    )
    assert ask("witnessed", note(SIZE), "--policy", policy)[0] == 2
    assert ask("proof", proof(17), "--entry", BODIES[17], "--policy", policy)[0] == 2
    forged = note(SIZE) + cosign(split_note(note(100)).text, WITNESS, START)
    assert ask("witnessed", forged, "--policy", policy)[0] == 1
    assert ask("witnessed", good)[0] == 2
    assert ask("witnessed", good, "--policy", "no policy\n")[0] == 2


def test_all_and_only_the_entries_about_one_person(ask, folder):
    for number, person in enumerate(PEOPLE):
        expected = [at for at in range(SIZE) if at % 3 == number and (at < 3 or at % 4)]
        code, told = ask("subject", folder, "--subject-key", f"{person.hex()}\n")
        assert code == 0
        answer = json.loads(told.partition("\n")[0])
        assert [each["index"] for each in answer["entries"]] == expected
        assert answer["log"]["verdict"] == "fine"
    assert ask("subject", folder, "--subject-key", f"{b'9'.hex() * 32}\n")[0] == 2
    assert ask("subject", folder, "--subject-key", "zz\n")[0] == 2
    assert ask("subject", folder, "--subject-key", "00\n")[0] == 2
    assert ask("subject", folder)[0] == 2
    assert ask("subject", folder, "--subject-key", f"{PEOPLE[0].hex()}\n", key=Ed25519Signer("x.example").vkey)[0] == 2


def test_an_entry_about_somebody_left_out_or_changed_is_tampering(ask, folder):
    path = folder / "tile" / "entries" / "000"
    kept = path.read_bytes()
    path.write_bytes(pack_bundle([*BODIES[:9], *BODIES[10:256], BODIES[9]]))
    assert ask("subject", folder, "--subject-key", f"{PEOPLE[0].hex()}\n")[0] == 1
    path.write_bytes(kept.replace(b"sys-paris", b"sys-milan", 1))
    assert ask("subject", folder, "--subject-key", f"{PEOPLE[0].hex()}\n")[0] == 1


def test_an_erased_persons_key_finds_what_nobody_else_can():
    log = make_log(LOG, SIZE, (SIZE,), bodies=BODIES)
    seen = verify_subject(log.stored(), KEYS, PEOPLE[1])
    assert len(seen.entries) == len([at for at in range(SIZE) if at % 3 == 1 and (at < 3 or at % 4)])
    with pytest.raises(CannotDecide):
        verify_subject(log.stored(), KEYS, b"\x07" * 32)


def handed(number=DETAILED, salt=SALT, text=DETAIL, *more):
    return hand_over([(b"%016d" % number, salt, text), *more])


OTHER = write_detail({"reason": "autre"})


def test_a_detail_is_held_against_one_proven_entry(ask):
    proven, entry = proof(DETAILED), BODIES[DETAILED]
    code, told = ask("proof", proven, "--entry", entry, "--details", handed())
    assert (code, DETAIL.decode() in told) == (0, True)
    assert (
        ask(
            "proof", proven, "--entry", entry, "--details", handed(DETAILED, SALT, DETAIL, (b"%016d" % 5, SALT, OTHER))
        )[0]
        == 0
    )
    for wrong in (handed(text=OTHER), handed(salt=b"\x08" * 32), handed(salt=b"")):
        assert ask("proof", proven, "--entry", entry, "--details", wrong)[0] == 1
    assert ask("proof", proof(5), "--entry", BODIES[5], "--details", handed(5))[0] == 1  # it commits to none
    for missing in (handed(5), handed(DETAILED, SALT, DETAIL, (b"%016d" % DETAILED, SALT, DETAIL)), b"{}\n", b""):
        assert ask("proof", proven, "--entry", entry, "--details", missing)[0] == 2
    assert ask("proof", proven, "--leaf", LEAVES[DETAILED].hex(), "--details", handed())[0] == 2
    assert ask("proof", proven, "--entry", BODIES[5], "--details", handed(5))[0] == 1  # the proof is of another entry


def test_details_are_held_against_all_that_a_log_says_of_a_person(ask, folder):
    key = f"{PEOPLE[DETAILED % 3].hex()}\n"
    code, told = ask("subject", folder, "--subject-key", key, "--details", handed())
    rows = {row["index"]: row for row in json.loads(told.splitlines()[0])["entries"]}
    assert (code, rows[DETAILED]["detail"]) == (0, DETAIL.decode())
    assert ask("subject", folder, "--subject-key", key, "--details", handed(text=OTHER))[0] == 1
    assert ask("subject", folder, "--subject-key", key, "--details", handed(5))[0] == 1  # of another person's entry
    for unusable in (b"{}", b"\xff", handed()[:-2]):
        assert ask("subject", folder, "--subject-key", key, "--details", unusable)[0] == 2
    assert ask("subject", folder, "--subject-key", key, "--details", folder / "none")[0] == 2
    tile = folder / tile_path(0, 0).replace("tile/0", "tile/entries")
    tile.write_bytes(tile.read_bytes().replace(b"service.repair", b"service.repaid", 1))
    assert ask("subject", folder, "--subject-key", key, "--details", handed())[0] == 1  # a detail heals no log


def test_the_one_file_answers_too(folder, tmp_path):
    (tmp_path / "verify.py").write_text(standalone())
    (tmp_path / "proof").write_text(proof(17))
    (tmp_path / "entry").write_bytes(BODIES[17])
    command = [
        sys.executable,
        "-I",
        "-W",
        "error",
        "verify.py",
        "proof",
        "proof",
        "--entry",
        "entry",
        "--key",
        LOG.vkey,
    ]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr, done.stdout.startswith("verified")) == (0, "", True)


@pytest.fixture
def address(folder):
    """The published log behind an address, as any static server has it."""

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_):
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(folder))) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()
        thread.join()


def test_growth_is_shown_by_a_log_in_a_folder_or_behind_an_address(ask, folder, address):
    for log in (folder, address, f"{address}/"):
        assert ask("extend", note(100), "--log", log)[0] == 0  # its own newest checkpoint
        assert ask("extend", note(100), note(256), "--log", log)[0] == 0
        assert ask("extend", note(200, FORK), "--log", log)[0] == 1
        assert ask("extend", note(SIZE + 1, [*LEAVES, LEAVES[0]]), "--log", log)[0] == 1  # it went back
    tile = folder / tile_path(0, 0)
    tile.write_bytes(tile.read_bytes()[:-32])
    assert ask("extend", note(100), "--log", address)[0] == 2
    tile.write_bytes(bytes(32 * 256))
    assert ask("extend", note(100), "--log", address)[0] == 1
    (folder / "checkpoint").write_text("x" * 1_000_001)
    assert ask("extend", note(100), "--log", address)[0] == 2


def test_an_address_at_which_nobody_answers_decides_nothing(ask):
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        assert ask("extend", note(100), "--log", f"http://127.0.0.1:{probe.getsockname()[1]}")[0] == 2
