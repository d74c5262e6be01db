"""Bodies of the AuthZEN access evaluation API 1.0, single and several, as far as a disclosure can be asked about.

Members that the standard may still get are ignored, and so are properties of who asks and of whom (its certification
scenario, 2.2.8 and 2.2.9): nothing in them could open anything. What is ours alone stays closed, and so is what would have
the request carried out otherwise than meant: options, and a list of questions where one is asked.
"""

from collections.abc import Sequence
from typing import Any, Final, Literal

from pydantic import ConfigDict, Field, model_validator

from api.bodies.common import Answer, Body, Name, PurposeKey, Reference, Token

MOST: Final = 100  # evaluations of one request


class _Open(Body):
    """Base of what the standard describes: members that are not known here are ignored."""

    model_config = ConfigDict(extra="ignore")


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


class EvaluatedSystem(_Open):
    """AuthZEN's subject: who would act. It must be the caller itself. Its `properties` are not looked at."""

    type: Literal["system"]
    id: Token
    properties: dict[str, Any] = Field(default_factory=dict)


class DisclosureProperties(_Open):
    """What the disclosure would be. Without `staff`, or with that misspelt, nobody of the house is behind it."""

    purpose: PurposeKey
    fields: list[EvaluatedField] = Field(min_length=1, max_length=64)
    staff: bool = False


class EvaluatedAction(_Open):
    """AuthZEN's action."""

    name: Literal["disclose"]
    properties: DisclosureProperties


class EvaluatedPerson(_Open):
    """AuthZEN's resource: one of the brand's own references. Its `properties` are not looked at."""

    type: Literal["subject"]
    id: Reference
    properties: dict[str, Any] = Field(default_factory=dict)


class _Single(_Open):
    """Base of one question: several in its place are refused, for whoever sent them would take one yes for all."""

    @model_validator(mode="before")
    @classmethod
    def _one(cls, content: Any) -> Any:
        if isinstance(content, dict) and not content.keys().isdisjoint({"evaluations", "options"}):
            raise ValueError("several are asked elsewhere")
        return content


class Evaluate(_Single):
    """An access evaluation request. `context` is taken and not looked at: nothing in it could open anything."""

    subject: EvaluatedSystem
    action: EvaluatedAction
    resource: EvaluatedPerson
    context: dict[str, Any] = Field(default_factory=dict)


class _Part(_Open):
    subject: EvaluatedSystem | None = None
    action: EvaluatedAction | None = None
    resource: EvaluatedPerson | None = None
    context: dict[str, Any] | None = None


class EvaluatedPart(_Single, _Part):
    """One evaluation of several. What it leaves out is what the request says for all."""


class EvaluationOptions(Body):
    """How several are carried out. An option that is not known here is refused: it would have meant something."""

    evaluations_semantic: Literal["execute_all", "deny_on_first_deny", "permit_on_first_permit"] = "execute_all"


class EvaluateMany(_Part):
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
        questions: Sequence[_Part] = self.evaluations or [self]
        for each in questions:
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
