"""Elastic Common Schema, version pinned: the categorisation fields, and our own words under `ecrin`.

The version is one whose schema is published as data, and events are held against it (tests/vectors/ecs_9_4_0.json).
"""

from collections.abc import Mapping
from typing import Any, Final

from audit.entry import Outcome
from audit.siem.event import AUTHENTICATION, SERVICE, Deed, Event

ECS_VERSION: Final = "9.4.0"

_TYPES: Final[Mapping[Deed, str]] = {
    Deed.CREATE: "creation",
    Deed.READ: "access",
    Deed.QUERY: "access",
    Deed.LIST: "access",
    Deed.EXPORT: "access",
    Deed.UPDATE: "change",
    Deed.DELETE: "deletion",
    Deed.LOGON: "start",
    Deed.START: "start",
    Deed.OTHER: "info",
}
_COMES_AND_GOES: Final = frozenset({"creation", "deletion"})
_OUTCOMES: Final[Mapping[Outcome, str]] = {Outcome.ALLOW: "success", Outcome.DENY: "failure", Outcome.ERROR: "failure"}
# Which types the schema expects in a category. To a database what comes and goes is a change; else what is outside is `info`.
EXPECTED: Final[Mapping[str, frozenset[str]]] = {
    "database": frozenset({"access", "change", "info", "error"}),
    "iam": frozenset({"admin", "change", "creation", "deletion", "group", "info", "user"}),
    "authentication": frozenset({"start", "end", "info"}),
    "configuration": frozenset({"access", "change", "creation", "deletion", "info"}),
    "process": frozenset({"access", "change", "end", "info", "start"}),
}


def to_ecs(event: Event) -> dict[str, Any]:
    """Return the event as an ECS document."""
    category = event.field.ecs_category
    kind = _TYPES[event.deed]
    if kind not in EXPECTED[category]:
        kind = "change" if kind in _COMES_AND_GOES and "change" in EXPECTED[category] else "info"
    types = [kind]
    if (
        event.field not in {AUTHENTICATION, SERVICE}
        and event.outcome is Outcome.ERROR
        and "error" in EXPECTED[category]
    ):
        types.append("error")
    return {
        "@timestamp": event.content["t"],
        "ecs": {"version": ECS_VERSION},
        "event": {
            "kind": "event",
            "category": [category],
            "type": types,
            "action": event.act,
            "code": event.code,
            "outcome": _OUTCOMES[event.outcome],
            "id": event.uid,
            "sequence": event.index,
            "hash": event.leaf,
            "provider": "ecrin",
            "dataset": "ecrin.audit",
            "severity": event.severity,
        },
        "user": {"id": event.actor},
        "service": {"name": event.through or event.actor, "type": "ecrin"},
        "observer": {"vendor": "Ecrin", "product": "Ecrin", "name": event.origin},
        "labels": {name: str(event.rest()[name]) for name in ("purpose", "basis") if name in event.rest()},
        "ecrin": event.rest() | {"actor_kind": event.content["actor"]["k"], "outcome": event.outcome.value},
    }
