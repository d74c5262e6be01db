"""A frozen keystore, written by a second implementation, must open for ever and give the same answers."""

import json
from contextlib import closing
from pathlib import Path

import generate_keystore_v2 as generator
import oracle_keystore as oracle
import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESSIV
from cryptography.hazmat.primitives.keywrap import aes_key_wrap
from hypothesis import given
from hypothesis import strategies as st

from vault.errors import IntegrityFailure, Sealed
from vault.keys.keystore import open_keystore
from vault.keys.local import KeyFileProvider, PassphraseProvider
from vault.keys.pagefile import create_file
from vault.keys.service import SigningKey, Slot
from vault.runtime import SystemEntropy

DOCUMENT = json.loads(Path(__file__).with_name("keystore_v2.json").read_text())
ANSWERS = DOCUMENT["answers"]
KEYSTORE = DOCUMENT["keystore"]


def write(path, document):
    assert create_file(path, "0", *generator.stored(document))
    return path


def root_file(folder, content):
    for ref in (DOCUMENT["epoch"]["root_ref"], "ff" * 16):  # the second: another name on the very same root
        path = folder / f"root-{ref}"
        path.touch(mode=0o600)
        path.write_bytes(bytes.fromhex(content))


def bare(folder):
    root_file(folder, DOCUMENT["root"])
    return KeyFileProvider(folder, SystemEntropy())


def sealed(folder):
    root_file(folder, DOCUMENT["root_file"]["content"])
    return PassphraseProvider(folder, DOCUMENT["root_file"]["passphrase"].encode(), SystemEntropy())


def test_the_file_holds_what_it_should():
    assert len(DOCUMENT["page"]) == 3
    counts = {"wraps": 3, "mac": 3, "blind": 3, "seal": 8, "sign": 3}
    assert {name: len(ANSWERS[name]) for name in counts} == counts


def test_the_second_implementation_still_writes_the_frozen_file():
    assert generator.text() == generator.FILE.read_text()


@pytest.mark.parametrize("root", [bare, sealed])
def test_the_frozen_keystore_opens_and_answers(tmp_path, root):
    path = write(tmp_path / "keys.db", DOCUMENT)
    dek = bytes.fromhex(ANSWERS["dek"])
    with closing(open_keystore(path, root(tmp_path), KEYSTORE["deployment"])) as service:
        slots = [Slot(each["slot"], each["generation"]) for each in ANSWERS["wraps"]]
        wrapped = [bytes.fromhex(each["wrapped"]) for each in ANSWERS["wraps"]]
        assert service.wrap([(slot, dek) for slot in slots]) == wrapped
        assert service.unwrap(list(zip(slots, wrapped, strict=True))) == [dek] * 3
        refused = [Slot(*each) for each in ANSWERS["refused_slots"]]
        assert service.wrap([(slot, dek) for slot in refused]) == [None] * 6
        for each in ANSWERS["mac"]:
            assert service.mac(each["label"], [bytes.fromhex(each["message"])])[0].hex() == each["mac"]
        for each in ANSWERS["blind"]:
            (token,) = service.blind(each["label"], [bytes.fromhex(each["message"])], KEYSTORE["epoch"])
            assert token.hex() == each["token"]
        for each in ANSWERS["seal"]:
            context, plaintext = bytes.fromhex(each["context"]), bytes.fromhex(each["plaintext"])
            assert service.seal(each["label"], [(context, plaintext)])[0].hex() == each["sealed"]
            assert service.open(each["label"], [(context, bytes.fromhex(each["sealed"]))]) == [plaintext]
        for name, each in ANSWERS["sign"].items():
            assert service.public_key(SigningKey(name)).hex() == each["public_key"]
            assert service.sign(SigningKey(name), [bytes.fromhex(each["message"])])[0].hex() == each["signature"]
        status = service.status()
        assert (status.epoch, status.slots_reserved, status.slots_total, status.retired) == (3, 0, 4, 1)


@pytest.mark.parametrize(
    ("table", "part", "value", "error"),
    [
        ("keystore", "epoch", 2, IntegrityFailure),
        ("keystore", "fanout", 3, IntegrityFailure),
        ("keystore", "depth", 1, IntegrityFailure),
        ("keystore", "format", 0, IntegrityFailure),
        ("keystore", "format", 1, IntegrityFailure),
        ("epoch", "epoch", 4, IntegrityFailure),
        ("epoch", "root_ref", "ff" * 16, Sealed),
    ],
)
def test_its_head_is_bound(tmp_path, table, part, value, error):
    path = write(tmp_path / "keys.db", DOCUMENT | {table: DOCUMENT[table] | {part: value}})
    with pytest.raises(error):
        open_keystore(path, bare(tmp_path), KEYSTORE["deployment"])


@pytest.mark.parametrize("epoch", [2, 4])
def test_an_epoch_under_another_number_does_not_open(tmp_path, epoch):
    moved = {table: DOCUMENT[table] | {"epoch": epoch} for table in ("keystore", "epoch")}
    path = write(tmp_path / "keys.db", DOCUMENT | moved)
    with pytest.raises(IntegrityFailure):
        open_keystore(path, bare(tmp_path), KEYSTORE["deployment"])


keys = st.binary(min_size=32, max_size=32)


@given(keys, keys)
def test_key_wrap_agrees_with_the_library(leaf, key):
    assert oracle.key_wrap(leaf, key) == aes_key_wrap(leaf, key)


@given(st.binary(min_size=64, max_size=64), st.lists(st.binary(max_size=40), max_size=3), st.binary(max_size=70))
def test_aes_siv_agrees_with_the_library(key, associated, plaintext):
    assert oracle.siv(key, associated, plaintext) == AESSIV(key).encrypt(plaintext, associated)
