"""An emergency, begun at the console: whose fields, which, for whom, why; then the text to sign.

What says who it is and why is never in an address and nowhere kept between the two forms: it goes along with the second, in the
page of the officer who wrote it, and is sealed with the case. Looking stays at the command line.
"""

from collections.abc import Mapping
from typing import Final

from starlette.responses import Response

from api.console import filters
from api.console.control import CASES
from api.console.signing import pasted
from api.console.visit import Visit
from api.problems import Problem
from policies.catalogue import Category, Field
from policies.errors import UnknownField, UnknownPurpose
from policies.levels import Level
from policies.model import Wanted
from policies.purposes import BREAK_GLASS
from vault import officers, systems
from vault.errors import InvalidCase, NotSigned, UnknownOfficer
from vault.governance import beginning, breakglass
from vault.governance.cases import CASE, LONGEST, LONGEST_REASON, SHORTEST_REASON, USUAL, Asked, Step
from vault.officers import OfficerStatus

ASK: Final = f"{CASES}/ask"
_FIELD: Final = "field "
_WORDS: Final = ("brand", "reference", "bearer", "minutes", "reason")
_LONGEST_REFERENCE: Final = 64


def page(visit: Visit) -> Response:
    """Ask whose fields, which, for whom and why."""
    return _asked(visit)


def ask(visit: Visit) -> Response:
    """Show the text to sign for what was filled in, or open the case by the signature over that text."""
    form, step = visit.form, visit.form.get("step", "")
    if step == "change":
        return _asked(visit)
    if step not in {"prepare", "ask"}:
        raise Problem("bad_request")
    vault = visit.unsealed()
    asked = _filled(visit)
    try:
        if step == "prepare":
            return _to_sign(visit, asked)
        try:
            begun = beginning.resume(vault, CASE, visit.officer.id, form.get("ticket", ""))
            made = pasted(form)
            case = breakglass.ask(vault, asked, visit.officer.id, lambda _: made, begun)
        except NotSigned:
            return _to_sign(visit, asked, 422)
    except InvalidCase as error:
        return _asked(visit, 422, str(error).partition(":")[0])
    except UnknownOfficer:
        return _asked(visit, 422, "bearer")
    return visit.go(f"{CASES}/{case.name}", done="asked")


def _asked(visit: Visit, status: int = 200, problem: str = "") -> Response:
    with visit.vault.reading() as conn:
        known = officers.listed(conn)
        brands = systems.brands(conn)
    may_look = [
        each.id
        for each in known
        if each.status is OfficerStatus.ACTIVE and each.role in CASE.may[Step.LOOK] and each.id not in officers.FOUNDERS
    ]
    return visit.page(
        "ask.html", status,
        brands_said=[(each, each) for each in brands], bearers_said=[(each, each) for each in may_look],
        categories=_offered(visit), chosen=[name.removeprefix(_FIELD) for name in _chosen(visit.form)], filled={name: visit.form.get(name, "") for name in _WORDS} | _chosen(visit.form),
        problem=problem, field=_FIELD, longest=LONGEST, usual=USUAL, shortest=SHORTEST_REASON, most=LONGEST_REASON,
    )  # fmt: skip


def _to_sign(visit: Visit, asked: Asked, status: int = 200) -> Response:
    vault, officer_id = visit.vault, visit.officer.id
    ticket = visit.form.get("ticket", "")
    try:  # one whose signature did not fit may be tried again
        begun = beginning.resume(vault, CASE, officer_id, ticket)
    except NotSigned:
        begun, ticket = beginning.begin(vault, CASE, officer_id)
    with vault.reading() as conn:
        text = breakglass.text(vault, conn, asked, officer_id, begun)
    carried = {name: visit.form.get(name, "") for name in _WORDS} | _chosen(visit.form)
    return visit.page(
        "ask_sign.html", status,
        asked=asked, text=text.decode("ascii"), failed=status != 200, carried=carried | {"ticket": ticket},  # noqa: PLR2004
    )  # fmt: skip


def _filled(visit: Visit) -> Asked:
    """Read the form. What is wrong with it, `Asked.check` says. Raises `Problem` for what no form of ours sends."""
    form, catalogue = visit.form, visit.vault.bundle.catalogue
    wanted = []
    for name, said in _chosen(form).items():
        level, _, predicate = said.partition(":")
        try:
            wanted.append(Wanted(catalogue.field(name.removeprefix(_FIELD)).name, Level(level), predicate))
        except (ValueError, UnknownField):
            raise Problem("bad_request") from None
    return Asked(
        filters.word(form, "brand"),
        form.get("reference", "").strip()[:_LONGEST_REFERENCE],
        tuple(wanted),
        filters.word(form, "bearer") or visit.officer.id,
        filters.number(form, "minutes") or 0,
        form.get("reason", "").strip().replace("\r\n", "\n"),
    )


def _chosen(form: Mapping[str, str]) -> dict[str, str]:
    return {name: said for name, said in form.items() if name.startswith(_FIELD) and said}


def _offered(visit: Visit) -> list[tuple[Category, list[tuple[Field, list[tuple[str, str]]]]]]:
    """Return what the purpose may open at all: each field with its levels, the least first, and its questions."""
    bundle = visit.vault.bundle
    try:
        ceilings = bundle.purposes.get(BREAK_GLASS).max_level
    except UnknownPurpose:
        return []
    return [
        (category, [(field, _levels(field, ceilings[category.name])) for field in category.fields])
        for category in bundle.catalogue.categories
        if category.name in ceilings
    ]


def _levels(field: Field, most: Level) -> list[tuple[str, str]]:
    offered = {Level.PRESENCE, Level.RAW, *field.levels}
    plain = [(each.value, "") for each in Level if each in offered and each.rank <= most.rank]
    asked = sorted(field.predicates) if Level.PREDICATE.rank <= most.rank else []
    return [*plain, *[(f"{Level.PREDICATE}:{each}", each) for each in asked]]
