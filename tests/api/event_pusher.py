"""A process that tells what is due, once. It is killed in the middle of it."""

import sys
from pathlib import Path
from types import SimpleNamespace

from api.eventpush import EventPush
from api.observability.logs import Log
from vault.keys.local import KeyFileProvider
from vault.runtime import SystemEntropy
from vault.setup import Place, open_vault


def main():
    url, keystore, roots, now = sys.argv[1:]
    clock = SimpleNamespace(now=lambda: int(now))
    place = Place(url, Path(keystore), KeyFileProvider(Path(roots), SystemEntropy()))
    vault = open_vault(place, None, clock=clock, entropy=SystemEntropy())
    EventPush(vault, "https://vault.example", Log(clock)).turn()


main()
