"""The protocol, without I/O: tokens fetched and cached, a fresh DPoP proof per request, nonces honoured, retries.

Every verb is a generator that yields `Call`s (see `wire`); the drivers in `blocking` and `asynchronous` run them.
"""

import json
import re
import secrets
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any
from urllib.parse import urlencode

from api.client.answers import member
from api.client.errors import EcrinProtocolError, EcrinUnreachable, problem_from
from api.client.identity import Identity, SigningKey, proof
from api.client.wire import Call, Reply, Steps, json_object

ASSERTION_TYPE = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
RENEW_EARLY = 30  # seconds: a token this close to its end might die on the way
STAFF = re.compile(r"[A-Za-z0-9_.:-]{1,128}")
TRY_AGAIN = frozenset({429, 502, 503, 504})


def wall_clock() -> int:
    """Whole UTC seconds since 1970; the client's one reading of the system clock, replaceable in `Settings`."""
    return int(time.time())  # noqa: TID251 - the client stands alone and cannot import the vault's clock


def fresh_id() -> str:
    """128 random bits, for a `jti`: the server remembers each until it could no longer be accepted."""
    return secrets.token_urlsafe(16)


@dataclass(frozen=True, slots=True)
class Settings:
    """How the client behaves: where the server is, as its tokens call it, and how patient to be.

    `issuer` is the server's configured name, by default the base URL. `proof_key` binds the tokens; by default it is
    drawn at start and never leaves the process. `attempts` counts tries of a repeatable request.
    """

    base_url: str
    issuer: str = ""
    proof_key: SigningKey = field(default_factory=SigningKey.generate, repr=False)
    attempts: int = 3
    pause: float = 0.2  # seconds before the second try; doubles
    longest_pause: float = 5.0
    timeout: float = 30.0
    clock: Callable[[], int] = wall_clock
    fresh: Callable[[], str] = fresh_id

    @property
    def origin(self) -> str:
        """The base URL without a trailing slash."""
        return self.base_url.rstrip("/")


@dataclass(slots=True)
class Exchange:
    """One system's conversation with one server: holds service tokens and the last DPoP nonce, nothing personal."""

    identity: Identity = field(repr=False)
    settings: Settings
    staff: str = field(default="", repr=False)
    _tokens: dict[str, tuple[str, int]] = field(default_factory=dict, repr=False)
    _nonce: str = field(default="", repr=False)

    def for_staff(self, staff: str) -> "Exchange":
        """Return the same conversation for a member of staff: service tokens are shared, requests say who. Raises `ValueError`."""
        if not STAFF.fullmatch(staff):
            raise ValueError("a member of staff is named by 1 to 128 of the characters A-Z a-z 0-9 _ . : -")
        return replace(self, staff=staff)

    def token(self, grant: Mapping[str, str], *, repeatable: bool = True) -> Steps[Reply]:
        """Ask `/oauth/token` for what `grant` says, authenticated by private_key_jwt and bound by DPoP."""
        return self._repeat(lambda: self._token_call(grant), repeatable=repeatable)

    def service_token(self, scope: str) -> Steps[str]:
        """Return a service token for the scope, from the cache while it lives."""
        cached, until = self._tokens.get(scope, ("", 0))
        if cached and self.settings.clock() < until - RENEW_EARLY:
            return cached
        reply = yield from self.token({"scope": scope})
        body = json_object(reply.content)
        token = str(member(body, "access_token"))
        if str(body.get("token_type", "")).lower() != "dpop":
            raise EcrinProtocolError("the server issued a token that is not bound to our key")
        self._tokens[scope] = (token, self.settings.clock() + int(member(body, "expires_in")))
        return token

    def scoped(
        self,
        scope: str,
        method: str,
        path: str,
        body: object = None,
        headers: Mapping[str, str] | None = None,
        *,
        repeatable: bool = False,
    ) -> Steps[Reply]:
        """Send under a service token. A token the server no longer knows is replaced once."""
        token = yield from self.service_token(scope)
        reply = yield from self._authorised(token, method, path, body, headers, repeatable=repeatable)
        if reply.status == 401:  # noqa: PLR2004 - Unauthorized
            self._tokens.pop(scope, None)
            token = yield from self.service_token(scope)
            reply = yield from self._authorised(token, method, path, body, headers, repeatable=repeatable)
        return _succeeded(reply)

    def bound(self, token: str, method: str, path: str, body: object = None) -> Steps[Reply]:
        """Send under a disclosure token, once: a use may have been counted even when the answer is lost."""
        reply = yield from self._authorised(token, method, path, body, None, repeatable=False)
        return _succeeded(reply)

    def public(self, path: str) -> Steps[Reply]:
        """Read what needs no token."""
        return self._repeat(lambda: Call("GET", path), repeatable=True)

    def headers(self, token: str, method: str, path: str) -> dict[str, str]:
        """Authorisation for one request: the token and a proof made for exactly this one."""
        return {"Authorization": f"DPoP {token}", "DPoP": self._proof(method, path, token), **self._named()}

    def _named(self) -> dict[str, str]:
        return {"Ecrin-Staff": self.staff} if self.staff else {}

    def _proof(self, method: str, path: str, token: str = "") -> str:
        made = self.settings
        url = made.origin + path
        return proof(made.proof_key, method, url, made.clock(), made.fresh(), token=token, nonce=self._nonce)

    def _token_call(self, grant: Mapping[str, str]) -> Call:
        made = self.settings
        assertion = self.identity.assertion(made.issuer or made.origin, made.clock(), made.fresh())
        form = {
            "grant_type": "client_credentials",  # unless `grant` names another
            "client_assertion_type": ASSERTION_TYPE,
            "client_assertion": assertion,
            **grant,
        }
        headers = {"Content-Type": "application/x-www-form-urlencoded", "DPoP": self._proof("POST", "/oauth/token")}
        if "scope" not in grant:  # a service token is the system's own, whoever was the first to need one
            headers |= self._named()
        return Call("POST", "/oauth/token", headers, urlencode(form).encode())

    def _authorised(
        self, token: str, method: str, path: str, body: object, headers: Mapping[str, str] | None, *, repeatable: bool
    ) -> Steps[Reply]:
        kind, content = encoded(body)
        extra = {**(headers or {}), **kind}

        def call() -> Call:
            return Call(method, path, {**extra, **self.headers(token, method, path)}, content)

        return (yield from self._patiently(call, repeatable=repeatable))

    def _repeat(self, call: Callable[[], Call], *, repeatable: bool) -> Steps[Reply]:
        return _succeeded((yield from self._patiently(call, repeatable=repeatable)))

    def _patiently(self, call: Callable[[], Call], *, repeatable: bool) -> Steps[Reply]:
        """Send; answer one nonce challenge; repeat what may be repeated. Each try is a new call with a new proof."""
        attempts = self.settings.attempts if repeatable else 1
        wait = 0.0
        for left in range(attempts - 1, -1, -1):
            try:
                reply = yield _after(call(), wait)
                if self._challenged(reply):
                    reply = yield call()
                self._challenged(reply)
            except EcrinUnreachable:
                if not left:
                    raise
            else:
                if reply.status not in TRY_AGAIN or not left:
                    return reply
            wait = min(max(self.settings.pause, wait * 2), self.settings.longest_pause)
        raise EcrinUnreachable("no attempt was allowed")

    def _challenged(self, reply: Reply) -> bool:
        """Keep the newest nonce; say whether the reply is a challenge to use it (RFC 9449 §8, §9)."""
        self._nonce = reply.headers.get("dpop-nonce", self._nonce)
        if reply.status == 400:  # noqa: PLR2004 - token endpoint
            return json_object(reply.content).get("error") == "use_dpop_nonce"
        challenge = reply.headers.get("www-authenticate", "")
        return reply.status == 401 and "use_dpop_nonce" in challenge  # noqa: PLR2004 - resource server


def encoded(body: object) -> tuple[dict[str, str], bytes]:
    """Encode a JSON body; bytes go as they are, under the caller's own Content-Type; `None` is no body."""
    if body is None or isinstance(body, bytes):
        return {}, body or b""
    return {"Content-Type": "application/json"}, json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode()


def _after(call: Call, wait: float) -> Call:
    return Call(call.method, call.path, call.headers, call.content, wait) if wait else call


def _succeeded(reply: Reply) -> Reply:
    if not reply.ok:
        raise problem_from(reply)
    return reply


def details(kind: str, entry: Mapping[str, Any]) -> dict[str, str]:
    """Shape one `authorization_details` entry as the form parameter of RFC 9396 §6."""
    return {"authorization_details": json.dumps([{"type": kind, **entry}], ensure_ascii=False, separators=(",", ":"))}
