"""Shares: any k of n make the secret, nothing else does, and what a share asks for is bounded first."""

import itertools
import stat

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from shamir_mnemonic import generate_mnemonics
from shamir_mnemonic.share import Share

from vault.errors import Conflict, Sealed, UnsafeFile
from vault.keys.local import PassphraseProvider
from vault.keys.private_file import write_private
from vault.keys.provider import RootState
from vault.keys.providers.shamir import ByShares, Quorum, ShamirProvider, combine, deal, quorum_of
from vault.runtime import SystemEntropy

REF = "00112233445566778899aabbccddeeff"
KEY = bytes(range(32))
ENTROPY = SystemEntropy()


def dealt(folder, needed=3, total=5):
    return [share.encode() for share in deal(folder, Quorum(needed, total), ENTROPY)]


def shares_of(secret=bytes(32), needed=2, total=3, **options):
    (group,) = generate_mnemonics(1, [(needed, total)], secret, **{"iteration_exponent": 0} | options)
    return [share.encode() for share in group]


@pytest.mark.parametrize(("needed", "total"), [(2, 2), (2, 3), (3, 5), (16, 16)])
def test_any_k_of_n_make_the_same_secret_and_fewer_make_none(tmp_path, needed, total):
    shares = dealt(tmp_path, needed, total)
    assert len(set(shares)) == total
    (secret,) = {combine(chosen) for chosen in itertools.combinations(shares, needed)}
    assert len(secret) == 32
    for fewer in (shares[: needed - 1], [shares[0]] * needed, []):
        with pytest.raises(Sealed):
            combine(fewer)


def test_order_case_and_space_do_not_matter_and_more_than_enough_will_do(tmp_path):
    shares = dealt(tmp_path)
    secret = combine(shares[:3])
    assert combine(shares[2::-1]) == secret
    assert combine([b"  " + share.upper().replace(b" ", b"\n\t") + b"\n" for share in shares[:3]]) == secret
    assert combine(shares) == secret


def test_a_foreign_share_among_enough_good_ones_is_refused(tmp_path):
    ours, foreign = dealt(tmp_path / "ours"), dealt(tmp_path / "foreign")
    for at in range(5):
        with pytest.raises(Sealed):
            combine([*ours[:at], foreign[at], *ours[at + 1 :]])


@given(st.integers(0, 32), st.sampled_from(["academic", "zero", "notaword", ""]))
@settings(max_examples=30, deadline=None)
def test_a_wrong_word_is_one_answer_that_quotes_nothing(at, word):
    shares = [share.decode() for share in shares_of()]
    words = shares[0].split()
    if words[at] == word:
        return
    words[at] = word
    with pytest.raises(Sealed) as caught:
        combine([" ".join(words).encode(), shares[1].encode()])
    assert str(caught.value) == "the shares do not make the secret"
    assert caught.value.__suppress_context__


@given(st.lists(st.binary(max_size=600), max_size=20))
@settings(deadline=None)
def test_nonsense_is_the_same_answer(nonsense):
    with pytest.raises(Sealed, match="the shares do not make the secret"):
        combine(nonsense)


def test_a_hostile_share_cannot_choose_the_work():
    """At exponent 15 the standard's own derivation runs 327 million times: not refused, this test would take minutes."""
    good = [Share.from_mnemonic(share.decode()) for share in shares_of()]
    costly = [
        Share(s.identifier, s.extendable, 15, s.group_index, 1, 1, s.index, s.member_threshold, s.value) for s in good
    ]
    with pytest.raises(Sealed):
        combine([share.mnemonic().encode() for share in costly])


def test_shares_of_another_kind_are_refused():
    groups = generate_mnemonics(2, [(2, 2), (2, 2)], bytes(32), iteration_exponent=0)
    for shares in (
        [share.encode() for group in groups for share in group],
        shares_of(bytes(16)),  # a short secret
        shares_of(needed=1, total=1),
    ):
        with pytest.raises(Sealed):
            combine(shares)


@pytest.mark.parametrize(("needed", "total"), [(0, 3), (1, 1), (1, 3), (4, 3), (2, 17), (-1, 5)])
def test_a_quorum_that_protects_nothing_is_refused(needed, total):
    with pytest.raises(ValueError, match="at least two"):
        Quorum(needed, total)


def test_dealing_writes_how_many_there_are_and_nothing_else(tmp_path):
    folder = tmp_path / "roots"
    shares = dealt(folder)
    (record,) = folder.iterdir()
    assert record.read_bytes() == b"3 of 5\n"
    assert stat.S_IMODE(record.stat().st_mode) == 0o600
    assert quorum_of(folder) == Quorum(3, 5)
    with pytest.raises(Conflict):
        deal(folder, Quorum(2, 2), ENTROPY)
    assert not set(record.read_text().split()) & set(b" ".join(shares).decode().split())


@pytest.mark.parametrize("record", [b"", b"3", b"of", b"9 of 3", b"x of y", b"1 of 1", b"\xff of 2", bytes(513)])
def test_a_damaged_record_is_sealed(tmp_path, record):
    write_private(tmp_path / "shares", record, "x")
    with pytest.raises(Sealed):
        _ = ByShares(tmp_path, ENTROPY).needed
    (tmp_path / "shares").chmod(0o644)
    with pytest.raises(UnsafeFile):
        quorum_of(tmp_path)


def test_shares_brought_by_people_open_what_shares_made(tmp_path):
    shares = dealt(tmp_path)
    unsealer = ByShares(tmp_path, ENTROPY)
    assert (unsealer.needed, unsealer.total) == (3, 5)
    made = unsealer.provider(shares[:3])
    made.create(REF)
    wrapped = made.wrap(REF, KEY, b"")
    assert unsealer.provider(shares[2:]).unwrap(REF, wrapped, b"") == KEY
    with pytest.raises(Sealed):
        unsealer.provider(shares[:2])
    stranger = ShamirProvider(tmp_path, dealt(tmp_path / "other")[:3], ENTROPY)
    with pytest.raises(Sealed):
        stranger.unwrap(REF, wrapped, b"")


def test_the_secret_stands_where_a_passphrase_does(tmp_path):
    """One format of sealed files, one bound on its cost."""
    shares = dealt(tmp_path)
    made = ShamirProvider(tmp_path, shares[:3], ENTROPY)
    made.create(REF)
    wrapped = made.wrap(REF, KEY, b"")
    assert PassphraseProvider(tmp_path, combine(shares[:3]), ENTROPY).unwrap(REF, wrapped, b"") == KEY
    assert made.status(REF).state is RootState.LIVE
