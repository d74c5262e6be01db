"""Reads a token request (RFC 6749 §4.4, RFC 9449 §5, RFC 9396 §6) and refuses all that needs no database to refuse."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Final

from api import rar
from api.authn import dpop
from api.authn.nonce import Nonces
from api.authn.staff import agreed, named
from api.oauth import form, metadata, narrowing
from api.oauth.errors import OAuthError, oauth_error
from api.oauth.issue import TokenRequest
from api.oauth.narrowing import Exchange
from api.settings import Settings
from vault import tokens
from vault.errors import Refused

_GRANT: Final = "client_credentials"
_LONGEST_TOKEN: Final = 512


def read_token_request(
    fields: Mapping[str, str],
    proofs: Sequence[str],
    *,
    settings: Settings,
    nonces: Nonces,
    now: int,
    request_id: str,
    address: str,
    x5t: str,
    staff: Sequence[str],
) -> TokenRequest:
    """Check a token request as far as that goes without the database. Raises `OAuthError`.

    `fields` is the parsed form, `proofs` and `staff` the values of all DPoP and Ecrin-Staff headers, `now` UTC seconds.
    """
    grant = fields.get("grant_type")
    if grant is None:
        raise OAuthError("invalid_request", "grant_type_required")
    if grant not in {_GRANT, narrowing.GRANT}:
        raise OAuthError("unsupported_grant_type")
    client = form.client_credential(fields, settings.issuer, request_id, address)
    url = settings.public_url + metadata.TOKEN_PATH
    proof = dpop.verify(proofs, method="POST", url=url, access_token=None, now=now)
    if isinstance(proof, Refused):
        raise oauth_error(proof)
    # Always here: a token is what a proof made long before would be worth most for.
    if not nonces.is_good(proof.nonce, now):
        raise OAuthError("use_dpop_nonce")
    proof = replace(proof, x5t=x5t)
    who = _agreed(named(staff))
    if grant == narrowing.GRANT:
        return TokenRequest(client, proof, frozenset(), _details(fields, who), _exchange(fields, settings))
    scope, details = fields.get("scope"), fields.get("authorization_details")
    if (scope is None) == (details is None):
        raise OAuthError("invalid_request", "scope_or_authorization_details")
    if details is None:
        return TokenRequest(client, proof, _scopes(scope or ""), None, staff=who)
    return TokenRequest(client, proof, frozenset(), _details(fields, who))


def _agreed(who: str | Refused) -> str:
    if isinstance(who, Refused):
        raise OAuthError("invalid_request", who.code)
    return who


def _details(fields: Mapping[str, str], who: str) -> rar.Disclosure:
    disclosure = rar.parse(fields.get("authorization_details", ""))
    if isinstance(disclosure, rar.Malformed):
        raise OAuthError("invalid_authorization_details", disclosure.code)
    return replace(disclosure, staff=_agreed(agreed(who, disclosure.staff))) if who else disclosure


def _exchange(fields: Mapping[str, str], settings: Settings) -> Exchange:
    """Read the parameters of RFC 8693 §2.1. What it offers beside narrowing is refused, never ignored."""
    if fields.get("requested_token_type", narrowing.ACCESS_TOKEN) != narrowing.ACCESS_TOKEN:
        raise OAuthError("invalid_request", "invalid_token_type")
    if "scope" in fields:
        raise OAuthError("invalid_scope", "exchange_without_scope")
    targets = {fields[name] for name in ("resource", "audience") if name in fields}
    if not targets <= {settings.public_url, settings.issuer}:
        raise OAuthError("invalid_target")
    subject, actor = _token(fields, "subject_token"), _token(fields, "actor_token")
    if subject is None:
        raise OAuthError("invalid_request", "subject_token_required")
    return Exchange(subject, actor)


def _token(fields: Mapping[str, str], name: str) -> bytes | None:
    token, kind = fields.get(name), fields.get(f"{name}_type")
    if (token is None) != (kind is None) or kind not in {None, narrowing.ACCESS_TOKEN}:
        raise OAuthError("invalid_request", "invalid_token_type")
    if token is not None and len(token) > _LONGEST_TOKEN:
        raise OAuthError("invalid_request", f"{name}_refused")
    return None if token is None else tokens.hash_of(token)


def _scopes(text: str) -> frozenset[str]:
    scopes = frozenset(text.split(" ")) - {""}
    if not scopes or not scopes <= set(metadata.SCOPES):
        raise OAuthError("invalid_scope")
    return scopes
