"""Password and one-time code (RFC 6238): the way in for an officer whose browser has no passkey.

Both are asked for at once and answered with one word, so that nobody learns which was right. Ten failures in a quarter of
an hour close this way for the rest of it, for the right password too; a passkey is not concerned. A code is good once, and
while the officer's clock shows it: thirty seconds. How far that clock is off is learnt when the way is set up, and anew from
two codes in a row that are off by the same (RFC 6238 §6): a clock that drifts costs one more try.
"""

import hmac
from base64 import b32encode
from typing import Any, Final

from pyotp import TOTP
from sqlalchemy import Connection, delete, select, update
from sqlmodel import col

from audit.entry import Act, Entry, Outcome
from vault import officers
from vault.errors import InvalidRegistration
from vault.signin import news
from vault.signin.news import News
from vault.signin.sessions import actor
from vault.store.bulk import insert_rows
from vault.store.tables import OfficerCode
from vault.unit import UnitOfWork, Vault

STEP_SECONDS: Final = 30
WIDEST: Final = 2  # steps that a telephone's clock may be off, either way
IN_A_ROW: Final = 4  # steps within which two codes must come that tell how far it is off
MOST_FAILURES: Final = 10
WINDOW_SECONDS: Final = 900

_LABEL: Final = "officer/code"
_SECRET: Final = 20
_NOBODYS: Final = (b"", bytes(16 + _SECRET))  # sealed to no officer: it opens to nothing


def spelt(secret: bytes) -> str:
    """Return a secret as authenticator applications take it: Base32."""
    return b32encode(secret).decode("ascii")


def link(secret: bytes, officer_id: str, deployment: str) -> str:
    """Return the `otpauth:` address that an authenticator application reads from a square."""
    return TOTP(spelt(secret)).provisioning_uri(name=officer_id, issuer_name=deployment)


def set_up(uow: UnitOfWork, officer_id: str, password: str, secret: bytes, code: str) -> None:
    """Give an officer a password and a secret for codes; record `officer.credential_added`.

    Raises `InvalidRegistration` for a password that is too short, or a code that is not this secret's now.
    """
    steps = _steps_of(secret, code, uow.now)
    if not steps:
        raise InvalidRegistration("code")
    step = min(steps, key=lambda each: abs(each - uow.now // STEP_SECONDS))
    officers.change_password(uow, officer_id, password)
    (sealed,) = uow.vault.keys.seal(_LABEL, [(officer_id.encode(), secret)])
    uow.conn.execute(delete(OfficerCode).where(col(OfficerCode.officer_id) == officer_id))
    row = {"officer_id": officer_id, "sealed": sealed, "last_step": step, "failures": 0}
    row |= {"window_at": uow.now, "added_at": uow.now, "drift": step - uow.now // STEP_SECONDS}
    insert_rows(uow.conn, OfficerCode, [row | {"offered_step": None, "offered_drift": 0}])
    news.note(uow, officer_id, News.CODE_SET_UP)
    said = (f"officer:{officer_id}", "credential:code")
    uow.record(Entry(Act.OFFICER_CREDENTIAL_ADDED, Outcome.ALLOW, actor(officer_id), pol=said))


def is_set_up(vault: Vault, officer_id: str) -> bool:
    """Whether an officer can sign in this way."""
    with vault.reading() as conn:
        return conn.scalar(select(col(OfficerCode.officer_id)).where(_of(officer_id))) is not None


def everybody(conn: Connection) -> set[str]:
    """Return the officers who can sign in this way."""
    return set(conn.scalars(select(col(OfficerCode.officer_id))))


def proves(vault: Vault, officer_id: str, password: str, code: str) -> bool:
    """Tell whether password and code are this officer's, and use the code up.

    The same is done for an id that nobody has and for one that is closed: no clock tells them apart.
    """
    with vault.reading() as conn:
        knows = officers.password_fits(conn, officer_id, password)
    with vault.unit() as uow:
        row = uow.conn.execute(select(OfficerCode.__table__).where(_of(officer_id)).with_for_update()).one_or_none()  # type: ignore[attr-defined]
        fresh = row is None or uow.now >= row.window_at + WINDOW_SECONDS
        failures = 0 if row is None or fresh else row.failures
        (secret,) = vault.keys.open(_LABEL, [_NOBODYS if row is None else (officer_id.encode(), row.sealed)])
        steps = _steps_of(secret or bytes(_SECRET), code, uow.now)
        known = row is not None and secret is not None and failures < MOST_FAILURES
        now: dict[str, Any] = {"offered_step": None, "offered_drift": 0}
        now |= {"drift": 0, "last_step": 0} if row is None else {"drift": row.drift, "last_step": row.last_step}
        good = False
        if row is not None:
            for step in steps if knows and known else ():
                drift = step - uow.now // STEP_SECONDS
                again = row.offered_step is not None and 0 < step - row.offered_step <= IN_A_ROW
                if step <= row.last_step:
                    continue
                if drift == row.drift or (again and drift == row.offered_drift):
                    good, now = True, now | {"drift": drift, "last_step": step, "offered_step": None}
                    break
                now |= {"offered_step": step, "offered_drift": drift}
        now |= {"failures": 0 if good else min(failures + 1, MOST_FAILURES)}
        now |= {"window_at": uow.now if row is None or fresh else row.window_at}
        uow.conn.execute(update(OfficerCode).where(_of(officer_id)).values(**now))
        if not good:
            news.note(uow, officer_id, News.HALF_PROVEN if knows else News.TRIED)
        uow.commit()
    return good


def knows(vault: Vault, officer_id: str, password: str) -> bool:
    """Tell whether this is the password of an officer who signs in this way. Failures count as at the door."""
    with vault.reading() as conn:
        fits = officers.password_fits(conn, officer_id, password)
    with vault.unit() as uow:
        row = uow.conn.execute(select(OfficerCode.__table__).where(_of(officer_id)).with_for_update()).one_or_none()  # type: ignore[attr-defined]
        if row is None:
            return False
        fresh = uow.now >= row.window_at + WINDOW_SECONDS
        failures = 0 if fresh else row.failures
        good = fits and failures < MOST_FAILURES
        if not good:
            now = {"failures": min(failures + 1, MOST_FAILURES), "window_at": uow.now if fresh else row.window_at}
            uow.conn.execute(update(OfficerCode).where(_of(officer_id)).values(**now))
            news.note(uow, officer_id, News.TRIED)
            uow.commit()
    return good


def change_password(uow: UnitOfWork, officer_id: str, password: str) -> None:
    """Give an officer another password; record `officer.credential_changed`. Raises `UnfitPassword`."""
    officers.change_password(uow, officer_id, password)
    said = (f"officer:{officer_id}", "credential:password")
    uow.record(Entry(Act.OFFICER_CREDENTIAL_CHANGED, Outcome.ALLOW, actor(officer_id), pol=said))
    news.note(uow, officer_id, News.PASSWORD_CHANGED)


def _steps_of(secret: bytes, code: str, now: int) -> list[int]:
    """Return the steps whose code this is, of those that a clock may be at. Each is made, whichever fits."""
    if not (code.isascii() and code.isdigit()):
        return []
    one, middle = TOTP(spelt(secret)), now // STEP_SECONDS
    near = range(middle - WIDEST, middle + WIDEST + 1)
    return [step for step in near if hmac.compare_digest(one.at(step * STEP_SECONDS), code)]


def _of(officer_id: str) -> Any:
    return col(OfficerCode.officer_id) == officer_id
