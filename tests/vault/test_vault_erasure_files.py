"""Raw bytes: every file of both PostgreSQL clusters, write-ahead logs too, is searched for what must not be in it.

Keys and plaintext are in no file at any time. What was sealed stays in files for a while after its row is deleted, in free
space and in the log, as PostgreSQL does it: its key is gone, and rewriting the tables takes it out of them (operations.md).
"""

from contextlib import closing

import psycopg
import pytest
from erasure_scene import Scene
from maison_people import given, one, person, rows, take_in, value
from sqlalchemy.engine import make_url
from test_vault_erasure_backups import OTHER, SENTINEL, VICTIM
from throwaway_postgres import PostgresUnavailable, ThrowawayPostgres

from vault import envelope
from vault.keys.home import open_store
from vault.keys.local import KeyFileProvider
from vault.keys.pagetree import Geometry, split_slot
from vault.keys.service import Slot
from vault.runtime import SystemEntropy
from vault.setup import Place, initialise, open_vault
from vault.store.schema import migrate

pytestmark = pytest.mark.postgresql

SHAPE = Geometry(fanout=16, depth=3)


@pytest.fixture
def clusters():
    """Two clusters of the test's own, whose files are nobody else's."""
    try:
        with ThrowawayPostgres() as data, ThrowawayPostgres() as keystore:
            data.make("data")
            keystore.make("keys")
            yield data, keystore
    except PostgresUnavailable as reason:
        pytest.skip(f"*** NOT TESTED ON POSTGRESQL *** {reason}")


@pytest.fixture
def scene(clusters, tmp_path, clock, bundle):
    data, keystore = clusters
    roots = KeyFileProvider(tmp_path / "roots", SystemEntropy(), clock=clock)
    place = Place(data.url("data"), make_url(keystore.url("keys")), roots)
    migrate(place.database)
    initialise(place, "ecrin-test", clock=clock, entropy=SystemEntropy(), geometry=SHAPE)
    with (
        closing(open_vault(place, bundle, clock=clock, entropy=SystemEntropy())) as vault,
        closing(Scene(vault, place, tmp_path, clock)) as made,
    ):
        made.changing = lambda: changing(made, place)
        yield made


def changing(scene, place):
    from vault.keys.epochs import EpochChange

    scene.stores.append(open_store(place.keystore))
    return EpochChange(
        scene.stores[-1], place.provider, scene.copies, clock=scene.clock, entropy=SystemEntropy(), always_whole=10_000
    )


def maintain(cluster, database, *statements):
    address = cluster.url(database).replace("+psycopg", "")
    with psycopg.connect(address, autocommit=True) as conn:
        for each in statements:
            conn.execute(each)


def found(cluster, needles, under="."):
    """Which needles are in any file of a cluster, after everything in memory was written out."""
    maintain(cluster, "postgres", "CHECKPOINT")
    left = set(needles)
    for path in sorted((cluster.data / under).rglob("*")):
        if path.is_file() and left:
            content = path.read_bytes()
            if path.parent.name == "pg_wal":
                content = records(content)
            left -= {each for each in left if each in content}
    return set(needles) - left


def records(segment):
    """A segment of the write-ahead log without its page headers, which cut in two whatever lies across a page's end.

    Source: PostgreSQL, `access/xlog_internal.h`: pages of 8 KiB, 40 bytes of header on a segment's first and 24 on others.
    """
    pages = range(0, len(segment), 8192)
    return b"".join(segment[start + (24 if start else 40) : start + 8192] for start in pages)


def secrets_of(vault, subject):
    """Leaf keys, data keys and log key of somebody, as the key service has them in memory."""
    slots = {
        Slot(*row) for row in rows(vault, "SELECT slot, generation FROM compartment WHERE subject_id = ?", subject)
    }
    (log,) = rows(vault, "SELECT log_slot, log_generation, log_key FROM subject WHERE id = ?", subject)
    keys = set(vault.keys.unwrap([(Slot(*log[:2]), bytes(log[2]))]))
    for slot in (*slots, Slot(*log[:2])):
        tree, leaf = split_slot(slot.number)
        place, child = divmod(leaf, SHAPE.fanout)
        keys.add(bytes(vault.keys._view.tree.leaf_page(tree, place).key(child)))
    query = (
        "SELECT c.slot, c.generation, v.envelope FROM field_value v JOIN compartment c"
        " ON c.subject_id = v.subject_id AND c.category_id = v.category_id WHERE v.subject_id = ?"
    )
    stored = rows(vault, query, subject)
    keys |= set(vault.keys.unwrap([(Slot(*row[:2]), envelope.parse(bytes(row[2])).wrapped) for row in stored]))
    return keys, {envelope.parse(bytes(row[2])).message for row in stored}


def pages(cluster):
    with psycopg.connect(cluster.url("keys").replace("+psycopg", "")) as conn:
        return {bytes(body) for (body,) in conn.execute("SELECT body FROM ecrin_keystore.page LIMIT 50")}


def test_no_file_of_either_cluster_ever_holds_a_key_or_what_it_opens(scene, clusters):
    data, keystore = clusters
    vault = scene.vault
    stays, goes = take_in(vault, person(OTHER), person(VICTIM, consents=[given()]))
    keys, sealed = secrets_of(vault, goes.subject)
    assert len(keys) > 10
    open_words = {SENTINEL.encode(), b"ZZ-8C41"}
    # The control: the search sees rows, in heap and log, of both clusters.
    assert found(data, sealed) == found(data, sealed, "pg_wal") == found(data, sealed, "base") == sealed
    assert found(data, {goes.subject}) == {goes.subject}
    bodies = pages(keystore)
    assert found(keystore, bodies) == bodies
    for cluster in clusters:
        assert found(cluster, keys | open_words) == set()

    requested = scene.whole(goes.subject)
    scene.run()
    assert scene.certificate(requested).scope == "subject"
    for cluster in clusters:
        assert found(cluster, keys | open_words) == set()
    # What was sealed may lie in free space until its table is rewritten; then no table has it, nor the person's id.
    maintain(data, "data", "VACUUM (FULL)")
    assert found(data, sealed | {goes.subject}, "base") == set()
    assert found(data, sealed, "pg_wal") == sealed  # the limit: until the log's files are used again or removed
    assert value(vault, stays.subject, "known_as") == "Blanche"
    assert one(take_in(vault, person(VICTIM))).subject != goes.subject
