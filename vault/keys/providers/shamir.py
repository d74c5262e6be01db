"""Roots sealed by a secret that is split into k-of-n shares (SLIP-39), brought together only to unseal.

The secret, 256 random bits, stands where the passphrase of a sealed root file does; the file and its format are the
same, and so is the class: C. It is drawn once, split, shown as shares and never written down; what the folder keeps is
how many shares there are and how many it takes.

SLIP-39 and the field arithmetic are those of `shamir-mnemonic`, the standard's reference; its published vectors are in
tests/vectors. It is written in Python and not constant-time: combine shares where nobody else can measure.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from shamir_mnemonic import MnemonicError, combine_mnemonics, generate_mnemonics
from shamir_mnemonic.share import Share

from vault.errors import Conflict, Sealed
from vault.keys.local import FLOOR, Cost, PassphraseProvider
from vault.keys.private_file import read_private, write_private
from vault.runtime import Clock, Entropy, SystemClock

LEAST_NEEDED: Final = 2  # one of n would be n copies of the secret
MOST_SHARES: Final = 16  # SLIP-39

_CLOCK: Final = SystemClock()
_SECRET: Final = 32
_RECORD: Final = "shares"
_MOST_EXPONENT: Final = 4  # 160,000 passes of PBKDF2; a hostile share could ask for 327 million
_LONGEST: Final = 512  # characters of one share; 33 words of at most 8 letters
_NO_PASSPHRASE: Final = b""  # SLIP-39 cannot tell a wrong one; shares that need one are not ours


@dataclass(frozen=True, slots=True)
class Quorum:
    """How many shares it takes, of how many. Raises ValueError for 1-of-n, k above n, or more than 16."""

    needed: int
    total: int

    def __post_init__(self) -> None:
        if not LEAST_NEEDED <= self.needed <= self.total <= MOST_SHARES:
            raise ValueError("at least two shares, at most sixteen, and no more needed than there are")


def deal(folder: Path, quorum: Quorum, entropy: Entropy) -> tuple[str, ...]:
    """Draw the secret of a deployment and return its shares, each a line of 33 words, to be shown once.

    Writes down how many there are. Raises Conflict where that is written already: dealing again would leave roots that
    the new shares do not open.
    """
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    record = b"%d of %d\n" % (quorum.needed, quorum.total)
    if not write_private(folder / _RECORD, record, entropy.bytes(8).hex()):
        raise Conflict("shares were dealt already")
    secret = entropy.bytes(_SECRET)
    (group,) = generate_mnemonics(1, [(quorum.needed, quorum.total)], secret, _NO_PASSPHRASE, iteration_exponent=0)
    return tuple(group)


def quorum_of(folder: Path) -> Quorum:
    """Return how many shares were dealt. Raises Sealed when that is not known."""
    needed, _, total = read_private(folder / _RECORD, _LONGEST).decode("ascii", "replace").partition(" of ")
    try:
        return Quorum(int(needed), int(total))
    except ValueError:
        raise Sealed("it is not known how many shares there are") from None


def combine(shares: Sequence[bytes]) -> bytes:
    """Return the secret that at least k shares make. Raises Sealed, the same for every set that makes none.

    What a share asks for is bounded before anything is computed. More shares than needed must all belong together.
    """
    try:
        if not LEAST_NEEDED <= len(shares) <= MOST_SHARES or any(len(share) > _LONGEST for share in shares):
            raise Sealed("the shares do not make the secret")
        texts = [" ".join(share.decode("ascii").lower().split()) for share in shares]
        parsed = [Share.from_mnemonic(text) for text in texts]
        (needed,) = {share.member_threshold for share in parsed}
        if any(share.iteration_exponent > _MOST_EXPONENT or share.group_count != 1 for share in parsed):
            raise Sealed("the shares do not make the secret")
        # Those above the threshold would not be looked at: try every one, so that a foreign share never passes unseen.
        sets = [texts[:needed], *([*texts[: needed - 1], text] for text in texts[needed:])]
        (secret,) = {bytes(combine_mnemonics(each, _NO_PASSPHRASE)) for each in sets}
    except (MnemonicError, ValueError):  # its text quotes the words of the share
        raise Sealed("the shares do not make the secret") from None
    if len(secret) != _SECRET:
        raise Sealed("the shares do not make the secret")
    return secret


class ShamirProvider(PassphraseProvider):
    """Roots sealed under the secret of these shares. Raises Sealed when they make none, before any Argon2id runs.

    The cost of Argon2id is the least that the file format allows: 256 random bits need no stretching.
    """

    def __init__(
        self, folder: Path, shares: Sequence[bytes], entropy: Entropy, cost: Cost = FLOOR, *, clock: Clock = _CLOCK
    ) -> None:
        super().__init__(folder, combine(shares), entropy, cost, clock=clock)


class ByShares:
    """What has to come together before such a root opens: k shares, each from somebody else."""

    def __init__(self, folder: Path, entropy: Entropy) -> None:
        self._folder = folder
        self._entropy = entropy

    @property
    def needed(self) -> int:
        """How many shares it takes."""
        return quorum_of(self._folder).needed

    @property
    def total(self) -> int:
        """How many were dealt."""
        return quorum_of(self._folder).total

    def provider(self, secrets: Sequence[bytes]) -> ShamirProvider:
        """Return the provider that these shares make. Raises Sealed."""
        return ShamirProvider(self._folder, secrets, self._entropy)
