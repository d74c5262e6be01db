"""Receipts: the C2SP signed-note example, a receipt made here by hand, and what must be refused."""

import base64
import hashlib

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from api.client.errors import ReceiptInvalid
from api.client.receipts import Receipt, verify_receipt

LEAF = hashlib.sha256(b"leaf").digest()
TEXT = f"ecrin.example/demo/receipt\n01J0ENTRY\n{base64.b64encode(LEAF).decode()}\n1763900000\n"
KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
NAME = "ecrin.example/demo/receipt"


def vkey(key=KEY, name=NAME, kind=b"\x01"):
    public = kind + key.public_key().public_bytes_raw()
    key_id = hashlib.sha256(name.encode() + b"\n" + public).digest()[:4]
    return f"{name}+{key_id.hex()}+{base64.b64encode(public).decode()}"


def signed(text=TEXT, key=KEY, name=NAME):
    key_id = bytes.fromhex(vkey(key, name).split("+")[1])
    return f"{text}\n— {name} {base64.b64encode(key_id + key.sign(text.encode())).decode()}\n"


def test_a_receipt_verifies():
    assert verify_receipt(signed(), vkey()) == Receipt("ecrin.example/demo", "01J0ENTRY", LEAF, 1763900000)


def test_a_receipt_of_a_bulk_answer_promises_each_of_its_entries():
    other = hashlib.sha256(b"other").digest()
    pairs = "".join(f"{name}\n{base64.b64encode(leaf).decode()}\n" for name, leaf in (("a", LEAF), ("b", other)))
    note = signed(f"ecrin.example/demo/receipt\n{pairs}1763900000\n")
    assert verify_receipt(note, vkey(), "b") == Receipt("ecrin.example/demo", "b", other, 1763900000)
    assert verify_receipt(note, vkey(), "a").leaf_hash == LEAF
    for entry in ("c", None):
        with pytest.raises(ReceiptInvalid, match="does not promise"):
            verify_receipt(note, vkey(), entry)


def test_a_receipt_of_one_entry_is_of_no_other():
    assert verify_receipt(signed(), vkey(), "01J0ENTRY").leaf_hash == LEAF
    with pytest.raises(ReceiptInvalid, match="does not promise"):
        verify_receipt(signed(), vkey(), "01J0OTHER")


def test_other_signatures_beside_ours_do_no_harm():
    other = Ed25519PrivateKey.from_private_bytes(bytes(32))
    note = signed() + signed(key=other, name="other.example").rpartition("\n\n")[2]
    assert verify_receipt(note, vkey()).time == 1763900000


def test_the_c2sp_example_verifies_but_is_no_receipt():
    note = (
        "This is an example message.\n\n— example.com/foo "
        "Uw2QOkn8srV1yJGh2VYRlL1Tnagv1YEq6TfXppzi2ONncAlTgK7Ztg1ERYNZXsYjOBH3mFXmRKuwHjG1Yu72IneyaQM=\n"
    )
    with pytest.raises(ReceiptInvalid, match="signed, but not a receipt"):
        verify_receipt(note, "example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k")


@pytest.mark.parametrize(
    "note",
    [
        "",
        TEXT,
        signed().replace("1763900000", "1763900001"),
        signed().replace("01J0ENTRY", "01J0OTHER"),
        signed(key=Ed25519PrivateKey.from_private_bytes(bytes(32))),
        signed(name="someone.example"),
        signed().rstrip("\n"),
        signed().replace("—", "-"),
        signed() + "— x y\n" * 101,
        signed(text=TEXT.replace("/receipt", "/other")),
        signed(text=TEXT + "more\n"),
        signed(text=TEXT.replace("1763900000", "soon")),
        signed(text="a/receipt\nb\nAAAA\n1\n"),
        signed(text="a/receipt\n"),
        signed(text="a/receipt\n1\n"),
        signed(text=TEXT.replace("1763900000", "c\n1763900000")),
    ],
)
def test_anything_else_is_refused(note):
    with pytest.raises(ReceiptInvalid):
        verify_receipt(note, vkey())


@pytest.mark.parametrize(
    "key",
    [
        "",
        "a+b",
        vkey().replace("+", "+0", 1)[:-1],
        vkey(kind=b"\x04"),
        vkey().replace(NAME, "x.example", 1),
        f"{NAME}+00000000+",
        f"{NAME}+zz+AAAA",
    ],
)
def test_a_malformed_verifier_key_is_refused(key):
    with pytest.raises(ReceiptInvalid):
        verify_receipt(signed(), key)
