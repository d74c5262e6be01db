"""Introspection (RFC 7662): whether a token is good now, and for what.

A system may ask about tokens of its own brand. For any other token the answer is exactly `{"active": false}`: unknown,
expired, revoked, another brand's, used up, or killed by an epoch all look the same. A token that names subjects is
good as long as one of them is still open to it; the subjects themselves are not named.

Who asks for it gets the answer signed (RFC 9701), for the system that asked: evidence to keep of what a token was good for.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import orjson

from api import jws, rar
from api.oauth.clients import ClientCredential, actor_of, authenticate
from api.oauth.errors import OAuthError
from api.trail import request_macs
from audit.entry import Act, Entry, Outcome
from vault import facts, signers, tokens
from vault.errors import VaultError
from vault.signers import SignedAs
from vault.systems import SystemRecord
from vault.tokens import Kind, Session
from vault.unit import Commit, Finish, UnitOfWork, Vault

INACTIVE: Final = {"active": False}
SIGNED: Final = "application/token-introspection+jwt"
_TYPE: Final = "token-introspection+jwt"


@dataclass(frozen=True, slots=True)
class TokenQuestion:
    """A token presented to introspection or revocation by a system that proves itself."""

    client: ClientCredential
    token: str = field(repr=False)


def introspect(uow: UnitOfWork, questions: Sequence[TokenQuestion]) -> Finish[dict[str, Any]]:
    """Answer a batch of introspections: the RFC 7662 document or an `OAuthError` each."""
    callers = authenticate(uow, [question.client for question in questions])
    answers: list[dict[str, Any] | VaultError] = []
    hidden = request_macs(uow, [question.client.request_id for question in questions])
    for question, caller, req in zip(questions, callers, hidden, strict=True):
        if isinstance(caller, OAuthError):
            answers.append(caller)
            continue
        session = _session(uow, caller, question.token)
        answers.append(INACTIVE if session is None else _describe(session, question.client.issuer))
        outcome = Outcome.DENY if session is None else Outcome.ALLOW
        uow.record(Entry(Act.TOKEN_INTROSPECTED, outcome, actor_of(caller), req=req))

    def finish(_commit: Commit) -> list[dict[str, Any] | VaultError]:
        return answers

    return finish


def signed(vault: Vault, answer: Mapping[str, Any], issuer: str, asker: str) -> bytes:
    """Sign an answer for the system that asked (RFC 9701 §5). There is no expiry: it says what was so when it was made."""
    signer = signers.ready(vault, SignedAs.INTROSPECTION)
    claims = {"iss": issuer, "aud": asker, "iat": vault.clock.now(), "token_introspection": answer}
    return jws.signed(jws.unsigned(_TYPE, signer.kid, claims), signer.sign).encode()


def _session(uow: UnitOfWork, caller: SystemRecord, token: str) -> Session | None:
    session = tokens.introspect(uow, tokens.hash_of(token))
    if session is None or session.system.brand != caller.brand:
        return None
    return session if session.kind is Kind.SERVICE or _has_open_subject(uow, session) else None


def _has_open_subject(uow: UnitOfWork, session: Session) -> bool:
    """Tell whether any subject has uses left and has not changed, nor its consent, since the token was issued."""
    named = [each for each in tokens.named(uow, [session.token_hash])[session.token_hash].values() if each.uses_left]
    purposes = uow.vault.bundle.purposes
    known = facts.load(uow, session.system.brand, [each.subject_id for each in named])
    return any(
        now is not None
        and now.subject_epoch == then.subject_epoch
        and now.consent_epoch(session.purpose, purposes) == then.consent_epoch
        for then, now in zip(named, known, strict=True)
    )


def _describe(session: Session, issuer: str) -> dict[str, Any]:
    described: dict[str, Any] = {
        "active": True,
        "iss": issuer,
        "client_id": session.system.id,
        "token_type": "DPoP",
        "iat": session.issued_at,
        "exp": session.expires_at,
        "cnf": {"jkt": session.jkt}
        | ({"x5t#S256": session.x5t} if session.x5t else {}),  # RFC 9449 §6.2, RFC 8705 §3.2
    }
    if session.actors:
        described |= {"sub": session.actors[0], "act": _act((*session.actors[1:], session.system.id))}
    if session.kind is Kind.SERVICE:
        return described | {"scope": " ".join(sorted(session.scopes))}
    detail = orjson.loads(session.detail)
    entry = {"type": rar.TYPE, "purpose": session.purpose, "fields": detail["fields"], "max_uses": detail["max_uses"]}
    return described | {"authorization_details": [entry]}


def _act(chain: Sequence[str]) -> dict[str, Any]:
    """Shape the systems a token came through as RFC 8693 §4.1 does: the one that holds it outermost."""
    act: dict[str, Any] = {}
    for each in chain:
        act = {"sub": each} | ({"act": act} if act else {})
    return act
