"""Crashes: at every write of an erasure, in the database or the keystore, somebody dies; whoever comes next finishes.

A crash is a unit of work, a key verb or a step of the change that never returns: the store keeps what was committed.
"""

import pytest
from erasure_scene import DPO, Scene
from maison_people import FIELDS, person, rows, take_in, value
from mortal_processes import run_mortal

from vault.erasure import epochrun, requests
from vault.erasure.requests import Erase
from vault.keys.copies import FolderPlace
from vault.runtime import SystemEntropy

OTHER = FIELDS | {"client_number": "AU-7", "phone": ["+33639980007"], "email": ["other@example.com"]}


def whole(scene, subject):
    def act(vault, change):
        requests.erase(vault, [Erase(subject, DPO)])
        epochrun.run(vault, change, scene.outside)

    return act


def field_and_category(scene, subject):
    def act(vault, change):
        catalogue = vault.bundle.catalogue
        requests.erase(vault, [requests.of_field(catalogue, subject, "email", DPO)])
        requests.erase(vault, [requests.of_category(catalogue, subject, "identity", DPO)])
        epochrun.run(vault, change, scene.outside)

    return act


MOST = 40


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("scope", [whole, field_and_category])
@pytest.mark.crash
def test_whoever_comes_next_finishes(scene, scope, after):
    """One scene, crash after crash: each person dies with the process at a later write than the one before."""
    vault = scene.vault
    (stays,) = take_in(vault, person(OTHER))
    for left in range(1, MOST):
        (goes,) = take_in(vault, person(FIELDS))
        died = run_mortal(scene, left, after, scope(scene, goes.subject))
        if died:
            scene.clock.advance(600)  # the lease of the dead
            asked = rows(vault, "SELECT count(*) FROM erasure WHERE subject_id = ? OR state <> 'done'", goes.subject)
            if scope is whole and asked == [(0,)] and value(vault, goes.subject, "email"):
                scene.whole(goes.subject)  # it died before the request was durable: asked for again
            elif scope is field_and_category:
                catalogue = vault.bundle.catalogue
                requests.erase(vault, [requests.of_field(catalogue, goes.subject, "email", DPO)])
                requests.erase(vault, [requests.of_category(catalogue, goes.subject, "identity", DPO)])
            scene.run()
        assert_done(scene, goes.subject, scope)
        assert value(vault, stays.subject, "email") == ["other@example.com"]
        assert scene.found("email", "other@example.com") == [stays.subject]
        if not died:
            assert left > 10
            return
    pytest.fail("the fuse never burnt down: more writes than expected")


def assert_done(scene, subject, scope):
    vault = scene.vault
    assert {state for (state,) in rows(vault, "SELECT state FROM erasure")} == {"done"}
    assert rows(vault, "SELECT count(*) FROM erasure WHERE certificate IS NULL") == [(0,)]
    assert {state for (state,) in rows(vault, "SELECT state FROM erasure_leaf")} == {"destroyed"}
    tables = ("subject", "relation", "compartment", "field_value", "search_token")
    if scope is whole:
        column = {"subject": "id"}
        for table in tables:
            query = f"SELECT count(*) FROM {table} WHERE {column.get(table, 'subject_id')} = ?"  # noqa: S608 - ours
            assert rows(vault, query, subject) == [(0,)], table
    else:
        email = vault.bundle.catalogue.field("email").id
        query = "SELECT count(*) FROM field_value WHERE subject_id = ? AND (field_id = ? OR category_id = 1)"
        assert rows(vault, query, subject, email) == [(0,)]
        assert value(vault, subject, "phone") == ["+33639981234", "+971501234567"]
    assert scene.found("client_number", "AU-0042") == []
    status = vault.keys.status()
    assert (status.change, status.retired, status.retiring) == (None, 0, None)
    assert {epoch for (epoch,) in rows(vault, "SELECT epoch FROM search_token")} <= {status.epoch}


def test_a_second_process_starts_where_the_first_died(scene, opening, bundle, place, tmp_path, clock):
    """The reconciler of another process, with its own key service and connections."""
    vault = scene.vault
    (goes,) = take_in(vault, person(FIELDS))
    assert run_mortal(scene, 1, True, whole(scene, goes.subject))  # the request is durable, nothing is queued
    again = Scene.__new__(Scene)
    again.vault, again.place, again.clock = opening(bundle), place, clock
    again.outside, again.stores = scene.outside, []
    again.copies = [FolderPlace(tmp_path / name, SystemEntropy()) for name in ("copy-one", "copy-two")]
    again.run()
    assert_done(again, goes.subject, whole)
    assert_done(scene, goes.subject, whole)
    again.close()
