"""The record of processing (GDPR Art. 30), made from what is declared and what is really done.

A row per controller and purpose. What the bundle declares for the purpose stands beside what the log says was used in the
period: categories declared and never used, and fields used that nothing declares, at their level, any more.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from audit.reports.table import Body, Cell, Column, Kind, Table, Words
from audit.reports.uses import ACTS, MARKS, Times, Use, uses
from policies.catalogue import Catalogue
from policies.errors import UnknownField, UnknownPurpose
from policies.levels import Level
from policies.parties import Parties
from policies.purposes import Purpose
from vault.reports.view import View

COLUMNS: Final = (
    Column("controller"),
    Column("role"),
    Column("contact"),
    Column("purpose"),
    Column("title"),
    Column("version", Kind.NUMBER),
    Column("bases", Kind.LIST),
    Column("categories", Kind.LIST),
    Column("special_categories", Kind.LIST),
    Column("retention", Kind.LIST),
    Column("recipients", Kind.LIST),
    Column("transfers", Kind.LIST),
    Column("systems", Kind.LIST),
    Column("uses", Kind.COUNT),
    Column("last_use", Kind.TIME),
    Column("declared_not_used", Kind.LIST),
    Column("used_not_declared", Kind.LIST),
    Column("title_fr"),  # last, so that who reads the others by their place still does
)
_UNDECLARED: Final = COLUMNS.index(Column("used_not_declared", Kind.LIST))
MEASURES: Final[tuple[Words, ...]] = (
    (
        "People concerned: clients and prospects of the controllers. Storage: the countries of the policy bundle's parties.",
        (
            "Personnes concernées\u00a0: clients et prospects des responsables du traitement. Conservation\u00a0: les pays que le "
            "paquet de règles déclare."
        ),
    ),
    (
        (
            "Measures (Art. 32): a key for each value under a tree of keys whose old roots are destroyed with each erasure; "
            "decisions by purpose, consent and level; exact search on keyed hashes; budgets per system; a log of every look, "
            "signed, that outsiders can check."
        ),
        (
            "Mesures de sécurité (art.\u00a032)\u00a0: une clé par valeur, sous un arbre de clés dont les anciennes racines sont "
            "détruites à chaque effacement\u00a0; des décisions selon la finalité, le consentement et le niveau\u00a0; une recherche "
            "exacte sur des empreintes à clé\u00a0; des budgets par système\u00a0; un journal signé de chaque consultation, que des "
            "tiers peuvent vérifier."
        ),
    ),
)
_NOWHERE: Final = "none registered"


@dataclass(slots=True)
class _Seen:
    """What was used under one purpose by one brand."""

    times: Times
    fields: set[tuple[str, str]]


def processing(view: View) -> Body:
    """Make the record for the period asked for."""
    seen = _seen(uses(view.lines(ACTS, marks=(*MARKS, *view.asked.marks)), view.actors, view.asked))
    declared = {each.key: each for each in view.bundle.purposes.every if not each.is_heading}
    registered: dict[tuple[str, str], list[str]] = {}
    for system in view.systems.values():
        for purpose in system.purposes:
            registered.setdefault((system.brand, purpose), []).append(system.id)
    pairs = {*registered, *seen} | {
        ("", key) for key in declared if not any(each == key for _, each in (*registered, *seen))
    }
    table = Table(COLUMNS, view.asked.most)
    undeclared = 0
    for brand, key in sorted(pairs):
        if (view.asked.brand and brand != view.asked.brand) or (view.asked.purpose and key != view.asked.purpose):
            continue
        used = seen.get((brand, key), _Seen(Times(0, "", ""), set()))
        row = _row(view, brand, key, declared.get(key), used, sorted(registered.get((brand, key), ())))
        undeclared += bool(row[_UNDECLARED])
        table.add(*row)
    return table.body([("activities", table.size), ("activities_used_and_not_declared", undeclared)], MEASURES)


def outside(parties: Parties, names: tuple[str, ...]) -> tuple[str, ...]:
    """Name the recipients outside the EEA, with country and ground: `vantier:CH:adequacy`."""
    found = [parties.named(name) for name in names]
    return tuple([f"{each.id}:{each.country or '?'}:{each.safeguard or 'none'}" for each in found if each.is_outside])


def opens(catalogue: Catalogue, purpose: Purpose | None, name: str, level: str) -> bool:
    """Tell whether a purpose opens a field at a level, or further."""
    try:
        ceiling = None if purpose is None else purpose.max_level.get(catalogue.field(name).category)
        return ceiling is not None and Level(level).rank <= ceiling.rank
    except (UnknownField, UnknownPurpose, ValueError):
        return False


def undeclared(catalogue: Catalogue, purpose: Purpose | None, fields: set[tuple[str, str]]) -> tuple[str, ...]:
    """Name the fields, with their levels, that the purpose does not open or opens less."""
    return tuple(sorted([f"{name}:{level}" for name, level in fields if not opens(catalogue, purpose, name, level)]))


def _row(view: View, brand: str, key: str, purpose: Purpose | None, used: _Seen, systems: list[str]) -> list[Cell]:
    bundle = view.bundle
    party = bundle.parties.named(brand or _NOWHERE)
    ceilings = {} if purpose is None else dict(purpose.max_level)
    categories = [bundle.catalogue.category(name) for name in ceilings]
    recipients = () if purpose is None else purpose.recipients
    touched = {bundle.catalogue.fields[name].category for name, _ in used.fields if name in bundle.catalogue.fields}
    return [
        brand,
        party.type if brand else "",
        party.contact,
        key,
        "" if purpose is None else purpose.title["en"],
        0 if purpose is None else purpose.version,
        () if purpose is None else tuple([f"{place}:{basis}" for place, basis in sorted(purpose.basis.items())]),
        tuple([f"{name}:{level}" for name, level in ceilings.items()]),
        tuple([each.name for each in categories if each.special or any(field.special for field in each.fields)]),
        tuple([f"{each.name}:{each.retention_days}d" for each in categories]),
        recipients,
        outside(bundle.parties, tuple(dict.fromkeys([*([brand] if brand else []), *recipients]))),
        tuple(systems),
        used.times.count,
        used.times.last,
        tuple([name for name in ceilings if name not in touched]),
        undeclared(bundle.catalogue, purpose, used.fields),
        "" if purpose is None else purpose.title.get("fr", purpose.title["en"]),
    ]


def _seen(found: Mapping[Use, Times]) -> dict[tuple[str, str], _Seen]:
    seen: dict[tuple[str, str], _Seen] = {}
    for use, times in found.items():
        if not use.purpose:
            continue
        each = seen.setdefault((use.brand, use.purpose), _Seen(Times(0, times.first, times.last), set()))
        each.times.add(times.first, times.count)
        each.times.add(times.last, 0)
        each.fields.add((use.field, use.level))
    return seen
