"""The two ceremonies of WebAuthn (Web Authentication Level 3, §7), checked by py_webauthn: making a passkey and using one.

A passkey stays on the officer's device and unlocks there by finger, face or PIN (user verification is required), so that
one gesture is two factors. It is bound to our host by the browser, so it cannot be given to a page that only looks like
ours. Attestation of the device's maker is not asked for: it would tell more about the officer than about the key.
"""

from hashlib import sha256
from typing import Final
from urllib.parse import urlsplit

from webauthn import (
    generate_authentication_options,
    generate_registration_options,
    options_to_json,
    verify_authentication_response,
    verify_registration_response,
)
from webauthn.helpers import parse_authentication_credential_json
from webauthn.helpers.exceptions import WebAuthnException
from webauthn.helpers.structs import (
    AuthenticatorSelectionCriteria,
    PublicKeyCredentialDescriptor,
    ResidentKeyRequirement,
    UserVerificationRequirement,
)
from webauthn.registration.verify_registration_response import VerifiedRegistration

from api.pages.forms import origin_of
from vault.signin import news, passkeys
from vault.signin.news import News
from vault.signin.passkeys import Passkey
from vault.signin.sessions import Session
from vault.unit import Vault

_REQUIRED: Final = UserVerificationRequirement.REQUIRED
# What the reader of JSON, of CBOR or of keys says of an answer that no browser made; nested deep enough, any of them.
_NOT_ONE: Final = (WebAuthnException, ValueError, LookupError, TypeError, RecursionError)
_MOST_TEXT: Final = 16_384  # characters of a browser's answer


def host_of(address: str) -> str:
    """Return the relying party's id: the host that officers' browsers show."""
    return urlsplit(address).hostname or ""


def to_make(session: Session, address: str, deployment: str, officer_id: str, held: list[Passkey]) -> str:
    """Return what the browser needs to make a passkey, as JSON."""
    # Why a hash: the handle is kept on the device and must be the same each time; it need not name anybody.
    handle = sha256(f"ecrin/officer/{deployment}/{officer_id}".encode()).digest()
    options = generate_registration_options(
        rp_id=host_of(address),
        rp_name=deployment,
        user_name=officer_id,
        user_id=handle,
        challenge=session.challenge,
        authenticator_selection=AuthenticatorSelectionCriteria(
            resident_key=ResidentKeyRequirement.REQUIRED, user_verification=_REQUIRED
        ),
        exclude_credentials=[PublicKeyCredentialDescriptor(each.credential_id) for each in held],
    )
    return options_to_json(options)


def made(session: Session, address: str, answer: str) -> VerifiedRegistration | None:
    """Check what the browser made of it; None for anything that does not hold."""
    if len(answer) > _MOST_TEXT:
        return None
    try:
        return verify_registration_response(
            credential=answer,
            expected_challenge=session.challenge,
            expected_rp_id=host_of(address),
            expected_origin=origin_of(address),
            require_user_verification=True,
        )
    except _NOT_ONE:
        return None


def to_use(session: Session, address: str, held: list[Passkey]) -> str:
    """Return what the browser needs to use a passkey, as JSON; without `held` the device knows which it has for us."""
    return options_to_json(
        generate_authentication_options(
            rp_id=host_of(address),
            challenge=session.challenge,
            allow_credentials=[PublicKeyCredentialDescriptor(each.credential_id) for each in held],
            user_verification=_REQUIRED,
        )
    )


def used(vault: Vault, session: Session, address: str, answer: str) -> str | None:
    """Check the browser's answer and note the use; return whose passkey it was, or None for anything that does not hold."""
    if len(answer) > _MOST_TEXT:
        return None
    passkey = None
    try:
        claimed = parse_authentication_credential_json(answer)
        with vault.reading() as conn:
            passkey = passkeys.get(conn, claimed.raw_id)
        if passkey is None or (session.officer is not None and passkey.officer_id != session.officer.id):
            return None
        verified = verify_authentication_response(
            credential=claimed,
            expected_challenge=session.challenge,
            expected_rp_id=host_of(address),
            expected_origin=origin_of(address),
            credential_public_key=passkey.public_key,
            credential_current_sign_count=passkey.sign_count,  # going back means a copy of the key: refused (§7.2 step 22)
            require_user_verification=True,
        )
    except _NOT_ONE:
        if (
            passkey is not None
        ):  # the passkey is there and its signature or its count is wrong: a copy, or somebody who tries
            _tell(vault, passkey.officer_id)
        return None
    with vault.unit() as uow:
        passkeys.used(uow, passkey, verified.new_sign_count)
        uow.commit()
    return passkey.officer_id


def _tell(vault: Vault, officer_id: str) -> None:
    with vault.unit() as uow:
        news.note(uow, officer_id, News.TRIED)
        uow.commit()
