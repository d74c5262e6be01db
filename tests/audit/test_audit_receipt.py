"""Receipts: made in batches, checked by anybody with the key, and never mistaken for anything else."""

import pytest
from tamperable_log import ORIGIN, Ed25519Signer, entry_id

from audit import receipt
from audit.errors import VerificationError
from audit.merkle import leaf_hash
from audit.note import sign_note
from audit.receipt import Promised, Receipt, receipt_key_name, receipt_text

KEY = Ed25519Signer(receipt_key_name(ORIGIN))
PROMISED = [Promised(entry_id(number), leaf_hash(b"%d" % number)) for number in range(5)]
RECEIPTS = [Receipt(ORIGIN, (each,), 1_790_000_000 + number) for number, each in enumerate(PROMISED)]
MANY = Receipt(ORIGIN, tuple(PROMISED), 1_790_000_000)


def issue(receipts):
    return receipt.issue(receipts, KEY.public_key, lambda messages: [KEY.sign(message) for message in messages])


def test_the_text_line_for_line():
    text = receipt_text(Receipt("vault.example/audit", (Promised(bytes(range(16)), bytes(32)),), 1_790_000_000))
    assert text == (
        "vault.example/audit/receipt\n000102030405060708090a0b0c0d0e0f\n"
        "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n1790000000\n"
    )


def test_a_batch_is_signed_in_one_call():
    calls = []

    def sign(messages):
        calls.append(len(messages))
        return [KEY.sign(message) for message in messages]

    notes = receipt.issue(RECEIPTS, KEY.public_key, sign)
    assert calls == [5]
    assert [receipt.open_receipt(note, [KEY.vkey]) for note in notes] == RECEIPTS


def test_one_answer_about_many_is_promised_under_one_signature():
    calls = []
    (note,) = receipt.issue([MANY], KEY.public_key, lambda texts: calls.extend(texts) or [KEY.sign(t) for t in texts])
    assert len(calls) == 1
    assert receipt.open_receipt(note, [KEY.vkey]) == MANY
    assert note.splitlines()[1:11:2] == [each.entry_id.hex() for each in PROMISED]


@pytest.mark.parametrize("promise", [RECEIPTS[0], MANY])
def test_any_flipped_byte_is_refused(promise):
    content = issue([promise])[0].encode()
    for place in range(len(content)):
        flipped = content[:place] + bytes([content[place] ^ 1]) + content[place + 1 :]
        with pytest.raises(VerificationError):
            receipt.open_receipt(flipped, [KEY.vkey])


def test_a_receipt_signed_by_another_key_is_refused():
    stranger = Ed25519Signer(receipt_key_name(ORIGIN), b"\x02" * 32)
    with pytest.raises(VerificationError):
        receipt.open_receipt(issue(RECEIPTS[:1])[0], [stranger.vkey])


def test_the_logs_own_key_does_not_sign_receipts(signer):
    note = sign_note(receipt_text(Receipt(ORIGIN, (Promised(bytes(16), bytes(32)),), 1)), (signer,))
    with pytest.raises(VerificationError):
        receipt.open_receipt(note, [signer.vkey])


@pytest.mark.parametrize(
    "text",
    [
        "x\n",
        f"{ORIGIN}\n{'00' * 16}\n{'A' * 43}=\n1\n",
        f"{ORIGIN}/receipt\n{'00' * 15}\n{'A' * 43}=\n1\n",
        f"{ORIGIN}/receipt\n{'0F' * 16}\n{'A' * 43}=\n1\n",
        f"{ORIGIN}/receipt\n{'00' * 16}\n{'A' * 42}==\n1\n",
        f"{ORIGIN}/receipt\n{'00' * 16}\n{'A' * 42}B=\n1\n",
        f"{ORIGIN}/receipt\n{'00' * 16}\n{'A' * 43}=\n01\n",
        f"{ORIGIN}/receipt\n{'00' * 16}\n{'A' * 43}=\n-1\n",
        f"{ORIGIN}/receipt\n{'00' * 16}\n{'A' * 43}=\n1\nmore\n",
        f"{ORIGIN}/receipt\n1\n",
        f"{ORIGIN}/receipt\n{'00' * 16}\n{'A' * 43}=\n{'01' * 16}\n1\n",
        f"{ORIGIN}/receipt\n{'00' * 16}\n{'A' * 43}=\n{'01' * 16}\n{'A' * 42}B=\n1\n",
        f"{ORIGIN}/receipt\n{'00' * 16}\n{'01' * 16}\n{'A' * 43}=\n{'A' * 43}=\n1\n",
    ],
)
def test_a_good_signature_over_something_else_is_no_receipt(text):
    with pytest.raises(VerificationError):
        receipt.open_receipt(sign_note(text, (KEY,)), [KEY.vkey])


def test_no_receipts_need_no_signature():
    assert receipt.issue([], KEY.public_key, list) == []
