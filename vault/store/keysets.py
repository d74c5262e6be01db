"""Sets of keys as statement parameters, without a new statement text for each size.

An expanding `IN (…)` has another text for each number of keys. Every driver keeps prepared statements by text, so a
hot path whose batches vary in size would prepare anew almost each time. Sizes are rounded up to a power of two by
repeating the last key, which changes no answer of `IN` and none of `ON CONFLICT DO NOTHING`.
"""

from collections.abc import Sequence
from typing import TypeVar

T = TypeVar("T")


def padded(keys: Sequence[T]) -> list[T]:
    """Repeat the last of `keys` until their number is a power of two. Empty stays empty."""
    count = len(keys)
    if not count:
        return []
    return [*keys, *[keys[-1]] * ((1 << (count - 1).bit_length()) - count)]
