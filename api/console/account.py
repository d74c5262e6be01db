"""What an officer does about the own ways in and sessions. Every step takes an officer who has just proved to be there."""

from typing import Final

from starlette.responses import Response

from api.console import ceremony, door
from api.console.attempts import MOST_TRIES
from api.console.visit import PREFIX, Visit
from vault.errors import Conflict, InvalidRegistration, UnknownCredential
from vault.signin import codes, news, passkeys, passwords, sessions
from vault.signin.passkeys import LastWayIn
from vault.signin.passwords import UnfitPassword
from vault.signin.sessions import Session
from vault.unit import UnitOfWork

ACCOUNT: Final = f"{PREFIX}/account"
_OTHERS: Final = "others"


def page(visit: Visit) -> Response:
    """Show an officer their own ways in."""
    return _shown(visit)


def step(visit: Visit) -> Response:
    """Add or remove a passkey of one's own, change the password, or end sessions elsewhere."""
    if "seen" in visit.form:
        return _seen(visit)
    if "end" in visit.form:
        return _end(visit, visit.form["end"])
    if "old" in visit.form and not visit.services.settings.console_passkeys_only:
        return _change_password(visit)
    return _remove(visit) if visit.form.get("remove") else _add(visit)


def _add(visit: Visit) -> Response:
    made = ceremony.made(visit.session, door.address_of(visit), visit.form.get("answer", ""))
    if made is None:
        return _shown(visit, 422, problem="passkey")
    label = visit.form.get("label", "")
    try:
        with visit.vault.unit() as uow:
            passkeys.add(uow, visit.officer.id, made.credential_id, made.credential_public_key, made.sign_count, label)
            uow.commit()
    except (Conflict, InvalidRegistration):
        return _shown(visit, 422, problem="passkey")
    return visit.go(ACCOUNT)


def _remove(visit: Visit) -> Response:
    try:
        credential = bytes.fromhex(visit.form["remove"])
        with visit.vault.unit() as uow:
            alone = visit.services.settings.console_passkeys_only
            passkeys.remove(uow, visit.officer.id, credential, alone=alone)
            fresh = _alone(uow, visit)
            uow.commit()
    except LastWayIn:
        return _shown(visit, 422, problem="last")
    except (UnknownCredential, ValueError):
        return _shown(visit, 422, problem="passkey")
    visit.session = fresh
    return visit.go(ACCOUNT)


def _change_password(visit: Visit) -> Response:
    """Change the password of who knows the old one. Every other session of the officer ends."""
    if not visit.attempts.admit("try", visit.address, visit.now, MOST_TRIES):
        door.refused(visit, "auth.too_many")
        return visit.page("too_many.html", 429)
    officer_id, old = visit.officer.id, visit.form["old"]
    with visit.attempts.hashing:
        knows = len(old) <= passwords.LONGEST and codes.knows(visit.vault, officer_id, old)
    if not knows:
        door.refused(visit, "auth.password")
        return _shown(visit, 403, problem="old")
    try:
        with visit.vault.unit() as uow:
            codes.change_password(uow, officer_id, visit.form.get("new", ""))
            fresh = _alone(uow, visit)
            uow.commit()
    except UnfitPassword as unfit:
        return _shown(visit, 422, problem=unfit.flaw)
    visit.session = fresh
    return visit.go(f"{ACCOUNT}?done=password")


def _seen(visit: Visit) -> Response:
    with visit.vault.unit() as uow:
        news.seen(uow, visit.officer.id)
        uow.commit()
    return visit.go(ACCOUNT)


def _end(visit: Visit, name: str) -> Response:
    with visit.vault.unit() as uow:
        fresh = visit.session
        if name == _OTHERS:
            fresh = _alone(uow, visit)
        else:
            sessions.end_named(uow, visit.session, name)
        uow.commit()
    visit.session = fresh
    return visit.go(ACCOUNT)


def _alone(uow: UnitOfWork, visit: Visit) -> Session:
    """End the officer's other sessions, and copies of this one's token with them: return the one to go on with."""
    fresh = sessions.renew(uow, visit.session)
    sessions.end_others(uow, fresh)
    return fresh


def _shown(visit: Visit, status: int = 200, problem: str = "") -> Response:
    with visit.vault.reading() as conn:
        held = passkeys.of(conn, visit.officer.id)
        opened = sessions.listed(conn, visit.now, visit.limits, visit.officer.id)
    coded = codes.is_set_up(visit.vault, visit.officer.id)
    raised = visit.session.is_raised(visit.now)
    return visit.page(
        "account.html",
        status,
        held=held,
        opened=[(each, sessions.is_named(visit.session, each.name)) for each in opened],
        others=_OTHERS,
        coded=coded,
        raised=raised,
        options=door.making(visit),
        problem=problem,
        done=visit.query.get("done", "") == "password",
    )
