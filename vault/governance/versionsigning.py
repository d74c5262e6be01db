"""Who signs policy versions as what, and how the log names them. An approver other than the author signs or refuses."""

from enum import StrEnum
from typing import Final

from vault.governance.signatures import Matter, Thing
from vault.officers import Role


class Part(StrEnum):
    """As what an officer signs."""

    AUTHOR = "author"
    APPROVER = "approver"
    REFUSAL = "refusal"


BOTH: Final = frozenset({Part.AUTHOR, Part.APPROVER})
POLICY: Final = Matter(
    "policy",
    {
        Part.AUTHOR: frozenset({Role.COMPLIANCE}),
        Part.APPROVER: frozenset({Role.APPROVER}),
        Part.REFUSAL: frozenset({Role.APPROVER}),
    },
    {Part.APPROVER: frozenset({Part.AUTHOR}), Part.REFUSAL: frozenset({Part.AUTHOR})},
    founders=True,
)


def version_of(number: int, digest: bytes) -> Thing:
    """Name a version, with the hash of its files, for a signature."""
    return Thing(POLICY, str(number), digest)


def said_of(number: int, digest: bytes) -> tuple[str, ...]:
    """Name a version as the log's entries do."""
    return f"bundle:{digest.hex()}", f"version:{number}"
