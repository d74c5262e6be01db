"""Reads whom a calling system names behind a request: the `Ecrin-Staff` header, on every route that takes its token.

A pseudonym of the brand's own, in the form that a request for a disclosure token names one (`api.rar`). From here it goes
no further than to be hashed under the vault's key: into budgets, and veiled into the entries of what the request does.
"""

from collections.abc import Sequence
from typing import Final

from vault.errors import Refused
from vault.staff import WORD

HEADER: Final = "Ecrin-Staff"


def named(values: Sequence[str]) -> str | Refused:
    """Return the pseudonym among the values of all such headers; empty where there is none, `invalid_staff` for two."""
    if not values:
        return ""
    if len(values) > 1 or not WORD.fullmatch(values[0]):
        return Refused("invalid_staff")
    return values[0]


def agreed(header: str, body: str) -> str | Refused:
    """Return who stands behind a request that may say so in both places; `staff_mismatch` for two people."""
    if header and body and header != body:
        return Refused("staff_mismatch")
    return header or body
