"""What every shape is made from: one committed entry with its place in the log, and what kind of act it is.

Copies in a monitoring system are outside the reach of erasure. So they hold what the entry holds and no more: a pseudonym
that differs in each entry, never a key or a detail; and not the keyed request id, which would tie a copy to callers' logs.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final, NamedTuple

from audit.entry import Act, Outcome, decode
from audit.ledger import Record
from audit.reports.lines import second


class Deed(StrEnum):
    """What kind of thing an act does: the few that every schema knows."""

    CREATE = "create"
    READ = "read"
    UPDATE = "update"
    DELETE = "delete"
    QUERY = "query"
    LIST = "list"
    EXPORT = "export"
    LOGON = "logon"
    START = "start"
    OTHER = "other"


class Field(NamedTuple):
    """Of what world an act's object is: data, identities, configuration, the service itself."""

    ocsf_class: int
    ecs_category: str


DATA: Final = Field(6005, "database")
IDENTITY: Final = Field(3004, "iam")
AUTHENTICATION: Final = Field(3002, "authentication")
CONFIGURATION: Final = Field(6003, "configuration")
SERVICE: Final = Field(6002, "process")

_OBJECTS: Final[Mapping[str, Field]] = {
    "subject": DATA, "reference": DATA, "field": DATA, "category": DATA, "token": DATA, "attestation": DATA, "join": DATA,
    "erasure": DATA, "import": DATA, "crowd": DATA, "contact": DATA, "breakglass": DATA, "request": DATA, "detail": DATA,
    "consent": IDENTITY, "basis": IDENTITY, "guardian": IDENTITY, "system": IDENTITY, "officer": IDENTITY, "budget": IDENTITY,
    "hold": IDENTITY, "auth": AUTHENTICATION, "session": AUTHENTICATION,
    "policy": CONFIGURATION, "keys": CONFIGURATION, "audit": CONFIGURATION, "report": CONFIGURATION, "alert": CONFIGURATION, "event": CONFIGURATION,
    "log": SERVICE, "deployment": SERVICE,
}  # fmt: skip
_VERBS: Final[Mapping[str, Deed]] = {
    "registered": Deed.CREATE, "assigned": Deed.CREATE, "created": Deed.CREATE, "issued": Deed.CREATE, "given": Deed.CREATE, "saved": Deed.CREATE,
    "placed": Deed.CREATE, "linked": Deed.CREATE, "established": Deed.CREATE, "proposed": Deed.CREATE, "asked": Deed.CREATE,
    "disclosed": Deed.READ, "read": Deed.READ, "viewed": Deed.READ, "evaluated": Deed.READ, "introspected": Deed.READ,
    "denied": Deed.READ, "exchanged": Deed.READ, "acknowledged": Deed.READ, "refused": Deed.READ,
    "written": Deed.UPDATE, "restricted": Deed.UPDATE, "rotated": Deed.UPDATE, "changed": Deed.UPDATE,
    "role_changed": Deed.UPDATE, "key_rotated": Deed.UPDATE, "key_registered": Deed.UPDATE, "key_added": Deed.UPDATE, "renewed": Deed.UPDATE,
    "raised": Deed.UPDATE, "lowered": Deed.UPDATE, "loaded": Deed.UPDATE, "signed": Deed.UPDATE, "activated": Deed.UPDATE,
    "joined": Deed.UPDATE, "frozen": Deed.UPDATE, "disabled": Deed.UPDATE, "rekeyed": Deed.UPDATE, "resealed": Deed.UPDATE,
    "erased": Deed.DELETE, "deleted": Deed.DELETE, "dropped": Deed.DELETE, "revoked": Deed.DELETE, "withdrawn": Deed.DELETE, "ended": Deed.DELETE,
    "released": Deed.DELETE, "expired": Deed.DELETE, "epoch_ended": Deed.DELETE, "invalidated": Deed.DELETE, "key_retired": Deed.DELETE,
    "pruned": Deed.DELETE, "forgotten": Deed.DELETE,
    "searched": Deed.QUERY, "counted": Deed.QUERY, "listed": Deed.LIST, "exported": Deed.EXPORT, "backed_up": Deed.EXPORT,
    "succeeded": Deed.LOGON, "failed": Deed.LOGON, "started": Deed.START, "heartbeat": Deed.START,
}  # fmt: skip

_GRAVE: Final = frozenset(
    {
        Act.SYSTEM_FROZEN, Act.BREAKGLASS_APPROVED, Act.BREAKGLASS_DISCLOSED, Act.DEPLOYMENT_RESTORED, Act.LOG_SUCCESSION,
        Act.LOG_CLOCK,
    }
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Event:
    """One entry, ready to be put into a shape. `severity` is 1 informational, 2 low, 3 medium, 4 high (as OCSF counts)."""

    origin: str
    index: int
    leaf: str
    content: Mapping[str, Any]

    @property
    def uid(self) -> str:
        """The id by which a receiver drops what comes twice: the log's name and the entry's index in it."""
        return f"{self.origin}#{self.index}"

    @property
    def act(self) -> str:
        """The event name."""
        return str(self.content["act"])

    @property
    def code(self) -> str:
        """The short code of the event."""
        return Act(self.act).code

    @property
    def field(self) -> Field:
        """Of what world the act's object is."""
        return _OBJECTS.get(self.act.partition(".")[0], CONFIGURATION)

    @property
    def deed(self) -> Deed:
        """What kind of thing was done."""
        return _VERBS.get(self.act.partition(".")[2], Deed.OTHER)

    @property
    def outcome(self) -> Outcome:
        """How it ended."""
        return Outcome(self.content["out"])

    @property
    def actor(self) -> str:
        """The opaque id of who acted."""
        return str(self.content["actor"]["id"])

    @property
    def through(self) -> str:
        """The system through which, if another."""
        return str(self.content["actor"].get("via", ""))

    @property
    def at(self) -> int:
        """When, UTC seconds."""
        return second(self.content["t"])

    @property
    def severity(self) -> int:
        """How grave it is by itself: what it is among others is for the receiver's rules."""
        if self.act in _GRAVE:
            return 4
        return {Outcome.ALLOW: 1, Outcome.DENY: 2, Outcome.ERROR: 3}[self.outcome]

    def rest(self) -> dict[str, Any]:
        """Return what no schema has a place for, by our own names."""
        names = {"fields": "fld", "purpose": "pur", "basis": "bas", "rules": "pol", "count": "n", "subject": "sref"}
        return {name: self.content[key] for name, key in names.items() if key in self.content} | {"code": self.code}


def event_of(origin: str, record: Record) -> Event:
    """Read one record of the log; raises `InvalidEntry`."""
    return Event(origin, record.idx, bytes(record.leaf).hex(), decode(record.body))
