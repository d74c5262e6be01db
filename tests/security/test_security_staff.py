"""Every route takes the header that names who stands behind a request, and no entry of it is without the name.

By the table of the authorisation matrix: a new route cannot come in that forgets it.
"""

from test_security_matrix import DISCLOSURE, ROUTES, SERVICE, call, closed_routes, code_of, known, token_of

from audit.pseudonym import veiled
from vault.staff import staff_keys, staff_told

__all__ = ["known"]

# What leaves no entry at once: a report that is asked for leaves one when it is made, and one when it is taken away.
SILENT = {("POST", "/v1/reports"), ("GET", "/v1/reports/{run_id}")}
WHO = [("Ecrin-Staff", "advisor-1")]
WRONG = ([("Ecrin-Staff", "Mme Aubin")], WHO * 2, [("Ecrin-Staff", "")])


def test_every_route_takes_who_stands_behind_it_and_the_entries_of_what_it_does_say_who(maison, pos, known):
    tokens = {kind: token_of(pos, kind, known) for kind in (*SERVICE, DISCLOSURE)}
    key = staff_keys(maison.vault.keys, ["aurelle"])["aurelle"]
    word = staff_told(maison.vault.keys, "aurelle", "advisor-1")
    for route in closed_routes():
        token, before = tokens[ROUTES[route].needs], len(maison.entries())
        for wrong in WRONG:
            answer = call(pos, route, token, known, wrong)
            assert (answer.status_code, code_of(answer)) == (400, "invalid_staff"), (route, wrong)
            assert "Aubin" not in answer.text
        assert len(maison.entries()) == before, route  # such a request did nothing
        assert call(pos, route, token, known, WHO).status_code < 300, route
        own = [each.read for each in maison.entries()[before:] if each.read["actor"]["k"] == "system"]
        assert bool(own) is (route not in SILENT), route
        told = {veiled(key, bytes.fromhex(each["id"]), bytes.fromhex(each.get("stf", "00"))).hex() for each in own}
        assert told == ({word} if own else set()), (route, [each["act"] for each in own])
    everything = b"".join(each.raw for each in maison.entries())
    assert b"advisor-1" not in everything and word.encode() not in everything


def test_where_nobody_is_named_no_entry_says_anybody(maison, pos, known):
    tokens = {kind: token_of(pos, kind, known) for kind in (*SERVICE, DISCLOSURE)}
    for route in closed_routes():
        assert call(pos, route, tokens[ROUTES[route].needs], known).status_code < 300, route
    assert not [each.act for each in maison.entries() if "stf" in each.read]
