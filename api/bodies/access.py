"""Bodies of the AuthZEN access evaluation API 1.0, as far as a disclosure can be asked about."""

from typing import Any, Literal

from pydantic import Field, model_validator

from api.bodies.common import Answer, Body, Name, PurposeKey, Reference, Token


class EvaluatedField(Body):
    """One field at one level; `predicate` goes with level `predicate`, and only with it."""

    name: Name
    level: Literal["presence", "predicate", "generalised", "masked", "raw"]
    predicate: Name | None = None

    @model_validator(mode="after")
    def _fits(self) -> "EvaluatedField":
        if (self.level == "predicate") != (self.predicate is not None):
            raise ValueError("a predicate goes with its level")
        return self


class EvaluatedSystem(Body):
    """AuthZEN's subject: who would act. It must be the caller itself."""

    type: Literal["system"]
    id: Token


class DisclosureProperties(Body):
    """What the disclosure would be."""

    purpose: PurposeKey
    fields: list[EvaluatedField] = Field(min_length=1, max_length=64)
    staff: bool = False


class EvaluatedAction(Body):
    """AuthZEN's action."""

    name: Literal["disclose"]
    properties: DisclosureProperties


class EvaluatedPerson(Body):
    """AuthZEN's resource: one of the brand's own references."""

    type: Literal["subject"]
    id: Reference


class Evaluate(Body):
    """An access evaluation request. `context` is taken and not looked at: nothing in it could open anything."""

    subject: EvaluatedSystem
    action: EvaluatedAction
    resource: EvaluatedPerson
    context: dict[str, Any] = Field(default_factory=dict)


class FieldEvaluated(Answer):
    """What would be given of one field."""

    name: str
    requested: str
    level: str | None
    reason: str | None


class EvaluationContext(Answer):
    """Field by field, where anything at all would be given."""

    fields: list[FieldEvaluated]


class Evaluated(Answer):
    """Yes: every field at the level asked. No otherwise; where something less would be given, `context` says what."""

    decision: bool
    context: EvaluationContext | None = None
