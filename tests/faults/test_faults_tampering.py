"""Every stored column of a subject changed by hand, or swapped with another subject's: never another value, never a word.

What is bound into a ciphertext is refused; what is not bound (a copy of the shard, a time) changes nothing that is
shown. In between there is no third case: a look gives the right value, or none and a stable code.
"""

from contextlib import contextmanager

import pytest
from fault_scene import RING, SECRETS, Scene, assert_mute, person
from sqlalchemy import and_, delete, insert, select, update
from sqlalchemy.exc import DBAPIError, StatementError

from vault import references
from vault.errors import VaultError
from vault.store.tables import metadata
from vault.subjects import ingest

pytestmark = pytest.mark.xdist_group("faults")

OTHER_RING = "61.25"
TRUTH = {"value": RING, "system": "eu"}

# Columns by the row they belong to, and what a look may answer when one of them is not as written.
SUBJECT_ROWS = {
    "subject": ("log_slot", "log_generation", "log_key", "epoch", "state", "region", "restricted", "minor", "version"),
    "compartment": ("slot", "generation", "shard", "writes"),
    "field_value": ("item", "version", "shard", "holder", "current", "schema_version", "envelope"),
    "reference": ("brand", "pointer", "shard", "mac", "created_at"),
    "relation": ("brand", "reference_sealed", "shard", "created_at"),
    "token_subject": ("subject_epoch", "consent_epoch", "uses_left"),
    "access_token": ("system_id", "system_epoch", "jkt", "kind", "purpose", "detail", "expires_at", "revoked"),
    "consent_state": ("state", "epoch", "until_at", "purpose", "brand"),
}

# Not bound into any ciphertext, because they open nothing: such a change is no concern of a look.
UNBOUND = {
    ("subject", "version"),
    ("subject", "region"),
    ("compartment", "shard"),
    ("compartment", "writes"),
    ("field_value", "shard"),
    ("reference", "shard"),
    ("reference", "created_at"),
    ("relation", "shard"),
    ("relation", "created_at"),
    ("relation", "reference_sealed"),
    ("token_subject", "uses_left"),
    ("access_token", "expires_at"),
}
CODES = {
    "integrity_failure",
    "key_unavailable",
    "unknown_reference",
    "invalid_token",
    "insufficient_scope",
    "not_permitted",
    "uses_exhausted",
}


@pytest.fixture
def scene(vault):
    """Two subjects with different rings, each with a token."""
    made = Scene.on(vault)
    (other,) = made.run(ingest, person("AU-2", OTHER_RING))
    made.other, made.other_subject = other.references["aurelle"], other.subject
    made.other_token = made.token(made.other)
    return made


def rows_of(scene, table, *, other=False):
    """A condition that picks the first subject's rows of a table, or the other's."""
    columns = metadata.tables[table].c
    if table == "reference":
        with scene.vault.unit() as uow:
            bits = references.decode(scene.other if other else scene.reference)
            return columns.mac == references.macs(uow.vault.keys, "aurelle", [bits])[0]
    if table in {"token_subject", "access_token"}:
        key = columns.token_hash if table == "token_subject" else columns.hash
        return key == (scene.other_token if other else scene.disclosure)
    key = columns.id if table == "subject" else columns.subject_id
    return key == (scene.other_subject if other else scene.subject)


@contextmanager
def damage(scene, table, *changes):
    """Apply (values, condition) changes, and put the whole table back afterwards. Gives False if the schema refused."""
    rows = metadata.tables[table]
    with scene.vault.engine.connect() as conn:
        kept = [dict(row._mapping) for row in conn.execute(select(rows))]
    try:
        with scene.vault.engine.begin() as conn:
            for values, condition in changes:
                conn.execute(update(rows).where(condition).values(values))
    except (DBAPIError, StatementError):
        yield False
        return
    try:
        yield True
    finally:
        with scene.vault.engine.begin() as conn:
            conn.execute(delete(rows))
            conn.execute(insert(rows), kept)


def changed(value):
    """Other values of the same type, as somebody with an editor would try them."""
    if isinstance(value, bool):
        return [not value]
    if isinstance(value, int):
        return [value + 1, 0 if value else 7]
    if isinstance(value, str):
        return ["vantier" if value == "aurelle" else f"{value[:-1]}x", ""]
    if value is None:
        return [1]
    value = bytes(value)
    flipped = [_flip(value, place) for place in {0, 1, 2, 5, 6, len(value) // 2, len(value) - 1} if place < len(value)]
    return [*flipped, value[:-1], value + b"\0", b""]


def _flip(value, place):
    return value[:place] + bytes([value[place] ^ 1]) + value[place + 1 :]


def look(scene):
    (answer,) = scene.run(*scene.redeem())
    return answer if isinstance(answer, VaultError) else answer[0]


def shown(answer):
    return {each["name"]: each for each in answer["fields"]}


@pytest.mark.parametrize("table", SUBJECT_ROWS)
def test_a_changed_column_shows_nothing_wrong(scene, table):
    truth = shown(look(scene))
    assert truth["ring_size"]["value"] == TRUTH
    condition = rows_of(scene, table)
    for column in SUBJECT_ROWS[table]:
        with scene.vault.engine.connect() as conn:
            value = conn.execute(select(metadata.tables[table].c[column]).where(condition)).scalars().first()
        refused = 0
        for new in changed(value):
            with damage(scene, table, ({column: new}, condition)) as done:
                refused += held_against_truth(look(scene), truth) if done else 1
        assert held_against_truth(look(scene), truth) == 0, f"{column}: the change was not taken back"
        assert refused or (table, column) in UNBOUND, column


@pytest.mark.parametrize("table", SUBJECT_ROWS)
def test_a_swapped_column_never_shows_another_subjects_value(scene, table):
    """The other subject's column in the first one's rows, row by row: both were written by the vault and both open."""
    truth = shown(look(scene))
    rows = metadata.tables[table]
    mine, theirs = rows_of(scene, table), rows_of(scene, table, other=True)
    together = [
        each for each in rows.primary_key.columns if each.name in {"category_id", "field_id", "brand", "purpose"}
    ]
    with scene.vault.engine.connect() as conn:
        donors = [dict(row._mapping) for row in conn.execute(select(rows).where(theirs))]
    assert donors
    for column in SUBJECT_ROWS[table]:
        changes = [
            ({column: donor[column]}, and_(mine, *[each == donor[each.name] for each in together])) for donor in donors
        ]
        with damage(scene, table, *changes) as done:
            if done:
                held_against_truth(look(scene), truth)
        assert held_against_truth(look(scene), truth) == 0, column


def test_a_value_moved_between_fields_of_a_subject_does_not_open(scene):
    """Ring size and profession are both lines of text to a database; the envelope knows which field it was sealed for."""
    truth = shown(look(scene))
    rows = metadata.tables["field_value"]
    fields = scene.vault.bundle.catalogue
    phone, ring = fields.field("phone").id, fields.field("ring_size").id
    mine = rows_of(scene, "field_value")
    with scene.vault.engine.connect() as conn:
        moved = conn.execute(select(rows.c.envelope).where(mine, rows.c.field_id == phone)).scalars().first()
    with damage(scene, "field_value", ({"envelope": moved}, and_(mine, rows.c.field_id == ring))):
        answer = shown(look(scene))
    assert (answer["ring_size"]["decision"], answer["ring_size"]["value"]) == ("unreadable", None)
    assert answer["ring_size"]["reason"] == "integrity_failure"
    assert answer["phone"]["value"] == truth["phone"]["value"]  # the damage stays in its field


def test_a_whole_row_set_swapped_between_subjects_does_not_open(scene):
    """Compartment and values together, so that slot and wrapped key still fit each other."""
    truth = shown(look(scene))
    compartment, value = metadata.tables["compartment"], metadata.tables["field_value"]
    with scene.vault.engine.begin() as conn:
        for rows in (compartment, value):
            stolen = [
                dict(row._mapping) for row in conn.execute(select(rows).where(rows.c.subject_id == scene.other_subject))
            ]
            conn.execute(delete(rows).where(rows.c.subject_id == scene.subject))
            conn.execute(insert(rows), [each | {"subject_id": scene.subject} for each in stolen])
    answer = shown(look(scene))
    assert {each["decision"] for each in answer.values()} == {"unreadable"}
    assert truth["ring_size"]["value"] == TRUTH


def test_a_wrong_value_would_be_seen(scene):
    """The yardstick itself: what the other subject's own token shows is not what the first one's may show."""
    (answer,) = scene.run(*scene.redeem(scene.other_token, scene.other))
    with pytest.raises(AssertionError):
        held_against_truth(answer[0], shown(look(scene)))


def held_against_truth(answer, truth):
    """1 if something was refused; a value that is shown must be the true one."""
    if isinstance(answer, VaultError):
        assert answer.code in CODES, answer.code
        assert_mute(answer)
        return 1
    refused = 0
    for name, each in shown(answer).items():
        if each["value"] is None:
            refused += 1
            assert each["reason"] is None or not [secret for secret in SECRETS if secret in each["reason"]]
        else:
            assert each["value"] == truth[name]["value"], name
    return refused
