"""Roots in the transit engine of HashiCorp Vault or OpenBao: one named key per epoch.

Class C. Deleting a key takes it out of the engine's storage at once, but a snapshot or backup of that storage keeps
it, under a barrier key that outlives epochs. Who deletes the snapshots too may say more; we cannot see whether he did.

The engine draws the key; it is not exportable, not in plain backups, and of one version. A key found under a root's
name that is otherwise, or was imported, is not used. Our context is the associated data of AES-GCM.
"""

import base64
import binascii
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

import hvac
from hvac.exceptions import InvalidPath, InvalidRequest, VaultError
from requests import Session
from requests.exceptions import RequestException

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
from vault.keys.providers.framed import bound, frame, unframe, unwrapped
from vault.runtime import Clock

_TYPE: Final = "aes256-gcm96"
_SECONDS: Final = 10
_OURS: Final = {
    "type": _TYPE,
    "exportable": False,
    "allow_plaintext_backup": False,
    "derived": False,
    "latest_version": 1,
}


class _Absent(Exception):
    """The engine has no such key."""


class TransitProvider:
    """Roots in one transit mount, by an hvac client that has its token."""

    capabilities = Capabilities(
        DestructionClass.BEST_EFFORT, minimum_delay=0, exportable=False, provider_copies=True, remembers=False
    )

    def __init__(self, client: Any, mount: str, clock: Clock) -> None:
        self._transit = client.secrets.transit
        self._mount = mount
        self._clock = clock

    def __repr__(self) -> str:
        return f"<{type(self).__name__}>"

    def create(self, ref: str) -> None:
        """Have the engine draw a key, unless it did."""
        try:
            self._usable(ref)
        except _Absent:
            with _translated():
                self._transit.create_key(
                    _name(ref),
                    key_type=_TYPE,
                    exportable=False,
                    allow_plaintext_backup=False,
                    derived=False,
                    mount_point=self._mount,
                )
            self._present(ref)

    def wrap(self, ref: str, key: bytes, context: bytes) -> bytes:
        """Encrypt 32 bytes under the key. Raises Sealed."""
        checked_key(key)
        self._present(ref)
        with _translated():
            answer = self._transit.encrypt_data(
                _name(ref),
                plaintext=_text(key),
                associated_data=_text(bound(ref, context)),
                mount_point=self._mount,
            )
        return frame(ref, _part(answer, "ciphertext").encode())

    def unwrap(self, ref: str, wrapped: bytes, context: bytes) -> bytes:
        """Decrypt 32 bytes. Raises Sealed or IntegrityFailure."""
        self._present(ref)
        try:
            ciphertext = unframe(ref, wrapped).decode("ascii")
        except UnicodeDecodeError:
            raise IntegrityFailure(IntegrityFailure.code) from None
        with _translated():
            try:
                answer = self._transit.decrypt_data(
                    _name(ref),
                    ciphertext=ciphertext,
                    associated_data=_text(bound(ref, context)),
                    mount_point=self._mount,
                )
            except InvalidRequest:  # the key is there, so it is the bytes
                raise IntegrityFailure(IntegrityFailure.code) from None
        try:
            return unwrapped(base64.b64decode(_part(answer, "plaintext"), validate=True))
        except binascii.Error:
            raise IntegrityFailure(IntegrityFailure.code) from None

    def destroy(self, ref: str) -> Destruction:
        """Allow the deletion, delete, and look whether the key is gone."""
        name = _name(ref)
        evidence = f"transit has no key {self._mount}/{name}"
        try:
            self._described(ref)
            with _translated():
                self._transit.update_key_configuration(name, deletion_allowed=True, mount_point=self._mount)
                self._transit.delete_key(name, mount_point=self._mount)
            evidence = f"transit key {self._mount}/{name} deleted; storage snapshots may keep it"
            self._described(ref)
        except _Absent:
            return Destruction(self._clock.now(), evidence, self.capabilities.destruction_class)
        raise Sealed("the engine still has the key after its deletion")

    def status(self, ref: str) -> RootStatus:
        """LIVE, PENDING when it can be restored (OpenBao's soft deletion), GONE when there is no such key, or UNKNOWN."""
        try:
            found = self._described(ref)
        except _Absent:
            return RootStatus(RootState.GONE)
        except Sealed:
            return RootStatus(RootState.UNKNOWN)
        return RootStatus(RootState.PENDING if found.get("soft_deleted") else RootState.LIVE)

    def _present(self, ref: str) -> None:
        try:
            self._usable(ref)
        except _Absent:
            raise Sealed("the engine has no key of this root's name") from None

    def _usable(self, ref: str) -> None:
        if self._described(ref).get("soft_deleted"):
            raise Sealed("the key of this root is deleted")

    def _described(self, ref: str) -> dict[str, Any]:
        with _translated():
            try:
                found = _data(self._transit.read_key(_name(ref), mount_point=self._mount))
            except InvalidPath:
                raise _Absent from None
        if any(found.get(name) != value for name, value in _OURS.items()) or found.get("imported_key"):
            raise Sealed("the key of this root's name was not made for it")
        return found


def connect(url: str, token: str, *, namespace: str | None = None, ca_file: str | None = None) -> Any:
    """Return a client. It follows no redirect and takes no proxy or address from the environment."""
    session = Session()
    session.trust_env = False
    session.verify = ca_file or True
    return hvac.Client(
        url=url, token=token, namespace=namespace, session=session, timeout=_SECONDS, allow_redirects=False
    )


@contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except (VaultError, RequestException):  # refused, sealed, or not there; its text may quote what was sent
        raise Sealed("the transit engine refused or cannot be reached") from None


def _data(answer: Any) -> dict[str, Any]:
    data = answer.get("data") if isinstance(answer, dict) else None
    if not isinstance(data, dict):
        raise Sealed("the transit engine's answer is none")
    return data


def _part(answer: Any, name: str) -> str:
    part = _data(answer).get(name)
    if not isinstance(part, str):
        raise Sealed("the transit engine's answer is none")
    return part


def _text(content: bytes) -> str:
    return base64.b64encode(content).decode("ascii")


def _name(ref: str) -> str:
    return f"ecrin-root-{checked_ref(ref)}"
