"""The application factory: one app per settings, everything wired in the lifespan, nothing at import."""

import threading
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from time import monotonic

from fastapi import FastAPI

from api import bootstrap, jobs, openapi, problems, roots
from api.authn.nonce import Nonces
from api.batcher import Batcher
from api.middleware.stack import stack
from api.observability.events import Event
from api.observability.logs import Log
from api.pages.mount import MOST_DRAINED, UPLOADS, Pages
from api.rates import Rates
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
    reports,
    requests,
    subjects,
)
from api.sealing import Sealing
from api.services import Services
from api.settings import Settings
from api.vouching import Vouching
from vault.governance.watch import BundleWatch, Noticed
from vault.keys.service import KeyService
from vault.runtime import SystemClock, SystemEntropy
from vault.unit import Vault


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
        vouching = Vouching(settings, vault, sealing, log)
        running = jobs.jobs(settings, vault, sealing, log, stopping, bundles, vouching)
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
        for job in running:
            job.start()
        try:
            yield
        finally:
            log.info(Event.STOPPING)
            stopping.set()
            batcher.close()
            for job in running:
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
        middleware=stack(
            settings,
            entropy=SystemEntropy(),
            log=log,
            limits={"/v1/imports": settings.max_import_bytes, UPLOADS: MOST_DRAINED},
        ),
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
        reports,
        requests,
        catalogue,
        audit,
        events,
        health,
    ):
        app.include_router(module.router)
    app.router.routes.append(Pages("/console", "api.console.site"))  # last: no brand's request ever looks at it
    app.router.routes.append(Pages("/me", "api.portal.site"))
    app.router.routes.append(Pages("/package", "api.packages.site"))
    openapi.install(app)
    return app
