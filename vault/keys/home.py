"""Where a keystore lives: a file of this host, or a PostgreSQL database that several hosts share."""

from collections.abc import Iterable
from pathlib import Path

from sqlalchemy.engine import URL

from vault.keys import pagefile
from vault.keys.pagestore import PageRow, PageStore, Rows
from vault.runtime import Entropy

Home = Path | URL


def open_store(home: Home) -> PageStore:
    """Open the keystore there. Raises Sealed when there is none, UnsafeFile or UnsafeSetting, StoreUnavailable."""
    if isinstance(home, Path):
        return pagefile.PageFile(home)
    from vault.keys.pagebase import PageBase  # noqa: PLC0415 - no driver is loaded that is not used

    return PageBase(home)


def holds_keystore(home: Home) -> bool:
    """Whether a keystore is there. Raises UnsafeSetting or StoreUnavailable."""
    if isinstance(home, Path):
        return home.exists()
    from vault.keys.pagebase import base_holds_keystore  # noqa: PLC0415

    return base_holds_keystore(home)


def create_store(home: Home, rows: Rows, pages: Iterable[PageRow], entropy: Entropy) -> bool:
    """Write a whole new keystore there, complete or not at all. False, changing nothing, if there is one."""
    if isinstance(home, Path):
        return pagefile.create_file(home, entropy.bytes(8).hex(), rows, pages)
    from vault.keys.pagebase import create_base  # noqa: PLC0415

    return create_base(home, rows, pages)
