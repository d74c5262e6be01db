"""Open Cybersecurity Schema Framework, version pinned: class, activity and the attributes that each class requires."""

from collections.abc import Mapping
from typing import Any, Final

from audit.entry import Outcome
from audit.siem.event import AUTHENTICATION, DATA, IDENTITY, SERVICE, Deed, Event

OCSF_VERSION: Final = "1.6.0"
VENDOR: Final = "Ecrin"

# activity_id of each class; 99 is "other" in all of them
_ACTIVITIES: Final[Mapping[int, Mapping[Deed, int]]] = {
    6005: {Deed.READ: 1, Deed.UPDATE: 2, Deed.QUERY: 4, Deed.CREATE: 6, Deed.DELETE: 7, Deed.LIST: 8, Deed.EXPORT: 1},
    6003: {Deed.CREATE: 1, Deed.READ: 2, Deed.QUERY: 2, Deed.LIST: 2, Deed.EXPORT: 2, Deed.UPDATE: 3, Deed.DELETE: 4},
    6002: {Deed.START: 3},
    3004: {Deed.CREATE: 1, Deed.READ: 2, Deed.LIST: 2, Deed.EXPORT: 2, Deed.UPDATE: 3, Deed.DELETE: 4},
    3002: {Deed.LOGON: 1},
}
OTHER: Final = 99


def to_ocsf(event: Event) -> dict[str, Any]:
    """Return the event as an OCSF object."""
    uid = event.field.ocsf_class
    activity = _ACTIVITIES[uid].get(event.deed, OTHER)
    product = {"name": "Ecrin", "vendor_name": VENDOR}
    found: dict[str, Any] = {
        "activity_id": activity,
        "category_uid": uid // 1000,
        "class_uid": uid,
        "type_uid": uid * 100 + activity,
        "time": event.at * 1000,
        "severity_id": event.severity,
        "status_id": 1 if event.outcome is Outcome.ALLOW else 2,
        "status_detail": event.outcome.value,
        "message": event.act,
        "actor": {"user": _user(event)},
        "src_endpoint": {"uid": event.through or event.actor},
        "metadata": {
            "version": OCSF_VERSION,
            "product": product,
            "uid": event.uid,
            "event_code": event.code,
            "log_name": event.origin,
            "sequence": event.index,
        },
        "unmapped": event.rest() | {"leaf_hash": event.leaf},
    }
    if activity == OTHER:
        found["activity_name"] = event.act
    if event.field is DATA:
        found["databucket"] = {"name": event.origin, "uid": event.origin, "type_id": OTHER, "type": "vault"}
    elif event.field is IDENTITY:
        found["entity"] = {"name": event.act.partition(".")[0], "type": event.act.partition(".")[0]}
    elif event.field is AUTHENTICATION:
        found |= {"user": _user(event), "service": {"name": event.origin}}
    elif event.field is SERVICE:
        # The class has no place for who did it: what it does not know it refuses.
        found["unmapped"] |= {"actor": found.pop("actor")["user"], "through": found.pop("src_endpoint")["uid"]}
        found["app"] = product
    else:
        found["api"] = {"operation": event.act}
    return found


def _user(event: Event) -> dict[str, Any]:
    kind = event.content["actor"]["k"]
    types = {"officer": 1, "system": 3}  # user, system
    return {"uid": event.actor, "type_id": types.get(kind, OTHER), "type": kind}
