"""A raise of a budget, begun at the console: which limits of which system, how high, for how long; then the text to sign.

Each limit that stands has a place for a higher one beside it. Nothing is kept between the two forms: what was filled in goes
along with the second, and what is signed is that.
"""

from typing import Final

from starlette.responses import Response

from api.console import filters
from api.console.control import BUDGETS
from api.console.signing import pasted
from api.console.visit import Visit
from api.problems import Problem
from vault import budgetraises, systems
from vault.budgetraises import LONGEST, RAISES
from vault.errors import InvalidRegistration, NotSigned
from vault.governance import beginning
from vault.systems import SystemRecord

RAISE: Final = f"{BUDGETS}/raise"
MOST_HOURS: Final = LONGEST // 3600
USUAL_HOURS: Final = 24
_LIMIT: Final = "limit "


def page(visit: Visit) -> Response:
    """Ask for a system, then for its limits."""
    return _asked(visit, filters.word(visit.query, "system"))


def propose(visit: Visit) -> Response:
    """Show the text to sign for what was filled in, or propose it by the signature over that text."""
    form = visit.form
    system, step = _system(visit, filters.word(form, "system")), form.get("step", "")
    if step not in {"prepare", "propose"}:
        raise Problem("bad_request")
    limits = _higher(visit, system) if step == "prepare" else tuple(form.get("limits", "").split())
    hours = filters.number(form, "hours") or 0
    try:
        if step == "prepare":
            return _to_sign(visit, system, limits, hours)
        try:
            begun = beginning.resume(visit.unsealed(), RAISES.matter, visit.officer.id, form.get("ticket", ""))
            made = pasted(form)
            budgetraises.propose(visit.vault, system.id, limits, hours * 3600, visit.officer.id, lambda _: made, begun)
        except NotSigned:
            return _to_sign(visit, system, limits, hours, 422)
    except InvalidRegistration:
        return _asked(visit, system.id, 422)
    return visit.go(BUDGETS, done="proposed")


def _asked(visit: Visit, system_id: str, status: int = 200) -> Response:
    with visit.vault.reading() as conn:
        known = systems.listed(conn)
    system = _system(visit, system_id) if system_id else None
    standing = [] if system is None else [(_where(each), each) for each in system.budgets.spelt]
    return visit.page(
        "raise.html", status,
        systems_said=[(each.id, f"{each.id} ({each.brand})") for each in known],
        system=system, standing=standing, filled=visit.form, limit=_LIMIT, failed=status != 200,  # noqa: PLR2004
        hours=visit.form.get("hours", str(USUAL_HOURS)), most=MOST_HOURS,
    )  # fmt: skip


def _to_sign(visit: Visit, system: SystemRecord, limits: tuple[str, ...], hours: int, status: int = 200) -> Response:
    vault, officer_id = visit.unsealed(), visit.officer.id
    ticket = visit.form.get("ticket", "")
    try:  # one whose signature did not fit may be tried again
        begun = beginning.resume(vault, RAISES.matter, officer_id, ticket)
    except NotSigned:
        begun, ticket = beginning.begin(vault, RAISES.matter, officer_id)
    with vault.reading() as conn:
        text = budgetraises.text(vault, conn, system.id, limits, hours * 3600, officer_id, begun)
    return visit.page(
        "raise_sign.html", status,
        system=system, limits=limits, hours=hours, text=text.decode("ascii"), failed=status != 200,  # noqa: PLR2004
        carried={"system": system.id, "limits": " ".join(limits), "hours": str(hours), "ticket": ticket},
    )  # fmt: skip


def _higher(visit: Visit, system: SystemRecord) -> tuple[str, ...]:
    """Spell the limits for which a higher quota was filled in."""
    found = []
    for each in system.budgets.spelt:
        where, (scope, _, window) = _where(each), each.rpartition(":")
        if (quota := filters.number(visit.form, f"{_LIMIT}{where}")) is not None:
            found.append(f"{scope}:{quota}/{window.partition('/')[2]}")
    return tuple(found)


def _where(spelt: str) -> str:
    """Name a limit without its quota: `system:people:5000/hour` is `system:people/hour`."""
    scope, _, quota = spelt.rpartition(":")
    return f"{scope}/{quota.partition('/')[2]}"


def _system(visit: Visit, system_id: str) -> SystemRecord:
    with visit.vault.reading() as conn:
        found = systems.get(conn, system_id)
    if found is None:
        raise Problem("not_found")
    return found
