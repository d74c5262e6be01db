"""Retired leaves are refused by every service of the keystore from that moment; recalled ones come back unharmed."""

from contextlib import closing

import pytest
from key_homes import HOMES, PROCESS, at_home

from vault.errors import IntegrityFailure, KeyUnavailable, Sealed, StoreUnavailable
from vault.keys.keystore import Geometry, create_keystore, open_keystore
from vault.keys.local import KeyFileProvider
from vault.keys.service import Slot
from vault.runtime import SystemClock, SystemEntropy

DEPLOYMENT = "retire-test"
DEK = bytes(range(32))


@pytest.fixture(params=HOMES)
def home(request):
    """Where the keys are: in this process, or in a key holder behind a socket."""
    return request.param


@pytest.fixture
def fresh(tmp_path, home):
    """A keystore of 64 slots, and a way to open it again and again."""
    provider = KeyFileProvider(tmp_path / "root", SystemEntropy())
    create_keystore(
        tmp_path / "keys.db", provider, DEPLOYMENT, Geometry(8, 2), entropy=SystemEntropy(), clock=SystemClock()
    )
    return lambda: at_home(home, lambda: open_keystore(tmp_path / "keys.db", provider, DEPLOYMENT))


def test_a_retired_leaf_is_refused_by_every_service_and_after_opening_again(fresh):
    with closing(fresh()) as one, closing(fresh()) as other:
        slots = one.reserve(3)
        wrapped = other.wrap([(slot, DEK) for slot in slots])
        items = list(zip(slots, wrapped, strict=True))
        one.retire([slots[1]])
        one.retire([slots[1]])
        for service in (one, other):
            assert service.unwrap(items) == [DEK, None, DEK]
            assert service.wrap([(slots[1], DEK)]) == [None]
            assert service.rewrap([(slots[1], slots[0], wrapped[1]), (slots[0], slots[1], wrapped[0])]) == [None, None]
            assert service.alive(slots) == [True, False, True]
            assert service.status().retired == 1
    with closing(fresh()) as later:
        assert later.unwrap(items) == [DEK, None, DEK]


def test_a_recalled_leaf_is_the_same_leaf(fresh):
    with closing(fresh()) as one, closing(fresh()) as other:
        slots = one.reserve(2)
        wrapped = one.wrap([(slot, DEK) for slot in slots])
        one.retire(slots)
        assert other.alive(slots) == [False, False]
        assert other.recall([slots[0], slots[0]]) == [True, True]
        assert one.unwrap(list(zip(slots, wrapped, strict=True))) == [DEK, None]
        assert one.status().retired == 1


def test_what_was_never_retired_can_be_recalled_and_what_never_was_cannot(fresh):
    with closing(fresh()) as service:
        assert service.recall([Slot(3, 0), Slot(3, 1), Slot(64, 0), Slot(-1, 0), Slot(1 << 32, 0)]) == [
            True,
            False,
            False,
            False,
            False,
        ]


@pytest.mark.parametrize(
    "slot", [Slot(-1, 0), Slot(64, 0), Slot(3, -1), Slot(3, 1 << 32), Slot(2**70, 0), Slot(3, 2**70)], ids=str
)
def test_retiring_what_cannot_be_does_nothing(fresh, slot):
    with closing(fresh()) as service:
        service.retire([slot])
        assert service.alive([Slot(3, 0)]) == [True]


def test_other_generations_of_a_leaf_are_other_leaves(fresh):
    with closing(fresh()) as service:
        service.retire([Slot(3, 1)])
        assert service.alive([Slot(3, 0), Slot(3, 1)]) == [True, False]


def test_rewrapping_moves_a_data_key_and_each_item_fails_alone(fresh):
    with closing(fresh()) as service:
        old, new = service.reserve(2)
        (wrapped,) = service.wrap([(old, DEK)])
        items = [
            (old, new, wrapped),
            (old, new, wrapped[:-1]),
            (new, old, wrapped),
            (old, Slot(99, 0), wrapped),
            (old, old, wrapped),
        ]
        moved = service.rewrap(items)
        assert moved == [service.wrap([(new, DEK)])[0], None, None, None, wrapped]


def test_search_tokens_depend_on_label_message_and_epoch_only(fresh):
    with closing(fresh()) as one, closing(fresh()) as other:
        assert one.index_epochs() == (0,)
        tokens = one.blind("a", [b"x", b"y", b"x"], 0)
        assert tokens == other.blind("a", [b"x", b"y", b"x"], 0)
        assert [len(token) for token in tokens] == [16] * 3
        assert tokens[0] == tokens[2] != tokens[1]
        assert one.blind("b", [b"x"], 0)[0] != tokens[0]
        assert tokens[0] not in one.mac("a", [b"x"])[0]
        assert one.reblind(tokens, 0, 0) == tokens
        assert one.blind("a", [], 0) == one.reblind([], 0, 0) == []


@pytest.mark.parametrize("epoch", [-1, 1, 2**64])
def test_tokens_of_an_epoch_without_a_key_are_refused(fresh, epoch):
    with closing(fresh()) as service:
        for verb in (
            lambda: service.blind("a", [b"x"], epoch),
            lambda: service.reblind([bytes(16)], epoch, 0),
            lambda: service.reblind([bytes(16)], 0, epoch),
        ):
            with pytest.raises(KeyUnavailable):
                verb()


def test_a_token_of_another_size_is_refused(fresh):
    with closing(fresh()) as service, pytest.raises(IntegrityFailure):
        service.reblind([bytes(16), bytes(15)], 0, 0)


@pytest.mark.parametrize("home", [PROCESS], indirect=True)
def test_a_queue_that_cannot_be_written_says_so_and_denies_nothing(fresh):
    with closing(fresh()) as service:
        service._store._db.execute("PRAGMA query_only = ON")
        for verb in (service.retire, service.recall):
            with pytest.raises(StoreUnavailable):
                verb([Slot(3, 0)])
        service._store._db.execute("PRAGMA query_only = OFF")
        assert service.alive([Slot(3, 0)]) == [True]


def test_a_closed_service_is_sealed(fresh):
    service = fresh()
    service.close()
    slot = Slot(0, 0)
    service.refresh()
    for verb in (
        lambda: service.retire([slot]),
        lambda: service.recall([slot]),
        lambda: service.alive([slot]),
        lambda: service.rewrap([(slot, slot, bytes(40))]),
        lambda: service.blind("a", [b""], 0),
        lambda: service.reblind([bytes(16)], 0, 0),
        service.index_epochs,
    ):
        with pytest.raises(Sealed):
            verb()
