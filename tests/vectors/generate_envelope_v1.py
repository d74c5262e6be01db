"""Write tests/vectors/envelope_v1.json: `python tests/vectors/generate_envelope_v1.py`.

Every case carries all that a stranger needs: leaf key, context, stored bytes, and what must come of opening them. Long
envelopes are given by length and SHA-256; the plaintext pattern and the fixed salt give the bytes again.
"""

import base64
import hashlib
import json
from pathlib import Path

import oracle_envelope as oracle
from cryptography.hazmat.primitives.keywrap import aes_key_wrap

FILE = Path(__file__).with_name("envelope_v1.json")
INLINE = 40_000  # bytes; longer envelopes are pinned by hash
LEAF = bytes(range(0x20))
OTHER_LEAF = bytes(range(0x40, 0x60))
WHERE = {
    "deployment": "vectors",
    "subject": "000102030405060708090a0b0c0d0e0f",
    "category": 2,
    "field": 201,
    "item": 0,
    "schema_version": 1,
    "version": 1,
}
MOVED = {
    "deployment": "vectort",
    "subject": "000102030405060708090a0b0c0d0e10",
    "category": 3,
    "field": 202,
    "item": 1,
    "schema_version": 2,
    "version": 2,
}


def pattern(length):
    return bytes(n * 7 % 251 for n in range(length))


def drawn(name, length):
    """Fixed bytes in the place of random ones."""
    return hashlib.shake_256(b"ecrin envelope vectors v1/" + name.encode()).digest(length)


def cases():
    def case(
        name, length, *, expect="ok", generation=0, where=WHERE, opened_at=None, leaf=LEAF, alter=None, padded=None
    ):
        dek, salt = drawn(f"dek/{name}", 32), drawn(f"salt/{name}", 24)
        envelope = oracle.seal(dek, aes_key_wrap(LEAF, dek), generation, where, pattern(length), salt, padded)
        envelope = envelope if alter is None else alter(envelope)
        found = {
            "id": name,
            "expect": expect,
            "leaf": leaf.hex(),
            "context": opened_at or where,
            "plaintext_length": length,
            "length": len(envelope),
            "sha256": hashlib.sha256(envelope).hexdigest(),
        }
        if len(envelope) <= INLINE:
            found["envelope"] = base64.b64encode(envelope).decode()
        else:
            found |= {"generation": generation, "dek": dek.hex(), "salt": salt.hex()}
        return found

    def refused(name, length=20, **how):
        return case(name, length, expect="integrity_failure", **how)

    def flip(at):
        return lambda envelope: envelope[:at] + bytes([envelope[at] ^ 1]) + envelope[at + 1 :]

    chunk = oracle.CHUNK + oracle.TAG
    first = 46 + 56

    for length in (0, 1, 27, 28, 29, 32, 60, 61, 1000, 16379, 16380, 16381, 65536):
        yield case(f"ok/{length}-bytes", length)
    yield case("ok/generation", 5, generation=0xFFFFFFFF)
    extremes = {"category": 65535, "field": 65535, "item": 2**64 - 1, "schema_version": 65535, "version": 2**64 - 1}
    yield case("ok/extremes", 5, where=WHERE | extremes)
    yield case("ok/long-deployment", 5, where=WHERE | {"deployment": "d" * 64})

    for part, value in MOVED.items():
        yield refused(f"moved/{part}", opened_at=WHERE | {part: value})
    yield refused("moved/leaf", leaf=OTHER_LEAF)
    yield refused("moved/border", where=WHERE | {"deployment": "vector"}, opened_at=WHERE)

    for name, at in {
        "version": 0, "suite": 1, "generation": 5, "wrapped": 6, "wrapped-end": 45, "salt": 46, "commitment": 70,
        "chunk": first, "tag": -1 % 150,
    }.items():  # fmt: skip
        yield refused(f"altered/{name}", alter=flip(at))
    for name, alter in {
        "empty": lambda envelope: b"",
        "header-only": lambda envelope: envelope[:6],
        "no-message": lambda envelope: envelope[:46],
        "cut": lambda envelope: envelope[:-1],
        "extended": lambda envelope: envelope + b"\0",
        "version-0": lambda envelope: b"\0" + envelope[1:],
        "version-2": lambda envelope: b"\2" + envelope[1:],
        "suite-2": lambda envelope: envelope[:1] + b"\2" + envelope[2:],
    }.items():
        yield refused(f"altered/{name}", alter=alter)
    for name, alter in {
        "last-chunk-gone": lambda envelope: envelope[: first + chunk],
        "cut-in-first-chunk": lambda envelope: envelope[: first + 5000],
        "first-chunk-gone": lambda envelope: envelope[:first] + envelope[first + chunk :],
        "chunk-twice": lambda envelope: envelope[: first + chunk] + envelope[first:],
    }.items():
        yield refused(f"chunks/{name}", 16380, alter=alter)
    yield refused(
        "chunks/swapped",
        16381,
        alter=lambda envelope: envelope[:first] + envelope[first + chunk : first + 2 * chunk]
        + envelope[first : first + chunk] + envelope[first + 2 * chunk :],
    )  # fmt: skip

    text = pattern(20)
    for name, padded in {
        "not-zero": oracle.pad(text)[:-1] + b"\1",
        "bucket-too-large": oracle.pad(text).ljust(64, b"\0"),
        "too-short": oracle.pad(text)[:-1],
        "no-bucket": oracle.pad(text).ljust(48, b"\0"),
        "length-too-large": (29).to_bytes(4, "big") + bytes(28),
        "length-huge": b"\xff\xff\xff\xff" + bytes(28),
        "no-length": b"",
    }.items():
        yield refused(f"padding/{name}", padded=padded)


def document():
    found = list(cases())
    return {
        "format": "ecrin/field/v1",
        "note": "plaintext byte n is n * 7 mod 251. expect: ok | integrity_failure. The data key is wrapped under `leaf`.",
        "count": len(found),
        "cases": found,
    }


def text():
    return json.dumps(document(), indent=1) + "\n"


if __name__ == "__main__":
    FILE.write_text(text())
