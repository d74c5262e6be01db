"""Signing in, proving to be there again, setting up, signing out.

Whatever is wrong at the sign-in is answered with one page and one sentence; which part it was stands in no answer.
"""

from collections.abc import Callable
from functools import wraps
from typing import Final
from urllib.parse import urlencode

import segno
from starlette.responses import Response

from api.console import ceremony
from api.console.attempts import MOST_TRIES
from api.console.visit import PREFIX, Visit
from api.pages import forms, render
from api.trail import tells
from audit.entry import UNKNOWN, Act, Entry, Outcome
from vault import officers
from vault.errors import Conflict, InvalidRegistration, SessionOver, UnknownCredential
from vault.officers import OfficerStatus
from vault.signin import codes, invitations, passkeys, passwords, sessions
from vault.signin.passwords import UnfitPassword
from vault.signin.sessions import Method

SIGN_IN: Final = f"{PREFIX}/sign-in"
CONFIRM: Final = f"{PREFIX}/confirm"
SET_UP: Final = f"{PREFIX}/set-up"

Handler = Callable[[Visit], Response]


def _tried(handler: Handler) -> Handler:
    """Count a try at the door, and turn it away with the others' words when there were too many."""

    @wraps(handler)
    def counted(visit: Visit) -> Response:
        if visit.attempts.admit("try", visit.address, visit.now, MOST_TRIES):
            return handler(visit)
        refused(visit, "auth.too_many")
        return visit.page("too_many.html", 429)

    return counted


def sign_in_page(visit: Visit) -> Response:
    """Offer both ways in."""
    return _door(visit, "sign_in.html")


@_tried
def sign_in(visit: Visit) -> Response:
    """Open a session for whoever proves to be an officer."""
    officer_id, method = _proven(visit)
    if officer_id is not None and _may_come(visit, officer_id):
        try:
            with visit.vault.unit() as uow:
                visit.session = sessions.sign_in(uow, visit.session, officer_id, method, visit.limits)
                uow.commit()
        except SessionOver:
            officer_id = None
        else:
            return visit.go(forms.local(visit.form.get("next", ""), PREFIX))
    refused(visit, f"auth.{method}")
    return _door(visit, "sign_in.html", 403, failed=True)


def confirm_page(visit: Visit) -> Response:
    """Ask a signed-in officer to prove to be there still."""
    return _door(visit, "confirm.html")


@_tried
def confirm(visit: Visit) -> Response:
    """Raise the session of an officer who proves it."""
    officer_id, method = _proven(visit)
    if officer_id == visit.officer.id:
        with visit.vault.unit() as uow:
            visit.session = sessions.step_up(uow, visit.session, method)
            uow.commit()
        if visit.form.get("kept"):
            onward = forms.local(visit.form.get("next", ""), PREFIX)
            return visit.page("resume.html", onward=onward, typed=forms.parsed(visit.form["kept"]))
        return visit.go(forms.local(visit.form.get("next", ""), PREFIX))
    refused(visit, "auth.step_up")
    return _door(visit, "confirm.html", 403, failed=True)


def asked_first(visit: Visit) -> Response:
    """Ask who sent a form to prove to be there before it is done. What they typed comes along and is not lost."""
    typed = {name: value for name, value in visit.form.items() if name != forms.CSRF_FIELD}
    return _door(visit, "confirm.html", kept=urlencode(typed), onward=visit.request.scope["path"])


def sign_out(visit: Visit) -> Response:
    """End the session."""
    with visit.vault.unit() as uow:
        sessions.end(uow, visit.session)
        uow.commit()
    return render.farewell(SIGN_IN)


def set_up_page(visit: Visit) -> Response:
    """Ask for a set-up code, or offer the ways in to who has given one."""
    if visit.session.stage is sessions.Stage.ENROLLING:
        return _offer(visit)
    return visit.page("set_up_code.html", failed=False)


@_tried
def set_up(visit: Visit) -> Response:
    """Take a set-up code at the door; take the first passkey, or password and code, from who came with one."""
    if visit.session.stage is sessions.Stage.ENROLLING:
        return _first(visit)
    try:
        with visit.vault.unit() as uow:
            officer_id = invitations.accept(uow, visit.form.get("code", ""))
            visit.session = sessions.enrol(uow, visit.session, officer_id)
            uow.commit()
    except UnknownCredential:
        refused(visit, "auth.invitation")
        return visit.page("set_up_code.html", 403, failed=True)
    return visit.go(SET_UP)


def refused(visit: Visit, why: str) -> None:
    """Record that somebody was turned away, or count it where there were many. Never what was typed."""
    who = UNKNOWN if visit.session.officer is None else visit.actor
    entry = Entry(Act.AUTH_FAILED, Outcome.DENY, who, pol=(why,))
    with visit.vault.unit() as uow:
        if tells(uow, visit.address, entry):
            uow.record(entry)
        uow.commit()


def _proven(visit: Visit) -> tuple[str | None, Method]:
    """Return whom the form proves to be there, if anybody, and how they tried."""
    answer = visit.form.get("answer", "")
    if answer:
        return ceremony.used(visit.vault, visit.session, address_of(visit), answer), Method.PASSKEY
    if visit.services.settings.console_passkeys_only:
        return None, Method.CODE
    known = visit.session.officer
    officer_id = visit.form.get("officer", "").strip() if known is None else known.id
    password, code = visit.form.get("password", ""), "".join(visit.form.get("code", "").split())
    if len(password) > passwords.LONGEST:
        return None, Method.CODE
    visit.unsealed()  # the secret for codes is sealed with the vault; passkeys work in a sealed one too
    with visit.attempts.hashing:
        fits = codes.proves(visit.vault, officer_id, password, code)
    return (officer_id if fits else None), Method.CODE


def _may_come(visit: Visit, officer_id: str) -> bool:
    with visit.vault.reading() as conn:
        officer = officers.get(conn, officer_id)
    return officer is not None and officer.status is OfficerStatus.ACTIVE and officer_id not in officers.FOUNDERS


def _first(visit: Visit) -> Response:
    """Keep an officer's first way in, and sign them in with it."""
    officer_id, form = visit.officer.id, visit.form
    try:
        with visit.vault.unit() as uow:
            if "answer" in form:
                made = ceremony.made(visit.session, address_of(visit), form["answer"])
                if made is None:
                    return _offer(visit, 422, problem="passkey")
                label = form.get("label", "")
                passkeys.add(uow, officer_id, made.credential_id, made.credential_public_key, made.sign_count, label)
                method = Method.PASSKEY
            else:
                if visit.services.settings.console_passkeys_only:
                    return _offer(visit, 422, problem="passkey")
                visit.unsealed()
                code = "".join(form.get("code", "").split())
                codes.set_up(uow, officer_id, form.get("password", ""), visit.session.enrolment, code)
                method = Method.CODE
            visit.session = sessions.sign_in(uow, visit.session, officer_id, method, visit.limits)
            sessions.end_others(uow, visit.session)  # whoever lost a way in may have lost a browser with it
            uow.commit()
    except UnfitPassword as unfit:
        return _offer(visit, 422, problem=unfit.flaw)
    except InvalidRegistration:
        return _offer(visit, 422, problem="code")
    except Conflict:
        return _offer(visit, 422, problem="passkey")
    return visit.go(PREFIX)


def _offer(visit: Visit, status: int = 200, problem: str = "") -> Response:
    secret = visit.session.enrolment
    return visit.page(
        "set_up.html", status,
        options=making(visit),
        secret=" ".join(_fours(codes.spelt(secret))),
        square=_square(codes.link(secret, visit.officer.id, visit.vault.deployment)),
        problem=problem,
    )  # fmt: skip


def _door(
    visit: Visit, template: str, status: int = 200, *, failed: bool = False, kept: str = "", onward: str = ""
) -> Response:
    held = []
    if visit.session.officer is not None:
        with visit.vault.reading() as conn:
            held = passkeys.of(conn, visit.session.officer.id)
    options = ceremony.to_use(visit.session, address_of(visit), held)
    onward = forms.local(onward or visit.form.get("next", "") or visit.query.get("next", ""), PREFIX)
    kept = kept or visit.form.get("kept", "")
    return visit.page(
        template, status, options=options, failed=failed, onward=onward, kept=kept, address=address_of(visit)
    )


def making(visit: Visit) -> str:
    """Return what the browser needs to make a passkey, as JSON."""
    with visit.vault.reading() as conn:
        held = passkeys.of(conn, visit.officer.id)
    return ceremony.to_make(visit.session, address_of(visit), visit.vault.deployment, visit.officer.id, held)


def _square(text: str) -> tuple[int, str]:
    """Draw a QR code as one SVG path: its size in modules, and the path."""
    matrix = segno.make(text, error="m", micro=False).matrix
    runs = [f"M{x} {y}h1v1h-1z" for y, row in enumerate(matrix) for x, dark in enumerate(row) if dark]
    return len(matrix), "".join(runs)


def _fours(text: str) -> list[str]:
    return [text[start : start + 4] for start in range(0, len(text), 4)]


def address_of(visit: Visit) -> str:
    """Return the base URL in officers' browsers: passkeys are bound to its host."""
    return visit.services.settings.console_url
