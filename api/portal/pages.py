"""The portal's pages: sign in by code, who looked, consents, requests, and whether the log is whole."""

from typing import TYPE_CHECKING, Final

from starlette.responses import Response

from api.packages.handing import file_of
from api.packages.sealed import InvalidKey
from api.pages import render
from api.problems import Problem
from audit.entry import Act, Actor, ActorKind, Entry, Outcome
from audit.findings import Verdict
from policies.decision import OWN
from policies.model import ConsentStatus
from policies.purposes import Purpose
from policies.rights import Assurance, Right
from vault import consents as consent_changes
from vault import evidence, locked, systems
from vault.consentevents import ConsentAct, ConsentEvent, Method, Notice
from vault.errors import InvalidFields, Refused, UnknownReference, VaultError
from vault.locked import Locked
from vault.requests import codes, delivering, intake, looks, records
from vault.requests.content import Content
from vault.requests.records import Source, Wanted
from vault.requests.steps import by_person
from vault.signin import visitors
from vault.staff import staff_keys
from vault.unit import UnitOfWork

if TYPE_CHECKING:
    from api.portal.site import Call

PREFIX: Final = "/me"
CHANNEL: Final = "portal"
MOST_LOOKS: Final = 200
# Rights that a button asks for; the others need words or values, which go with them.
RIGHTS: Final = (Right.ACCESS, Right.PORTABILITY, Right.ERASURE, Right.COMPLAINT)

_ON: Final = frozenset({ConsentStatus.GIVEN, ConsentStatus.GUARDED})


def sign_in_page(call: "Call") -> Response:
    """Ask which maison, and an address it has."""
    return call.page("me_sign_in.html", brands_said=_brands(call), failed=False)


def sign_in(call: "Call") -> Response:
    """Send a code, if there is whom to; say the same in any case."""
    vault, form = call.services.vault, call.form
    brand, address = form.get("brand", ""), form.get("address", "").strip()
    if brand not in {name for name, _ in _brands(call)}:
        raise Problem("bad_request")
    channel = "email" if "@" in address else "phone"
    try:
        handle = codes.begin(vault, codes.Wish(brand, channel, address, call.tag))
    except InvalidFields:
        return call.page("me_sign_in.html", 422, brands_said=_brands(call), failed=True)
    with vault.unit() as uow:
        call.visitor = visitors.asked(uow, call.visitor, brand, handle)
        uow.commit()
    return render.elsewhere(f"{PREFIX}/code")


def code_page(call: "Call") -> Response:
    """Ask for the code."""
    return call.page("me_code.html", failed=False)


def code(call: "Call") -> Response:
    """Let in whoever returns the code."""
    vault = call.services.vault
    try:
        proven = codes.check(vault, call.visitor.held, "".join(call.form.get("code", "").split()))
    except Refused:
        return call.page("me_code.html", 403, failed=True)
    with vault.unit() as uow:
        call.visitor = visitors.opened(uow, call.visitor, proven.brand, proven.reference)
        uow.commit()
    return render.elsewhere(PREFIX)


def sign_out(call: "Call") -> Response:
    """End the session."""
    with call.services.vault.unit() as uow:
        visitors.end(uow, call.visitor)
        uow.commit()
    return render.farewell(f"{PREFIX}/sign-in")


def home(call: "Call") -> Response:
    """Show the way to everything."""
    with call.services.vault.unit() as uow:
        _me(uow, call)
    return call.page("me_home.html")


def looks_page(call: "Call") -> Response:
    """Show who looked at what of the person, when and why. To look is an entry itself."""
    vault = call.services.vault
    with vault.unit() as uow:
        me = _me(uow, call)
        actor = Actor(ActorKind.VAULT, vault.deployment, CHANNEL)
        uow.record(Entry(Act.AUDIT_VIEWED, Outcome.ALLOW, actor, pol=("audit.own",)), log_key=me.log_key)
        uow.commit()
    with vault.reading() as conn:
        register = systems.listed(conn)
        brand = call.visitor.brand
        veil = staff_keys(vault.keys, [brand])[brand]
        numbering = looks.Numbering({each.id: each.brand for each in register}, veil)
        found = looks.looks(conn, 0, me.log_key, brand, numbering)
    names = {each.id: each.name for each in register}
    purposes = {each.key: each.title for each in vault.bundle.purposes.every}
    fields = {name: each.title for name, each in vault.bundle.catalogue.fields.items()}
    shown = list(reversed(found))[:MOST_LOOKS]
    return call.page("me_looks.html", looks=shown, names=names, purposes=purposes, fields=fields)


def consents_page(call: "Call") -> Response:
    """Show each consent, on or off, with the text it stands on."""
    vault = call.services.vault
    with vault.unit() as uow:
        me = _me(uow, call)
        held = consent_changes.statuses(uow, call.visitor.brand, [me.subject]).get(me.subject, {})
    rows = []
    for purpose in vault.bundle.purposes.every:
        version = _newest(call, purpose)
        if purpose.may_need_consent and version is not None:
            notice = vault.bundle.notices[purpose.notice, version, call.tag]
            rows.append((purpose, held.get(purpose.key, ConsentStatus.NONE) in _ON, notice.text))
    return call.page("me_consents.html", rows=rows)


def consents(call: "Call") -> Response:
    """Switch one on or off: one button each."""
    vault = call.services.vault
    purpose = vault.bundle.purposes.get(call.form.get("purpose", ""))
    version = _newest(call, purpose)
    if version is None or call.form.get("to") not in {"on", "off"}:
        raise Problem("bad_request")
    on = call.form["to"] == "on"
    event = ConsentEvent(
        purpose.key,
        ConsentAct.GIVEN if on else ConsentAct.WITHDRAWN,
        CHANNEL,
        Notice(purpose.notice, version, call.tag) if on else None,
        method=Method.CLICK,
    )
    with vault.unit() as uow:
        _me(uow, call)
        change = consent_changes.Change(call.visitor.held, call.visitor.brand, OWN, event)
        (answer,) = consent_changes.change(uow, [change])
        if isinstance(answer, VaultError):
            raise answer
        uow.commit()
    return render.elsewhere(f"{PREFIX}/consents")


def requests_page(call: "Call") -> Response:
    """Show the person's requests and how far they are."""
    vault = call.services.vault
    with vault.unit() as uow:
        me = _me(uow, call)
        found = records.listed(uow.conn, Wanted(brand=call.visitor.brand, subject=me.subject))
    return call.page("me_requests.html", requests=found, rights=RIGHTS)


def requests(call: "Call") -> Response:
    """Take a request in: who asks is known by the code."""
    vault = call.services.vault
    try:
        right = Right(call.form.get("right", ""))
    except ValueError:
        raise Problem("bad_request") from None
    content = Content(words=call.form.get("words", "").strip())
    ask = intake.Ask(
        call.visitor.held, call.visitor.brand, right, by_person(vault), Source.PORTAL, Assurance.CODE,
        content=content, language=call.tag,
    )  # fmt: skip
    with vault.unit() as uow:
        (answer,) = intake.receive(uow, [ask])
        if isinstance(answer, VaultError):
            raise answer
        uow.commit()
    return render.elsewhere(f"{PREFIX}/requests")


def package(call: "Call") -> Response:
    """Give the person the package of a request of theirs that is ready. It is made now, and kept nowhere."""
    vault = call.services.vault
    request_id = records.identifier(call.form.get("request", ""))
    with vault.unit() as uow:
        me = _me(uow, call)
        mine = records.listed(uow.conn, Wanted(brand=call.visitor.brand, subject=me.subject))
    if all(each.id != request_id for each in mine):
        raise records.UnknownRequest
    gathered, written = delivering.hand_over(vault, request_id, by_person(vault))
    try:
        content, name = file_of(vault, gathered, written.key)
    except InvalidKey:
        raise Problem("bad_request") from None
    return render.download(content, name)


def proof_page(call: "Call") -> Response:
    """Offer to check the log."""
    return _proof(call, holds=None, size=0)


def proof(call: "Call") -> Response:
    """Hash the whole log anew and check every checkpoint."""
    vault = call.services.vault
    notes = evidence.outside_notes(vault, call.services.settings.checkpoint_file)
    result = evidence.verify(vault, 0, notes[0])
    return _proof(call, holds=result.verdict is Verdict.FINE, size=result.size)


def _proof(call: "Call", *, holds: bool | None, size: int) -> Response:
    note = evidence.latest_checkpoint(call.services.vault)
    return call.page("me_proof.html", holds=holds, size=size, note=note or "")


def _me(uow: UnitOfWork, call: "Call") -> Locked:
    """Find the person behind the session; nobody once they were erased."""
    (row,) = locked.by_reference(uow, [(call.visitor.brand, call.visitor.held)])
    if isinstance(row, UnknownReference):
        raise row
    return row


def _newest(call: "Call", purpose: Purpose) -> int | None:
    """Return the newest version of the purpose's text in the reader's language."""
    found = [
        version
        for name, version, language in call.services.vault.bundle.notices
        if (name, language) == (purpose.notice, call.tag)
    ]
    return max(found, default=None)


def _brands(call: "Call") -> list[tuple[str, str]]:
    with call.services.vault.reading() as conn:
        return [(each, each.capitalize()) for each in sorted({each.brand for each in systems.listed(conn)})]
