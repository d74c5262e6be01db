"""Consents, tokens, exchanges, looks, restrictions, erasures, restarts and budgets in random order, against a small model.

The one promise: never a value without a live grant. The model says of each look whether there is one, and the service must
agree both ways: what is not granted is refused, and what is granted is given.
"""

from dataclasses import dataclass, field

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule, run_state_machine_as_test
from maison_callers import ELSEWHERE, PERSON, Caller, app_of, fresh, register
from starlette.testclient import TestClient

from api.cli.opened import OPERATOR
from vault import systems
from vault.budgetlimits import Budgets
from vault.erasure import requests

PEOPLE = 3
ROOM = 2  # distinct people a day
LIFE = 900  # seconds of a token for a masked value
DAY = 86_400
SHOWN = "+33 •••• 34"
GROUNDS = ("accuracy_contested", "unlawful")


@dataclass
class Someone:
    """What the model knows of a person."""

    reference: str
    consented: bool = False
    events: int = 0
    erased: bool = False
    grounds: set[str] = field(default_factory=set)  # on which restricted
    closings: int = 0  # how often from not at all


@dataclass
class Held:
    """What the model knows of a token."""

    token: str
    whom: Someone
    events: int
    uses: int
    ends: int
    epoch: int
    closings: int
    parent: "Held | None" = None


@dataclass
class House:
    """The served vault of one test; it can be stopped and started."""

    opening: object
    bundle: object
    folder: object
    clock: object
    http: TestClient = None
    vault: object = None

    def start(self):
        app = app_of(lambda _: self.opening(self.bundle), self.folder, system_rate=1_000_000)
        self.http = TestClient(app, base_url=ELSEWHERE, raise_server_exceptions=False).__enter__()
        self.vault = app.state.services.vault

    def stop(self):
        self.http.__exit__(None, None, None)


class Life(RuleBasedStateMachine):
    """One system's life with three people."""

    house: House

    @initialize()
    def begin(self):
        self.clock = self.house.clock
        self.pos = register(self.house.vault, Caller(self.house.http, self.clock, f"pos-{fresh()[-8:]}"))
        self.people = [Someone(self.pos.created(PERSON | {"client_number": fresh()})) for _ in range(PEOPLE)]
        self.tokens: list[Held] = []
        self.seen: dict[int, set[str]] = {}
        self.epoch = 0
        with self.house.vault.unit() as uow:
            systems.change_budgets(uow, self.pos.id, Budgets((f"system:people:{ROOM}/day",)))
            uow.commit()
        for place in range(PEOPLE):  # in the middle of life: something is granted, and can be lost
            self.consent(place)
            self.wish(place, 3)

    # --- what may happen

    @rule(place=st.integers(0, PEOPLE - 1))
    def consent(self, place):
        someone = self.people[place]
        answer = self.pos.give(someone.reference)
        assert (answer.status_code == 201) is not someone.erased, answer.text
        if not someone.erased:
            someone.consented, someone.events = True, someone.events + 1

    @rule(place=st.integers(0, PEOPLE - 1))
    def withdraw(self, place):
        someone = self.people[place]
        answer = self.pos.withdraw(someone.reference)
        if someone.erased:
            assert (answer.status_code, answer.json()["code"]) == (404, "unknown_reference"), answer.text
            return
        if not someone.events:
            return  # of what was never given the model says nothing
        assert answer.status_code == 201, answer.text
        someone.consented, someone.events = False, someone.events + 1

    @rule(place=st.integers(0, PEOPLE - 1), uses=st.integers(1, 3))
    def wish(self, place, uses):
        someone = self.people[place]
        answer = self.pos.wish(someone.reference, ("phone", "masked"), max_uses=uses)
        granted = someone.consented and not someone.erased and not someone.grounds
        assert (answer.status_code == 200) is granted, answer.text
        if granted:
            token = answer.json()["access_token"]
            ends = self.clock.now() + LIFE
            self.tokens.append(Held(token, someone, someone.events, uses, ends, self.epoch, someone.closings))

    @precondition(lambda self: self.tokens)
    @rule(data=st.data())
    def narrow(self, data):
        parent = data.draw(st.sampled_from(self.tokens))
        if parent.parent is not None:
            return
        answer = self.pos.exchange(parent.token, parent.whom.reference, ("phone", "masked"), max_uses=1)
        assert (answer.status_code == 200) is (self.lives(parent) and parent.uses > 0), answer.text
        if answer.status_code == 200:
            parent.uses -= 1
            token = answer.json()["access_token"]
            self.tokens.append(
                Held(token, parent.whom, parent.events, 1, parent.ends, self.epoch, parent.closings, parent)
            )

    @precondition(lambda self: self.tokens)
    @rule(order=st.randoms(use_true_random=False))
    def look(self, order):
        """Redeem every token that was ever held, in any order."""
        for held in order.sample(self.tokens, len(self.tokens)):
            self.redeem(held)

    def redeem(self, held):
        answer = self.pos.disclose(held.token)
        seen = self.seen.setdefault(self.clock.now() // DAY, set())
        fits = held.whom.reference in seen or len(seen) < ROOM
        due = self.lives(held) and held.uses > 0 and fits
        assert (answer.status_code == 200) is due, (answer.text, held)
        assert (SHOWN in answer.text) is due
        if due:
            held.uses -= 1
        elif self.lives(held) and not fits:
            assert answer.json()["code"] == "budget_exhausted"
        if self.lives(held) and fits:
            seen.add(held.whom.reference)  # counted before the use is: a token used up may cost a place, never give one

    @rule(place=st.integers(0, PEOPLE - 1), ground=st.sampled_from(GROUNDS))
    def restrict(self, place, ground):
        someone = self.people[place]
        answer = self.about(someone, "restriction", {"ground": ground})
        assert (answer.status_code == 201) is not someone.erased, answer.text
        if not someone.erased:
            someone.closings += not someone.grounds
            someone.grounds.add(ground)

    @rule(place=st.integers(0, PEOPLE - 1), ground=st.sampled_from(GROUNDS))
    def lift(self, place, ground):
        someone = self.people[place]
        answer = self.about(someone, "restriction/lift", {"ground": ground, "informed": True})
        lifted = ground in someone.grounds and not someone.erased
        assert (answer.status_code == 201) is lifted, answer.text
        if lifted:
            someone.grounds.remove(ground)

    @rule(place=st.integers(0, PEOPLE - 1))
    def restrict_for_a_moment(self, place):
        """What was granted before does not come back: seen only where a restriction ends while the token would live."""
        self.restrict(place, GROUNDS[0])
        self.lift(place, GROUNDS[0])
        for held in self.tokens:
            if held.whom is self.people[place]:
                self.redeem(held)

    def about(self, someone, what, body):
        path = f"/v1/subjects/{someone.reference}/{what}"
        return self.pos.send("POST", path, self.pos.service("rights.write"), body)

    @rule(place=st.integers(0, PEOPLE))
    def erase(self, place):
        someone = self.people[place % PEOPLE]
        if not someone.erased:
            subject = requests.behind(self.house.vault, "aurelle", someone.reference)
            requests.erase(self.house.vault, [requests.Erase(subject, OPERATOR)])
            someone.erased = True

    @rule()
    def restart(self):
        self.house.stop()
        self.house.start()
        self.pos.http = self.house.http

    @rule(seconds=st.sampled_from([1, 301, LIFE, DAY]))
    def wait(self, seconds):
        self.clock.advance(seconds)
        self.pos.kept.clear()

    @rule(really=st.sampled_from([False, False, True]))
    def disable_and_enable(self, really):
        if not really:
            return  # it kills everything, and then there is little to see
        with self.house.vault.unit() as uow:
            systems.disable(uow, self.pos.id, OPERATOR)
            systems.enable(uow, self.pos.id, OPERATOR)
            uow.commit()
        self.epoch += 1
        self.pos.kept.clear()

    # --- what the model says

    def lives(self, held):
        someone = held.whom
        return (
            someone.consented
            and not someone.erased
            and not someone.grounds
            and someone.events == held.events
            and someone.closings == held.closings
            and self.clock.now() < held.ends
            and held.epoch == self.epoch
            and (held.parent is None or self.lives(held.parent))
        )


def test_never_a_value_without_a_live_grant(opening, bundle, tmp_path, clock):
    house = House(opening, bundle, tmp_path, clock)
    house.start()
    try:
        machine = type("Life", (Life,), {"house": house})
        run_state_machine_as_test(
            machine,
            settings=settings(
                max_examples=12,
                stateful_step_count=24,
                deadline=None,
                database=None,
                suppress_health_check=list(HealthCheck),
            ),
        )
    finally:
        house.stop()
