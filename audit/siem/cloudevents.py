"""CloudEvents 1.0 in the JSON format. `subject` stays empty: who an entry is about belongs in the data, as a pseudonym."""

from typing import Any, Final

from audit.siem.event import Event

TYPE_PREFIX: Final = "ecrin.audit"


def to_cloudevent(event: Event) -> dict[str, Any]:
    """Return the event as a structured CloudEvent."""
    return {
        "specversion": "1.0",
        "id": str(event.index),  # with `source`, which names the log, it is unique
        "source": f"https://{event.origin}",
        "type": f"{TYPE_PREFIX}.{event.act}.v1",
        "time": event.content["t"],
        "datacontenttype": "application/json",
        "data": event.rest()
        | {
            "act": event.act,
            "outcome": event.outcome.value,
            "actor": {"id": event.actor, "kind": event.content["actor"]["k"]}
            | ({"via": event.through} if event.through else {}),
            "index": event.index,
            "leaf_hash": event.leaf,
        },
    }
