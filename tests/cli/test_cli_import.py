"""`ecrin import`: the same rows as over HTTP, from a file; refused ones named, those that are in skipped."""

import json

import pytest

CANARY = "canary-51de"


def line(number, **more):
    fields = {"client_number": f"AU-{number:04}", "phone": [f"+3363998{number:04}"]}
    return json.dumps({"ref": f"row-{number}", "fields": fields} | more)


@pytest.fixture
def rows(tmp_path):
    def written(*lines, name="people.ndjson"):
        path = tmp_path / name
        content = b"".join((each if isinstance(each, bytes) else each.encode()) + b"\n" for each in lines)
        path.write_bytes(content)
        return path

    return written


def test_a_wrong_call_imports_nothing(importer, ecrin, rows, tmp_path):
    file = rows(line(1))
    for arguments in (
        (file, "--system", "nobody", "--key", "k"),
        (tmp_path / "none.ndjson", "--system", importer, "--key", "k"),
        (tmp_path, "--system", importer, "--key", "k"),
        (file, "--system", importer),
        (rows("client_number,phone", "1,2", name="x.csv"), "--system", importer, "--key", "k"),
        (rows('ref,"x', "1,2", name="y.csv"), "--system", importer, "--key", "k"),
        (file, "--system", importer, "--key", ""),
    ):
        ended = ecrin("import", *arguments)
        assert ended.code == 2, arguments
        assert "Traceback" not in ended.err
    ecrin("system", "disable", importer)
    assert ecrin("import", file, "--system", importer, "--key", "k").code == 2


def test_a_file_is_taken_in_and_what_is_refused_is_named(importer, ecrin, rows):
    bad = (
        f'{{"ref": "{CANARY}',
        line(3, fields={"email": [CANARY]}),
        line(4, holdings=[{"brand": "solenne"}], fields=None),
    )
    file = rows(
        line(1), *bad, line(5), line(6, fields=None, holdings=[{"brand": "vantier", "fields": {"known_as": "x"}}])
    )
    told = ecrin("import", file, "--system", importer, "--key", "first", "--json")
    assert told.code == 1
    assert told.json["counts"] == {"created": 3, "refused": 3}
    assert [(each["ref"], each["code"]) for each in told.json["refused"]] == [
        ("#2", "malformed_row"),
        ("row-3", "invalid_fields"),
        ("row-4", "foreign_brand"),
    ]
    assert told.json["refused"][1]["fields"][0]["name"] == "email"
    assert CANARY not in told.out + told.err
    text = ecrin("import", file, "--system", importer, "--key", "first")
    assert text.code == 1
    assert "3 existing, 3 refused" in text.out
    assert "row-3: invalid_fields email" in text.out
    assert CANARY not in text.out + text.err


def test_an_import_is_resumed_by_its_name(importer, ecrin, rows):
    first = ecrin("import", rows(*(line(n) for n in range(250))), "--system", importer, "--key", "load", "--json")
    assert (first.code, first.json) == (0, {"counts": {"created": 250}, "refused": []})
    whole = rows(*(line(n) for n in range(410)))
    second = ecrin("import", whole, "--system", importer, "--key", "load", "--json")
    assert (second.code, second.json["counts"]) == (0, {"created": 160, "existing": 250})
    changed = rows(line(0, region="it"), line(1))
    third = ecrin("import", changed, "--system", importer, "--key", "load", "--json")
    assert (third.code, third.json["counts"]) == (1, {"existing": 1, "refused": 1})
    assert third.json["refused"][0]["code"] == "row_mismatch"


def test_csv_by_its_ending(importer, ecrin, process, rows):
    file = rows(
        b"\xef\xbb\xbfref,region,client_number,phone,delivery_instructions",
        '1,fr,AU-1,+33639981201,"Ring twice,\r\nplease"',
        "2,fr,AU-2,nobody,",
        "3,fr",
        "4,it,AU-4,+33639981204,",
        name="people.CSV",
    )
    told = process("import", str(file), "--system", importer, "--key", "csv", "--json")
    assert told.code == 1, told.err
    assert told.json["counts"] == {"created": 2, "refused": 2}
    assert [each["ref"] for each in told.json["refused"]] == ["2", "#3"]
    empty = ecrin("import", rows("", name="empty.ndjson"), "--system", importer, "--key", "none")
    assert (empty.code, "no rows" in empty.out) == (0, True)


def test_a_record_of_no_end_is_refused_and_no_crash(importer, ecrin, rows):
    ended = ecrin("import", rows("x" * (1 << 19)), "--system", importer, "--key", "long")
    assert ended.code in {1, 2}
    assert "Traceback" not in ended.err
    assert ended.err


def test_what_was_imported_is_in_the_log(importer, ecrin, rows, home):
    from api import bootstrap
    from api.settings import load

    assert ecrin("import", rows(line(1), line(2)), "--system", importer, "--key", "k").code == 0
    vault = bootstrap.open_from(load())
    with vault.engine.connect() as conn:
        acts = [json.loads(bytes(body))["act"] for (body,) in conn.exec_driver_sql("SELECT body FROM log_entry")]
    vault.close()
    assert acts.count("subject.registered") == 2
