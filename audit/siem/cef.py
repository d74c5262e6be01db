"""ArcSight Common Event Format, version 0: one line an event, the header and the extension escaped each in its way."""

from typing import Final

from audit.siem.event import Event

_SEVERITIES: Final = {1: 2, 2: 5, 3: 6, 4: 9}  # of 0 to 10


def to_cef(event: Event, version: str) -> str:
    """Return the event as one CEF line, without its end. `version` is the product's."""
    rest = event.rest()
    header = ("Ecrin", "Vault", version, event.code, event.act, str(_SEVERITIES[event.severity]))
    extension = {
        "rt": str(event.at * 1000),
        "externalId": event.uid,
        "suid": event.actor,
        "sourceServiceName": event.through,
        "act": event.act,
        "outcome": event.outcome.value,
        "cs1Label": "purpose",
        "cs1": rest.get("purpose", ""),
        "cs2Label": "fields",
        "cs2": " ".join(rest.get("fields", ())),
        "cs3Label": "rules",
        "cs3": " ".join(rest.get("rules", ())),
        "cs4Label": "leafHash",
        "cs4": event.leaf,
        "cs5Label": "subject",
        "cs5": rest.get("subject", ""),
        "cn1Label": "logIndex",
        "cn1": str(event.index),
        "cn2Label": "count",
        "cn2": str(rest.get("count", "")),
    }
    told = [(key, value) for key, value in extension.items() if value and not key.endswith("Label")]
    pairs: list[str] = []
    for key, value in told:
        if label := extension.get(f"{key}Label"):
            pairs.append(f"{key}Label={label}")
        pairs.append(f"{key}={_escaped(value)}")
    return f"CEF:0|{'|'.join(_header(each) for each in header)}|{' '.join(pairs)}"


def _header(text: str) -> str:
    return _one_line(text.replace("\\", "\\\\").replace("|", "\\|"))


def _escaped(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace("=", "\\=")
    return escaped.replace("\r", "\\r").replace("\n", "\\n")


def _one_line(text: str) -> str:
    return text.replace("\r", " ").replace("\n", " ")
