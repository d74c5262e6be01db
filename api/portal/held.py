"""What is held: categories first, and the values of one only when the person asks for them, each time on record."""

from dataclasses import dataclass, field
from typing import Final

from starlette.responses import Response

from api.pages.telling import told
from api.portal.call import Call, brands, house, person
from api.problems import Problem
from policies.catalogue import Category
from policies.model import ConsentStatus
from policies.purposes import GROUP_SHARING
from vault import facts, systems
from vault.errors import SessionOver, UnknownReference
from vault.requests import contesting, revealing
from vault.requests.revealing import OwnValue

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
        contested = contesting.standing(uow, person(uow, call).subject, call.visitor.brand)
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
    return _page(call, category, shown, [of.title.get(call.tag, of.name) for of in own.unread])


def _page(
    call: Call, opened: Category | None, shown: "list[Shown] | tuple[()]", unread: "list[str] | tuple[()]"
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
        names=names,
        restricted=known.facts.restricted,
        shared=shared if known.facts.consents.get(GROUP_SHARING) in _STANDS else [],
        others=[name for key, name in brands(vault) if key != brand],
    )
