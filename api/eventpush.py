"""Tells brands' systems of events: Security Event Tokens (RFC 8417) pushed over HTTP (RFC 8935).

Only addresses that an operator registered are called, never one from a request or an answer: https, or http on the
loopback interface. Certificates are verified, redirects are not followed, proxies of the environment are not used, and of
an answer nothing but its status is read. A token is signed with a key that signs events and nothing else
(`SignedAs.EVENT`), and names it by its thumbprint (RFC 7638).
"""

import ipaddress
from typing import Any, Final
from urllib.parse import urlsplit

import httpx2

from api import jws
from api.asking import trusted
from api.observability.events import Event
from api.observability.logs import Log
from vault import outbox, signers
from vault.outbox import LONGEST_URL, Due, Told
from vault.signers import OpenSigner, SignedAs
from vault.unit import Vault

EVENT_URN: Final = "urn:ecrin:event:{kind}:v1"
TYPE: Final = "secevent+jwt"
MEDIA_TYPE: Final = f"application/{TYPE}"
LOOK_SECONDS: Final = 2.0
PUSH_SECONDS: Final = 5.0  # for each event; a batch stays well within its lease
MOST_AT_ONCE: Final = 20

_ACCEPTED: Final = 202  # RFC 8935 §2.2


def address_fault(url: str) -> str | None:
    """Say what makes an address inadmissible, or None."""
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname or "", parts.port
    except ValueError:
        return "not a URL"
    if parts.scheme not in {"https", "http"} or not host or len(url) > LONGEST_URL or not url.isascii():
        return "not an https URL"
    if parts.username is not None or parts.fragment or any(each <= " " for each in url):
        return "without user, fragment or spaces"
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        address = None
    loopback = host == "localhost" or (address is not None and address.is_loopback)
    if parts.scheme == "http" and not loopback:
        return "https is required beyond the loopback interface"
    if address is not None and (address.is_link_local or address.is_multicast or address.is_unspecified):
        return "not an address of a system"
    return None


def tokens_of(signer: OpenSigner, issuer: str, due: list[Due]) -> list[str]:
    """Sign one token per event. Under one key the same event is the same token whenever it is told."""
    texts = [jws.unsigned(TYPE, signer.kid, _claims(issuer, each)) for each in due]
    return [jws.signed(each, signer.sign) for each in texts]


class EventPush:
    """Tells what is due, one batch per turn. One per process; several processes share the work."""

    def __init__(self, vault: Vault, issuer: str, log: Log) -> None:
        self._vault = vault
        self._issuer = issuer
        self._log = log

    def turn(self) -> None:
        """Tell a batch, if anything is due."""
        due = outbox.claim(self._vault, MOST_AT_ONCE)
        if not due:
            return
        tokens = tokens_of(signers.ready(self._vault, SignedAs.EVENT), self._issuer, due)
        outcomes: list[Told] = []
        unreachable: set[str] = set()
        with httpx2.Client(verify=trusted(), follow_redirects=False, trust_env=False, timeout=PUSH_SECONDS) as http:
            for each, token in zip(due, tokens, strict=True):
                # An address that did not answer is not waited for again in the same turn.
                problem = "unreachable" if each.url in unreachable else push(http, each.url, token)
                if problem == "unreachable":
                    unreachable.add(each.url)
                outcomes.append(Told(each, problem))
        outbox.settle(self._vault, outcomes)
        if failed := sum(bool(each.problem) for each in outcomes):
            self._log.warning(Event.EVENTS_UNDELIVERED, count=failed)


def push(http: httpx2.Client, url: str, token: str) -> str:
    """Push one token; return an empty string when it was acknowledged, else a short code. Reads no body."""
    if address_fault(url) is not None:
        return "inadmissible"
    try:
        with http.stream(
            "POST", url, content=token, headers={"Content-Type": MEDIA_TYPE, "Accept": "application/json"}
        ) as answer:
            return "" if answer.status_code == _ACCEPTED else f"http_{answer.status_code}"
    except (httpx2.HTTPError, httpx2.InvalidURL):
        return "unreachable"


def _claims(issuer: str, due: Due) -> dict[str, Any]:
    return {
        "iss": issuer,
        "aud": due.system_id,
        "jti": due.id.hex(),
        "iat": due.happened_at,
        "sub_id": {"format": "opaque", "id": due.reference},  # RFC 9493 §3.2.8
        "events": {EVENT_URN.format(kind=due.kind): due.detail},
    }
