"""The metadata documents from which ordinary clients configure themselves (RFC 8414, RFC 9728, AuthZEN)."""

from typing import Any, Final

from api import rar
from api.authn.jwk import ALGORITHMS
from api.oauth import narrowing
from api.settings import Settings

SCOPES: Final = ("lookup", "subject.write", "consent.write", "rights.write", "import", "audit.read")
"""Scopes of service tokens. Disclosure is not among them: it is asked for in `authorization_details` only."""

TOKEN_PATH: Final = "/oauth/token"  # noqa: S105 - a path
INTROSPECTION_PATH: Final = "/oauth/introspect"
REVOCATION_PATH: Final = "/oauth/revoke"
JWKS_PATH: Final = "/oauth/jwks"

RESOURCE_METADATA_PATH: Final = "/.well-known/oauth-protected-resource"
EVALUATION_PATH: Final = "/access/v1/evaluation"
EVALUATIONS_PATH: Final = "/access/v1/evaluations"

_METHODS: Final = ["private_key_jwt"]


def authorization_server(settings: Settings) -> dict[str, Any]:
    """Describe the token side. `response_types_supported` is required and empty: there is no authorization endpoint."""
    document: dict[str, Any] = {
        "issuer": settings.issuer,
        "jwks_uri": settings.public_url + JWKS_PATH,
        "response_types_supported": [],
        "grant_types_supported": ["client_credentials", narrowing.GRANT],
        "scopes_supported": list(SCOPES),
        "authorization_details_types_supported": [rar.TYPE],
        "dpop_signing_alg_values_supported": list(ALGORITHMS),
    }
    endpoints = {"token": TOKEN_PATH, "introspection": INTROSPECTION_PATH, "revocation": REVOCATION_PATH}
    for name, path in endpoints.items():
        document[f"{name}_endpoint"] = settings.public_url + path
        document[f"{name}_endpoint_auth_methods_supported"] = _METHODS
        document[f"{name}_endpoint_auth_signing_alg_values_supported"] = list(ALGORITHMS)
    document["introspection_signing_alg_values_supported"] = ["EdDSA"]  # RFC 9701 §7
    return document | _certificates(settings)


def protected_resource(settings: Settings) -> dict[str, Any]:
    """Describe the data side. Bearer methods are left out: a token without its proof opens nothing here."""
    document = {
        "resource": settings.public_url,
        "authorization_servers": [settings.issuer],
        "scopes_supported": list(SCOPES),
        "authorization_details_types_supported": [rar.TYPE],
        "dpop_signing_alg_values_supported": list(ALGORITHMS),
        "dpop_bound_access_tokens_required": True,
    }
    return document | _certificates(settings)


def decision_point(settings: Settings) -> dict[str, Any]:
    """Describe the decision point (AuthZEN Authorization API 1.0 §9): of its endpoints there are those that evaluate."""
    return {
        "policy_decision_point": settings.public_url,
        "access_evaluation_endpoint": settings.public_url + EVALUATION_PATH,
        "access_evaluations_endpoint": settings.public_url + EVALUATIONS_PATH,
    }


def _certificates(settings: Settings) -> dict[str, Any]:
    """Say so where tokens are bound to certificates too (RFC 8705 §3.3)."""
    return {"tls_client_certificate_bound_access_tokens": True} if settings.client_certificate_header else {}
