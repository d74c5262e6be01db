"""The evidence bundles that hold what a pruning takes away: verified, and held against the log entry by entry."""

from collections.abc import Iterator, Sequence
from hashlib import file_digest
from pathlib import Path

from sqlalchemy import Connection

from audit import ledger
from audit.archive import read_archive
from audit.bundlecheck import BEFORE_THE_RANGE
from audit.errors import CannotDecide, VerificationError
from audit.merkle import leaf_hash
from audit.tiles import TILE_WIDTH, parse_path, unpack_bundle
from audit.verify import verify_bundle
from vault.errors import Conflict
from vault.pruningbounds import Plan
from vault.unit import Vault


def check(vault: Vault, plan: Plan, archives: Sequence[Path], vkeys: Sequence[str]) -> list[str]:
    """Return the SHA-256 (hexadecimal) of each bundle; together they hold every entry that a plan takes away.

    `vkeys` are the verifier keys of the log and of the seal. Raises `Conflict` for a bundle that does not verify, and when an
    entry is in none of them.
    """
    held: set[int] = set()
    digests = []
    with vault.reading() as conn:
        for path in archives:
            _verified(path, vkeys)
            held.update(_tiles_held(conn, plan, path))
            with path.open("rb") as file:
                digests.append(file_digest(file, "sha256").hexdigest())
    wanted = range(plan.kept // TILE_WIDTH, plan.first // TILE_WIDTH)
    missing = next((tile for tile in wanted if tile not in held), None)
    if missing is not None:
        raise Conflict(f"entries from {missing * TILE_WIDTH} on are in no evidence bundle that was given")
    return digests


def _verified(path: Path, vkeys: Sequence[str]) -> None:
    try:
        result = verify_bundle(path, vkeys)
    except (CannotDecide, VerificationError) as error:
        raise Conflict(f"{path.name}: {error}") from None
    told = [*(each.message for each in result.findings), *(each for each in result.doubts if each != BEFORE_THE_RANGE)]
    if told:
        raise Conflict(f"{path.name} does not verify: {told[0]}")


def _tiles_held(conn: Connection, plan: Plan, path: Path) -> Iterator[int]:
    """Give the full bundles of entries in an archive that are, hash by hash, those of the log."""
    for name, content in read_archive(path):
        if not name.startswith("tile/entries/"):
            continue
        at = parse_path(name)
        start = at.index * TILE_WIDTH
        if at.width == TILE_WIDTH and plan.kept <= start < plan.first:
            leaves = [each.leaf for each in ledger.read(conn, plan.shard, start, TILE_WIDTH)]
            if [leaf_hash(body) for body in unpack_bundle(content)] != leaves:
                raise Conflict(f"{path.name} holds other entries than the log from {start} on")
            yield at.index
