"""A second implementation of the field envelope, written from docs/formats.md and c2sp.org/chunked-encryption alone.

It shares no code with `vault.envelope` and uses other primitives: HKDF-Expand and AES-GCM where that one uses the
library's own Cobblestone. It takes the salt as an argument, which the product never does, so that vectors can be
frozen. For tests only. `seal_message` and `open_message` serve the other formats' oracle too.
"""

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA512
from cryptography.hazmat.primitives.kdf.hkdf import HKDFExpand

CHUNK = 16384
TAG = 16


class Refused(Exception):
    """The bytes are not what was sealed."""


def lp(*items):
    out = b""
    for item in items:
        out += bytes([len(item) >> 8, len(item) & 255]) + item
    return out


def derive(key, salt, context):
    info = b"c2sp.org/chunked-encryption@v1+" + b"AEAD_AES_256_GCM" + b"\x00" + salt + context
    out = HKDFExpand(algorithm=SHA512(), length=32 + 12 + 32, info=info).derive(key)
    return out[0:32], int.from_bytes(out[32:44], "big"), out[44:76]


def seal_message(key, salt, context, plaintext):
    assert len(key) == 32 and len(salt) == 24
    message_key, base_nonce, commitment = derive(key, salt, context)
    out = [salt, commitment]
    number = 0
    while True:
        chunk = plaintext[number * CHUNK : number * CHUNK + CHUNK]
        nonce = (base_nonce ^ number).to_bytes(12, "big")
        out.append(AESGCM(message_key).encrypt(nonce, chunk, None))
        if len(chunk) < CHUNK:
            return b"".join(out)
        number += 1


def open_message(key, context, message):
    if len(message) < 24 + 32 + TAG:
        raise Refused
    salt, commitment, rest = message[:24], message[24:56], message[56:]
    message_key, base_nonce, expected = derive(key, salt, context)
    if commitment != expected:
        raise Refused
    plaintext = []
    number = 0
    while True:
        sealed, rest = rest[: CHUNK + TAG], rest[CHUNK + TAG :]
        nonce = (base_nonce ^ number).to_bytes(12, "big")
        try:
            chunk = AESGCM(message_key).decrypt(nonce, sealed, None)
        except (InvalidTag, ValueError):
            raise Refused from None
        plaintext.append(chunk)
        if len(chunk) < CHUNK:
            if rest:
                raise Refused
            return b"".join(plaintext)
        number += 1


def header(generation, version=1, suite=1):
    return bytes([version, suite]) + generation.to_bytes(4, "big")


def context(head, where):
    return lp(
        b"ecrin/field/v1",
        head,
        where["deployment"].encode(),
        bytes.fromhex(where["subject"]),
        where["category"].to_bytes(2, "big"),
        where["field"].to_bytes(2, "big"),
        where["item"].to_bytes(8, "big"),
        where["schema_version"].to_bytes(2, "big"),
        where["version"].to_bytes(8, "big"),
    )


def pad(plaintext):
    size = 32
    while size < 4 + len(plaintext):
        size *= 2
    padded = len(plaintext).to_bytes(4, "big") + plaintext
    return padded + b"\x00" * (size - len(padded))


def unpad(padded):
    if len(padded) < 32:
        raise Refused
    length = int.from_bytes(padded[:4], "big")
    plaintext = padded[4 : 4 + length]
    if len(plaintext) != length or pad(plaintext) != padded:
        raise Refused
    return plaintext


def seal(dek, wrapped, generation, where, plaintext, salt, padded=None):
    """Stored bytes of one value. `padded` replaces the padding, to make envelopes that no honest writer makes."""
    head = header(generation)
    return head + wrapped + seal_message(dek, salt, context(head, where), pad(plaintext) if padded is None else padded)


def open_(envelope, dek, where):
    if len(envelope) < 46 or envelope[0] != 1 or envelope[1] != 1:
        raise Refused
    return unpad(open_message(dek, context(envelope[:6], where), envelope[46:]))
