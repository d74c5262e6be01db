"""What a serving process holds, composed once at start (`api.bootstrap`) and reached by every route."""

from dataclasses import dataclass

from starlette.requests import Request

from api.authn.nonce import Nonces
from api.batcher import Batcher
from api.rates import Rates
from api.sealing import Sealing
from api.settings import Settings
from api.witnesses import Witnesses
from vault.errors import Sealed
from vault.governance.watch import BundleWatch
from vault.unit import Vault


@dataclass(frozen=True, slots=True)
class Services:
    """The vault, the way to its database thread, and the settings both were made from."""

    settings: Settings
    vault: Vault
    batcher: Batcher
    nonces: Nonces
    rates: Rates
    watch: BundleWatch
    sealing: Sealing | None = None  # None: always open
    witnesses: Witnesses | None = None  # None: nobody is to cosign the log


def services_of(request: Request) -> Services:
    """Find the process's services from a request. Raises `Sealed` or `KeyHolderUnavailable` while keys are not open."""
    services = keyless(request)
    if services.sealing is not None:
        services.sealing.check()
    return services


def keyless(request: Request) -> Services:
    """Find the services for a route that needs no key, and is therefore served by a sealed vault too."""
    services: Services | None = request.app.state.services
    if services is None:  # the lifespan did not run
        raise Sealed
    return services
