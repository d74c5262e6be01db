"""The application factory: one app per settings, everything wired in the lifespan, nothing at import."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from fastapi import FastAPI

from api import bootstrap, openapi, problems
from api.batcher import Batcher
from api.middleware.stack import stack
from api.observability.events import Event
from api.observability.logs import Log
from api.periodic import Periodic
from api.routes import audit, catalogue, consents, disclosures, health, imports, oauth, subjects
from api.services import Services
from api.settings import Settings
from vault import evidence, housekeeping
from vault.errors import Sealed
from vault.runtime import SystemClock, SystemEntropy
from vault.unit import Vault

HOUSEKEEPING_SECONDS = 60.0


def create_app(settings: Settings, *, opener: Callable[[Settings], Vault] = bootstrap.open_from) -> FastAPI:
    """Build the application. The vault opens when it starts serving; `opener` lets a test hand in its own clock.

    A vault whose root key does not open is served sealed: health answers, everything else is 503 `sealed`.
    """
    log = Log(SystemClock(), level=settings.log_level)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        try:
            vault = opener(settings)
        except Sealed:
            app.state.services = None
            log.warning(Event.SEALED)
            yield
            return
        except Exception as error:
            log.fault(Event.FAILED, error)
            raise
        batcher = Batcher(vault, most_in_batch=settings.batch_size, most_waiting=settings.queue_size)
        jobs = (
            Periodic(
                settings.checkpoint_seconds,
                lambda: evidence.sign_checkpoints(vault, settings.checkpoint_file),
                log,
                Event.CHECKPOINT_REFUSED,
            ),
            Periodic(HOUSEKEEPING_SECONDS, lambda: housekeeping.purge(vault), log, Event.STORE_LOST),
        )
        app.state.services = Services(settings, vault, batcher)
        evidence.note_start(vault)
        # Before the first request: a log that cannot be vouched for, such as one brought back from backup, is not served.
        evidence.sign_checkpoints(vault, settings.checkpoint_file)
        batcher.start()
        for job in jobs:
            job.start()
        log.info(Event.READY)
        try:
            yield
        finally:
            log.info(Event.STOPPING)
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
    for module in (disclosures, subjects, consents, oauth, imports, catalogue, audit, health):
        app.include_router(module.router)
    openapi.install(app)
    return app
