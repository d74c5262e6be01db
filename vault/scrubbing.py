"""Scrubbing the log in the background: a sample each hour, all of it each day; and the figures of the integrity panel.

A scrub that shows a fault is an entry and a line of the operational log; nothing is mended by itself.
"""

from dataclasses import dataclass
from typing import Final

from audit import ledger, scrub, stamped, witnessed
from audit.checkpoint import parse
from audit.entry import Act, Actor, ActorKind, Entry, Outcome
from audit.findings import Finding
from audit.note import split_note
from audit.scrub import FULL, SAMPLE, Scrub
from audit.tiles import TILE_WIDTH
from vault import logkeys
from vault.setup import log_origin
from vault.store.engine import translate
from vault.unit import Vault

LOOK_SECONDS: Final = 600.0
SAMPLE_EVERY: Final = 3600
FULL_EVERY: Final = 86_400
SAMPLED: Final = 16  # tiles of 256 entries


@dataclass(frozen=True, slots=True)
class Integrity:
    """What can be told of the log at a glance. Times are UTC seconds; None: never.

    `size` entries are there, of which `signed` lie under the newest checkpoint with its `root` (hexadecimal).
    `witnessed_size` and `witnessed_at` are of the newest quorum, `stamped_size` and `stamped_at` of the newest time stamp.
    """

    origin: str
    size: int
    signed: int
    root: str
    witnessed_size: int | None
    witnessed_at: int | None
    stamped_size: int | None
    stamped_at: int | None
    full_scrub: Scrub | None
    sample_scrub: Scrub | None

    @property
    def sound(self) -> bool:
        """Whether the last looks showed no fault; whoever shows it says when they were."""
        return not any(each is not None and each.faults for each in (self.full_scrub, self.sample_scrub))


def turn(vault: Vault, shard: int = 0) -> list[Finding]:
    """Scrub what is due, unless another process just did; return what was found."""
    now = vault.clock.now()
    with vault.reading() as conn:
        full, sample = (scrub.last_scrub(conn, shard, kind) for kind in (FULL, SAMPLE))
    if full is None or now - full.at >= FULL_EVERY:
        return run(vault, FULL, shard)
    if sample is None or now - sample.at >= SAMPLE_EVERY:
        return run(vault, SAMPLE, shard)
    return []


def run(vault: Vault, kind: str, shard: int = 0) -> list[Finding]:
    """Scrub now, keep the result, and put a full scrub, or any fault, on record (`log.scrubbed`)."""
    if kind == FULL:
        with vault.reading() as conn:
            keys = logkeys.known(vault, conn, shard)
        size, findings = scrub.scrub_all(vault.reading, shard, keys, log_origin(vault.origin, shard))
    else:
        size, findings = _sample(vault, shard)
    with translate(), vault.engine.connect() as conn, conn.begin():
        scrub.keep_scrub(conn, shard, kind, Scrub(vault.clock.now(), size, len(findings)))
    if kind == FULL or findings:
        outcome = Outcome.ERROR if findings else Outcome.ALLOW
        with vault.unit(shard) as uow:
            actor = Actor(ActorKind.VAULT, vault.deployment)
            uow.record(Entry(Act.LOG_SCRUBBED, outcome, actor, pol=(f"scrub.{kind}",), n=size))
            uow.commit()
    return findings


def integrity(vault: Vault, shard: int = 0) -> Integrity:
    """Return the figures of the integrity panel, from one snapshot.

    Raises `audit.errors.VerificationError` where the newest checkpoint does not even read: a panel that is not sound.
    """
    with vault.reading() as conn:
        head = ledger.head(conn, shard)
        note = ledger.latest_checkpoint(conn, shard)
        signed = None if note is None else parse(split_note(note).text)
        cosigned, stamp = witnessed.newest(conn, shard), stamped.newest(conn, shard)
        full, sample = (scrub.last_scrub(conn, shard, kind) for kind in (FULL, SAMPLE))
    return Integrity(
        head.origin,
        head.size,
        0 if signed is None else signed.size,
        "" if signed is None else signed.root.hex(),
        None if cosigned is None else cosigned.size,
        None if cosigned is None else cosigned.at,
        None if stamp is None else stamp.size,
        None if stamp is None else stamp.at,
        full,
        sample,
    )


def _sample(vault: Vault, shard: int) -> tuple[int, list[Finding]]:
    with vault.reading() as conn:
        note = ledger.latest_checkpoint(conn, shard)
    size = 0 if note is None else parse(split_note(note).text).size
    count = -(-size // TILE_WIDTH)
    if count <= SAMPLED:
        tiles = list(range(count))
    else:
        # Not a secret, but whoever flips a bit must not know which tiles will be looked at.
        drawn = vault.entropy.bytes(8 * SAMPLED)
        tiles = sorted({int.from_bytes(drawn[at : at + 8]) % count for at in range(0, len(drawn), 8)})
    looked_at = sum(min(TILE_WIDTH, size - tile * TILE_WIDTH) for tile in tiles)
    return looked_at, scrub.scrub_tiles(vault.reading, shard, size, tiles)
