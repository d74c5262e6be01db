"""The log's second signature: the same key for as long as the keystore, on what witnesses cosign, checked by a policy."""

import pytest

from audit.checkpoint import open_checkpoint
from audit.cosignature import cosignatures, parse_cosigner
from audit.errors import VerificationError
from audit.note import parse_vkey, vkey
from audit.quorum import parse_policy
from audit.single import verify_witnessed
from vault import evidence, witnessing
from vault.keys.service import SigningKey
from vault.secondsigner import SecondSigner


@pytest.fixture
def second(store):
    return SecondSigner(store.keys, store.origin)


def test_the_key_is_the_same_after_a_restart_and_another_for_another_log(store, opening, second):
    again = opening()
    assert SecondSigner(again.keys, again.origin).key == second.key
    other = SecondSigner(store.keys, "other.example").key
    assert (other.public_key, other.key_id != second.key.key_id) == (second.key.public_key, True)
    assert parse_cosigner(second.key.vkey) == second.key


def test_what_witnesses_cosign_carries_the_line_and_a_policy_may_ask_for_it(store, second, tmp_path):
    evidence.sign_checkpoints(store, tmp_path / "kept")
    log = vkey(store.origin, store.keys.public_key(SigningKey.LOG))
    nobody = parse_policy(f"log {log}\nquorum none\n".encode())
    assert witnessing.turn(store, nobody, lambda *_: pytest.fail("asked"), second=[second]).quorum
    note = witnessing.newest(store).note
    (found,) = cosignatures(note, [second.key])
    assert found.time == 0
    asking = parse_policy(f"log {log}\nwitness later {second.key.vkey}\nquorum later\n".encode())
    assert verify_witnessed(note, asking).quorum
    assert open_checkpoint(note, [parse_vkey(log)], store.origin).size == 1
    with pytest.raises(VerificationError):
        cosignatures(note.replace("\n1\n", "\n2\n"), [second.key])


def test_without_it_there_is_one_line_and_nothing_kept_that_nobody_cosigned(store, second, tmp_path):
    evidence.sign_checkpoints(store, tmp_path / "kept")
    log = vkey(store.origin, store.keys.public_key(SigningKey.LOG))
    policy = parse_policy(f"log {log}\nquorum none\n".encode())
    assert witnessing.turn(store, policy, lambda *_: None).quorum
    assert witnessing.newest(store) is None
