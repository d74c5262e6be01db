"""Two who are at the suppression list in one moment, and an epoch that retires while somebody looks: met on purpose."""

import threading
import time

import pytest
from maison_people import AURELLE, one, person, rows, take_in
from test_vault_consent_events import MAIL, did, tell
from test_vault_suppression import AGAIN, DAY, WHO, entered, mail

from vault import searchepochs
from vault.consents import Change, ConsentAct, record
from vault.keys.pagestore import ChangeState

TWIN = WHO | {"client_number": "AU-79"}


@pytest.fixture
def refused(scene, clock):
    """Somebody of two addresses who said no to letters, yesterday."""
    who = one(take_in(scene.vault, person(WHO, consents=[mail()])))
    tell(scene.vault, who, did(ConsentAct.WITHDRAWN, MAIL))
    assert entered(scene.vault) == [MAIL, MAIL]
    clock.advance(DAY)
    return who


def epochs_of_tokens(vault):
    return {epoch for (epoch,) in rows(vault, "SELECT DISTINCT epoch FROM search_token")}


def test_who_says_no_still_is_seen_by_who_says_yes_under_the_next_key(scene, refused):
    vault, seen = scene.vault, []

    def before_destroy():
        """Two keys live: what is taken in now is found by the new one, who was there by the old one."""
        one(take_in(vault, person(AGAIN, consents=[mail()])))
        seen.append((len(epochs_of_tokens(vault)), entered(vault)))

    scene.changing().run(before_destroy)
    assert seen == [(2, [MAIL, MAIL])]


def test_who_says_no_still_is_seen_though_an_epoch_begins_under_the_look(scene, refused, opening, bundle):
    """The next epoch is built, and on PostgreSQL the index moved to it, behind the making of the tokens."""
    vault, other = scene.vault, opening(bundle)
    keys, change, asked = vault.keys, scene.changing(), []

    class Overtaken:
        def __getattr__(self, name):
            return getattr(keys, name)

        def blind(self, label, messages, epoch):
            made = keys.blind(label, messages, epoch)
            if label.startswith("search/") and armed and not asked:
                while (state := change._store.change()) is None or state.state is not ChangeState.BUILT:
                    change.step()
                if vault.engine.dialect.name == "postgresql":  # where nobody waits for a unit that only reads
                    searchepochs.move(other)
            asked.append((label, epoch))
            return made

    twin = one(take_in(vault, person(TWIN)))
    armed, vault.keys = [True], Overtaken()
    try:
        tell(vault, twin, mail())
    finally:
        vault.keys = keys
    assert len({epoch for label, epoch in asked if label.startswith("search/")}) == 2
    assert entered(vault) == [MAIL, MAIL]
    scene.clock.advance(600)
    scene.run()


def meets(vault, act, other):
    """Have `other` done in a thread while `act` is done and not committed, and commit once it waits for that."""
    answers = []
    thread = threading.Thread(target=lambda: answers.extend(other()))
    with vault.unit() as unit:
        act(unit)
        thread.start()
        if vault.engine.dialect.name == "postgresql":
            until_somebody_waits(vault)
        else:
            time.sleep(0.2)  # SQLite lets one write at a time: the other waits before it has begun
        unit.commit()
    thread.join(60)
    assert not [each for each in answers if isinstance(each, Exception)], answers
    assert len(answers) == 1


def until_somebody_waits(vault):
    query = (
        "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
        " AND wait_event <> 'advisory'"
    )
    for _ in range(3000):
        if rows(vault, query) == [(1,)]:
            return
        time.sleep(0.02)
    pytest.fail("nobody waits")


def said(known, event):
    return lambda unit: record(unit, [Change(known.references[AURELLE], AURELLE, "aurelle-crm", event)])


@pytest.mark.parametrize("drawn", [True, False], ids=["key there", "key drawn by both"])
def test_two_who_enter_one_address_in_one_moment_both_do(scene, opening, bundle, drawn):
    vault, other = scene.vault, opening(bundle)
    who, twin, before = take_in(
        vault, person(WHO), person(TWIN), person({"client_number": "X", "email": ["x@example.com"]})
    )
    if drawn:
        tell(vault, before, did(ConsentAct.OBJECTED, MAIL))
    no = did(ConsentAct.OBJECTED, MAIL)
    meets(vault, said(who, no), lambda: tell(other, twin, no))
    assert entered(vault) == [MAIL] * (3 if drawn else 2)
    assert rows(vault, "SELECT count(*) FROM suppression_key") == [(1,)]


def test_a_no_that_is_said_in_the_moment_of_a_yes_keeps_the_address_on_the_list(scene, refused, opening, bundle):
    vault, other = scene.vault, opening(bundle)
    twin = one(take_in(vault, person(TWIN)))
    meets(vault, said(twin, did(ConsentAct.OBJECTED, MAIL)), lambda: tell(other, refused, mail()))
    assert entered(vault) == [MAIL, MAIL]


def test_a_yes_in_the_moment_of_a_no_does_not_undo_it(scene, refused, opening, bundle):
    """The other way about: the yes has taken the address off, and the no puts it on again."""
    vault, other = scene.vault, opening(bundle)
    twin = one(take_in(vault, person(TWIN)))
    meets(vault, said(refused, mail()), lambda: tell(other, twin, did(ConsentAct.OBJECTED, MAIL)))
    assert entered(vault) == [MAIL, MAIL]
