"""Write tests/vectors/records_v1.json: `python tests/vectors/generate_records_v1.py`.

One worked example of each small record of docs/formats.md, under the service keys of keystore_v2.json.
"""

import base64
import hashlib
import json
from pathlib import Path

import oracle_records as oracle
from generate_keystore_v2 import drawn

FILE = Path(__file__).with_name("records_v1.json")
NOW = 1_790_000_000
BRAND = "aurelle"
SUBJECT = bytes(range(16))
BITS = bytes(range(0xF0, 0x100))
LOG_KEY = bytes(range(32))
ENTRY_ID = bytes(range(0x10, 0x20))
ORIGIN = "vault.example/audit"
REQUEST = "00112233445566778899aabbccddeeff"
TOKEN = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8"

# The hashed columns of a consent event, in their order.
CONSENT = {
    "id": bytes(range(0x20, 0x30)),
    "subject_id": SUBJECT,
    "brand": BRAND,
    "purpose": "clienteling",
    "purpose_version": 1,
    "state": "given",
    "basis": "consent",
    "jurisdiction": "eu",
    "notice": "clienteling",
    "notice_version": 1,
    "notice_language": "fr",
    "notice_hash": bytes(range(0x40, 0x60)),
    "channel": "in_store",
    "place": "PAR1",
    "collector": "",
    "system_id": "aurelle-paris",
    "event_at": NOW,
    "recorded_at": NOW + 5,
    "valid_until": None,
    "previous_hash": bytes(32),
}
# The same in the second form.
CONSENT_V2 = {name: value for name, value in CONSENT.items() if name != "previous_hash"} | {
    "method": "signature",
    "explicit": True,
    "actor": "self",
    "source": "person",
    "evidence_hash": bytes(range(0x60, 0x80)),
    "recipients": "aurelle vantier",
    "points": "202:1 202:4",
    "previous_hash": bytes(32),
}


RECORD = '{"record_id":"of another vector","schema_version":"urn:ecrin:consent-record:v1"}'


def document():
    index, siv, log, receipt = (drawn(name) for name in ("index", "siv", "log", "receipt"))
    mac, pointer, relation = oracle.reference_rows(index, siv, BRAND, SUBJECT, BITS)
    body = oracle.entry(
        {
            "act": "field.disclosed",
            "actor": {"id": "aurelle-paris", "k": "system"},
            "bas": "consent",
            "fld": ["birth_date:generalised", "phone:masked"],
            "id": ENTRY_ID.hex(),
            "out": "allow",
            "pol": ["clienteling.contact_hint", "clienteling.dates"],
            "pur": "clienteling.in_store",
            "req": oracle.request_mac(index, NOW, REQUEST).hex(),
            "sref": oracle.sref(LOG_KEY, ENTRY_ID).hex(),
            "t": "2026-09-21T14:13:20Z",
            "v": 1,
        }
    )
    leaf = oracle.leaf(body)
    root = oracle.node(leaf, leaf)
    checkpoint = f"{ORIGIN}\n2\n{base64.b64encode(root).decode()}\n"
    promise = f"{ORIGIN}/receipt\n{ENTRY_ID.hex()}\n{base64.b64encode(leaf).decode()}\n{NOW}\n"
    digest = base64.b64encode(hashlib.sha256(RECORD.encode()).digest()).decode()
    told = f"{ORIGIN}/consent\n{ENTRY_ID.hex()}\n{digest}\n{NOW}\n"
    return {
        "format": "ecrin records v1",
        "note": "Bytes in hex, texts as they are. Service keys: keystore_v2.json. Two equal entries make the tree.",
        "value": oracle.value_record({"system": "eu", "value": "52"}, "aurelle-paris", NOW, first_day=739860).hex(),
        "reference": {
            "bits": BITS.hex(),
            "text": oracle.reference(BITS),
            "mac": mac.hex(),
            "pointer": pointer.hex(),
            "relation": relation.hex(),
        },
        "search_token": oracle.search_token(
            index, drawn("index key"), BRAND, 202, "email/1", b"someone@example.com"
        ).hex(),
        "consent_hash": oracle.consent_hash(CONSENT, CONSENT).hex(),
        "consent_hash_v2": oracle.consent_hash(CONSENT_V2, CONSENT_V2, b"ecrin/consent/v2").hex(),
        "token": {"text": TOKEN, "hash": oracle.token_hash(TOKEN).hex()},
        "entry": {
            "body": body.decode(),
            "commitment": oracle.commitment(LOG_KEY).hex(),
            "leaf": leaf.hex(),
        },
        "root": root.hex(),
        "checkpoint": oracle.note(checkpoint, ORIGIN, log),
        "checkpoint_key": oracle.verifier_key(ORIGIN, log),
        "receipt": oracle.note(promise, f"{ORIGIN}/receipt", receipt),
        "receipt_key": oracle.verifier_key(f"{ORIGIN}/receipt", receipt),
        "consent_record": RECORD,
        "consent_receipt": oracle.note(told, f"{ORIGIN}/consent", receipt),
    }


def text():
    return json.dumps(document(), indent=1, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    FILE.write_text(text())
