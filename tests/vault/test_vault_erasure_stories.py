"""Stories: people come, ask, are held, released and forgotten in any order, processes die, and old backups come back.

The model says what must hold after each step, without looking at how it is done. A thief copies the data after each, and
at the end tries every living key on all copies. Each story has a deployment of its own.
"""

import shutil
import tempfile
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from erasure_scene import DPO
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from maison_people import FIELDS, change, look, one, person, rows, take_in
from mortal_processes import run_mortal
from recovery_scene import Recovery

from vault import envelope, leftleaves
from vault.erasure import epochrun, holds, requests
from vault.erasure.holds import HoldReason
from vault.errors import VaultError
from vault.keys.service import Slot
from vault.recovery import newer, restores
from vault.rotation.rekeying import rekey_all
from vault.runtime import SystemEntropy
from vault.setup import open_vault

CATEGORIES = ("identity", "contact", "dates")
FIELD_OF = {"client_number": "identity", "name": "identity", "email": "contact", "phone": "contact"} | {
    "birth_date": "dates"
}
KEPT_BACKUPS = 3
PHASES = (Phase.generate,)  # a story takes a second or two: making a bad one shorter would take the whole run
# What is answered of somebody, or of something, that is gone or going.
GONE = frozenset({"unknown_reference", "nothing_to_erase", "unknown_hold", "invalid_fields"})


class Thief:
    """Every wrapped data key that the data ever held, by the message that it opens: a message is sealed once."""

    def __init__(self):
        self.wraps = {}

    def look(self, vault):
        """Copy the data as they are. Returns the messages that belong to each (subject, field) now."""
        now = {}
        query = (
            "SELECT v.subject_id, v.field_id, v.envelope, c.slot, c.generation FROM field_value v "
            "JOIN compartment c ON c.subject_id = v.subject_id AND c.category_id = v.category_id"
        )
        for subject, field, stored, slot, generation in rows(vault, query):
            sealed = envelope.parse(bytes(stored))
            self.wraps.setdefault(sealed.message, set()).add((Slot(slot, generation), sealed.wrapped))
            now.setdefault((bytes(subject), vault.bundle.catalogue.field_by_id(field).name), set()).add(sealed.message)
        return now

    def slots(self):
        """Every leaf that any copy names."""
        return {slot for wraps in self.wraps.values() for slot, _ in wraps}

    def opens(self, vault, but=frozenset()):
        """The messages of which a living key service unwraps the data key as any copy has it, `but` under some leaves."""
        tried = [(message, *each) for message, wraps in self.wraps.items() for each in wraps if each[0] not in but]
        deks = vault.keys.unwrap([(slot, wrapped) for _, slot, wrapped in tried])
        return {message for (message, *_), dek in zip(tried, deks, strict=True) if dek is not None}


@dataclass(frozen=True)
class Known:
    """What the data know. `denied` and `doubtful`: (subject, field); `held`: hold -> (subject, category or None)."""

    people: tuple = ()
    denied: frozenset = frozenset()
    doubtful: frozenset = frozenset()
    held: tuple = ()

    def is_held(self, subject, category):
        return any(who == subject and what in {None, category} for _, who, what in self.held)


class Stories(RuleBasedStateMachine):
    """`gone` is what was asked for, of whatever data there were: message -> (subject, category). It survives restores."""

    make = None

    @initialize()
    def begin(self):
        self.exits = ExitStack()
        self.scene = self.exits.enter_context(type(self).make())
        self.thief, self.known, self.gone, self.backups, self.count = Thief(), Known(), {}, [], 0
        self.registered, self.lost_slots = {}, set()
        self.come()
        self.come()

    def teardown(self):
        if not hasattr(self, "exits"):
            return
        with self.exits:
            self.run_epoch()
            self.nothing_leaks()
            self.forget_newer()
            self.run_epoch()
            self.nothing_leaks()
            for hold, *_ in self.known.held:
                if hold in {each.id for each in holds.listed(self.vault)}:
                    holds.release(self.vault, hold, DPO)
            self.known = replace(self.known, held=())
            self.run_epoch()
            restores.admit(self.vault, self.scene.history, self.scene.outside)  # as every service does that starts
            self.nothing_leaks()
            self.who_asked_is_denied_and_nobody_else()
            assert set(rows(self.vault, "SELECT state FROM erasure")) <= {("done",)}
            assert rows(self.vault, "SELECT count(*) FROM erasure WHERE certificate IS NULL") == [(0,)]
            assert set(rows(self.vault, "SELECT epoch FROM search_token")) <= {(self.vault.keys.status().epoch,)}

    @property
    def vault(self):
        return self.scene.vault

    def subject(self, number):
        return self.known.people[number % len(self.known.people)]

    # What people and officers do

    @rule()
    def come(self):
        self.count += 1
        name = f"N-{self.count}"
        registered = one(
            take_in(self.vault, person(FIELDS | {"client_number": name, "email": [f"{name}@example.com"]}))
        )
        self.registered[registered.subject] = registered
        self.known = replace(self.known, people=(*self.known.people, registered.subject))

    @rule(number=st.integers(0, 5))
    def write(self, number):
        """What is written to a field that was erased is new, and no part of the request."""
        subject, self.count = self.subject(number), self.count + 1
        answer = change(self.vault, self.registered[subject], set={"email": [f"again-{self.count}@example.com"]})
        if isinstance(answer, VaultError):
            assert answer.code in GONE, answer.code
            return
        seen = {(subject, "email")}
        self.known = replace(self.known, denied=self.known.denied - seen, doubtful=self.known.doubtful - seen)

    @rule(number=st.integers(0, 5))
    def ask_whole(self, number):
        self.ask(self.subject(number), None, None)

    @rule(number=st.integers(0, 5), category=st.sampled_from(CATEGORIES))
    def ask_category(self, number, category):
        self.ask(self.subject(number), category, None)

    @rule(number=st.integers(0, 5), field=st.sampled_from(sorted(FIELD_OF)))
    def ask_field(self, number, field):
        self.ask(self.subject(number), FIELD_OF[field], field)

    @rule(
        number=st.integers(0, 5),
        field=st.none() | st.sampled_from(sorted(FIELD_OF)),
        left=st.integers(1, 4),
        after=st.booleans(),
    )
    def ask_and_die(self, number, field, left, after):
        """Whoever asked hears nothing, and asks again."""
        subject, stored = self.subject(number), self.thief.look(self.vault)
        run_mortal(self.scene, left, after, lambda mine, _: requests.erase(mine, [self.asked(subject, None, field)]))
        self.scene.clock.advance(600)
        self.ask(subject, FIELD_OF.get(field), field, stored)

    def asked(self, subject, category, field):
        catalogue = self.vault.bundle.catalogue
        if field is not None:
            return requests.of_field(catalogue, subject, field, DPO)
        if category is not None:
            return requests.of_category(catalogue, subject, category, DPO)
        return requests.Erase(subject, DPO)

    def ask(self, subject, category, field, stored=None):
        stored = stored or self.thief.look(self.vault)
        (answer,) = requests.erase(self.vault, [self.asked(subject, category, field)])
        if isinstance(answer, VaultError):
            # Of somebody who is gone, or of what is: there is nothing left to ask.
            assert answer.code in GONE, answer.code
            if answer.code != "nothing_to_erase":
                return
        taken = {name for name, of in FIELD_OF.items() if category in {None, of} and field in {None, name}}
        self.known = replace(self.known, denied=self.known.denied | {(subject, name) for name in taken})
        for (whose, name), messages in stored.items():
            if whose == subject and (field is None or name == field) and (category is None or name in taken):
                self.gone |= dict.fromkeys(messages, (subject, FIELD_OF.get(name, category)))

    @rule(number=st.integers(0, 5), category=st.none() | st.sampled_from(CATEGORIES))
    def hold(self, number, category):
        subject = self.subject(number)
        try:
            placed = holds.place(self.vault, subject, HoldReason.DISPUTE, DPO, category)
        except VaultError as refused:
            assert refused.code in GONE
            return
        # What it came too late for is not held: the model forgets it as the answer does.
        wanted = set(CATEGORIES) if category is None else {category}
        new = [(placed.hold, subject, each) for each in wanted - set(placed.late)]
        if category is None and not placed.late:
            new = [(placed.hold, subject, None)]
        self.known = replace(self.known, held=(*self.known.held, *new))

    @precondition(lambda self: self.known.held)
    @rule(number=st.integers(0, 5))
    def release(self, number):
        hold = self.known.held[number % len(self.known.held)][0]
        self.known = replace(self.known, held=tuple(each for each in self.known.held if each[0] != hold))
        try:
            holds.release(self.vault, hold, DPO)
        except VaultError as refused:
            assert refused.code in GONE

    # What machines do

    @rule()
    def run_epoch(self):
        self.scene.clock.advance(600)  # the lease of whoever died
        self.scene.run()

    @rule(left=st.integers(1, 20), after=st.booleans())
    def run_and_die(self, left, after):
        self.scene.clock.advance(600)
        run_mortal(self.scene, left, after, lambda mine, change: epochrun.run(mine, change, self.scene.outside))
        self.scene.clock.advance(600)

    @rule()
    def rekey(self):
        *_, last = rekey_all(self.vault)
        assert last.left == 0 or self.vault.keys.status().change is not None  # recalled, and not carried over yet

    @rule(left=st.integers(1, 6), after=st.booleans())
    def rekey_and_die(self, left, after):
        run_mortal(self.scene, left, after, lambda mine, _: list(rekey_all(mine, rows=1)))

    @rule()
    def back_up(self):
        name = f"backup-{self.count}-{len(list(self.scene.folder.iterdir()))}"
        with self.vault.reading() as conn:
            rekeyed = leftleaves.waiting(conn)
        self.scene.back_up(name)
        if rekeyed:  # older backups die now: that is what re-keying is for
            self.backups.clear()
        self.backups = [*self.backups, (name, self.known, self.thief.look(self.vault), set(self.gone))][-KEPT_BACKUPS:]

    @precondition(lambda self: self.backups)
    @rule(number=st.integers(0, 5), left=st.none() | st.tuples(st.integers(1, 4), st.booleans()), last=st.booleans())
    def restore(self, number, left, last):
        """Bring an old backup back, in the place of all that is there; the process may die and is called again.

        `last`: somebody says that no newer one will follow.
        """
        chosen = self.backups[number % len(self.backups)]
        name, then, held_then, gone_then = chosen
        lost, now = self.known, self.thief.look(self.vault)
        self.scene.clock.advance(600)
        self.scene.move(self.scene.load(name))
        if left is not None:
            run_mortal(self.scene, *left, lambda mine, _: self.scene.carry_on(mine))
            self.scene.move(self.scene.place.database)
        self.scene.carry_on(self.vault)
        self.know_again(then, lost, held_then, now, gone_then)
        self.lost_slots |= self.thief.slots() - self.named()
        if last:
            self.forget_newer()
            self.backups = [chosen]

    def forget_newer(self):
        newer.forget(self.vault, DPO)
        self.lost_slots.clear()

    def named(self):
        """Every leaf that a row names."""
        tables = ("compartment", "left_leaf")
        return {Slot(*row) for each in tables for row in rows(self.vault, f"SELECT slot, generation FROM {each}")}  # noqa: S608

    def know_again(self, then, lost, held_then, now, gone_then):
        """What is known after a restore: what the backup knew, and what the keystore has not forgotten since."""
        denied, doubtful = set(then.denied), set(then.doubtful)
        for subject in then.people:
            touched = set()
            for name, category in FIELD_OF.items():
                messages = held_then.get((subject, name), set())
                going = messages & self.gone.keys()
                if going and (subject, name) not in then.denied:
                    # Asked for since. On the queue it is refused; of what a hold kept back only the lost data knew.
                    (denied if not lost.is_held(subject, category) else doubtful).add((subject, name))
                    touched.add(category)
                if messages != now.get((subject, name), set()):
                    touched.add(category)
            # One field that went took the leaf that the whole compartment had. And of whom only held data is left
            # waits for an officer.
            doubt = set(CATEGORIES) if touched and any(who == subject for _, who, _ in then.held) else touched
            doubtful |= {(subject, name) for name, category in FIELD_OF.items() if category in doubt}
        # Of what a hold kept back and the backup had not heard of, the request itself is lost.
        lost_requests = {
            message
            for message, (subject, category) in self.gone.items()
            if message not in gone_then and lost.is_held(subject, category)
        }
        for message in lost_requests:
            del self.gone[message]
        self.known = replace(then, denied=frozenset(denied), doubtful=frozenset(doubtful - denied))

    @precondition(lambda self: self.backups)
    @rule(number=st.integers(0, 5))
    def drill(self, number):
        self.scene.clock.advance(600)
        self.scene.run()
        assert self.scene.drill(self.backups[number % len(self.backups)][0]).holds

    # What must hold

    @invariant()
    def who_asked_is_denied_and_nobody_else(self):
        if not hasattr(self, "exits"):
            return
        self.thief.look(self.vault)
        for subject in self.known.people:
            seen = look(self.vault, subject, *FIELD_OF)
            for name in FIELD_OF:
                assert not isinstance(seen[name], Exception), name
                if (subject, name) not in self.known.doubtful:
                    assert seen[name].present == ((subject, name) not in self.known.denied), name

    def nothing_leaks(self):
        """No living key opens what was asked for and nothing keeps."""
        for message in self.thief.opens(self.vault, self.lost_slots) & self.gone.keys():
            assert self.known.is_held(*self.gone[message])


@pytest.fixture
def deployments(places, bundle, databases, clock):
    """Makes a deployment for each story."""

    @contextmanager
    def make():
        folder = Path(tempfile.mkdtemp())
        turned = type(clock)()
        try:
            with places(folder) as place:
                vault = open_vault(place, bundle, clock=turned, entropy=SystemEntropy(), pool_size=2)
                try:
                    with closing(Recovery(vault, place, folder, turned, databases)) as scene:
                        yield scene
                finally:
                    vault.close()
        finally:
            shutil.rmtree(folder)

    return make


@pytest.mark.crash
def test_whatever_happens_nobody_who_went_is_found_and_nobody_else_is_lost(deployments, databases):
    machine = type("Told", (Stories,), {"make": staticmethod(deployments)})
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=15 if databases.backend == "sqlite" else 6,
            stateful_step_count=14,
            deadline=None,
            phases=PHASES,
            suppress_health_check=list(HealthCheck),
        ),
    )
