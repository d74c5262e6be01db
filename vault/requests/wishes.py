"""Wishes on being contacted, as the person reads and sets them: channels, hours, language, advisor, silence, discretion.

They are values like any other, and what weighs them is `vault.contactability`. The person's own hand reads them on record
and writes only what differs, so that a form that was sent unchanged leaves the history alone.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Final

from policies.catalogue import Field, FieldKind
from policies.contactability import WISHES
from policies.decision import OWN
from vault import amendments
from vault.amendments import Update
from vault.errors import InvalidFields, VaultError
from vault.requests.revealing import Own, OwnValue, own_values
from vault.unit import Vault

SILENCE: Final = "keep_quiet"
ADVISOR: Final = "advisor"
# What a person sets as a whole. An advisor is given by the house and can only be let go; silence is added and ended.
SET: Final = ("contact_channel", "contact_hours", "contact_zone", "discretion", "preferred_language")


@dataclass(frozen=True, slots=True)
class Silence:
    """A time in which the person wants to hear nothing; both days inclusive."""

    begins: date = field(repr=False)
    ends: date = field(repr=False)


def read(vault: Vault, brand: str, reference: str) -> Own:
    """Show a person their wishes, on record. Raises `UnknownReference`."""
    return own_values(vault, brand, reference, _fields(vault))


def write(vault: Vault, brand: str, reference: str, wanted: Mapping[str, Sequence[str]]) -> bool:
    """Set what differs from what holds; tell whether anything did. `wanted` maps each of `SET` to what it is to hold.

    Raises `UnknownReference`, and `InvalidFields` for what is no such field or no value of it.
    """
    if not wanted.keys() <= set(SET):
        raise InvalidFields((("fields", "unknown_field"),))
    held = read(vault, brand, reference).held
    fields = {each.name: each for each in _fields(vault)}
    put: dict[str, object] = {}
    end: dict[str, Sequence[int]] = {}
    for name, values in wanted.items():
        of = fields.get(name)
        if of is None:
            raise InvalidFields(((name, "unknown_field"),))
        before = _plain(held.get(of, ()))
        if sorted(before) == sorted(values):
            continue
        if of.kind is FieldKind.LIST:
            put[name] = list(values)
        elif values:
            put[name] = values[0]
        else:
            end[name] = [0]
    if not put and not end:
        return False
    _amend(vault, Update(reference, brand, OWN, None, set=put, end=end))
    return True


def keep_silence(vault: Vault, brand: str, reference: str, wanted: Silence) -> None:
    """Add a time of silence. Raises `UnknownReference`, and `InvalidFields` for one that ends before it begins."""
    value = {"value": True, "valid_from": wanted.begins.isoformat(), "valid_until": wanted.ends.isoformat()}
    _amend(vault, Update(reference, brand, OWN, None, append={SILENCE: [value]}))


def end_silence(vault: Vault, brand: str, reference: str, item: int) -> None:
    """End a time of silence, or take one back that has not begun. Raises as `keep_silence`."""
    _amend(vault, Update(reference, brand, OWN, None, end={SILENCE: [item]}))


def let_advisor_go(vault: Vault, brand: str, reference: str) -> None:
    """Have no advisor of one's own any more. Raises `UnknownReference`, and `InvalidFields` where there is none."""
    _amend(vault, Update(reference, brand, OWN, None, end={ADVISOR: [0]}))


def _amend(vault: Vault, update: Update) -> None:
    with vault.unit() as uow:
        (answer,) = amendments.amend(uow, [update])
        if isinstance(answer, VaultError):
            raise answer
        uow.commit()


def _plain(values: Sequence[OwnValue]) -> list[str]:
    return [str(each.value) for each in values]


def _fields(vault: Vault) -> list[Field]:
    fields = vault.bundle.catalogue.fields
    return [fields[name] for name in WISHES if name in fields]
