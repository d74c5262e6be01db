"""Asks a service that is not ours over HTTP, where what comes back is evidence: witnesses, time stamp authorities.

Certificates are verified, redirects not followed, proxies of the environment not used. An answer is read up to a size and
within a time, whatever the other side does: one that trickles must not keep others waiting.
"""

import ssl
from collections.abc import Mapping
from functools import cache
from time import monotonic
from typing import Final, NamedTuple

import httpx2

MOST: Final = 64 << 10  # bytes of an answer


class Heard(NamedTuple):
    """A whole answer: its status and its bytes."""

    status: int
    content: bytes


@cache
def trusted() -> ssl.SSLContext:
    """Return what verifies whom we call: made once, for reading the certificates takes longer than most calls."""
    return httpx2.create_ssl_context(trust_env=False)


def ask(url: str, content: bytes, headers: Mapping[str, str], seconds: float) -> Heard | None:
    """POST `content` and return the answer; None where no whole one came within `seconds` and `MOST` bytes.

    `seconds` bound connecting, each read, and the whole. The caller has found that the address may be called
    (`api.eventpush.address_fault`).
    """
    try:
        with (
            httpx2.Client(verify=trusted(), follow_redirects=False, trust_env=False, timeout=seconds) as http,
            http.stream("POST", url, content=content, headers=dict(headers)) as answer,
        ):
            taken = b""
            begun = monotonic()
            for piece in answer.iter_bytes():
                taken += piece
                # The limit of each read does not bound the whole.
                if len(taken) > MOST or monotonic() - begun > seconds:
                    return None
            return Heard(answer.status_code, taken)
    except (httpx2.HTTPError, httpx2.InvalidURL):
        return None
