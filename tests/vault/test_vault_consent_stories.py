"""Consents in any order, with the job, a restart and the passing of time between them, against a model of a few lines.

After each step: the projection is the fold of the chain, the state is the model's, and a value is granted only on a
basis that the model says is alive.
"""

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test
from maison_people import AURELLE, FIELDS, one, person, take_in

from policies.decision import decide
from policies.model import Caller, ConsentStatus, DecisionRequest, Level, Wanted
from vault import consentterms, facts
from vault.consents import Change, ConsentAct, ConsentEvent, Notice, record, verify_chain
from vault.unit import execute

DAY = 86_400
PARENT, CHILD, SEPARATE = "clienteling", "clienteling.in_store", "clienteling.hospitality"
TERM = {PARENT: 1095 * DAY, CHILD: 1095 * DAY, SEPARATE: 365 * DAY}
NOTICES = {PARENT: "clienteling", CHILD: "clienteling", SEPARATE: "hospitality"}
SAID = (ConsentAct.GIVEN, ConsentAct.WITHDRAWN, ConsentAct.REFUSED, ConsentAct.OBJECTED, ConsentAct.OBJECTION_LIFTED,
        ConsentAct.REQUESTED, ConsentAct.INVALIDATED)  # fmt: skip
LIVE, LAPSED = {"given"}, {"given", "expired", "requested", "needs_renewal"}


class Stories(RuleBasedStateMachine):
    vault = clock = opening = bundle = None  # set by the test

    @initialize()
    def somebody(self):
        self.known = one(take_in(self.vault, person(FIELDS)))
        self.model = dict.fromkeys(TERM, ("none", 0))
        self.events = 0

    def tell(self, act, purpose):
        notice = Notice(NOTICES[purpose], 1, "fr") if act in {ConsentAct.GIVEN, ConsentAct.RENEWED} else None
        event = ConsentEvent(purpose, act, "boutique", notice)
        (answer,) = execute(self.vault, record, [Change(self.known.references[AURELLE], AURELLE, "pos", event)])
        return answer

    @rule(act=st.sampled_from(SAID), purpose=st.sampled_from(sorted(TERM)))
    def say(self, act, purpose):
        state, _ = self.model[purpose]
        answer = self.tell(act, purpose)
        self.events += 1
        now = self.clock.now()
        following = {
            ConsentAct.GIVEN: "given",
            ConsentAct.WITHDRAWN: "withdrawn",
            ConsentAct.OBJECTED: "objected",
            ConsentAct.REFUSED: state if state in {"withdrawn", "objected"} else "refused",
            ConsentAct.OBJECTION_LIFTED: "none" if state == "objected" else state,
            ConsentAct.REQUESTED: "requested" if state == "none" else state,
            ConsentAct.INVALIDATED: "invalidated" if state in LAPSED else state,
        }[act]
        until = now + TERM[purpose] if act is ConsentAct.GIVEN else self.model[purpose][1]
        self.model[purpose] = (following, until)
        assert answer.state == following

    @rule(purpose=st.sampled_from(sorted(TERM)))
    def renew(self, purpose):
        answer = self.tell(ConsentAct.RENEWED, purpose)
        if self.model[purpose][0] in {"given", "expired"}:
            self.events += 1
            self.model[purpose] = ("given", self.clock.now() + TERM[purpose])
            assert answer.state is ConsentStatus.GIVEN
        else:
            assert answer.problems == (("act", "nothing_to_renew"),)

    @rule(days=st.integers(1, 500))
    def wait(self, days):
        self.clock.advance(days * DAY)

    @rule()
    def run_the_job(self):
        over = [each for each, (state, until) in self.model.items() if state == "given" and until <= self.clock.now()]
        consentterms.sweep(self.vault)  # of those of earlier stories too; how many of this one, the chain tells
        self.events += len(over)
        self.model |= dict.fromkeys(over, ("expired", 0))

    @rule()
    def restart(self):
        self.vault.close()
        type(self).vault = self.opening(self.bundle)

    def alive(self, purpose):
        """Whether the model lets a purpose be: by itself, or by what lies above it where it is not asked separately."""
        state, until = self.model[purpose]
        own = state == "given" and until > self.clock.now()
        if purpose == PARENT:
            return own
        return self.alive(PARENT) and (own or (state == "none" and purpose == CHILD))

    @invariant()
    def what_holds_is_the_fold_of_the_chain(self):
        with self.vault.unit() as uow:
            assert verify_chain(uow, self.known.subject, AURELLE) == self.events

    @invariant()
    def nothing_is_granted_without_a_living_basis(self):
        with self.vault.unit() as uow:
            (found,) = facts.load(uow, AURELLE, [self.known.subject])
        for purpose, field in ((PARENT, "name"), (CHILD, "name"), (SEPARATE, "refreshments")):
            caller = Caller("pos", AURELLE, frozenset({purpose}), staffed=True)
            request = DecisionRequest(caller, found.facts, purpose, (Wanted(field, Level.RAW),))
            answer = decide(request, self.vault.bundle).answers[0]
            assert (answer.granted is not None) == self.alive(purpose), (purpose, self.model, answer)


@pytest.mark.filterwarnings("ignore::hypothesis.errors.HypothesisWarning")
def test_any_story_leaves_the_chain_whole_and_nothing_without_a_basis(vault, opening, bundle, clock):
    kept = {"vault": vault, "opening": staticmethod(opening), "bundle": bundle, "clock": clock}
    machine = type("Told", (Stories,), kept)
    checks = [HealthCheck.too_slow, HealthCheck.function_scoped_fixture]
    run_state_machine_as_test(
        machine, settings=settings(max_examples=15, stateful_step_count=12, deadline=None, suppress_health_check=checks)
    )
