"""What a person decides: each consent on or off, and how, when and by whom they want to be reached."""

import datetime as dt
from collections.abc import Callable
from typing import Final
from zoneinfo import available_timezones

from starlette.responses import Response

from api.pages.language import LANGUAGES
from api.pages.telling import chosen, language_name, told
from api.portal.call import CHANNEL, Call, elsewhere, newest, person
from api.problems import Problem
from policies.decision import OWN
from policies.model import ConsentStatus
from vault import consents as consent_changes
from vault.consentevents import ConsentAct, ConsentEvent, Method, Notice
from vault.errors import InvalidFields, SessionOver, UnknownReference, VaultError
from vault.requests import wishes
from vault.requests.revealing import OwnValue
from vault.requests.wishes import Silence

_ON: Final = frozenset({ConsentStatus.GIVEN, ConsentStatus.GUARDED})
_REGIONS: Final = ("Europe", "America", "Asia", "Africa", "Australia", "Pacific", "Atlantic", "Indian")
_LANGUAGES: Final = (*LANGUAGES, "it", "de", "es", "pt", "ja", "zh", "ko", "ar", "ru")
_MANY: Final = ("contact_channel", "contact_hours", "discretion")
_ONE: Final = ("contact_zone", "preferred_language")


def consents_page(call: Call) -> Response:
    """Show each consent, on or off, with the text it stands on."""
    vault = call.vault
    with vault.unit() as uow:
        me = person(uow, call)
        held = consent_changes.statuses(uow, call.visitor.brand, [me.subject]).get(me.subject, {})
    rows = []
    for purpose in vault.bundle.purposes.every:
        version = newest(call, purpose)
        if purpose.may_need_consent and version is not None:
            notice = vault.bundle.notices[purpose.notice, version, call.tag]
            rows.append((purpose, held.get(purpose.key, ConsentStatus.NONE) in _ON, notice.text))
    return call.page("me_consents.html", rows=rows)


def consents(call: Call) -> Response:
    """Switch one on or off: one button each."""
    vault = call.vault
    purpose = vault.bundle.purposes.get(call.form.get("purpose", ""))
    version = newest(call, purpose)
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
        person(uow, call)
        change = consent_changes.Change(call.visitor.held, call.visitor.brand, OWN, event)
        (answer,) = consent_changes.change(uow, [change])
        if isinstance(answer, VaultError):
            raise answer
        uow.commit()
    return elsewhere("/consents", "consent")


def preferences_page(call: Call) -> Response:
    """Show the person's wishes, on record, to be changed."""
    return _preferences(call)


def preferences(call: Call) -> Response:
    """Set channels, hours, time zone, language and discretion."""
    fields = call.vault.bundle.catalogue.fields
    wanted = {
        name: [each for each in fields[name].choices if call.form.get(f"{name}:{each}") == "on"]
        for name in _MANY
        if name in fields
    }
    wanted |= {name: [call.form[name]] if call.form.get(name) else [] for name in _ONE if name in fields}
    if (zone := wanted.get("contact_zone")) and zone[0] not in available_timezones():
        raise Problem("bad_request")
    return _write(call, "wishes", lambda: wishes.write(call.vault, call.visitor.brand, call.visitor.held, wanted))


def silence(call: Call) -> Response:
    """Add a time of silence, or end one."""
    vault, brand, held = call.vault, call.visitor.brand, call.visitor.held
    if "item" in call.form:
        item = call.form["item"]
        if not item.isascii() or not item.isdigit() or len(item) > 9:  # noqa: PLR2004 - item numbers are small
            raise Problem("bad_request")
        return _write(call, "silence", lambda: wishes.end_silence(vault, brand, held, int(item)))
    try:
        begins, ends = (dt.date.fromisoformat(call.form.get(each, "")) for each in ("begins", "ends"))
    except ValueError:
        return _preferences(call, 422, failed=True)
    return _write(call, "silence", lambda: wishes.keep_silence(vault, brand, held, Silence(begins, ends)))


def advisor(call: Call) -> Response:
    """Let the own advisor go."""
    return _write(call, "advisor", lambda: wishes.let_advisor_go(call.vault, call.visitor.brand, call.visitor.held))


def _write(call: Call, done: str, act: Callable[[], object]) -> Response:
    try:
        act()
    except UnknownReference:
        raise SessionOver from None
    except InvalidFields:
        return _preferences(call, 422, failed=True)
    return elsewhere("/preferences", done)


def _preferences(call: Call, status: int = 200, *, failed: bool = False) -> Response:
    try:
        own = wishes.read(call.vault, call.visitor.brand, call.visitor.held)
    except UnknownReference:
        raise SessionOver from None
    held: dict[str, tuple[OwnValue, ...]] = {of.name: values for of, values in own.held.items()}
    fields, language = call.vault.bundle.catalogue.fields, call.language
    chosen_now = {name: {str(each.value) for each in held.get(name, ())} for name in wishes.SET}
    tags = dict.fromkeys([*_LANGUAGES, *chosen_now["preferred_language"]])
    zones = sorted({each for each in available_timezones() if each.startswith(_REGIONS)} | chosen_now["contact_zone"])
    return call.page(
        "me_preferences.html",
        status,
        failed=failed,
        many=[
            (name, fields[name].title, [(each, chosen(language, each)) for each in fields[name].choices])
            for name in _MANY
            if name in fields
        ],
        now=chosen_now,
        zones=zones,
        tongues=[(each, language_name(language, each)) for each in tags],
        silences=held.get(wishes.SILENCE, ()),
        advisor=[told(language, fields[wishes.ADVISOR].type, each.value) for each in held.get(wishes.ADVISOR, ())],
        unread=bool(own.unread),
    )
