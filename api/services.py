"""What a serving process holds, composed once at start (`api.bootstrap`) and reached by every route."""

from dataclasses import dataclass

from starlette.requests import Request

from api.batcher import Batcher
from api.settings import Settings
from vault.errors import Sealed
from vault.unit import Vault


@dataclass(frozen=True, slots=True)
class Services:
    """The vault, the way to its database thread, and the settings both were made from."""

    settings: Settings
    vault: Vault
    batcher: Batcher


def services_of(request: Request) -> Services:
    """Find the process's services from a request. Raises `Sealed` while the root key is not open."""
    services: Services | None = request.app.state.services
    if services is None:
        raise Sealed
    return services
