"""Reads a token request (RFC 6749 §4.4, RFC 9449 §5, RFC 9396 §6) and refuses all that needs no database to refuse."""

from collections.abc import Mapping, Sequence
from typing import Final

from api import rar
from api.authn import dpop
from api.oauth import form, metadata
from api.oauth.errors import OAuthError, oauth_error
from api.oauth.issue import TokenRequest
from api.settings import Settings
from vault.errors import Refused

_GRANT: Final = "client_credentials"


def read_token_request(
    fields: Mapping[str, str], proofs: Sequence[str], *, settings: Settings, now: int, request_id: str, address: str
) -> TokenRequest:
    """Check a token request as far as that goes without the database. Raises `OAuthError`.

    `fields` is the parsed form, `proofs` the values of all DPoP headers, `now` UTC seconds.
    """
    grant = fields.get("grant_type")
    if grant is None:
        raise OAuthError("invalid_request", "grant_type_required")
    if grant != _GRANT:
        raise OAuthError("unsupported_grant_type")
    client = form.client_credential(fields, settings.issuer, request_id, address)
    url = settings.public_url + metadata.TOKEN_PATH
    proof = dpop.verify(proofs, method="POST", url=url, access_token=None, now=now)
    if isinstance(proof, Refused):
        raise oauth_error(proof)
    scope, details = fields.get("scope"), fields.get("authorization_details")
    if (scope is None) == (details is None):
        raise OAuthError("invalid_request", "scope_or_authorization_details")
    if details is None:
        return TokenRequest(client, proof, _scopes(scope or ""), None)
    disclosure = rar.parse(details)
    if isinstance(disclosure, rar.Malformed):
        raise OAuthError("invalid_authorization_details", disclosure.code)
    return TokenRequest(client, proof, frozenset(), disclosure)


def _scopes(text: str) -> frozenset[str]:
    scopes = frozenset(text.split(" ")) - {""}
    if not scopes or not scopes <= set(metadata.SCOPES):
        raise OAuthError("invalid_scope")
    return scopes
