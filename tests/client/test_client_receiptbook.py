"""The client's book of receipts: promises kept, promises broken, and a log that went back; against the server's own code."""

import hashlib

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from api.client.answers import VerifierKeys
from api.client.errors import ReceiptInvalid
from api.client.receiptbook import MOST_DELAY, ReceiptBook
from audit import checkpoint
from audit.checkpoint import Checkpoint
from audit.merkle import inclusion_proof, root_hash
from audit.note import sign_note, vkey
from audit.receipt import Promised, Receipt, issue, receipt_key_name
from audit.tlogproof import format_proof

ORIGIN = "vault.example/audit"
START = 1_790_000_000


class Signer:
    def __init__(self, name, seed):
        self._key = Ed25519PrivateKey.from_private_bytes(seed * 32)
        self.name = name
        self.public_key = self._key.public_key().public_bytes_raw()

    def sign(self, message):
        return self._key.sign(message)


LOG, OTHER = Signer(ORIGIN, b"\x01"), Signer(ORIGIN, b"\x03")
RECEIPTS = Signer(receipt_key_name(ORIGIN), b"\x02")
KEYS = VerifierKeys(ORIGIN, vkey(LOG.name, LOG.public_key), vkey(RECEIPTS.name, RECEIPTS.public_key))
LEAVES = [hashlib.sha256(b"%d" % number).digest() for number in range(40)]


def identity(index):
    return hashlib.sha256(b"id%d" % index).digest()[:16]


def receipt(*indexes):
    said = Receipt(ORIGIN, tuple(Promised(identity(index), LEAVES[index]) for index in indexes), START)
    (note,) = issue([said], RECEIPTS.public_key, lambda messages: [RECEIPTS.sign(each) for each in messages])
    return note


class Log:
    """A log that proves what it holds; a liar when it is given other leaves."""

    def __init__(self, leaves=LEAVES, signer=LOG):
        self.leaves, self.signer, self.asked = list(leaves), signer, []

    def prove(self, entry_id):
        self.asked.append(entry_id)
        places = [at for at in range(len(self.leaves)) if identity(at).hex() == entry_id]
        if not places:
            return None
        text = checkpoint.format(Checkpoint(ORIGIN, len(self.leaves), root_hash(self.leaves)))
        return format_proof(places[0], inclusion_proof(places[0], self.leaves), sign_note(text, (self.signer,)))


@pytest.fixture
def book(tmp_path):
    return ReceiptBook(tmp_path / "receipts", KEYS)


def codes(checked):
    return [(each.code, each.receipt.entry_id) for each in checked.broken]


def test_a_promise_kept_is_proven_once(book):
    log = Log()
    for index in (0, 7, 39):
        book.keep(receipt(index))
    assert book.check(log.prove, START + MOST_DELAY - 1).waiting == 3
    assert log.asked == []
    done = book.check(log.prove, START + MOST_DELAY)
    assert (done.proven, done.waiting, done.broken) == (3, 0, ())
    assert book.check(log.prove, START + 999).proven == 0
    assert len(log.asked) == 3


def test_every_place_in_logs_of_every_size_is_proven(tmp_path):
    for size in range(1, 34):
        book = ReceiptBook(tmp_path / f"book-{size}", KEYS)
        for index in range(size):
            book.keep(receipt(index))
        assert book.check(Log(LEAVES[:size]).prove, START + 60).proven == size


def test_what_was_promised_together_is_asked_for_one_by_one(book):
    assert len(book.keep(receipt(4, 35))) == 2
    done = book.check(Log(LEAVES[:30]).prove, START + 60)
    assert (done.proven, codes(done)) == (1, [("omitted", identity(35).hex())])


def test_an_entry_left_out_is_told_each_time(book):
    book.keep(receipt(30))
    log = Log(LEAVES[:30])
    for _ in range(2):
        assert codes(book.check(log.prove, START + 60)) == [("omitted", identity(30).hex())]
    assert book.check(Log().prove, START + 120).proven == 1  # late, and there


@pytest.mark.parametrize(
    ("liar", "code"),
    [
        (Log([*LEAVES[:7], LEAVES[9], *LEAVES[8:]]), "not_proven"),  # another entry in its place
        (Log(signer=OTHER), "unknown_key"),
    ],
)
def test_a_proof_that_does_not_hold_is_told(book, liar, code):
    book.keep(receipt(7))
    assert codes(book.check(liar.prove, START + 60)) == [(code, identity(7).hex())]


@pytest.mark.parametrize("spoil", ["", "x", "c2sp.org/tlog-proof@v1\n\n", "index", "hash", "extra", "note", "long"])
def test_what_is_no_proof_is_told(book, spoil):
    book.keep(receipt(7))

    def prove(entry_id):
        text = Log().prove(entry_id)
        return {
            "index": text.replace("index 7", "index 8"),
            "hash": text.replace("index 7\n", "index 7\n????\n"),
            "extra": text.replace("index 7\n", "index -7\n"),
            "note": text.replace("\n40\n", "\n41\n"),
            "long": text.replace("index 7\n", "index 7\n" + "AAAA\n" * 64),
        }.get(spoil, spoil)

    assert codes(book.check(prove, START + 60)) == [("not_proven", identity(7).hex())]


def test_a_log_that_goes_back_or_shows_two_histories_is_told(book, tmp_path):
    for index in (3, 5, 8):
        book.keep(receipt(index))
    first = Log()
    assert book.check(lambda each: first.prove(each) if each == identity(3).hex() else None, START + 60).proven == 1
    again = ReceiptBook(tmp_path / "receipts", KEYS)  # it remembers across restarts
    shorter = Log(LEAVES[:20])
    assert [code for code, _ in codes(again.check(shorter.prove, START + 60))] == ["went_back", "went_back"]
    forked = Log([*LEAVES[:30], *reversed(LEAVES[30:])])
    assert [code for code, _ in codes(again.check(forked.prove, START + 60))] == ["two_histories", "two_histories"]
    assert again.check(first.prove, START + 60).proven == 2


def test_a_book_survives_a_restart_and_a_torn_line(book, tmp_path):
    book.keep(receipt(1))
    book.keep(receipt(2))
    book.check(lambda each: Log().prove(each) if each == identity(1).hex() else None, START + 60)
    with (tmp_path / "receipts").open("a") as file:
        file.write('{"receipt": "torn')
    again = ReceiptBook(tmp_path / "receipts", KEYS)
    assert again.check(Log().prove, START + 60).proven == 1
    assert (tmp_path / "receipts").stat().st_mode & 0o077 == 0


def test_what_is_no_receipt_of_this_log_is_not_kept(book):
    for note in ("", "x", receipt(1).replace("1790000000", "1790000001")):
        with pytest.raises(ReceiptInvalid):
            book.keep(note)
    assert book.check(Log().prove, START + 60).proven == 0


def both_signed(leaves, *signers):
    """A log that several keys sign."""
    log = Log(leaves)

    def prove(entry_id):
        places = [at for at in range(len(leaves)) if identity(at).hex() == entry_id]
        text = checkpoint.format(Checkpoint(ORIGIN, len(leaves), root_hash(leaves)))
        return format_proof(places[0], inclusion_proof(places[0], leaves), sign_note(text, signers))

    log.prove = prove
    return log


def with_logs(*signers):
    return VerifierKeys(
        ORIGIN,
        vkey(ORIGIN, signers[0].public_key),
        KEYS.receipt,
        tuple(vkey(ORIGIN, each.public_key) for each in signers),
    )


def test_a_change_of_the_logs_key_is_no_broken_promise_while_both_sign(tmp_path):
    for number, keys in enumerate((KEYS, with_logs(OTHER, LOG), with_logs(OTHER))):
        book = ReceiptBook(tmp_path / f"book{number}", keys)
        book.keep(receipt(3))
        assert book.check(both_signed(LEAVES, LOG, OTHER).prove, START + 60).proven == 1


def test_a_book_whose_keys_are_over_says_so_and_goes_on_with_the_new_one(book, tmp_path):
    book.keep(receipt(3))
    log = both_signed(LEAVES, OTHER)
    assert [code for code, _ in codes(book.check(log.prove, START + 60))] == ["unknown_key"]
    again = ReceiptBook(tmp_path / "receipts", with_logs(OTHER))
    assert again.check(log.prove, START + 60).proven == 1


def test_a_line_that_claims_a_known_key_and_does_not_hold_spoils_the_proof(tmp_path):
    book = ReceiptBook(tmp_path / "book", with_logs(OTHER, LOG))
    book.keep(receipt(3))
    good = both_signed(LEAVES, LOG, OTHER).prove(identity(3).hex())
    lines = good.split("\n")
    mark = next(at for at, line in enumerate(lines) if line.startswith("\u2014"))
    lines[mark] = lines[mark][:-6] + ("AAAA==" if lines[mark].endswith("==") else "AAAAA=")
    assert [each.code for each in book.check(lambda _: "\n".join(lines), START + 60).broken] == ["not_proven"]
