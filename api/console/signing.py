"""What officers sign at a desk of their own: reading the signature that they paste."""

from base64 import b64decode
from binascii import Error
from collections.abc import Mapping
from typing import Final

from api.problems import Problem

_MOST_SIGNATURE: Final = 512


def signature_of(form: Mapping[str, str]) -> bytes:
    """Read a signature as it was pasted: Base64 or hexadecimal. Raises `Problem`."""
    text = "".join(form.get("signature", "").split())
    if not text or len(text) > _MOST_SIGNATURE:
        raise Problem("bad_request")
    try:
        return bytes.fromhex(text)
    except ValueError:
        pass
    try:
        return b64decode(text, validate=True)
    except (Error, ValueError):
        raise Problem("bad_request") from None


def pasted(form: Mapping[str, str]) -> bytes:
    """Read a signature as `signature_of` does; what is none is nothing, which no key made."""
    try:
        return signature_of(form)
    except Problem:
        return b""
