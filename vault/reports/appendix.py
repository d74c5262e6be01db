"""Facts for a data protection impact assessment (GDPR Art. 35): flows as they were used, levels, and what guards them."""

from typing import Final

from sqlalchemy import func, select

from audit.entry import Act
from audit.reports.table import Body, Cell, Column, Kind, Table, Words, few, total
from audit.reports.uses import ACTS, MARKS, grouped, uses
from policies.catalogue import Catalogue
from policies.levels import Level
from vault.governance import versions
from vault.reports.view import View
from vault.store.tables import metadata

COLUMNS: Final = (
    Column("controller"),
    Column("system"),
    Column("purpose"),
    Column("category"),
    Column("sensitivity"),
    Column("special", Kind.FLAG),
    *[Column(each.value, Kind.COUNT) for each in Level],
    Column("last_use", Kind.TIME),
)
SAFEGUARDS: Final[tuple[Words, ...]] = (
    (
        (
            "Levels: presence < predicate < generalised < masked < raw; a generalised value is shown only where enough people "
            "share it. Every look is decided by purpose, consent and legal floors that no policy file can remove."
        ),
        (
            "Niveaux\u00a0: présence < oui ou non < généralisé < masqué < en entier\u00a0; une valeur généralisée n’est montrée que si "
            "assez de personnes la partagent. Chaque consultation est décidée d’après la finalité, le consentement et des "
            "planchers légaux qu’aucun fichier de règles ne peut lever."
        ),
    ),
    (
        "Each value has a key of its own; erasure destroys the keys that open it, in every backup too, and is certified.",
        (
            "Chaque valeur a sa propre clé\u00a0; l’effacement détruit les clés qui l’ouvrent, dans toutes les sauvegardes aussi, "
            "et il est certifié."
        ),
    ),
    (
        "Every look, refusal and report is an entry of a log that outsiders verify; no report without its entry.",
        (
            "Chaque consultation, refus ou rapport est une écriture d’un journal que des tiers vérifient\u00a0; il n’y a pas de "
            "rapport sans son écriture."
        ),
    ),
    (
        "Which test shows which control: docs/threat-model.md of the release.",
        "Quel test démontre quelle mesure\u00a0: docs/threat-model.md de la version livrée.",
    ),
)
_SUBJECT: Final = metadata.tables["subject"]


def appendix(view: View) -> Body:
    """List the flows of the period with how often each level was given out."""
    catalogue = view.bundle.catalogue
    table = Table(COLUMNS, view.asked.most)
    found = uses(view.lines(ACTS, marks=(*MARKS, *view.asked.marks)), view.actors, view.asked)
    flows: dict[tuple[str, str, str, str], dict[str, int]] = {}
    last: dict[tuple[str, str, str, str], str] = {}
    for (brand, actor, purpose, field, level), times in grouped(
        found, "brand", "actor", "purpose", "field", "level"
    ).items():
        key = (brand, actor, purpose, _category(catalogue, field))
        levels = flows.setdefault(key, {})
        levels[level] = levels.get(level, 0) + times.count
        last[key] = max(last.get(key, ""), times.last)
    for key, levels in sorted(flows.items()):
        table.add(*key, *_nature(catalogue, key[-1]), *[levels.get(each, 0) for each in Level], last[key])
    by_level: list[tuple[str, Cell]] = [
        (f"given_out_{each}", total(levels.get(each, 0) for levels in flows.values())) for each in Level
    ]
    return table.body([*by_level, *_figures(view)], SAFEGUARDS)


def _figures(view: View) -> list[tuple[str, Cell]]:
    minors = func.count().filter(_SUBJECT.c.minor)
    restricted = func.count().filter(_SUBJECT.c.restricted)
    people = view.conn.execute(select(func.count(), minors, restricted).where(_SUBJECT.c.state == "active")).one()
    acts: dict[str, str] = {}
    for line in view.lines({Act.DEPLOYMENT_BACKED_UP, Act.DEPLOYMENT_RESTORED, Act.KEYS_EPOCH_ENDED}):
        acts[line.content["act"]] = line.at
    active = versions.active_number(view.conn)
    return [
        ("people", few(people[0])),
        ("minors", few(people[1])),
        ("restricted", few(people[2])),
        ("systems", len(view.systems)),
        ("policy_version", 0 if active is None else active),
        *[(f"last_{name}", at) for name, at in sorted(acts.items())],
    ]


def _category(catalogue: Catalogue, field: str) -> str:
    found = catalogue.fields.get(field)
    return "" if found is None else found.category


def _nature(catalogue: Catalogue, name: str) -> tuple[str, bool]:
    if not name:
        return "", False
    category = catalogue.category(name)
    return category.sensitivity.value, category.special or any(each.special for each in category.fields)
