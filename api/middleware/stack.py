"""The order of the middleware, outermost first, in one place.

Who forwarded the request is looked at before anything takes its word. The id comes next because everything else names it. The headers come before the log layer because that one writes the
bare 500. Hosts are looked at before anything is read of a body, and not at all where there is one for everything.
The body limit is innermost: what it raises is answered, headed and logged like any other refusal.
"""

from collections.abc import Mapping

from starlette.middleware import Middleware

from api.middleware.access_log import AccessLog
from api.middleware.body_limit import BodyLimit
from api.middleware.forwarded import Forwarded
from api.middleware.hosts import Hosts, hosts_of
from api.middleware.request_id import RequestId
from api.middleware.security_headers import SecurityHeaders
from api.observability.logs import Log
from api.settings import Settings
from vault.runtime import Entropy


def stack(
    settings: Settings, *, entropy: Entropy, log: Log, limits: Mapping[str, int] | None = None
) -> list[Middleware]:
    """Build the list for `FastAPI(middleware=…)`. `limits` gives paths (exact) their own body limit in bytes."""
    served = hosts_of(settings)
    return [
        Middleware(Forwarded, proxies=settings.trusted_proxies),
        Middleware(RequestId, entropy=entropy),
        Middleware(SecurityHeaders, secure=settings.secure),
        Middleware(AccessLog, log=log),
        *([Middleware(Hosts, served=served)] if served else []),
        Middleware(BodyLimit, limit=settings.max_body_bytes, routes=limits),
    ]
