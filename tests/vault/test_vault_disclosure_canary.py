"""Canaries: values found nowhere but in what a grant reveals. Whole files are searched, write-ahead log included."""

import gc

import pytest
from maison_people import AURELLE, change, one, person, rows, take_in, value

from vault.errors import InvalidFields
from vault.search import Search, search
from vault.unit import execute

CANARY = "Zyxhraquil"
DIGITS = "639982468"


@pytest.fixture
def people(vault):
    fields = {
        "name": {"family": CANARY, "given": "Apolline"},
        "phone": [f"+33{DIGITS}"],
        "email": [f"{CANARY}@example.com"],
        "client_number": f"{CANARY}-1",
        "profession": CANARY,
        "allergies": [{"family": vault.bundle.catalogue.field("allergies").choices[0], "substance": CANARY}],
    }
    registered = one(take_in(vault, person(fields)))
    change(vault, registered, set={"profession": f"{CANARY} II"}, correct={"client_number": f"{CANARY}-2"})
    change(vault, registered, append={"phone": [f"+33{DIGITS[:-1]}9"]}, set={"email": [f"b.{CANARY}@example.com"]})
    execute(vault, search, [Search(AURELLE, "s", "phone", f"+33{DIGITS}"), Search(AURELLE, "s", "name", CANARY)])
    (refused,) = take_in(vault, person({"email": [CANARY], CANARY: "x"}))
    assert isinstance(refused, InvalidFields)
    assert CANARY not in f"{refused!r} {refused.problems}"
    assert value(vault, registered.subject, "profession") == f"{CANARY} II"
    return registered


def spelt(text):
    for each in (text, text.lower(), text.upper()):
        yield from (each.encode(), each.encode("utf-16-le"), each.encode().hex().encode())


def needles(registered):
    yield from spelt(CANARY)
    yield from spelt(DIGITS)
    for reference in registered.references.values():
        yield from spelt(reference.removeprefix("ref_"))


def test_no_file_holds_a_value_or_a_reference(vault, people, tmp_path):
    gc.collect()
    searched = 0
    for path in tmp_path.rglob("*"):
        if path.is_file():
            content = path.read_bytes()
            searched += len(content)
            assert not [needle for needle in needles(people) if needle in content], path.name
    assert searched > 10_000


def test_no_column_of_any_table_holds_a_value(vault, people):
    tables = rows(
        vault,
        "SELECT name FROM sqlite_master WHERE type = 'table'"
        if vault.engine.dialect.name == "sqlite"
        else "SELECT tablename FROM pg_tables WHERE schemaname = 'public'",
    )
    assert len(tables) > 10
    for (table,) in tables:
        for row in rows(vault, f'SELECT * FROM "{table}"'):  # noqa: S608 - names from the database's own catalogue
            content = b"|".join(
                bytes(each) if isinstance(each, bytes | memoryview) else str(each).encode() for each in row
            )
            assert not [needle for needle in needles(people) if needle in content], table


def test_no_internal_id_of_a_subject_is_in_the_log(vault, people):
    for (body,) in rows(vault, "SELECT body FROM log_entry"):
        assert people.subject.hex().encode() not in bytes(body)
        assert people.subject not in bytes(body)
