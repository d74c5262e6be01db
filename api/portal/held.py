"""What is held: categories first, and the values of one only when the person asks for them, each time on record."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from starlette.responses import Response

from api.pages.telling import told
from api.portal.call import Call, brands, house, person
from api.problems import Problem
from policies.catalogue import Category
from policies.model import ConsentStatus
from policies.purposes import GROUP_SHARING
from policies.rights import Right
from vault import facts, systems
from vault.errors import SessionOver, UnknownReference
from vault.requests import contesting, records, revealing
from vault.requests.records import Wanted
from vault.requests.revealing import OwnValue
from vault.unit import UnitOfWork

_STANDS: Final = frozenset({ConsentStatus.GIVEN, ConsentStatus.GUARDED})


@dataclass(frozen=True, slots=True)
class Shown:
    """One value for a page: `text` is what it says, `value` where it is from, `name` the field that a correction names.

    `contested`: the person asked for its correction, and nobody is given it until that is decided.
    """

    name: str
    title: str
    text: str = field(repr=False)
    value: OwnValue = field(repr=False)
    contested: bool


def held_page(call: Call) -> Response:
    """Show which categories hold anything, without opening one."""
    return _page(call, None, (), ())


def held(call: Call) -> Response:
    """Open one category."""
    named = call.form.get("category", "")
    category = next((each for each in call.vault.bundle.catalogue.categories if each.name == named), None)
    if category is None:
        raise Problem("bad_request")
    try:
        own = revealing.reveal(call.vault, call.visitor.brand, call.visitor.held, category)
    except UnknownReference:
        raise SessionOver from None
    language = call.language
    with call.vault.unit() as uow:
        subject = person(uow, call).subject
        contested = contesting.standing(uow, subject, call.visitor.brand)
        asked = _asked(uow, call, subject, category)
    shown = [
        Shown(
            of.name,
            of.title.get(call.tag, of.name),
            "" if each.value is None else told(language, of.type, each.value),
            each,
            not contested.isdisjoint({(of.id, each.item), (of.id, contesting.EVERY)}),
        )
        for of, values in own.held.items()
        for each in values
    ]
    return _page(call, category, shown, [of.title.get(call.tag, of.name) for of in own.unread], asked=asked)


def _asked(uow: UnitOfWork, call: Call, subject: bytes, category: Category) -> bool:
    """Tell whether a copy of a category is asked for and not answered yet: what is in it is read for that."""
    wanted = Wanted(brand=call.visitor.brand, subject=subject, rights=(Right.ACCESS,), owed_only=True)
    return any(not each.names or category.name in each.names for each in records.listed(uow.conn, wanted))


def _page(
    call: Call,
    opened: Category | None,
    shown: Sequence[Shown],
    unread: Sequence[str],
    *,
    asked: bool = False,
) -> Response:
    vault, brand = call.vault, call.visitor.brand
    bundle = vault.bundle
    with vault.unit() as uow:
        me = person(uow, call)
        counts = revealing.counts(uow, me, brand)
        (known,) = facts.load(uow, brand, [me.subject])
        names = {each.id: each.name for each in systems.listed(uow.conn)}
    if known is None:
        raise SessionOver
    sharing = bundle.purposes.get(GROUP_SHARING)
    shared = [house(vault, each) for each in sharing.recipients if each != brand]
    uses = {
        each.name: [purpose.title for purpose in bundle.purposes.every if each.name in purpose.max_level]
        for each in bundle.catalogue.categories
    }
    return call.page(
        "me_held.html",
        categories=[each for each in bundle.catalogue.categories if each.name in counts],
        counts=counts,
        uses=uses,
        opened=None if opened is None else opened.name,
        shown=shown,
        unread=unread,
        unreviewed=sum(each.value.unreviewed for each in shown),
        asked=asked,
        names=names,
        restricted=known.facts.restricted,
        shared=shared if known.facts.consents.get(GROUP_SHARING) in _STANDS else [],
        others=[name for key, name in brands(vault) if key != brand],
    )
