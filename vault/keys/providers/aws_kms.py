"""Roots in AWS KMS: one customer-managed key per epoch, drawn by the service, destroyed after its waiting period.

Class B. A deletion takes 7 to 30 days, and an administrator may cancel it until then; from the order on the key opens
nothing. A certificate carries the date the service gives.

A root is found by an alias made of its name. An alias can be pointed elsewhere, so what it leads to is looked at each
time, and used only if it is a key this code made for this root: its description says so, the service drew it (imported
material can be imported again), it has no replica in another region and no custom key store. No verb and no setting
takes a key id, an ARN or an alias. Credentials are boto3's own business.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Any, Final

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from vault.errors import IntegrityFailure, Sealed
from vault.keys.provider import (
    Capabilities,
    Destruction,
    DestructionClass,
    RootState,
    RootStatus,
    checked_key,
    checked_ref,
)
from vault.keys.providers.framed import digest, frame, unframe, unwrapped
from vault.runtime import Clock

SHORTEST_WINDOW: Final = 7  # days, by the service
LONGEST_WINDOW: Final = 30

_DAY: Final = 86_400
_SECONDS: Final = 10
_ATTEMPTS: Final = 3
_NOT_FOUND: Final = "NotFoundException"
_EXISTS: Final = "AlreadyExistsException"
_ALTERED: Final = "InvalidCiphertextException"
_OURS: Final = {
    "KeyManager": "CUSTOMER",
    "KeyUsage": "ENCRYPT_DECRYPT",
    "KeySpec": "SYMMETRIC_DEFAULT",
    "Origin": "AWS_KMS",
    "MultiRegion": False,
}
_ENDING: Final = frozenset({"PendingDeletion", "PendingReplicaDeletion"})


class _Absent(Exception):
    """The service has no such key or alias."""


class AwsKmsProvider:
    """Roots in the account and region of a boto3 KMS client. Raises ValueError for a window outside 7 to 30 days."""

    def __init__(self, client: Any, clock: Clock, window_days: int = SHORTEST_WINDOW) -> None:
        if not SHORTEST_WINDOW <= window_days <= LONGEST_WINDOW:  # the service's own check is not relied on
            raise ValueError("a deletion window has 7 to 30 days")
        self._kms = client
        self._clock = clock
        self._window = window_days
        self.capabilities = Capabilities(
            DestructionClass.DATED, window_days * _DAY, exportable=False, provider_copies=False, remembers=False
        )

    def __repr__(self) -> str:
        return f"<{type(self).__name__}>"

    def create(self, ref: str) -> None:
        """Have the service draw a key and name it, unless it did."""
        try:
            self._usable(ref)
        except _Absent:
            self._draw(ref)

    def wrap(self, ref: str, key: bytes, context: bytes) -> bytes:
        """Encrypt 32 bytes under the key, with our context in its encryption context. Raises Sealed."""
        checked_key(key)
        arn = self._present(ref)
        with _translated():
            answer = self._kms.encrypt(KeyId=arn, Plaintext=key, EncryptionContext=_context(ref, context))
            return frame(ref, bytes(answer["CiphertextBlob"]))

    def unwrap(self, ref: str, wrapped: bytes, context: bytes) -> bytes:
        """Decrypt 32 bytes. Raises Sealed or IntegrityFailure."""
        arn = self._present(ref)
        blob = unframe(ref, wrapped)
        with _translated():
            # The key is named: without it the service would use whichever key the bytes ask for.
            answer = self._kms.decrypt(KeyId=arn, CiphertextBlob=blob, EncryptionContext=_context(ref, context))
            return unwrapped(bytes(answer["Plaintext"]))

    def destroy(self, ref: str) -> Destruction:
        """Order the deletion, and read back when it takes effect."""
        try:
            found = self._described(ref)
        except _Absent:
            return self._destruction(self._clock.now(), f"KMS has no key {_alias(ref)}")
        if found["KeyState"] not in _ENDING:
            with _translated():
                self._kms.schedule_key_deletion(KeyId=found["KeyId"], PendingWindowInDays=self._window)
            found = self._described(ref)
        until = _until(found)
        if found["KeyState"] not in _ENDING or until is None:
            raise Sealed("the key service did not take the order to delete a key")
        return self._destruction(until, f"{found['Arn']} scheduled for deletion")

    def status(self, ref: str) -> RootStatus:
        """LIVE, PENDING until the date of deletion, GONE when there is no such key, UNKNOWN when nobody answers."""
        try:
            found = self._described(ref)
        except _Absent:
            return RootStatus(RootState.GONE)
        except Sealed:
            return RootStatus(RootState.UNKNOWN)
        if found["KeyState"] in _ENDING:
            return RootStatus(RootState.PENDING, _until(found))
        return RootStatus(RootState.LIVE)

    def _draw(self, ref: str) -> None:
        name = _alias(ref)
        with _translated():
            made = self._kms.create_key(
                Description=_description(ref),
                KeyUsage="ENCRYPT_DECRYPT",
                KeySpec="SYMMETRIC_DEFAULT",
                Origin="AWS_KMS",
                MultiRegion=False,
                Tags=[{"TagKey": "ecrin-root", "TagValue": ref}],
            )["KeyMetadata"]["KeyId"]
            try:
                self._kms.create_alias(AliasName=name, TargetKeyId=made)
            except ClientError as error:
                if _code(error) != _EXISTS:
                    raise
                # Another process was faster. Its key is the root; ours never wrapped anything.
                self._kms.schedule_key_deletion(KeyId=made, PendingWindowInDays=SHORTEST_WINDOW)
        self._present(ref)  # the service may need a moment: then it is created again, and found

    def _present(self, ref: str) -> str:
        try:
            return self._usable(ref)
        except _Absent:
            raise Sealed("the key service has no key of this root's name") from None

    def _usable(self, ref: str) -> str:
        """Return the ARN of the root's key. Raises _Absent; Sealed when it may not be used."""
        found = self._described(ref)
        if found["KeyState"] != "Enabled":
            raise Sealed("the key of this root is disabled or about to be deleted")
        return str(found["Arn"])

    def _described(self, ref: str) -> dict[str, Any]:
        """Return what the service says of the key behind the root's alias, if it is ours. Raises _Absent, Sealed."""
        with _translated():
            try:
                found: dict[str, Any] = self._kms.describe_key(KeyId=_alias(ref))["KeyMetadata"]
            except ClientError as error:
                if _code(error) == _NOT_FOUND:
                    raise _Absent from None
                raise
        ours = _OURS | {"Description": _description(ref)}
        if any(found.get(name) != value for name, value in ours.items()) or "CustomKeyStoreId" in found:
            raise Sealed("the key behind this root's name was not made for it")
        return found

    def _destruction(self, at: int, evidence: str) -> Destruction:
        return Destruction(at, evidence, self.capabilities.destruction_class)


def connect(region: str, endpoint: str | None = None) -> Any:
    """Return a client for one region; credentials come from where boto3 looks for them. Raises Sealed."""
    limits = Config(
        connect_timeout=_SECONDS, read_timeout=_SECONDS, retries={"mode": "standard", "total_max_attempts": _ATTEMPTS}
    )
    try:
        return boto3.session.Session().client("kms", region_name=region, endpoint_url=endpoint, config=limits)
    except (BotoCoreError, ValueError):
        raise Sealed("the key service cannot be set up") from None


@contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except ClientError as error:
        if _code(error) == _ALTERED:  # a wrong encryption context too
            raise IntegrityFailure(IntegrityFailure.code) from None
        raise Sealed("the key service refused") from None
    except (BotoCoreError, KeyError):  # KeyError: an answer without what it should carry
        raise Sealed("the key service cannot be reached") from None


def _code(error: ClientError) -> str:
    return str(error.response.get("Error", {}).get("Code", ""))


def _alias(ref: str) -> str:
    return f"alias/ecrin-root-{checked_ref(ref)}"


def _description(ref: str) -> str:
    return f"ecrin root {ref}"


def _context(ref: str, context: bytes) -> dict[str, str]:
    """Return the encryption context. The service writes it to its trail in clear: a root's name and a digest."""
    return {"ecrin-root": ref, "ecrin-context": digest(ref, context)}


def _until(found: dict[str, Any]) -> int | None:
    date = found.get("DeletionDate")
    return int(date.timestamp()) if isinstance(date, datetime) else None
