"""Bodies of the AuthZEN access evaluation API 1.0, single and several, as far as a disclosure can be asked about."""

from typing import Any, Final, Literal

from pydantic import Field, model_validator

from api.bodies.common import Answer, Body, Name, PurposeKey, Reference, Token

MOST: Final = 100  # evaluations of one request


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


class EvaluatedPart(Body):
    """One evaluation of several. What it leaves out is what the request says for all."""

    subject: EvaluatedSystem | None = None
    action: EvaluatedAction | None = None
    resource: EvaluatedPerson | None = None
    context: dict[str, Any] | None = None


class EvaluationOptions(Body):
    """How several are carried out. An option that is not known here is refused: it would have meant something."""

    evaluations_semantic: Literal["execute_all", "deny_on_first_deny", "permit_on_first_permit"] = "execute_all"


class EvaluateMany(EvaluatedPart):
    """An access evaluations request. Without `evaluations`, or with none in it, it is a single one."""

    evaluations: list[EvaluatedPart] = Field(default_factory=list, max_length=MOST)
    options: EvaluationOptions = EvaluationOptions()

    @model_validator(mode="after")
    def _whole(self) -> "EvaluateMany":
        self.wanted()
        return self

    def wanted(self) -> list[tuple[EvaluatedSystem, EvaluatedAction, EvaluatedPerson]]:
        """Return who, what and of whom, of each evaluation. Raises ValueError where neither it nor the request says so."""
        found = []
        for each in self.evaluations or [self]:
            subject, action = each.subject or self.subject, each.action or self.action
            resource = each.resource or self.resource
            if subject is None or action is None or resource is None:
                raise ValueError("an evaluation needs subject, action and resource")
            found.append((subject, action, resource))
        return found


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


class EvaluationFailed(Answer):
    """Why one of several could not be decided."""

    status: int
    code: str
    message: str


class ContextOfOne(Answer):
    """Field by field, where anything would be given; or what kept this one from being decided."""

    fields: list[FieldEvaluated] | None = None
    error: EvaluationFailed | None = None


class EvaluatedOfMany(Answer):
    """One answer of several."""

    decision: bool
    context: ContextOfOne | None = None


class EvaluatedMany(Answer):
    """Answers in the order asked; fewer where one of them ended it."""

    evaluations: list[EvaluatedOfMany]
