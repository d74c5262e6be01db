"""What a thief of every old backup finds after an erasure, with all keys that still live: nobody who was erased."""

import sqlite3

import psycopg
import pytest
from maison_people import AURELLE, FIELDS, given, person, rows, take_in, value

from vault import envelope, searchepochs
from vault.errors import KeyUnavailable
from vault.keys.service import Slot
from vault.search import message

SENTINEL = "zz-sentinel-8c41"
VICTIM = FIELDS | {"email": [f"{SENTINEL}@example.com"], "client_number": "ZZ-8C41", "known_as": SENTINEL}
OTHER = {"email": ["stays@example.com"], "client_number": "AU-7", "known_as": "Blanche"}


class Backup:
    """Every row of the tables that matter, as a stolen dump has them."""

    def __init__(self, vault):
        self.tokens = rows(vault, "SELECT token, subject_id, epoch, field_id, brand FROM search_token")
        self.values = rows(
            vault,
            "SELECT v.subject_id, v.field_id, v.envelope, c.slot, c.generation FROM field_value v "
            "JOIN compartment c ON c.subject_id = v.subject_id AND c.category_id = v.category_id",
        )
        self.subjects = rows(vault, "SELECT id, log_slot, log_generation, log_key FROM subject")

    def opens(self, vault):
        """Subjects any of whose data keys, or log keys, a living key service unwraps."""
        items = [(bytes(s), Slot(slot, g), envelope.parse(bytes(e)).wrapped) for s, _, e, slot, g in self.values]
        items += [(bytes(s), Slot(slot, g), bytes(key)) for s, slot, g, key in self.subjects]
        keys = vault.keys.unwrap([(slot, wrapped) for _, slot, wrapped in items])
        return {subject for (subject, _, _), key in zip(items, keys, strict=True) if key is not None}

    def opened(self, vault):
        """The (subject, category) pairs of which a living key service unwraps any data key."""
        items = [(bytes(s), field // 100, Slot(slot, g), bytes(e)) for s, field, e, slot, g in self.values]
        keys = vault.keys.unwrap([(slot, envelope.parse(stored).wrapped) for *_, slot, stored in items])
        return {
            (subject, category) for (subject, category, *_), key in zip(items, keys, strict=True) if key is not None
        }

    def found(self, vault, dictionary):
        """Subjects whom a dictionary of e-mails finds in the stolen tokens, under every index key that lives."""
        field = vault.bundle.catalogue.field("email")
        stolen = {bytes(token): bytes(subject) for token, subject, *_ in self.tokens}
        hits = set()
        for epoch in vault.keys.index_epochs():
            label = f"search/{AURELLE}/{field.id}/{field.search}"
            made = vault.keys.blind(label, [message(field, each) for each in dictionary], epoch)
            hits |= {stolen[token] for token in made if token in stolen}
        return hits


DICTIONARY = [f"{SENTINEL}@example.com", "stays@example.com", *(f"guess{each}@example.com" for each in range(50))]


def test_a_dictionary_run_against_every_old_backup_finds_nobody(scene):
    vault = scene.vault
    stays, goes = take_in(vault, person(OTHER), person(VICTIM, consents=[given()]))
    before = Backup(vault)
    # Positive control: today the thief's dictionary and keys find both.
    assert before.found(vault, DICTIONARY) == {stays.subject, goes.subject}
    assert before.opens(vault) == {stays.subject, goes.subject}
    scene.whole(goes.subject)
    requested = Backup(vault)
    assert requested.opens(vault) == {stays.subject}  # refused from the request on
    scene.run()
    # The epoch's index key is gone for all: even who stays is not found in an old backup, and is in the new one.
    assert before.found(vault, DICTIONARY) == requested.found(vault, DICTIONARY) == set()
    assert Backup(vault).found(vault, DICTIONARY) == {stays.subject}
    assert before.opens(vault) == {stays.subject}
    with pytest.raises(KeyUnavailable):
        vault.keys.blind("search/aurelle/202/email/1", [b"x"], 0)
    with pytest.raises(KeyUnavailable):
        vault.keys.reblind([bytes(before.tokens[0][0])], 0, 1)


def test_a_field_and_a_category_are_out_of_reach_in_old_backups_too(scene):
    vault = scene.vault
    (goes,) = take_in(vault, person(VICTIM))
    before = Backup(vault)
    email = vault.bundle.catalogue.field("email").id
    (old,) = [row for row in before.values if row[1] == email]
    scene.field(goes.subject, "email")
    scene.category(goes.subject, "identity")
    scene.run()
    keys = vault.keys.unwrap(
        [(Slot(slot, g), envelope.parse(bytes(stored)).wrapped) for _, _, stored, slot, g in before.values]
    )
    opened = {row[1] for row, key in zip(before.values, keys, strict=True) if key is not None}
    gone = {each.id for name in ("contact", "identity") for each in vault.bundle.catalogue.category(name).fields}
    assert not opened & gone  # of contact, what stays lives on under another leaf
    assert value(vault, goes.subject, "phone") == ["+33639981234", "+971501234567"]
    assert vault.keys.rewrap([(Slot(*old[3:5]), Slot(*old[3:5]), envelope.parse(bytes(old[2])).wrapped)]) == [None]


def test_an_old_keystore_and_every_root_that_lives_open_nobody_who_went(scene, tmp_path):
    from vault.errors import VaultError
    from vault.keys.keystore import open_keystore

    vault = scene.vault
    (goes,) = take_in(vault, person(VICTIM))
    backup = Backup(vault)
    old = tmp_path / "old"
    old.mkdir()
    with sqlite3.connect(scene.place.keystore) as live, sqlite3.connect(old / "keystore") as copy:
        live.backup(copy)
    (old / "keystore").chmod(0o600)
    scene.whole(goes.subject)
    scene.run()
    with pytest.raises(VaultError):
        open_keystore(old / "keystore", scene.place.provider, vault.deployment)
    assert backup.opens(vault) == set()


def test_no_stored_byte_shows_who_went(scene, tmp_path, databases):
    """All files, the write-ahead logs too; on PostgreSQL every column of every table."""
    vault = scene.vault
    stays, goes = take_in(vault, person(OTHER), person(VICTIM, consents=[given()]))
    envelopes = [
        bytes(each) for (each,) in rows(vault, "SELECT envelope FROM field_value WHERE subject_id = ?", goes.subject)
    ]
    requested = scene.whole(goes.subject)
    note = scene.run() and scene.certificate(requested)
    needles = [SENTINEL.encode(), b"ZZ-8C41", goes.subject, goes.subject.hex().encode(), *envelopes]
    needles += [each.encode() for each in goes.references.values()]
    assert note.scope == "subject"
    hits = []
    if databases.backend == "sqlite":
        haystack = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
        assert any(b"SQLite format" in content for content in haystack.values())
    else:
        haystack = dump(vault)
    for path, content in haystack.items():
        hits += [(path, needle[:8]) for needle in needles if needle in content]
    assert hits == []
    assert value(vault, stays.subject, "known_as") == "Blanche"


def dump(vault):
    url = vault.engine.url.set(drivername="postgresql").render_as_string(hide_password=False)
    found = {}
    with psycopg.connect(url) as conn:
        tables = conn.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public'").fetchall()
        for (table,) in tables:
            with conn.cursor().copy(f"COPY {table} TO STDOUT (FORMAT BINARY)") as copy:
                found[table] = b"".join(bytes(each) for each in copy)
    return found


def test_a_restored_backup_says_how_many_cannot_be_found(scene):
    vault = scene.vault
    take_in(vault, person(OTHER))
    rows(vault, "UPDATE search_token SET epoch = 99")
    with vault.reading() as conn:
        assert searchepochs.left_behind(conn, vault.keys.index_epochs()) == 2
    assert scene.run(anyway=True).ended  # a token that nobody can move stops nothing
