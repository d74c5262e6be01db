"""The key holder's count against the log: what is explained, what stands out, and what is no line of the holder."""

import json

import pytest

from audit.entry import Act, Actor, ActorKind, Entry, Outcome, encode, sref
from audit.errors import CannotDecide
from audit.reconciliation import explained, holder_counts, reconcile

START = 1_790_000_000 - 1_790_000_000 % 3600 - 3600  # a full hour: 2026-09-21T13
KEY = b"\x07" * 32
SYSTEM = Actor(ActorKind.SYSTEM, "pos")


def body(number, entry, *, hour=0, about=True):
    identifier = b"%016d" % number
    return encode(entry, identifier, START + hour * 3600 + number % 3600, sref(KEY, identifier) if about else None)


def look(out=Outcome.ALLOW, act=Act.FIELD_DISCLOSED):
    return Entry(act, out, SYSTEM, fld=("phone:masked", "ring_size:raw"), pur="service.repair")


def line(hour, count, refused=0, **more):
    time = f"2026-09-21T{13 + hour:02}:30:00Z"
    return json.dumps({"event": "keyd.opened", "count": count, "refused": refused, "time": time} | more)


def test_what_the_log_explains():
    bodies = [
        body(0, look()),
        body(1, look(Outcome.ERROR)),
        body(2, look(Outcome.DENY, Act.FIELD_DENIED)),
        body(3, Entry(Act.SUBJECT_SEARCHED, Outcome.ALLOW, SYSTEM, n=3), about=False),
        body(4, Entry(Act.LOG_HEARTBEAT, Outcome.ALLOW, SYSTEM, n=900), about=False),
        body(5, look(), hour=1),
    ]
    assert explained(bodies) == {"2026-09-21T13": 3 + 3 + 1 + 3, "2026-09-21T14": 3}


def test_the_holders_lines_are_added_up_by_the_hour_and_others_passed_over():
    lines = [line(0, 5), line(0, 7, 2), line(1, 3), "", "no json", '{"event":"keyd.open"}', "[]", line(2, "many")]
    assert holder_counts(lines) == {"2026-09-21T13": (12, 2), "2026-09-21T14": (3, 0)}


@pytest.mark.parametrize("lines", [[], ["x"], ['{"event":"http.request"}']])
def test_a_file_without_them_decides_nothing(lines):
    with pytest.raises(CannotDecide):
        holder_counts(lines)


def test_ordinary_hours_do_not_stand_out():
    entries = explained([body(number, look(), hour=hour) for hour in range(4) for number in range(500)])
    done = reconcile(holder_counts([line(hour, 1_900) for hour in range(4)]), entries)
    assert done.unusual == ()
    assert (done.opened, done.explained) == (7_600, 6_000)
    assert [each.difference for each in done.hours] == [400] * 4


def test_keys_opened_without_entries_stand_out():
    entries = explained([body(number, look(), hour=hour) for hour in range(4) for number in range(500)])
    stolen = reconcile(holder_counts([line(hour, 1_900 if hour != 2 else 60_000) for hour in range(4)]), entries)
    assert stolen.unusual == ("2026-09-21T15",)
    quiet = reconcile(holder_counts([line(5, 50_000)]), entries)  # an hour in which nobody looked at anybody
    assert quiet.unusual == ("2026-09-21T18",)


def test_whatever_the_holder_refused_stands_out():
    assert reconcile(holder_counts([line(0, 1, refused=1)]), explained([])).unusual == ("2026-09-21T13",)


def test_a_thief_who_is_there_in_every_hour_does_not_become_the_usual():
    """The usual is taken from the same lines: were it not bounded, a file of one hour, or of stolen hours, would never stand out."""
    entries = explained([body(number, look(), hour=hour) for hour in range(4) for number in range(500)])
    for hours in (range(1), range(4)):
        stolen = reconcile(holder_counts([line(hour, 60_000) for hour in hours]), entries)
        assert len(stolen.unusual) == len(hours)


def test_of_hours_whose_entries_were_pruned_nothing_is_said():
    entries = explained([body(number, look(), hour=2) for number in range(600)])
    counts = holder_counts([line(hour, 1_900) for hour in range(3)])
    done = reconcile(counts, entries, "2026-09-21T14:20:00Z")
    assert ([each.hour for each in done.hours], done.unusual) == (["2026-09-21T15"], ())
    assert done.untold == ("2026-09-21T13", "2026-09-21T14")
    assert reconcile(counts, entries).untold == ()
