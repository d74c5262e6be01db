"""Bodies of subjects: create, read one's own reference, update, search."""

from typing import Annotated, Literal

from pydantic import Field

from api.bodies.common import Answer, Body, FieldInput, Name, Reference, Region
from api.bodies.consents import ConsentGiven
from vault.referencerotation import LONGEST_GRACE


class Holding(Body):
    """What one brand knows of a person."""

    brand: Name
    fields: dict[Name, FieldInput] = Field(default_factory=dict)
    consents: list[ConsentGiven] = Field(default_factory=list, max_length=64)


class CreateSubject(Body):
    """A new subject of the calling brand."""

    region: Region = "eu"
    fields: dict[Name, FieldInput] = Field(min_length=1)
    consents: list[ConsentGiven] = Field(default_factory=list, max_length=64)


class UpdateSubject(Body):
    """Changes of one subject's values, all or none.

    `set` supersedes (the old value stays in the history), `append` adds list items and journal entries, `end` closes
    a list item from a date on, `correct` replaces a wrong value and keeps no copy of it (GDPR Art. 16).
    """

    set: dict[Name, FieldInput] = Field(default_factory=dict)
    append: dict[Name, FieldInput] = Field(default_factory=dict)
    end: dict[Name, list[int]] = Field(default_factory=dict)
    correct: dict[Name, FieldInput] = Field(default_factory=dict)


class RotateReference(Body):
    """Replace a reference; the old one resolves for `grace_seconds` more, by default not at all."""

    grace_seconds: int = Field(default=0, ge=0, le=LONGEST_GRACE)


class RotationAnswer(Answer):
    """The reference from now on; until when (UTC seconds) the old one resolves, null if it does not."""

    reference: str
    until: int | None


GroundGiven = Literal["accuracy_contested", "unlawful", "needed_for_claim", "objection_pending"]


class PlaceRestriction(Body):
    """Restrict the processing of what is known of a person, on one of the grounds of GDPR Art. 18(1)."""

    ground: GroundGiven


class LiftRestriction(Body):
    """Lift what was placed on this ground. `informed`: the person has been told before (GDPR Art. 18(3))."""

    ground: GroundGiven
    informed: Literal[True]


class RestrictionAnswer(Answer):
    """Whether this brand's restriction on this ground stands. What other brands placed is not told."""

    reference: str
    ground: GroundGiven
    stands: bool


class SubjectAnswer(Answer):
    """A subject as its own brand may always know it: reference, version, month since when. No personal value."""

    reference: str
    version: int
    since: str | None = None


class SearchSubjects(Body):
    """Exact search by one indexed field. The value travels in the body only, never in a URL."""

    by: Name
    value: Annotated[str, Field(min_length=1, max_length=320)]


class SearchAnswer(Answer):
    """At most three candidates; `more` says that there were others."""

    candidates: list[SubjectAnswer]
    more: bool


__all__ = ["CreateSubject", "Holding", "Reference", "SearchAnswer", "SearchSubjects", "SubjectAnswer", "UpdateSubject"]
