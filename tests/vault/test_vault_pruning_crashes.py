"""SIGKILL at each step of a pruning: what is left verifies as it stands, and whoever prunes next finishes it."""

import itertools
import os
import signal

import pytest
from maison_people import FIELDS, person, take_in
from pruning_scene import MONTH, OPERATOR, Pruning
from sqlalchemy import event

from audit.entry import commitment
from audit.findings import Verdict
from vault import evidence, pruning, pruningarchives
from vault.runtime import SystemEntropy
from vault.setup import open_vault

STRIDE = 3  # each third statement or commit: every step has several
MOST = 400


def killed(made, place, bundle, plan, held, folder, left):
    """Prune in a process of its own that dies at a given statement; tell whether it did."""
    child = os.fork()
    if not child:
        # Nothing of the parent's connections is touched, and nothing of the child is tidied up.
        status = 1
        try:
            vault = open_vault(place, bundle, clock=made.clock, entropy=SystemEntropy())
            count = itertools.count(1)

            def burn(*_):
                if next(count) == left:
                    os.kill(os.getpid(), signal.SIGKILL)

            event.listen(vault.engine, "before_cursor_execute", burn)
            event.listen(vault.engine, "commit", burn)
            pruning.prune(vault, plan, held, made.outside, OPERATOR, folder)
            status = 0
        finally:
            os._exit(status)
    _, ended = os.waitpid(child, 0)
    assert os.WIFSIGNALED(ended) or os.WEXITSTATUS(ended) == 0
    return os.WIFSIGNALED(ended)


@pytest.mark.crash
def test_a_pruning_that_dies_anywhere_is_finished_by_the_next(scene, place, bundle, tmp_path):
    made, folder = Pruning(scene, tmp_path), tmp_path / "published"
    (goes,) = take_in(scene.vault, person(FIELDS))
    com = commitment(made.log_key(goes.subject)).hex()
    scene.whole(goes.subject)
    scene.run()
    pins = []
    states = set()
    for left in range(1, MOST, STRIDE):
        made.grow(300)
        pins += made.sign()
        evidence.publish(scene.vault, folder, entries=True)
        made.clock.advance(13 * MONTH)
        made.grow(1)
        made.sign()
        plan = made.plan()
        held = pruningarchives.check(scene.vault, plan, made.exported(plan), made.keys)
        died = killed(made, place, bundle, plan, held, folder, left)
        assert made.verify(pins).verdict is Verdict.FINE, left
        told = [each["n"] for each in made.entries("log.pruned")]
        bodies = made.bodies()
        states.add((plan.first in told, any(bodies[each] for each in range(plan.first) if each in bodies)))
        assert all(bodies[each] for each in bodies if each >= plan.first)
        pruning.finish(scene.vault, made.outside, folder)
        again = made.plan()
        if again.first > again.kept:
            made.prune(folder)
        bodies = made.bodies()
        assert not any(bodies[each] for each in range(plan.first))
        assert [each["act"] for each in made.entries() if each.get("com") == com] == ["erasure.carried"]
        assert not (folder / "tile" / "entries" / "000").exists()
        result = made.verify(pins)
        assert (result.verdict, result.pruned) == (Verdict.FINE, max(plan.first, again.first))
        if not died:
            # Before anything was told, between telling and taking away, and after: all three were seen.
            assert states == {(False, True), (True, True), (True, False)}
            return
    pytest.fail("the fuse never burnt down: more statements than expected")
