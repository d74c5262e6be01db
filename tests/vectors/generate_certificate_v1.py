"""Write tests/vectors/certificate_v1.json: `python tests/vectors/generate_certificate_v1.py`.

One certificate of erasure, made by hand from published formats: nothing of the code that makes ours.
"""

import json
from base64 import b64encode
from hashlib import sha256
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

FILE = Path(__file__).with_name("certificate_v1.json")
ORIGIN = "vault.example/audit"
LOG, ERASURE = (Ed25519PrivateKey.from_private_bytes(bytes([seed]) * 32) for seed in (0x61, 0x62))
ENTRY = (
    b'{"act":"subject.erased","actor":{"id":"ecrin","k":"vault"},"com":"' + b"3413ae80" * 8 + b'",'
    b'"id":"202122232425262728292a2b2c2d2e2f","out":"allow","t":"2026-11-24T02:18:39Z","v":1}'
)
ENGLISH = (
    "The key to this data has been deleted. No copy of the data, in any backup of any date, can be read by anybody, "
    "ourselves included, provided that no copy of the deleted key file survives anywhere. This says nothing of what was "
    "given to others before the erasure was asked for."
)
FRENCH = (
    "La clé de ces données a été supprimée. Aucune copie de ces données, dans aucune sauvegarde, ne peut être lue par "
    "quiconque, nous compris, à condition qu’aucune copie du fichier de clé supprimé ne subsiste. Ceci ne dit rien de ce "
    "qui a été remis à des tiers avant la demande d’effacement."
)


def public(key):
    return key.public_key().public_bytes_raw()


def key_id(name, key):
    return sha256(name.encode() + b"\n\x01" + public(key)).digest()[:4]


def note(name, key, text):
    line = b64encode(key_id(name, key) + key.sign(text.encode())).decode()
    return f"{text}\n— {name} {line}\n"


def vkey(name, key):
    return f"{name}+{key_id(name, key).hex()}+{b64encode(bytes([1]) + public(key)).decode()}"


def document():
    leaves = [sha256(b"\x00" + body).digest() for body in (b"first", b"second", ENTRY)]
    left = sha256(b"\x01" + leaves[0] + leaves[1]).digest()
    root = sha256(b"\x01" + left + leaves[2]).digest()
    checkpoint = note(ORIGIN, LOG, f"{ORIGIN}\n3\n{b64encode(root).decode()}\n")
    text = (
        f"{ORIGIN}/erasure\n"
        "certificate 7d6e7def23ab9b1d6569896b746b2bd7\n"
        "scope subject\n"
        "cause request\n"
        "requested 2026-11-24T02:18:21Z\n"
        "destroyed C 2026-11-24T02:18:39Z epoch 3 root a7a30b2964cd70021a4a4dfccb62ae33\n"
        "key 85c6c82a9eb957acb39d961d0fc4179a\n"
        f"en {ENGLISH}\n"
        f"fr {FRENCH}\n"
        "index 2\n"
        f"entry {b64encode(ENTRY).decode()}\n"
        f"checkpoint {b64encode(checkpoint.encode()).decode()}\n"
        f"proof {b64encode(left).decode()}\n"
    )
    name = f"{ORIGIN}/erasure"
    return {
        "format": "ecrin/certificate/v1",
        "key": vkey(name, ERASURE),
        "log_key": vkey(ORIGIN, LOG),
        "note": note(name, ERASURE, text),
    }


if __name__ == "__main__":
    FILE.write_text(json.dumps(document(), indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
