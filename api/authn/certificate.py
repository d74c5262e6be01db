"""The caller's TLS certificate, as a proxy that ended TLS tells it (RFC 8705 §3, RFC 9440 §2).

Off unless a header is configured. The header is believed from a trusted proxy and from nobody else: where anyone else
sends it, the request is refused, because either the proxy is not configured or somebody is trying to be one. A token
that was asked for with a certificate is bound to it, beside its DPoP key, and is good with that certificate alone.
"""

import hashlib
from base64 import b64decode
from typing import Final
from urllib.parse import unquote

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from fastapi import Request

from api.authn.jwk import encode_segment
from api.middleware.forwarded import STATE
from vault.errors import Refused

LONGEST: Final = 16_384


def thumbprint_of(request: Request, header: str) -> str:
    """Return `x5t#S256` of the caller's certificate (43 characters), empty without one. Raises `Refused`.

    `header` is the configured name, empty for none. Two spellings are read: that of RFC 9440, and percent-encoded PEM,
    which is what proxies write that do not know it.
    """
    values = request.headers.getlist(header) if header else []
    if not values or values == [""]:
        return ""
    if len(values) != 1 or len(values[0]) > LONGEST or not getattr(request.state, STATE, False):
        raise Refused("certificate_refused")
    try:
        return _thumbprint(_der(values[0]))
    except ValueError:
        raise Refused("certificate_refused", "certificate_malformed") from None


def _der(value: str) -> bytes:
    if value.startswith(":") and value.endswith(":") and len(value) > 1:
        # Parsed, so that nothing but a certificate is ever hashed; written anew, so that one has one spelling.
        return x509.load_der_x509_certificate(b64decode(value[1:-1], validate=True)).public_bytes(Encoding.DER)
    return x509.load_pem_x509_certificate(unquote(value).encode("ascii")).public_bytes(Encoding.DER)


def _thumbprint(der: bytes) -> str:
    return encode_segment(hashlib.sha256(der).digest())
