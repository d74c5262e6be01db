"""The log's keys at the command line: shown, and a new one brought in."""

from audit.note import parse_vkey


def test_a_new_key_is_brought_in_once_and_shown_with_its_times(signed, ecrin):
    (first,) = ecrin("audit", "keys", "--json").json["keys"]
    assert (first["signs"], first["until"]) == (True, "")
    done = ecrin("audit", "rotate", "--days", "7", "--json")
    assert (done.code, done.json["generation"], done.json["before"]) == (0, 2, first["key"])
    assert parse_vkey(done.json["key"]).name == parse_vkey(first["key"]).name
    new, old = ecrin("audit", "keys", "--json").json["keys"]
    assert (new["key"], old["key"]) == (done.json["key"], first["key"])
    assert (new["signs"], old["signs"], new["until"], bool(old["until"])) == (True, True, "", True)
    again = ecrin("audit", "rotate")
    assert (again.code, "under way" in again.err) == (1, True)
    assert ecrin("audit", "rotate", "--days", "0").code == 2
    assert ecrin("audit", "verify").code == 0
