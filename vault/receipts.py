"""Receipts: what a caller keeps to prove, later, that the log left its disclosure out.

A receipt is made from a `Commit`, or from an entry that was read back, so none exists for an entry that is not durable.
"""

from collections.abc import Sequence

from audit import receipt
from audit.ledger import Record
from audit.merkle import leaf_hash
from audit.note import vkey
from audit.receipt import Promised, Receipt, receipt_key_name
from vault.keys.service import SigningKey
from vault.setup import log_origin
from vault.unit import Commit, UnitOfWork, Vault


def issue(uow: UnitOfWork, commit: Commit, answers: Sequence[Sequence[bytes]]) -> list[str]:
    """Sign one receipt per answer, with one key-service call; in order, as signed-note texts.

    An answer is the ids of the entries that it rests on, committed by `uow`; one at least.
    """
    promised = [[Promised(entry_id, commit.leaf(entry_id)) for entry_id in entry_ids] for entry_ids in answers]
    return _signed(uow.vault, uow.shard, promised, uow.now)


def anew(vault: Vault, records: Sequence[Record], shard: int = 0) -> list[str]:
    """Sign a receipt for each entry that was read back from the log: durable, or it could not be read."""
    return _signed(
        vault, shard, [[Promised(each.entry_id, leaf_hash(each.body))] for each in records], vault.clock.now()
    )


def verifier_key(vault: Vault, shard: int = 0) -> str:
    """Return the key that receipts verify under, as a signed-note verifier key."""
    return vkey(receipt_key_name(log_origin(vault.origin, shard)), vault.keys.public_key(SigningKey.RECEIPT))


def _signed(vault: Vault, shard: int, promised: Sequence[Sequence[Promised]], now: int) -> list[str]:
    if not promised:
        return []
    keys = vault.keys
    origin = log_origin(vault.origin, shard)
    return receipt.issue(
        [Receipt(origin, tuple(each), now) for each in promised],
        keys.public_key(SigningKey.RECEIPT),
        lambda messages: keys.sign(SigningKey.RECEIPT, messages),
    )
