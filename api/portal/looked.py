"""Who looked at what of the person, when and why, newest first and a stretch of the log at a time."""

from starlette.responses import Response

from api.portal.call import Call, person
from audit.entry import Act, Entry, Outcome
from vault import systems
from vault.requests import looks
from vault.requests.steps import by_person
from vault.staff import staff_keys


def looks_page(call: Call) -> Response:
    """Show one stretch. To look is an entry itself."""
    before = call.place()
    vault, brand = call.vault, call.visitor.brand
    with vault.unit() as uow:
        me = person(uow, call)
        entry = Entry(Act.AUDIT_VIEWED, Outcome.ALLOW, by_person(vault).actor, pol=("audit.own",))
        uow.record(entry, log_key=me.log_key)
        uow.commit()
    with vault.reading() as conn:
        register = systems.listed(conn)
        numbering = looks.Numbering({each.id: each.brand for each in register}, staff_keys(vault.keys, [brand])[brand])
        found = looks.recent(conn, 0, me.log_key, brand, numbering, before)
    return call.page(
        "me_looks.html",
        looks=found.looks,
        reached=found.reached,
        kept=found.kept,
        names={each.id: each.name for each in register},
        purposes={each.key: each.title for each in vault.bundle.purposes.every},
        fields={name: each.title for name, each in vault.bundle.catalogue.fields.items()},
    )
