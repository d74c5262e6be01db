"""A second signature of the log, by ML-DSA-44 (FIPS 204), on the checkpoints that witnesses cosign.

Ed25519 falls to a large quantum computer; whoever has one could then sign a history of today. A line that such a machine
cannot make, on a checkpoint that others keep, stays worth something. It is optional and large: 3.3 kB a line, so it goes on
the checkpoints that are kept for years and not on each second's.

The key is derived: the seed is HMAC-SHA-256 under a label of its own of the service's keys, 32 bytes that nobody can tell
from random ones, as FIPS 204 wants of a seed. So there is nothing to store, and it lives as long as the keystore. Other than
the log's first key, which never leaves the key holder, this one is in the memory of the process that signs.

It goes with the log's first key: each generation of that has one of its own, and while two sign, so do both of these.
"""

from functools import cached_property
from typing import Final

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.mldsa import MLDSA44PrivateKey

from audit.cosignature import ML_DSA_44, CosignerKey, ml_dsa_line, ml_dsa_message
from vault import logkeys
from vault.errors import UnsafeSetting
from vault.keys.service import FIRST_GENERATION, KeyService
from vault.setup import log_origin
from vault.unit import Vault

_LABEL: Final = "audit/log-ml-dsa-44"
_SEED: Final = b"seed"
_UNTIMED: Final = 0  # the log says nothing about when, nor that this is the largest it has seen


class SecondSigner:
    """Signs checkpoints of one log a second time, under the log's origin."""

    def __init__(self, keys: KeyService, origin: str, generation: int = FIRST_GENERATION) -> None:
        self._keys = keys
        self._origin = origin
        self._label = f"{_LABEL}/{generation}"

    @cached_property
    def _private(self) -> MLDSA44PrivateKey:
        try:
            return MLDSA44PrivateKey.from_seed_bytes(self._keys.mac(self._label, [_SEED])[0])
        except UnsupportedAlgorithm:
            raise UnsafeSetting("log_ml_dsa: the OpenSSL underneath knows no ML-DSA") from None

    @property
    def key(self) -> CosignerKey:
        """Return the key that others verify the line with."""
        return CosignerKey(self._origin, ML_DSA_44, self._private.public_key().public_bytes_raw())

    def line(self, text: str) -> str:
        """Sign the text of a checkpoint and return the line for its note."""
        message = ml_dsa_message(text, self._origin, _UNTIMED)
        return ml_dsa_line(text, self.key, _UNTIMED, self._private.sign(message))


def second_signers(vault: Vault, shard: int = 0) -> list[SecondSigner]:
    """Return who signs a log a second time now, oldest first."""
    with vault.reading() as conn:
        using = logkeys.in_use(conn, shard)
    return [SecondSigner(vault.keys, log_origin(vault.origin, shard), each) for each in using]
