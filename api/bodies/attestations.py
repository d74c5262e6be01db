"""Bodies of attestations."""

from typing import Annotated, Literal

from pydantic import Field, StringConstraints, model_validator

from api.authn.jwk import public_key
from api.bodies.common import Answer, Body, Name, Reference
from vault.attestations import LONGEST_SECONDS

Coordinate = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_-]{43}$")]
StatusListName = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{32}$", max_length=32)]


class HolderKey(Body):
    """The public key an attestation is bound to: EC P-256 or Ed25519, as a JWK with nothing else in it."""

    kty: Literal["EC", "OKP"]
    crv: Literal["P-256", "Ed25519"]
    x: Coordinate
    y: Coordinate | None = None

    @model_validator(mode="after")
    def _is_a_key(self) -> "HolderKey":
        if public_key(self.model_dump(exclude_none=True)) is None or (self.kty == "OKP" and self.y is not None):
            raise ValueError("no such key")
        return self


class AttestedAsked(Body):
    """Attest fields of a disclosure token, all or some, to one audience."""

    reference: Reference | None = None
    fields: list[Name] | None = Field(default=None, min_length=1, max_length=128)
    audience: Annotated[str, StringConstraints(pattern=r"^[!-~]{1,512}$", max_length=512)]
    key: HolderKey
    seconds: int = Field(default=3600, ge=60, le=LONGEST_SECONDS)


class Attested(Answer):
    """An SD-JWT (RFC 9901), the claims in it, when it ends, and the log entry and receipt of what it gave out."""

    reference: str
    attestation: str
    claims: list[str]
    expires_at: int
    entry: str
    receipt: str
