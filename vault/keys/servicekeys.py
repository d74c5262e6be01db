"""Keys of the service itself: search and hash keys, small sealed items, signatures. Drawn once, sealed as one message.

One root each for HMAC and for AES-SIV; a use is told apart from every other by its label, which goes into the
derivation (HKDF-Expand, RFC 5869: the roots are uniformly random, so there is nothing to extract).
"""

import struct
from collections.abc import Callable
from functools import lru_cache
from typing import Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.aead import AESSIV
from cryptography.hazmat.primitives.ciphers.algorithms import AES256
from cryptography.hazmat.primitives.ciphers.modes import ECB
from cryptography.hazmat.primitives.hashes import SHA256, SHA512
from cryptography.hazmat.primitives.hmac import HMAC
from cryptography.hazmat.primitives.kdf.hkdf import HKDFExpand

from vault.errors import IntegrityFailure, KeyUnavailable
from vault.keys.message import bind
from vault.keys.service import FIRST_GENERATION, LAST_GENERATION, SigningKey
from vault.runtime import Entropy

_ROOT: Final = 32
_FORMAT: Final = 2
_ITEM = struct.Struct(">B32s")
_INDEX: Final = 1
_SIV: Final = 2
_SIGNING: Final = {SigningKey.LOG: 3, SigningKey.RECEIPT: 4, SigningKey.ERASURE: 5}
_NUMBERS: Final = frozenset({_INDEX, _SIV, *_SIGNING.values()})
_LABELS: Final = 1024  # derived keys kept; labels are per brand, field and use: far fewer


def draw(entropy: Entropy) -> bytes:
    """Draw a set of service keys: format(1), then number(1) and 32 random bytes for each."""
    return bytes((_FORMAT,)) + b"".join(_ITEM.pack(number, entropy.bytes(_ROOT)) for number in sorted(_NUMBERS))


class IndexKey:
    """The key of one epoch's search tokens: single blocks of AES-256.

    Why safe: a block cipher on single blocks is a keyed permutation, and every block here is half of an HMAC, so equal
    blocks are equal tokens, which is what a search value is for, and nothing else shows.
    """

    __slots__ = ("_cipher",)

    def __init__(self, key: bytes) -> None:
        self._cipher = Cipher(AES256(key), ECB())  # noqa: S305 - single random blocks, see above

    def blind(self, blocks: bytes) -> bytes:
        """Encrypt each block of 16 bytes."""
        encryptor = self._cipher.encryptor()
        return encryptor.update(blocks) + encryptor.finalize()

    def unblind(self, tokens: bytes) -> bytes:
        """Decrypt each block of 16 bytes."""
        decryptor = self._cipher.decryptor()
        return decryptor.update(tokens) + decryptor.finalize()


class ServiceKeys:
    """The opened set. Derived keys are kept per label as library objects, so that a batch pays derivation once."""

    __slots__ = ("_signing", "hmac", "siv")

    hmac: Callable[[str], HMAC]
    siv: Callable[[str], AESSIV]

    def __init__(self, content: bytes) -> None:
        """Take what `draw` made. Raises IntegrityFailure for anything else."""
        try:
            keys = dict(_ITEM.iter_unpack(content[1:]))
        except struct.error:
            raise IntegrityFailure(IntegrityFailure.code) from None
        if content[:1] != bytes((_FORMAT,)) or keys.keys() != _NUMBERS:
            raise IntegrityFailure(IntegrityFailure.code)

        @lru_cache(maxsize=_LABELS)
        def hmac(label: str) -> HMAC:
            key = HKDFExpand(SHA512(), 32, bind(b"ecrin/mac/v1", label.encode())).derive(keys[_INDEX])
            return HMAC(key, SHA256())

        @lru_cache(maxsize=_LABELS)
        def siv(label: str) -> AESSIV:
            return AESSIV(HKDFExpand(SHA512(), 64, bind(b"ecrin/siv/v1", label.encode())).derive(keys[_SIV]))

        @lru_cache(maxsize=len(_SIGNING) * LAST_GENERATION)
        def signing(key: SigningKey, generation: int) -> Ed25519PrivateKey:
            if generation == FIRST_GENERATION:
                return Ed25519PrivateKey.from_private_bytes(keys[_SIGNING[key]])
            # From the root of the HMAC keys and not from the first generation: whoever took one generation of a signing
            # key has none of the others. Nothing is stored, so a database brought back cannot lose a key that has signed.
            context = bind(b"ecrin/sign/v1", key.encode(), generation.to_bytes(4, "big"))
            return Ed25519PrivateKey.from_private_bytes(HKDFExpand(SHA512(), _ROOT, context).derive(keys[_INDEX]))

        self.hmac = hmac
        self.siv = siv
        self._signing = signing

    def signing(self, key: SigningKey, generation: int = FIRST_GENERATION) -> Ed25519PrivateKey:
        """Return the private key of one kind of statement. Raises KeyUnavailable for a generation there cannot be."""
        if not FIRST_GENERATION <= generation <= LAST_GENERATION:
            raise KeyUnavailable(KeyUnavailable.code)
        return self._signing(key, generation)

    def public(self, key: SigningKey, generation: int = FIRST_GENERATION) -> bytes:
        """Return the raw 32-byte public key. Raises as `signing` does."""
        return self.signing(key, generation).public_key().public_bytes_raw()
