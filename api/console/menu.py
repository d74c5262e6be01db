"""The console's pages as its menu shows them, each to the roles that may open it."""

from dataclasses import dataclass
from typing import Final

from api.pages.language import N_
from vault.officers import Role

ALL: Final = frozenset(Role)
READERS: Final = frozenset({Role.COMPLIANCE, Role.AUDITOR})
HANDLERS: Final = frozenset({Role.COMPLIANCE, Role.APPROVER})


# Pages that no line of the menu begins like, by the one that leads there.
_LED_TO: Final = {"/console/kept": "/console/reports", "/console/made": "/console/reports"}


@dataclass(frozen=True, slots=True)
class Item:
    """One line of the menu."""

    path: str
    title: str
    roles: frozenset[Role] = ALL


@dataclass(frozen=True, slots=True)
class Shown:
    """One line as one officer sees it now."""

    path: str
    title: str
    current: bool


GROUPS: Final[tuple[tuple[str, tuple[Item, ...]], ...]] = (
    ("", (Item("/console", N_("Today")),)),
    (
        N_("People"),
        (
            Item("/console/requests", N_("Requests"), HANDLERS),
            Item("/console/person", N_("One person"), READERS),
        ),
    ),
    (
        N_("Data"),
        (
            Item("/console/systems", N_("Systems")),
            Item("/console/purposes", N_("Purposes")),
            Item("/console/policy", N_("Policy")),
            Item("/console/consents", N_("Consents")),
        ),
    ),
    (
        N_("Evidence"),
        (
            Item("/console/log", N_("Audit log"), READERS),
            Item("/console/integrity", N_("Integrity")),
            Item("/console/reports", N_("Reports"), READERS),
            Item("/console/erasures", N_("Erasures")),
        ),
    ),
    (
        N_("Control"),
        (
            Item("/console/alerts", N_("Alerts"), READERS | HANDLERS),
            Item("/console/budgets", N_("Budgets")),
            Item("/console/break-glass", N_("Break-glass")),
            Item("/console/officers", N_("Officers")),
            Item("/console/seal", N_("Seal")),
        ),
    ),
)


def menu_of(role: Role, here: str) -> list[tuple[str, list[Shown]]]:
    """Return the menu of a role, groups without a line left out."""
    groups = []
    for title, items in GROUPS:
        shown = [Shown(each.path, each.title, _is_at(here, each.path)) for each in items if role in each.roles]
        if shown:
            groups.append((title, shown))
    return groups


def above(role: Role, here: str) -> Shown | None:
    """Return the page of the menu that leads to this one; none for a page of the menu itself."""
    under = _LED_TO.get("/".join(here.split("/")[:3]), here)
    for _, items in GROUPS:
        for each in items:
            if role in each.roles and here != each.path and _is_at(f"{under}/", each.path):
                return Shown(each.path, each.title, current=False)
    return None


def _is_at(here: str, path: str) -> bool:
    return here == path or (path != "/console" and here.startswith(f"{path}/"))
