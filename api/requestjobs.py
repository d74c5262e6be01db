"""What requests of data subjects need done beside the routes: letters carried, erasures followed, leaves let go."""

from typing import Final

from api.observability.events import Event
from api.observability.logs import Log
from api.periodic import Periodic
from api.post import carrier
from api.post.carrier import Carrier, Port
from api.post.terminal import Terminal
from api.post.ways import read_ways
from api.sealing import Sealing
from api.settings import Settings
from vault.leftleaves import retire_left
from vault.requests import erasing
from vault.requests.codes import CHANNELS
from vault.unit import Vault

FOLLOW_SECONDS: Final = 60.0


def jobs(settings: Settings, vault: Vault, door: Sealing, log: Log) -> tuple[Periodic, ...]:
    """Return the jobs, not started. Raises `InvalidPost` for a file that does not say how to send letters."""
    carrying = Carrier(vault, ports(settings), log, f"{settings.portal_url}/me")

    def follow() -> None:
        retire_left(vault)
        erasing.follow(vault)

    return (
        Periodic(carrier.LOOK_SECONDS, carrying.turn, log, Event.LETTERS_FAILED, last=False, door=door),
        Periodic(FOLLOW_SECONDS, follow, log, Event.REQUESTS_FAILED, last=False, door=door),
    )


def ports(settings: Settings) -> dict[str, Port]:
    """Return the ways out that are set up, by the kind of address they take."""
    if settings.post_terminal:
        return dict.fromkeys(CHANNELS, Terminal())
    return {} if settings.post_file is None else read_ways(settings.post_file)
