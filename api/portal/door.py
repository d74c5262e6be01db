"""The door of the portal: a brand and an address, a code, and the way out."""

from typing import Final

from starlette.responses import Response

from api.pages import render
from api.portal.call import PREFIX, Call, brands, elsewhere, person
from api.problems import Problem
from vault import facts
from vault.errors import InvalidFields, Refused, SessionOver
from vault.requests import codes, records
from vault.requests.records import Wanted
from vault.signin import visitors

_LONGEST: Final = 254


def sign_in_page(call: Call) -> Response:
    """Ask which maison, and an address it has."""
    return call.page("me_sign_in.html", brands_said=brands(call.vault), failed=False)


def sign_in(call: Call) -> Response:
    """Send a code, if there is whom to; say the same in any case."""
    vault, form = call.vault, call.form
    brand, address = form.get("brand", ""), form.get("address", "").strip()
    if brand not in {name for name, _ in brands(vault)} or len(address) > _LONGEST:
        raise Problem("bad_request")
    channel = "email" if "@" in address else "phone"
    try:
        handle = codes.begin(vault, codes.Wish(brand, channel, address, call.tag))
    except InvalidFields:
        return call.page("me_sign_in.html", 422, brands_said=brands(vault), failed=True)
    with vault.unit() as uow:
        call.visitor = visitors.asked(uow, call.visitor, brand, handle)
        uow.commit()
    return elsewhere("/code")


def code_page(call: Call) -> Response:
    """Ask for the code."""
    return call.page("me_code.html", failed=False)


def code(call: Call) -> Response:
    """Let in whoever returns the code."""
    vault = call.vault
    try:
        proven = codes.check(vault, call.visitor.held, "".join(call.form.get("code", "").split()))
    except Refused:
        return call.page("me_code.html", 403, failed=True)
    with vault.unit() as uow:
        call.visitor = visitors.opened(uow, call.visitor, proven.brand, proven.reference)
        uow.commit()
    return elsewhere("")


def sign_out(call: Call) -> Response:
    """End the session."""
    end(call)
    return render.farewell(f"{PREFIX}/sign-in")


def end(call: Call) -> None:
    """Forget the session behind a call."""
    with call.vault.unit() as uow:
        visitors.end(uow, call.visitor)
        uow.commit()


def home(call: Call) -> Response:
    """Show the way to everything, and what stands."""
    with call.vault.unit() as uow:
        me = person(uow, call)
        (known,) = facts.load(uow, call.visitor.brand, [me.subject])
        standing = records.listed(uow.conn, Wanted(brand=call.visitor.brand, subject=me.subject, open_only=True))
    if known is None:
        raise SessionOver
    return call.page("me_home.html", restricted=known.facts.restricted, standing=len(standing))
