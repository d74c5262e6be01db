"""The keystore in PostgreSQL: what no file has to do. Its verbs are held to the suite of all stores; this is the rest."""

import itertools
import threading
from contextlib import closing

import psycopg
import pytest
from sqlalchemy.engine import make_url
from strict_roots import StrictRoots
from throwaway_postgres import ThrowawayPostgres

from vault.errors import (
    Conflict,
    Damaged,
    IntegrityFailure,
    Sealed,
    StoreFull,
    StoreUnavailable,
    UnsafeSetting,
    WrongDeployment,
)
from vault.keys.cluster import refuse_one_cluster
from vault.keys.copies import FolderPlace
from vault.keys.epochs import EpochChange
from vault.keys.home import holds_keystore, open_store
from vault.keys.keystore import Geometry, create_keystore, draw_keystore, open_keystore
from vault.keys.pagebase import PageBase, create_base
from vault.keys.pagefile import PageFile
from vault.keys.pagetree import Place
from vault.keys.restoring import restore_keystore
from vault.keys.service import Slot
from vault.runtime import SystemClock, SystemEntropy
from vault.setup import Place as Deployment
from vault.setup import prepare_keystore

pytestmark = pytest.mark.postgresql

DEPLOYMENT = "base-test"
ENTROPY, CLOCK = SystemEntropy(), SystemClock()
DEK = bytes(range(32))
LEAVES = [Slot(leaf, 0) for leaf in range(64)]


@pytest.fixture
def roots():
    return StrictRoots(ENTROPY, CLOCK)


@pytest.fixture
def home(empty_base, roots):
    address = empty_base()
    create_keystore(address, roots, DEPLOYMENT, Geometry(4, 3), entropy=ENTROPY, clock=CLOCK)
    return address


@pytest.fixture
def places(tmp_path):
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
    return [FolderPlace(tmp_path / name, ENTROPY) for name in ("one", "two")]


@pytest.fixture
def serving(home, roots):
    opened = []

    def make():
        opened.append(open_keystore(home, roots, DEPLOYMENT))
        return opened[-1]

    yield make
    for each in opened:
        each.close()


def wrapped(service, slots=LEAVES):
    return list(zip(slots, service.wrap([(slot, DEK) for slot in slots]), strict=True))


def sql(address, statement):
    with psycopg.connect(address.set(drivername="postgresql").render_as_string(hide_password=False)) as db:
        db.execute(statement)


# Making and opening


def test_a_keystore_is_made_once_and_opened_again(home, roots, serving):
    items = wrapped(serving())
    with pytest.raises(Conflict):
        create_keystore(home, roots, DEPLOYMENT, entropy=ENTROPY, clock=CLOCK)
    assert serving().unwrap(items) == [DEK] * 64
    assert len(roots.live) == 1


def test_an_empty_database_is_no_keystore(empty_base, roots):
    assert not holds_keystore(empty_base())
    with pytest.raises(Sealed):
        open_keystore(empty_base(), roots, DEPLOYMENT)


def test_a_keystore_that_was_not_finished_is_not_there(empty_base, roots):
    rows, pages = draw_keystore(roots, DEPLOYMENT, Geometry(4, 3), entropy=ENTROPY, clock=CLOCK)

    def stopped():
        yield from itertools.islice(pages, 5)
        raise RuntimeError

    with pytest.raises(RuntimeError):
        create_base(empty_base(), rows, stopped())
    assert not holds_keystore(empty_base())
    create_keystore(empty_base(), roots, DEPLOYMENT, Geometry(4, 3), entropy=ENTROPY, clock=CLOCK)
    assert holds_keystore(empty_base())


def test_another_deployments_keystore_is_refused(home, roots):
    with pytest.raises(WrongDeployment):
        open_keystore(home, roots, "another")


def test_what_is_no_keystore_of_ours_is_refused(home, roots):
    sql(home, "ALTER TABLE ecrin_keystore.epoch DROP COLUMN service")
    with pytest.raises(IntegrityFailure):
        open_keystore(home, roots, DEPLOYMENT)


def test_a_page_that_the_server_cannot_read_is_missing_and_no_other(home, serving):
    items = wrapped(serving())
    sql(
        home,
        f"""SET search_path = ecrin_keystore;
        CREATE FUNCTION readable(address bigint, body bytea) RETURNS bytea LANGUAGE plpgsql AS $$ BEGIN
          IF address = {Place(0, 0, 3).address} THEN
            RAISE EXCEPTION 'invalid page in block' USING ERRCODE = 'data_corrupted'; END IF;
          RETURN body; END $$;
        ALTER TABLE page RENAME TO stored;
        CREATE VIEW page AS SELECT address, generation, readable(address, body) AS body FROM stored""",  # noqa: S608 - ours
    )
    assert serving().unwrap(items) == [None if slot.number // 4 == 3 else DEK for slot, _ in items]


def test_a_role_that_may_only_read_is_told_so(home, roots):
    sql(home, "CREATE ROLE reader LOGIN; GRANT USAGE ON SCHEMA ecrin_keystore TO reader")
    try:
        sql(home, "GRANT SELECT ON ALL TABLES IN SCHEMA ecrin_keystore TO reader")
        with closing(open_keystore(home.set(username="reader"), roots, DEPLOYMENT)) as service:
            wrapped(service)
            with pytest.raises(StoreFull) as raised:
                service.retire([Slot(5, 0)])
        assert raised.value.__context__ is None
        assert raised.value.__cause__ is None
    finally:
        sql(home, "DROP OWNED BY reader; DROP ROLE reader")


@pytest.mark.parametrize("setting", ["fsync=off", "full_page_writes=off"])
def test_a_server_that_could_lose_a_commit_is_refused(setting):
    name, _, value = setting.partition("=")
    with ThrowawayPostgres(**{name: value}) as loose, pytest.raises(UnsafeSetting, match=name):
        open_store(make_url(loose.url()))


# Two in one cluster


def test_data_and_keystore_in_one_cluster_are_refused(postgres, home, tmp_path):
    beside = make_url(home).set(database="postgres")
    with pytest.raises(UnsafeSetting, match="point-in-time"):
        refuse_one_cluster(beside, home)
    refuse_one_cluster(make_url(postgres.url()), home)
    refuse_one_cluster(make_url(f"sqlite:///{tmp_path}/data.db"), home)


def test_a_role_that_may_not_read_the_identifier_is_compared_by_the_server(postgres, home):
    sql(home, "CREATE ROLE plain LOGIN; REVOKE EXECUTE ON FUNCTION pg_control_system() FROM PUBLIC")
    try:
        plain = home.set(username="plain")
        with pytest.raises(UnsafeSetting, match="point-in-time"):
            refuse_one_cluster(plain, plain)
        refuse_one_cluster(make_url(postgres.url()), plain)
    finally:
        sql(home, "GRANT EXECUTE ON FUNCTION pg_control_system() TO PUBLIC; DROP ROLE plain")


def test_a_cluster_that_does_not_answer_is_not_taken_for_another(home, tmp_path):
    away = make_url(f"postgresql+psycopg://ecrin@/postgres?host={tmp_path}")
    with pytest.raises(StoreUnavailable):
        refuse_one_cluster(away, home)


def test_a_vault_neither_begins_nor_opens_on_one_cluster(home, roots):
    database = make_url(home).set(database="postgres").render_as_string(hide_password=False)
    place = Deployment(database, home, roots)
    with pytest.raises(UnsafeSetting):
        prepare_keystore(place, DEPLOYMENT, clock=CLOCK, entropy=ENTROPY)


# Several services


def test_whoever_retires_is_heard_by_all_when_it_returns(serving):
    services = [serving() for _ in range(3)]
    items = wrapped(services[0])
    for number, service in enumerate(services):
        service.retire([Slot(number, 0)])
        for each in services:
            assert each.unwrap(items)[: number + 1] == [None] * (number + 1)
            assert each.unwrap(items)[number + 1 :] == [DEK] * (63 - number)


def test_readers_wait_for_no_writer(home, serving):
    service = serving()
    items = wrapped(service)
    with closing(PageBase(home)) as writer, writer._writing(heard=True):
        writer._db.execute("DELETE FROM retired")
        assert service.unwrap(items) == [DEK] * 64
        assert service.status().epoch == 0
        with closing(PageBase(home)) as copied, copied.reading():
            assert len(list(copied.current_pages())) == 21


def test_writers_of_many_processes_queue_and_give_no_leaf_twice(home):
    given, failed = [], []

    def take():
        try:
            with closing(PageBase(home)) as store:
                for _ in range(40):
                    given.extend(store.reserve(1, 3, 10_000))
        except BaseException as error:  # noqa: BLE001 - a thread
            failed.append(error)

    threads = [threading.Thread(target=take) for _ in range(4)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert not failed
    assert sorted(given) == list(range(480))


def test_a_connection_that_broke_is_made_anew(home, serving):
    service = serving()
    items = wrapped(service)
    sql(
        home,
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
        " WHERE datname = current_database() AND pid <> pg_backend_pid()",
    )
    assert service.unwrap(items) == [DEK] * 64
    service.retire([Slot(5, 0)])
    assert service.unwrap(items)[5] is None


def test_a_break_inside_a_transaction_writes_nothing_and_is_told(home):
    with closing(PageBase(home)) as store:

        def broken():
            sql(home, f"SELECT pg_terminate_backend({store._db._connection.info.backend_pid})")
            yield Slot(2, 0)
            yield Slot(3, 0)

        with pytest.raises(StoreUnavailable):
            store.retire(broken())
        assert store.retired() == frozenset()
        store.retire([Slot(4, 0)])
        assert store.retired() == {Slot(4, 0)}


def test_a_keystore_that_went_back_in_time_is_not_served_from(home, serving):
    service = serving()
    items = wrapped(service)
    service.retire([Slot(5, 0)])
    service.unwrap(items)
    sql(home, "UPDATE ecrin_keystore.keystore SET revision = 0; DELETE FROM ecrin_keystore.retired")
    for _ in range(2):
        with pytest.raises(IntegrityFailure):
            service.unwrap(items)


def test_a_server_that_is_gone_seals_nothing_and_is_waited_for(roots):
    with ThrowawayPostgres() as own:
        home = make_url(own.url())
        create_keystore(home, roots, DEPLOYMENT, Geometry(4, 3), entropy=ENTROPY, clock=CLOCK)
        service = open_keystore(home, roots, DEPLOYMENT)
        items = wrapped(service)
        service.retire([Slot(5, 0)])
        own.stop()
        for _ in range(2):
            with pytest.raises(StoreUnavailable) as raised:
                service.unwrap(items)
            assert raised.value.__context__ is None
        own.start()
        assert service.unwrap(items) == [None if slot.number == 5 else DEK for slot, _ in items]
        own.stop()
        service.close()  # what was unused of the last block is lost, and nothing is raised


# Copies


def test_copies_are_files_and_one_of_them_becomes_a_database_again(home, empty_base, roots, serving, places, tmp_path):
    service = serving()
    items = wrapped(service)
    service.retire([Slot(5, 0), Slot(40, 0)])
    with closing(PageBase(home)) as store:
        change = EpochChange(store, roots, places, clock=CLOCK, entropy=ENTROPY)
        assert (change.run().copies, len(roots.live)) == (2, 1)
        service.retire([Slot(6, 0)])
        change.run()
    expected = [None if slot.number in {5, 6, 40} else DEK for slot, _ in items]
    copy = tmp_path / "one" / "keystore.copy"
    for target in (empty_base("restored"), tmp_path / "restored.db"):
        restore_keystore(copy, target, roots, DEPLOYMENT, entropy=ENTROPY)
        with closing(open_keystore(target, roots, DEPLOYMENT)) as restored:
            assert restored.unwrap(items) == expected
            restored.retire([Slot(7, 0)])
            assert restored.alive([Slot(7, 0)]) == [False]
        with pytest.raises(Conflict):
            restore_keystore(copy, target, roots, DEPLOYMENT, entropy=ENTROPY)
    assert service.unwrap(items) == expected


def test_a_bad_copy_becomes_no_keystore(home, empty_base, roots, serving, places, tmp_path):
    with closing(PageBase(home)) as store:
        EpochChange(store, roots, places, clock=CLOCK, entropy=ENTROPY).run()
    copy, target = tmp_path / "one" / "keystore.copy", empty_base("restored")
    with pytest.raises(WrongDeployment):
        restore_keystore(copy, target, roots, "another", entropy=ENTROPY)
    with pytest.raises(Sealed):
        restore_keystore(copy, target, StrictRoots(ENTROPY, CLOCK), DEPLOYMENT, entropy=ENTROPY)
    with pytest.raises(Sealed):
        restore_keystore(tmp_path / "none", target, roots, DEPLOYMENT, entropy=ENTROPY)
    with closing(PageFile(copy)) as file:
        file._db.execute("UPDATE page SET body = zeroblob(length(body)) WHERE address = ?", (Place(0, 0, 9).address,))
    with pytest.raises(Damaged):
        restore_keystore(copy, target, roots, DEPLOYMENT, entropy=ENTROPY)
    assert not holds_keystore(target)
