"""The key service of a vault that is not open yet: every verb is Sealed. A serving process begins with it."""

from typing import NoReturn, cast

from vault.errors import Sealed
from vault.keys.service import KeyService, KeyState, KeyStatus


class Closed:
    """Answers `status`, `refresh` and `close`; refuses whatever else a key service is asked."""

    def __getattr__(self, name: str) -> NoReturn:
        if name not in KeyService.__dict__:
            raise AttributeError(name)
        raise Sealed("the vault is sealed")

    @staticmethod
    def status() -> KeyStatus:
        """Nothing is known of a keystore that was not opened."""
        return KeyStatus(KeyState.SEALED, 0, 0, 0)

    def refresh(self) -> None:
        """Nothing to hear of."""

    def close(self) -> None:
        """Nothing to forget."""


def closed_keys() -> KeyService:
    """Return a key service that is sealed for good."""
    return cast("KeyService", Closed())
