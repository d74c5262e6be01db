"""Survivors notice nothing: reads, writes, imports and searches go on through epoch changes without an error."""

import threading
import time
from contextlib import nullcontext

import pytest
from maison_people import FIELDS, VANTIER, change, find_all, one, person, rows, take_in, value

from vault import searchepochs
from vault.errors import KeyHolderUnavailable, StoreFull, StoreUnavailable, VaultError
from vault.keys.inprocess import InProcessKeyService

PEOPLE = 12


def somebody(number):
    return FIELDS | {
        "client_number": f"N-{number}",
        "email": [f"n{number}@example.com"],
        "phone": [f"+3363998{number:04}"],
    }


class Busy:
    """Threads that work until told to stop, and keep what went wrong.

    `one_at_a_time` is what a service does on SQLite: one database thread, so that no two of its units ever compete for
    the file's only writer. The epoch run competes with it all the same.
    """

    def __init__(self, *, one_at_a_time):
        self.turn = threading.Lock() if one_at_a_time else nullcontext()
        self.stop, self.wrong, self.turns, self.threads = threading.Event(), [], {}, []

    def work(self, name, turn):
        def run():
            count = 0
            while not self.stop.is_set():
                time.sleep(0.002)
                try:
                    with self.turn:
                        turn(count)
                except BaseException as error:  # noqa: BLE001 - whatever it is, the test must see it
                    self.wrong.append((name, repr(error)))
                    return
                count += 1
                self.turns[name] = count

        self.threads.append(threading.Thread(target=run, name=name))

    def __enter__(self):
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self.stop.set()
        for thread in self.threads:
            thread.join(60)


def test_survivors_go_on_through_epoch_changes(scene, opening, bundle, databases):
    vault = scene.vault
    stays = take_in(vault, *[person(somebody(each)) for each in range(PEOPLE)])
    goes = take_in(vault, *[person(somebody(1000 + each)) for each in range(6)])
    others = opening(bundle)  # a second process, with a key service of its own

    def read(count):
        who = stays[count % PEOPLE]
        number = count % PEOPLE
        assert value(vault, who.subject, "client_number") == f"N-{number}"

    def search(count):
        number = count % PEOPLE
        assert find_all(others, "email", f"n{number}@example.com") == [stays[number].subject]

    def write(count):
        who = stays[count % PEOPLE]
        answer = change(others, who, set={"ring_size": {"value": "52", "system": "eu"}})
        assert not isinstance(answer, VaultError), answer
        answer = change(vault, who, append={"email": f"extra{count}@example.com"})
        assert not isinstance(answer, VaultError), answer
        assert find_all(vault, "email", f"extra{count}@example.com") == [who.subject]

    def bring_in(count):
        (made,) = take_in(others, person(somebody(5000 + count)))
        assert find_all(vault, "client_number", f"N-{5000 + count}") == [made.subject]

    busy = Busy(one_at_a_time=databases.backend == "sqlite")
    for name, turn in (("read", read), ("search", search), ("write", write), ("import", bring_in)):
        busy.work(name, turn)
    moved = []
    with busy:
        for each in goes:
            scene.whole(each.subject)
            assert scene.run().erasures >= 1
            # A neighbour's field goes, and its compartment moves, while it is being read and written.
            scene.field(stays[len(moved)].subject, "name")
            moved.append(stays[len(moved)])
    assert busy.wrong == []
    assert min(busy.turns.values()) > 0
    assert len(busy.turns) == 4
    epoch = vault.keys.status().epoch
    assert epoch == len(goes)
    assert {each for (each,) in rows(vault, "SELECT epoch FROM search_token")} == {epoch}
    for number, who in enumerate(stays):
        assert find_all(vault, "email", f"n{number}@example.com") == [who.subject]


def test_a_unit_that_read_the_epoch_before_the_build_is_waited_for(scene, databases):
    """A writer that blinded under the old epoch commits late: the change waits, and its token is moved with the rest."""
    vault = scene.vault
    take_in(vault, person(somebody(1)))
    late = threading.Event()
    begun = threading.Event()
    results = []

    class Slow:
        """A key service that takes its time between naming the epoch and blinding under it."""

        def __init__(self, keys):
            self._keys = keys

        def __getattr__(self, name):
            return getattr(self._keys, name)

        def blind(self, *arguments):
            begun.set()
            late.wait(20)
            return self._keys.blind(*arguments)

    def write():
        own = scene.vault
        results.append(take_in(own, person(somebody(2))))

    keys = vault.keys
    assert isinstance(keys, InProcessKeyService)
    vault.keys = Slow(keys)
    writer = threading.Thread(target=write)
    writer.start()
    assert begun.wait(20)
    vault.keys = keys
    change_ = scene.changing()
    moved = []

    def before_destroy():
        threading.Timer(0.5, late.set).start()
        moved.append(searchepochs.move(vault))

    change_.run(before_destroy)
    writer.join(30)
    epoch = vault.keys.status().epoch
    assert {each for (each,) in rows(vault, "SELECT epoch FROM search_token")} == {epoch}
    assert find_all(vault, "email", "n2@example.com") == [results[0][0].subject]
    assert find_all(vault, "email", "n1@example.com")


def test_moving_in_small_steps_is_resumed_where_it_stopped(scene):
    vault = scene.vault
    stays = take_in(vault, *[person(somebody(each)) for each in range(PEOPLE)])
    change_ = scene.changing()

    class Enough(Exception):
        pass

    def stops():
        raise Enough

    with pytest.raises(Enough):
        change_.run(stops)
    new, old = vault.keys.index_epochs()
    # Half of the rows were moved by somebody who died.
    half = rows(vault, "SELECT token, subject_id, item FROM search_token ORDER BY token")[::2]
    for token, subject, item in half:
        (moved,) = vault.keys.reblind([bytes(token)], old, new)
        query = "UPDATE search_token SET token = ?, epoch = ? WHERE token = ? AND subject_id = ? AND item = ?"
        rows(vault, query, moved, new, token, subject, item)
    for number, who in enumerate(stays):  # while two epochs stand, both are asked
        assert find_all(vault, "email", f"n{number}@example.com") == [who.subject]
    total = rows(vault, "SELECT count(*) FROM search_token")[0][0]
    assert searchepochs.move(vault) == total - len(half)
    assert searchepochs.move(vault) == 0
    for number, who in enumerate(stays):
        assert find_all(vault, "email", f"n{number}@example.com") == [who.subject]


class Failing:
    """A vault whose store fails from its second unit on, and counts how often it was asked."""

    def __init__(self, vault, failure):
        self._vault, self._failure, self.units = vault, failure, 0

    def __getattr__(self, name):
        return getattr(self._vault, name)

    def unit(self):
        self.units += 1
        if self.units > 1:
            raise self._failure
        return self._vault.unit()


@pytest.mark.parametrize(
    ("failure", "asked"), [(StoreUnavailable("away"), 5), (StoreFull("full"), 1), (KeyHolderUnavailable("gone"), 1)]
)
def test_a_store_that_fails_is_not_taken_for_writers_that_leave_no_gap(scene, failure, asked):
    vault = scene.vault
    take_in(vault, person(somebody(1)))
    failing = Failing(vault, failure)

    def move():
        searchepochs.move(failing)

    with pytest.raises(type(failure)) as told:
        scene.changing().run(move)
    assert told.value is failure
    assert failing.units == 1 + asked
    scene.clock.advance(600)  # the lease of the run that failed
    scene.run()
    assert find_all(vault, "email", "n1@example.com")


@pytest.mark.parametrize("most", [1000, 20, 13])
def test_a_move_of_several_units_forgets_no_row_between_them(scene, most):
    """Whether the last unit is full, half empty or empty. One person's rows fall into two units."""
    vault = scene.vault
    stays = take_in(vault, *[person(somebody(each)) for each in range(20)])
    before = dict(rows(vault, "SELECT token, item FROM search_token"))
    change_ = scene.changing()
    moved = []
    change_.run(lambda: moved.append(searchepochs.move(vault, most)))
    assert moved == [len(before)]
    after = rows(vault, "SELECT token, item, epoch FROM search_token")
    assert len(after) == len(before)
    assert {epoch for _, _, epoch in after} == {1}
    assert not {token for token, _, _ in after} & before.keys()
    for number in (0, 7, 19):
        assert find_all(vault, "email", f"n{number}@example.com") == [stays[number].subject]


def test_a_value_held_twice_is_one_candidate_while_two_epochs_stand(scene):
    vault = scene.vault
    who = one(take_in(vault, person({"phone": ["+33639981234", "+33 6 39 98 12 34"]}, vantier={})))
    change_ = scene.changing()

    class Enough(Exception):
        pass

    def stops():
        raise Enough

    with pytest.raises(Enough):
        change_.run(stops)
    new, old = vault.keys.index_epochs()
    (token, item) = rows(vault, "SELECT token, item FROM search_token ORDER BY item")[0]
    (moved,) = vault.keys.reblind([bytes(token)], old, new)
    rows(vault, "UPDATE search_token SET token = ?, epoch = ? WHERE item = ?", moved, new, item)
    assert find_all(vault, "phone", "+33639981234") == [who.subject]
    assert find_all(vault, "phone", "+33639981234", VANTIER) == []
