"""Authenticates systems at the OAuth endpoints, in the unit of work that does what they ask.

The assertion is verified on the database thread, against the registration read in the same transaction: a key that
was withdrawn or a system that was disabled a moment ago is refused now, and the assertion is burned exactly when the
act it paid for is durable.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

from api.authn import assertion
from api.authn.assertion import Assertion
from api.oauth.errors import OAuthError, oauth_error
from api.trail import request_macs, turn_away
from audit.entry import Actor, ActorKind, Asker
from vault import systems, tokens
from vault.errors import Refused
from vault.systems import SystemRecord, SystemStatus
from vault.unit import UnitOfWork


@dataclass(frozen=True, slots=True)
class ClientCredential:
    """A client assertion as presented: from whom it claims to be, the issuer it must name, request id, caller's address."""

    claimed: str
    assertion: str = field(repr=False)
    issuer: str
    request_id: str = ""
    address: str = ""


def authenticate(uow: UnitOfWork, credentials: Sequence[ClientCredential]) -> list[SystemRecord | OAuthError]:
    """Turn each assertion into the system that made it. Refusals say `invalid_client` and are recorded."""
    registered = {claimed: systems.get(uow.conn, claimed) for claimed in {each.claimed for each in credentials}}
    outcomes = [_verify(each, registered[each.claimed], uow.now) for each in credentials]
    # A system that did not prove itself burns nothing: strangers cannot fill the table of seen proofs.
    proven = [(made.proof_hash, made.expires_at) for made in outcomes if isinstance(made, Assertion)]
    fresh = iter(tokens.claim_proofs(uow, proven))
    answers = [
        _answer(registered[each.claimed], outcome, fresh=isinstance(outcome, Assertion) and next(fresh))
        for each, outcome in zip(credentials, outcomes, strict=True)
    ]
    hidden = request_macs(uow, [each.request_id for each in credentials])
    for each, answer, req in zip(credentials, answers, hidden, strict=True):
        if isinstance(answer, OAuthError):
            turn_away(uow, None, answer, req, each.address)
    return answers


def actor_of(system: SystemRecord, asker: Asker | None = None) -> Actor:
    """Name an authenticated system as the log does, and who stands behind it."""
    return Actor(ActorKind.SYSTEM, system.id, asker=asker)


def _verify(credential: ClientCredential, system: SystemRecord | None, now: int) -> Assertion | Refused:
    if system is None:
        return Refused("invalid_client", "client_unknown")
    if system.status is not SystemStatus.ACTIVE:
        return Refused("invalid_client", "client_disabled")
    if not system.admits(credential.address):
        return Refused("invalid_client", "address_not_allowed")
    return assertion.verify(
        credential.assertion, client_id=system.id, jwks=system.jwks, issuer=credential.issuer, now=now
    )


def _answer(system: SystemRecord | None, outcome: Assertion | Refused, *, fresh: bool) -> SystemRecord | OAuthError:
    if isinstance(outcome, Refused):
        return oauth_error(outcome)
    if system is None or not fresh:
        return OAuthError("invalid_client", audit="assertion_replayed")
    return system
