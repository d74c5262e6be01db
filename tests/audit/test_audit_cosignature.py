"""Cosignatures: the layout of the specification rebuilt by hand, both kinds of key, and what is refused."""

import base64
import hashlib
import struct

import pytest
from cryptography.hazmat.primitives.asymmetric.mldsa import MLDSA44PrivateKey
from tamperable_log import ORIGIN, START, Ed25519Signer, signed

from audit.checkpoint import open_checkpoint
from audit.cosignature import (
    ED25519_COSIGNATURE,
    ML_DSA_44,
    CosignerKey,
    cosign,
    cosignatures,
    ml_dsa_line,
    ml_dsa_message,
    parse_cosigner,
)
from audit.errors import VerificationError
from audit.note import open_note, parse_vkey, split_note, vkey

LOG = Ed25519Signer(ORIGIN)
ANNA = Ed25519Signer("anna.example/w1", b"\x11" * 32)
BELA = Ed25519Signer("bela.example/w1", b"\x12" * 32)
ROOT = bytes(range(32))
NOTE = signed(LOG, ORIGIN, 7, ROOT)
TEXT = split_note(NOTE).text


def key_of(witness):
    return CosignerKey(witness.name, ED25519_COSIGNATURE, witness.public_key)


def ml_dsa(name, seed=b"\x21" * 32):
    private = MLDSA44PrivateKey.from_seed_bytes(seed)
    return private, CosignerKey(name, ML_DSA_44, private.public_key().public_bytes_raw())


def test_a_line_is_what_the_specification_says_byte_for_byte():
    line = cosign(TEXT, ANNA, START)
    name, _, payload = line.removeprefix("— ").rstrip("\n").partition(" ")
    content = base64.b64decode(payload)
    identifier = hashlib.sha256(b"anna.example/w1\n\x04" + ANNA.public_key).digest()[:4]
    message = b"cosignature/v1\ntime 1790000000\n" + TEXT.encode()
    assert (name, len(content)) == ("anna.example/w1", 4 + 72)
    assert content == identifier + struct.pack(">Q", START) + ANNA.sign(message)


def test_the_message_of_the_other_kind_is_the_struct_of_the_specification():
    expected = (
        b"subtree/v1\n\x00"
         b"\x06w.test" + struct.pack(">Q", 9) + bytes([len(ORIGIN)]) + ORIGIN.encode()
        + struct.pack(">QQ", 0, 7) + ROOT
    )  # fmt: skip
    assert ml_dsa_message(TEXT, "w.test", 9) == expected


def test_cosignatures_of_known_keys_are_checked_and_others_passed_over():
    note = NOTE + cosign(TEXT, ANNA, START) + cosign(TEXT, BELA, START + 5)
    (found,) = cosignatures(note, [key_of(BELA)])
    assert (found.key.name, found.time, found.line) == ("bela.example/w1", START + 5, cosign(TEXT, BELA, START + 5))
    assert [each.key.name for each in cosignatures(note, [key_of(BELA), key_of(ANNA)])] == [ANNA.name, BELA.name]
    assert cosignatures(NOTE, [key_of(ANNA)]) == []
    # Whoever knows nothing of witnesses reads the same note.
    assert open_note(note, [LOG.vkey]).text == TEXT


def test_a_log_signs_a_second_time_with_a_key_for_later():
    private, key = ml_dsa(ORIGIN)
    note = NOTE + ml_dsa_line(TEXT, key, 0, private.sign(ml_dsa_message(TEXT, key.name, 0)))
    (found,) = cosignatures(note, [key])
    assert found.time == 0
    for place in (12, 400, len(note) - 300):
        changed = note[:place] + ("A" if note[place] != "A" else "B") + note[place + 1 :]
        with pytest.raises(VerificationError):
            open_note(changed, [LOG.vkey])
            cosignatures(changed, [key])
    other, _ = ml_dsa(ORIGIN, b"\x22" * 32)
    with pytest.raises(VerificationError):
        cosignatures(NOTE + ml_dsa_line(TEXT, key, 0, other.sign(ml_dsa_message(TEXT, key.name, 0))), [key])


def test_any_bit_of_a_cosignature_flipped_is_refused():
    line = cosign(TEXT, ANNA, START)
    payload = bytearray(base64.b64decode(line.split(" ")[2]))
    for place in range(4, len(payload)):
        for bit in range(8):
            payload[place] ^= 1 << bit
            spelt = base64.b64encode(payload).decode()
            with pytest.raises(VerificationError):
                cosignatures(f"{NOTE}— {ANNA.name} {spelt}\n", [key_of(ANNA)])
            payload[place] ^= 1 << bit


def test_a_cosignature_of_another_checkpoint_is_refused():
    other = split_note(signed(LOG, ORIGIN, 8, ROOT)).text
    with pytest.raises(VerificationError):
        cosignatures(NOTE + cosign(other, ANNA, START), [key_of(ANNA)])


@pytest.mark.parametrize("cut", [1, 64, 72])
def test_a_line_of_another_length_is_refused(cut):
    payload = base64.b64decode(cosign(TEXT, ANNA, START).split(" ")[2])[:-cut]
    with pytest.raises(VerificationError):
        cosignatures(f"{NOTE}— {ANNA.name} {base64.b64encode(payload).decode()}\n", [key_of(ANNA)])


def test_a_cosigners_key_is_read_as_written_and_is_no_key_of_a_log():
    key = key_of(ANNA)
    assert parse_cosigner(key.vkey) == key
    _, second = ml_dsa("w.test")
    assert parse_cosigner(second.vkey) == second
    with pytest.raises(VerificationError):
        parse_vkey(key.vkey)
    for kind, public in ((1, ANNA.public_key), (4, b"short"), (6, ANNA.public_key), (7, ANNA.public_key)):
        with pytest.raises(VerificationError):
            parse_cosigner(vkey("w.test", public.ljust(32, b"\0") if kind == 1 else public, kind))


def test_a_witness_cannot_stand_in_for_the_log():
    """Same key, same name, other type byte: another id, so one line is never taken for the other."""
    twin = Ed25519Signer(ORIGIN)
    note = f"{TEXT}\n{cosign(TEXT, twin, START)}"
    with pytest.raises(VerificationError):
        open_note(note, [twin.vkey])
    assert cosignatures(note, [key_of(twin)])
    assert cosignatures(NOTE, [key_of(twin)]) == []


# A checkpoint of a public log as its public witnesses cosigned it, with their published keys: facts of other people's
# making, which none of our code had a hand in.
PUBLIC = """\
arche2025h1.staging.ct.transparency.dev
1432088532
U7WM79jrzyhGZ5/GUBTpM7NzwdyfFx61t3RovgcC4Ro=

— arche2025h1.staging.ct.transparency.dev zTM8sQAAAZ5W0WdjBAMARjBEAiBjW5IQf9pvsYLfQFX6hoGREPMHbdQ3urbllzalApkptQIgIpwtEroeW2BXaHAI4kJXFbon5Ch9MNL5zRNZ55lvGt0=
— arche2025h1.staging.ct.transparency.dev ui8GwCF1+kWqZrxGdhj4aX3gcw7XUlXQQabg/27lefwhUkzbC3NygNI75MdhL1bfTW9g8Ei59RA23oHP7Ry1k3ZFWwQ=
— transparency.dev/DEV:witness-little-garden 2AQqhwAAAABqEiEgzgFIqqhbUoDwjMWE6UP8nd8/KYTzwZ2rhIgcqoXHAwVkjZr4AscylP3v7sEodkRAErumC2q44vdgJY096st5BQ==
— witness1.smartit.nu/witness1 pIyCDwAAAABqEiEghIp82KWebrw7/oHQwlTAm3g2RKS4+eebl8eO0WH+/iEcxZ75W3u5hNI7TOQtmJbqmNWVuE0tgh0XwzdZsDsUAQ==
— remora.n621.de 2net5wAAAABqEiEgPlfF3V06o0Y+fHM+J5J9s27wgxxcOVSpZ/2g/KSiXCg9DEZI+aVCIobWX9sXTynk5XeU/zZ0WBxtqB0DrAWfBw==
— witness.stagemole.eu Z/euoAAAAABqEiEgw0i+7g2ENfDAWHmtRzCfKTHSDwYDJA2NmKeGi9Y8FtEyOUvVr+AJmIY/2TUFucgKi7lI7cUiOvKFYe/TmN9DAg==
"""
PUBLIC_LOG = "arche2025h1.staging.ct.transparency.dev+ba2f06c0+AU0vHmlGCS/PdN8b2OaGmKprLI8HKM+dJ472xgFYh15f"
PUBLIC_WITNESSES = (
    "witness1.smartit.nu/witness1+a48c820f+BPSFWg9G6KPiO7QPryYO5Xq4oYJJ+kAvLKLSimDhoxMO",
    "remora.n621.de+da77ade7+BOvN63jn/bLvkieywe8R6UYAtVtNbZpXh34x7onlmtw2",
    "witness.stagemole.eu+67f7aea0+BEqSG3yu9YrmcM3BHvQYTxwFj3uSWakQepafafpUqklv",
)


def test_a_public_log_and_its_public_witnesses_verify():
    assert open_checkpoint(PUBLIC, [PUBLIC_LOG], PUBLIC_LOG.partition("+")[0]).size == 1_432_088_532
    found = cosignatures(PUBLIC, [parse_cosigner(each) for each in PUBLIC_WITNESSES])
    assert [each.key.vkey for each in found] == list(PUBLIC_WITNESSES)
    assert {each.time for each in found} == {0x6A122120}  # May 2026: all three within one second
    with pytest.raises(VerificationError):
        cosignatures(PUBLIC.replace("1432088532", "1432088533"), [found[0].key])
