"""Write tests/vectors/keystore_v2.json: `python tests/vectors/generate_keystore_v2.py`.

One whole keystore of the smallest shape, as its rows, with the root that opens it and the answers it must give. One of
its pages and one of its leaves are at a later generation, as an erasure leaves them, and one leaf is queued for the next.
"""

import hashlib
import json
from pathlib import Path

import oracle_envelope
import oracle_keystore as oracle

FILE = Path(__file__).with_name("keystore_v2.json")
DEPLOYMENT = "vectors"
EPOCH = 3
FANOUT, DEPTH = 2, 2
REF = "000102030405060708090a0b0c0d0e0f"
PASSPHRASE = "correct horse battery staple"
COST = (65536, 3, 4)
BYTES = {"top_key", "top", "service", "body"}
DEK = bytes(range(32))
LABEL = "search/aurelle/email/1"


def drawn(name, length=32):
    """Fixed bytes in the place of random ones."""
    return hashlib.shake_256(b"ecrin keystore vectors v1/" + name.encode()).digest(length)


def document():
    def message(name, key, context, plaintext):
        return oracle_envelope.seal_message(key, drawn(f"salt/{name}", 24), context, plaintext)

    def part(name, label, key, plaintext):
        return message(name, key, oracle.part_context(label, DEPLOYMENT, EPOCH), plaintext)

    def page(level, position, generation, keys, generations):
        key = drawn(f"page/{level}/{position}")
        context = oracle.page_context(DEPLOYMENT, 0, level, position, generation)
        sealed = message(f"page/{level}/{position}", key, context, oracle.page(keys, generations))
        return {"address": oracle.address(0, level, position), "generation": generation, "body": sealed.hex()}

    root, top_key, service_key = drawn("root"), drawn("top"), drawn("service")
    leaves = [drawn(f"leaf/{leaf}") for leaf in range(4)]
    index, siv_root, log, receipt, erasure = (drawn(name) for name in ("index", "siv", "log", "receipt", "erasure"))
    index_key = drawn("index key")
    top = oracle.top_page(FANOUT, DEPTH, service_key, index_key, [(drawn("page/1/0"), 2)])
    top_context = oracle.part_context(b"ecrin/top-key/v1", DEPLOYMENT, EPOCH)
    slots = [(0, 0), (1, 5), (2, 0)]
    return {
        "format": "ecrin keystore v2",
        "note": "All bytes in hex. Page and leaf generations other than 0 stand where an erasure stepped them.",
        "root": root.hex(),
        "root_file": {
            "passphrase": PASSPHRASE,
            "content": oracle.root_file(
                root, PASSPHRASE.encode(), *COST, drawn("argon2", 16), drawn("salt/root-file", 24)
            ).hex(),
        },
        "keystore": {
            "format": 2,
            "deployment": DEPLOYMENT,
            "epoch": EPOCH,
            "retiring": None,
            "fanout": FANOUT,
            "depth": DEPTH,
            "structure": 3,
            "revision": 21,
            "created_at": 1_790_000_000,
        },
        "epoch": {
            "epoch": EPOCH,
            "root_ref": REF,
            "top_key": oracle.root_wrap(root, REF, top_key, top_context, drawn("salt/top-key", 24)).hex(),
            "top": part("top", b"ecrin/top-page/v2", top_key, top).hex(),
            "service": part(
                "service",
                b"ecrin/service-keys/v1",
                service_key,
                oracle.service_keys(index, siv_root, log, receipt, erasure),
            ).hex(),
        },
        "retired": [[3, 0]],
        "page": [
            page(1, 0, 2, [drawn("page/0/0"), drawn("page/0/1")], {0: 4}),
            page(0, 0, 4, leaves[:2], {1: 5}),
            page(0, 1, 0, leaves[2:], {}),
        ],
        "answers": {
            "dek": DEK.hex(),
            "wraps": [
                {"slot": leaf, "generation": generation, "wrapped": oracle.key_wrap(leaves[leaf], DEK).hex()}
                for leaf, generation in slots
            ],
            "refused_slots": [[0, 1], [1, 0], [1, 4], [3, 0], [4, 0], [1 << 32, 0]],
            "mac": [
                {"label": LABEL, "message": text.hex(), "mac": oracle.label_mac(index, LABEL, text).hex()}
                for text in (b"", b"someone@example.com", drawn("long", 300))
            ],
            "blind": [
                {
                    "label": LABEL,
                    "message": text.hex(),
                    "token": oracle.search_token(index, index_key, LABEL, text).hex(),
                }
                for text in (b"", b"someone@example.com", drawn("long", 300))
            ],
            "seal": [
                {
                    "label": "reference/aurelle",
                    "context": context.hex(),
                    "plaintext": text.hex(),
                    "sealed": oracle.label_seal(siv_root, "reference/aurelle", context, text).hex(),
                }
                for context in (b"", b"context")
                for text in (b"", b"short", drawn("block", 16), drawn("two blocks", 33))
            ],
            "sign": {
                name: {
                    "public_key": oracle.public_key(seed).hex(),
                    "message": b"statement".hex(),
                    "signature": oracle.signature(seed, b"statement").hex(),
                }
                for name, seed in {"log": log, "receipt": receipt, "erasure": erasure}.items()
            },
        },
    }


def stored(kept):
    """The document's rows, as a keystore is made of them."""
    from vault.keys.pagestore import EpochRow, Head, PageRow, Rows
    from vault.keys.service import Slot

    def raw(row):
        return {name: bytes.fromhex(each) if name in BYTES else each for name, each in row.items()}

    epoch = EpochRow(**raw(kept["epoch"]))
    retired = tuple(Slot(*each) for each in kept["retired"])
    rows = Rows(Head(**kept["keystore"]), 0, (epoch,), retired, (), None, ())
    return rows, [PageRow(**raw(each)) for each in kept["page"]]


def text():
    return json.dumps(document(), indent=1) + "\n"


if __name__ == "__main__":
    FILE.write_text(text())
