"""As a script: a process that re-keys everything of a deployment, a row at a time, and says after each unit how far it is.

Arguments: database, keystore, folder of root keys. Made to be killed.
"""

import sys
from pathlib import Path

from vault.keys.local import KeyFileProvider
from vault.rotation.rekeying import rekey_all
from vault.runtime import SystemClock, SystemEntropy
from vault.setup import Place, open_vault


def main():
    url, keystore, roots = sys.argv[1:]
    place = Place(url, Path(keystore), KeyFileProvider(Path(roots), SystemEntropy()))
    vault = open_vault(place, None, clock=SystemClock(), entropy=SystemEntropy())
    for told in rekey_all(vault, rows=1):
        sys.stdout.write(f"{told.last} {told.done}\n")
        sys.stdout.flush()
        sys.stdin.readline()  # the next unit when we are told to


if __name__ == "__main__":
    main()
