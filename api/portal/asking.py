"""Asking: of each right a page that asks for what the right needs, and no more; and what was sent, made a request."""

from collections.abc import Mapping
from typing import Any, Final

import orjson
from starlette.responses import Response

from api.packages import sealed
from api.pages.telling import told
from api.portal import entering
from api.portal.call import Call, elsewhere, person
from api.portal.words import ABOUT, GROUNDS
from api.problems import Problem
from policies.catalogue import Field, FieldKind
from policies.errors import InvalidValue
from policies.fieldtypes import validate
from policies.purposes import Basis, Purpose
from policies.rights import Assurance, Right
from vault.errors import InvalidFields, SessionOver, UnknownReference, VaultError
from vault.locked import Locked
from vault.requests import content, entries, intake
from vault.requests.content import Content
from vault.requests.masking import MARK
from vault.requests.records import Source
from vault.requests.steps import by_person
from vault.restrictions import Ground
from vault.values import JsonValue

CATEGORIES: Final = frozenset({Right.ACCESS, Right.PORTABILITY, Right.ERASURE})
PURPOSES: Final = frozenset({Right.OBJECTION, Right.CONSENT_WITHDRAWAL, Right.DECISION_REVIEW})
SEALED: Final = frozenset({Right.ACCESS, Right.PORTABILITY})
NEED_WORDS: Final = frozenset({Right.COMPLAINT, Right.DECISION_REVIEW})

_MOST_KEY: Final = 4096
_NOT_ASKABLE: Final = frozenset({Basis.HEADING})


class Unasked(Exception):
    """The form does not say what the right needs: `reason` names the sentence that says so."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


def ask_page(call: Call, right: Right) -> Response:
    """Ask for what a right needs."""
    return _page(call, right)


def ask(call: Call, right: Right) -> Response:
    """Take a request in: who asks is known by the code. Or show what stands of the entry that is to be corrected."""
    vault = call.vault
    if right is Right.RECTIFICATION and call.form.get("show") == "on":
        return _page(call, right, shows=True)
    try:
        names, written = _names(call, right), _content(call, right)
    except Unasked as missing:
        return _page(call, right, 422, missing.reason)
    wanted = intake.Ask(
        call.visitor.held, call.visitor.brand, right, by_person(vault), Source.PORTAL, Assurance.CODE,
        names=names, content=written, language=call.tag,
    )  # fmt: skip
    with vault.unit() as uow:
        person(uow, call)
        (answer,) = intake.receive(uow, [wanted])
        if isinstance(answer, InvalidFields):
            return _page(call, right, 422, "unfit")
        if isinstance(answer, VaultError):
            raise answer
        uow.commit()
    return elsewhere("/requests", "sent")


def correctable(call: Call) -> list[tuple[str, list[tuple[str, str]]]]:
    """Return the fields with one value that a person can type in anew, by category title."""
    found = []
    for category in call.vault.bundle.catalogue.categories:
        fields = [
            (each.name, each.title.get(call.tag, each.name))
            for each in category.fields
            if each.kind is FieldKind.SINGLE
        ]
        if fields:
            found.append((category.title.get(call.tag, category.name), fields))
    return found


def _page(call: Call, right: Right, status: int = 200, problem: str = "", *, shows: bool = False) -> Response:
    bundle = call.vault.bundle
    with call.vault.unit() as uow:
        me = person(uow, call)
    given = call.form or call.request.query_params
    of, item = entering.named(call, given) if right is Right.RECTIFICATION and given.get("field") else (None, 0)
    stands = None
    if shows and of is not None:
        try:
            stands = _stands(call, of, item)
        except Unasked as held_back:
            problem = held_back.reason
    return call.page(
        "me_ask.html",
        status,
        right=right,
        about=ABOUT,
        problem=problem,
        given=call.form
        if stands is None or of is None
        else {**_whole(entering.spelt(of, stands)), **_written(call.form)},
        stands="" if stands is None or of is None else told(call.language, of.type, stands),
        categories=bundle.catalogue.categories if right in CATEGORIES else (),
        purposes=_purposes(call, me, right) if right in PURPOSES else (),
        grounds=list(GROUNDS.items()) if right is Right.RESTRICTION else (),
        takes_key=right in SEALED,
        needs_words=right in NEED_WORDS,
        correctable=correctable(call) if right is Right.RECTIFICATION and of is None else (),
        field=None if of is None else {"name": of.name, "title": of.title, "item": item or ""},
        entry=of is not None and of.kind is FieldKind.JOURNAL,
        inputs=() if of is None else entering.inputs(call.language, of),
    )


def _stands(call: Call, of: Field, item: int) -> JsonValue:
    """Show the person what stands: a single value, an item of a list, an entry. On record, as every look of theirs.

    Raises `Unasked` for a text that no officer has read: it can be told anew all the same, unseen.
    """
    try:
        return entries.standing(call.vault, call.visitor.brand, call.visitor.held, of, item)
    except UnknownReference:
        raise SessionOver from None
    except InvalidFields as error:
        if (of.name, "unreviewed") in error.problems:
            raise Unasked("unreviewed") from None
        raise Problem("not_found") from None


def _whole(inputs: Mapping[str, str]) -> dict[str, str]:
    """Leave out what a mask stands in: sent back as it is shown, it would take the place of what the person cannot see."""
    return {name: text for name, text in inputs.items() if MARK not in text}


def _written(form: Mapping[str, str]) -> dict[str, str]:
    return {name: text for name, text in form.items() if text and (name == "words" or name.startswith("value"))}


def _purposes(call: Call, me: Locked, right: Right) -> list[Purpose]:
    purposes = call.vault.bundle.purposes
    jurisdiction = purposes.jurisdiction(me.region)
    found = []
    for each in purposes.every:
        basis = each.basis_in(jurisdiction)
        fits = basis.needs_consent if right is Right.CONSENT_WITHDRAWAL else not basis.withstands_objection
        if fits and basis not in _NOT_ASKABLE:
            found.append(each)
    return found


def _names(call: Call, right: Right) -> tuple[str, ...]:
    form, bundle = call.form, call.vault.bundle
    if right in CATEGORIES:
        return tuple(each.name for each in bundle.catalogue.categories if form.get(f"category:{each.name}") == "on")
    if right is Right.RESTRICTION:
        ground = form.get("ground", "")
        if ground not in GROUNDS:
            raise Unasked("ground")
        return (Ground(ground).value,)
    if right in PURPOSES:
        names = tuple(each.key for each in bundle.purposes.every if form.get(f"purpose:{each.key}") == "on")
        if not names and right is not Right.DECISION_REVIEW:
            raise Unasked("purposes")
        return names
    return ()


def _content(call: Call, right: Right) -> Content:
    words = call.form.get("words", "").strip()
    if len(words) > content.LONGEST_WORDS:
        raise Unasked("too_long")
    if right in NEED_WORDS and not words:
        raise Unasked("words")
    if right is Right.RECTIFICATION:
        return Content(words, values=_read_correction(call))
    return Content(words, key=_key(call.form.get("key", "").strip()) if right in SEALED else {})


def _key(text: str) -> Mapping[str, Any]:
    if not text:
        return {}
    try:
        key = orjson.loads(text) if len(text) <= _MOST_KEY else None
    except orjson.JSONDecodeError:
        key = None
    if not isinstance(key, dict):
        raise Unasked("key")
    try:
        sealed.check(key)
    except sealed.InvalidKey:
        raise Unasked("key") from None
    return key


def _read_correction(call: Call) -> Mapping[str, object]:
    of, item = entering.named(call, call.form)
    if of.kind is not FieldKind.JOURNAL:
        value = entering.typed(of, call.form)
        try:
            validate(of, value)
        except InvalidValue:
            raise Unasked("value") from None
        return {of.name: value if of.kind is FieldKind.SINGLE else [{"item": item, "value": value}]}
    out = call.form.get("out") == "on"
    members = entering.members(of, call.form)
    if not out and not members:
        raise Unasked("nothing_wrong")
    try:
        entries.fits(call.vault, call.visitor.brand, call.visitor.held, of, item, None if out else members)
    except UnknownReference:
        raise SessionOver from None
    except InvalidFields:
        raise Unasked("value") from None
    return {of.name: [{"item": item, "value": None if out else members}]}
