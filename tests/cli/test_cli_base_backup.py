"""A base backup of a whole PostgreSQL cluster, brought back as another cluster: what the guard makes of it by command."""

from contextlib import closing

import psycopg
import pytest
from maison_people import person, rows, take_in, value
from throwaway_postgres import ThrowawayPostgres

from api import bootstrap
from api.settings import load
from vault.errors import UnknownReference
from vault.subjects import describe
from vault.unit import execute, settled

DATABASE = "base_backup"

pytestmark = pytest.mark.postgresql


@pytest.fixture
def cluster(bare, monkeypatch, tmp_path):
    """A cluster of this deployment alone, and two places for copies of the keystore."""
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
    monkeypatch.setenv("ECRIN_KEYSTORE_COPIES", f"{tmp_path}/one,{tmp_path}/two")
    with ThrowawayPostgres() as made:
        made.make(DATABASE)
        monkeypatch.setenv("ECRIN_DATABASE_URL", made.url(DATABASE))
        yield made


def taken_in(*names):
    people = [person({"client_number": name, "email": [f"{name}@example.com"]}) for name in names]
    with closing(bootstrap.open_from(load())) as vault:
        return take_in(vault, *people)


def erased(ecrin, who):
    assert ecrin("erase", "--brand", "aurelle", "--reference", who.references["aurelle"]).code == 0
    assert ecrin("epoch", "run").code == 0


def test_a_base_backup_shows_whoever_stayed_and_nobody_who_was_erased_since(cluster, home, ecrin, monkeypatch):
    stays, goes, gone = taken_in("stays", "goes", "gone")
    erased(ecrin, gone)  # before the backup: there is nothing of this one in it
    base = cluster.back_up("base")
    taken_in("after")
    erased(ecrin, goes)
    with ThrowawayPostgres(base) as second:
        monkeypatch.setenv("ECRIN_DATABASE_URL", second.url(DATABASE))
        with psycopg.connect(second.url(DATABASE).replace("+psycopg", "")) as db:
            came = {bytes(subject) for (subject,) in db.execute("SELECT id FROM subject")}
        assert came == {stays.subject, goes.subject}  # as the backup has them
        assert ecrin("system", "list").code != 0  # a log that lacks what was signed is not served
        came_back = ecrin("restore", "--json")
        assert (came_back.code, came_back.json["restored"]) == (0, True), came_back.err
        with closing(bootstrap.open_from(load())) as vault:
            assert value(vault, stays.subject, "email") == ["stays@example.com"]
            assert rows(vault, "SELECT id FROM subject") == [(stays.subject,)]
            (unknown,) = execute(vault, settled(describe), [("aurelle", goes.references["aurelle"])])
            assert isinstance(unknown, UnknownReference)
        assert ecrin("audit", "verify").code == 0
        assert ecrin("restore").out.startswith("There is nothing to do")
