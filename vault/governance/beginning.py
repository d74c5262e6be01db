"""What an officer begins and signs at a desk of their own: it is named before it exists.

The text of an act names the thing that is acted on (`vault.governance.signatures`). What is only being begun has no name
yet, so the vault draws one and hands it over under its own MAC, and keeps nothing: an officer who never comes back leaves
no row. The name comes back with the signature, from the same officer, for the same kind of thing, within an hour.
"""

import hmac
from base64 import urlsafe_b64decode, urlsafe_b64encode
from binascii import Error
from dataclasses import dataclass, field
from typing import Final

from vault.errors import NotSigned
from vault.governance.signatures import Matter
from vault.keys.message import bind
from vault.unit import Vault

GOOD_FOR: Final = 3600  # seconds: to read the text at another desk, sign it and come back

_LABEL: Final = "officer/begin"
_ID: Final = 16
_SALT: Final = 32
_TIME: Final = 8
_MAC: Final = 32
_TEXT: Final = -(-(_ID + _SALT + _TIME + _MAC) // 3) * 4  # characters of a ticket, in Base64


@dataclass(frozen=True, slots=True)
class Begun:
    """A thing that does not exist yet: its id, 16 random bytes, and 32 for the hash of what it says."""

    id: bytes
    salt: bytes = field(repr=False)


def draw(vault: Vault) -> Begun:
    """Draw a name for what is begun and signed in one go."""
    # Why safe: 128 random bits name it, so that no signature under another one fits, and 256 salt what outlives it.
    return Begun(vault.entropy.bytes(_ID), vault.entropy.bytes(_SALT))


def begin(vault: Vault, matter: Matter, officer_id: str) -> tuple[Begun, str]:
    """Draw a name for what an officer begins; return it, and the ticket that brings it back. Raises what keys raise."""
    # Why under a MAC: the officer carries both and chooses neither; a chosen salt would let others try what it hides.
    begun = draw(vault)
    body = begun.id + begun.salt + vault.clock.now().to_bytes(_TIME)
    return begun, urlsafe_b64encode(body + _mac(vault, matter, officer_id, body)).decode()


def resume(vault: Vault, matter: Matter, officer_id: str, ticket: str) -> Begun:
    """Return what a ticket names. Raises `NotSigned` for another officer's, another kind's, an altered or an old one."""
    try:
        content = urlsafe_b64decode(ticket.encode()) if len(ticket) == _TEXT else b""
    except (Error, ValueError):
        content = b""
    body, mac = content[:-_MAC], content[-_MAC:]
    if len(content) != _ID + _SALT + _TIME + _MAC or not hmac.compare_digest(
        mac, _mac(vault, matter, officer_id, body)
    ):
        raise NotSigned("begun by nobody, or by somebody else")
    made_at = int.from_bytes(body[-_TIME:])
    if not made_at <= vault.clock.now() < made_at + GOOD_FOR:
        raise NotSigned("begun too long ago")
    return Begun(body[:_ID], body[_ID : _ID + _SALT])


def _mac(vault: Vault, matter: Matter, officer_id: str, body: bytes) -> bytes:
    (mac,) = vault.keys.mac(_LABEL, [bind(vault.deployment.encode(), matter.name.encode(), officer_id.encode(), body)])
    return mac
