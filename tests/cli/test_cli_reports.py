"""`report`: lists, runs, writes and checks; wrong calls are 2, a changed file is 1, and each run is an entry."""

import json

import pytest


def test_reports_are_listed_with_their_questions(ecrin):
    told = ecrin("report", "list", "--json")
    assert told.code == 0
    assert {"access", "refusals"} <= {each["name"] for each in told.json["reports"]}
    assert all(each["question"].endswith("?") for each in told.json["reports"])


def test_a_report_is_written_and_checked(importer, ecrin, tmp_path):
    csv, note, document = tmp_path / "r.csv", tmp_path / "r.note", tmp_path / "r.json"
    assert ecrin("report", "run", "access", "--format", "csv", "--out", csv, "--note", note).code == 0
    assert csv.read_text().startswith("index,time,brand,actor")
    assert ecrin("report", "check", csv, "--note", note).code == 0
    csv.write_bytes(csv.read_bytes() + b"1")
    changed = ecrin("report", "check", csv, "--note", note)
    assert (changed.code, "not what was signed" in changed.err) == (1, True)
    assert ecrin("report", "run", "refusals", "--out", document, "--note", note).code == 0
    assert ecrin("report", "check", document, "--note", note).code == 0
    content = json.loads(document.read_text())["content"]
    assert content["report"] == "refusals"
    assert content["checkpoints"][0]["size"] > 0
    assert ecrin("report", "check", document, "--note", tmp_path / "none").code == 2


def test_a_run_is_written_to_standard_output_and_is_in_the_log(importer, ecrin):
    first = ecrin("report", "run", "refusals")
    assert json.loads(first.out)["content"]["rows"] == []
    second = ecrin("report", "run", "refusals")
    sizes = [json.loads(each.out)["content"]["checkpoints"][0]["size"] for each in (first, second)]
    assert sizes[1] == sizes[0] + 1


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (("nothing",), 1),
        (("access", "--from", "yesterday"), 2),
        (("access", "--from", "2026-11-24", "--to", "2026-11-01"), 2),
        (("access", "--most", "0"), 2),
        (("access", "--format", "xml"), 2),
        (("refusals", "--brand", "aurelle", "--reference", "ref_x"), 1),
        (("access", "--reference", "ref_x"), 1),
        (("blast_radius", "--system", "s", "--token", "not-a-hash"), 2),
        (("access", "--checkpoint", "/nowhere"), 2),
        (("access", "--brand", "aurelle", "--reference", "ref_x"), 1),
    ],
)
def test_wrong_calls(importer, ecrin, arguments, code):
    ended = ecrin("report", "run", *arguments)
    assert ended.code == code
    assert ended.out == ""
    assert "Traceback" not in ended.err


def test_a_last_day_is_in_the_period_and_a_moment_is_not():
    from api.cli.periods import _moment

    assert _moment("2026-11-24", ends=True) - _moment("2026-11-24", ends=False) == 86_400
    assert _moment("2026-11-24T00:00:00Z", ends=True) == _moment("2026-11-24", ends=False)
    assert _moment("2026-11-24T01:00:00+01:00", ends=True) == _moment("2026-11-24", ends=False)


def test_a_report_is_as_of_a_checkpoint_that_was_kept(importer, ecrin, tmp_path):
    first, kept = tmp_path / "first.json", tmp_path / "kept"
    assert ecrin("report", "run", "access", "--out", first).code == 0
    (upto,) = json.loads(first.read_text())["content"]["checkpoints"]
    kept.write_text(upto["note"], "utf-8")
    again = json.loads(ecrin("report", "run", "access", "--checkpoint", kept).out)["content"]
    assert (again["checkpoints"], again["filter"]["upto"]) == ([upto], str(upto["size"]))
    origin, size, root, *rest = upto["note"].split("\n")
    other = ("A" if root[0] != "A" else "B") + root[1:]
    kept.write_text("\n".join([origin, size, other, *rest]), "utf-8")
    refused = ecrin("report", "run", "access", "--checkpoint", kept)
    assert (refused.code, refused.out) == (1, "")


def test_what_waits_is_listed_and_what_is_not_there_is_not_taken(importer, ecrin, tmp_path):
    assert ecrin("report", "made", "--json").json["reports"] == []
    out = tmp_path / "taken.json"
    assert ecrin("report", "take", "0" * 32, "--out", out).code == 1
    assert ecrin("report", "take", "zz", "--out", out).code == 2
    assert not out.exists()
