"""T1, T2 and T3 of the study on a whole vault, wherever its process is ended: nothing of whom was erased, all of who stays.

On SQLite with the keystore in a file, and on PostgreSQL with it in a cluster of its own.
An epoch run is some 900 events. It is ended at each behind which something came to last, in a store, a copy or at the provider;
between two of those nothing differs but what a process had not committed, and that goes with it. The adversary has that too.
"""

import shutil
import tempfile
from pathlib import Path

import pytest
from brink_adversary import Brink
from test_vault_keys_adversary import (
    KeptIndexKey,
    KeptLeaf,
    ReusedBelowTheRoot,
    ReusedPageKey,
    SkippedCopies,
    StuckGeneration,
)

MEMORY = Path("/dev/shm")  # noqa: S108 - processes are ended here, no machine: nothing needs a disk
PARTS = 8
HOMES = ("files", pytest.param("postgresql", marks=pytest.mark.postgresql))


@pytest.fixture(scope="module", params=HOMES)
def brink(request, bundle):
    """The deployment that each test brings back, once per home of data and keystore."""
    from sqlalchemy.engine import make_url

    folder = Path(tempfile.mkdtemp(prefix="ecrin-brink-", dir=MEMORY if MEMORY.is_dir() else None))
    homes = {}
    try:
        if request.param != "files":
            cluster = request.getfixturevalue("postgres")
            cluster.make("brink")
            homes["database"] = cluster.url("brink")
            keys = request.getfixturevalue("second_postgres")
            keys.make("brink")
            homes["keystore"] = make_url(keys.url("brink"))
        yield Brink(folder, bundle, **homes)
    finally:
        shutil.rmtree(folder)
        if "database" in homes:
            cluster.drop("brink")
        if "keystore" in homes:
            keys.drop("brink")


@pytest.fixture
def lives(brink):
    made = []

    def make(**how):
        while made:
            made.pop().close()
        made.append(brink.life(**how))
        return made[-1]

    yield make
    for each in made:
        each.close()


EVERYTHING = {"leaves", "values", "log keys", "search terms", "requests"}


def test_nothing_is_learned_of_the_erased_and_all_is_there_of_who_stays(lives):
    life = lives()
    assert not life.attacked()
    assert life.learned() == set()
    assert life.troubles() == set()
    life.serves()


def test_the_adversary_of_the_whole_vault_is_not_blind(lives):
    """The positive control: had the roots been kept, everything would be known; without any, nothing."""
    life = lives()
    life.attacked()
    assert life.learned({*life.roots.live.values(), *life.roots.destroyed.values()}) == EVERYTHING
    assert life.learned(set()) == set()


@pytest.mark.crash
@pytest.mark.parametrize("part", range(PARTS))
def test_wherever_the_process_ends_nothing_is_learned_and_nobody_is_lost(brink, lives, part):
    moments = brink.moments()
    assert len(moments) > 40
    for at in moments[part::PARTS]:
        life = lives(at=at)
        assert life.attacked(), at
        assert life.learned() == set(), at
        assert life.troubles() == set(), at
        life.serves()


# Each is one mistake that was thought of, and what the test above asks must show it.
MUTANTS = {
    ReusedPageKey: {"leaves", "values", "log keys"},
    ReusedBelowTheRoot: {"leaves", "values", "log keys"},
    KeptLeaf: {"leaves", "values", "log keys"},
    KeptIndexKey: {"search terms", "requests"},
    SkippedCopies: {"lost"},
    StuckGeneration: {"alive"},  # who has the slot next would be denied, and destroyed, for who had it before
}


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda each: each.__name__)
def test_each_mistake_shows(lives, mutant):
    life = lives(kind=mutant)
    life.attacked()
    assert life.learned() | life.troubles() == MUTANTS[mutant]


def test_a_root_that_somebody_else_has_too_opens_everything(lives):
    """The forgotten escrow: its key is known, and among all blobs each root lies wrapped under it."""
    life = lives()
    life.attacked()
    roots = set(life.roots.live.values())
    life.blobs.wrapped |= life.roots.escrowed
    assert life.learned(roots | {life.roots.escrow}) == EVERYTHING
    assert life.learned(roots) == set()  # without the key the wraps are noise
