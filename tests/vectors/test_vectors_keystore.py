"""A frozen keystore, written by a second implementation, must open for ever and give the same answers."""

import json
from contextlib import closing
from pathlib import Path

import generate_keystore_v1 as generator
import oracle_keystore as oracle
import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESSIV
from cryptography.hazmat.primitives.keywrap import aes_key_wrap
from hypothesis import given
from hypothesis import strategies as st

from vault.errors import IntegrityFailure, Sealed
from vault.keys.keystore import open_keystore
from vault.keys.local import KeyFileProvider, PassphraseProvider
from vault.keys.pagefile import Head, create_file
from vault.keys.service import SigningKey, Slot
from vault.runtime import SystemEntropy

DOCUMENT = json.loads(Path(__file__).with_name("keystore_v1.json").read_text())
ANSWERS = DOCUMENT["answers"]
KEYSTORE = DOCUMENT["keystore"]


def write(path, head):
    parts = [(name, bytes.fromhex(body)) for name, body in DOCUMENT["part"].items()]
    pages = [(int(address), bytes.fromhex(body)) for address, body in DOCUMENT["page"].items()]
    assert create_file(path, "0", Head(**head | {"top_key": bytes.fromhex(head["top_key"])}), parts, pages)
    return path


def bare(folder):
    (folder / "root").touch(mode=0o600)
    (folder / "root").write_bytes(bytes.fromhex(DOCUMENT["root"]))
    return KeyFileProvider(folder / "root", SystemEntropy())


def sealed(folder):
    (folder / "root").touch(mode=0o600)
    (folder / "root").write_bytes(bytes.fromhex(DOCUMENT["root_file"]["content"]))
    return PassphraseProvider(folder / "root", DOCUMENT["root_file"]["passphrase"].encode(), SystemEntropy())


def test_the_file_holds_what_it_should():
    assert len(DOCUMENT["page"]) == 3
    assert (len(ANSWERS["wraps"]), len(ANSWERS["mac"]), len(ANSWERS["seal"]), len(ANSWERS["sign"])) == (4, 3, 8, 2)


def test_the_second_implementation_still_writes_the_frozen_file():
    assert generator.text() == generator.FILE.read_text()


@pytest.mark.parametrize("root", [bare, sealed])
def test_the_frozen_keystore_opens_and_answers(tmp_path, root):
    path = write(tmp_path / "keys.db", KEYSTORE)
    dek = bytes.fromhex(ANSWERS["dek"])
    with closing(open_keystore(path, root(tmp_path), KEYSTORE["deployment"])) as service:
        slots = [Slot(each["slot"], each["generation"]) for each in ANSWERS["wraps"]]
        wrapped = [bytes.fromhex(each["wrapped"]) for each in ANSWERS["wraps"]]
        assert service.wrap([(slot, dek) for slot in slots]) == wrapped
        assert service.unwrap(list(zip(slots, wrapped, strict=True))) == [dek] * 4
        refused = [Slot(*each) for each in ANSWERS["refused_slots"]]
        assert service.wrap([(slot, dek) for slot in refused]) == [None] * 5
        for each in ANSWERS["mac"]:
            assert service.mac(each["label"], [bytes.fromhex(each["message"])])[0].hex() == each["mac"]
        for each in ANSWERS["seal"]:
            context, plaintext = bytes.fromhex(each["context"]), bytes.fromhex(each["plaintext"])
            assert service.seal(each["label"], [(context, plaintext)])[0].hex() == each["sealed"]
            assert service.open(each["label"], [(context, bytes.fromhex(each["sealed"]))]) == [plaintext]
        for name, each in ANSWERS["sign"].items():
            assert service.public_key(SigningKey(name)).hex() == each["public_key"]
            assert service.sign(SigningKey(name), [bytes.fromhex(each["message"])])[0].hex() == each["signature"]
        status = service.status()
        assert (status.epoch, status.slots_reserved, status.slots_total) == (3, 0, 4)


@pytest.mark.parametrize(
    ("part", "value", "error"),
    [
        ("epoch", 2, IntegrityFailure),
        ("epoch", 4, IntegrityFailure),
        ("fanout", 3, IntegrityFailure),
        ("depth", 1, IntegrityFailure),
        ("trees", 2, IntegrityFailure),
        ("format", 0, IntegrityFailure),
        ("root_ref", "ff" * 16, Sealed),
    ],
)
def test_its_head_is_bound(tmp_path, part, value, error):
    path = write(tmp_path / "keys.db", KEYSTORE | {part: value})
    with pytest.raises(error):
        open_keystore(path, bare(tmp_path), KEYSTORE["deployment"])


keys = st.binary(min_size=32, max_size=32)


@given(keys, keys)
def test_key_wrap_agrees_with_the_library(leaf, key):
    assert oracle.key_wrap(leaf, key) == aes_key_wrap(leaf, key)


@given(st.binary(min_size=64, max_size=64), st.lists(st.binary(max_size=40), max_size=3), st.binary(max_size=70))
def test_aes_siv_agrees_with_the_library(key, associated, plaintext):
    assert oracle.siv(key, associated, plaintext) == AESSIV(key).encrypt(plaintext, associated)
