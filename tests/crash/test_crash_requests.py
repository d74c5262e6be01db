"""SIGKILL at every statement and every commit of a request's step: it is wholly done or not begun, on both engines.

Row, steps, log, letters and what the step does (a value, an erasure, a used link) agree after every death; a letter is
handed over at least once, and twice only if the process died between handing it over and noting that it had.
"""

import json
import os
import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from maison_people import AURELLE, one, person, take_in, value
from policy_officers import APPROVER, AUTHOR, Officers
from sqlalchemy import select, update
from test_crash_writers import cluster, scene

from audit import ledger
from audit.entry import decode
from policies.rights import Assurance, Right
from vault.requests import delivering, erasing, handling, steps
from vault.requests.content import Content
from vault.requests.intake import Ask, of_system, received
from vault.requests.records import Ground, Source
from vault.requests.states import Move, State
from vault.requests.steps import by_officer
from vault.store.tables import metadata
from vault.unit import execute

pytestmark = [pytest.mark.crash, pytest.mark.xdist_group("crash")]

__all__ = ["cluster", "scene"]

HERE = Path(__file__).parent
MOST = 120  # moments of one act: more is a loop
_REQUEST, _LETTER, _LINK, _ERASURE, _CONTESTED = (
    metadata.tables[each] for each in ("subject_request", "letter", "package_link", "erasure", "contested_value")
)
NOT_STEPS = {"request.viewed", "request.listed", "request.denied", "request.letter_sent"}


@pytest.fixture(scope="module")
def elsewhere(tmp_path_factory):
    """Where the victims would put what they do not want to keep in memory."""
    return tmp_path_factory.mktemp("elsewhere")


@pytest.fixture(scope="module")
def breeder(elsewhere):
    folders = [str(HERE.parents[1]), str(HERE), str(HERE.parent)]
    process = subprocess.Popen(
        [sys.executable, HERE / "crash_requests.py"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(folders), "TMPDIR": str(elsewhere)},
    )
    assert json.loads(process.stdout.readline())["ready"]

    def ask(order):
        process.stdin.write(json.dumps(order).encode() + b"\n")
        process.stdin.flush()
        return json.loads(process.stdout.readline())["status"]

    yield ask
    process.stdin.close()
    process.wait(10)
    process.stdout.close()


class Desk:
    """Makes a person and a request that waits for the act, and looks at what is there afterwards."""

    def __init__(self, scene, vault):
        self.scene, self.vault = scene, vault
        self.officers = Officers(vault)
        self.keys = {
            each: self.officers.keys[each].private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
            for each in (AUTHOR, APPROVER)
        }

    def by(self, officer=AUTHOR):
        return by_officer(officer, self.officers.signing(officer))

    def ready_for(self, act):
        """A new person, and their request up to the step before."""
        who = one(take_in(self.vault, person()))
        order = {"act": act, "keys": self.keys, "reference": who.references[AURELLE], "request": ""}
        if act == "receive":
            return who, None, order
        right = {"rectify": Right.RECTIFICATION, "erase": Right.ERASURE}.get(act, Right.ACCESS)
        content = Content(values={"ring_size": {"value": "54", "system": "eu"}}) if act == "rectify" else Content()
        asked = Ask(
            who.references[AURELLE], AURELLE, right, of_system("aurelle-pos"), Source.BRAND, Assurance.SIGNED_IN,
            content=content,
        )  # fmt: skip
        request = one(execute(self.vault, received, [asked]))
        if act != "carry":
            for move in (Move.COLLECT, Move.REVIEW):
                request = handling.advance(self.vault, request.id, move, self.by())
        if act == "refuse":
            handling.propose_refusal(self.vault, request.id, Ground.UNFOUNDED, self.by())
        if act == "fetch":
            delivering.prepare(self.vault, request.id, self.by())
            order["secret"] = delivering.link(self.vault, request.id, self.by())
        if act == "erase":
            erasing.check_holds(self.vault, request.id, self.by())
            erasing.rehearse(self.vault, request.id, self.by())
            erasing.approve(self.vault, request.id, self.by(APPROVER))
        return who, request, order | {"request": request.id.hex()}

    def agreed(self):
        """Steps, log and letters tell the same of every request."""
        with self.vault.reading() as conn:
            entries = []
            while piece := ledger.read(conn, 0, len(entries), 4096):
                entries += [decode(each.body) for each in piece]
            rows = conn.execute(select(_REQUEST.c.id, _REQUEST.c.state)).all()
            queued = Counter(conn.execute(select(_LETTER.c.kind)).scalars())
        logged = Counter(
            code.removeprefix("request:")
            for each in entries
            if each["act"].startswith("request.") and each["act"] not in NOT_STEPS
            for code in each.get("pol", ())
            if code.startswith("request:")
        )
        told = Counter()
        for row in rows:
            _, taken = handling.history(self.vault, row.id)
            assert logged[row.id.hex()] == len(taken)
            told.update(steps._TOLD[each.move].value for each in taken if each.move in steps._TOLD)
        assert queued == told

    def count(self, table, *where):
        with self.vault.reading() as conn:
            return len(conn.execute(select(table).where(*where)).all())


@pytest.fixture
def desk(scene):
    with scene.vault() as vault:
        yield Desk(scene, vault)


def deaths(desk, breeder, act):
    """Run the act once per moment, with a death at it; the last run lives. Yields who, the request, and how it ended."""
    for at in range(MOST):
        who, request, order = desk.ready_for(act)
        status = breeder(desk.scene.order | order | {"at": at})
        died = os.WIFSIGNALED(status)
        assert (os.WTERMSIG(status) == signal.SIGKILL) if died else status == 0
        yield who, request, died
        if not died:
            assert at > 3
            return
    pytest.fail("the act has no end")


@pytest.mark.parametrize("act", ["receive", "refuse", "rectify", "erase"])
def test_a_step_is_wholly_done_or_not_begun(desk, breeder, act):
    done = 0
    for who, request, died in deaths(desk, breeder, act):
        desk.agreed()
        if act == "receive":
            found = desk.count(_REQUEST, _REQUEST.c.subject_id == who.subject)
            assert found in ((0, 1) if died else (1,))
        else:
            now, taken = handling.history(desk.vault, request.id)
            moved = [each.move for each in taken]
            step = {"refuse": Move.CONFIRM_REFUSAL, "rectify": Move.CARRY_OUT, "erase": Move.EXECUTE}[act]
            found = moved.count(step)
            assert found in ((0, 1) if died else (1,))
            if act == "refuse":
                assert (now.state is State.REFUSED) == bool(found)
            if act == "rectify":
                contested = desk.count(_CONTESTED, _CONTESTED.c.subject_id == who.subject)
                held = value(desk.vault, who.subject, "ring_size")  # out of use for as long as it is contested
                assert (held and held["value"], contested) == (("54", 0) if found else (None, 1))
            if act == "erase":
                assert (desk.count(_ERASURE, _ERASURE.c.subject_id == who.subject) > 0) == bool(found)
        done += found
    assert done >= 1


def test_a_link_is_used_if_and_only_if_the_package_was_given_and_nothing_is_left_behind(
    desk, breeder, tmp_path, elsewhere
):
    for _, request, died in deaths(desk, breeder, "fetch"):
        desk.agreed()
        now, taken = handling.history(desk.vault, request.id)
        used = not desk.count(_LINK, _LINK.c.request_id == request.id, _LINK.c.used_at.is_(None))
        assert used == (now.state is State.DELIVERED) == (Move.DELIVER in [each.move for each in taken])
        assert used or died
    found = subprocess.run(
        ["grep", "-rlaiE", "apolline.rousselin@example.com|Rousselin", str(tmp_path), str(elsewhere)],
        check=False,
        capture_output=True,
        text=True,
    )
    assert found.stdout == ""


def test_a_letter_is_handed_over_and_twice_only_if_nobody_could_note_it(desk, breeder, tmp_path):
    posted = tmp_path / "posted"
    twice = 0
    for at in range(MOST):
        posted.unlink(missing_ok=True)
        desk.ready_for("carry")
        order = desk.scene.order | {"act": "carry", "keys": desk.keys, "request": "", "posted": str(posted)}
        status = breeder(order | {"at": at})
        handed = len(posted.read_text().splitlines()) if posted.exists() else 0
        noted = desk.count(_LETTER, _LETTER.c.state == "pending") == 0
        assert handed <= 1
        assert not noted or handed == 1
        with desk.vault.unit() as uow:  # the lease of whoever died is over
            uow.conn.execute(update(_LETTER).where(_LETTER.c.state == "pending").values(next_at=0))
            uow.commit()
        assert breeder(order | {"at": -2}) == 0
        assert len(posted.read_text().splitlines()) == (1 if noted else 1 + handed)
        assert desk.count(_LETTER, _LETTER.c.state == "pending") == 0
        twice += handed and not noted
        if status == 0:
            break
    assert status == 0
    assert twice  # the window is there, and is no wider than one commit
