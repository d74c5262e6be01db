"""What is done while parts fail: each act of the service, as the batcher runs it, on one vault with one system."""

import json
from dataclasses import dataclass
from itertools import count

from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from sqlalchemy import inspect, text

from api import acts, intakes, pipeline, rows
from api.authn.dpop import Proof
from api.client.identity import Identity
from api.looks import Call, Look
from api.oauth.clients import ClientCredential
from api.oauth.issue import TokenRequest, issue_tokens
from api.rar import Disclosure
from audit.entry import Actor, ActorKind
from audit.findings import Verdict
from audit.pin import read_pin
from policies.levels import Level
from policies.model import Wanted
from vault import evidence, systems, tokens
from vault.consents import ConsentAct, ConsentEvent, Notice
from vault.subjects import Holding, NewSubject, ingest
from vault.systems import NewSystem
from vault.tokens import Credential
from vault.unit import execute

BRAND, SYSTEM, ISSUER, JKT = "aurelle", "aurelle-pos", "https://vault.example", "J" * 43
PURPOSE = "clienteling.aftercare"
SCOPES = frozenset({"lookup", "subject.write", "consent.write", "import"})
MOST_USES = 1000

# Values that occur nowhere else, so that an error that holds one is seen.
FAMILY, RING, PHONE = "Zyxhraquil", "53.75", "+33639981234"
SECRETS = (FAMILY, RING, PHONE, PHONE[1:], PHONE[3:])

_numbers = count(1)


def unique():
    return next(_numbers).to_bytes(16)


def person(number, ring=RING):
    given = ConsentEvent("clienteling", ConsentAct.GIVEN, "boutique", Notice("clienteling", 1, "fr"))
    fields = {
        "client_number": number,
        "name": {"family": FAMILY, "given": "Apolline"},
        "phone": [PHONE],
        "birth_date": "1984-05-17",
        "ring_size": {"value": ring, "system": "eu"},
    }
    return NewSubject(SYSTEM, "fr", (Holding(BRAND, fields, (given,)),))


@dataclass
class Scene:
    """A vault, its system, one subject, and every act as (batch function, a fresh item)."""

    vault: object
    identity: Identity
    reference: str = ""
    subject: bytes = b""
    service: bytes = b""
    disclosure: bytes = b""

    @classmethod
    def on(cls, vault):
        pem = generate_private_key(SECP256R1()).private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        scene = cls(vault, Identity.load(SYSTEM, pem))
        with vault.unit() as uow:
            jwks = scene.identity.registration()
            new = NewSystem(SYSTEM, BRAND, SYSTEM, jwks, SCOPES, frozenset({PURPOSE}))
            systems.register(uow, new, Actor(ActorKind.OFFICER, "operator-1"))
            uow.commit()
        (known,) = execute(vault, ingest, [person("AU-1")])
        scene.reference, scene.subject = known.references[BRAND], known.subject
        (answer,) = scene.run(*scene.issue(scopes=SCOPES))
        scene.service = tokens.hash_of(answer["access_token"])
        scene.disclosure = scene.token(scene.reference)
        return scene

    def token(self, *references):
        (answer,) = self.run(*self.issue(*references))
        return tokens.hash_of(answer["access_token"])

    def run(self, batch, *items):
        return execute(self.vault, batch, items)

    def _credential(self, token):
        return Credential(token, JKT, unique(), self.vault.clock.now() + 60, nonced=True)

    def _call(self, asked):
        return Call(self._credential(self.service), "request", asked)

    # --- the acts

    def issue(self, *references, scopes=frozenset()):
        now = self.vault.clock.now()
        credential = ClientCredential(SYSTEM, self.identity.assertion(ISSUER, now, unique().hex()), ISSUER, "request")
        wanted = (
            Wanted("ring_size", Level.RAW),
            Wanted("phone", Level.MASKED),
            Wanted("birth_date", Level.GENERALISED),
        )
        single = len(references) == 1
        asked = Disclosure(references, single, PURPOSE, wanted, MOST_USES, "", "advisor-1") if references else None
        return issue_tokens, TokenRequest(credential, Proof(JKT, unique(), now + 60), scopes, asked)

    def redeem(self, token=None, *references):
        looks = tuple(Look(each, None) for each in references) or (Look(self.reference, None),)
        return pipeline.disclosures, Call(self._credential(token or self.disclosure), "request", looks)

    def create(self, key=""):
        key = key or f"key-{unique().hex()}"
        fields = person(f"AU-{key[-6:]}").holdings[0].fields
        return acts.creations, self._call(acts.Write(acts.Creation("fr", fields, ()), key, key.encode()))

    def amend(self):
        changes = {"set": {"ring_size": {"value": RING, "system": "eu"}}, "append": {"phone": ["+33639981239"]}}
        return acts.amendments, self._call(acts.Write(acts.Amendment(self.reference, None, changes), "", b""))

    def consent(self, reference="", purpose="marketing.email"):
        notice = Notice(purpose.replace(".", "_"), 1, "fr")
        event = ConsentEvent(purpose, ConsentAct.GIVEN, "boutique", notice)
        change = acts.ConsentChange(reference or self.reference, event)
        return acts.consent_changes, self._call(acts.Write(change, "", b""))

    def search(self):
        return acts.searches, self._call(acts.Query("phone", PHONE))

    def describe(self):
        return acts.descriptions, self._call(self.reference)

    def take_in(self):
        with self.vault.unit() as uow:
            session = tokens.introspect(uow, self.service)
        fields = person("AU-7").holdings[0].fields
        lines = [json.dumps({"ref": f"row-{n}", "fields": fields | {"client_number": f"AU-{n}"}}) for n in (1, 2)]
        reads = tuple(rows.read_line(line.encode(), number) for number, line in enumerate(lines, 1))
        return intakes.take_in, intakes.Chunk(session, unique().hex(), reads)

    # --- what can be seen from outside

    def stored(self):
        """Every row of every table."""
        with self.vault.engine.connect() as conn:
            tables = inspect(conn).get_table_names()
            return {table: {_plain(row) for row in conn.execute(text(f'SELECT * FROM "{table}"'))} for table in tables}  # noqa: S608

    def verify(self, pin):
        evidence.sign_checkpoints(self.vault, pin)
        result = evidence.verify(self.vault, 0, [read_pin(pin)])
        assert result.verdict is Verdict.FINE, result
        assert result.signed == result.size


ACTS = ("create", "amend", "consent", "search", "describe", "take_in", "issue_for", "redeem")


def act_of(scene, name):
    return scene.issue(scene.reference) if name == "issue_for" else getattr(scene, name)()


def added(before, after):
    """How many rows each table gained or changed."""
    return {table: len(rows - before[table]) for table, rows in after.items() if rows - before[table]}


def errors_of(answers):
    """Flatten the answers of one item to its errors; anything that is no error stays."""
    flat = []
    for answer in answers:
        flat += answer if isinstance(answer, list) else [answer]
    return flat


def assert_mute(*things):
    """Neither text, repr, nor anything that hangs on an exception holds a value."""
    for thing in things:
        each = thing
        while each is not None:
            parts = [repr(each), str(each), repr(vars(each)), getattr(each, "code", "")]
            assert not [secret for secret in SECRETS for part in parts if secret in part], type(each).__name__
            assert each.__cause__ is None  # whatever is translated is translated `from None`
            each = each.__context__


def _plain(row):
    return tuple(bytes(each) if isinstance(each, memoryview | bytearray) else each for each in row)
