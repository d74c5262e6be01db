"""Reports made by a process of their own: the same reports, no key but what they need, and no end that goes unnoticed."""

import io
import socket
import subprocess
import sys
from contextlib import suppress

import orjson
import pytest
from maison_people import AURELLE
from policy_officers import FILES, Officers
from report_scene import DPO

from api.observability.events import Event
from api.observability.logs import Log
from api.reporting import maker
from api.reporting.link import Kind, Link, Malformed
from api.reporting.maker import Maker
from api.settings import driver_environment
from audit.entry import Act, Asker, Outcome
from audit.receipt import receipt_key_name
from audit.reports import document
from audit.reports.asked import Asked
from vault.erasure import requests as erasures
from vault.keys.service import SigningKey
from vault.reports import people, running, runs
from vault.reports.runs import Lost, NotMade, RunState
from vault.staff import VEILS, staff_hashes, staff_told

LIMIT = 120  # seconds for a process to start or to end on a machine with others at work


@pytest.fixture
def busy(reporting):
    """A system that looked at six people, a member of staff behind it, and was refused; policies that officers signed."""
    Officers(reporting.vault).adopt(FILES)
    reporting.system("aurelle-pos")
    (staff,) = staff_hashes(reporting.vault.keys, [(AURELLE, "advisor-1")])
    asker = Asker(AURELLE, bytes.fromhex(staff))
    for _ in range(6):
        reporting.did("aurelle-pos", whom=reporting.person(), fld=("phone:masked",), asker=asker)
    reporting.did("aurelle-pos", act=Act.FIELD_DENIED, out=Outcome.DENY, times=7, pol=("store.contact",))
    reporting.sign()
    return reporting


def asked(scene, **more):
    return Asked(scene.start, scene.clock.now() + 1, **more)


def by(scene, *command):
    """Whatever makes reports of the scene's database: the real process, or one that does as a test wants."""
    url = scene.vault.engine.url.render_as_string(hide_password=False)
    return Maker(url, driver_environment(), *([command] if command else [])).make


def python(source):
    return (sys.executable, "-c", f"import socket, sys, os, time\nlink = socket.socket(fileno=0)\n{source}")


def test_a_process_of_its_own_makes_the_report_that_the_vault_would_have_made(busy):
    make = by(busy)
    wanted = {"access": {}, "refusals": {"brand": AURELLE}, "blast_radius": {"system": "aurelle-pos"}}
    here = {name: running.run(busy.vault, name, asked(busy, **more), DPO) for name, more in wanted.items()}
    made = {name: runs.queue(busy.vault, name, asked(busy, **more), DPO) for name, more in wanted.items()}
    broken = runs.queue(busy.vault, "blast_radius", asked(busy), DPO)  # of no system
    while runs.turn(busy.vault, make=make):
        pass
    assert [runs.standing(busy.vault, run.id).problem for run in made.values()] == ["", "", ""]
    for name, run in made.items():
        given = runs.taken(busy.vault, run.id, DPO)
        content, _ = document.opened(given.json)
        assert content == document.opened(document.to_json(here[name]))[0] | {"generated": content["generated"]}
        assert given.csv == document.to_csv(here[name])
    assert dict(here["blast_radius"].body.totals)["people"] == 6  # found by log keys that the process asked for
    assert staff_told(busy.vault.keys, AURELLE, "advisor-1").encode() in given_csv(busy, made["access"])
    assert (found := runs.standing(busy.vault, broken.id)).state is RunState.FAILED
    assert found.problem == "invalid_report"


def given_csv(scene, run):
    return runs.taken(scene.vault, run.id, DPO).csv


def test_a_process_that_is_killed_is_noticed_and_one_that_always_dies_is_given_up(busy):
    run = runs.queue(busy.vault, "refusals", asked(busy), DPO)
    make = by(busy, *python("os.kill(os.getpid(), 9)"))
    for _ in range(runs.MOST_ATTEMPTS):
        assert runs.standing(busy.vault, run.id).state is RunState.QUEUED  # at once, not when a lease has run out
        with pytest.raises(Lost):
            runs.turn(busy.vault, make=make)
    assert runs.turn(busy.vault, make=make) is False
    found = runs.standing(busy.vault, run.id)
    assert (found.state, found.problem) == (RunState.FAILED, "given_up")


def test_one_that_is_made_again_after_a_death_is_whole(busy):
    run = runs.queue(busy.vault, "refusals", asked(busy), DPO)
    with pytest.raises(Lost):
        runs.turn(busy.vault, make=by(busy, *python("sys.exit(0)")))
    assert runs.turn(busy.vault) is True
    assert runs.standing(busy.vault, run.id).state is RunState.DONE


def test_it_ends_with_the_service_and_is_put_back(busy):
    run = runs.queue(busy.vault, "refusals", asked(busy), DPO)
    answers = iter([False, False])
    assert runs.turn(busy.vault, lambda: next(answers, True), by(busy, *python("time.sleep(600)"))) is True
    assert runs.standing(busy.vault, run.id).state is RunState.QUEUED


def test_one_that_hangs_is_ended(busy, monkeypatch):
    monkeypatch.setattr(maker, "LONGEST_SILENCE", 0.0)
    runs.queue(busy.vault, "refusals", asked(busy), DPO)
    with pytest.raises(Lost):
        runs.turn(busy.vault, make=by(busy, *python("time.sleep(600)")))


def test_while_it_works_the_lease_is_kept_also_when_it_says_nothing(busy, monkeypatch):
    monkeypatch.setattr(maker, "_TURN", 0.01)
    run = runs.queue(busy.vault, "refusals", asked(busy), DPO)
    looked = []

    def stopping():
        busy.clock.advance(runs.LEASE_SECONDS - 1)
        looked.append(runs._claim(busy.vault))
        return len(looked) > 5

    claimed = iter([False])
    runs.turn(busy.vault, lambda: next(claimed, None) is None and stopping(), by(busy, *python("time.sleep(600)")))
    assert looked == [None] * 6  # nobody else came by it
    assert runs.standing(busy.vault, run.id).state is RunState.QUEUED


@pytest.mark.parametrize(
    "frame", ["b'\\0' * 9", "b'\\xff' * 9", "bytes([7]) + (2).to_bytes(8) + b'{}'", "bytes([2]) + bytes(8)"]
)
def test_what_talks_nonsense_is_ended_and_nothing_of_it_is_kept(busy, frame):
    run = runs.queue(busy.vault, "refusals", asked(busy), DPO)
    with pytest.raises(Lost):
        runs.turn(busy.vault, make=by(busy, *python(f"link.sendall({frame}); time.sleep(600)")))
    assert runs.standing(busy.vault, run.id).state is RunState.QUEUED


def test_a_worker_whose_service_is_gone_ends(busy):
    """Killed with SIGKILL, a service says no goodbye: the process fails at its next word."""
    ours, theirs = socket.socketpair()
    url = busy.vault.engine.url.render_as_string(hide_password=False)
    task = {"database": url, "report": "refusals", "asked": {"since": 0, "until": busy.clock.now()}, "now": 1}
    with theirs:
        worker = subprocess.Popen(maker._COMMAND, stdin=theirs.fileno(), cwd=maker._ROOT, env=driver_environment())
    with suppress(OSError), ours:
        Link(ours).say(Kind.TASK, task | {"public_key": busy.vault.keys.public_key(SigningKey.RECEIPT).hex()})
    assert worker.wait(LIMIT) == 3


def test_a_defect_in_the_process_is_told_by_its_class_and_by_nothing_it_says(busy):
    ours, theirs = socket.socketpair()
    url = busy.vault.engine.url.render_as_string(hide_password=False)
    task = {"database": url, "report": "refusals", "asked": {"since": 0, "until": 1, "Rousselin": 1}, "now": 1}
    with theirs:
        worker = subprocess.Popen(maker._COMMAND, stdin=theirs.fileno(), cwd=maker._ROOT, env=driver_environment())
    with ours:
        link = Link(ours)
        link.say(Kind.TASK, task | {"public_key": busy.vault.keys.public_key(SigningKey.RECEIPT).hex()})
        kind, content = link.hear()
        assert (kind, orjson.loads(content)) == (Kind.FAILED, ["internal_error", "TypeError"])
    assert worker.wait(LIMIT) == 3


def failing(said):
    body = orjson.dumps(said)
    return python(f"link.sendall(bytes([8]) + ({len(body)}).to_bytes(8) + {body!r}); time.sleep(600)")


@pytest.mark.parametrize(
    ("defect", "named"),
    [("KeyError", "KeyError"), ("", "NotMade"), ("Mme Rousselin", "NotMade"), ("A" * 65, "NotMade")],
)
def test_it_is_logged_by_that_class_and_kept_by_its_code(busy, defect, named):
    run = runs.queue(busy.vault, "refusals", asked(busy), DPO)
    with pytest.raises(NotMade) as raised:
        runs.turn(busy.vault, make=by(busy, *failing(["internal_error", defect])))
    stream = io.BytesIO()
    Log(busy.clock, stream=stream).fault(Event.REPORTS_FAILED, raised.value)
    line = orjson.loads(stream.getvalue())
    assert (line["event"], line["error"]) == ("reports.failed", named)
    assert b"Rousselin" not in stream.getvalue()
    found = runs.standing(busy.vault, run.id)
    assert (found.state, found.problem) == (RunState.FAILED, "internal_error")


@pytest.mark.parametrize("said", ["internal_error", ["internal_error"], ["internal_error", 1], {"code": "x"}])
def test_a_failure_in_another_form_is_nonsense_too(busy, said):
    runs.queue(busy.vault, "refusals", asked(busy), DPO)
    with pytest.raises(Lost):
        runs.turn(busy.vault, make=by(busy, *failing(said)))


def test_no_more_is_given_out_than_the_report_needs(busy):
    """The key of reports signs receipts too; people's log keys relate their entries."""
    desk = maker._Desk(busy.vault, "access").answers()
    assert Kind.LOG_KEYS not in desk
    for label in ("budget/staff", "reference/aurelle", VEILS.upper()):
        with pytest.raises(Malformed):
            desk[Kind.STAFF_KEYS]([label, [AURELLE]])
    report = running.run(busy.vault, "refusals", asked(busy), DPO)
    text = document.signed_text(report, running.report_key_name(busy.vault).removesuffix(document.SUFFIX))
    receipt = f"{receipt_key_name(busy.vault.origin)}\n"
    for wrong in (
        text,
        receipt,
        "",
        text.replace("/report", "/receipt"),
        f"{text}more\n",
    ):  # another report's, a receipt
        with pytest.raises(Malformed):
            desk[Kind.SIGNATURE](wrong)
    assert len(bytes.fromhex(maker._Desk(busy.vault, "refusals").answers()[Kind.SIGNATURE](text))) == 64
    assert Kind.LOG_KEYS in maker._Desk(busy.vault, "blast_radius").answers()


def test_log_keys_are_given_of_people_whom_the_brand_knows_alone(busy):
    with busy.vault.reading() as conn:
        (subject,) = conn.exec_driver_sql("SELECT id FROM subject ORDER BY id LIMIT 1").one()
        subject = bytes(subject)
        known = people.log_keys(conn, busy.vault.keys, AURELLE, [subject, bytes(16)])
        assert [each and len(each) for each in known] == [32, None]
        assert people.log_keys(conn, busy.vault.keys, "vantier", [subject]) == [None]


def test_the_review_gets_keys_of_people_who_asked_for_an_erasure_alone(busy):
    """And tells the same of them as in the vault's own process."""
    her, him = busy.person(), busy.person()
    for person in (her, him):
        busy.did("aurelle-pos", whom=person, times=6, fld=("phone:raw",), pur="clienteling.remote")
    erasures.erase(busy.vault, [erasures.of_category(busy.vault.bundle.catalogue, her.subject, "contact", DPO)])
    busy.sign()
    here = running.run(busy.vault, "anomalies", asked(busy), DPO)
    assert ["look_before_erasure", 6] in [[row[1], row[6]] for row in here.body.rows]
    run = runs.queue(busy.vault, "anomalies", asked(busy), DPO)
    while runs.turn(busy.vault, make=by(busy)):
        pass
    assert given_csv(busy, run) == document.to_csv(here)
    desk = maker._Desk(busy.vault, "anomalies").answers()
    subjects = [her.subject, him.subject, b"\x07" * 16]
    given = desk[Kind.LOG_KEYS]([AURELLE, [each.hex() for each in subjects]])
    with busy.vault.reading() as conn:
        (key, _, _) = people.log_keys(conn, busy.vault.keys, AURELLE, subjects)
    assert given == [key.hex(), None, None]
    assert desk[Kind.LOG_KEYS]([AURELLE, []]) == []


def test_what_it_hands_over_is_kept_only_if_it_is_what_was_signed(busy):
    report = running.run(busy.vault, "refusals", asked(busy), DPO)
    whole = document.to_json(report)
    assert maker._checked(busy.vault, "refusals", whole).rows == 1
    for name, content in (
        ("access", whole),  # another report than was asked for
        ("refusals", whole.replace(b"store.contact", b"store.contacu")),
        ("refusals", whole[:-1]),
        ("refusals", b"{}"),
        ("refusals", orjson.dumps([])),
    ):
        with pytest.raises(Malformed):
            maker._checked(busy.vault, name, content)


def test_its_environment_is_what_the_driver_reads_and_nothing_else(monkeypatch):
    for name in ("PGSSLROOTCERT", "ECRIN_DATABASE_URL", "AWS_SECRET_ACCESS_KEY", "HOME"):
        monkeypatch.setenv(name, "x")
    assert driver_environment().get("PGSSLROOTCERT") == "x"
    assert all(name.startswith("PG") for name in driver_environment())
    assert "sqlite" not in repr(Maker("sqlite:///x", {}))
