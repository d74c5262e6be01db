"""How many must share a generalised value before it is released, and what coarser value may take its place.

A generalised value hides somebody only among those who have the same. Where the purpose itself names the person (its
ceiling for `identity` is masked or raw), there is nobody to hide, and only what the bundle asks for holds. Everywhere
else at least `LEAST_GROUP` subjects of the asking brand must share it: that is code, a bundle can only ask for more
(docs/decisions/0036-crowds.md).
"""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Final, TypeAlias, cast

from policies.catalogue import Field
from policies.catalogue_file import LEAST_GROUP
from policies.levels import Level
from policies.purposes import Purpose
from policies.scalartypes import JsonValue

__all__ = ["LEAST_GROUP", "least_group", "steps"]

_IDENTITY: Final = "identity"

Record: TypeAlias = "dict[str, JsonValue]"
Coarser: TypeAlias = "Callable[[Record], Record]"


def least_group(purpose: Purpose, field: Field) -> int:
    """Return how many subjects must share a generalised value of `field` under `purpose`; 1 for no threshold."""
    named = purpose.max_level.get(_IDENTITY)
    identified = named is not None and named.rank >= Level.MASKED.rank
    return max(1 if identified else LEAST_GROUP, purpose.least_group, field.least_group)


def steps(field: Field, generalised: JsonValue) -> tuple[JsonValue, ...]:
    """Return a generalised value of `field` and what may be shown in its place, each coarser than the one before."""
    coarser = _COARSER.get(field.levels.get(Level.GENERALISED, ""), ())
    found = [generalised]
    for step in coarser:
        found.append(step(cast("Record", found[-1])))
    return tuple(each for place, each in enumerate(found) if each not in found[:place])


def _only(*names: str) -> Coarser:
    return lambda value: {name: value[name] for name in names if name in value}


def _quarter(value: Record) -> Record:
    return {"quarter": (cast("int", value["month"]) + 2) // 3}


def _decade(value: Record) -> Record:
    return {"decade": cast("str", value["year"])[:3] + "0"}


def _year(value: Record) -> Record:
    return {"year": cast("str", value["month"])[:4]}


_COARSER: Final[Mapping[str, tuple[Coarser, ...]]] = MappingProxyType(
    {
        "birth_month": (_quarter,),
        "year": (_decade,),
        "area": (_only("country"),),
        "spend_band": (_only("currency"),),
        "purchase_outline": (_only("year", "family"), _only("family")),
        "size_range": (_only("system"),),
        "visit_month": (_only("month"), _year),
        "note_topic": (_only("topic"),),
        "occasion_month": (_only("month"), _quarter),
    }
)
"""By the name of the transform. The others have no coarser value: all of it is shown, or none."""
