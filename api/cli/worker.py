"""The application of a process that serves and does nothing else, alone or as one of several workers."""

import gc

from fastapi import FastAPI

from api.app import create_app
from api.observability.logs import Log
from api.settings import Settings, load
from vault.runtime import SystemClock

# A batch makes tens of thousands of short-lived tuples and lists. At the default of 700 the collector walks them over
# and over while they are in use; measured on imports, this saves 5 to 10 % of their time for some 10 MB.
_COLLECT_AT = (100_000, 20, 50)


def application() -> FastAPI:
    """Build the application of one worker; it reads its settings from the environment it was started in."""
    return served(load())


def served(settings: Settings) -> FastAPI:
    """Build the application, and set the whole process's collector to serving."""
    # Libraries log free text, which may hold anything: from here on only their names reach the log.
    Log(SystemClock(), level=settings.log_level).adopt_libraries()
    app = create_app(settings)
    # What is loaded by now stays for good: no collection has to walk it again, and none stops requests for as long.
    gc.collect()
    gc.freeze()
    gc.set_threshold(*_COLLECT_AT)
    return app
