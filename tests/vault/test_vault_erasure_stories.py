"""Stories: people come, ask, are held, released and forgotten in any order, and processes die in between.

A model in a few lines says what must hold after each step; a backup of the data is taken after each, and at the end a
thief tries every living key on all of them.
"""

import pytest
from erasure_scene import DPO
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from maison_people import FIELDS, look, person, rows, take_in
from mortal_processes import run_mortal
from test_vault_erasure_backups import Backup

from vault.erasure import epochrun, holds
from vault.erasure.holds import HoldReason
from vault.errors import VaultError

CATEGORIES = ("contact", "identity", "dates")
FIELD_OF = {"contact": "email", "identity": "name", "dates": "birth_date"}

STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("come"), st.integers(0, 0), st.none()),
        st.tuples(st.just("whole"), st.integers(0, 5), st.none()),
        st.tuples(st.just("category"), st.integers(0, 5), st.sampled_from(CATEGORIES)),
        st.tuples(st.just("hold"), st.integers(0, 5), st.sampled_from((None, *CATEGORIES))),
        st.tuples(st.just("release"), st.integers(0, 5), st.none()),
        st.tuples(st.just("run"), st.integers(0, 0), st.none()),
        st.tuples(st.just("die"), st.integers(1, 14), st.booleans()),
    ),
    min_size=4,
    max_size=14,
)


class Model:
    """Who asked for what, and which holds stand: all that a story has to remember."""

    def __init__(self):
        self.people, self.asked, self.held = [], [], []

    def is_held(self, subject, category):
        return any(who == subject and what in {None, category} for who, what, _ in self.held)


@pytest.mark.crash
@settings(max_examples=12, deadline=None, suppress_health_check=list(HealthCheck))
@given(steps=STEPS)
def test_whatever_happens_nobody_who_went_is_found_and_nobody_else_is_lost(scene, steps):
    vault, model, backups = scene.vault, Model(), []
    for what, number, detail in [("come", 0, None), ("come", 0, None), *steps]:
        act(scene, model, what, number, detail)
        backups.append(Backup(vault))
        check_denied(vault, model)
    scene.clock.advance(600)
    scene.run()
    check_destroyed(vault, model, backups)
    for _, _, hold in model.held:
        if hold in {each.id for each in holds.listed(vault)}:
            holds.release(vault, hold, DPO)
    model.held.clear()
    scene.run()
    check_destroyed(vault, model, backups)
    assert {state for (state,) in rows(vault, "SELECT state FROM erasure")} <= {"done"}
    assert rows(vault, "SELECT count(*) FROM erasure WHERE certificate IS NULL") == [(0,)]


def act(scene, model, what, number, detail):
    vault = scene.vault
    if what == "come":
        name = f"N-{len(model.people)}-{scene.clock.now()}"
        fields = FIELDS | {"client_number": name, "email": [f"{name}@example.com"]}
        model.people.append(take_in(vault, person(fields))[0].subject)
        return
    if what == "run":
        scene.clock.advance(600)  # the lease of whoever died
        scene.run()
        return
    if what == "die":
        scene.clock.advance(600)
        run_mortal(scene, number, detail, lambda mine, change: epochrun.run(mine, change, scene.outside))
        scene.clock.advance(600)
        return
    subject = model.people[number % len(model.people)]
    try:
        if what == "whole":
            scene.whole(subject)
            model.asked += [(subject, category) for category in (*CATEGORIES, "log")]
        elif what == "category":
            scene.category(subject, detail)
            model.asked.append((subject, detail))
        elif what == "hold":
            placed = holds.place(vault, subject, HoldReason.DISPUTE, DPO, detail)
            # What it came too late for is not held: the model forgets it as the answer does.
            late = set(placed.late)
            wanted = set(CATEGORIES) if detail is None else {detail}
            model.held += [(subject, category, placed.hold) for category in wanted - late]
            if detail is None and not late:
                model.held.append((subject, None, placed.hold))
        elif what == "release" and model.held:
            hold = model.held[number % len(model.held)][2]
            model.held = [each for each in model.held if each[2] != hold]
            holds.release(vault, hold, DPO)
    except VaultError as refused:
        # Of somebody who is gone, or of a category that is: there is nothing left to ask, hold or release.
        assert refused.code in {"unknown_reference", "nothing_to_erase", "unknown_hold"}


def check_denied(vault, model):
    """What was asked is shown to nobody; what was not, to whoever may see it."""
    for subject in set(model.people):
        seen = look(vault, subject, *FIELD_OF.values())
        for category, field in FIELD_OF.items():
            assert not isinstance(seen[field], Exception), (category, field)
            assert seen[field].present == ((subject, category) not in model.asked)


def check_destroyed(vault, model, backups):
    """No living key opens what was asked and is not held; every living value still opens, by name and by search."""
    catalogue = vault.bundle.catalogue
    ids = {catalogue.category(name).id: name for name in CATEGORIES}
    for backup in backups:
        for subject, category in backup.opened(vault):
            if (subject, ids.get(category)) in model.asked:
                assert model.is_held(subject, ids[category])
    check_denied(vault, model)
    status = vault.keys.status()
    assert {epoch for (epoch,) in rows(vault, "SELECT epoch FROM search_token")} <= {status.epoch}
