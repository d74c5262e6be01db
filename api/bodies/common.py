"""What all bodies share: strictness, token-like strings, references, and the shapes of field input."""

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, StringConstraints

REFERENCE = r"^ref_[0-9a-hjkmnp-tv-z]{26}$"

Reference = Annotated[str, StringConstraints(pattern=REFERENCE, max_length=30)]
Name = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]{0,63}$", max_length=64)]
PurposeKey = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]*(\.[a-z][a-z0-9_]*){0,7}$", max_length=64)]
Token = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9._:@/-]+$", max_length=64)]
Language = Annotated[str, StringConstraints(pattern=r"^[a-z]{2}$")]
Region = Annotated[str, StringConstraints(pattern=r"^[a-z]{2,8}$", max_length=8)]

FieldInput = Any
"""A field's input as the catalogue's types define it: a value, `{value, valid_from, valid_until}`, or a list of either."""


class _Unspoken(BaseModel):
    """What a person is asked for or told about: no `repr` of it says any of that."""

    def __repr_args__(self) -> tuple[()]:
        return ()


class Body(_Unspoken):
    """Base of every request body: unknown members are refused, nothing is coerced from another JSON type."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class Answer(_Unspoken):
    """Base of every answer body."""

    model_config = ConfigDict(extra="forbid", frozen=True)
