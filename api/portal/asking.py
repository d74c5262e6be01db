"""Asking: of each right a page that asks for what the right needs, and no more; and what was sent, made a request."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import orjson
from starlette.responses import Response

from api.packages import sealed
from api.portal.call import Call, elsewhere, person
from api.portal.telling import chosen
from api.portal.words import ABOUT, GROUNDS, MEMBERS
from api.problems import Problem
from policies.catalogue import Field, FieldKind
from policies.errors import InvalidValue
from policies.fieldtypes import validate
from policies.purposes import Basis, Purpose
from policies.rights import Assurance, Right
from vault.errors import InvalidFields, VaultError
from vault.locked import Locked
from vault.requests import content, intake
from vault.requests.content import Content
from vault.requests.records import Source
from vault.requests.steps import by_person
from vault.restrictions import Ground

CATEGORIES: Final = frozenset({Right.ACCESS, Right.PORTABILITY, Right.ERASURE})
PURPOSES: Final = frozenset({Right.OBJECTION, Right.CONSENT_WITHDRAWAL, Right.DECISION_REVIEW})
SEALED: Final = frozenset({Right.ACCESS, Right.PORTABILITY})
NEED_WORDS: Final = frozenset({Right.COMPLAINT, Right.DECISION_REVIEW})

_MOST_KEY: Final = 4096
_NOT_ASKABLE: Final = frozenset({Basis.HEADING})
# The members of values that are records, and how each is typed in. What is no record is typed in as a whole.
_RECORDS: Final[Mapping[str, tuple[tuple[str, str], ...]]] = {
    "person_name": (("salutation", "line"), ("given", "line"), ("family", "line")),
    "address": (
        ("lines", "lines"), ("postal_code", "line"), ("locality", "line"), ("region", "line"), ("country", "line"),
        ("use", "choice"),
    ),
    "measurement": (("value", "line"), ("system", "choice")),
    "money": (("amount", "line"), ("currency", "line")),
    "important_date": (("occasion", "choice"), ("date", "date"), ("about", "line")),
    "allergy": (("family", "choice"), ("substance", "line")),
    "household_link": (("relation", "choice"),),
}  # fmt: skip
_TYPED: Final = {"date": "date", "text": "text", "choice": "choice", "boolean": "yes_no"}


@dataclass(frozen=True, slots=True)
class Input:
    """One input of a correction: its name in the form, what it asks for, how it is typed in, what may be chosen."""

    name: str
    label: str
    kind: str
    options: tuple[tuple[str, str], ...] = ()


class Unasked(Exception):
    """The form does not say what the right needs: `reason` names the sentence that says so."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


def ask_page(call: Call, right: Right) -> Response:
    """Ask for what a right needs."""
    return _page(call, right)


def ask(call: Call, right: Right) -> Response:
    """Take a request in: who asks is known by the code."""
    vault = call.vault
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


def _page(call: Call, right: Right, status: int = 200, problem: str = "") -> Response:
    bundle = call.vault.bundle
    with call.vault.unit() as uow:
        me = person(uow, call)
    given = call.form or call.request.query_params
    of = _field(call, given) if right is Right.RECTIFICATION and given.get("field") else None
    return call.page(
        "me_ask.html",
        status,
        right=right,
        about=ABOUT,
        problem=problem,
        given=call.form,
        categories=bundle.catalogue.categories if right in CATEGORIES else (),
        purposes=_purposes(call, me, right) if right in PURPOSES else (),
        grounds=list(GROUNDS.items()) if right is Right.RESTRICTION else (),
        takes_key=right in SEALED,
        needs_words=right in NEED_WORDS,
        correctable=correctable(call) if right is Right.RECTIFICATION and of is None else (),
        field=None if of is None else {"name": of.name, "title": of.title, "item": given.get("item", "")},
        inputs=() if of is None else _inputs(call, of),
    )


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
        return Content(words, values=_correction(call))
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


def _field(call: Call, given: Mapping[str, str]) -> Field:
    of = call.vault.bundle.catalogue.fields.get(given.get("field", ""))
    item = given.get("item", "")
    if of is None or of.kind is FieldKind.JOURNAL or (of.kind is FieldKind.LIST) != _is_item(item):
        raise Problem("bad_request")
    return of


def _is_item(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) < 10 and text != "0"  # noqa: PLR2004 - items are small


def _inputs(call: Call, of: Field) -> list[Input]:
    options = tuple((each, chosen(call.language, each)) for each in of.choices)
    title = of.title.get(call.tag, of.name)
    if of.type not in _RECORDS:
        return [Input("value", title, _TYPED.get(of.type, "line"), options if of.type == "choice" else ())]
    say = call.language.say
    return [
        Input(f"value:{member}", say(MEMBERS[member]), kind, options if kind == "choice" else ())
        for member, kind in _RECORDS[of.type]
    ]


def _correction(call: Call) -> Mapping[str, object]:
    of = _field(call, call.form)
    value = _typed(of, call.form)
    try:
        validate(of, value)
    except InvalidValue:
        raise Unasked("value") from None
    return {of.name: value if of.kind is FieldKind.SINGLE else [{"item": int(call.form["item"]), "value": value}]}


def _typed(of: Field, form: Mapping[str, str]) -> object:
    if of.type in _RECORDS:
        given = {member: form.get(f"value:{member}", "").strip() for member, _ in _RECORDS[of.type]}
        kinds = dict(_RECORDS[of.type])
        return {
            member: [each.strip() for each in text.splitlines() if each.strip()] if kinds[member] == "lines" else text
            for member, text in given.items()
            if text
        }
    text = form.get("value", "").strip()
    if of.type == "boolean":
        return {"yes": True, "no": False}.get(text)
    if of.type == "integer":
        return int(text) if text.isascii() and text.isdigit() and len(text) < 10 else None  # noqa: PLR2004
    return text
