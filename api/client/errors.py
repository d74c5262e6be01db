"""Errors a caller of the client meets. They name codes, fields and request ids; never a value, a token or a URL."""

from collections.abc import Mapping

from api.client.wire import Reply, json_object


class EcrinError(Exception):
    """Root of every error the client raises."""


class EcrinUnreachable(EcrinError):
    """No complete answer arrived. Whether the server acted is unknown: repeat only what is repeatable."""


class EcrinProtocolError(EcrinError):
    """The answer is not what the interface promises (wrong type, missing member)."""


class ReceiptInvalid(EcrinError):
    """The receipt is malformed, or no signature on it verifies under the given key."""


class EventInvalid(EcrinError):
    """The event token is malformed, not ours, for somebody else, or signed by no key of the given set."""


class AttestationInvalid(EcrinError):
    """An attestation does not hold. Names the check that failed, and nothing of what was shown."""


class EcrinProblem(EcrinError):
    """The server said no, as problem+json (RFC 9457) or as an OAuth error (RFC 6749 §5.2).

    `code` is stable and meant for programs, `title` for people; `fields` maps the refused fields to
    stable reasons.
    """

    def __init__(
        self, status: int, code: str, title: str = "", request_id: str = "", fields: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(f"{status} {code}" + (f" (request {request_id})" if request_id else ""))
        self.status = status
        self.code = code
        self.title = title
        self.request_id = request_id
        self.fields = dict(fields or {})


def problem_from(reply: Reply) -> EcrinProblem:
    """Read a failed reply. Anything unreadable becomes code `http_error`: a body is never quoted."""
    body = json_object(reply.content)
    code = body.get("code") or body.get("error") or "http_error"
    title = body.get("title") or body.get("error_description") or ""
    request_id = body.get("request_id") or reply.headers.get("x-request-id", "")
    return EcrinProblem(reply.status, str(code), str(title), str(request_id), _fields(body.get("fields")))


def _fields(listed: object) -> dict[str, str]:
    """Field problems come as `[{"name", "reason"}, …]`; findings of another shape are left to the server's log."""
    if not isinstance(listed, list):
        return {}
    return {
        str(item["name"]): str(item.get("reason", "")) for item in listed if isinstance(item, dict) and "name" in item
    }
