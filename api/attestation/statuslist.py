"""Status lists (draft-ietf-oauth-status-list, §4, §5): a bit per attestation, compressed, signed, served whole.

Whole, because fetching one bit would tell us which attestation somebody looks at. One bit: 0 stands, 1 has fallen.
"""

import zlib
from collections.abc import Iterable
from typing import Any, Final

from api.authn.jwk import encode_segment

TYPE: Final = "statuslist+jwt"
MEDIA_TYPE: Final = f"application/{TYPE}"
TTL_SECONDS: Final = 300
LIFE_SECONDS: Final = 3600
PATH: Final = "/attestations/status"


def bits(capacity: int, fallen: Iterable[int]) -> bytes:
    """Set the bits of these indexes, the least significant bit of each byte first (§4.1)."""
    array = bytearray(capacity // 8)
    for index in fallen:
        array[index // 8] |= 1 << index % 8
    return bytes(array)


def compress(array: bytes) -> str:
    """Compress with DEFLATE in the ZLIB format (§4.1), in base64url."""
    return encode_segment(zlib.compress(array, 9))


def claims(uri: str, array: bytes, now: int) -> dict[str, Any]:
    """Build the claims of a status list token (§5.1). `uri` is the list's own address."""
    status = {"bits": 1, "lst": compress(array)}
    return {"sub": uri, "iat": now, "exp": now + LIFE_SECONDS, "ttl": TTL_SECONDS, "status_list": status}
