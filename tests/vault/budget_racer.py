"""One process of a race for a budget: prints `r` when ready, runs at the first line of input, prints how many fitted."""

import sys
from types import SimpleNamespace

from vault import budgets, systems
from vault.budgets import Looked
from vault.runtime import SystemEntropy
from vault.store.engine import open_engine
from vault.unit import Vault


def main():
    url, now, number = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    clock = SimpleNamespace(now=lambda: now)
    vault = Vault(open_engine(url), None, None, clock=clock, entropy=SystemEntropy(), deployment="t", origin="t")
    with vault.reading() as conn:
        till = systems.get(conn, "till")
    sys.stdout.write("r")
    sys.stdout.flush()
    sys.stdin.readline()
    fitted = 0
    for each in range(20):
        with vault.unit() as unit:
            subject = (number * 1000 + each).to_bytes(16)
            fitted += budgets.charge(unit, [Looked(till, subject, "", "", 7, 1)]) == [None]
            unit.commit()
    sys.stdout.write(str(fitted))


main()
