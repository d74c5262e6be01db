"""Receipts: what a caller keeps to prove, later, that the log left its disclosure out.

A receipt is made from a `Commit` and from nothing else, so none exists for an entry that is not durable.
"""

from collections.abc import Sequence

from audit import receipt
from audit.receipt import Promised, Receipt
from vault.keys.service import SigningKey
from vault.setup import log_origin
from vault.unit import Commit, UnitOfWork


def issue(uow: UnitOfWork, commit: Commit, answers: Sequence[Sequence[bytes]]) -> list[str]:
    """Sign one receipt per answer, with one key-service call; in order, as signed-note texts.

    An answer is the ids of the entries that it rests on, committed by `uow`; one at least.
    """
    if not answers:
        return []
    keys = uow.vault.keys
    origin = log_origin(uow.vault.origin, uow.shard)
    wanted = [
        Receipt(origin, tuple([Promised(entry_id, commit.leaf(entry_id)) for entry_id in entry_ids]), uow.now)
        for entry_ids in answers
    ]
    return receipt.issue(
        wanted, keys.public_key(SigningKey.RECEIPT), lambda messages: keys.sign(SigningKey.RECEIPT, messages)
    )
