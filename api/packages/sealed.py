"""A package sealed to a key that the person gives: JSON Web Encryption (RFC 7516) in its compact form.

By `joserfc`: the JOSE library of Authlib's author, with which our tests speak as a foreign client already, and the one of
the two that are kept up which refuses weak keys by itself. Agreement and wrapping are fixed by the kind of the key, never
taken from the caller.
"""

import warnings
from collections.abc import Mapping
from typing import Any, Final

from joserfc import jwe
from joserfc.errors import JoseError
from joserfc.jwk import ECKey, Key, OKPKey, RSAKey, import_key

MEDIA_TYPE: Final = "application/jose"
_LEAST_RSA: Final = 2048
_MOST_RSA: Final = 8192
_LARGEST: Final = 4096  # characters of a key as given


class InvalidKey(Exception):
    """The key cannot be sealed to: `reason` is a stable code."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


def check(given: Mapping[str, Any]) -> None:
    """Raise `InvalidKey` unless this is a public key to seal to: P-256, P-384, P-521, X25519, or RSA of 2048 bits."""
    _key(given)


def seal(archive: bytes, given: Mapping[str, Any]) -> bytes:
    """Seal an archive to the holder of a key. Raises `InvalidKey`."""
    key = _key(given)
    alg = "RSA-OAEP-256" if isinstance(key, RSAKey) else "ECDH-ES+A256KW"
    header = {"alg": alg, "enc": "A256GCM", "cty": "application/zip"}
    return jwe.encrypt_compact(header, archive, key, algorithms=[alg, "A256GCM"]).encode()


def _key(given: Mapping[str, Any]) -> Key:
    private = {"d", "p", "q", "dp", "dq", "qi", "oth", "k"} & given.keys()
    if private:
        raise InvalidKey("private_key")
    if sum(len(str(each)) for each in given.values()) > _LARGEST:
        raise InvalidKey("too_long")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            key = import_key(dict(given))
    except (JoseError, ValueError, TypeError, KeyError, Warning):
        raise InvalidKey("not_a_key") from None
    if isinstance(key, RSAKey):
        if not _LEAST_RSA <= key.raw_value.key_size <= _MOST_RSA:
            raise InvalidKey("key_size")
    elif isinstance(key, OKPKey):
        if key.curve_name != "X25519":
            raise InvalidKey("curve")
    elif not isinstance(key, ECKey) or key.curve_name not in {"P-256", "P-384", "P-521"}:
        raise InvalidKey("curve")
    return key
