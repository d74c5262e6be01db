"""Mail by SMTP (RFC 5321): over TLS whose certificate is verified, or to the loopback interface.

How to send is said in the file of letters (`api.post.ways`, mode 0600), because a password may be in it:

    [smtp]
    host = "mail.example"
    port = 587
    security = "starttls"   # or "tls"; "none" only for a server on the loopback interface
    from = "privacy@example"
    user = "ecrin"          # may be left out, with the password
    password = "…"
"""

import ipaddress
import smtplib
import ssl
from dataclasses import dataclass, field
from email.message import EmailMessage
from typing import Any, Final

from api.post.errors import InvalidPost

_SECONDS: Final = 15.0
_MEMBERS: Final = {"host": str, "port": int, "security": str, "from": str, "user": str, "password": str}
_NEEDED: Final = ("host", "port", "security", "from")
_WAYS: Final = frozenset({"starttls", "tls", "none"})
_PORTS: Final = range(1, 65536)


@dataclass(frozen=True, slots=True)
class Relay:
    """The server that takes our mail."""

    host: str
    port: int
    security: str
    sender: str
    user: str = ""
    password: str = field(default="", repr=False)


def relay_of(table: Any) -> Relay:
    """Read the table `[smtp]`. Raises `InvalidPost`."""
    if not isinstance(table, dict) or table.keys() - _MEMBERS.keys():
        raise InvalidPost("[smtp] has no members but those documented")
    for name in table.keys() | set(_NEEDED):
        if type(table.get(name)) is not _MEMBERS[name]:
            raise InvalidPost(f"{name}: missing, or of another type")
    relay = Relay(
        table["host"], table["port"], table["security"], table["from"], table.get("user", ""), table.get("password", "")
    )
    if relay.security not in _WAYS:
        raise InvalidPost("security: starttls, tls or none")
    if relay.port not in _PORTS:
        raise InvalidPost("port: 1 to 65535")
    if relay.security == "none" and not _is_loopback(relay.host):
        raise InvalidPost("security: none is for a server on the loopback interface")
    if bool(relay.user) != bool(relay.password) or (relay.user and relay.security == "none"):
        raise InvalidPost("user: goes with a password, over TLS")
    if "@" not in relay.sender or any(each.isspace() for each in relay.sender):
        raise InvalidPost("from: an address")
    return relay


class Mail:
    """Sends each letter over a connection of its own: codes are few, and none waits for another."""

    def __init__(self, relay: Relay, context: ssl.SSLContext | None = None) -> None:
        self._relay = relay
        self._context = context or ssl.create_default_context()

    def send(self, address: str, subject: str, text: str) -> str:
        """Hand one letter to the server; return an empty string, or a short code of what was in the way."""
        letter = EmailMessage()
        try:
            letter["From"] = self._relay.sender
            letter["To"] = address
            letter["Subject"] = subject
            letter["Auto-Submitted"] = "auto-generated"  # RFC 3834: no out-of-office answers
            letter.set_content(text)
        except ValueError:  # a line break where none can be: nothing of ours, and nothing to send
            return "unwritable"
        try:
            with self._connected() as server:
                if self._relay.user:
                    server.login(self._relay.user, self._relay.password)
                server.send_message(letter)
        except smtplib.SMTPRecipientsRefused:
            return "recipient_refused"
        except smtplib.SMTPException:
            return "server_refused"
        except OSError:  # ssl.SSLError among them
            return "unreachable"
        return ""

    def _connected(self) -> smtplib.SMTP:
        relay = self._relay
        if relay.security == "tls":
            return smtplib.SMTP_SSL(relay.host, relay.port, timeout=_SECONDS, context=self._context)
        server = smtplib.SMTP(relay.host, relay.port, timeout=_SECONDS)
        if relay.security == "starttls":
            try:
                server.starttls(context=self._context)  # raises where the server has none: never in clear
            except BaseException:
                server.close()
                raise
        return server


def _is_loopback(host: str) -> bool:
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
