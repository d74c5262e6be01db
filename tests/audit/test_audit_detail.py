"""Details handed over are the ones that the log commits to, or the verifier says so."""

import hashlib
import json

import pytest

from audit.detail import detail_commitment, detail_of, hand_over, read_handed_over, with_details, write_detail
from audit.entry import Act, Actor, ActorKind, Entry, Outcome, encode
from audit.errors import CannotDecide, VerificationError

SALT, TEXT = b"\x07" * 32, write_detail({"reason": "Perte de connaissance à l’hôtel", "case": "ab"})
OFFICER = Actor(ActorKind.OFFICER, "m.lefevre")


def entry(number, dc=None):
    body = Entry(Act.BREAKGLASS_DISCLOSED, Outcome.ALLOW, OFFICER)
    return number, encode(body, number.to_bytes(16), 1_790_000_000, b"\x5a" * 32, dc=dc)


COMMITTED, PLAIN = entry(4, detail_commitment(SALT, TEXT)), entry(9)
HANDED = [((4).to_bytes(16), SALT, TEXT)]


def test_the_commitment_is_a_salted_hash_and_the_spelling_one():
    assert detail_commitment(SALT, TEXT) == hashlib.sha256(b"ecrin/audit/detail/v1\x00" + SALT + TEXT).digest()
    assert TEXT == b'{"case":"ab","reason":"Perte de connaissance \\u00e0 l\\u2019h\\u00f4tel"}'
    for salt in (b"", SALT[:-1], SALT + b"x"):
        with pytest.raises(VerificationError):
            detail_commitment(salt, TEXT)


def test_what_was_handed_over_is_proven_and_what_was_not_is_missing():
    one, two = with_details([COMMITTED, PLAIN], hand_over(HANDED))
    assert json.loads(one["detail"])["case"] == "ab"
    assert (one["index"], "detail" in two) == (4, False)
    one, _ = with_details([COMMITTED, PLAIN])
    assert one["detail"] is None  # committed to, and not handed over or erased


@pytest.mark.parametrize(
    "handed",
    [
        [((4).to_bytes(16), SALT, TEXT.replace(b"ab", b"cd"))],
        [((4).to_bytes(16), b"\x08" * 32, TEXT)],
        [((4).to_bytes(16), SALT[:-1], TEXT)],
        [((9).to_bytes(16), SALT, TEXT)],  # beside an entry that commits to nothing
        [*HANDED, ((5).to_bytes(16), SALT, TEXT)],  # of nobody's entry
    ],
)
def test_any_other_detail_is_found(handed):
    with pytest.raises(VerificationError):
        with_details([COMMITTED, PLAIN], hand_over(handed))


@pytest.mark.parametrize("document", [b"", b"[]", b"{}", b'{"v":2,"details":[]}', b'{"v":1,"details":[1]}', b'{"v":1,"details":[{"entry":"00","salt":"x","detail":""}]}', b'{"v":1,"details":[{"entry":[],"salt":"","detail":""}]}'])  # fmt: skip
def test_what_is_no_file_of_details_is_refused(document):
    with pytest.raises(CannotDecide):
        read_handed_over(document)


def test_two_details_of_one_entry_decide_nothing_whichever_comes_last():
    wrong = ((4).to_bytes(16), SALT, TEXT.replace(b"ab", b"cd"))
    for handed in ([*HANDED, wrong], [wrong, *HANDED], [*HANDED, *HANDED]):
        with pytest.raises(CannotDecide):
            with_details([COMMITTED, PLAIN], hand_over(handed))


def test_a_text_that_no_entry_can_have_committed_to_is_another_detail():
    document = hand_over(HANDED).replace(b"ab", b"\\\\ud800")
    with pytest.raises(VerificationError):
        with_details([COMMITTED], document)


def test_one_entrys_detail_is_taken_from_among_others():
    both = [*HANDED, ((9).to_bytes(16), SALT, TEXT)]
    assert detail_of(*COMMITTED, hand_over(both)) == TEXT.decode()
    with pytest.raises(VerificationError):
        detail_of(*PLAIN, hand_over(both))  # commits to nothing
    with pytest.raises(CannotDecide):
        detail_of(*PLAIN, hand_over(HANDED))
    for body in (b"\xff", b"[]", b"{}"):
        with pytest.raises(CannotDecide):
            detail_of(0, body, hand_over(HANDED))
