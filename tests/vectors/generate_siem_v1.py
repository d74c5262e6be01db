"""Write siem_v1.json anew: one entry in the four shapes. Run by hand, and only for a new version of a shape."""

import json
from pathlib import Path

from audit.entry import Act, Actor, ActorKind, Entry, Outcome, encode, sref
from audit.ledger import Record
from audit.merkle import leaf_hash
from audit.siem.cef import to_cef
from audit.siem.cloudevents import to_cloudevent
from audit.siem.ecs import to_ecs
from audit.siem.event import event_of
from audit.siem.ocsf import to_ocsf

ID = bytes(range(16, 32))
ENTRY = Entry(
    Act.FIELD_DISCLOSED,
    Outcome.ALLOW,
    Actor(ActorKind.SYSTEM, "aurelle-crm", "aurelle-desk"),
    ("phone:masked", "ring_size:raw"),
    "clienteling.in_store",
    "consent",
    ("store.contact",),
    req=b"\x0f" * 16,
)


def shapes():
    body = encode(ENTRY, ID, 1_790_000_000, sref(b"\x07" * 32, ID))
    event = event_of("vault.example/audit", Record(4711, ID, leaf_hash(body), body))
    return {
        "entry": body.decode(),
        "index": 4711,
        "origin": "vault.example/audit",
        "ocsf": to_ocsf(event),
        "ecs": to_ecs(event),
        "cef": to_cef(event, "0.1.0"),
        "cloudevents": to_cloudevent(event),
    }


if __name__ == "__main__":
    Path(__file__).with_name("siem_v1.json").write_text(json.dumps(shapes(), indent=1, ensure_ascii=True) + "\n")
