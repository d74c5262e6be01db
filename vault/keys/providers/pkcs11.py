"""Roots in an HSM by PKCS#11: one AES-256 key per epoch, drawn in the token and never readable.

The top key is encrypted by AES-GCM with our context as additional data: the one mechanism with context that tokens
have in common (`CKM_AES_KEY_WRAP_KWP` has two numbers in the field and no context). A known answer and a wrong context
are tried before a token is first used, so a token that draws its own nonces, or checks no context, is refused.

A key found under a root's label is used only if the token says that it drew it and never let it out: a key that
somebody imported under that label is not a root. Beside a key to be destroyed a data object is put, which remains as
the mark that it was.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Lock
from typing import Any, Final

import pkcs11
from pkcs11 import Attribute, KeyType, Mechanism, MechanismFlag, ObjectClass, SlotFlag
from pkcs11.exceptions import (
    DeviceError,
    DeviceMemory,
    DeviceRemoved,
    HostMemory,
    PinIncorrect,
    PinLocked,
    PKCS11Error,
    SessionClosed,
    SessionHandleInvalid,
    TokenNotPresent,
)
from pkcs11.mechanisms import GCMParams

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
from vault.runtime import Clock, Entropy

_NONCE: Final = 12
_TAG: Final = 16
_WRAPPED: Final = _NONCE + 32 + _TAG
_KEY_BITS: Final = 256
_APPLICATION: Final = "ecrin"
_AWAY: Final = (
    DeviceError,
    DeviceMemory,
    DeviceRemoved,
    HostMemory,
    SessionClosed,
    SessionHandleInvalid,
    TokenNotPresent,
)

# A user is logged in to a token for the whole process: two sessions of ours must not log in and out of each other.
_LOGIN: Final = Lock()

_DRAWN: Final = {
    Attribute.PRIVATE: True,
    Attribute.SENSITIVE: True,
    Attribute.EXTRACTABLE: False,
    Attribute.MODIFIABLE: False,
    Attribute.COPYABLE: False,
    Attribute.WRAP: False,
    Attribute.UNWRAP: False,
    Attribute.SIGN: False,
    Attribute.VERIFY: False,
    Attribute.DERIVE: False,
}
# What a token must say of a root's key. ALWAYS_SENSITIVE, NEVER_EXTRACTABLE and LOCAL cannot be set by anybody.
_ROOT: Final = {
    Attribute.SENSITIVE: True,
    Attribute.EXTRACTABLE: False,
    Attribute.ALWAYS_SENSITIVE: True,
    Attribute.NEVER_EXTRACTABLE: True,
    Attribute.LOCAL: True,
    Attribute.VALUE_LEN: _KEY_BITS // 8,
}

# AES-256-GCM of 00..1f under key 00..1f, nonce 00..0b, additional data 00..0f; by `cryptography`.
_KNOWN_ANSWER: Final = bytes.fromhex(
    "4703d418c1e0c41c85489d80bde4766293c79527e46e496b207eff9e01741ead209d59e08347d37153a593a1fca88881"
)


class Pkcs11Provider:
    """Roots in the token of this label. Opens a session per verb: nothing of a destroyed root lingers in one.

    Class A where the token says it is hardware, else C: a software token is a folder of files.
    """

    def __init__(self, module: Path, token: str, pin: str, entropy: Entropy, clock: Clock) -> None:
        self._module = module
        self._token = token
        self._pin = pin
        self._entropy = entropy
        self._clock = clock
        self._proven = False
        self._refused = False

    def __repr__(self) -> str:
        return f"<{type(self).__name__}>"

    @property
    def capabilities(self) -> Capabilities:
        """What is true of every root of this token. Raises Sealed when there is no token."""
        with _LOGIN:
            hardware = bool(self._find().slot.flags & SlotFlag.HW_SLOT)
        kind = DestructionClass.IMMEDIATE if hardware else DestructionClass.BEST_EFFORT
        return Capabilities(kind, minimum_delay=0, exportable=False, provider_copies=not hardware, remembers=True)

    def create(self, ref: str) -> None:
        """Draw the key in the token, unless it is there."""
        label = _label(ref)
        with self._session() as session:
            if _marks(session, label):
                raise Sealed("the root of this name is destroyed")
            if _keys(session, label):
                _usable(session, label)
                return
            try:
                session.generate_key(
                    KeyType.AES,
                    _KEY_BITS,
                    store=True,
                    label=label,
                    id=bytes.fromhex(ref),
                    capabilities=MechanismFlag.ENCRYPT | MechanismFlag.DECRYPT,
                    template=_DRAWN,
                )
            except PKCS11Error:
                raise Sealed("the token does not draw a key that never leaves it") from None
            _usable(session, label)

    def wrap(self, ref: str, key: bytes, context: bytes) -> bytes:
        """Encrypt 32 bytes in the token: nonce (12), ciphertext (32), tag (16). Raises Sealed."""
        label = _label(ref)
        # Why safe: a root encrypts a handful of messages in its life, far below what random 96-bit nonces allow.
        nonce = self._entropy.bytes(_NONCE)
        with self._session() as session:
            root = _usable(session, label)
            return frame(ref, nonce + _encrypt(root, nonce, bound(ref, context), checked_key(key)))

    def unwrap(self, ref: str, wrapped: bytes, context: bytes) -> bytes:
        """Decrypt 32 bytes in the token. Raises Sealed or IntegrityFailure."""
        label = _label(ref)
        with self._session() as session:
            root = _usable(session, label)
            blob = unframe(ref, wrapped)
            if len(blob) != _WRAPPED:
                raise IntegrityFailure(IntegrityFailure.code)
            return unwrapped(_decrypt(root, blob[:_NONCE], bound(ref, context), blob[_NONCE:]))

    def destroy(self, ref: str) -> Destruction:
        """Mark and destroy the key, and look from a new session whether it is gone."""
        label = _label(ref)
        with self._session() as session:
            marks, keys = _marks(session, label), _keys(session, label)
            if not marks and not keys:
                raise Sealed("no root of this name was ever in this token")
            if not marks:
                self._mark(session, label)
            for key in keys:
                key.destroy()
        with self._session() as session:
            if _keys(session, label):
                raise Sealed("the token still has the key after its destruction")
            at = min(int(mark[Attribute.VALUE]) for mark in _marks(session, label))
            token = session.token
            serial = token.serial.decode("ascii", "replace").strip()
        evidence = f"object {label} destroyed in token {serial}, absent in a new session"
        return Destruction(at, evidence, self.capabilities.destruction_class)

    def status(self, ref: str) -> RootStatus:
        """Tell from the token: LIVE, PENDING (marked, key still there), GONE, or UNKNOWN when it cannot be asked."""
        label = _label(ref)
        try:
            with self._session() as session:
                marked, live = bool(_marks(session, label)), bool(_keys(session, label))
        except Sealed:
            return RootStatus(RootState.UNKNOWN)
        if live:
            return RootStatus(RootState.PENDING if marked else RootState.LIVE)
        return RootStatus(RootState.GONE if marked else RootState.UNKNOWN)

    def _mark(self, session: Any, label: str) -> None:
        session.create_object(
            {
                Attribute.CLASS: ObjectClass.DATA,
                Attribute.TOKEN: True,
                Attribute.PRIVATE: True,
                Attribute.MODIFIABLE: False,
                Attribute.APPLICATION: _APPLICATION,
                Attribute.LABEL: f"{label}-destroyed",
                Attribute.VALUE: str(self._clock.now()).encode(),
            }
        )

    def _find(self) -> Any:
        try:
            return pkcs11.lib(str(self._module)).get_token(token_label=self._token)
        except (PKCS11Error, RuntimeError, OSError):  # no such library is a RuntimeError
            raise Sealed("the token is not there") from None

    @contextmanager
    def _session(self) -> Iterator[Any]:
        """Open a session of its own, logged in. Translates what the library raises; proves the token first."""
        with _LOGIN:
            if self._refused:  # a few more tries would lock the token for good
                raise Sealed("the token refused its PIN before")
            token = self._find()
            try:
                with token.open(rw=True, user_pin=self._pin) as session:
                    if not self._proven:
                        _prove(session)
                        self._proven = True
                    yield session
            except (PinIncorrect, PinLocked):
                self._refused = True
                raise Sealed("the token refused its PIN") from None
            except PKCS11Error:
                raise Sealed("the token does not do what it was asked") from None


def _label(ref: str) -> str:
    return f"ecrin-root-{checked_ref(ref)}"


def _keys(session: Any, label: str) -> list[Any]:
    return list(session.get_objects({Attribute.CLASS: ObjectClass.SECRET_KEY, Attribute.LABEL: label}))


def _marks(session: Any, label: str) -> list[Any]:
    return list(session.get_objects({Attribute.CLASS: ObjectClass.DATA, Attribute.LABEL: f"{label}-destroyed"}))


def _usable(session: Any, label: str) -> Any:
    """Return the one live key of the label. Raises Sealed for none, for two, and for one the token did not draw."""
    if _marks(session, label):
        raise Sealed("the root of this name is destroyed")
    keys = _keys(session, label)
    if len(keys) != 1:
        raise Sealed("the token has no key, or more than one, of this root's name")
    (key,) = keys
    if any(key[attribute] != value for attribute, value in _ROOT.items()):
        raise Sealed("the key of this root's name was not drawn in the token, or could leave it")
    return key


def _encrypt(key: Any, nonce: bytes, aad: bytes, plaintext: bytes) -> bytes:
    parameters = GCMParams(nonce, aad, _TAG * 8)
    return bytes(key.encrypt(plaintext, mechanism=Mechanism.AES_GCM, mechanism_param=parameters))


def _decrypt(key: Any, nonce: bytes, aad: bytes, ciphertext: bytes) -> bytes:
    parameters = GCMParams(nonce, aad, _TAG * 8)
    try:
        return bytes(key.decrypt(ciphertext, mechanism=Mechanism.AES_GCM, mechanism_param=parameters))
    except _AWAY:
        raise Sealed("the token went away") from None
    except PKCS11Error:  # SoftHSM says GeneralError, others EncryptedDataInvalid
        raise IntegrityFailure(IntegrityFailure.code) from None


def _prove(session: Any) -> None:
    """Try AES-GCM on a known answer, with a key that lives as long as the session. Raises Sealed."""
    known = bytes(range(32))
    try:
        key = session.create_object(
            {
                Attribute.CLASS: ObjectClass.SECRET_KEY,
                Attribute.KEY_TYPE: KeyType.AES,
                Attribute.TOKEN: False,
                Attribute.VALUE: known,
                Attribute.ENCRYPT: True,
                Attribute.DECRYPT: True,
            }
        )
        answer = _encrypt(key, known[:_NONCE], known[:_TAG], known)
        opened = _decrypt(key, known[:_NONCE], known[:_TAG], _KNOWN_ANSWER)
    except (PKCS11Error, IntegrityFailure):
        raise Sealed("the token cannot do AES-GCM as we need it") from None
    if answer != _KNOWN_ANSWER or opened != known:
        raise Sealed("the token's AES-GCM gives another answer than the standard's")
    try:
        _decrypt(key, known[:_NONCE], known[:_TAG][::-1], _KNOWN_ANSWER)
    except IntegrityFailure:
        return
    raise Sealed("the token's AES-GCM does not check the additional data")
