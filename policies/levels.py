"""The ladder of disclosure levels (design §2). It is a ladder per field: not every field offers every rung."""

from enum import StrEnum


class Level(StrEnum):
    """How much of a field is disclosed, from least to most."""

    PRESENCE = "presence"
    PREDICATE = "predicate"
    GENERALISED = "generalised"
    MASKED = "masked"
    RAW = "raw"

    @property
    def rank(self) -> int:
        """0 for presence up to 4 for raw."""
        return _RANK[self]


_RANK = {level: rank for rank, level in enumerate(Level)}
