"""Every right, handed in over HTTP, handled by officers, to what the person holds in the end, verified offline.

What a right leaves is a package, a certificate, a signed record of consents, or its steps in the log; each is checked by the
verifier that outsiders have, with the keys that the vault publishes and nothing else of it.
"""

import io
import json
import zipfile

import pytest
from console_browser import Browser
from maison_callers import CONSENT, ELSEWHERE, PERSON, Maison, app_of, problem_of
from maison_people import value
from policy_officers import APPROVER
from request_desk import DAY, Desk
from served_maison import maison, pos
from starlette.testclient import TestClient

from api.client.receipts import verify_consent_record
from api.packages.archive import archive_of
from audit.certificate import verify_certificate
from audit.certificatecheck import main as check_certificate
from audit.verify import main as verify
from vault import evidence, outbox, references
from vault.erasure import certificates
from vault.outbox import Told
from vault.requests import acts, delivering, erasing, handling, records
from vault.requests.states import Move, State

__all__ = ["maison", "pos"]

SIGNED_IN = {"assurance": "signed_in"}


class Case:
    """A request handed in by a brand's system over HTTP, and the officers who answer it."""

    def __init__(self, maison, pos, tmp_path, right, **body):
        self.maison, self.pos, self.folder = maison, pos, tmp_path
        self.desk = Desk(maison.vault, maison.clock)
        self.reference = pos.created(PERSON, CONSENT)
        body = {"reference": self.reference, "right": right} | body
        made = pos.send("POST", "/v1/requests", pos.service("rights.write"), body)
        assert made.status_code == 201, made.text
        self.name = made.json()["request"]
        self.request = handling.history(maison.vault, records.identifier(self.name))[0]

    def reviewed(self):
        self.request = self.desk.to_review(self.request)
        return self.request.id

    def close(self, *before):
        self.request = self.desk.advance(self.request, *before, Move.CLOSE)
        self.said(status="fulfilled", state="closed", outcome="granted")

    def said(self, **expected):
        """What the brand's system is told of it."""
        told = self.pos.send("GET", f"/v1/requests/{self.name}", self.pos.service("rights.write")).json()
        assert expected.items() <= told.items(), told

    def key(self, name):
        return self.maison.http.get("/audit/keys").json()[name]

    def holds(self, *arguments):
        return verify([str(each) for each in arguments]) == 0

    def proven(self, act, code):
        """The entry of a step is in the log that the vault's key signs: by the proof it gives to anybody, offline."""
        evidence.sign_checkpoints(self.maison.vault, self.folder / "kept", wait=True)
        (entry,) = [
            each
            for each in self.maison.entries()
            if each.act == act and {f"request:{self.name}", code} <= set(each.read.get("pol", ()))
        ]
        answer = self.maison.http.get(f"/audit/proof/{entry.read['id']}")
        proof, body = self.folder / "proof", self.folder / "entry"
        proof.write_text(answer.text)
        body.write_bytes(entry.raw)
        assert self.holds("proof", proof, "--key", self.key("log"), "--entry", body)
        body.write_bytes(entry.raw.replace(b"request:", b"requesT:"))
        assert not self.holds("proof", proof, "--key", self.key("log"), "--entry", body)

    def package(self):
        """The package, as whoever fetches the link takes it, and whether the verifier says that it holds."""
        delivering.prepare(self.maison.vault, self.request.id, self.desk.by())
        secret = delivering.link(self.maison.vault, self.request.id, self.desk.by())
        gathered, _ = delivering.fetch(self.maison.vault, secret)
        path = self.folder / "package.zip"
        path.write_bytes(archive_of(self.maison.vault, gathered))
        assert self.holds("package", path, "--key", self.key("receipt"))
        path.write_bytes(path.read_bytes().replace(b"PK\x01\x02", b"PK\x01\x03", 1))
        assert not self.holds("package", path, "--key", self.key("receipt"))
        return archive_of(self.maison.vault, gathered)


@pytest.fixture
def case(maison, pos, tmp_path):
    return lambda right, **body: Case(maison, pos, tmp_path, right, **body)


def subject_of(case):
    with case.maison.vault.unit() as uow:
        (found,) = references.resolve(uow, "aurelle", [case.reference])
    return found


# --------------------------------------------------------------------------------------------------- what is given out


@pytest.mark.parametrize("right", ["access", "portability"])
def test_access_and_portability_end_in_a_package_that_the_verifier_takes(case, right):
    made = case(right, **SIGNED_IN)
    made.reviewed()
    assert made.package().startswith(b"PK")
    made.close()
    made.proven("request.closed", "right:" + right)


# ------------------------------------------------------------------------------------------------------ what is written


def test_a_rectification_ends_in_the_value_that_the_person_gave(case):
    made = case("rectification", values={"ring_size": {"value": "54", "system": "eu"}}, **SIGNED_IN)
    acts.rectify(made.maison.vault, made.reviewed(), made.desk.by())
    assert value(made.maison.vault, subject_of(made), "ring_size") == {"value": "54", "system": "eu"}
    made.request = handling.history(made.maison.vault, made.request.id)[0]
    made.close(Move.DELIVER)
    made.proven("request.advanced", "move:carry_out")


# ------------------------------------------------------------------------------------------------------ what is stopped


def test_a_restriction_ends_in_a_person_whom_nobody_looks_at(case):
    made = case("restriction", names=["accuracy_contested"], **SIGNED_IN)
    token = made.pos.granted(made.reference, ("phone", "masked"), max_uses=9)
    acts.restrict(made.maison.vault, made.reviewed(), made.desk.by())
    problem_of(made.pos.disclose(token), 401, "invalid_token")
    made.request = handling.history(made.maison.vault, made.request.id)[0]
    made.close(Move.DELIVER)
    made.proven("request.advanced", "move:carry_out")


@pytest.mark.parametrize(("right", "state"), [("objection", "objected"), ("consent_withdrawal", "withdrawn")])
def test_an_objection_and_a_withdrawal_end_in_a_signed_record_at_once(case, right, state):
    made = case(right, names=["clienteling"])
    made.said(state="closed", status="fulfilled", outcome="granted")
    answer = made.pos.send("GET", f"/v1/consents/{made.reference}", made.pos.service("consent.write")).json()
    checked = verify_consent_record(answer["record"], answer["receipt"], made.key("receipt"))
    record = json.loads(answer["record"])
    assert checked.record_id == record["record_id"]
    states = [each["event_state"]["id"] for each in record["pii_processing"][0]["events"]]
    assert states[-1] == state
    made.proven("request.advanced", "move:carry_out")


# ------------------------------------------------------------------------------------------- what only a person decides


@pytest.mark.parametrize("right", ["decision_review", "complaint"])
def test_a_review_and_a_complaint_end_in_a_decision_of_an_officer(case, right):
    names = {"names": ["clienteling"]} if right == "decision_review" else {}
    made = case(right, **SIGNED_IN, **names)
    made.request = handling.decide(
        made.maison.vault, made.reviewed(), made.desk.by(), "upheld", "You are right, and we have put it in order."
    )
    made.close(Move.DELIVER)
    made.proven("request.advanced", "decision:upheld")


# ------------------------------------------------------------------------------------------------------- what is erased


def test_an_erasure_ends_in_a_certificate_that_a_stranger_checks(scene, clock, tmp_path):
    app = app_of(lambda _: scene.vault, tmp_path)
    with TestClient(app, base_url=ELSEWHERE, raise_server_exceptions=False) as http:
        maison = Maison(http, scene.vault, clock)
        pos = maison.system("aurelle-pos", "aurelle")
        made = Case(maison, pos, tmp_path, "erasure", **SIGNED_IN)
        subject, vault = subject_of(made), scene.vault
        assert value(vault, subject, "ring_size")["value"] == "52"
        request = made.reviewed()
        erasing.check_holds(vault, request, made.desk.by())
        erasing.rehearse(vault, request, made.desk.by())
        erasing.approve(vault, request, made.desk.by(APPROVER))
        erasing.execute(vault, request, made.desk.by(), without_letter=True)
        problem_of(pos.describe(made.reference), 404, "unknown_reference")
        # There is nothing left to sign in to; the number from the letter is what the person has, and it is too early.
        stranger = Browser(http.app)
        early, never = (stranger.submit("/me/erased", request=each) for each in (made.name, "0" * 32))
        assert early.status == never.status == 404
        assert early.text == never.text
        outbox.settle(vault, [Told(each, "") for each in outbox.claim(vault, 50)])
        erasing.follow(vault)
        scene.run()
        clock.advance(1000 * DAY)
        erasing.follow(vault)
        made.request, steps = handling.history(vault, request)
        assert made.request.state is State.CERTIFIED
        note = certificates.certificate(vault, steps[-1].said[0].removeprefix("certificate:"))
        found = verify_certificate(note, [certificates.verifier_key(vault)], [made.key("log")])
        assert found.scope == "subject"
        for theirs in ("Rousselin", "Apolline", made.reference, "639981234"):
            assert theirs not in note
        taken = stranger.submit("/me/erased", request=f" {made.name[:16]} {made.name[16:]} ").answer
        assert taken.headers["content-type"] == "application/zip"
        with zipfile.ZipFile(io.BytesIO(taken.content)) as files:
            assert files.read("certificate-1.note").decode() == note
            (tmp_path / "certificate.note").write_bytes(files.read("certificate-1.note"))
            theirs = files.read("certificate.vkey").decode().strip()
        checked = ["--key", theirs, "--log-key", made.key("log"), str(tmp_path / "certificate.note")]
        assert check_certificate(checked) == 0
        assert made.desk.advance(made.request, Move.CLOSE).outcome.value == "granted"
