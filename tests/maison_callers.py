"""Brands' systems as they call the service: raw HTTP, with every header in the test's hand, signed as clients sign.

A `Caller` holds a system's two keys and sends requests; nothing is retried, hidden or repaired. `Maison` is a served
vault with callers registered on it. What the callers know of the service is what its documents say.
"""

import itertools
import json
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

from api.app import create_app
from api.client.identity import Identity, SigningKey, proof
from api.settings import load

PUBLIC = "https://vault.example"
ELSEWHERE = "http://10.0.0.9:8420"  # the address the request arrives at; nothing may be decided by it
STRANGER = "ref_00000000000000000000000000"  # well-formed, and nobody's
DISCLOSURE = "urn:ecrin:disclosure:v1"
SCOPES = frozenset({"lookup", "subject.write", "consent.write", "rights.write", "import", "audit.read"})
PURPOSES = frozenset(
    {
        "clienteling",
        "clienteling.in_store",
        "clienteling.aftercare",
        "service.repair",
        "marketing.email",
        "legal.claims",
    }
)
NDJSON, CSV = "application/x-ndjson", "text/csv"

PERSON = {
    "client_number": "AU-0042",
    "name": {"family": "Rousselin", "given": "Apolline"},
    "phone": [{"number": "06 39 98 12 34", "region": "FR"}, "+971 50 123 4567"],
    "email": ["Apolline.Rousselin@example.com"],
    "birth_date": "1984-05-17",
    "ring_size": {"value": "52", "system": "eu"},
    "preferred_language": "fr",
}
NOTICE = {"id": "clienteling", "version": 1, "language": "fr"}
CONSENT = {"purpose": "clienteling", "notice": NOTICE, "channel": "in_store"}
WITHDRAWAL = {"purpose": "clienteling", "channel": "in_store"}

_numbers = itertools.count()


def fresh():
    """An id that no test used before, as a jti or a key."""
    return f"fresh-identifier-{next(_numbers):08}"


@dataclass
class Caller:
    """One system: `http` sends, `clock` dates, `identity` signs assertions and `key` signs proofs."""

    http: Any
    clock: Any
    id: str = "aurelle-pos"
    brand: str = "aurelle"
    public: str = PUBLIC
    identity: Identity = None
    key: SigningKey = field(default_factory=SigningKey.generate)
    kept: dict = field(default_factory=dict)
    nonce: str = ""

    def __post_init__(self):
        self.identity = self.identity or Identity(self.id, SigningKey.generate(), "k1")

    def twin(self, http=None, **changes):
        """The same system with the same keys, perhaps at another server, another process, or under another key."""
        mine = {"id": self.id, "brand": self.brand, "public": self.public, "identity": self.identity, "key": self.key}
        mine["nonce"] = self.nonce
        return Caller(http or self.http, self.clock, **(mine | changes))

    def registration(self, scopes=SCOPES, purposes=PURPOSES, brands=()):
        from vault.systems import NewSystem

        jwks = self.identity.registration()
        return NewSystem(self.id, self.brand, self.id, jwks, frozenset(scopes), frozenset(purposes), frozenset(brands))

    # --- tokens

    def form(self, **more):
        return {
            "grant_type": "client_credentials",
            "client_assertion_type": "urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
            "client_assertion": self.identity.assertion(self.public, self.clock.now(), fresh()),
        } | more

    def ask(self, **grant):
        """Ask the token endpoint; whatever it answers."""
        answer = self._ask(grant)
        if answer.status_code == 400 and answer.json()["error"] == "use_dpop_nonce":
            answer = self._ask(grant)  # the one repetition that the protocol asks for (RFC 9449 §8)
        return answer

    def _ask(self, grant):
        headers = {"DPoP": self.proof("POST", "/oauth/token")}
        answer = self.http.post("/oauth/token", data=self.form(**grant), headers=headers)
        self.nonce = answer.headers.get("dpop-nonce", self.nonce)
        return answer

    def service(self, scope):
        """A service token, drawn once per scope."""
        if scope not in self.kept:
            answer = self.ask(scope=scope)
            assert answer.status_code == 200, answer.text
            self.kept[scope] = answer.json()["access_token"]
        return self.kept[scope]

    def wish(self, subjects, *fields, purpose="clienteling.in_store", **more):
        """Ask for a disclosure token; `fields` are `(name, level)` or `(name, "predicate", predicate)`."""
        return self.ask(authorization_details=details(subjects, *fields, purpose=purpose, **more))

    def exchange(self, token, subjects, *fields, actor=None, form=None, purpose="clienteling.in_store", **more):
        """Ask for a narrower token (RFC 8693), for oneself or for the system that `actor`, a service token, is of."""
        kind = "urn:ietf:params:oauth:token-type:access_token"
        grant = {"grant_type": "urn:ietf:params:oauth:grant-type:token-exchange"}
        grant |= {"subject_token": token, "subject_token_type": kind}
        grant |= {} if actor is None else {"actor_token": actor, "actor_token_type": kind}
        wanted = details(subjects, *fields, purpose=purpose, **more)
        return self.ask(**(grant | {"authorization_details": wanted} | (form or {})))

    def granted(self, subjects, *fields, **more):
        """A disclosure token that must be granted."""
        answer = self.wish(subjects, *fields, **more)
        assert answer.status_code == 200, answer.text
        return answer.json()["access_token"]

    # --- requests

    def proof(self, method, path, token="", *, key=None, jti=None, now=None, nonce=None):
        at = self.clock.now() if now is None else now
        nonce = self.nonce if nonce is None else nonce
        return proof(key or self.key, method, self.public + path, at, jti or fresh(), token=token, nonce=nonce)

    def send(self, method, path, token, body=None, *, proofs=None, headers=(), content=None):
        """Send one request under a token. `proofs` replaces the one good proof."""
        sent = [("Authorization", f"DPoP {token}")] if token else []
        proofs = [self.proof(method, path, token)] if proofs is None else proofs
        sent += [("DPoP", each) for each in proofs]
        sent += list(headers.items() if isinstance(headers, dict) else headers)
        how = {"content": content} if content is not None else {} if body is None else {"json": body}
        return self.http.request(method, path, headers=sent, **how)

    def create(self, fields=PERSON, *consents, region="fr", **how):
        body = {"region": region, "fields": fields, "consents": list(consents)}
        return self.send("POST", "/v1/subjects", self.service("subject.write"), body, **how)

    def created(self, fields=PERSON, *consents, **how):
        answer = self.create(fields, *consents, **how)
        assert answer.status_code == 201, answer.text
        return answer.json()["reference"]

    def describe(self, reference, **how):
        return self.send("GET", f"/v1/subjects/{reference}", self.service("lookup"), **how)

    def patch(self, reference, changes, etag=None, **how):
        headers = list(dict(how.pop("headers", {})).items()) + ([] if etag is None else [("If-Match", etag)])
        token = self.service("subject.write")
        return self.send("PATCH", f"/v1/subjects/{reference}", token, changes, headers=headers, **how)

    def search(self, by, value, **how):
        return self.send("POST", "/v1/subjects/search", self.service("lookup"), {"by": by, "value": value}, **how)

    def give(self, reference, **more):
        body = {"reference": reference, **CONSENT, **more}
        return self.send("POST", "/v1/consents", self.service("consent.write"), body)

    def withdraw(self, reference, **more):
        body = {"reference": reference, **WITHDRAWAL, **more}
        return self.send("POST", "/v1/consents/withdraw", self.service("consent.write"), body)

    def disclose(self, token, body=None, **how):
        return self.send("POST", "/v1/disclosures", token, {} if body is None else body, **how)

    def bulk(self, token, references, **more):
        return self.send("POST", "/v1/disclosures/bulk", token, {"references": list(references), **more})

    def bring(self, content, key, media_type=NDJSON, headers=(), **how):
        """Import bytes."""
        sent = [("Content-Type", media_type), *headers] + ([("Idempotency-Key", key)] if key else [])
        return self.send("POST", "/v1/imports", self.service("import"), content=content, headers=sent, **how)

    def seen(self, reference, *names, purpose="legal.claims", level="raw"):
        """Field name -> value, as counsel sees it: the widest purpose there is."""
        token = self.granted(reference, *[(name, level) for name in names], purpose=purpose, staff="counsel-1")
        answer = self.disclose(token)
        assert answer.status_code == 200, answer.text
        return {each["name"]: each["value"] for each in answer.json()["fields"]}


def details(subjects, *fields, **more):
    """The form parameter that asks for a disclosure."""
    whom = {"subject": subjects} if isinstance(subjects, str) else {"subjects": list(subjects)}
    shaped = [dict(zip(("name", "level", "predicate"), each, strict=False)) for each in fields]
    return json.dumps([{"type": DISCLOSURE, **whom, "fields": shaped, **more}])


def ndjson(*rows):
    """Rows as an import body; a row that is bytes or text already goes as it is."""
    lines = [
        row if isinstance(row, bytes) else (row if isinstance(row, str) else json.dumps(row)).encode() for row in rows
    ]
    return b"".join(line + b"\n" for line in lines)


def lines_of(answer):
    """An import's answer, row by row."""
    assert answer.status_code == 200, answer.text
    return [json.loads(line) for line in answer.content.splitlines()]


def problem_of(answer, status, code):
    """Check a refusal's form and return its body."""
    assert answer.headers["content-type"] == "application/problem+json"
    body = answer.json()
    assert (answer.status_code, body["code"]) == (status, code), answer.text
    assert body["status"] == status
    assert body["type"] == f"urn:ecrin:problem:{code}"
    assert body["request_id"] == answer.headers["x-request-id"]
    return body


def register(vault, caller, **rights):
    """Register a caller's system as an operator does."""
    from api.cli.opened import OPERATOR
    from vault import systems

    with vault.unit() as uow:
        systems.register(uow, caller.registration(**rights), OPERATOR)
        uow.commit()
    return caller


def disable(vault, caller):
    from api.cli.opened import OPERATOR
    from vault import systems

    with vault.unit() as uow:
        systems.disable(uow, caller.id, OPERATOR)
        uow.commit()


def app_of(opener, folder, *, reopen=None, **chosen):
    """The application over an opener of vaults, with the settings the tests share."""
    settings = {
        "public_url": PUBLIC,
        "data_dir": folder,
        "checkpoint_file": folder / "checkpoint",
        "log_level": "error",
    }
    return create_app(load(settings | chosen), opener=opener, **({"reopen": reopen} if reopen else {}))


@dataclass
class Maison:
    """A served vault: its HTTP client, the vault to look into, and how to bring more systems in."""

    http: Any
    vault: Any
    clock: Any

    def system(self, system_id, brand, **rights):
        return register(self.vault, Caller(self.http, self.clock, system_id, brand), **rights)

    def entries(self):
        """The log, oldest first: each entry's bytes, what they read as, and its act."""
        from audit.entry import decode

        with self.vault.engine.connect() as conn:
            rows = conn.exec_driver_sql("SELECT body FROM log_entry ORDER BY idx").all()
        read = [(bytes(body), decode(bytes(body))) for (body,) in rows]
        return [SimpleNamespace(raw=raw, read=entry, act=entry["act"]) for raw, entry in read]
