"""The background jobs of a serving process: what each does, how often, and whether it waits for the vault to be open."""

from collections.abc import Callable
from functools import partial
from threading import Event as Signal
from typing import Final

from api import epochs, eventpush, requestjobs, retentions, sealing, trail
from api.epochs import Epochs
from api.eventpush import EventPush
from api.observability.events import Event
from api.observability.logs import Log
from api.periodic import Periodic
from api.reporting.maker import Maker
from api.retentions import Retentions
from api.sealing import Sealing
from api.settings import Settings, driver_environment
from api.vouching import Vouching
from vault import census, consentterms, errands, housekeeping
from vault.governance import watch
from vault.governance.watch import BundleWatch
from vault.reports import runs, saved
from vault.reports.runs import Make
from vault.unit import Vault

HOUSEKEEPING_SECONDS: Final = 60.0
REPORT_LOOK_SECONDS: Final = 1.0
CONSENT_LOOK_SECONDS: Final = 60.0
CONSENT_SECONDS: Final = 3600  # a consent that is over counts for nothing at once; the job puts it on record
CONSENT_RETRY_SECONDS: Final = 600
DETAIL_SECONDS: Final = 86_400
DETAIL_RETRY_SECONDS: Final = 600


def jobs(
    settings: Settings,
    vault: Vault,
    door: Sealing,
    log: Log,
    stopping: Signal,
    bundles: BundleWatch,
    vouching: Vouching,
) -> tuple[Periodic, ...]:
    """Make the jobs, in the order in which they end. `stopping` is set when the process is about to."""

    def behind_the_door(seconds: float, work: Callable[[], object], failed: Event) -> Periodic:
        return Periodic(seconds, work, log, failed, last=False, door=door)

    def count_crowds() -> None:
        counted = census.turn(vault, stopping.wait)
        if counted is not None and counted.unreadable:
            log.warning(Event.CENSUS_UNREADABLE, count=counted.unreadable)

    make = Maker(settings.database.render_as_string(hide_password=False), driver_environment()).make
    push = EventPush(vault, settings.issuer, log).turn
    return (
        Periodic(sealing.LOOK_SECONDS, door.look, log, Event.SEAL_UNREADABLE),
        Periodic(
            HOUSEKEEPING_SECONDS, lambda: keep_house(vault, settings.ledger_days), log, Event.STORE_LOST, last=False
        ),
        Periodic(
            HOUSEKEEPING_SECONDS, lambda: forget_details(vault, settings.detail_days), log, Event.STORE_LOST, last=False
        ),
        Periodic(watch.LOOK_SECONDS, bundles.look, log, Event.BUNDLE_UNREADABLE, last=False),
        behind_the_door(CONSENT_LOOK_SECONDS, lambda: end_consents(vault), Event.CONSENTS_FAILED),
        behind_the_door(census.TURN_SECONDS, count_crowds, Event.CENSUS_FAILED),
        behind_the_door(epochs.LOOK_SECONDS, Epochs(settings, vault).turn, Event.EPOCH_FAILED),
        behind_the_door(eventpush.LOOK_SECONDS, push, Event.EVENTS_FAILED),
        behind_the_door(retentions.LOOK_SECONDS, Retentions(settings, vault, log).turn, Event.RETENTION_FAILED),
        behind_the_door(REPORT_LOOK_SECONDS, lambda: make_reports(vault, stopping.is_set, make), Event.REPORTS_FAILED),
        *requestjobs.jobs(settings, vault, door, log),
        *vouching.jobs,  # last, so that what the others log at the end is signed too
    )


def end_consents(vault: Vault) -> None:
    """End what is over, if it is time and no other process does."""
    errands.run(vault, "consents", CONSENT_SECONDS, lambda: consentterms.sweep(vault), retry=CONSENT_RETRY_SECONDS)


def forget_details(vault: Vault, days: int) -> None:
    """Delete old details of entries, if it is time and no other process does."""
    work = partial(housekeeping.forget_details, vault, days)
    errands.run(vault, "details", DETAIL_SECONDS, work, retry=DETAIL_RETRY_SECONDS)


def make_reports(vault: Vault, stopping: Callable[[], bool], make: Make = runs.here) -> None:
    """Ask for what plans are due, and have one report after another made until none waits."""
    saved.queue_due(vault)
    while runs.turn(vault, stopping, make):
        pass


def keep_house(vault: Vault, ledger_days: int) -> None:
    """Record what was counted instead of logged, and forget what has expired."""
    trail.record_untold(vault)
    housekeeping.purge(vault)
    housekeeping.purge_ledger(vault, ledger_days)
