"""Telling the log to monitoring: at least once and in order, through a dead, slow or lying receiver, and nobody waits for it."""

import json
import threading

import pytest
from maison_people import rows
from siem_receivers import frames, receiving, syslog

from api.observability.logs import Log
from api.siem.cursor import Cursor, CursorUnavailable, held
from api.siem.follower import BATCH, Broken, Follower
from api.siem.shapes import SHAPES, Form
from api.siem.sinks import HttpSink, StreamSink, SyslogSink, Undelivered, sink_of
from audit.entry import Act, Actor, ActorKind, Entry, Outcome
from vault import evidence, pruning
from vault.pruningbounds import Plan

SILENT = "http://127.0.0.1:1/events"  # nobody listens on the first port


@pytest.fixture
def log(clock):
    return Log(clock)


@pytest.fixture
def grow(store):
    def grown(count):
        with store.unit() as uow:
            for _ in range(count):
                uow.record(Entry(Act.TOKEN_REVOKED, Outcome.ALLOW, Actor(ActorKind.SYSTEM, "aurelle-crm")))
            uow.commit()

    grown(3)
    return grown


@pytest.fixture
def size(store):
    return lambda: rows(store, "SELECT size FROM log_head")[0][0]


def follower(store, folder, sink, log, form=Form.OCSF):
    return Follower(store, Cursor(folder / "cursor"), SHAPES[form], sink, log)


def indexes(receiver):
    return [json.loads(line)["metadata"]["sequence"] for body in receiver.bodies for line in body.splitlines()]


@pytest.fixture
def receiver():
    with receiving() as made:
        yield made


def test_every_entry_is_told_once_and_in_order(store, grow, size, receiver, tmp_path, log):
    grow(2 * BATCH)
    with HttpSink(receiver.url, "secret-token") as sink:
        teller = follower(store, tmp_path, sink, log)
        assert teller.drain() == size()
        grow(5)
        assert (teller.drain(), teller.drain()) == (5, 0)
    assert indexes(receiver) == list(range(size()))
    assert receiver.headers_seen[0]["Authorization"] == "Bearer secret-token"
    assert receiver.headers_seen[0]["Content-Type"] == "application/x-ndjson"
    assert len(receiver.bodies) == 4


@pytest.mark.parametrize("form", list(Form))
def test_each_shape_reaches_the_receiver(store, grow, size, receiver, tmp_path, log, form):
    with HttpSink(receiver.url) as sink:
        follower(store, tmp_path, sink, log, form).drain()
    (body,) = receiver.bodies
    events = json.loads(body) if SHAPES[form].array else body.decode().splitlines()
    assert len(events) == size()


@pytest.mark.parametrize("status", [301, 400, 401, 404, 429, 500, 503])
def test_what_was_not_taken_comes_again(store, grow, size, receiver, tmp_path, log, status):
    with HttpSink(receiver.url) as sink:
        teller = follower(store, tmp_path, sink, log)
        receiver.status = status
        for _ in range(2):
            with pytest.raises(Undelivered, match=f"http_{status}"):
                teller.turn()
        receiver.status = 204
        teller.drain()
    assert indexes(receiver) == [*range(size())] * 3


def test_a_teller_that_died_after_the_receiver_took_it_tells_it_again(store, grow, size, receiver, tmp_path, log):
    """Between taking and remembering lies a moment in which a crash means twice, and never not at all."""
    with HttpSink(receiver.url) as sink:
        follower(store, tmp_path, sink, log).drain()
        cursor = (tmp_path / "cursor").read_bytes()
        grow(2)
        follower(store, tmp_path, sink, log).drain()
        (tmp_path / "cursor").write_bytes(cursor)  # as it was before the crash
        follower(store, tmp_path, sink, log).drain()
    told = indexes(receiver)
    assert told == [*range(size()), size() - 2, size() - 1]
    assert len({f"{store.origin}#{each}" for each in told}) == size()


def test_nobody_waits_for_a_receiver_that_never_answers(store, grow, size, receiver, tmp_path, log):
    """The follower hangs in the middle of a batch; writers and readers of the vault go on as if it were not there."""
    receiver.hang.set()
    stop = threading.Event()
    with HttpSink(receiver.url) as sink:
        teller = follower(store, tmp_path, sink, log)
        thread = threading.Thread(target=teller.follow, args=(stop,), daemon=True)
        thread.start()
        assert receiver.reached.wait(60)
        before = size()
        grow(20)
        assert size() == before + 20
        assert thread.is_alive()
        assert receiver.bodies == []  # it is waiting still
        receiver.hang.clear()
        receiver.let_go.set()
        stop.set()
        thread.join(60)
        teller.drain()
    assert indexes(receiver)[-1] == size() - 1
    assert set(indexes(receiver)) == set(range(size()))


def test_a_dead_receiver_is_tried_again_until_it_is_there(store, grow, size, tmp_path, clock):
    stop, lines = threading.Event(), []

    class Noting:
        def warning(self, event, **keys):
            lines.append((event, keys))
            stop.set()

    with HttpSink(SILENT) as sink:
        teller = follower(store, tmp_path, sink, Noting())
        teller.follow(stop)
    ((event, keys),) = lines
    assert (event.value, keys) == ("siem.undelivered", {"code": "unreachable"})
    assert not (tmp_path / "cursor").exists()
    with receiving() as alive, HttpSink(alive.url) as sink:
        follower(store, tmp_path, sink, Noting()).drain()
        assert indexes(alive) == list(range(size()))


def test_a_file_is_appended_to_a_line_an_event(store, grow, size, tmp_path, log):
    path = tmp_path / "events.ndjson"
    with StreamSink(path) as sink:
        follower(store, tmp_path, sink, log, Form.ECS).drain()
    grow(2)
    with StreamSink(path) as sink:
        follower(store, tmp_path, sink, log, Form.ECS).drain()
    events = [json.loads(line) for line in path.read_text().splitlines()]
    assert [each["event"]["sequence"] for each in events] == list(range(size()))
    with StreamSink(tmp_path / "none" / "x") as sink, pytest.raises(Undelivered):
        grow(1)
        follower(store, tmp_path, sink, log).drain()


def test_syslog_over_tls_gets_a_frame_an_event(store, grow, size, tmp_path, log):
    with syslog(tmp_path) as ((host, port), public, arrived, closed):
        with SyslogSink(host, port, "vault.example", public) as sink:
            follower(store, tmp_path, sink, log, Form.CEF).drain()
        assert closed.wait(60)
        found = frames(arrived)
        assert len(found) == size()
        assert found[-1].startswith(b"<110>1 2026-09-21T")
        assert b" vault.example ecrin - T03 - CEF:0|Ecrin|" in found[-1]


def test_syslog_of_an_unknown_certificate_is_not_told(store, grow, tmp_path, log):
    with syslog(tmp_path) as ((host, port), _, arrived, _closed):
        with SyslogSink(host, port, "vault.example") as sink, pytest.raises(Undelivered):
            follower(store, tmp_path, sink, log).drain()
        assert arrived == b""


def test_a_log_that_became_shorter_or_has_a_gap_is_not_gone_past(store, grow, size, tmp_path, log):
    with StreamSink(tmp_path / "events") as sink:
        teller = follower(store, tmp_path, sink, log)
        teller.drain()
        Cursor(tmp_path / "cursor").move(store.origin, size() + 1)
        with pytest.raises(Broken, match="were told"):
            follower(store, tmp_path, sink, log).turn()
        Cursor(tmp_path / "cursor").move(store.origin, 0)
        rows(store, "DELETE FROM log_entry WHERE idx = 0")
        with pytest.raises(Broken, match="entry 0"):
            follower(store, tmp_path, sink, log).turn()


def test_another_log_begins_anew_and_keeps_the_old_place(tmp_path):
    cursor = Cursor(tmp_path / "cursor")
    cursor.move("old.example/audit", 7)
    assert cursor.next("new.example/audit") is None
    cursor.move("new.example/audit", 2)
    again = Cursor(tmp_path / "cursor")
    assert (again.next("old.example/audit"), again.next("new.example/audit")) == (7, 2)


def test_one_teller_at_a_time_and_no_strange_cursor(tmp_path):
    path = tmp_path / "cursor"
    with held(path) as first:
        first.move("a", 1)
        with pytest.raises(CursorUnavailable, match="another process"), held(path):
            pass
    with held(path) as second:
        assert second.next("a") == 1
    for content in (
        b"",
        b"[]",
        b'{"v":2,"next":{}}',
        b'{"v":1,"next":{"a":-1}}',
        b'{"v":1,"next":{"a":true}}',
        b"\xff",
    ):
        path.write_bytes(content)
        with pytest.raises(CursorUnavailable):
            Cursor(path)
    with pytest.raises(CursorUnavailable), held(tmp_path / "none" / "cursor"):
        pass


@pytest.mark.parametrize(
    "target",
    [
        "http://siem.example/x",
        "ftp://siem.example",
        "https://u:p@siem.example",
        "https://169.254.169.254/latest",
        "syslog+tls://",
        "syslog+tls://host:99999",
        "syslog+tls://host/path",
    ],
)
def test_targets_that_are_none(target):
    assert isinstance(sink_of(target, "a/b"), str)


def test_targets_that_are_some(tmp_path):
    kinds = [
        sink_of(each, "vault.example/audit").kind
        for each in ("-", str(tmp_path / "x"), "https://siem.example/x", SILENT, "syslog+tls://siem.example")
    ]
    assert kinds == ["stdout", "file", "https", "https", "syslog"]


def test_a_log_that_was_pruned_is_told_from_where_it_begins_and_no_gap_is_passed_over(
    store, grow, size, receiver, tmp_path, log
):
    grow(300)
    outside = tmp_path / "kept"
    evidence.sign_checkpoints(store, outside)
    pruning.prune(store, Plan(0, 0, 256, 12, "ab" * 32, ()), ["cd" * 32], outside, Actor(ActorKind.VAULT, "operator"))
    with HttpSink(receiver.url, "secret-token") as sink:
        teller = follower(store, tmp_path, sink, log)
        teller.drain()
        assert indexes(receiver) == list(range(256, size()))
        behind = Cursor(tmp_path / "behind")
        behind.move(store.origin, 7)
        with pytest.raises(Broken, match="was pruned before it was told"):
            Follower(store, behind, SHAPES[Form.OCSF], sink, log).turn()
