"""Errors of the OAuth endpoints, in the JSON of RFC 6749 §5.2 with a stable code of ours beside the standard one.

`error` is the standard's word, for OAuth libraries; `code` says more where more is safe to say. Nothing of the request
is repeated and there is no free text (`error_description`) to hide any in.
"""

from collections.abc import Mapping
from http import HTTPStatus
from typing import Final

import orjson
from starlette.responses import Response

from vault.errors import Refused

_STATUS: Final[Mapping[str, HTTPStatus]] = {
    "invalid_request": HTTPStatus.BAD_REQUEST,
    "invalid_client": HTTPStatus.UNAUTHORIZED,
    "invalid_scope": HTTPStatus.BAD_REQUEST,
    "unauthorized_client": HTTPStatus.BAD_REQUEST,
    "unsupported_grant_type": HTTPStatus.BAD_REQUEST,
    "invalid_dpop_proof": HTTPStatus.BAD_REQUEST,  # RFC 9449 §5
    "use_dpop_nonce": HTTPStatus.BAD_REQUEST,  # RFC 9449 §8
    "invalid_authorization_details": HTTPStatus.BAD_REQUEST,  # RFC 9396 §5
    "invalid_target": HTTPStatus.BAD_REQUEST,  # RFC 8693 §2.2.2
}

NO_STORE: Final = {"Cache-Control": "no-store", "Pragma": "no-cache"}
"""RFC 6749 §5.1 asks for both on every answer of the token endpoint."""


class OAuthError(Refused):
    """A refusal of an OAuth endpoint. `error` is the standard's code; `code` is ours, the same unless we say more."""

    def __init__(self, error: str, code: str = "", *, audit: str = "") -> None:
        super().__init__(code or error, audit or code or error)
        self.error = error


def oauth_error(refused: Refused) -> OAuthError:
    """Carry over a refusal whose code is already one of the standard's."""
    return OAuthError(refused.code, audit=refused.audit)


def response(error: OAuthError, request_id: str) -> Response:
    """Build the whole answer."""
    content = {"error": error.error, "code": error.code, "request_id": request_id}
    status = _STATUS.get(error.error, HTTPStatus.BAD_REQUEST)
    return Response(orjson.dumps(content), status, NO_STORE, "application/json")
