"""The one key service of a holder process: sealed or open, how it gets opened, and that a seal outlives a crash.

What opens the root is an `Unsealer`: a provider that needs nobody (a key file, an HSM, a KMS), a passphrase, or enough
shares. Secrets are kept only while they are of use: with a root that was sealed by them, until the vault is sealed.
"""

from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from threading import Lock
from typing import Final, Protocol

from vault.errors import Conflict, Sealed, StoreFull, VaultError
from vault.keys.keyd.wire import Progress
from vault.keys.private_file import write_private
from vault.keys.provider import DestroyingProvider
from vault.keys.service import KeyService, KeyState
from vault.runtime import Entropy

MAX_SECRET: Final = 4096  # bytes of one passphrase or share


class SealMark:
    """A file that says "stay sealed": put there by an operator, and found again after a crash or a restart."""

    def __init__(self, path: Path, entropy: Entropy) -> None:
        self._path = path
        self._entropy = entropy

    def is_set(self) -> bool:
        """Whether an operator sealed the vault and nobody unsealed it since."""
        return self._path.exists()

    def set(self) -> None:
        """Seal, durably. Raises StoreFull."""
        write_private(self._path, b"", self._entropy.bytes(8).hex())

    def clear(self) -> None:
        """Take the seal off. Raises StoreFull when it cannot be: the vault would fall shut again at a restart."""
        try:
            self._path.unlink(missing_ok=True)
        except OSError:
            raise StoreFull("the seal mark cannot be removed") from None


class Unsealer(Protocol):
    """What has to come together before the root opens."""

    @property
    def needed(self) -> int:
        """How many secrets it takes; 0 when none. Raises Sealed when that is not known."""
        ...

    @property
    def total(self) -> int:
        """How many there are to choose from, as far as is known."""
        ...

    def provider(self, secrets: Sequence[bytes]) -> DestroyingProvider:
        """Return the provider that those secrets make. Raises Sealed when they make none."""
        ...


class Unattended:
    """A root that opens with what the machine has."""

    needed = 0
    total = 0

    def __init__(self, provider: DestroyingProvider) -> None:
        self._provider = provider

    def provider(self, secrets: Sequence[bytes]) -> DestroyingProvider:  # noqa: ARG002
        """Return the provider."""
        return self._provider


class ByPassphrase:
    """A root sealed by one passphrase that no file holds: an operator brings it."""

    needed = 1
    total = 1

    def __init__(self, made_of: Callable[[bytes], DestroyingProvider]) -> None:
        self._made_of = made_of

    def provider(self, secrets: Sequence[bytes]) -> DestroyingProvider:
        """Make the provider of the passphrase."""
        try:
            return self._made_of(secrets[0])
        except (ValueError, IndexError):
            raise Sealed("the root key did not open") from None


class Holder:
    """Holds the key service while it is open. Thread-safe: an unsealing may take seconds on a thread of its own."""

    def __init__(
        self,
        unsealer: Unsealer,
        opener: Callable[[DestroyingProvider], KeyService],
        mark: SealMark,
        secrets: Sequence[bytes] = (),
    ) -> None:
        """`secrets` are those an earlier image of this process was given."""
        self._unsealer = unsealer
        self._opener = opener
        self._mark = mark
        self._secrets = list(secrets)
        self._service: KeyService | None = None
        self._provider: DestroyingProvider | None = None
        self._lock = Lock()

    @property
    def service(self) -> KeyService:
        """The open key service. Raises Sealed."""
        service = self._service
        if service is None:
            raise Sealed("the vault is sealed")
        return service

    @property
    def provider(self) -> DestroyingProvider:
        """What opened the root, for an epoch change. Raises Sealed."""
        provider = self._provider
        if provider is None:
            raise Sealed("the vault is sealed")
        return provider

    @property
    def secrets(self) -> tuple[bytes, ...]:
        """What the next image of this process needs to open again without the operators."""
        return tuple(self._secrets)

    def progress(self) -> Progress:
        """Say how far an unsealing is."""
        state = KeyState.SEALED if self._service is None else KeyState.UNSEALED
        needed = total = 0
        with suppress(Sealed):  # not known, as where the record of the shares is lost: an offer will say so
            needed, total = self._unsealer.needed, self._unsealer.total
        return Progress(state, needed, len(self._secrets), total)

    @property
    def unattended(self) -> bool:
        """Whether it is closed, and should open as soon as root and keystore do, without anybody."""
        with suppress(Sealed):
            complete = len(self._secrets) >= self._unsealer.needed
            return self._service is None and complete and not self._mark.is_set()
        return False

    def start(self) -> None:
        """Open what opens without anybody, unless it was sealed on purpose. Raises what the opener raises."""
        with self._lock:
            if self._service is None and not self._mark.is_set() and len(self._secrets) >= self._unsealer.needed:
                self._open()

    def offer(self, secret: bytes) -> Progress:
        """Take one secret; with enough of them, open and take the seal off. Offering one twice counts once.

        Raises Sealed when they do not open the root, and forgets them all: which of several is wrong nobody can tell.
        Raises Conflict while another offer is being tried.
        """
        if not self._lock.acquire(blocking=False):
            raise Conflict("an unsealing is under way")
        try:
            if self._service is None:
                if secret and len(secret) <= MAX_SECRET and secret not in self._secrets:
                    self._secrets.append(secret)
                if len(self._secrets) >= self._unsealer.needed:
                    self._open()
                    self._mark.clear()
            return self.progress()
        except VaultError:
            self._secrets.clear()
            raise
        finally:
            self._lock.release()

    def seal(self) -> Progress:
        """Close, forget what opened it, and stay closed until somebody unseals. The mark is on disk first."""
        with self._lock:
            self._mark.set()
            self._secrets.clear()
            self._close()
            return self.progress()

    def close(self) -> None:
        """Close without a mark: the process ends, or starts anew."""
        with self._lock:
            self._close()

    def _open(self) -> None:
        provider = self._unsealer.provider(self._secrets)
        self._service, self._provider = self._opener(provider), provider

    def _close(self) -> None:
        service, self._service, self._provider = self._service, None, None
        if service is not None:
            service.close()
