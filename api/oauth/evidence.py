"""How token requests ended, as the log tells it: what was issued, for what, under which rules, and what was refused."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from api import rar
from api.oauth.errors import OAuthError
from api.oauth.grants import GrantedEntry
from api.oauth.narrowing import Narrowed
from audit.entry import Act, Actor, Entry, Outcome


def entries(
    asked: rar.Disclosure | None,
    scopes: frozenset[str],
    granted: GrantedEntry | None,
    narrowed: Narrowed | None,
    error: OAuthError | None,
    actor: Actor,
    req: bytes,
    why: Mapping[str, Any] | None,
) -> list[Entry]:
    """Say how a request ended; before a token that grants less than the wish, also what it does not.

    `asked` or `scopes` is the wish, `granted` what was decided if it came to that, `narrowed` what an exchange started from,
    `why` the decision explained, for the last of the entries.
    """
    if error is not None:
        found = [_refused(asked, granted, error, actor)]
    elif asked is None or granted is None:
        named = tuple(f"scope:{each}" for each in scopes)
        return [Entry(Act.TOKEN_ISSUED, Outcome.ALLOW, actor, pol=named, req=req)]
    else:
        found = _issued(asked, granted, narrowed, actor)
    count = len(asked.subjects) if asked is not None and not asked.single else None
    found[-1] = replace(found[-1], detail=why)
    return [replace(each, n=count, req=req) for each in found]


def _refused(asked: rar.Disclosure | None, granted: GrantedEntry | None, error: OAuthError, actor: Actor) -> Entry:
    # Names are written only once the catalogue has been found to know them all.
    if asked is None or granted is None:
        return Entry(Act.TOKEN_REFUSED, Outcome.DENY, actor, pol=(f"token.{error.audit}",))
    fields = tuple(f"{want.field}:{want.level}" for want in asked.wanted)
    return Entry(Act.TOKEN_REFUSED, Outcome.DENY, actor, fields, asked.purpose, pol=granted.policies)


def _issued(asked: rar.Disclosure, granted: GrantedEntry, narrowed: Narrowed | None, actor: Actor) -> list[Entry]:
    act, rules = Act.TOKEN_ISSUED, granted.policies
    if narrowed is not None:
        chain = (*narrowed.actors, narrowed.holder.id)
        act, rules = Act.TOKEN_EXCHANGED, (*rules, *(f"act.{place}:{each}" for place, each in enumerate(chain)))
    issued = Entry(act, Outcome.ALLOW, actor, granted.names, asked.purpose, granted.basis, rules)
    refusal = granted.refusal(actor, asked.purpose)
    return [issued] if refusal is None else [refusal, issued]
