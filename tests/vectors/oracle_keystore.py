"""A second implementation of the keystore's bytes, written from docs/formats.md and the RFCs it names.

It shares no code with `vault.keys`. HKDF-Expand (RFC 5869), AES key wrap (RFC 3394) and AES-SIV (RFC 5297) are written
out here over HMAC, CMAC and single AES blocks; Argon2id comes from another library. For tests only.
"""

import hashlib
import hmac

import oracle_envelope as oracle
from argon2.low_level import Type, hash_secret_raw
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.ciphers.modes import CTR, ECB
from cryptography.hazmat.primitives.cmac import CMAC

lp = oracle.lp


def number(value, size):
    return value.to_bytes(size, "big")


# RFC 5869, 3394, 5297


def expand(root, info, length):
    out, block, counter = b"", b"", 1
    while len(out) < length:
        block = hmac.new(root, block + info + bytes([counter]), hashlib.sha512).digest()
        out += block
        counter += 1
    return out[:length]


def key_wrap(leaf, key):
    def encrypt(block):
        return Cipher(AES(leaf), ECB()).encryptor().update(block)  # noqa: S305 - the block cipher itself

    a, r = b"\xa6" * 8, [key[at : at + 8] for at in range(0, len(key), 8)]
    for j in range(6):
        for i, each in enumerate(r):
            block = encrypt(a + each)
            a = number(int.from_bytes(block[:8], "big") ^ (len(r) * j + i + 1), 8)
            r[i] = block[8:]
    return a + b"".join(r)


def siv(key, associated, plaintext):
    def cmac(message):
        mac = CMAC(AES(key[:32]))
        mac.update(message)
        return int.from_bytes(mac.finalize(), "big")

    def double(value):
        return (value << 1 & 2**128 - 1) ^ (0x87 if value >> 127 else 0)

    d = cmac(bytes(16))
    for item in associated:
        d = double(d) ^ cmac(item)
    if len(plaintext) >= 16:
        v = cmac(plaintext[:-16] + number(int.from_bytes(plaintext[-16:], "big") ^ d, 16))
    else:
        v = cmac(number(double(d) ^ int.from_bytes((plaintext + b"\x80").ljust(16, b"\0"), "big"), 16))
    counter = v & ~(1 << 63) & ~(1 << 31)
    return number(v, 16) + Cipher(AES(key[32:]), CTR(number(counter, 16))).encryptor().update(plaintext)


# Root


def root_check(root, ref):
    return hmac.new(root, lp(b"ecrin/root-check/v1", ref.encode()), hashlib.sha256).digest()


def root_wrap(root, ref, key, context, salt):
    bound = lp(b"ecrin/root-wrap/v1", ref.encode(), context)
    return root_check(root, ref) + oracle.seal_message(root, salt, bound, key)


def root_file(root, passphrase, memory, passes, lanes, argon_salt, salt):
    head = b"ecrin-root" + b"\x01" + number(memory, 4) + number(passes, 4) + number(lanes, 4) + argon_salt
    key = hash_secret_raw(passphrase, argon_salt, passes, memory, lanes, 32, Type.ID)
    return head + oracle.seal_message(key, salt, lp(b"ecrin/root-file/v1", head), root)


# Top page, pages, service keys


def part_context(label, deployment, epoch):
    return lp(label, deployment.encode(), number(epoch, 8))


def top_page(fanout, depth, service_key, index_key, trees):
    """`trees`: (root page key, generation) of each."""
    return (
        number(fanout, 2)
        + number(depth, 1)
        + number(len(trees), 4)
        + service_key
        + index_key
        + b"".join(key + number(generation, 4) for key, generation in trees)
    )


def page(keys, generations):
    """`generations`: {child: generation} of the children that were drawn again."""
    steps = b"".join(number(child, 2) + number(step, 4) for child, step in sorted(generations.items()))
    return b"".join(keys) + number(len(generations), 2) + steps


def page_context(deployment, tree, level, position, generation):
    return lp(
        b"ecrin/page/v1",
        deployment.encode(),
        number(tree, 4) + number(level, 1) + number(position, 4) + number(generation, 4),
    )


def address(tree, level, position):
    return tree << 36 | level << 32 | position


def service_keys(mac_root, siv_root, log, receipt, erasure):
    keys = (mac_root, siv_root, log, receipt, erasure)
    return b"\x02" + b"".join(number(at, 1) + key for at, key in enumerate(keys, 1))


def label_mac(index, label, message):
    return hmac.new(expand(index, lp(b"ecrin/mac/v1", label.encode()), 32), message, hashlib.sha256).digest()


def search_token(index, index_key, label, message):
    cipher = Cipher(AES(index_key), ECB())  # noqa: S305 - the block cipher itself
    return cipher.encryptor().update(label_mac(index, label, message)[:16])


def label_seal(siv_root, label, context, plaintext):
    key = expand(siv_root, lp(b"ecrin/siv/v1", label.encode()), 64)
    return siv(key, [label.encode(), context], plaintext)


def signature(seed, message):
    return Ed25519PrivateKey.from_private_bytes(seed).sign(message)


def public_key(seed):
    return Ed25519PrivateKey.from_private_bytes(seed).public_key().public_bytes_raw()
