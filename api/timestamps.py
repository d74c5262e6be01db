"""Asks a time-stamping authority (RFC 3161 over HTTP, §3.4), and checks what it says before it is kept.

Only the address of the settings is called: https, or http on the loopback interface. What leaves is a hash. The answer
must be over our bytes, carry our nonce, and lead to the root certificates of the settings (rfc3161-client).
"""

from pathlib import Path
from typing import Final

from cryptography import x509
from rfc3161_client import (
    HashAlgorithm,
    TimestampRequestBuilder,
    VerificationError,
    VerifierBuilder,
    decode_timestamp_response,
)

from api import asking
from api.eventpush import address_fault
from vault import timestamping
from vault.errors import TimestampRefused
from vault.unit import Vault

_QUERY: Final = "application/timestamp-query"
_REPLY: Final = "application/timestamp-reply"
_SECONDS: Final = 10.0
_OK: Final = 200


class Timestamps:
    """Stamps once per turn. `url` is the authority's, `roots` a PEM file of certificates that it must lead to."""

    def __init__(self, vault: Vault, url: str, roots: Path) -> None:
        self._vault = vault
        self._url = url
        self._roots = roots

    def turn(self) -> None:
        """Have the newest checkpoint stamped, if it is not yet."""
        timestamping.turn(self._vault, self.stamp)

    def stamp(self, message: bytes) -> bytes:
        """As `stamped_by`, at the authority of the settings."""
        return stamped_by(self._url, self._roots, message)


def stamped_by(url: str, roots: Path, message: bytes) -> bytes:
    """Return the authority's checked response (DER) over the SHA-256 of these bytes. Raises `TimestampRefused`."""
    if address_fault(url) is not None:
        raise TimestampRefused("the authority's address may not be called")
    request = TimestampRequestBuilder().data(message).hash_algorithm(HashAlgorithm.SHA256)
    built = request.cert_request(cert_request=True).nonce(nonce=True).build()
    content = _asked(url, built.as_bytes())
    try:
        verifier = VerifierBuilder.from_request(built)
        for root in x509.load_pem_x509_certificates(roots.read_bytes()):
            verifier = verifier.add_root_certificate(root)
        response = decode_timestamp_response(content)
        verifier.build().verify_message(response, message)
        return response.as_bytes()
    except OSError:
        raise TimestampRefused("the authority's root certificates cannot be read") from None
    except (VerificationError, ValueError):
        raise TimestampRefused("the authority's answer does not verify") from None


def _asked(url: str, query: bytes) -> bytes:
    heard = asking.ask(url, query, {"Content-Type": _QUERY, "Accept": _REPLY}, _SECONDS)
    if heard is None:
        raise TimestampRefused("the authority gave no whole answer in time")
    if heard.status != _OK:
        raise TimestampRefused(f"the authority answered {heard.status}")
    return heard.content
