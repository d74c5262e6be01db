"""Messages to telephones, through the HTTP gateway of a provider: each wants the same few things by other names.

How its request looks is said in the file of letters (`api.post.ways`, mode 0600), because a password is in it:

    [sms]
    url = "https://gateway.example/v1/messages"
    body = "json"            # or "form"
    plus = true              # numbers with their +, as E.164 writes them
    expect = ""              # what an answer has to hold, of a gateway that says 200 to everything
    user = "ecrin"           # HTTP Basic, with the password; may be left out
    password = "…"

    [sms.headers]            # or what else it asks for, such as a key
    Authorization = "Bearer …"

    [sms.members]            # the request: {to} is the number, {text} the message; of "json" tables and lists nest
    from = "AURELLE"
    to = "{to}"
    text = "{text}"

Certificates are verified, redirects are not followed, proxies of the environment are not used. Number and text are in the
body of a POST and nowhere else: never in an address, and never in a log of ours.
"""

import re
import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import httpx2

from api.eventpush import address_fault
from api.post.errors import InvalidPost

_SECONDS: Final = 15.0
_LONGEST_ANSWER: Final = 1 << 16
_LONGEST_TEXT: Final = 1_000
_MEMBERS: Final = {
    "url": str, "body": str, "plus": bool, "expect": str, "user": str, "password": str, "headers": dict, "members": dict,
}  # fmt: skip
_NUMBER: Final = re.compile(r"\+[1-9][0-9]{5,14}")
_HEADER: Final = re.compile(r"[A-Za-z0-9-]{1,64}")
_PLACE: Final = re.compile(r"\{(to|text)\}")
_NOT_OURS: Final = frozenset({"content-type", "content-length", "host", "transfer-encoding", "connection"})
_BAD_NUMBER: Final = frozenset({400, 404, 422})


@dataclass(frozen=True, slots=True)
class Gateway:
    """A provider's gateway, and how it wants to be asked."""

    url: str
    members: Mapping[str, Any] = field(repr=False)
    is_json: bool = True
    plus: bool = True
    expect: str = ""
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    user: str = ""
    password: str = field(default="", repr=False)


def gateway_of(table: Any) -> Gateway:
    """Read the table `[sms]`. Raises `InvalidPost`."""
    if not isinstance(table, dict) or table.keys() - _MEMBERS.keys():
        raise InvalidPost("[sms] has no members but those documented")
    for name in table.keys() | {"url", "members"}:
        if type(table.get(name)) is not _MEMBERS[name]:
            raise InvalidPost(f"{name}: missing, or of another type")
    if (fault := address_fault(table["url"])) is not None:
        raise InvalidPost(f"url: {fault}")
    if table.get("body", "json") not in {"json", "form"}:
        raise InvalidPost("body: json or form")
    is_json = table.get("body", "json") == "json"
    if bool(table.get("user")) != bool(table.get("password")):
        raise InvalidPost("user: goes with a password")
    headers = table.get("headers", {})
    for name, value in headers.items():
        if not _HEADER.fullmatch(name) or name.lower() in _NOT_OURS:
            raise InvalidPost("headers: a name that cannot be set")
        if not isinstance(value, str) or not (value.isascii() and value.isprintable()):
            raise InvalidPost("headers: a value that cannot be sent")
    members = table["members"]
    if not is_json and not all(isinstance(each, str) for each in members.values()):
        raise InvalidPost("members: a form has texts alone")
    if sorted(_places(members)) != ["text", "to"]:
        raise InvalidPost("members: {to} and {text} stand once each")
    return Gateway(
        table["url"],
        members,
        is_json,
        table.get("plus", True),
        table.get("expect", ""),
        headers,
        table.get("user", ""),
        table.get("password", ""),
    )


class Messages:
    """Sends each message by a request of its own. `context` says whose certificates are trusted; left out, the system's."""

    def __init__(self, gateway: Gateway, context: ssl.SSLContext | None = None) -> None:
        self._gateway = gateway
        self._context = context or ssl.create_default_context()

    def send(self, address: str, subject: str, text: str) -> str:
        """Hand one message to the gateway; return an empty string, or a short code of what was in the way."""
        if not _NUMBER.fullmatch(address) or not subject.isprintable() or len(text) > _LONGEST_TEXT:
            return "unwritable"
        gateway = self._gateway
        said = {"to": address if gateway.plus else address[1:], "text": f"{subject}\n\n{text}"}
        body = _filled(gateway.members, said)
        given: dict[str, Any] = {"json": body} if gateway.is_json else {"data": body}
        if gateway.user:
            given["auth"] = (gateway.user, gateway.password)
        try:
            with (
                httpx2.Client(verify=self._context, follow_redirects=False, trust_env=False, timeout=_SECONDS) as http,
                http.stream("POST", gateway.url, headers=dict(gateway.headers), **given) as answer,
            ):
                if not answer.is_success:
                    return "recipient_refused" if answer.status_code in _BAD_NUMBER else "server_refused"
                return "" if not gateway.expect or gateway.expect.encode() in _beginning(answer) else "server_refused"
        except (httpx2.HTTPError, httpx2.InvalidURL, OSError):  # ssl.SSLError among them
            return "unreachable"


def _beginning(answer: httpx2.Response) -> bytes:
    found = b""
    for piece in answer.iter_bytes(4096):
        found += piece
        if len(found) >= _LONGEST_ANSWER:  # no gateway has that much to say
            break
    return found[:_LONGEST_ANSWER]


def _filled(given: Any, said: Mapping[str, str]) -> Any:
    """Put number and text in their places. What they hold is not looked at again: a text may say {to}."""
    if isinstance(given, str):
        return _PLACE.sub(lambda place: said[place[1]], given)
    if isinstance(given, dict):
        return {name: _filled(each, said) for name, each in given.items()}
    return [_filled(each, said) for each in given] if isinstance(given, list) else given


def _places(given: Any) -> list[str]:
    if isinstance(given, str):
        return _PLACE.findall(given)
    inner = given.values() if isinstance(given, dict) else given if isinstance(given, list) else ()
    return [place for each in inner for place in _places(each)]
