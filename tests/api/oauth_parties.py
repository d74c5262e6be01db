"""Systems with keys, the proofs and assertions they make, and people for them to ask about."""

import itertools
import json

import jwt
from cryptography.hazmat.primitives.asymmetric import ec

from api import rar
from api.authn import assertion, dpop
from api.authn.jwk import encode_segment, public_key
from api.oauth.clients import ClientCredential
from api.oauth.issue import TokenRequest, issue_tokens
from audit.entry import Actor, ActorKind
from vault import systems
from vault.consents import ConsentAct, ConsentEvent, Notice
from vault.subjects import Holding, NewSubject, ingest
from vault.systems import NewSystem
from vault.unit import execute

ISSUER = "https://vault.example"
TOKEN_URL = f"{ISSUER}/oauth/token"
OPERATOR = Actor(ActorKind.OFFICER, "operator-1")
SCOPES = frozenset({"lookup", "consent.write"})
PURPOSES = frozenset({"clienteling.in_store", "clienteling.aftercare", "service.repair", "marketing.email"})

_fresh = (f"identifier-number-{number:06}" for number in itertools.count())


class Party:
    """A brand's system: one key for assertions, another for proofs."""

    def __init__(self, system_id="aurelle-pos", brand="aurelle"):
        self.id, self.brand = system_id, brand
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.proof_key = ec.generate_private_key(ec.SECP256R1())
        self.jwk = jwk_of(self.key)
        self.jkt = public_key(jwk_of(self.proof_key)).jkt
        self.nonce = None  # the server's, for proofs that go over HTTP

    def register(self, vault, *, scopes=SCOPES, purposes=PURPOSES):
        with vault.unit() as uow:
            jwks = {"keys": [self.jwk | {"kid": "k1"}]}
            systems.register(uow, NewSystem(self.id, self.brand, self.id, jwks, scopes, purposes), OPERATOR)
            uow.commit()
        return self

    def disable(self, vault):
        with vault.unit() as uow:
            systems.disable(uow, self.id, OPERATOR)
            uow.commit()

    def assertion(self, now, **changes):
        claims = {"iss": self.id, "sub": self.id, "aud": ISSUER, "iat": now, "exp": now + 60, "jti": next(_fresh)}
        key = changes.pop("key", self.key)
        return jwt.encode(claims | changes, key, algorithm="ES256", headers={"kid": "k1"})

    def proof_header(self, now, url=TOKEN_URL, method="POST", token=None, **changes):
        claims = {"jti": next(_fresh), "htm": method, "htu": url, "iat": now}
        if token is not None:
            claims["ath"] = dpop.token_digest(token)
        if self.nonce is not None:
            claims["nonce"] = self.nonce
        header = {"typ": "dpop+jwt", "jwk": jwk_of(self.proof_key)}
        return jwt.encode(claims | changes, self.proof_key, algorithm="ES256", headers=header)

    def proof(self, now):
        made = dpop.verify([self.proof_header(now)], method="POST", url=TOKEN_URL, access_token=None, now=now)
        assert isinstance(made, dpop.Proof)
        return made

    def credential(self, now, **changes):
        return ClientCredential(self.id, self.assertion(now, **changes), ISSUER, "request-id")

    def service(self, now, *scopes):
        return TokenRequest(self.credential(now), self.proof(now), frozenset(scopes or ("lookup",)), None)

    def disclosure(self, now, subjects, *fields, purpose="clienteling.in_store", **more):
        return TokenRequest(
            self.credential(now), self.proof(now), frozenset(), wish(subjects, *fields, purpose=purpose, **more)
        )

    def form(self, now, **more):
        return {
            "grant_type": "client_credentials",
            "client_assertion_type": assertion.TYPE,
            "client_assertion": self.assertion(now),
        } | more


def jwk_of(key):
    numbers = key.public_key().public_numbers()
    x, y = (encode_segment(each.to_bytes(32, "big")) for each in (numbers.x, numbers.y))
    return {"kty": "EC", "crv": "P-256", "x": x, "y": y}


def entry(subjects, *fields, purpose="clienteling.in_store", **more):
    """An authorization_details entry; `fields` are (name, level) or (name, "predicate", predicate)."""
    whom = {"subject": subjects} if isinstance(subjects, str) else {"subjects": subjects}
    shaped = [dict(zip(("name", "level", "predicate"), each, strict=False)) for each in fields]
    return {"type": rar.TYPE, **whom, "purpose": purpose, "fields": shaped, **more}


def wish(subjects, *fields, **more):
    read = rar.parse(json.dumps([entry(subjects, *fields, **more)]))
    assert isinstance(read, rar.Disclosure), read
    return read


def consent(purpose="clienteling.in_store", notice="clienteling", act=ConsentAct.GIVEN):
    return ConsentEvent(purpose, act, "boutique", Notice(notice, 1, "fr") if act is ConsentAct.GIVEN else None)


def person(*consents, brand="aurelle", **fields):
    held = {
        "client_number": "AU-0042",
        "phone": [{"number": "06 39 98 12 34", "region": "FR"}],
        "birth_date": "1984-05-17",
        "ring_size": {"value": "52", "system": "eu"},
    } | fields
    return NewSubject(f"{brand}-crm", "fr", (Holding(brand, held, tuple(consents)),))


def take_in(vault, *people):
    """Register people; the references their brand stores for them."""
    results = execute(vault, ingest, people)
    assert not any(isinstance(each, Exception) for each in results), results
    return [next(iter(each.references.values())) for each in results]


def ask(vault, *requests):
    return execute(vault, issue_tokens, requests)
