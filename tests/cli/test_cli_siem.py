"""`siem`: tells what there is and where it stopped, needs no key, says in the log that it tells, and ends with a code."""

import json
import shutil


def told(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_what_there_is_is_told_once_and_then_what_came(importer, home, ecrin, tmp_path):
    out = tmp_path / "events.ndjson"
    assert ecrin("siem", out, "--once").code == 0
    first = told(out)
    assert [each["metadata"]["sequence"] for each in first] == list(range(len(first)))
    assert first[-1]["message"] == "audit.exported"  # that it is told is in the log, and is told
    assert "siem:ocsf" in first[-1]["unmapped"]["rules"]
    assert ecrin("siem", out, "--once").code == 0
    assert [each["message"] for each in told(out)[len(first) :]] == ["audit.exported"]
    assert (home / "siem.ocsf.cursor").exists()


def test_each_shape_has_a_cursor_of_its_own_and_history_may_stay_untold(importer, home, ecrin, tmp_path):
    for form in ("ocsf", "ecs", "cef", "cloudevents"):
        assert ecrin("siem", tmp_path / form, "--format", form, "--once", "--from-now").code == 0
        assert len((tmp_path / form).read_text().splitlines()) == 1
    assert (tmp_path / "cef").read_text().startswith("CEF:0|Ecrin|Vault|")


def test_it_needs_no_key(importer, home, ecrin, tmp_path):
    shutil.rmtree(home / "roots")
    (home / "keystore.db").unlink()
    assert ecrin("siem", tmp_path / "out", "--once").code == 0
    assert told(tmp_path / "out")


def test_it_says_how_it_ended(importer, home, ecrin, tmp_path):
    assert ecrin("siem", "http://siem.example/x", "--once").code == 2
    assert ecrin("siem", tmp_path / "x", "--once", "--format", "xml").code == 2
    assert ecrin("siem", tmp_path / "x", "--once", "--token-file", tmp_path / "none").code == 2
    assert ecrin("siem", "http://127.0.0.1:1/", "--once").code == 4
    (home / "siem.ocsf.cursor").write_text("{}")
    ended = ecrin("siem", tmp_path / "x", "--once")
    assert (ended.code, "Traceback" in ended.err) == (1, False)
