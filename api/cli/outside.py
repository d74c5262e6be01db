"""How the deployment looks to a stranger: its own addresses, called as a browser calls them, by this machine's authorities.

Which certificate the front door shows is the operator's affair, and nothing in this process could notice a wrong one: the
vault itself speaks plain HTTP. So the operator's command goes out and looks.
"""

import socket
import ssl
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Final
from urllib.parse import urlsplit

from api.settings import Settings

LEAST_DAYS: Final = 14  # a certificate that ends sooner was not renewed when it should have been
_SECONDS: Final = 10.0
_DAY: Final = 86_400

Connect = Callable[[tuple[str, int], float], socket.socket]


def look(
    settings: Settings, now: int, *, context: ssl.SSLContext | None = None, connect: Connect = socket.create_connection
) -> tuple[str, str]:
    """Return result (`ok`, `overdue`, `failed`) and its words, the worst address first.

    `now`: Unix seconds. `context` and `connect` are for a test that has no authority and no name of its own in the world.
    """
    context = context or ssl.create_default_context()
    found = [
        _seen(name, getattr(settings, name), now, context, connect)
        for name in ("public_url", "console_url", "portal_url")
    ]
    order = ("failed", "overdue", "ok")
    found.sort(key=lambda each: order.index(each[0]))
    return found[0][0], "; ".join(dict.fromkeys(words for _, words in found))


def _seen(name: str, url: str, now: int, context: ssl.SSLContext, connect: Connect) -> tuple[str, str]:
    parts = urlsplit(url)
    host = parts.hostname or ""
    if parts.scheme != "https":
        return "ok", f"{name}: on this machine alone"
    try:
        with (
            connect((host, parts.port or 443), _SECONDS) as plain,
            context.wrap_socket(plain, server_hostname=host) as secure,
        ):
            version, certificate = secure.version(), secure.getpeercert() or {}
    except ssl.SSLCertVerificationError as error:
        return "failed", f"{name}: the certificate is not trusted: {error.verify_message}"
    except OSError:  # ssl.SSLError is one
        return "failed", f"{name}: no TLS connection"
    ends = ssl.cert_time_to_seconds(str(certificate["notAfter"]))
    told = f"{version}, certificate until {datetime.fromtimestamp(ends, UTC):%Y-%m-%d}"
    return ("overdue" if ends - now < LEAST_DAYS * _DAY else "ok"), f"{name}: {told}"
