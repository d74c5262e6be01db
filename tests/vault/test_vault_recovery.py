"""Backups brought back with the current keystore: survivors byte for byte, the erased nowhere, and the log says so."""

import json
import sqlite3
import stat
import threading
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest
from maison_people import AURELLE, FIELDS, change, one, person, rows, take_in, value
from recovery_scene import OPERATOR, Recovery, quiet
from sqlalchemy.engine import make_url

from audit import ledger
from audit.entry import decode
from audit.errors import SigningRefused
from audit.note import vkey
from audit.verify import Verdict, verify_log
from vault import envelope, evidence, openings, restrictions
from vault.compartments import domain
from vault.envelope import FieldContext
from vault.erasure import epochrun, finishing, settling
from vault.errors import (
    Conflict,
    Damaged,
    InvalidBackup,
    RestoreUnfinished,
    TooFewCopies,
    UnknownReference,
    VaultError,
)
from vault.keys.service import SigningKey, Slot
from vault.openings import Stored
from vault.recovery import guard, keystores, manifest, reindex, restores
from vault.recovery.guard import Carried
from vault.restrictions import Ground, Lift, Restrict
from vault.runtime import SystemEntropy
from vault.store import dumps
from vault.store.tables import metadata
from vault.subjects import describe
from vault.unit import execute, settled

OTHER = FIELDS | {"client_number": "AU-0099", "email": ["Blaise.Morvan@example.com"], "phone": ["+33612345678"]}


@pytest.fixture
def scene(vault, place, tmp_path, clock, databases):
    scene = Recovery(vault, place, tmp_path, clock, databases)
    yield scene
    scene.close()


@pytest.fixture
def people(scene):
    """Somebody who stays and somebody who goes, signed for in a checkpoint."""
    stays, goes = take_in(scene.vault, person(OTHER), person(FIELDS))
    evidence.sign_checkpoints(scene.vault, scene.outside)
    return stays, goes


def raw(vault, registered):
    return {name: value(vault, registered.subject, name) for name in ("email", "phone", "birth_date", "ring_size")}


def described(vault, registered):
    return execute(vault, settled(describe), [(AURELLE, registered.references[AURELLE])])[0]


def found(vault, by, sought):
    from vault.search import Search, search

    answer = execute(vault, search, [Search(AURELLE, "aurelle-crm", by, sought)])[0]
    return [each.subject for each in answer.candidates]


def entries(vault, shard=0):
    with vault.reading() as conn:
        return [decode(each.body) for each in ledger.read(conn, shard, 0, 100_000)]


def count(vault, table):
    return rows(vault, f"SELECT count(*) FROM {table}")[0][0]  # noqa: S608 - ours


# Backups


def test_a_backup_is_private_whole_and_says_what_it_is(scene, people):
    told = scene.back_up()
    file = scene.folder / "data.backup"
    assert stat.S_IMODE(file.stat().st_mode) == stat.S_IMODE(manifest.beside(file).stat().st_mode) == 0o600
    assert manifest.read(file) == told
    assert manifest.measure(file) == (told.size, told.sha256)
    with scene.vault.reading() as conn:
        head = ledger.head(conn, 0)
    assert told.log[0].size == head.size - 1  # the entry that tells of the backup came after
    assert entries(scene.vault)[-1]["act"] == "deployment.backed_up"
    assert entries(scene.vault)[-1]["pol"] == [f"sha256:{told.sha256}"]
    left = {path.name for path in scene.folder.iterdir() if "backup" in path.name}
    assert left == {"data.backup", "data.backup.manifest.json"}
    said = manifest.beside(file).read_text()
    assert all(str(each) not in said for each in (*FIELDS.values(), people[0].subject.hex()))


def test_a_backup_never_goes_over_another(scene, people):
    scene.back_up()
    with pytest.raises(Conflict):
        scene.back_up()


def test_a_backup_of_a_busy_vault_is_of_one_moment(scene, people):
    stop = threading.Event()
    errors = []

    def write():
        while not stop.wait(0.05):  # the leaves of a test's keystore are few
            try:
                answers = take_in(scene.vault, person(OTHER), person(FIELDS))
                errors.extend(each for each in answers if isinstance(each, VaultError))
            except VaultError as error:
                errors.append(error)

    writers = [threading.Thread(target=write) for _ in range(3)]
    for each in writers:
        each.start()
    try:
        told = [scene.back_up(f"busy-{number}") for number in range(3)]
    finally:
        stop.set()
        for each in writers:
            each.join()
    assert not errors
    assert told[0].log[0].size < told[1].log[0].size < told[2].log[0].size
    for number, each in enumerate(told):
        restored = scene.open(scene.load(f"busy-{number}"))
        with restored.reading() as conn:
            head = ledger.head(conn, 0)
        assert (head.size, head.frontier.root().hex()) == (each.log[0].size, each.log[0].root)
        # Every person is there whole: one registration, one row, both numbers found.
        assert count(restored, "subject") == sum(x["act"] == "subject.registered" for x in entries(restored))
        assert count(restored, "compartment") % count(restored, "subject") == 0


# Restores


def test_any_backup_with_the_current_keystore_gives_survivors_and_nobody_erased(scene, people):
    """T4 of the study."""
    stays, goes = people
    scene.back_up("old")
    kept = raw(scene.vault, stays)
    scene.whole(goes.subject)
    scene.run()
    scene.back_up("new")
    late = one(take_in(scene.vault, person(OTHER | {"client_number": "AU-0100"})))
    scene.whole(late.subject)
    scene.run()
    for name, again in (("old", 1), ("new", 0)):
        restored, done = scene.restore(name)
        assert done.carried == Carried(subjects=again)
        assert raw(restored, stays) == kept
        assert found(restored, "email", "Blaise.Morvan@example.com") == [stays.subject]
        assert found(restored, "email", "Apolline.Rousselin@example.com") == []
        assert isinstance(described(restored, goes), UnknownReference)
        for table in ("subject", "compartment", "field_value", "search_token", "relation"):
            column = "id" if table == "subject" else "subject_id"
            left = f"SELECT count(*) FROM {table} WHERE {column} = ?"  # noqa: S608 - ours
            assert rows(restored, left, goes.subject)[0][0] == 0
        assert count(restored, "reference") == 1
        # It goes on as a vault does: it takes people in, and is signed for.
        one(take_in(restored, person(FIELDS)))
        restores.admit(restored, scene.history, scene.outside)
        assert evidence.sign_checkpoints(restored, scene.outside)
        Path(scene.outside).unlink()


def test_rows_that_a_backup_brings_back_do_not_open_even_before_the_guard(scene, people):
    stays, goes = people
    scene.back_up()
    scene.whole(goes.subject)
    scene.run()
    restored = scene.open(scene.load())
    query = openings.STORED.where(metadata.tables["field_value"].c.subject_id.in_([stays.subject, goes.subject]))
    with restored.reading() as conn:
        stored = [Stored._make(row) for row in conn.execute(query)]
    for row, plain in zip(stored, openings.opened(restored.keys, restored.deployment, stored), strict=True):
        assert (plain is None) is (row.subject == goes.subject)
    assert {row.subject for row in stored} == {stays.subject, goes.subject}
    with pytest.raises(RestoreUnfinished):
        restores.admit(restored, scene.history, scene.outside)


def test_one_category_that_was_erased_goes_again_and_the_person_stays(scene, people):
    stays, _ = people
    scene.back_up()
    scene.category(stays.subject, "contact")
    scene.run()
    restored, done = scene.restore()
    assert done.carried == Carried(compartments=1)
    assert found(restored, "email", "Blaise.Morvan@example.com") == []
    assert value(restored, stays.subject, "birth_date") == OTHER["birth_date"]
    assert value(restored, stays.subject, "email") is None


def test_an_erasure_the_backup_knows_of_is_finished_with_its_certificate(scene, people):
    _, goes = people
    requested = scene.whole(goes.subject)
    scene.back_up()
    scene.run()
    restored, done = scene.restore()
    assert done.carried == Carried()  # not the guard's work
    assert rows(restored, "SELECT state FROM erasure WHERE id = ?", requested.erasure) == [("done",)]
    assert rows(restored, "SELECT count(*) FROM subject WHERE id = ?", goes.subject)[0][0] == 0


def test_an_erasure_that_waits_for_its_epoch_is_denied_and_goes_with_it(scene, people):
    _, goes = people
    scene.back_up()
    scene.whole(goes.subject)
    restored, done = scene.restore()
    assert done.carried.closed > 0 and done.carried.subjects == 0
    assert isinstance(described(restored, goes), UnknownReference)
    assert found(restored, "email", "Apolline.Rousselin@example.com") == []
    scene.changing().run()
    assert restores.admit(restored, scene.history, scene.outside) == Carried(subjects=1)
    assert rows(restored, "SELECT count(*) FROM field_value WHERE subject_id = ?", goes.subject)[0][0] == 0


def test_who_has_nothing_left_but_what_the_law_keeps_is_restricted(scene, people):
    """An erasure in part leaves its trace in the keystore, but not that what is kept was denied to everybody."""
    bought = one(take_in(scene.vault, person(OTHER | {"last_purchase_date": "2026-03-02"})))
    scene.back_up()
    assert scene.whole(bought.subject).kept
    scene.run()
    restored, done = scene.restore()
    assert done.carried.restricted == 1
    assert rows(restored, "SELECT restricted FROM subject WHERE id = ?", bought.subject)[0][0]
    assert bought.subject not in found(restored, "email", "Blaise.Morvan@example.com")
    assert reindex.rebuild(restored) > 0
    assert bought.subject not in found(restored, "email", "Blaise.Morvan@example.com")
    with restored.reading() as conn:
        assert [(each.brand, each.ground) for each in restrictions.listed(conn)] == [("", Ground.RESTORED)]
    # An officer looks, and what is left may be used again.
    asked = Lift(AURELLE, bought.references[AURELLE], Ground.RESTORED, OPERATOR)
    assert not one(execute(restored, restrictions.liftings, [asked])).stands
    assert not rows(restored, "SELECT restricted FROM subject WHERE id = ?", bought.subject)[0][0]


def test_whom_somebody_had_restricted_is_still_found_after_a_restore(scene, people):
    stays, _ = people
    asked = Restrict(AURELLE, stays.references[AURELLE], Ground.UNLAWFUL, OPERATOR)
    one(execute(scene.vault, restrictions.restrictions, [asked]))
    scene.back_up()
    restored, _ = scene.restore()
    assert rows(restored, "SELECT restricted FROM subject WHERE id = ?", stays.subject)[0][0]
    assert reindex.rebuild(restored) > 0
    number = rows(restored, "SELECT count(*) FROM search_token WHERE subject_id = ?", stays.subject)
    assert number[0][0] > 0


def test_the_log_that_was_cut_short_is_closed_and_its_successor_says_what_was_lost(scene, people):
    scene.back_up()
    take_in(scene.vault, person(OTHER))
    (note,) = evidence.sign_checkpoints(scene.vault, scene.outside)
    signed = int(note.split("\n")[1])
    restored, done = scene.restore()
    (over,) = done.successions
    assert over.lost == signed - over.kept > 0
    first = entries(restored)[0]
    assert (first["act"], first["n"], first["com"]) == ("log.succession", signed, over.last.root.hex())
    assert first["pol"] == [f"after:{scene.vault.origin}", f"kept:{over.kept}", f"root:{over.root.hex()}"]
    assert over.root.hex() in evidence.vouched_roots(restored)
    assert restored.origin.startswith(f"{scene.vault.origin}/")
    # What was signed of the old log is kept, and no note of the new one stands in its place.
    (kept,) = scene.folder.glob("checkpoint.ended-*")
    assert kept.read_text() == note
    assert not scene.outside.exists()
    evidence.sign_checkpoints(restored, scene.outside)
    # Both logs verify by themselves; the old one fails whoever holds the newer checkpoint of it: the loss is provable.
    public = restored.keys.public_key(SigningKey.LOG)
    with restored.reading() as conn:
        closed, current = (ledger.stored_log(conn, shard) for shard in ledger.shards(conn))
        old, new = vkey(closed.origin, public), vkey(current.origin, public)
        assert verify_log(current, [new], [scene.outside.read_text()]).verdict is Verdict.FINE
        assert verify_log(closed, [old]).verdict is Verdict.FINE
        assert verify_log(ledger.stored_log(conn, closed.shard), [old], [note]).verdict is Verdict.TAMPERED


def test_the_same_backup_brought_back_twice_makes_two_logs(scene, people):
    scene.back_up()
    origins = {scene.restore()[0].origin for _ in range(2)}
    assert len(origins) == 2


def test_a_checkpoint_that_is_not_ours_stops_the_restore(scene, people):
    scene.back_up()
    restored = scene.open(scene.load())
    scene.outside.write_text(scene.outside.read_text().replace("\n\n", "\nextra\n\n"))
    with pytest.raises(SigningRefused):
        scene.carry_on(restored)
    with pytest.raises(RestoreUnfinished):
        restores.admit(restored, scene.history, scene.outside)


# What is refused


def test_wrong_deployment_engine_keystore_and_altered_bytes_are_refused(scene, people):
    told = scene.back_up()
    file = scene.folder / "data.backup"
    with pytest.raises(InvalidBackup):
        scene.load(deployment="another")
    other = "postgresql+psycopg://nobody@/none" if told.engine == "sqlite" else "sqlite:////nowhere/x.db"
    with pytest.raises(InvalidBackup):
        scene.load(url=other)
    manifest.beside(file).write_bytes(replace(told, keys_epoch=9).encode())
    with pytest.raises(InvalidBackup):
        scene.load()
    manifest.beside(file).write_bytes(told.encode())
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)
    with pytest.raises(InvalidBackup):
        scene.load()
    manifest.beside(file).unlink()
    with pytest.raises(InvalidBackup):
        scene.load()


def test_never_over_a_living_database(scene, people):
    scene.back_up()
    with pytest.raises(Conflict):
        scene.load(url=scene.place.database)
    with pytest.raises(Conflict):  # the vault has it open
        scene.load(url=scene.place.database, replace=True)
    assert count(scene.vault, "subject") == 2


def test_a_database_that_nobody_has_open_is_set_aside_and_not_lost(scene, people):
    scene.back_up()
    url = scene.load()
    scene.load(url=url, replace=True)
    restored = scene.open(url)
    assert count(restored, "subject") == 2
    if scene.databases.backend == "sqlite":
        assert list(scene.folder.glob("restored-1.db.replaced-*"))
    else:
        assert rows(restored, "SELECT 1 FROM pg_namespace WHERE nspname LIKE 'replaced_%%'")


# Stopped on the way


def test_a_restore_stopped_anywhere_goes_on_where_it_was(scene, people):
    stays, goes = people
    scene.back_up()
    scene.whole(goes.subject)
    scene.run()
    url = scene.load()

    class Stopped(Exception):
        pass

    def stopping(after):
        told = []

        def progress(what, done, of):
            told.append(what)
            if len(told) > after:
                raise Stopped

        return progress

    for steps in range(12):
        vault = scene.open(url)
        with pytest.raises(RestoreUnfinished):
            restores.admit(vault, scene.history, scene.outside)
        try:
            scene.carry_on(vault, stopping(steps % 3))
        except Stopped:
            continue
        break
    restored = scene.open(url)
    assert restores.admit(restored, scene.history, scene.outside) == Carried()
    assert [each["act"] for each in entries(restored)].count("log.succession") == 1
    assert count(restored, "subject") == 1
    assert found(restored, "email", "Blaise.Morvan@example.com") == [stays.subject]


def test_a_load_that_fails_leaves_nothing(scene, people):
    scene.back_up()
    url = scene.vacant()

    def fail(at):
        raise InvalidBackup

    with pytest.raises(InvalidBackup):
        dumps.load(scene.folder / "data.backup", url, "00", fail, quiet)
    if scene.databases.backend == "sqlite":
        assert dumps.vacant(url)
        assert not list(scene.folder.glob("*unfinished*"))


# Data that came back by other means


def test_a_database_put_back_by_hand_is_guarded_before_it_serves(scene, people):
    """Where the checkpoint file was lost as well: with it an operator is asked first."""
    stays, goes = people
    nowhere = scene.folder / "no-checkpoint"
    dumps.dump(scene.place.database, scene.folder / "by-hand", quiet, quiet)
    scene.whole(goes.subject)
    scene.run()
    url = scene.vacant()
    dumps.load(scene.folder / "by-hand", url, "00", quiet, quiet)
    restored = scene.open(url)
    assert restores.admit(restored, scene.history, nowhere) == Carried(subjects=1)
    assert restores.admit(restored, scene.history, nowhere) == Carried()
    assert found(restored, "email", "Blaise.Morvan@example.com") == [stays.subject]


def test_a_log_put_back_by_hand_is_not_signed_until_an_operator_says_so(scene, people):
    dumps.dump(scene.place.database, scene.folder / "by-hand", quiet, quiet)
    take_in(scene.vault, person(OTHER))
    evidence.sign_checkpoints(scene.vault, scene.outside)
    url = scene.vacant()
    dumps.load(scene.folder / "by-hand", url, "00", quiet, quiet)
    restored = scene.open(url)
    with pytest.raises(SigningRefused):
        evidence.sign_checkpoints(restored, scene.outside)
    assert restores.begin(restored, scene.outside, now=scene.clock.now())
    assert scene.carry_on(restored).successions[0].lost > 0
    assert evidence.sign_checkpoints(restored, scene.outside)
    assert not restores.begin(restored, scene.outside, now=scene.clock.now())


def test_the_guard_does_not_grow_a_log_that_lacks_what_was_signed(scene, people):
    dumps.dump(scene.place.database, scene.folder / "by-hand", quiet, quiet)
    scene.whole(people[1].subject)
    scene.run()
    evidence.sign_checkpoints(scene.vault, scene.outside)
    url = scene.vacant()
    dumps.load(scene.folder / "by-hand", url, "00", quiet, quiet)
    restored = scene.open(url)
    before = entries(restored)
    with pytest.raises(RestoreUnfinished):
        restores.admit(restored, scene.history, scene.outside)
    assert entries(restored) == before
    assert restores.begin(restored, scene.outside, now=scene.clock.now())
    assert scene.carry_on(restored).carried == Carried(subjects=1)
    assert restores.admit(restored, scene.history, scene.outside) == Carried()


def test_a_vault_that_is_well_has_nothing_to_do(scene, people):
    assert not restores.begin(scene.vault, scene.outside, now=scene.clock.now())
    assert restores.admit(scene.vault, scene.history, scene.outside) == Carried()


def test_a_leaf_that_went_without_an_erasure_stops_the_guard(scene, people):
    """A damaged keystore must not look like a thousand erasures."""
    rows_before = count(scene.vault, "field_value")
    store = scene.changing()._store
    addresses = [address for address, _ in store.current().items()]
    with closing(sqlite3.connect(scene.place.keystore)) as db, db:
        db.execute(
            "UPDATE page SET body = zeroblob(length(body)) WHERE address IN (SELECT address FROM page LIMIT 300)"
        )
    assert addresses
    fresh = scene.open(scene.place.database)
    with pytest.raises(Damaged):
        guard.carry(fresh, frozenset())
    assert count(fresh, "field_value") == rows_before


# The keystore


def test_a_keystore_brought_back_from_a_copy_gives_out_no_leaf_twice(scene, people):
    scene.copy_keystore(scene.folder / "early.copy")
    take_in(scene.vault, *[person(OTHER) for _ in range(30)])
    used = {row[0] for row in rows(scene.vault, "SELECT slot FROM compartment UNION SELECT log_slot FROM subject")}
    scene.vault.keys.close()
    scene.close_stores()
    scene.place.keystore.unlink()
    keystores.bring_back(
        scene.folder / "early.copy", scene.place.keystore, scene.place.provider, scene.vault.deployment,
        scene.place.database, entropy=SystemEntropy(),
    )  # fmt: skip
    fresh = scene.open(scene.place.database)
    assert not used & {slot.number for slot in fresh.keys.reserve(200)}
    assert value(fresh, people[0].subject, "birth_date") == OTHER["birth_date"]


def test_what_is_left_of_a_lost_keystore_is_in_the_way(scene, people):
    scene.copy_keystore(scene.folder / "early.copy")
    target = scene.folder / "again.keystore"
    target.with_name("again.keystore-wal").write_bytes(b"left")
    with pytest.raises(Conflict):
        keystores.bring_back(
            scene.folder / "early.copy", target, scene.place.provider, scene.vault.deployment, None,
            entropy=SystemEntropy(),
        )  # fmt: skip


def test_a_copy_of_an_epoch_that_ended_is_no_keystore(scene, people):
    scene.copy_keystore(scene.folder / "early.copy")
    scene.run(anyway=True)
    target = scene.folder / "again.keystore"
    with pytest.raises(VaultError):
        keystores.bring_back(
            scene.folder / "early.copy", target, scene.place.provider, scene.vault.deployment, None,
            entropy=SystemEntropy(),
        )  # fmt: skip
    assert not target.exists()


def test_a_copy_in_a_folder_is_brought_up_to_date(scene, people):
    folder = scene.folder / "carried"
    folder.mkdir()
    first = scene.copy_keystore(folder)
    scene.run(anyway=True)
    assert scene.copy_keystore(folder).epoch == first.epoch + 1


# The drill


@pytest.mark.parametrize("scope", ["whole", "category", "field"])
def test_an_erasure_that_a_crash_left_without_certificate_gets_one_in_the_log_that_follows(scene, people, scope):
    _, goes = people
    asks = {
        "whole": lambda: scene.whole(goes.subject),
        "category": lambda: scene.category(goes.subject, "contact"),
        "field": lambda: scene.field(goes.subject, "email"),
    }
    asked = asks[scope]()
    change = scene.changing()
    settling.settle(scene.vault)
    ended = change.run(lambda: epochrun.before_destroy(scene.vault))
    finishing.finish(scene.vault, [ended])  # and here it dies
    scene.back_up()
    scene.move(scene.load())
    scene.carry_on(scene.vault)
    scene.run()
    certificate = scene.certificate(asked)
    assert (certificate.epoch, certificate.origin) == (ended.epoch, scene.vault.origin)
    told = decode(certificate.entry)
    acts = {"whole": "subject.erased", "category": "category.erased", "field": "field.erased"}
    assert (told["act"], "com" in told) == (acts[scope], scope == "whole")


def test_the_drill_proves_survivors_and_erased_and_leaves_nothing(scene, people):
    stays, goes = people
    scene.back_up()
    scene.whole(goes.subject)
    change(scene.vault, stays, set={"ring_size": {"value": "54", "system": "eu"}})
    scene.run()
    before = (count(scene.vault, "field_value"), len(entries(scene.vault)), scene.vault.keys.status())
    found = scene.drill()
    assert found.holds
    assert found.values.identical > 0 and found.values.unreadable > 0 and not found.values.lost
    assert found.destroyed > 0 and not found.revived
    assert found.restored.carried == Carried(subjects=1)
    assert (count(scene.vault, "field_value"), len(entries(scene.vault)), scene.vault.keys.status()) == before
    assert {path.name for path in (scene.folder / "scratch").iterdir()} <= {"keystore.db", "checkpoint"} | {
        path.name for path in (scene.folder / "scratch").glob("checkpoint*")
    }
    if scene.databases.backend == "postgresql":
        assert not rows(scene.vault, "SELECT datname FROM pg_database WHERE datname LIKE 'ecrin_drill%%'")


def test_the_drill_says_which_values_only_newer_backups_have(scene, people):
    stays, _ = people
    scene.back_up()
    scene.field(stays.subject, "phone")
    scene.run()
    found = scene.drill()
    assert found.holds
    assert found.values.outdated > 0  # of the contact compartment, re-keyed when one field of it was erased
    scene.back_up("newer")
    assert scene.drill("newer").values.outdated == 0


def test_the_drill_finds_a_value_that_is_not_what_it_was(scene, people):
    """Somebody with the keys put another value in a row's place."""
    stays, _ = people
    scene.back_up()
    keys, subject = scene.vault.keys, stays.subject
    query = (
        "SELECT c.slot, c.generation, v.category_id, v.field_id, v.item, v.schema_version, v.version, v.holder"
        " FROM field_value v JOIN compartment c ON c.subject_id = v.subject_id AND c.category_id = v.category_id"
        " WHERE v.subject_id = ?"
    )
    slot, generation, category, field, item, schema, version, holder = rows(scene.vault, query, subject)[0]
    dek = SystemEntropy().bytes(32)
    (wrapped,) = keys.wrap([(Slot(slot, generation), dek)])
    named = domain(scene.vault.deployment, holder)
    context = FieldContext(named, subject, category, field, item, schema, version)
    forged = envelope.seal(dek, wrapped, generation, context, b"another value, sealed as well as any")
    where = "WHERE subject_id = ? AND category_id = ? AND field_id = ? AND version = ?"
    forgery = f"UPDATE field_value SET envelope = ? {where}"  # noqa: S608 - ours
    rows(scene.vault, forgery, forged, subject, category, field, version)
    found = scene.drill()
    assert found.values.different == 1
    assert not found.holds


def test_the_newest_backup_is_found_by_its_manifest(scene, people):
    scene.back_up("one")
    scene.clock.advance(60)
    scene.back_up("two")
    (scene.folder / "three.manifest.json").write_text(json.dumps({"format": 1}))
    assert manifest.newest(scene.folder, scene.vault.deployment).name == "two"
    with pytest.raises(InvalidBackup):
        manifest.newest(scene.folder, "another")


def test_a_password_reaches_the_programs_by_a_file():
    url = make_url("postgresql+psycopg://ecrin@host/db").set(password="se:cr\\et")
    with dumps.invocation("pg_dump", url, ("--format=custom",), name_database=True) as (command, environment):
        secret = Path(environment["PGPASSFILE"])
        assert secret.read_text() == "*:*:*:*:se\\:cr\\\\et\n"
        assert stat.S_IMODE(secret.stat().st_mode) == 0o600
        assert not [each for each in (*command, *environment.values()) if "cr\\et" in each]
        assert command[1:] == ["--dbname=postgresql://ecrin@host/db", "--format=custom"]
    assert not secret.exists()


# Copies, end to end


def test_nothing_is_destroyed_while_fewer_than_two_copies_are_verified(scene, people):
    stays, goes = people
    scene.back_up()
    epoch = scene.vault.keys.status().epoch
    scene.whole(goes.subject)
    lost = scene.copies.pop()
    with pytest.raises(TooFewCopies):
        scene.run()
    assert scene.vault.keys.status().epoch == epoch
    # The request holds all the same, the old root lives, and so the data can still be given back to whoever stays.
    assert isinstance(described(scene.vault, goes), UnknownReference)
    restored, done = scene.restore()
    assert done.carried.subjects == 0
    assert value(restored, stays.subject, "birth_date") == OTHER["birth_date"]
    scene.copies.append(lost)
    assert len(scene.run().ended) == 1
