"""Access tokens: issued, authenticated with their proof, counted down, revoked (design §9).

A token is 256 random bits and says nothing; what it stands for is a row under its SHA-256. It is bound to a key
(RFC 9449), so a stolen one opens nothing, and each proof of that key is good once. All functions take batches and run
inside the caller's unit of work: a proof is burned, and a use counted, exactly when the act they paid for is durable.
"""

import hmac
from base64 import urlsafe_b64encode
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from hashlib import sha256
from typing import Any, Final, NamedTuple

from sqlalchemy import and_, bindparam, select, update
from sqlmodel import col

from vault.errors import Refused
from vault.proofs import claim_proof, claim_proofs
from vault.staff import staff_hashes
from vault.store.bulk import insert_rows
from vault.store.lookup import look_up
from vault.store.tables import AccessToken, System, TokenSubject
from vault.systems import COLUMNS, SystemRecord, SystemStatus, record_of
from vault.unit import UnitOfWork
from vault.uses import consume, set_apart

__all__ = [
    "Credential",
    "IssuedToken",
    "Kind",
    "Named",
    "NewToken",
    "Session",
    "authenticate",
    "claim_proof",
    "claim_proofs",
    "consume",
    "hash_of",
    "introspect",
    "issue",
    "named",
    "presented",
    "revoke",
    "set_apart",
]

TOKEN_BYTES: Final = 32
MOST_EXCHANGES: Final = 2  # generations of narrower tokens below one that was asked for (RFC 8693)
NO_POLICY: Final = bytes(32)  # policy_hash of a token that no decision stands behind

_CHUNK: Final = 1000  # keys per statement; SQLite takes 32,766 parameters


class Kind(StrEnum):
    """What a token is for: calling the service as a system, or looking at the subjects it names."""

    SERVICE = "service"
    DISCLOSURE = "disclosure"


@dataclass(frozen=True, slots=True)
class Credential:
    """What a request presented.

    SHA-256 of the token; the thumbprint of the key that signed the proof (RFC 7638); 16 bytes of the proof's hash; the
    second from which that proof would be too old anyway; whether it carried a nonce of ours that is still good.
    """

    token_hash: bytes
    jkt: str
    proof_hash: bytes
    proof_expires_at: int
    address: str = ""  # of the caller, as far as the proxies that are trusted tell it
    nonced: bool = False  # whether the proof carried a nonce of ours that is still good
    x5t: str = ""  # thumbprint of the TLS certificate, where a trusted proxy tells it
    staff: str = field(default="", repr=False)  # the brand's own word for whoever stands behind the request, if told


@dataclass(frozen=True, slots=True)
class Session:
    """A token that lives and was presented by the holder of its key. `detail` is the granted entry as stored JSON."""

    system: SystemRecord
    kind: Kind
    scopes: frozenset[str]
    purpose: str
    detail: str = field(repr=False)
    token_hash: bytes
    policy_hash: bytes
    issued_at: int
    expires_at: int
    jkt: str
    actors: tuple[str, ...] = ()  # the systems it came through by exchange, the first one first; the holder is not here
    x5t: str = ""  # thumbprint of the certificate it is bound to beside the key, if any (RFC 8705 §3)
    staff: str = field(
        default="", repr=False
    )  # keyed hash of the member of staff that the request named, 32 hex digits


class Named(NamedTuple):
    """A subject that a token names: the epochs it was granted under, and the uses left."""

    subject_id: bytes
    shard: int
    subject_epoch: int
    consent_epoch: int
    uses_left: int


@dataclass(frozen=True, slots=True)
class NewToken:
    """A token to issue. `subjects` is empty for a service token; so are `purpose` and `detail`."""

    system: SystemRecord
    kind: Kind
    jkt: str
    scopes: frozenset[str]
    lifetime: int
    purpose: str = ""
    detail: str = field(default="", repr=False)
    policy_hash: bytes = NO_POLICY
    subjects: tuple[Named, ...] = ()
    parent: bytes | None = None
    actors: tuple[str, ...] = ()
    x5t: str = ""


@dataclass(frozen=True, slots=True)
class IssuedToken:
    """The one time that the token itself is seen: 43 characters of base64url. Never stored, never logged."""

    token: str = field(repr=False)
    token_hash: bytes
    expires_at: int

    def __repr__(self) -> str:
        return "<IssuedToken>"


def hash_of(token: str) -> bytes:
    """Return the 32 bytes under which a token is stored. Why safe unsalted: it has 256 random bits."""
    return sha256(token.encode()).digest()


def authenticate(uow: UnitOfWork, credentials: Sequence[Credential]) -> list[Session | Refused]:
    """Turn each credential into a session, or say why not; two statements whatever the size of the batch.

    Where there are exchanged tokens among them, one more per generation: such a token lives while its parent does.

    The caller is told `invalid_token` for every fault of the token (unknown, expired, revoked, its system disabled,
    another key's), so that nobody learns which; the log is told the cause. `proof_replayed` is told apart, because a
    client must draw a new proof. Proofs of refused tokens are not stored: strangers cannot fill the table.
    """
    found = _found(uow, list(dict.fromkeys(credential.token_hash for credential in credentials)))
    outcomes = [_session(found, credential.token_hash, credential.jkt, uow.now) for credential in credentials]
    outcomes = [_admitted(outcome, each) for each, outcome in zip(credentials, outcomes, strict=True)]
    proofs = [
        (credential.proof_hash, credential.proof_expires_at)
        for credential, outcome in zip(credentials, outcomes, strict=True)
        if isinstance(outcome, Session)
    ]
    fresh = iter(claim_proofs(uow, proofs))
    outcomes = [
        Refused("proof_replayed") if isinstance(outcome, Session) and not next(fresh) else outcome
        for outcome in outcomes
    ]
    return _staffed(uow, credentials, outcomes) if any(each.staff for each in credentials) else outcomes


def issue(uow: UnitOfWork, tokens: Sequence[NewToken]) -> list[IssuedToken]:
    """Draw and store tokens. The caller records `token.issued`: it knows the fields and the subject's log key."""
    issued = []
    for new in tokens:
        # Why safe: 256 random bits, looked up by hash, never compared by prefix.
        token = urlsafe_b64encode(uow.vault.entropy.bytes(TOKEN_BYTES)).rstrip(b"=").decode()
        issued.append(IssuedToken(token, hash_of(token), uow.now + new.lifetime))
    insert_rows(uow.conn, AccessToken, [_row(new, made, uow.now) for new, made in zip(tokens, issued, strict=True)])
    insert_rows(
        uow.conn,
        TokenSubject,
        [
            {
                "token_hash": made.token_hash,
                "subject_id": named.subject_id,
                "shard": named.shard,
                "subject_epoch": named.subject_epoch,
                "consent_epoch": named.consent_epoch,
                "uses_left": named.uses_left,
            }
            for new, made in zip(tokens, issued, strict=True)
            for named in new.subjects
        ],
    )
    return issued


def named(uow: UnitOfWork, token_hashes: Sequence[bytes]) -> dict[bytes, dict[bytes, Named]]:
    """Return the subjects that each token names: token hash -> subject id -> `Named`. A service token names none."""
    found: dict[bytes, dict[bytes, Named]] = {token_hash: {} for token_hash in token_hashes}
    hashes = list(found)
    for start in range(0, len(hashes), _CHUNK):
        for token_hash, *held in look_up(uow.conn, _NAMED, {"hashes": hashes[start : start + _CHUNK]}):
            each = Named(*held)
            found[token_hash][each.subject_id] = each
    return found


def introspect(uow: UnitOfWork, token_hash: bytes) -> Session | None:
    """Return what a living token stands for, whoever asks and without a proof; None for any other (RFC 7662 §2.2)."""
    outcome = presented(uow, [token_hash])[0]
    return outcome if isinstance(outcome, Session) else None


def presented(uow: UnitOfWork, token_hashes: Sequence[bytes]) -> list[Session | Refused]:
    """Return what each token stands for, or why it is dead, without a proof: the caller checks whose key it is."""
    found = _found(uow, list(dict.fromkeys(token_hashes)))
    return [_session(found, token_hash, None, uow.now) for token_hash in token_hashes]


def revoke(uow: UnitOfWork, token_hash: bytes, system_id: str) -> bool:
    """Revoke a token of this system; False if there is none such, which RFC 7009 §2.2 tells nobody.

    The caller records `token.revoked`.
    """
    ours = and_(col(AccessToken.hash) == token_hash, col(AccessToken.system_id) == system_id)
    return uow.conn.execute(update(AccessToken).where(ours).values(revoked=True)).rowcount == 1


_PRESENTED: Final = (
    select(
        col(AccessToken.hash),
        col(AccessToken.kind),
        col(AccessToken.system_epoch),
        col(AccessToken.jkt),
        col(AccessToken.scope),
        col(AccessToken.purpose),
        col(AccessToken.detail),
        col(AccessToken.policy_hash),
        col(AccessToken.issued_at),
        col(AccessToken.expires_at),
        col(AccessToken.revoked),
        col(AccessToken.parent),
        col(AccessToken.actors),
        col(AccessToken.x5t),
        *COLUMNS,
    )
    .join(System, col(System.id) == col(AccessToken.system_id))
    .where(col(AccessToken.hash).in_(bindparam("hashes", expanding=True)))
)
_TOKEN_COLUMNS: Final = 14
_PARENT: Final = 11

_NAMED: Final = select(
    col(TokenSubject.token_hash),
    col(TokenSubject.subject_id),
    col(TokenSubject.shard),
    col(TokenSubject.subject_epoch),
    col(TokenSubject.consent_epoch),
    col(TokenSubject.uses_left),
).where(col(TokenSubject.token_hash).in_(bindparam("hashes", expanding=True)))


def _found(uow: UnitOfWork, hashes: Sequence[bytes]) -> dict[bytes, tuple[Any, ...]]:
    """Read tokens, and the tokens they were exchanged from."""
    found: dict[bytes, tuple[Any, ...]] = {}
    for _ in range(MOST_EXCHANGES + 1):
        for start in range(0, len(hashes), _CHUNK):
            found |= {row[0]: row for row in look_up(uow.conn, _PRESENTED, {"hashes": hashes[start : start + _CHUNK]})}
        hashes = list({row[_PARENT] for row in found.values() if row[_PARENT] is not None} - found.keys())
        if not hashes:
            break
    return found


def _session(found: Mapping[bytes, tuple[Any, ...]], token_hash: bytes, key: str | None, now: int) -> Session | Refused:
    row = found.get(token_hash)
    if row is None:
        return Refused("invalid_token", "token_unknown")
    _, kind, epoch, jkt, scope, purpose, detail, policy_hash, issued_at, expires_at, revoked, parent, actors, x5t = row[
        :_TOKEN_COLUMNS
    ]
    system = record_of(row[_TOKEN_COLUMNS:])
    if revoked:
        return Refused("invalid_token", "token_revoked")
    if expires_at <= now:
        return Refused("invalid_token", "token_expired")
    if system.status is not SystemStatus.ACTIVE or system.epoch != epoch:
        return Refused("invalid_token", "system_disabled")
    # Constant time by habit; a thumbprint is no secret.
    if key is not None and not hmac.compare_digest(jkt, key):
        return Refused("invalid_token", "wrong_key")
    if parent is not None and isinstance(_session(found, parent, None, now), Refused):
        return Refused("invalid_token", "parent_dead")
    return Session(
        system,
        Kind(kind),
        frozenset(scope.split()),
        purpose,
        detail,
        token_hash,
        policy_hash,
        issued_at,
        expires_at,
        jkt,
        () if actors is None else tuple(actors.split()),
        x5t or "",
    )


def _admitted(outcome: Session | Refused, credential: Credential) -> Session | Refused:
    """Refuse a caller at another address than the system's own, or with another certificate than the token's."""
    if isinstance(outcome, Session) and not outcome.system.admits(credential.address):
        return Refused("invalid_token", "address_not_allowed")
    if isinstance(outcome, Session) and outcome.x5t and not hmac.compare_digest(outcome.x5t, credential.x5t):
        return Refused("invalid_token", "wrong_certificate")
    return outcome


def _staffed(
    uow: UnitOfWork, credentials: Sequence[Credential], outcomes: Sequence[Session | Refused]
) -> list[Session | Refused]:
    """Say in each session who the request named; of them the keyed hash alone goes on from here."""
    named = [
        (outcome.system.brand, each.staff) if isinstance(outcome, Session) else ("", "")
        for each, outcome in zip(credentials, outcomes, strict=True)
    ]
    return [
        replace(outcome, staff=who) if isinstance(outcome, Session) and who else outcome
        for outcome, who in zip(outcomes, staff_hashes(uow.vault.keys, named), strict=True)
    ]


def _row(new: NewToken, made: IssuedToken, now: int) -> Mapping[str, object]:
    return {
        "hash": made.token_hash,
        "kind": new.kind.value,
        "system_id": new.system.id,
        "system_epoch": new.system.epoch,
        "jkt": new.jkt,
        "scope": " ".join(sorted(new.scopes)),
        "purpose": new.purpose,
        "detail": new.detail,
        "policy_hash": new.policy_hash,
        "issued_at": now,
        "expires_at": made.expires_at,
        "revoked": False,
        "parent": new.parent,
        "actors": " ".join(new.actors) or None,
        "x5t": new.x5t or None,
    }
