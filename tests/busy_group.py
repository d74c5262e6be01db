"""A day in the life of the demo group, beyond what systems do: requests, drafts, raises, emergencies and a frozen system.

For pages that would be empty otherwise, and look well when they are.
"""

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from policy_officers import STRICTER, changed, public_of

from api.cli.opened import OPERATOR
from audit.entry import Act, Actor, ActorKind, Entry, Outcome
from policies.levels import Level
from policies.model import Wanted
from policies.rights import Assurance, Right
from vault import budgetraises, systems
from vault.governance import breakglass, officerkeys, uploads, versions
from vault.governance.cases import Asked
from vault.reports import runs, saved
from vault.requests import delivering, erasing, handling, intake
from vault.requests.content import Content
from vault.requests.records import Source
from vault.requests.states import Move
from vault.requests.steps import by_officer
from vault.unit import execute

EMPTY = Content()
WORDS = "Please tell me who looked at my file. <script>alert(1)</script>"


def keyed(vault, *names):
    """Give officers keys of their own; return them by name."""
    keys = {name: Ed25519PrivateKey.generate() for name in names}
    with vault.unit() as uow:
        for name, key in keys.items():
            officerkeys.register(uow, name, public_of(key), OPERATOR)
        uow.commit()
    return keys


def higher(vault, system_id):
    """The first limit of a system, one higher than it is."""
    with vault.reading() as conn:
        (limit, *_) = systems.get(conn, system_id).budgets.spelt
    where, _, rest = limit.rpartition(":")
    quota, window = rest.split("/")
    return (f"{where}:{int(quota) + 1}/{window}",)


class Day:
    """What officers `first` (compliance) and `second` (approver) left on their desks; `keys` by officer."""

    def __init__(self, vault, brand, system_id, references, first, second):
        self.vault, self.brand, self.references = vault, brand, references
        self.first, self.second = first, second
        self.keys = keyed(vault, first, second)
        self.raise_ = budgetraises.propose(
            vault, system_id, higher(vault, system_id), 3600, first, self.keys[first].sign
        )
        self.draft = versions.propose(vault, changed(), "maisons", first, self.keys[first].sign).number
        self.case = breakglass.ask(
            vault,
            Asked(brand, references[0], (Wanted("phone", Level.RAW),), first, 15, "She fell ill in the shop."),
            first,
            self.keys[first].sign,
        )
        self.ready = self.request(references[0], Right.ACCESS, Content(WORDS))
        self.advance(self.ready, Move.COLLECT, Move.REVIEW)
        delivering.prepare(vault, self.ready.id, self.by(first))
        self.rehearsed = self.request(references[1], Right.ERASURE)
        self.advance(self.rehearsed, Move.COLLECT, Move.REVIEW)
        erasing.check_holds(vault, self.rehearsed.id, self.by(first))
        erasing.rehearse(vault, self.rehearsed.id, self.by(first))
        self.open = self.request(references[2], Right.COMPLAINT, Content("Too many letters."))
        self.upload = uploads.keep(vault, changed(new=STRICTER.replace("notes", "contact")), "maisons", first)
        self.kept = saved.save(vault, saved.NewSaved("Every week", "access", 7, {}, 7), self.by(first).actor)
        self.made = runs.queue(vault, "refusals", saved.asked_of(self.kept, vault.clock.now()), self.by(first).actor)
        with vault.unit() as uow:  # a look at somebody who does not exist, as the log has it (`vault.honey`)
            guard = Actor(ActorKind.VAULT, "honey")
            uow.record(Entry(Act.SYSTEM_FROZEN, Outcome.ALLOW, guard, pol=("system:old-till",)), log_key=bytes(32))
            uow.commit()

    def by(self, officer):
        return by_officer(officer, self.keys[officer].sign)

    def request(self, reference, right, content=EMPTY):
        ask = intake.Ask(
            reference, self.brand, right, self.by(self.first), Source.OFFICER, Assurance.DOCUMENT, content=content
        )
        (made,) = execute(self.vault, intake.received, [ask])
        assert not isinstance(made, Exception), made
        return made

    def advance(self, request, *moves):
        for move in moves:
            handling.advance(self.vault, request.id, move, self.by(self.first))
