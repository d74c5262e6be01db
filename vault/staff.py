"""Members of a brand's staff: known by a keyed hash of the brand's own word for them, and by nothing else.

The brand states a word of its own (never a name, says the API) for whoever stands behind a request. The hash under the
vault's key is what budgets count by and what reports tell; nobody guesses a word from it without the key. In the log even
that hash appears only veiled, another value in each entry (`audit.pseudonym`).
"""

import re
from collections.abc import Iterable, Sequence
from typing import Final

from audit.pseudonym import MARK_SIZE
from vault.keys.service import KeyService

WORD: Final = re.compile(
    r"[A-Za-z0-9_.:-]{1,128}"
)  # what a brand's word looks like: a pseudonym it can resolve, no name
_HASHES: Final = "budget/staff"
VEILS: Final = "log/staff"  # label of the keys that `staff_keys` returns
_TOLD: Final = re.compile(r"[0-9a-f]{32}")


def staff_hashes(keys: KeyService, named: Sequence[tuple[str, str]]) -> list[str]:
    """Hash (brand, pseudonym of a member of staff) pairs under a key; an empty pseudonym stays empty. 32 hex digits."""
    wanted = list({each for each in named if each[1]})
    macs = keys.mac(_HASHES, [f"{brand}\x00{staff}".encode() for brand, staff in wanted]) if wanted else []
    hashed = {each: mac[:MARK_SIZE].hex() for each, mac in zip(wanted, macs, strict=True)}
    return [hashed.get(each, "") for each in named]


def staff_keys(keys: KeyService, brands: Iterable[str]) -> dict[str, bytes]:
    """Return the key under which each brand's staff is veiled in the log: 32 bytes. For the length of a unit or a report."""
    wanted = sorted(set(brands))
    macs = keys.mac(VEILS, [each.encode() for each in wanted]) if wanted else []
    return dict(zip(wanted, macs, strict=True))


def staff_told(keys: KeyService, brand: str, word: str) -> str:
    """Return how reports tell a member of staff, by the brand's own word for them; what is told so already stays so."""
    return word if _TOLD.fullmatch(word) else staff_hashes(keys, [(brand, word)])[0]
