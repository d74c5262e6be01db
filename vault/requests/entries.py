"""Entries of journals put right: the members that a person says are wrong, in the place of those that stand.

An entry is corrected member by member, because a person is not shown all of it (for whom a thing was bought, which member
of staff wrote a note) and must not lose by a correction what they cannot see. So a request holds the members alone; what
comes out of them is made when it is asked for, to see that it fits, and again when an officer carries it out.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from policies.catalogue import Field, FieldKind
from policies.errors import InvalidValue
from policies.fieldtypes import validate
from vault import references
from vault.disclosure import Kept
from vault.errors import InvalidFields, UnknownReference
from vault.requests import revealing
from vault.requests.collecting import masks
from vault.requests.handling import view
from vault.requests.records import Request
from vault.requests.revealing import opened
from vault.requests.states import IllegalMove
from vault.requests.steps import By, lock
from vault.unit import Vault
from vault.values import JsonValue


@dataclass(frozen=True, slots=True)
class Compared:
    """One value that a request says is wrong: as it stands (None: nothing does), and as it is to be (None: taken out)."""

    of: Field
    item: int
    stands: JsonValue = field(repr=False)
    asked: object = field(repr=False)


def standing(vault: Vault, brand: str, reference: str, of: Field, item: int) -> JsonValue:
    """Show a person one entry, on record, as they are shown it elsewhere (`vault.requests.revealing`).

    Raises `UnknownReference`, and `InvalidFields` where there is none or nothing of it may be shown: `unknown_item`,
    `withheld`, or `unreviewed` for a text that no officer has read.
    """
    kept = _held(vault, brand, reference, of)
    one, veils = _one(kept, of, item), masks((of, each.value.value) for each in kept)
    shown = revealing.shown(of, one, veils, revealing.judged(vault, brand, reference))
    if shown.value is None:
        raise InvalidFields(((of.name, "unreviewed" if shown.unreviewed else "withheld"),))
    return shown.value


def fits(vault: Vault, brand: str, reference: str, of: Field, item: int, members: Mapping[str, object] | None) -> None:
    """Raise `InvalidFields` unless the entry is there and the members make one of it; the entry is opened on record."""
    stands = _one(_held(vault, brand, reference, of), of, item).value.value
    if members is not None:
        try:
            validate(of, merged(stands, members))
        except InvalidValue as error:
            raise InvalidFields(((of.name, error.reason),)) from None


def merged(stands: JsonValue, members: object) -> object:
    """Return an entry with members put in the place of those it has; the rest of it stays, seen or unseen."""
    if isinstance(stands, dict) and isinstance(members, Mapping):
        return {**stands, **{name: merged(stands.get(name), each) for name, each in members.items()}}
    return members


def compared(vault: Vault, request_id: bytes, by: By) -> list[Compared]:
    """Show an officer what a request says is wrong beside what stands, both on record before they open.

    Raises as `handling.view`; nothing for a person who is gone.
    """
    request, written = view(vault, request_id, by)
    fields = vault.bundle.catalogue.fields
    wanted = {name: value for name, value in written.values.items() if name in fields}
    kept = _kept(vault, request, wanted, by)
    found: list[Compared] = []
    for name, value in wanted.items():
        of = fields[name]
        found += [
            Compared(of, item, next((each.value.value for each in kept.get(of, ()) if each.item == item), None), asked)
            for item, asked in _asked(of, value)
        ]
    return found


def whole(vault: Vault, request: Request, values: Mapping[str, object], by: By) -> dict[str, object]:
    """Return values with each entry made whole of what stands and the members given. Opens it, on record.

    Raises `InvalidFields` for an entry that is not there any more.
    """
    fields = vault.bundle.catalogue.fields
    journals = {
        name: value for name, value in values.items() if name in fields and fields[name].kind is FieldKind.JOURNAL
    }
    if not journals:
        return dict(values)
    kept = _kept(vault, request, journals, by)
    made: dict[str, object] = dict(values)
    for name, value in journals.items():
        of = fields[name]
        made[name] = [
            {
                "item": item,
                "value": None if asked is None else merged(_one(kept.get(of, ()), of, item).value.value, asked),
            }
            for item, asked in _asked(of, value)
        ]
    return made


def _asked(of: Field, value: object) -> list[tuple[int, object]]:
    if of.kind is FieldKind.SINGLE or not isinstance(value, list):
        return [(0, value)]
    return [
        (each["item"], each.get("value")) if isinstance(each, dict) and type(each.get("item")) is int else (0, each)
        for each in value
    ]


def _held(vault: Vault, brand: str, reference: str, of: Field) -> tuple[Kept, ...]:
    held, _ = opened(vault, brand, reference, [of])
    return held.get(of, ())


def _one(kept: tuple[Kept, ...], of: Field, item: int) -> Kept:
    found = next((each for each in kept if each.item == item), None)
    if found is None:
        raise InvalidFields(((of.name, "unknown_item"),))
    return found


def _kept(vault: Vault, request: Request, values: Mapping[str, object], by: By) -> dict[Field, tuple[Kept, ...]]:
    if request.subject is None or not values:
        return {}
    with vault.unit() as uow:
        held = lock(uow, request.id)
        if held.person is None:
            return {}
        (reference,) = references.of(uow, request.brand, [held.person.subject])
    if reference is None:
        raise IllegalMove
    fields = [vault.bundle.catalogue.field(name) for name in values]
    try:
        found, _ = opened(vault, request.brand, reference, fields, by, (f"request:{request.name}",))
    except UnknownReference:
        return {}
    return found
