"""Receipts: what a caller keeps to prove, later, that the log left its disclosure out.

A receipt is made from a `Commit` and from nothing else, so none exists for an entry that is not durable.
"""

from collections.abc import Sequence

from audit import receipt
from audit.receipt import Receipt
from vault.keys.service import SigningKey
from vault.setup import log_origin
from vault.unit import Commit, UnitOfWork


def issue(uow: UnitOfWork, commit: Commit, entry_ids: Sequence[bytes]) -> list[str]:
    """Sign one receipt per entry that `uow` committed, in order, with one key-service call. Signed-note texts."""
    if not entry_ids:
        return []
    keys = uow.vault.keys
    origin = log_origin(uow.vault.origin, uow.shard)
    wanted = [Receipt(origin, entry_id, commit.leaf(entry_id), uow.now) for entry_id in entry_ids]
    return receipt.issue(
        wanted, keys.public_key(SigningKey.RECEIPT), lambda messages: keys.sign(SigningKey.RECEIPT, messages)
    )
