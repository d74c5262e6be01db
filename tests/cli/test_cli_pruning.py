"""`ecrin audit prune`: it says first what would go, asks for what holds it, and leaves a log that verifies."""

import time

import pytest
from signing_server import checkpointed

from vault.runtime import SystemClock

MONTHS = 400 * 86_400


@pytest.fixture
def shift(monkeypatch):
    """How many seconds the clock of every command is off: at first by more than a year."""
    off = [-MONTHS]
    monkeypatch.setattr(SystemClock, "now", lambda _self: int(time.time()) + off[0])
    return off


@pytest.fixture
def aged(shift, home):
    """A deployment whose log has 300 entries of more than a year ago."""
    from api import bootstrap
    from api.settings import load
    from audit.entry import Act, Actor, ActorKind, Entry, Outcome

    vault = bootstrap.open_from(load())
    with vault.unit() as uow:
        for _ in range(300):
            uow.record(Entry(Act.LOG_HEARTBEAT, Outcome.ALLOW, Actor(ActorKind.VAULT, "vault")))
        uow.commit()
    vault.close()
    checkpointed(home)
    shift[0] = 0
    return home


def test_what_would_go_is_told_and_goes_once_it_is_held(aged, ecrin, tmp_path):
    told = ecrin("audit", "prune", "--json").json
    assert (told["kept_from"], told["would_keep_from"], told["months"]) == (0, 256, 12)
    assert {each["needs"] for each in told["bounds"]} == {"retention", "signed"}
    (period,) = told["exports"]
    refused = ecrin("audit", "prune", "--yes")
    assert (refused.code, "in no evidence bundle" in refused.err) == (1, True)
    file = tmp_path / "archive.zip"
    export = ("audit", "export", file, "--for", "archive", "--from", period["since"], "--to", period["until"])
    assert ecrin(*export).code == 0
    assert ecrin("audit", "prune", "--archive", file).out.startswith("The policy keeps entries for 12 months. Nothing")
    assert ecrin("audit", "prune", "--json").json["kept_from"] == 0  # still nothing
    done = ecrin("audit", "prune", "--yes", "--archive", file, "--json")
    assert (done.code, done.json["kept_from"], done.json["pruned"], done.json["carried"]) == (0, 256, 256, 0)
    verified = ecrin("audit", "verify")
    assert (verified.code, "entries 0 to 255 pruned under policy" in verified.out) == (0, True)
    again = ecrin("audit", "prune", "--yes", "--archive", file)
    assert (again.code, "nothing to prune" in again.out) == (0, True)
    early = ecrin(
        "audit", "export", tmp_path / "x.zip", "--for", "x", "--from", period["since"], "--to", period["since"]
    )
    assert early.code != 0
    assert ecrin("audit", "verify", "--bundle", file).code == 0


def test_a_monitoring_system_that_was_not_told_holds_it(aged, ecrin, tmp_path):
    cursor = tmp_path / "cursor"
    told = ecrin("audit", "prune", "--cursor", cursor, "--json").json
    assert (told["would_keep_from"], {"needs": "monitoring", "first": 0} in told["bounds"]) == (0, True)
    cursor.write_text("nonsense")
    assert ecrin("audit", "prune", "--cursor", cursor).code == 2


def test_the_key_holders_lines_must_reach_as_far(aged, ecrin, tmp_path):
    lines = tmp_path / "lines"
    lines.write_text('{"event": "keyd.opened", "time": "2000-01-01T00:00:00Z", "count": 1}\n')
    told = ecrin("audit", "prune", "--lines", lines, "--json").json
    assert told["would_keep_from"] == 0
    lines.write_text('{"event": "keyd.opened", "time": "2100-01-01T00:00:00Z", "count": 1}\n')
    assert ecrin("audit", "prune", "--lines", lines, "--json").json["would_keep_from"] == 256
    lines.write_text("none of it")
    assert ecrin("audit", "prune", "--lines", lines).code == 2
