"""What every key service does, in either home: batches, labels, bounds, threads, closing."""

import itertools
import os
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from hypothesis import given
from hypothesis import strategies as st
from key_homes import HOMES, PROCESS, at_home

from vault.errors import LeavesExhausted, Sealed, StoreUnavailable
from vault.keys.keystore import Geometry, create_keystore, open_keystore
from vault.keys.local import KeyFileProvider
from vault.keys.service import KeyState, SigningKey, Slot
from vault.runtime import SystemClock, SystemEntropy

DEPLOYMENT = "service-test"
GEOMETRY = Geometry(8, 3)
DEK = bytes(range(32))


@pytest.fixture(scope="module")
def keystore(tmp_path_factory):
    folder = tmp_path_factory.mktemp("keystore")
    provider = KeyFileProvider(folder / "root", SystemEntropy())
    create_keystore(folder / "keys.db", provider, DEPLOYMENT, GEOMETRY, entropy=SystemEntropy(), clock=SystemClock())
    return folder / "keys.db", provider


@pytest.fixture(scope="module", params=HOMES)
def home(request):
    """Where the keys are: in this process, or in a key holder behind a socket."""
    return request.param


in_this_process = pytest.mark.parametrize("home", [PROCESS], indirect=True)


@pytest.fixture(scope="module")
def again(keystore, home):
    """A way to open the module's keystore again."""
    return lambda: at_home(home, lambda: open_keystore(*keystore, DEPLOYMENT))


@pytest.fixture(scope="module")
def service(again):
    with closing(again()) as opened:
        yield opened


@pytest.fixture
def fresh(tmp_path, home):
    """A keystore of 64 slots, and a way to open it again and again."""
    provider = KeyFileProvider(tmp_path / "root", SystemEntropy())
    create_keystore(
        tmp_path / "keys.db", provider, DEPLOYMENT, Geometry(8, 2), entropy=SystemEntropy(), clock=SystemClock()
    )
    return lambda: at_home(home, lambda: open_keystore(tmp_path / "keys.db", provider, DEPLOYMENT))


@given(st.lists(st.tuples(st.integers(0, 511), st.binary(min_size=32, max_size=32)), max_size=20))
def test_what_is_wrapped_unwraps(service, items):
    items = [(Slot(number, 0), dek) for number, dek in items]
    wrapped = service.wrap(items)
    assert all(len(each) == 40 for each in wrapped)
    assert service.unwrap([(slot, each) for (slot, _), each in zip(items, wrapped, strict=True)]) == [
        dek for _, dek in items
    ]


def test_each_item_fails_alone(service):
    (good,) = service.wrap([(Slot(3, 0), DEK)])
    items = {
        "good": (Slot(3, 0), good),
        "another leaf": (Slot(4, 0), good),
        "another generation": (Slot(3, 1), good),
        "another tree": (Slot(1 << 32 | 3, 0), good),
        "beyond the tree": (Slot(512, 0), good),
        "negative": (Slot(-1, 0), good),
        "huge": (Slot(2**63 - 1, 0), good),
        "altered": (Slot(3, 0), good[:-1] + bytes([good[-1] ^ 1])),
        "cut": (Slot(3, 0), good[:-8]),
        "empty": (Slot(3, 0), b""),
        "good again": (Slot(3, 0), good),
    }
    opened = dict(zip(items, service.unwrap(list(items.values())), strict=True))
    assert {name for name, dek in opened.items() if dek is not None} == {"good", "good again"}
    wraps = [(slot, DEK) for slot, _ in list(items.values())[:7]] + [(Slot(3, 0), DEK[:31]), (Slot(3, 0), b"")]
    assert [each is not None for each in service.wrap(wraps)] == [True, True] + [False] * 7


def test_empty_batches_are_answered_empty(service):
    assert (
        service.wrap([])
        == service.unwrap([])
        == service.mac("a", [])
        == service.seal("a", [])
        == service.open("a", [])
        == []
    )
    assert service.sign(SigningKey.LOG, []) == service.reserve(0) == []


def test_a_batch_over_more_pages_than_are_kept_uses_no_wiped_key(keystore):
    """A page is wiped when it leaves memory: a key kept across that would be 32 zero bytes."""
    slots = [Slot(page * 8 + leaf, 0) for leaf, page in itertools.product(range(8), range(64))]
    with (
        closing(open_keystore(*keystore, DEPLOYMENT)) as roomy,
        closing(open_keystore(*keystore, DEPLOYMENT, leaf_pages=1)) as tight,
    ):
        wrapped = roomy.wrap([(slot, DEK) for slot in slots])
        assert tight.wrap([(slot, DEK) for slot in slots]) == wrapped
        assert tight.unwrap(list(zip(slots, wrapped, strict=True))) == [DEK] * len(slots)
        assert len(set(wrapped)) == len(slots)


labels = st.text(max_size=12)


@given(labels, labels, st.binary(max_size=40))
def test_macs_depend_on_label_and_message_only(service, one, other, message):
    (mac,) = service.mac(one, [message])
    assert len(mac) == 32
    assert service.mac(one, [b"x", message])[1] == mac
    assert (service.mac(other, [message])[0] == mac) is (one == other)
    assert service.mac(one, [message + b"x"])[0] != mac


@given(labels, st.binary(max_size=20), st.binary(max_size=40), st.data())
def test_small_sealed_items_open_in_their_place_only(service, label, context, plaintext, data):
    (sealed,) = service.seal(label, [(context, plaintext)])
    assert len(sealed) == len(plaintext) + 16
    assert service.seal(label, [(context, plaintext)]) == [sealed]
    at = data.draw(st.integers(0, len(sealed) - 1))
    altered = sealed[:at] + bytes([sealed[at] ^ 1 << data.draw(st.integers(0, 7))]) + sealed[at + 1 :]
    items = [(context, sealed), (context + b"x", sealed), (context, altered), (context, sealed[:-1]), (context, b"")]
    assert service.open(label, items) == [plaintext, None, None, None, None]
    assert service.open(label + "x", items[:1]) == [None]


def test_label_and_context_do_not_run_into_each_other(service):
    (sealed,) = service.seal("ab", [(b"c", b"p")])
    assert service.open("a", [(b"bc", sealed)]) == [None]


def test_a_label_for_macs_gives_no_sealing_key(service):
    assert service.mac("a", [b""])[0] not in service.seal("a", [(b"", b"")])[0]


def test_signatures_verify_under_their_own_key_only(service):
    for key, other in itertools.permutations(SigningKey, 2):
        (signature,) = service.sign(key, [b"statement"])
        Ed25519PublicKey.from_public_bytes(service.public_key(key)).verify(signature, b"statement")
        with pytest.raises(InvalidSignature):
            Ed25519PublicKey.from_public_bytes(service.public_key(other)).verify(signature, b"statement")


def test_reserve_gives_each_slot_once_until_none_is_left(fresh):
    with closing(fresh()) as service:
        given_out = [slot for count in (1, 2, 3, 20, 0, 30) for slot in service.reserve(count)]
        assert [slot.number for slot in given_out] == list(range(56))
        with pytest.raises(LeavesExhausted, match="exhausted"):
            service.reserve(9)
        assert [slot.number for slot in service.reserve(8)] == list(range(56, 64))
        with pytest.raises(LeavesExhausted, match="exhausted"):
            service.reserve(1)
        assert service.status().slots_reserved == service.status().slots_total == 64


def test_closing_gives_back_what_was_not_used(again):
    """Nothing of a block is lost by a clean stop, and nothing is given out twice."""
    with closing(again()) as one:
        first = one.reserve(1)[0].number
    with closing(again()) as two, closing(again()) as three:
        assert two.reserve(1)[0].number == first + 1
        later = three.reserve(1)[0].number
        assert later > first + 1
        two.close()  # not the last block: its rest stays set aside
        with closing(again()) as between:
            assert between.reserve(1)[0].number == later + 8  # after the whole block of `three`
        assert three.reserve(1)[0].number == later + 1
    with closing(again()) as four:
        assert four.reserve(1)[0].number == later + 9


def test_threads_get_distinct_slots_and_right_keys(fresh):
    with closing(fresh()) as service, ThreadPoolExecutor(8) as pool:

        def work(_):
            slots = service.reserve(2)
            wrapped = service.wrap([(slot, DEK) for slot in slots])
            assert service.unwrap(list(zip(slots, wrapped, strict=True))) == [DEK, DEK]
            service.mac("a", [b"m"])
            return slots

        numbers = [slot.number for slots in pool.map(work, range(32)) for slot in slots]
    assert sorted(numbers) == list(range(64))


def test_a_closed_service_is_sealed_and_says_so(fresh):
    service = fresh()
    service.reserve(5)
    service.close()
    service.close()
    status = service.status()
    assert (status.state, status.epoch, status.slots_total) == (KeyState.SEALED, 0, 64)
    slot = Slot(0, 0)
    for verb in (
        lambda: service.reserve(1),
        lambda: service.wrap([(slot, DEK)]),
        lambda: service.unwrap([(slot, bytes(40))]),
        lambda: service.mac("a", [b""]),
        lambda: service.seal("a", [(b"", b"")]),
        lambda: service.open("a", [(b"", b"")]),
        lambda: service.sign(SigningKey.LOG, [b""]),
        lambda: service.public_key(SigningKey.LOG),
    ):
        with pytest.raises(Sealed):
            verb()


@in_this_process
def test_a_forked_child_is_refused(fresh):
    """It would give out the same block of slots as its parent."""
    with closing(fresh()) as service:
        service.reserve(1)
        child = os.fork()
        if child == 0:
            try:
                service.reserve(1)
            except Sealed:
                service.close()  # does nothing to the parent's file
                os._exit(42)
            os._exit(1)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 42
        assert service.reserve(1)[0].number == 1


@in_this_process
def test_a_keystore_that_cannot_be_written_says_so_and_gives_nothing_out(fresh):
    with closing(fresh()) as service:
        service._store._db.execute("PRAGMA query_only = ON")
        with pytest.raises(StoreUnavailable) as raised:
            service.reserve(1)
        assert raised.value.__suppress_context__
        service._store._db.execute("PRAGMA query_only = OFF")
        assert service.reserve(1)[0].number == 0


@in_this_process
def test_no_repr_shows_more_than_the_state(fresh):
    service = fresh()
    assert repr(service) == "<InProcessKeyService unsealed>"
    service.close()
    assert repr(service) == "<InProcessKeyService sealed>"
