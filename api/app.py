"""The application factory: one app per settings, everything wired in the lifespan, nothing at import."""

import threading
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from time import monotonic

from fastapi import FastAPI

from api import bootstrap, epochs, eventpush, openapi, problems, retentions, roots, trail
from api.authn.nonce import Nonces
from api.batcher import Batcher
from api.epochs import Epochs
from api.eventpush import EventPush
from api.middleware.stack import stack
from api.observability.events import Event
from api.observability.logs import Log
from api.pages.mount import Pages
from api.periodic import Periodic
from api.rates import Rates
from api.retentions import Retentions
from api.routes import (
    access,
    attestations,
    audit,
    catalogue,
    consents,
    contact,
    disclosures,
    events,
    guardians,
    health,
    imports,
    oauth,
    requests,
    subjects,
)
from api.sealing import LOOK_SECONDS, Sealing
from api.services import Services
from api.settings import Settings
from api.vouching import Vouching
from vault import census, consentterms, housekeeping
from vault.errors import KeyHolderUnavailable, Sealed
from vault.governance import watch
from vault.governance.watch import BundleWatch, Noticed
from vault.keys.service import KeyService
from vault.runtime import SystemClock, SystemEntropy
from vault.unit import Vault

HOUSEKEEPING_SECONDS = 60.0
CONSENT_SECONDS = 3600.0  # a consent that is over counts for nothing at once; the job puts it on record


def _while_open(work: Callable[[], object]) -> Callable[[], None]:
    """Let a job rest while the vault is sealed."""

    def turn() -> None:
        with suppress(Sealed, KeyHolderUnavailable):
            work()

    return turn


def create_app(
    settings: Settings,
    *,
    opener: Callable[[Settings], Vault] = bootstrap.open_to_serve,
    reopen: Callable[[Settings, Vault], KeyService] = bootstrap.open_keys,
) -> FastAPI:
    """Build the application. The vault opens when it starts serving; `opener` lets a test hand in its own clock.

    A vault whose root key does not open is served sealed: health, metadata, catalogue and the log's checkpoint answer,
    everything else is 503 `sealed`, and it is looked at again until it opens (`api.sealing`). `reopen` opens the
    process's own keys; it is not used where the key holder has them.
    """
    log = Log(SystemClock(), level=settings.log_level)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        try:
            vault = opener(settings)
        except Exception as error:
            log.fault(Event.FAILED, error)
            raise
        own = (lambda: reopen(settings, vault)) if settings.keyd_socket is None else None
        sealing = Sealing(settings, vault, log, roots.seal_mark(settings), own)

        def tell_bundle(noticed: Noticed) -> None:
            if noticed is Noticed.TAKEN:
                log.info(Event.BUNDLE_LOADED, bundle=vault.bundle.hash.hex()[:16])
            else:
                log.warning(Event.BUNDLE_REFUSED if noticed is Noticed.REFUSED else Event.BUNDLE_LOST)

        try:
            bundles = BundleWatch(vault, tell_bundle)
            sealing.look()
        except Exception as error:
            log.fault(Event.FAILED, error)
            vault.close()
            raise
        vault.alarm = lambda alarm: log.error(Event.SYSTEM_FROZEN, code=alarm.code, system=alarm.system_id)
        batcher = Batcher(vault, most_in_batch=settings.batch_size, most_waiting=settings.queue_size)

        stopping = threading.Event()

        count_crowds = _while_open(lambda: census.turn(vault, stopping.wait))
        end_consents = _while_open(lambda: consentterms.sweep(vault))
        vouching = Vouching(settings, vault, sealing, log)
        jobs = (
            Periodic(CONSENT_SECONDS, end_consents, log, Event.CONSENTS_FAILED, last=False),
            Periodic(census.TURN_SECONDS, count_crowds, log, Event.CENSUS_FAILED, last=False),
            Periodic(watch.LOOK_SECONDS, bundles.look, log, Event.BUNDLE_UNREADABLE, last=False),
            Periodic(LOOK_SECONDS, sealing.look, log, Event.SEAL_UNREADABLE),
            Periodic(HOUSEKEEPING_SECONDS, lambda: _keep_house(vault, settings), log, Event.STORE_LOST),
            Periodic(epochs.LOOK_SECONDS, Epochs(settings, vault, sealing).turn, log, Event.EPOCH_FAILED, last=False),
            Periodic(
                eventpush.LOOK_SECONDS,
                EventPush(vault, settings.issuer, sealing, log).turn,
                log,
                Event.EVENTS_FAILED,
                last=False,
            ),
            Periodic(
                retentions.LOOK_SECONDS,
                Retentions(settings, vault, sealing, log).turn,
                log,
                Event.RETENTION_FAILED,
                last=False,
            ),
            *vouching.jobs,  # last, so that what the others log at the end is signed too
        )
        app.state.services = Services(
            settings,
            vault,
            batcher,
            Nonces(vault),
            Rates(settings.system_rate, monotonic),
            bundles,
            sealing,
            vouching.witnesses,
        )
        batcher.start()
        for job in jobs:
            job.start()
        try:
            yield
        finally:
            log.info(Event.STOPPING)
            stopping.set()
            batcher.close()
            for job in jobs:
                job.close()
            vault.close()
            log.info(Event.STOPPED)

    app = FastAPI(
        title="Ecrin",
        summary="A privacy-first customer data vault.",
        version="0.1.0",
        lifespan=lifespan,
        docs_url=None,  # the stock page loads scripts from elsewhere; the document itself is committed in docs/
        redoc_url=None,
        openapi_url=None,
        redirect_slashes=False,  # it would send a body, and its token, to whatever the Host header names
        middleware=stack(settings, entropy=SystemEntropy(), log=log, limits={"/v1/imports": settings.max_import_bytes}),
    )
    app.state.services = None
    problems.install(app)
    # Routers are tried in this order for each request: those that are asked most come first.
    for module in (
        disclosures,
        subjects,
        consents,
        contact,
        oauth,
        attestations,
        access,
        imports,
        guardians,
        requests,
        catalogue,
        audit,
        events,
        health,
    ):
        app.include_router(module.router)
    app.router.routes.append(Pages("/console", "api.console.site"))  # last: no brand's request ever looks at it
    openapi.install(app)
    return app


def _keep_house(vault: Vault, settings: Settings) -> None:
    trail.record_untold(vault)
    housekeeping.purge(vault)
    housekeeping.purge_ledger(vault, settings.ledger_days)
