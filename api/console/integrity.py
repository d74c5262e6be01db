"""The integrity panel: what is claimed about the log, and a verdict that is computed anew while the reader waits.

Green is shown for nothing else: the page that is opened says what was signed when, and only the answer to the button,
which reads every entry and checks every checkpoint (`audit.verify`), says whether it holds.
"""

import time
from typing import Final

from starlette.responses import Response

from api.console.visit import Visit
from audit.entry import Act, Entry, Outcome
from audit.errors import VerificationError
from audit.findings import Verdict
from audit.reports.lines import Vouched, vouched
from vault import evidence, logkeys
from vault.scrubbing import Integrity, integrity

_MOST_FINDINGS: Final = 50


def page(visit: Visit) -> Response:
    """Show what is claimed."""
    return _shown(visit, None, 0.0)


def recompute(visit: Visit) -> Response:
    """Verify the whole log now, and say what came out."""
    vault, settings = visit.unsealed(), visit.services.settings
    begun = time.perf_counter()
    notes = evidence.outside_notes(vault, settings.checkpoint_file)
    result = evidence.verify(vault, 0, notes[0])
    visit.record(Entry(Act.AUDIT_VIEWED, Outcome.ALLOW, visit.actor, pol=("audit.verified",), n=result.size))
    return _shown(visit, result, time.perf_counter() - begun)


def _shown(visit: Visit, result: object, seconds: float) -> Response:
    logs: tuple[Vouched, ...] = ()
    looks: dict[int, Integrity] = {}
    try:
        with visit.vault.reading() as conn:
            logs = vouched(conn)
        looks = {each.shard: integrity(visit.vault, each.shard) for each in logs}
        unread = False
    except VerificationError:  # the newest checkpoint is no checkpoint: the one moment when this page must open
        unread = True
    keys = {}
    if visit.services.sealing is None or visit.services.sealing.open:
        for each in logs:
            keys[each.shard] = [one.key.vkey for one in logkeys.shown(visit.vault, each.shard) if one.in_use]
    return visit.page(
        "integrity.html", logs=logs, looks=looks, unread=unread, keys=keys, result=result, seconds=seconds,
        fine=Verdict.FINE, most=_MOST_FINDINGS,
    )  # fmt: skip
