"""The closed vocabulary of operational logs: event names and the keys a line may carry.

Logs are for operators and leave the machine more easily than anything else here, so they work by allow-list. Who was
disclosed what to whom is never a log line: that is the audit log's work, under its own rules.
"""

from enum import StrEnum
from typing import Final


class Event(StrEnum):
    """Every event name. A line without one of these cannot be written."""

    STARTED = "service.started"
    READY = "service.ready"
    STOPPING = "service.stopping"
    STOPPED = "service.stopped"
    FAILED = "service.failed"
    SEALED = "service.sealed"
    KEYS_LOST = "service.keys_lost"
    SEAL_UNREADABLE = "service.seal_unreadable"
    KEYD_OPEN = "keyd.open"
    KEYD_SEALED = "keyd.sealed"
    KEYD_REFUSED = "keyd.refused"
    KEYD_OPENED = "keyd.opened"
    KEYD_RENEWED = "keyd.renewed"
    KEYD_UNLOCKED = "keyd.unlocked"
    KEYD_ATTACHABLE = "keyd.attachable"
    KEYD_STOPPED = "keyd.stopped"
    REQUEST = "http.request"
    FAULT = "http.fault"
    EVENTS_UNDELIVERED = "events.undelivered"
    EVENTS_FAILED = "events.failed"
    LETTERS_UNDELIVERED = "letters.undelivered"
    LETTERS_FAILED = "letters.failed"
    REPORTS_FAILED = "reports.failed"
    REQUESTS_FAILED = "requests.failed"
    SIEM_UNDELIVERED = "siem.undelivered"
    SYSTEM_FROZEN = "system.frozen"
    BATCH_FAILED = "batch.failed"
    CHECKPOINT_SIGNED = "checkpoint.signed"
    CHECKPOINT_REFUSED = "checkpoint.refused"
    MIRROR_FAILED = "mirror.failed"
    QUORUM_MISSING = "quorum.missing"
    WITNESS_REFUSED = "witness.refused"
    WITNESSES_FAILED = "witnesses.failed"
    CLOCK_UNREADABLE = "clock.unreadable"
    HEARTBEAT_FAILED = "heartbeat.failed"
    TIMESTAMP_FAILED = "timestamp.failed"
    SCRUB_FOUND = "scrub.found"
    SCRUB_FAILED = "scrub.failed"
    EPOCH_FAILED = "epoch.failed"
    RETENTION_SWEPT = "retention.swept"
    RETENTION_FAILED = "retention.failed"
    CONSENTS_FAILED = "consents.failed"
    BUNDLE_LOADED = "bundle.loaded"
    BUNDLE_REFUSED = "bundle.refused"
    BUNDLE_LOST = "bundle.lost"
    BUNDLE_UNREADABLE = "bundle.unreadable"
    CENSUS_FAILED = "census.failed"
    CENSUS_UNREADABLE = "census.unreadable"
    IMPORT_FINISHED = "import.finished"
    MIGRATED = "store.migrated"
    STORE_LOST = "store.lost"
    LIBRARY = "library.message"


KEYS: Final = frozenset(
    {
        "at",  # module and line of a fault
        "batch",
        "brand",
        "bundle",
        "code",
        "count",
        "dropped",  # how many keys this line lost to the allow-list
        "engine",
        "error",  # the class name of an exception, never its text
        "event",
        "level",
        "logger",
        "method",
        "ms",
        "purpose",
        "refused",
        "request_id",
        "route",  # the template, never the path
        "shard",
        "size",
        "status",
        "system",
        "time",
        "version",
        "witness",  # its name in the policy file
    }
)
"""Keys that may appear. None of them can name a subject; references are not among them."""
