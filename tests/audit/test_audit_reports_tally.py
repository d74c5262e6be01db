"""A tally that is kept says what reading all of the log says, of this very log, and reads nothing twice."""

from collections import Counter

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import create_engine, text
from sqlalchemy.pool import StaticPool
from tamperable_log import ORIGIN, Ed25519Signer

from audit import ledger, tables
from audit.entry import Act, Actor, ActorKind, Entry, Outcome, encode
from audit.errors import InvalidEntry
from audit.reports.lines import lines, told, vouched
from audit.reports.tally import DAY, Tally
from audit.reports.uses import ACTS
from vault.store.engine import open_engine

TODAY = 20_700
SIGNER = Ed25519Signer(ORIGIN)
TILL = Actor(ActorKind.SYSTEM, "till")
UNREADABLE = b'{"act":"field.disclosed","out":"allow"'  # at no place where a reading looks for its beginning
FIELDS = ("phone:masked", "name:raw")


def looked(actor=TILL, fields=FIELDS, out=Outcome.ALLOW, act=Act.FIELD_DISCLOSED):
    return Entry(act, out, actor, fields, "clienteling.in_store")


class Log:
    """The log of a database: appended to, signed, read."""

    def __init__(self, engine, names=0):
        self.engine, self.names = engine, names
        with engine.begin() as conn:
            ledger.create_head(conn, 0, ORIGIN, TODAY * DAY)

    def add(self, *entries, at=TODAY * DAY, signed=True):
        with self.engine.begin() as conn:
            bodies = []
            for entry in entries:
                self.names += 1
                name = self.names.to_bytes(16)
                bodies.append((name, encode(entry, name, at, None)))
            ledger.append(conn, 0, bodies, at)
        if signed:
            with self.engine.begin() as conn:
                ledger.sign_checkpoint(conn, 0, (SIGNER,), None)

    def run(self, statement, **values):
        with self.engine.begin() as conn:
            conn.execute(text(statement), values)

    def days(self, tally, first=TODAY - 29):
        return tally.days(self.engine.begin, first)

    def count(self, tally, first=TODAY - 29):
        return sum(day.entries.total() for day in self.days(tally, first).values())

    def counted(self, first=TODAY - 29):
        """What reading all of it says: entries by day and system, fields by day and kind."""
        entries, fields = Counter(), Counter()
        with self.engine.begin() as conn:
            for line in lines(conn, vouched(conn), first * DAY, 2**33, ACTS):
                actor = line.content["actor"]
                if line.content["out"] != "allow":
                    continue
                system = actor["id"] if actor["k"] == "system" else ""
                entries[line.at[:10], system] += 1
                for name in line.content.get("fld", ()):
                    field, level = name.split(":")[:2]
                    fields[line.at[:10], system, line.content.get("pur", ""), field, level] += 1
        return entries, fields


@pytest.fixture
def engine(database_url):
    made = open_engine(database_url)
    yield made
    made.dispose()


@pytest.fixture
def log(engine):
    return Log(engine)


def replaced(log):
    """Put another log in the place of this one, as a restore does."""
    for table in ("log_entry", "log_checkpoint", "log_head"):
        log.run(f"DELETE FROM {table}")  # noqa: S608 - names of ours
    return Log(log.engine, log.names + 1000)


def memory():
    made = create_engine("sqlite://", poolclass=StaticPool)
    tables.metadata.create_all(made)
    return made


def test_another_log_in_its_place_is_counted_from_its_beginning(log):
    tally = Tally()
    log.add(looked(), looked(), looked())
    assert log.count(tally) == 3
    other = replaced(log)
    assert other.count(tally) == 0  # nothing is signed yet
    other.add(looked(), looked())
    assert other.count(tally) == 2
    same = replaced(other)
    same.add(*[looked(Actor(ActorKind.SYSTEM, "crm"))] * 2)
    assert same.days(tally, TODAY)[told(TODAY * DAY)[:10]].entries == {"crm": 2}
    longer = replaced(same)
    longer.add(*[looked()] * 5)
    assert longer.count(tally) == 5


def test_two_logs_of_one_name_asked_in_turns_are_never_mixed(log):
    tally, other = Tally(), Log(memory(), 1000)
    log.add(looked(), looked(), looked())
    other.add(*[looked(Actor(ActorKind.SYSTEM, "crm"))] * 3)
    for _ in range(2):
        for one, name in ((log, "till"), (other, "crm")):
            assert [dict(day.entries) for day in one.days(tally).values()] == [{name: 3}]


def test_what_no_checkpoint_covers_is_not_told(log):
    tally = Tally()
    log.add(looked())
    log.add(looked(), signed=False)
    assert log.count(tally) == 1
    log.add()  # signs
    assert log.count(tally) == 2


def test_an_entry_that_cannot_be_read_spoils_nothing_that_was_counted(log):
    tally = Tally()
    log.add(looked())
    assert log.count(tally) == 1
    log.add(looked(), looked())
    with log.engine.begin() as conn:
        (good,) = conn.execute(text("SELECT body FROM log_entry WHERE idx = 2")).one()
    log.run("UPDATE log_entry SET body = :body WHERE idx = 2", body=good.replace(b"phone", b"PHONE"))
    for _ in range(2):
        with pytest.raises(InvalidEntry):
            log.count(tally)
    log.run("UPDATE log_entry SET body = :body WHERE idx = 2", body=good)
    assert log.count(tally) == 3


def test_what_was_counted_is_not_read_again(log):
    tally = Tally()
    log.add(*[looked()] * 20)
    assert log.count(tally) == 20
    log.run("UPDATE log_entry SET body = :body WHERE idx = 3", body=UNREADABLE)
    log.add(looked())
    assert log.count(tally) == 21
    with pytest.raises(InvalidEntry):
        log.count(Tally())


def test_of_whoever_is_no_system_not_even_the_name_is_kept(log):
    tally = Tally()
    log.add(
        looked(Actor(ActorKind.OFFICER, "claire"), act=Act.BREAKGLASS_DISCLOSED),
        looked(Actor(ActorKind.OFFICER, "till")),
    )
    (day,) = log.days(tally).values()
    assert day.entries == {"": 2}
    assert {each.system for each in day.fields} == {""}


def test_what_was_refused_or_is_no_giving_out_does_not_count(log):
    tally = Tally()
    log.add(
        looked(out=Outcome.DENY),
        looked(out=Outcome.ERROR),
        looked(act=Act.FIELD_DENIED),
        looked(act=Act.FIELD_EVALUATED),
    )
    assert log.days(tally) == {}
    log.add(looked(act=Act.ATTESTATION_ISSUED, fields=("birth_date:predicate:over_18",)))
    (day,) = log.days(tally).values()
    assert [tuple(each) for each in day.fields] == [("till", "clienteling.in_store", "birth_date", "predicate")]


def test_days_go_as_they_leave_the_period_and_come_back_with_a_clock_that_is_set_back(log):
    tally = Tally()
    for back in (31, 30, 29, 1, 0):
        log.add(looked(), at=(TODAY - back) * DAY + 7)
    assert log.count(tally) == 3
    assert log.count(tally, TODAY - 28) == 2
    assert log.count(tally, TODAY + 1) == 0
    assert log.count(tally, TODAY - 31) == 5  # read anew
    log.add(looked(), at=(TODAY - 31) * DAY)  # a host whose clock is behind
    assert log.count(tally, TODAY - 31) == 6
    assert log.count(tally, TODAY - 30) == 4


def test_more_kinds_than_are_kept_are_counted_all_the_same_and_none_is_kept(log):
    tally = Tally(most=2)
    log.add(*[looked()] * 20)  # two fields and a system: three counts
    assert (log.count(tally), log.count(tally)) == (20, 20)
    log.run("UPDATE log_entry SET body = :body WHERE idx = 3", body=UNREADABLE)
    with pytest.raises(InvalidEntry):  # it was read again
        log.count(tally)


words = st.sampled_from(["till", "crm", "desk"])
entries = st.builds(
    Entry,
    act=st.sampled_from([Act.FIELD_DISCLOSED, Act.FIELD_DENIED, Act.BREAKGLASS_DISCLOSED, Act.ATTESTATION_ISSUED]),
    out=st.sampled_from(list(Outcome)),
    actor=st.builds(Actor, st.sampled_from([ActorKind.SYSTEM, ActorKind.OFFICER]), words),
    fld=st.lists(st.sampled_from(["phone:masked", "name:raw", "age:predicate:adult"]), unique=True).map(tuple),
    pur=st.sampled_from(["", "clienteling.in_store", "service.repair"]),
)  # fmt: skip


@given(
    st.lists(st.lists(st.tuples(entries, st.sampled_from([0, 0, 0, DAY // 3])), max_size=12), min_size=1, max_size=6)
)
@settings(max_examples=40, suppress_health_check=[HealthCheck.too_slow])
def test_readings_in_turns_with_writings_count_what_one_reading_counts(pieces):
    log, tally = Log(memory()), Tally()
    first, now = TODAY - 1, (TODAY - 3) * DAY
    for piece in pieces:
        for entry, later in piece:
            now += later
            log.add(entry, at=now, signed=False)
        log.add()
        days = log.days(tally, first)
        counted, fields = log.counted(first)
        assert {(date, system): n for date, day in days.items() for system, n in day.entries.items()} == counted
        assert {(date, *kind): n for date, day in days.items() for kind, n in day.fields.items()} == fields
