"""The jobs of a serving process that keep its log vouched for: by its own signature, and by others."""

from time import monotonic

from api.observability.events import Event
from api.observability.logs import Log
from api.periodic import Door, Periodic
from api.settings import Settings
from api.timestamps import Timestamps
from api.witnesses import Witnesses
from vault import clockwatch, evidence, scrubbing, timestamping
from vault.clockwatch import ClockWatch
from vault.unit import Vault


class Vouching:
    """Composes the jobs as the settings say. `witnesses` is None where the log has none."""

    def __init__(self, settings: Settings, vault: Vault, door: Door, log: Log) -> None:
        def sign() -> None:
            evidence.vouch(vault, settings.checkpoint_file, settings.publish_folder)

        def mirror() -> None:
            evidence.mirror_behind(vault)

        def beat() -> None:
            clockwatch.heartbeat_due(vault)

        def scrub() -> None:
            if found := scrubbing.turn(vault):
                log.error(Event.SCRUB_FOUND, count=len(found))

        clock = ClockWatch(vault, monotonic)
        self.witnesses: Witnesses | None = None
        jobs = [
            Periodic(clockwatch.LOOK_SECONDS, clock.look, log, Event.CLOCK_UNREADABLE, last=False),
            Periodic(clockwatch.HEARTBEAT_LOOK_SECONDS, beat, log, Event.HEARTBEAT_FAILED, last=False, door=door),
            Periodic(scrubbing.LOOK_SECONDS, scrub, log, Event.SCRUB_FAILED, last=False, door=door),
            Periodic(settings.checkpoint_seconds, sign, log, Event.CHECKPOINT_REFUSED, door=door),
        ]
        if settings.log_mirror is not None:
            jobs.append(Periodic(settings.checkpoint_seconds, mirror, log, Event.MIRROR_FAILED, door=door))
        if settings.witness_policy is not None:
            self.witnesses = Witnesses(vault, settings.witness_policy, log, second=settings.log_ml_dsa)
            asks = self.witnesses.turn
            jobs.append(Periodic(settings.witness_seconds, asks, log, Event.WITNESSES_FAILED, last=False, door=door))
        if settings.timestamp_url and settings.timestamp_roots is not None:
            stamp = Timestamps(vault, settings.timestamp_url, settings.timestamp_roots).turn
            jobs.append(Periodic(timestamping.TURN_SECONDS, stamp, log, Event.TIMESTAMP_FAILED, last=False, door=door))
        self.jobs = tuple(jobs)
