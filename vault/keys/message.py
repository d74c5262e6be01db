"""One committing AEAD message under one key: Cobblestone-256, taken whole, and the context that it is bound to."""

from cryptography.cobblestone import Cobblestone256Decryptor, Cobblestone256Encryptor
from cryptography.exceptions import InvalidTag

from vault.errors import IntegrityFailure


def bind(*items: bytes) -> bytes:
    """Encode context items, each behind its 2-byte big-endian length, so that no two lists give the same bytes."""
    return b"".join(len(item).to_bytes(2, "big") + item for item in items)


def seal_message(key: bytes | memoryview, context: bytes, plaintext: bytes) -> bytes:
    """Seal under a 32-byte key: 24-byte random salt, 32-byte commitment, chunks with 16-byte tags (72 bytes and more).

    Why safe: key and nonce of the AEAD are derived per message from the salt, so a key may seal many messages.
    """
    encryptor = Cobblestone256Encryptor(key, context)
    return encryptor.update(plaintext) + encryptor.finalize()


def open_message(key: bytes | memoryview, context: bytes, message: bytes) -> bytes:
    """Open what `seal_message` made; nothing is given out before the end is checked. Raises IntegrityFailure."""
    try:
        decryptor = Cobblestone256Decryptor(key, context)
        return decryptor.update(message) + decryptor.finalize()
    except (InvalidTag, ValueError):
        raise IntegrityFailure(IntegrityFailure.code) from None
