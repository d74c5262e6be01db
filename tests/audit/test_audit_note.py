"""Signed notes: the specification's own example, and every way a note or a key can be malformed."""

import base64

import pytest
from tamperable_log import Ed25519Signer

from audit.errors import VerificationError
from audit.note import (
    MAX_SIGNATURES,
    VerifierKey,
    assemble,
    key_id,
    open_note,
    parse_vkey,
    sign_note,
    signature_line,
    split_note,
    vkey,
)

# From the C2SP signed-note specification (CC BY 4.0).
EXAMPLE_KEY = "example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k"
EXAMPLE = (
    "This is an example message.\n\n"
    "— example.com/foo Uw2QOkn8srV1yJGh2VYRlL1Tnagv1YEq6TfXppzi2ONncAlTgK7Ztg1ERYNZXsYjOBH3mFXmRKuwHjG1Yu72IneyaQM=\n"
)


def signer(name, seed):
    return Ed25519Signer(name, seed * 32)


def keyed(kind, public):
    """A verifier key of Alice's name and id around other bytes."""
    return f"alice.example+{ALICE.vkey.split('+')[1]}+{base64.b64encode(kind + public).decode()}"


ALICE = signer("alice.example", b"\x01")
BOB = signer("bob.example", b"\x02")
TEXT = "first\n\nlast\n"
NOTE = sign_note(TEXT, (ALICE,))
LINE = NOTE.rpartition("\n\n")[2]


def test_the_example_of_the_specification():
    opened = open_note(EXAMPLE, [EXAMPLE_KEY])
    assert opened.text == "This is an example message.\n"
    assert [line.name for line in opened.verified] == ["example.com/foo"]
    key = parse_vkey(EXAMPLE_KEY)
    assert vkey(key.name, key.public_key) == EXAMPLE_KEY
    assert key_id(key.name, key.public_key).hex() == "530d903a"


def test_the_example_with_any_byte_flipped_is_refused():
    content = EXAMPLE.encode()
    for place in range(len(content)):
        for bit in (1, 0x80):
            flipped = content[:place] + bytes([content[place] ^ bit]) + content[place + 1 :]
            with pytest.raises(VerificationError):
                open_note(flipped, [EXAMPLE_KEY])


def test_two_signers_and_a_reader_who_knows_one():
    note = sign_note(TEXT, (ALICE, BOB))
    opened = open_note(note, [BOB.vkey])
    assert [line.name for line in opened.verified] == ["bob.example"]
    assert [line.name for line in opened.unverified] == ["alice.example"]
    assert opened.text == TEXT
    assert len(open_note(note.encode(), [ALICE.vkey, BOB.vkey]).verified) == 2


def test_the_text_ends_at_the_last_empty_line():
    assert open_note(NOTE, [ALICE.vkey]).text == TEXT


def test_one_bad_line_of_a_known_key_spoils_the_note():
    forged = assemble(TEXT, (LINE, signature_line(BOB.name, BOB.public_key, bytes(64))))
    assert open_note(forged, [ALICE.vkey]).verified
    with pytest.raises(VerificationError):
        open_note(forged, [ALICE.vkey, BOB.vkey])


def test_a_repeated_line_counts_once_and_is_checked_each_time():
    assert len(open_note(assemble(TEXT, (LINE, LINE)), [ALICE.vkey]).verified) == 1
    with pytest.raises(VerificationError):
        open_note(assemble(TEXT, (LINE, signature_line(ALICE.name, ALICE.public_key, bytes(64)))), [ALICE.vkey])


def test_a_note_nobody_known_signed_is_refused():
    with pytest.raises(VerificationError):
        open_note(NOTE, [BOB.vkey])
    with pytest.raises(VerificationError):
        open_note(NOTE, [])


def test_a_signature_under_another_name_is_not_known():
    renamed = signer("mallory.example", b"\x01")
    with pytest.raises(VerificationError):
        open_note(sign_note(TEXT, (renamed,)), [ALICE.vkey])


def test_two_keys_that_share_name_and_id_are_refused():
    twin = VerifierKey(ALICE.name, key_id(ALICE.name, ALICE.public_key), BOB.public_key)
    with pytest.raises(VerificationError):
        open_note(NOTE, [ALICE.vkey, twin])
    assert open_note(NOTE, [ALICE.vkey, ALICE.vkey]).verified
    assert open_note(NOTE, ALICE.vkey).verified


@pytest.mark.parametrize(
    "note",
    [
        "",
        "\n",
        "\n\n",
        TEXT,
        TEXT + "\n",
        NOTE[:-1],
        NOTE + "\n",
        NOTE.replace("first", "fi\rst"),
        NOTE.replace("first", "fi\x00st"),
        NOTE.replace("first", "fi\tst"),
        NOTE.replace("— ", "- "),
        NOTE.replace("— ", "—"),
        NOTE.replace("alice.example ", "alice.example"),
        NOTE.replace("alice.example ", "alice.example  "),
        NOTE.replace("alice.example", ""),
        NOTE.replace("alice.example", "alice+example"),
        NOTE.replace("alice.example", "alice\u00a0example"),
        NOTE.replace("alice.example", "alice\u2028example"),
        NOTE.replace("=\n", "\n"),
        NOTE.replace("=\n", "==\n"),
        NOTE.replace("=\n", "=\n\n"),
        NOTE[:-1] + " \n",
        TEXT + "\n— alice.example AAAA\n",
        TEXT + "\n— alice.example AAAAAA==\n",
        TEXT + "\n— alice.example \n",
        TEXT + "\n— alice.example\n",
        TEXT + "\n" + LINE + "trailing\n",
        TEXT + "\n" + LINE * (MAX_SIGNATURES + 1),
        "\udcff" + NOTE,
        "x" * 1_000_001 + NOTE,
    ],
)
def test_malformed_notes_are_refused(note):
    with pytest.raises(VerificationError):
        open_note(note, [ALICE.vkey])


def test_a_note_that_is_not_utf8_is_refused():
    with pytest.raises(VerificationError):
        open_note(b"\xff" + NOTE.encode(), [ALICE.vkey])


def test_as_many_signatures_as_allowed_are_read():
    assert open_note(TEXT + "\n" + LINE * MAX_SIGNATURES, [ALICE.vkey]).verified


def test_base64_has_one_spelling():
    """Spare bits behind the last byte could carry a second spelling of the same signature."""
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
    at = NOTE.rindex("=") - 1
    assert NOTE[at + 1 :] == "=\n"
    other = alphabet[alphabet.index(NOTE[at]) ^ 1]
    with pytest.raises(VerificationError):
        open_note(NOTE[:at] + other + NOTE[at + 1 :], [ALICE.vkey])


@pytest.mark.parametrize(
    "key",
    [
        "",
        "alice.example",
        "alice.example+00000000",
        ALICE.vkey.replace("alice", "alicia"),
        ALICE.vkey.replace("alice.example", ""),
        ALICE.vkey.replace("alice.example", "alice example"),
        ALICE.vkey[:-1],
        ALICE.vkey + "A",
        ALICE.vkey.upper(),
        keyed(b"\x09", ALICE.public_key),
        keyed(b"\x01", ALICE.public_key[1:]),
    ],
)
def test_malformed_verifier_keys_are_refused(key):
    with pytest.raises(VerificationError):
        parse_vkey(key)


def test_a_key_whose_base64_holds_a_plus_sign_is_read():
    seed = next(number for number in range(256) if "+" in signer("k", bytes([number])).vkey.split("+", 2)[2])
    made = signer("k", bytes([seed]))
    assert parse_vkey(made.vkey).public_key == made.public_key


@pytest.mark.parametrize("text", ["", "no line feed", "bell\a\n"])
def test_texts_that_cannot_be_signed(text):
    with pytest.raises(VerificationError):
        sign_note(text, (ALICE,))


def test_a_note_needs_a_signer_and_whole_keys():
    with pytest.raises(VerificationError):
        sign_note(TEXT, ())
    with pytest.raises(VerificationError):
        signature_line("alice.example", ALICE.public_key, bytes(63))
    with pytest.raises(VerificationError):
        vkey("alice.example", bytes(31))


def test_splitting_vouches_for_nobody():
    note = split_note(NOTE)
    assert not note.verified
    assert [line.name for line in note.unverified] == ["alice.example"]
