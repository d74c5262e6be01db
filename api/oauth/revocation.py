"""Revocation (RFC 7009): a system hands one of its own tokens back.

The answer is the same empty 200 whether there was such a token or not (§2.2), so that it tells nobody which exist.
"""

from collections.abc import Sequence

from api.oauth.clients import actor_of, authenticate
from api.oauth.errors import OAuthError
from api.oauth.introspection import TokenQuestion
from api.trail import request_macs
from audit.entry import Act, Entry, Outcome
from vault import tokens
from vault.errors import VaultError
from vault.unit import Commit, Finish, UnitOfWork


def revoke(uow: UnitOfWork, questions: Sequence[TokenQuestion]) -> Finish[None]:
    """Revoke a batch of tokens. Each answer is None, or an `OAuthError` for a caller that did not prove itself."""
    callers = authenticate(uow, [question.client for question in questions])
    hidden = request_macs(uow, [question.client.request_id for question in questions])
    for question, caller, req in zip(questions, callers, hidden, strict=True):
        if isinstance(caller, OAuthError):
            continue
        if tokens.revoke(uow, tokens.hash_of(question.token), caller.id):
            uow.record(Entry(Act.TOKEN_REVOKED, Outcome.ALLOW, actor_of(caller), req=req))

    def finish(_commit: Commit) -> list[VaultError | None]:
        return [caller if isinstance(caller, OAuthError) else None for caller in callers]

    return finish
