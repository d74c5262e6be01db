"""Bodies of disclosures. The token says what may be disclosed; a body can only narrow it."""

from typing import Any, Literal

from pydantic import Field

from api.bodies.common import Answer, Body, Name, Reference


class Disclose(Body):
    """Redeem the token for one subject it names; `fields` narrows to some of the fields granted.

    `reference` may be left out when the token names a single subject.
    """

    reference: Reference | None = None
    fields: list[Name] | None = Field(default=None, min_length=1, max_length=128)


class DiscloseBulk(Body):
    """Redeem the token for several of the subjects it names."""

    references: list[Reference] = Field(min_length=1, max_length=500)
    fields: list[Name] | None = Field(default=None, min_length=1, max_length=128)


class DisclosedField(Answer):
    """One field's answer: the level given and the value at that level, or a reason that is not itself sensitive."""

    name: str
    decision: Literal["granted", "narrowed", "refused", "unreadable"]
    level: str | None
    value: Any = None
    policies: list[str] = Field(default_factory=list)
    reason: str | None = None


class DisclosedOfMany(Answer):
    """One disclosure of several: answers per field, and the log entry that records it."""

    reference: str
    purpose: str
    fields: list[DisclosedField]
    entry: str


class Disclosed(DisclosedOfMany):
    """One disclosure: answers per field, the log entry that records it, and the signed receipt."""

    receipt: str


class BulkRefused(Answer):
    """The outcome for one subject of a bulk disclosure that could not be served."""

    reference: str
    error: str


class DisclosedBulk(Answer):
    """Outcomes in the order asked; one subject's failure fails that subject alone.

    `receipt` promises the entries of all that were disclosed, in that order; null where nobody was.
    """

    disclosures: list[DisclosedOfMany | BulkRefused]
    receipt: str | None
