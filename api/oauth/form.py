"""Reads the form bodies of the OAuth endpoints (RFC 6749 Appendix B): each parameter at most once, UTF-8, bounded."""

from collections.abc import Mapping
from typing import Final
from urllib.parse import parse_qsl

from starlette.requests import Request

from api.authn import assertion
from api.oauth.clients import ClientCredential
from api.oauth.errors import OAuthError

MEDIA_TYPE: Final = "application/x-www-form-urlencoded"
_MOST_PARAMETERS: Final = 16
_MAX_BODY: Final = 256 * 1024  # 64 KiB of authorization_details grow to three times that when percent-encoded


async def read(request: Request) -> Mapping[str, str]:
    """Read a request's form. Raises `OAuthError`; parameters without a value count as left out (RFC 6749 §3.2)."""
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != MEDIA_TYPE:
        raise OAuthError("invalid_request", "unsupported_media_type")
    # Another way to authenticate beside the assertion is refused, not ignored (RFC 6749 §2.3).
    if "authorization" in request.headers:
        raise OAuthError("invalid_request", "several_authentications")
    body = await request.body()
    if len(body) > _MAX_BODY:
        raise OAuthError("invalid_request", "body_too_large")
    return parse(body)


def parse(body: bytes) -> Mapping[str, str]:
    """Parse a form. Raises `OAuthError` for a repeated parameter or anything malformed."""
    try:
        pairs = parse_qsl(
            body.decode("ascii"),
            keep_blank_values=True,
            strict_parsing=True,
            errors="strict",
            max_num_fields=_MOST_PARAMETERS,
        )
    except ValueError:
        raise OAuthError("invalid_request", "malformed_body") from None
    form = dict(pairs)
    if len(form) != len(pairs):
        raise OAuthError("invalid_request", "repeated_parameter")
    if "client_secret" in form:
        raise OAuthError("invalid_request", "several_authentications")
    return {name: value for name, value in form.items() if value}


def client_credential(form: Mapping[str, str], issuer: str, request_id: str, address: str) -> ClientCredential:
    """Take the client's assertion from a form (RFC 7523 §2.2). Raises `OAuthError`; checks no signature."""
    if form.get("client_assertion_type") != assertion.TYPE or "client_assertion" not in form:
        raise OAuthError("invalid_client", "assertion_required")
    claimed = assertion.claimed_client(form["client_assertion"])
    # RFC 7521 §4.2: client_id is optional, and must agree when it is there.
    if claimed is None or form.get("client_id", claimed) != claimed:
        raise OAuthError("invalid_client", audit="assertion_form")
    return ClientCredential(claimed, form["client_assertion"], issuer, request_id, address)
