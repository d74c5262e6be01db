"""The witness: the statuses of the specification, no second history, and what a crash or a damaged state leaves."""

import subprocess
import sys
import threading
from hashlib import sha256

import pytest
from tamperable_log import ORIGIN, START, Ed25519Signer, body, signed

from audit.addcheckpoint import MAX_REQUEST, SIZE_TYPE, read_request, write_request
from audit.cosignature import cosignatures
from audit.errors import PinUnavailable, VerificationError
from audit.merkle import consistency_proof, leaf_hash, root_hash
from audit.note import parse_vkey
from audit.witness import Witness

LOG = Ed25519Signer(ORIGIN)
OTHER = Ed25519Signer("other.example/log", b"\x07" * 32)
KEY = Ed25519Signer("witness.example", b"\x30" * 32)
LEAVES = [leaf_hash(body(number)) for number in range(40)]
FORKED = [*LEAVES[:5], *(leaf_hash(body(number, START + 1)) for number in range(5, 40))]
FILE = sha256(ORIGIN.encode()).hexdigest()


def note(size, leaves=LEAVES, signer=LOG, origin=ORIGIN):
    return signed(signer, origin, size, root_hash(leaves[:size]))


def request(old, size, leaves=LEAVES, **options):
    proof = consistency_proof(old, leaves[:size]) if 0 < old < size else []
    return write_request(old, proof, note(size, leaves, **options))


@pytest.fixture
def witness(tmp_path):
    return opened(tmp_path)


def opened(folder):
    return Witness(KEY, [parse_vkey(LOG.vkey), parse_vkey(OTHER.vkey)], folder, lambda: START)


def cosigned(witness, answer, size, leaves=LEAVES):
    assert answer.status == 200, answer.body
    (found,) = cosignatures(note(size, leaves).encode() + answer.body, [witness.key])
    return found


def test_a_log_that_grows_is_cosigned_at_each_size(witness):
    for old, size in ((0, 1), (1, 7), (7, 7), (7, 8), (8, 32), (32, 40)):
        found = cosigned(witness, witness.add_checkpoint(request(old, size)), size)
        assert (found.time, found.key.name) == (START, "witness.example")
    kept = witness.checkpoint(FILE)
    assert kept.startswith(note(40))
    assert cosignatures(kept, [witness.key])


def test_another_log_has_another_state(witness):
    cosigned(witness, witness.add_checkpoint(request(0, 7)), 7)
    alien = request(0, 3, signer=OTHER, origin="other.example/log")
    assert witness.add_checkpoint(alien).status == 200
    assert cosigned(witness, witness.add_checkpoint(request(7, 9)), 9)


def test_an_old_size_that_is_another_is_told_the_right_one(witness):
    witness.add_checkpoint(request(0, 7))
    for old, size in ((0, 7), (0, 9), (3, 9), (8, 9)):
        answer = witness.add_checkpoint(request(old, size))
        assert (answer.status, answer.body, answer.content_type) == (409, b"7\n", SIZE_TYPE)


def test_what_is_no_growth_is_refused_and_changes_nothing(witness):
    witness.add_checkpoint(request(0, 7))
    refused = {
        "smaller": (write_request(7, [], note(5)), 400),
        "a fork": (write_request(7, consistency_proof(7, LEAVES[:9]), note(9, FORKED)), 422),
        "the proof of the fork": (write_request(7, consistency_proof(7, FORKED[:9]), note(9, FORKED)), 422),
        "the same size, another root": (write_request(7, [], note(7, FORKED)), 422),
        "no proof": (write_request(7, [], note(9)), 422),
        "a proof where none belongs": (write_request(7, [LEAVES[0]], note(7)), 422),
        "a log nobody named": (request(0, 3, signer=Ed25519Signer("x.example"), origin="x.example"), 404),
        "another's signature": (request(7, 9, signer=Ed25519Signer(ORIGIN, b"\x02" * 32)), 403),
        "the other log's key": (request(7, 9, signer=OTHER), 403),
        "a spoilt signature": (request(7, 9).replace(b"\n9\n", b"\n8\n"), 403),
        "nothing": (b"", 400),
        "no request": (b"old 7\n", 400),
        "no note": (b"old 7\n\nx", 400),
        "no number": (request(7, 9).replace(b"old 7", b"old 07"), 400),
        "bytes": (b"\xff\xfe", 400),
        "too many hashes": (write_request(7, [LEAVES[0]] * 64, note(9)), 400),
        "too long": (request(7, 9) + b"x" * MAX_REQUEST, 400),
    }
    for why, (asked, status) in refused.items():
        assert witness.add_checkpoint(asked).status == status, why
    assert witness.checkpoint(FILE).startswith(note(7))
    cosigned(witness, witness.add_checkpoint(request(7, 9)), 9)


def test_from_nothing_no_proof_is_taken(witness):
    assert witness.add_checkpoint(write_request(0, [LEAVES[0]], note(7))).status == 422


def test_a_log_that_starts_empty(witness):
    assert witness.add_checkpoint(request(0, 0)).status == 200
    assert witness.add_checkpoint(request(0, 7)).status == 200


def test_a_state_survives_a_restart_and_a_lost_answer(tmp_path):
    first = opened(tmp_path)
    first.add_checkpoint(request(0, 7))  # the answer was lost on its way
    again = opened(tmp_path)
    assert again.add_checkpoint(request(0, 7)).body == b"7\n"
    cosigned(again, again.add_checkpoint(request(7, 7)), 7)


@pytest.mark.parametrize("content", [b"", b"x", b"\xff", note(3, signer=Ed25519Signer(ORIGIN, b"\x02" * 32)).encode()])
def test_a_damaged_state_stops_the_witness(tmp_path, content):
    witness = opened(tmp_path)
    witness.add_checkpoint(request(0, 7))
    (tmp_path / FILE).write_bytes(content)
    with pytest.raises(PinUnavailable):
        witness.add_checkpoint(request(7, 9))
    with pytest.raises(PinUnavailable):
        opened(tmp_path)


def test_what_cannot_be_kept_is_not_signed(tmp_path):
    witness = opened(tmp_path)
    (tmp_path / f"{FILE}.new").mkdir()
    with pytest.raises(PinUnavailable):
        witness.add_checkpoint(request(0, 7))
    assert not (tmp_path / FILE).exists()


def test_of_two_histories_at_once_one_is_cosigned(witness):
    witness.add_checkpoint(request(0, 5))
    answers = []
    asked = [request(5, size, leaves) for size in range(6, 16) for leaves in (LEAVES, FORKED)]
    threads = [threading.Thread(target=lambda one=one: answers.append(witness.add_checkpoint(one))) for one in asked]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert sorted(each.status for each in answers) == [200] + [409] * 19


def test_a_request_is_read_as_written():
    proof = consistency_proof(3, LEAVES[:9])
    read = read_request(write_request(3, proof, note(9)))
    assert (read.old, list(read.proof), read.note) == (3, proof, note(9))
    with pytest.raises(VerificationError):
        read_request(write_request(3, [*proof, b""], note(9)).replace(b"\n\n", b"\n \n", 1))


CRASHING = """
import os, signal, sys
from pathlib import Path
sys.path[:0] = [{tests!r}, {root!r}]
from test_audit_witness import KEY, LOG, START, parse_vkey, request
from audit.witness import Witness

class Mortal:
    name, public_key = KEY.name, KEY.public_key
    def sign(self, message):
        os.kill(os.getpid(), signal.SIGKILL)  # the state is on disk, the answer not sent

Witness(Mortal(), [parse_vkey(LOG.vkey)], Path({folder!r}), lambda: START).add_checkpoint(request(5, 9))
"""


@pytest.mark.crash
def test_killed_between_state_and_answer_it_never_signs_a_second_history(tmp_path):
    from pathlib import Path

    opened(tmp_path).add_checkpoint(request(0, 5))
    here = Path(__file__).parent
    script = CRASHING.format(tests=str(here), root=str(here.parents[1]), folder=str(tmp_path))
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == -9
    after = opened(tmp_path)
    # Whoever now comes with another history of the same size finds that 9 is taken.
    assert after.add_checkpoint(request(5, 9, FORKED)).body == b"9\n"
    assert after.add_checkpoint(write_request(9, [], note(9, FORKED))).status == 422
    cosigned(after, after.add_checkpoint(request(9, 9)), 9)
