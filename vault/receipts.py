"""Receipts: what a caller keeps to prove, later, that the log left its disclosure out.

A receipt is made from a `Commit` and from nothing else, so none exists for an entry that is not durable.
"""

from collections.abc import Sequence

from audit import receipt
from audit.receipt import Receipt
from vault.keys.service import SigningKey
from vault.setup import log_origin
from vault.unit import Commit, Vault


def issue(vault: Vault, commit: Commit, entry_ids: Sequence[bytes]) -> list[str]:
    """Sign one receipt per entry of the commit, in order, with one key-service call. Signed-note texts."""
    if not entry_ids:
        return []
    origin = log_origin(vault.origin, commit.shard)
    wanted = [Receipt(origin, entry_id, commit.leaves[entry_id], commit.at) for entry_id in entry_ids]
    public = vault.keys.public_key(SigningKey.RECEIPT)
    return receipt.issue(wanted, public, lambda messages: vault.keys.sign(SigningKey.RECEIPT, messages))
