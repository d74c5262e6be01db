"""Roots whose secret nobody has brought: what a process has where people, and no file, hold what opens them."""

from pathlib import Path
from typing import NoReturn

from vault.errors import Sealed
from vault.keys.local import KeyFileProvider
from vault.keys.provider import RootStatus, checked_ref
from vault.keys.rootfolder import RootFolder


class WithheldProvider:
    """Tells the status of the roots of a folder, and opens, makes and destroys none."""

    capabilities = KeyFileProvider.capabilities

    def __init__(self, folder: Path) -> None:
        self._files = RootFolder(folder)

    def create(self, ref: str) -> NoReturn:
        """Raise Sealed."""
        _refuse(ref)

    def wrap(self, ref: str, key: bytes, context: bytes) -> NoReturn:  # noqa: ARG002
        """Raise Sealed."""
        _refuse(ref)

    def unwrap(self, ref: str, wrapped: bytes, context: bytes) -> NoReturn:  # noqa: ARG002
        """Raise Sealed."""
        _refuse(ref)

    def destroy(self, ref: str) -> NoReturn:
        """Raise Sealed."""
        _refuse(ref)

    def status(self, ref: str) -> RootStatus:
        """Tell from the folder."""
        return RootStatus(self._files.state(ref))


def _refuse(ref: str) -> NoReturn:
    checked_ref(ref)
    raise Sealed("nobody has brought what opens the root")
