"""A second implementation of the small records, written from docs/formats.md alone. For tests only.

It shares no code with `vault` or `audit`; keyed hashes and sealed items come from the keystore's oracle.
"""

import base64
import hashlib
import hmac
import json

import oracle_keystore as keystore

lp = keystore.lp
number = keystore.number

BASE32 = "0123456789abcdefghjkmnpqrstvwxyz"


def value_record(value, source, recorded_at, first_day=None, last_day=None):
    """`first_day`, `last_day`: day numbers, 0001-01-01 being 1."""
    flags = (first_day is not None) | (last_day is not None) << 1
    days = b"".join(number(day, 3) for day in (first_day, last_day) if day is not None)
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()
    return bytes([1, flags]) + number(recorded_at, 5) + bytes([len(source)]) + source.encode() + days + text


def reference(bits):
    whole = int.from_bytes(bits, "big")
    return "ref_" + "".join(BASE32[whole >> 5 * place & 31] for place in reversed(range(26)))


def reference_rows(index, siv, brand, subject, bits):
    """The columns `reference.mac`, `reference.pointer` and `relation.reference_sealed`."""
    mac = keystore.label_mac(index, f"reference/{brand}", bits)[:16]
    pointer = keystore.label_seal(siv, f"pointer/{brand}", mac, subject)
    return mac, pointer, keystore.label_seal(siv, f"relation/{brand}", subject, bits)


def search_token(index, index_key, brand, field, rule, normal):
    return keystore.search_token(index, index_key, f"search/{brand}/{field}/{rule}", normal)


def request_mac(index, now, request_id):
    return keystore.label_mac(index, f"audit/request/{now // (30 * 86400)}", request_id.encode())[:16]


def consent_hash(event, order, label=b"ecrin/consent/v1"):
    columns = [event[name] for name in order]
    shapes = {int: lambda each: number(each, 8), str: str.encode, bytes: bytes, type(None): lambda _: b""}
    shapes[bool] = shapes[int]
    return hashlib.sha256(label + lp(*[shapes[type(each)](each) for each in columns])).digest()


def token_hash(token):
    return hashlib.sha256(token.encode()).digest()


def sref(log_key, entry_id):
    return hmac.new(log_key, b"ecrin/audit/sref/v1\0" + entry_id, hashlib.sha256).digest()


def commitment(log_key):
    return hashlib.sha256(b"ecrin/audit/subject/v1\0" + log_key).digest()


def entry(content):
    return json.dumps(content, sort_keys=True, separators=(",", ":")).encode()


def leaf(body):
    return hashlib.sha256(b"\0" + body).digest()


def node(left, right):
    return hashlib.sha256(b"\1" + left + right).digest()


def key_id(name, public):
    return hashlib.sha256(name.encode() + b"\n\x01" + public).digest()[:4]


def note(text, name, seed):
    head = key_id(name, keystore.public_key(seed))
    line = base64.b64encode(head + keystore.signature(seed, text.encode())).decode()
    return f"{text}\n— {name} {line}\n"


def verifier_key(name, seed):
    public = keystore.public_key(seed)
    return f"{name}+{key_id(name, public).hex()}+{base64.b64encode(bytes([1]) + public).decode()}"
