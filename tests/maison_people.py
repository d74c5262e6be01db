"""Synthetic people of the demo maisons, and the shortest way to take them in and look at them."""

from audit.entry import Act, Actor, ActorKind, Entry, Outcome
from policies.decision import Grant, GrantedField
from policies.levels import Level
from vault import disclosure
from vault.consents import ConsentAct, ConsentEvent, Notice
from vault.search import Search, search
from vault.subjects import Holding, NewSubject, Update, ingest, update
from vault.unit import execute

AURELLE, VANTIER = "aurelle", "vantier"
ACTOR = Actor(ActorKind.SYSTEM, "aurelle-crm")

FIELDS = {
    "client_number": "AU-0042",
    "name": {"family": "Rousselin", "given": "Apolline"},
    "phone": [{"number": "06 39 98 12 34", "region": "FR"}, "+971 50 123 4567"],
    "email": ["Apolline.Rousselin@example.com"],
    "birth_date": "1984-05-17",
    "ring_size": {"value": "52", "system": "eu"},
}


def given(purpose="clienteling", notice="clienteling", **more):
    return ConsentEvent(purpose, ConsentAct.GIVEN, "boutique", Notice(notice, 1, "fr"), **more)


def person(fields=FIELDS, brand=AURELLE, consents=(), region="fr", **sisters):
    """A new subject of `brand`, and of each sister brand with the fields named by keyword."""
    holdings = [Holding(brand, fields, tuple(consents))]
    holdings += [Holding(sister, held) for sister, held in sisters.items()]
    return NewSubject("aurelle-crm", region, tuple(holdings))


def take_in(vault, *people):
    return execute(vault, ingest, people or [person()])


def one(results):
    assert len(results) == 1
    if isinstance(results[0], Exception):
        raise results[0]
    return results[0]


def change(vault, registered, brand=AURELLE, expected=None, **changes):
    """One update of a subject, as its answer or error."""
    (answer,) = execute(vault, update, [ordered(registered, brand, expected, **changes)])
    return answer


def ordered(registered, brand=AURELLE, expected=None, **changes):
    return Update(registered.references[brand], brand, f"{brand}-crm", expected, **changes)


def grant(vault, subject, *wanted, brand=AURELLE, group=False):
    """A grant made by hand: what decides is tested elsewhere. `wanted`: names (raw), (name, level) or with a predicate."""
    fields = []
    for each in wanted:
        name, level, predicate = (*((each, Level.RAW) if isinstance(each, str) else each), "")[:3]
        fields.append(GrantedField(vault.bundle.catalogue.field(name), level, predicate))
    return Grant(subject, brand, f"{brand}-crm", "clienteling.in_store", "consent", tuple(fields), group)


def look(vault, subject, *wanted, brand=AURELLE, group=False, known_on=None):
    """Disclose by a grant made by hand, with its entry, in one unit."""
    return one(look_all(vault, [grant(vault, subject, *wanted, brand=brand, group=group)], known_on))


def look_all(vault, grants, known_on=None):
    with vault.unit() as uow:
        selection = disclosure.select(uow, grants, as_known_on=None if known_on is None else [known_on] * len(grants))
        entries = [uow.record(Entry(Act.FIELD_DISCLOSED, Outcome.ALLOW, ACTOR)) for _ in grants]
        commit = uow.commit()
    return disclosure.reveal(vault, commit, selection, entries)


def value(vault, subject, name, **how):
    """The raw value of one field; for lists without the item numbers."""
    part = look(vault, subject, name, **how)[name]
    if isinstance(part, Exception):
        return part
    return [each["value"] for each in part.value] if isinstance(part.value, list) else part.value


def items(vault, subject, name, **how):
    """Item number -> raw value of a list field."""
    part = look(vault, subject, name, **how)[name]
    return {each["item"]: each["value"] for each in part.value or []}


def find_all(vault, by, sought, brand=AURELLE):
    """The subjects a search of one brand finds; raises what it is refused with."""
    answer = one(execute(vault, search, [Search(brand, f"{brand}-crm", by, sought)]))
    return [each.subject for each in answer.candidates]


def rows(vault, statement, *parameters):
    """Run SQL by hand, as somebody with the database open would; `?` marks parameters on both engines."""
    with vault.engine.begin() as conn:
        text = statement if conn.dialect.name == "sqlite" else statement.replace("?", "%s")
        result = conn.exec_driver_sql(text, parameters)
        return result.all() if result.returns_rows else result.rowcount
