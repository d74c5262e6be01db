"""The published vectors of SLIP-39, against the library and against the bounds that we set around it."""

import json
from pathlib import Path

import pytest
from shamir_mnemonic import MnemonicError, combine_mnemonics

from vault.errors import Sealed
from vault.keys.providers import shamir

VECTORS = json.loads(Path(__file__).with_name("slip39.json").read_text())
PASSPHRASE = b"TREZOR"  # of every vector
GOOD = [each for each in VECTORS if each[2]]
BAD = [each for each in VECTORS if not each[2]]


def named(vectors):
    return pytest.mark.parametrize(
        ("shares", "secret"), [each[1:3] for each in vectors], ids=[each[0] for each in vectors]
    )


def test_none_is_missing():
    assert (len(GOOD), len(BAD)) == (15, 30)


@named(GOOD)
def test_what_should_combine_does(shares, secret):
    assert combine_mnemonics(shares, PASSPHRASE).hex() == secret


@named(BAD)
def test_what_should_not_combine_is_refused(shares, secret):
    with pytest.raises(MnemonicError):
        combine_mnemonics(shares, PASSPHRASE)


@named(BAD)
def test_nor_does_it_by_us(shares, secret):
    with pytest.raises(Sealed) as caught:
        shamir.combine([share.encode() for share in shares])
    assert str(caught.value) == "the shares do not make the secret"
    assert caught.value.__suppress_context__ or caught.value.__context__ is None


@named(GOOD)
def test_we_take_two_shares_or_more_of_one_group_and_256_bits(shares, secret):
    """Another passphrase gives another secret, so only whether one is given is compared."""
    ours = len(shares) > 1 and len(secret) == 64 and len({share.split()[2] for share in shares}) == 1
    try:
        found = shamir.combine([share.encode() for share in shares])
    except Sealed:
        assert not ours
    else:
        assert ours
        assert len(found) == 32
