"""A desk where requests of data subjects come in: two officers with keys, a person, and the shortest way to each step."""

from maison_people import AURELLE, one, take_in
from policy_officers import APPROVER, AUTHOR, Officers

from audit import ledger
from audit.entry import decode
from policies.rights import Assurance, Right
from vault.requests import handling
from vault.requests.content import Content
from vault.requests.intake import Ask, of_system, received
from vault.requests.records import Source
from vault.requests.states import Move
from vault.requests.steps import by_officer
from vault.unit import execute

DAY = 86_400
SECRET = "Mon adresse est 12 rue des Lilas, et je suis enceinte."


class Desk:
    """`person` is registered at Aurelle; `ask` takes a request of hers in as the brand's system would."""

    def __init__(self, vault, clock, person=None):
        self.vault, self.clock = vault, clock
        self.officers = Officers(vault)
        self.person = one(take_in(vault, *([person] if person else [])))

    def asked(self, right=Right.ACCESS, **more):
        more = {"assurance": Assurance.SIGNED_IN, "source": Source.BRAND, "by": of_system("aurelle-crm")} | more
        if right is Right.RESTRICTION:
            more.setdefault("names", ("accuracy_contested",))
        reference = more.pop("reference", None) or self.person.references[AURELLE]
        if right is Right.RECTIFICATION:
            more.setdefault("content", Content(values={"ring_size": {"value": "54", "system": "eu"}}))
        if right in {Right.OBJECTION, Right.CONSENT_WITHDRAWAL}:
            more.setdefault("names", ("clienteling",))
        return Ask(reference, more.pop("brand", AURELLE), right, **more)

    def answer(self, *args, **more):
        """What comes back: a request, or an error as a value."""
        (found,) = execute(self.vault, received, [self.asked(*args, **more)])
        return found

    def ask(self, *args, **more):
        return one([self.answer(*args, **more)])

    def by(self, officer=AUTHOR, *, signed=True):
        return by_officer(officer, self.officers.signing(officer) if signed else None)

    def advance(self, request, *moves, officer=AUTHOR, **more):
        for move in moves:
            request = handling.advance(self.vault, request.id, move, self.by(officer), **more)
        return request

    def to_review(self, request):
        return self.advance(request, Move.COLLECT, Move.REVIEW)

    def reviewed(self, right=Right.ACCESS, **more):
        return self.to_review(self.ask(right, **more))

    def history(self, request):
        return handling.history(self.vault, request.id)

    def moves(self, request):
        return [each.move for each in self.history(request)[1]]

    def log(self):
        with self.vault.reading() as conn:
            return [decode(each.body) for each in ledger.read(conn, 0, 0, 10_000)]

    def stored(self):
        """Every byte and text that the tables of requests hold."""
        from vault.store.tables import metadata

        found = []
        with self.vault.reading() as conn:
            for name in ("subject_request", "request_step", "identity_code", "letter", "package_link"):
                for row in conn.execute(metadata.tables[name].select()):
                    found += [value if isinstance(value, bytes) else str(value).encode() for value in row]
        return b"\x00".join(found)


def other(officer):
    return APPROVER if officer == AUTHOR else AUTHOR
