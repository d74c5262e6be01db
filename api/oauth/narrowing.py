"""Token exchange (RFC 8693) as narrowing: what a token made from another one may ask for at most.

Only the holder of a token narrows it: the request is signed by the token's own system, and its DPoP proof by the key
the token is bound to, so that a token found somewhere is no more worth here than anywhere else. Whoever shall act under
the narrower token is named by a service token of its own (`actor_token`), which says system and key; without one the
holder keeps it. Both belong to one brand.

Narrower means: fields among the parent's, no level above the parent's, the same purpose or one below it, subjects among
the parent's, the same day as known on which it answers, and uses that are taken from the parent's. It is decided anew
like any other request, so it may turn out narrower still. It ends with its parent.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from api import rar
from api.authn.dpop import Proof
from api.oauth import detail
from api.oauth.detail import TokenDetail
from api.oauth.errors import OAuthError
from policies.errors import PolicyError
from policies.levels import Level
from policies.model import Wanted
from policies.purposes import Purposes
from vault import tokens
from vault.errors import IntegrityFailure, Refused
from vault.facts import Known
from vault.systems import SystemRecord
from vault.tokens import MOST_EXCHANGES, Kind, Session
from vault.unit import UnitOfWork

GRANT: Final = "urn:ietf:params:oauth:grant-type:token-exchange"
ACCESS_TOKEN: Final = "urn:ietf:params:oauth:token-type:access_token"  # noqa: S105 - a name of RFC 8693 §3


@dataclass(frozen=True, slots=True)
class Exchange:
    """The hashes of the tokens that an exchange presents: the one to narrow, and the actor's, if it is to be another's."""

    subject_token: bytes = field(repr=False)
    actor_token: bytes | None = field(repr=False)


@dataclass(frozen=True, slots=True)
class Narrowed:
    """What an exchange found: the token to narrow, what it grants, and who shall hold the new one under which key."""

    parent: Session
    granted: TokenDetail
    holder: SystemRecord
    jkt: str
    x5t: str

    @property
    def actors(self) -> tuple[str, ...]:
        """The systems through which the new token came, the first one first."""
        return (*self.parent.actors, self.parent.system.id)


def find(uow: UnitOfWork, asked: Sequence[tuple[Exchange, SystemRecord, Proof]]) -> list[Narrowed | OAuthError]:
    """Look at the tokens of exchanges by (their tokens, the system that asks, its proof)."""
    hashes = [each.subject_token for each, _, _ in asked] + [e.actor_token for e, _, _ in asked if e.actor_token]
    sessions = dict(zip(hashes, tokens.presented(uow, hashes), strict=True))
    return [_find(sessions, exchange, system, proof) for exchange, system, proof in asked]


def _find(
    sessions: dict[bytes, Session | Refused], exchange: Exchange, system: SystemRecord, proof: Proof
) -> Narrowed | OAuthError:
    parent = sessions[exchange.subject_token]
    # One answer for every fault of a token, as everywhere; the log is told which.
    if isinstance(parent, Refused):
        return OAuthError("invalid_request", "subject_token_refused", audit=parent.audit)
    if parent.kind is not Kind.DISCLOSURE or parent.system.id != system.id or parent.jkt != proof.jkt:
        return OAuthError("invalid_request", "subject_token_refused")
    if parent.x5t not in {"", proof.x5t}:
        return OAuthError("invalid_request", "subject_token_refused", audit="wrong_certificate")
    if len(parent.actors) >= MOST_EXCHANGES:
        return OAuthError("invalid_request", "exchange_too_deep")
    try:
        granted = detail.read(parent.detail)
    except IntegrityFailure:
        return OAuthError("invalid_request", "subject_token_refused", audit=IntegrityFailure.code)
    if exchange.actor_token is None:
        return Narrowed(parent, granted, system, proof.jkt, proof.x5t)
    actor = sessions[exchange.actor_token]
    if isinstance(actor, Refused):
        return OAuthError("invalid_request", "actor_token_refused", audit=actor.audit)
    if actor.kind is not Kind.SERVICE or actor.system.brand != system.brand:
        return OAuthError("invalid_request", "actor_token_refused")
    return Narrowed(parent, granted, actor.system, actor.jkt, actor.x5t)


def is_within(asked: rar.Disclosure, staff: str, narrowed: Narrowed, purposes: Purposes) -> bool:
    """Tell whether what is asked lies within what the parent grants, subjects and uses apart.

    `staff` is the keyed hash of the member of staff that is named, if one is: it must be the one behind the parent.
    """
    granted = {each.field: each for each in narrowed.granted.wanted}
    try:
        above = {each.key for each in purposes.path(asked.purpose)}
    except PolicyError:
        return False
    return (
        narrowed.parent.purpose in above
        and staff in {"", narrowed.granted.staff}
        and asked.as_known_on == narrowed.granted.known_on
        and all(want.field in granted and _is_lower(want, granted[want.field]) for want in asked.wanted)
    )


def is_open(uow: UnitOfWork, narrowed: Narrowed, known: Sequence[Known]) -> bool:
    """Tell whether the parent names each subject, and neither the subject nor its consent changed since."""
    parent, purposes = narrowed.parent, uow.vault.bundle.purposes
    named = tokens.named(uow, [parent.token_hash])[parent.token_hash]
    return all(
        (then := named.get(each.subject_id)) is not None
        and then.subject_epoch == each.subject_epoch
        and then.consent_epoch == each.consent_epoch(parent.purpose, purposes)
        for each in known
    )


def _is_lower(want: Wanted, granted: Wanted) -> bool:
    """Compare two wishes for one field. A predicate is a question of its own: only the raw value answers them all."""
    if want.level is Level.PREDICATE:
        return granted.level is Level.RAW or want == granted
    if granted.level is Level.PREDICATE:
        return want.level is Level.PRESENCE
    return want.level.rank <= granted.level.rank
