"""Bodies of requests of data subjects: handed in by a brand, and where they stand."""

from typing import Annotated, Any, Literal

from pydantic import Field, StringConstraints

from api.bodies.common import Answer, Body, FieldInput, Name, PurposeKey, Reference, Region
from api.bodies.consents import Sha256

Right = Literal[
    "access", "portability", "rectification", "erasure", "restriction", "objection", "consent_withdrawal",
    "decision_review", "complaint",
]  # fmt: skip
KnownBy = Literal["none", "purchase", "signed_in", "document"]
Requester = Literal["self", "agent", "guardian"]
Status = Literal["open", "in_progress", "fulfilled", "revoked", "denied", "expired"]
Words = Annotated[str, StringConstraints(max_length=4000)]


class HandIn(Body):
    """A request of the person behind a reference, as the brand took it in.

    `assurance`: how the brand knows who asks; a document is looked at and not kept. `names`: categories of an access, a
    portability or an erasure (none: all), the ground of a restriction, purposes of an objection, a withdrawal or a review.
    `values`: of a rectification, as in an update. An agent needs the SHA-256 of a mandate that the brand keeps. `key` is a
    public JWK that the answer is sealed to.
    """

    reference: Reference
    right: Right
    assurance: KnownBy = "none"
    requester: Requester = "self"
    names: list[PurposeKey] = Field(default_factory=list, max_length=64)
    words: Words = Field(default="", repr=False)
    values: dict[Name, FieldInput] = Field(default_factory=dict, repr=False)
    agent: Annotated[str, StringConstraints(max_length=200)] = Field(default="", repr=False)
    mandate_hash: Sha256 | None = None
    language: Literal["fr", "en"] = "en"
    jurisdiction: Region | None = None
    key: dict[str, Any] = Field(default_factory=dict, repr=False)


class RequestStanding(Answer):
    """Where a request stands: our state, and the status and reason of the Data Rights Protocol 1.0. Times in UTC seconds.

    `due` is the end of the last day for the answer.
    """

    request: str
    right: Right
    state: str
    status: Status
    reason: str | None
    received: int
    due: int
    closed: int | None
    outcome: str | None
    ground: str | None
    duplicate_of: str | None
