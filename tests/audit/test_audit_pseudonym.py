"""Pseudonyms of staff and tokens: another in each entry, known again with the keys and not without."""

import hashlib
import hmac

from audit.pseudonym import pseudonym, token_mark, veiled

KEY, OTHER = b"\x01" * 32, b"\x02" * 32
ONE, TWO = bytes(range(16)), bytes(range(1, 17))
STAFF = b"\x5a" * 16
TOKEN = hashlib.sha256(b"token").digest()


def test_staff_is_a_pad_over_the_hash_and_comes_back_under_the_brands_key_alone():
    pad = hmac.new(KEY, b"ecrin/audit/staff/v1\x00" + ONE, hashlib.sha256).digest()[:16]
    assert veiled(KEY, ONE, STAFF) == bytes(a ^ b for a, b in zip(pad, STAFF, strict=True))
    assert veiled(KEY, ONE, veiled(KEY, ONE, STAFF)) == STAFF
    assert veiled(OTHER, ONE, veiled(KEY, ONE, STAFF)) != STAFF
    assert veiled(KEY, TWO, veiled(KEY, ONE, STAFF)) != STAFF


def test_a_token_is_known_again_with_its_hash_and_the_persons_key_together():
    mark = hmac.new(KEY, b"ecrin/audit/token/v1\x00" + TOKEN + ONE, hashlib.sha256).digest()[:16]
    assert token_mark(KEY, TOKEN, ONE) == mark
    others = {token_mark(OTHER, TOKEN, ONE), token_mark(KEY, OTHER, ONE), token_mark(KEY, TOKEN, TWO)}
    assert mark not in others and len(others) == 3


def test_no_kind_of_pseudonym_stands_for_another():
    assert len({pseudonym(KEY, ONE)[:16], token_mark(KEY, b"", ONE), veiled(KEY, ONE, bytes(16))}) == 3
