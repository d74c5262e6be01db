"""The ways out that one file sets up: `[smtp]` for mail, `[sms]` for messages to telephones; either, or both."""

import tomllib
from pathlib import Path

from api.post.carrier import Port
from api.post.errors import InvalidPost
from api.post.sms import Messages, gateway_of
from api.post.smtp import Mail, relay_of


def read_ways(path: Path) -> dict[str, Port]:
    """Return the ways out by the kind of address that they take. Raises `InvalidPost`."""
    try:
        tables = tomllib.loads(path.read_text("utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError):
        raise InvalidPost("the file cannot be read") from None
    if not tables or tables.keys() - {"smtp", "sms"}:
        raise InvalidPost("it has the tables [smtp] and [sms], one of them or both, and nothing else")
    ways: dict[str, Port] = {}
    if "smtp" in tables:
        ways["email"] = Mail(relay_of(tables["smtp"]))
    if "sms" in tables:
        ways["phone"] = Messages(gateway_of(tables["sms"]))
    return ways
