"""Where a person is signed in, and the end of it: one by one, or all but this."""

from starlette.responses import Response

from api.portal.call import Call, elsewhere, person
from vault.signin import visitors


def page(call: Call) -> Response:
    """List the person's own sessions."""
    with call.vault.unit() as uow:
        person(uow, call)
        opened = visitors.listed(uow, call.visitor)
    return call.page("me_sessions.html", opened=opened)


def end(call: Call) -> Response:
    """End one other session of the person's, or all others where none is named."""
    with call.vault.unit() as uow:
        person(uow, call)
        visitors.end_others(uow, call.visitor, call.form.get("end", ""))
        uow.commit()
    return elsewhere("/sessions")
