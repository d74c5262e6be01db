"""The audit log by itself: appending durably, verifying a million entries, giving tiles, scrubbing.

Entries are appended through units of work as every act does it, each unit durable before the next begins. What is verified
is a log of entries of several kinds, read from memory: hashing and checking, without the disk.
"""

import hashlib
import time
from collections.abc import Callable

from api import bootstrap
from audit.checkpoint import Checkpoint
from audit.checkpoint import format as checkpoint_text
from audit.entry import Act, Actor, ActorKind, Entry, Outcome, encode, sref
from audit.findings import Verdict as Found
from audit.merkle import Frontier, leaf_hash
from audit.note import sign_note, vkey
from audit.scrub import FULL
from audit.stored import StoredCheckpoint, StoredEntry, StoredLog
from audit.tiles import Place
from audit.verify import verify_log
from tests.bench.deployments import Deployment
from tests.bench.report import Line, Verdict
from vault import evidence, scrubbing
from vault.unit import Vault

ORIGIN = "bench.example/audit"
START = 1_790_000_000
SYSTEM = Actor(ActorKind.SYSTEM, "bench-pos")
SHOWN = Entry(
    Act.FIELD_DISCLOSED,
    Outcome.ALLOW,
    SYSTEM,
    fld=("birth_date:generalised", "phone:masked", "ring_size:raw"),
    pur="clienteling.in_store",
    bas="consent",
    pol=("clienteling.contact_hint", "clienteling.dates"),
    req=bytes(16),
)
KEY = bytes(range(32))
VERIFIED, QUICK_VERIFIED = 1_000_000, 20_000
VERIFY_SECONDS = 15.0  # design §12, for a million
VERIFY_AIM = 6.0


def measure(deployment: Deployment, *, quick: bool) -> list[Line]:
    """Append to, give tiles of and scrub one engine's log."""
    vault = bootstrap.open_from(deployment.settings)
    try:
        seconds = 0.5 if quick else 5.0
        lines = [_appends(vault, size, seconds) for size in (1, 64, 256)]
        evidence.sign_checkpoints(vault, deployment.settings.checkpoint_file)
        lines += _tiles(vault, seconds)
        begun = time.perf_counter()
        scrubbing.run(vault, FULL)
        size = scrubbing.integrity(vault).signed
        lines.append(Line("full scrub", size / (time.perf_counter() - begun), "entries/s", extra={"entries": size}))
        return lines
    finally:
        vault.close()


def verifying(*, quick: bool) -> list[Line]:
    """Verify a whole log offline."""
    count = QUICK_VERIFIED if quick else VERIFIED
    log, key = _log(count)
    begun = time.perf_counter()
    result = verify_log(log, [key])
    taken = time.perf_counter() - begun
    if result.verdict is not Found.FINE:
        raise RuntimeError("the log that was made does not verify")
    scaled = taken * 1_000_000 / count
    bound = Verdict("s for a million", scaled, VERIFY_SECONDS, at_most=True, ratio=False)
    return [
        Line(
            f"verify {count:,} entries offline",
            taken,
            "s",
            [bound],
            aim=VERIFY_AIM * count / 1_000_000,
            aim_at_most=True,
        )
    ]


def _appends(vault: Vault, batch: int, seconds: float) -> Line:
    def unit() -> None:
        with vault.unit() as uow:
            for _ in range(batch):
                uow.record(SHOWN, log_key=KEY)
            uow.commit()

    rate, times = _repeat(unit, seconds)
    times.sort()
    name = "append, one entry a unit" if batch == 1 else f"append, {batch} entries a unit"
    p50, p99 = times[len(times) // 2] * 1e3, times[int(len(times) * 0.99)] * 1e3
    return Line(name, rate * batch, "entries/s", p50_ms=p50, p99_ms=p99)


def _tiles(vault: Vault, seconds: float) -> list[Line]:
    lines = []
    for place, name in ((Place(0, 0, 256), "hash tile, level 0"), (Place(1, 0, 1), "hash tile, level 1")):
        if evidence.hash_tile(vault, place) is None:
            continue
        rate, _ = _repeat(lambda place=place: evidence.hash_tile(vault, place), seconds)
        lines.append(Line(name, rate, "/s"))
    return lines


def _repeat(act: Callable[[], object], seconds: float) -> tuple[float, list[float]]:
    for _ in range(5):
        act()
    times = []
    begun = time.perf_counter()
    while (now := time.perf_counter()) - begun < seconds:
        act()
        times.append(time.perf_counter() - now)
    return len(times) / (time.perf_counter() - begun), times


def _log(count: int) -> tuple[StoredLog, str]:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    private = Ed25519PrivateKey.generate()

    class Signer:
        name = ORIGIN
        public_key = private.public_key().public_bytes_raw()
        sign = staticmethod(private.sign)

    entries = []
    leaves = []
    for number in range(count):
        identifier = hashlib.sha256(number.to_bytes(8)).digest()[:16]
        body = encode(SHOWN, identifier, START + number // 100, sref(KEY, identifier))
        leaf = leaf_hash(body)
        entries.append(StoredEntry(number, body, leaf, identifier))
        leaves.append(leaf)
    grown = Frontier().extend(leaves)
    note = sign_note(checkpoint_text(Checkpoint(ORIGIN, count, grown.root())), (Signer(),))
    signed = (StoredCheckpoint(count, note, grown.pack()),)
    return StoredLog(0, ORIGIN, count, grown.pack(), signed, entries), vkey(ORIGIN, Signer.public_key)
