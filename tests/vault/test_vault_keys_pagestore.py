"""What every `PageStore` must do: one suite, run on each implementation through the `stores` fixture."""

import pytest

from vault.errors import Conflict
from vault.keys.pagebase import PageBase, create_base
from vault.keys.pagefile import PageFile, create_file
from vault.keys.pagestore import (
    FORMAT,
    ChangeRow,
    ChangeState,
    DestroyedRow,
    EpochRow,
    Head,
    PageRow,
    Rows,
)
from vault.keys.service import Slot

HEAD = Head(FORMAT, "store-test", 0, None, 2, 2, 0, 0, 1_790_000_000)
EPOCH = EpochRow(0, "00" * 16, b"key 0", b"top 0", b"service 0")
NEXT = EpochRow(1, "11" * 16, b"key 1", b"top 1", b"service 1")
PAGES = [PageRow(address, 0, b"page %d" % address) for address in (0, 1, 1 << 32)]
DRAWN = [PageRow(1, 1, b"page 1 anew"), PageRow(1 << 32, 1, b"root anew")]
CHANGE = ChangeRow(1, NEXT.root_ref, EPOCH.root_ref, ChangeState.PREPARED)
GONE = DestroyedRow(0, EPOCH.root_ref, 1_790_000_100, "evidence", "A", 2, 1_790_000_101)
A, B, C = Slot(2, 0), Slot(3, 0), Slot(0, 0)


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgresql)])
def stores(request, tmp_path):
    """Opens connections to one store of three pages; more kinds of store are added to `params`."""
    opened, rows = [], Rows(HEAD, 0, (EPOCH,), (), (), None, ())
    empty_base = request.getfixturevalue("empty_base") if request.param == "postgresql" else None

    def connect(name="store"):
        if empty_base:
            create_base(empty_base(name), rows, PAGES)
            opened.append(PageBase(empty_base(name)))
        else:
            create_file(tmp_path / name, "0", rows, PAGES)
            opened.append(PageFile(tmp_path / name))
        return opened[-1]

    yield connect
    for store in opened:
        store.close()


@pytest.fixture
def store(stores):
    opened = stores()
    assert opened.take_lease("me", 0, 100)
    return opened


def built(store):
    store.retire([A, B])
    store.begin("me", CHANGE)
    assert store.build("me", NEXT, DRAWN, [A, B], [])
    return store


def replicated(store):
    built(store).replicated("me", store.head().structure, 2)
    return store


def test_a_new_store_holds_what_it_was_made_of(store):
    assert store.head() == HEAD
    assert store.epoch(0) == EPOCH
    assert store.epoch(1) is None
    assert store.current() == {0: 0, 1: 0, 1 << 32: 0}
    assert list(store.current_pages()) == PAGES
    assert (store.page(1, 0), store.page(1, 1), store.page(2, 0)) == (b"page 1", None, None)
    assert (store.reserved(), store.retired(), store.change(), store.history()) == (0, frozenset(), None, [])
    assert store.snapshot() == (HEAD, (EPOCH,), frozenset())


def test_what_others_write_is_noticed_and_nothing_else(stores):
    one, two = stores(), stores()
    one.changed()
    assert not one.changed()
    two.retire([A])
    assert one.changed()
    assert not one.changed()
    revision = one.head().revision
    two.reserve(1, 1, 4)
    one.changed()
    assert one.head().revision == revision
    assert one.head().structure == 0


def test_leaves_are_set_aside_once(stores):
    one, two = stores(), stores()
    assert one.reserve(1, 3, 8) == range(3)
    assert two.reserve(1, 2, 8) == range(3, 5)
    assert one.reserve(4, 4, 8) == range(0)
    assert one.reserve(1, 9, 8) == range(5, 8)
    one.give_back(range(1, 3))
    assert one.reserved() == 8
    two.give_back(range(6, 8))
    assert one.reserved() == 6
    one.skip(7)
    one.skip(2)
    assert two.reserved() == 7


def test_the_queue_is_a_set_and_every_connection_sees_it(stores):
    one, two = stores(), stores()
    one.retire([A, B, A])
    two.retire([B])
    assert one.retired() == two.retired() == {A, B}
    assert two.snapshot().denied == {A, B}
    assert one.recall([A, C, A]) == [True, False, False]
    assert two.retired() == {B}


def test_a_lease_has_one_owner_until_it_ends(store):
    assert not store.take_lease("you", 99, 200)
    assert store.take_lease("me", 99, 150)
    assert not store.take_lease("you", 149, 200)
    store.drop_lease("you")
    assert not store.take_lease("you", 149, 200)
    assert store.take_lease("you", 150, 200)
    store.drop_lease("you")
    assert store.take_lease("me", 150, 200)


def test_steps_are_for_the_owner_of_the_lease(store):
    store.drop_lease("me")
    for verb in (
        lambda: store.begin("me", CHANGE),
        lambda: store.build("me", NEXT, DRAWN, [], []),
        lambda: store.rewrite("me", EPOCH, [], []),
        lambda: store.replicated("me", 0, 2),
        lambda: store.destroying("me"),
        lambda: store.destroyed("me", GONE),
        lambda: store.finish("me"),
    ):
        with pytest.raises(Conflict):
            verb()
    assert store.take_lease("you", 0, 100)
    with pytest.raises(Conflict):
        store.begin("me", CHANGE)
    assert store.change() is None


def test_steps_are_taken_in_their_order(store):
    def refused(*verbs):
        for verb in verbs:
            with pytest.raises(Conflict):
                verb()

    def build():
        return store.build("me", NEXT, DRAWN, [], [])

    def destroyed():
        return store.destroyed("me", GONE)

    refused(build, lambda: store.replicated("me", 0, 2), destroyed)
    assert not store.destroying("me")
    store.begin("me", CHANGE)
    assert store.change() == CHANGE
    refused(lambda: store.begin("me", CHANGE), lambda: store.replicated("me", 0, 2), destroyed)
    assert build()
    refused(build, destroyed)
    assert not store.destroying("me")
    store.replicated("me", 1, 2)
    assert store.change() == CHANGE._replace(state=ChangeState.REPLICATED, verified=1, copies=2)
    refused(build, destroyed)
    assert store.destroying("me")
    assert not store.destroying("me")
    refused(lambda: store.replicated("me", 1, 2))
    destroyed()
    refused(destroyed)
    store.finish("me")
    assert store.change() is None


def test_a_build_switches_at_once_and_keeps_what_the_old_epoch_needs(store):
    built(store)
    head = store.head()
    assert (head.epoch, head.retiring, head.structure) == (1, 0, 1)
    assert (store.epoch(0), store.epoch(1)) == (EPOCH, NEXT)
    assert store.retired() == frozenset()
    assert store.leaving(0) == [(A, False), (B, False)]
    assert store.snapshot().denied == {A, B}
    assert store.current() == {0: 0, 1: 1, 1 << 32: 1}
    assert (store.page(1, 0), store.page(1, 1)) == (b"page 1", b"page 1 anew")
    assert sorted(store.drawn_anew()) == [1, 1 << 32]


def test_a_build_whose_leaf_was_recalled_writes_nothing(store):
    store.retire([A])
    store.begin("me", CHANGE)
    before = store.head()
    assert not store.build("me", NEXT, DRAWN, [A, B], [])
    assert (store.head(), store.epoch(1), store.retired()) == (before, None, {A})
    assert list(store.current_pages()) == PAGES


def test_what_names_no_leaf_leaves_the_queue_with_the_build(store):
    store.retire([A, B, C])
    store.begin("me", CHANGE)
    assert store.build("me", NEXT, DRAWN, [A], [B])
    assert store.retired() == {C}
    assert store.leaving(0) == [(A, False)]


def test_a_build_that_fails_half_way_writes_nothing(store):
    def pages():
        yield DRAWN[0]
        raise RuntimeError

    store.begin("me", CHANGE)
    with pytest.raises(RuntimeError):
        store.build("me", NEXT, pages(), [], [])
    assert store.head().epoch == 0
    assert store.page(1, 1) is None


def test_a_recall_is_a_promise_until_the_door_is_closed(store):
    replicated(store)
    assert store.recall([A, C]) == [True, False]
    assert store.leaving(0) == [(A, True), (B, False)]
    assert not store.destroying("me")
    store.rewrite("me", NEXT._replace(top=b"with A"), [PageRow(1, 2, b"with A")], [A])
    assert store.change().state is ChangeState.BUILT
    assert store.leaving(0) == [(B, False)]
    assert store.epoch(1).top == b"with A"
    with pytest.raises(Conflict):
        store.replicated("me", 1, 2)
    store.replicated("me", 2, 3)
    assert store.destroying("me")
    assert store.recall([B]) == [False]


def test_a_leaf_that_goes_is_not_queued_again_and_one_recalled_is(store):
    built(store)
    store.retire([A])
    assert store.retired() == frozenset()
    store.recall([A])
    store.retire([A])
    assert store.retired() == {A}


def test_growing_undoes_what_copies_were_read_back(store):
    replicated(store)
    store.rewrite("me", NEXT._replace(top=b"two trees"), [PageRow(1 << 36, 0, b"new tree")], [])
    assert store.change().state is ChangeState.BUILT
    assert store.head().structure == 2


def test_an_epoch_that_ended_is_not_rewritten(store):
    built(store)
    for row in (EPOCH, NEXT._replace(top_key=b"another")):
        with pytest.raises(Conflict):
            store.rewrite("me", row, [], [])


def test_finishing_purges_what_the_old_root_opened(store):
    assert replicated(store).destroying("me")
    store.destroyed("me", GONE)
    assert store.head().retiring is None
    assert store.snapshot().denied == frozenset()
    assert store.epoch(0) == EPOCH
    store.finish("me")
    store.drop_lease("me")
    assert store.epoch(0) is None
    assert (store.page(1, 0), store.page(0, 0)) == (None, b"page 0")
    assert store.current() == {0: 0, 1: 1, 1 << 32: 1}
    assert store.history() == [GONE]
    assert store.leaving(0) == [(A, False), (B, False)]


def test_a_copy_takes_what_it_lacks_and_nothing_of_the_old_epoch(stores, store):
    copy = stores("copy")
    replicated(store)
    store.retire([C])
    store.reserve(1, 1, 4)
    copy.update(store)
    assert copy.rows() == store.rows()
    assert list(copy.current_pages()) == list(store.current_pages())
    assert (copy.epoch(0), copy.page(1, 0)) == (None, None)
    assert copy.unread() == ([(1, 1), (1 << 32, 1)], None)
    copy.was_read(5)
    assert copy.unread() == ([], 5)
    copy.update(store)
    copy.was_read(None)
    assert copy.unread() == ([], 5)


def finished(store):
    assert replicated(store).destroying("me")
    store.destroyed("me", GONE)
    store.finish("me")
    return store


def test_a_copy_keeps_the_history_that_it_has(stores, store):
    """Of what finished changes destroyed only what is new is written, however much that was; all else is made the same."""
    copy = stores("copy")
    copy.update(finished(store))
    assert copy.rows() == store.rows()
    watched = []
    copy._db = Watched(copy._db, watched)
    store.retire([C])
    store.begin("me", ChangeRow(2, "22" * 16, NEXT.root_ref, ChangeState.PREPARED))
    assert store.build("me", EpochRow(2, "22" * 16, b"key 2", b"top 2", b"service 2"), [], [C], [])
    copy.update(store)
    assert copy.rows() == store.rows()
    assert copy.leaving(0) == [(A, False), (B, False)]
    assert copy.history() == [GONE]
    written = [row for statement, rows in watched if "INSERT INTO leaving" in statement for row in rows]
    assert [row[:2] for row in written] == [tuple(C)]
    store.recall([C])  # the change is not over: what it has said may still change
    copy.update(store)
    assert copy.leaving(1) == [(C, True)]


def test_a_copy_of_another_keystore_of_that_name_keeps_nothing(stores, store):
    copy, stranger = stores("copy"), stores("stranger")
    copy.update(finished(store))
    assert stranger.take_lease("me", 0, 100)
    stranger.retire([B])
    stranger.begin("me", CHANGE)
    assert stranger.build("me", NEXT, DRAWN, [B], [])
    stranger.replicated("me", stranger.head().structure, 2)
    assert stranger.destroying("me")
    stranger.destroyed("me", GONE._replace(root_ref="99" * 16))
    stranger.finish("me")
    copy.update(stranger)
    assert copy.rows() == stranger.rows()


def test_a_copy_made_by_hand_in_the_middle_of_a_change_is_cleared_of_older_pages(stores, store):
    copy = stores("copy")
    built(store)
    assert copy.take_lease("me", 0, 100)
    built(copy)
    assert copy.page(1, 0) is not None
    copy.update(store)
    assert (copy.page(1, 0), copy.page(1, 1)) == (None, b"page 1 anew")
    assert list(copy.current_pages()) == list(store.current_pages())


class Watched:
    """A connection that keeps what is written many rows at a time."""

    def __init__(self, db, watched):
        self._db, self._watched = db, watched

    def __getattr__(self, name):
        return getattr(self._db, name)

    def executemany(self, statement, rows):
        rows = list(rows)
        self._watched.append((statement, rows))
        return self._db.executemany(statement, rows)


def test_nothing_but_pages_can_be_brought_up_to_date_alone(stores, store):
    copy = stores("copy")
    built(store)
    copy.update(store, pages=False)
    assert copy.rows() == store.rows()
    assert list(copy.current_pages()) == PAGES


def test_reading_holds_one_moment(stores):
    one, two = stores(), stores()
    with one.reading():
        assert one.retired() == frozenset()
        two.retire([A])
        with one.reading():
            assert one.retired() == frozenset()
        assert one.retired() == frozenset()
    assert one.retired() == {A}
