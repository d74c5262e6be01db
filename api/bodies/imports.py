"""The row of an import, as NDJSON carries it."""

from typing import Annotated, Self

from pydantic import Field, StringConstraints, model_validator

from api.bodies.common import Body, FieldInput, Name, Region
from api.bodies.consents import ConsentGiven
from api.bodies.subjects import Holding


class ImportRow(Body):
    """One person. `fields` and `consents` for the caller's own brand, or `holdings` for several brands.

    `ref` is the caller's own name for the row: it names the row in the answer and on resumption.
    """

    ref: Annotated[str, StringConstraints(min_length=1, max_length=128)]
    region: Region = "eu"
    fields: dict[Name, FieldInput] | None = None
    consents: list[ConsentGiven] = Field(default_factory=list, max_length=64)
    holdings: list[Holding] = Field(default_factory=list, max_length=32)

    @model_validator(mode="after")
    def _one_form(self) -> Self:
        if (self.fields is None) == (not self.holdings) or (self.consents and self.fields is None):
            raise ValueError("either fields, with consents, or holdings")
        return self
