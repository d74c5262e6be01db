"""The keys that sign the log: which are in use, how a new one comes in, and how the one before ends.

A change is a row and an entry in one unit of work: `log.key_added` when the new key comes in, `log.key_retired` when the one
before ends. In between every checkpoint carries both lines, so that whoever holds either key goes on verifying while the
new one is handed round. The one before does not end before a checkpoint carries both.

The private keys are derived, generation by generation, where the service's keys lie (`KeyService.sign`); here is only which
generation signs. So a database brought back from backup cannot lose a key: it is told by the checkpoint kept outside it
which key signed last, and goes on from that one.

Each shard's log has its own changes: its readers know nothing of another shard's entries.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from sqlalchemy import Connection, insert, select, update

from audit import keychange, ledger, succession
from audit.checkpoint import Checkpoint, parse
from audit.entry import Act, Actor, ActorKind, Entry, Outcome
from audit.errors import VerificationError
from audit.note import Signer, VerifierKey, key_id, split_note
from audit.tables import metadata
from vault.errors import Conflict
from vault.keys.service import FIRST_GENERATION, LAST_GENERATION, KeyService, SigningKey
from vault.setup import log_origin
from vault.unit import UnitOfWork, Vault

DAY: Final = 86_400
LEAST_DAYS: Final = 1

_KEYS: Final = metadata.tables["log_key"]


class LogSigner:
    """Signs checkpoints of one log with one generation of the log key, under the log's origin (audit.note.Signer)."""

    def __init__(self, keys: KeyService, name: str, generation: int = FIRST_GENERATION) -> None:
        self._keys = keys
        self.name = name
        self.generation = generation
        self.public_key = keys.public_key(SigningKey.LOG, generation)

    def sign(self, message: bytes) -> bytes:
        """Return the 64-byte Ed25519 signature."""
        return self._keys.sign(SigningKey.LOG, [message], self.generation)[0]


@dataclass(frozen=True, slots=True)
class Change:
    """A change to `generation`: from `began_at` on; the key before ends at `ends_at`, or has at `ended_at` (UTC seconds)."""

    generation: int
    began_at: int
    ends_at: int
    ended_at: int | None


@dataclass(frozen=True, slots=True)
class KnownKey:
    """One key of a log as it is shown: from when it signs (None: from the beginning), and until when (None: no end is set)."""

    generation: int
    key: VerifierKey
    since: int | None
    until: int | None
    in_use: bool


def changes(conn: Connection, shard: int) -> list[Change]:
    """Return the changes of a log's key, oldest first."""
    columns = (_KEYS.c.generation, _KEYS.c.began_at, _KEYS.c.ends_at, _KEYS.c.ended_at)
    rows = conn.execute(select(*columns).where(_KEYS.c.shard == shard).order_by(_KEYS.c.generation))
    return [Change(*row) for row in rows]


def in_use(conn: Connection, shard: int) -> tuple[int, ...]:
    """Return the generations that sign a log now, oldest first: one, or two during a change."""
    made = changes(conn, shard)
    if not made:
        return (FIRST_GENERATION,)
    last = made[-1]
    return (last.generation,) if last.ended_at is not None else (_before(made), last.generation)


def signers(vault: Vault, conn: Connection, shard: int) -> list[Signer]:
    """Return who signs a log now, oldest first."""
    name = log_origin(vault.origin, shard)
    return [LogSigner(vault.keys, name, each) for each in in_use(conn, shard)]


def known(vault: Vault, conn: Connection, shard: int, name: str | None = None) -> list[VerifierKey]:
    """Return every key that a log was ever signed with, newest first; `name` is that of a log that was closed."""
    spelt = log_origin(vault.origin, shard) if name is None else name
    newest = max(in_use(conn, each)[-1] for each in range(vault.shards))
    return [_key(vault, spelt, each) for each in range(newest, FIRST_GENERATION - 1, -1)]


def shown(vault: Vault, shard: int = 0) -> list[KnownKey]:
    """Return every key of a log for people to compare, newest first."""
    with vault.reading() as conn:
        made = {each.generation: each for each in changes(conn, shard)}
        using = in_use(conn, shard)
    name = log_origin(vault.origin, shard)
    found = []
    ends: Change | None = None  # the change that ends the generation looked at
    for generation in range(using[-1], FIRST_GENERATION - 1, -1):
        began = made.get(generation)
        since = None if began is None else began.began_at
        until = None if ends is None else ends.ended_at or ends.ends_at
        found.append(KnownKey(generation, _key(vault, name, generation), since, until, generation in using))
        ends = began or ends
    return found


def rotate(vault: Vault, days: int, by: Actor) -> int:
    """Bring in a new key for every shard's log, both signing for `days`; return its generation.

    A rotation that a crash cut off between two shards is carried on: those that lag behind follow, and no further key
    comes in. Raises `Conflict` while the last change has not ended, and where there can be no further generation.
    """
    if days < LEAST_DAYS:
        raise Conflict("both keys sign for a day at least")
    with vault.reading() as conn:
        using = [in_use(conn, shard) for shard in range(vault.shards)]
    newest = max(each[-1] for each in using)
    lagging = [shard for shard, each in enumerate(using) if each[-1] < newest]
    target = newest if lagging else newest + 1
    if target > LAST_GENERATION:
        raise Conflict("the log has had as many keys as it can have")
    for shard in lagging or range(vault.shards):
        with vault.unit(shard) as uow:
            _add(uow, target, uow.now + days * DAY, by)
            uow.commit()
    return target


def retire_due(vault: Vault) -> int:
    """End keys whose time is over, once a checkpoint carries the new key's line too; return how many logs had one.

    For every process, each time it has signed: the row decides who does it.
    """
    ended = 0
    for shard in range(vault.shards):
        with vault.reading() as conn:
            made = changes(conn, shard)
            over = bool(made) and made[-1].ended_at is None and made[-1].ends_at <= vault.clock.now()
            if not over or not _carried(vault, conn, shard, made[-1].generation):
                continue
        with vault.unit(shard) as uow:
            if _end(uow, made[-1].generation, _before(made)):
                uow.commit()
                ended += 1
    return ended


def publics(vault: Vault, conn: Connection, shard: int, note: str) -> list[bytes]:
    """Return the log's public keys, newest first: those these data know of, and those that a note of ours tells of."""
    newest = max(in_use(conn, shard)[-1], signed_by(vault, note))
    return [vault.keys.public_key(SigningKey.LOG, each) for each in range(newest, FIRST_GENERATION - 1, -1)]


def signed_by(vault: Vault, note: str) -> int:
    """Return the newest generation whose line a note bears, by name and id; the first if it bears none. Checks nothing."""
    try:
        origin = parse(split_note(note).text).origin
    except VerificationError:
        return FIRST_GENERATION
    borne = (each for each in range(LAST_GENERATION, FIRST_GENERATION, -1) if _bears(vault, note, origin, each))
    return next(borne, FIRST_GENERATION)


def take_over(uow: UnitOfWork, outside: str | None) -> Checkpoint | None:
    """Return the last state of a log that was signed, by the note kept outside or else by the database, before its succession.

    The successor goes on with the newest key that signed it, which a database that was brought back may not know of. Keys
    that did not sign it any more are over; no entry says so: the log that they signed has ended, and its successor has a
    name of its own, and so verifier keys of its own. Raises `SigningRefused` for a note that no key of ours signed.
    """
    note = outside or ledger.latest_checkpoint(uow.conn, uow.shard)
    if note is None:
        return None
    last = succession.open_note(note, publics(uow.vault, uow.conn, uow.shard, note))
    _adopt(uow, note)
    return last


def _adopt(uow: UnitOfWork, note: str) -> None:
    newest, using = signed_by(uow.vault, note), in_use(uow.conn, uow.shard)
    if newest < using[-1] or newest == FIRST_GENERATION:
        return
    origin = parse(split_note(note).text).origin
    if newest > using[-1] or not _bears(uow.vault, note, origin, using[0]):
        open_ones = (_KEYS.c.shard == uow.shard, _KEYS.c.ended_at.is_(None))
        uow.conn.execute(update(_KEYS).where(*open_ones).values(ended_at=uow.now))
    if newest > using[-1]:
        row = {"shard": uow.shard, "generation": newest}
        uow.conn.execute(insert(_KEYS), row | dict.fromkeys(("began_at", "ends_at", "ended_at"), uow.now))


def _add(uow: UnitOfWork, generation: int, ends_at: int, by: Actor) -> None:
    using = in_use(uow.conn, uow.shard)
    if len(using) > 1:
        raise Conflict("a change of the log's key is under way")
    if using[-1] >= generation:
        raise Conflict("another process brings in a key")
    row = {"shard": uow.shard, "generation": generation, "began_at": uow.now, "ends_at": ends_at, "ended_at": None}
    uow.conn.execute(insert(_KEYS), row)
    _record(uow, Act.LOG_KEY_ADDED, by, generation, using[-1], ends_at)


def _end(uow: UnitOfWork, generation: int, before: int) -> bool:
    mine = (_KEYS.c.shard == uow.shard, _KEYS.c.generation == generation, _KEYS.c.ended_at.is_(None))
    if not uow.conn.execute(update(_KEYS).where(*mine).values(ended_at=uow.now)).rowcount:
        return False
    _record(uow, Act.LOG_KEY_RETIRED, Actor(ActorKind.VAULT, uow.vault.deployment), generation, before, None)
    return True


def _record(uow: UnitOfWork, act: Act, by: Actor, generation: int, before: int, until: int | None) -> None:
    key, old = (uow.vault.keys.public_key(SigningKey.LOG, each) for each in (generation, before))
    uow.record(Entry(act, Outcome.ALLOW, by, pol=keychange.spelt(key, old, until)))


def _key(vault: Vault, name: str, generation: int) -> VerifierKey:
    public = vault.keys.public_key(SigningKey.LOG, generation)
    return VerifierKey(name, key_id(name, public), public)


def _before(made: Sequence[Change]) -> int:
    return made[-2].generation if len(made) > 1 else FIRST_GENERATION


def _carried(vault: Vault, conn: Connection, shard: int, generation: int) -> bool:
    note = ledger.latest_checkpoint(conn, shard)
    return note is not None and _bears(vault, note, log_origin(vault.origin, shard), generation)


def _bears(vault: Vault, note: str, origin: str, generation: int) -> bool:
    """Tell whether a note has a line of this generation, by name and id."""
    ours = _key(vault, origin, generation)
    return any((line.name, line.key_id) == (ours.name, ours.key_id) for line in split_note(note).unverified)
