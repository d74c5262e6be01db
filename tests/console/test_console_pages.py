"""Every page on a vault where something happened: what it shows, what it records, and that it shows nobody."""

import csv
import io
import json
import re

from busy_group import keyed
from console_browser import Browser, confirm, recorded, signature, text_to_sign, vouch
from joserfc import jwe
from joserfc.jwk import OKPKey
from maison_callers import PUBLIC
from sqlalchemy import text

from audit.entry import Act, Actor, ActorKind, Entry, Outcome
from audit.reports import document
from vault import pruning, scrubbing
from vault.erasure import holds
from vault.erasure.holds import HoldReason
from vault.pruningbounds import Plan
from vault.reports.catalog import DEFINITIONS

PERSONAL = ("Rousselin", "Apolline", "+33639981234", "apolline.rousselin@example.com", "1984-05-17", "AU-0042")
PLAIN = (
    "", "/requests", "/requests?show=all", "/person", "/systems", "/systems/aurelle-pos", "/purposes", "/consents", "/policy",
    "/log", "/log?act=field&outcome=allow", "/log/export?act=field", "/log/0", "/integrity", "/reports",
    "/erasures", "/alerts", "/budgets", "/break-glass", "/officers", "/seal", "/account", *[f"/reports/{name}" for name in DEFINITIONS],
)  # fmt: skip


def test_every_page_opens_in_both_languages_and_shows_nobody(maison, life, signed_in):
    for language in ("en", "fr"):
        officer = signed_in("compliance", language, officer_id=f"claire-{language}")
        for path in PLAIN:
            page = officer.get(f"/console{path}")
            assert page.status == 200, (path, page.text[-600:])
            assert f'<html lang="{language}">' in page.answer.text
            shown = page.answer.text
            assert not [each for each in (*PERSONAL, life) if each in shown], path
            assert page.answer.text.count("<h1>") == 1, path


def test_codes_of_grounds_filters_and_holds_are_said_in_the_readers_words(maison, life, signed_in):
    with maison.vault.reading() as conn:
        subject = conn.execute(text("SELECT id FROM subject")).scalars().first()
    holds.place(maison.vault, bytes(subject), HoldReason.DISPUTE, Actor(ActorKind.OFFICER, "claire"))
    for language, said in (
        ("en", {"purposes": ("explicit consent", "vital interest"), "erasures": ("a dispute",), "reports/access": ("From: ", "Until: ")}),
        ("fr", {"purposes": ("consentement explicite", "intérêt vital"), "erasures": ("un litige",), "reports/access": ("Depuis : ",)}),
    ):  # fmt: skip
        officer = signed_in("compliance", language, officer_id=f"codes-{language}")
        for path, words in said.items():
            page = officer.get(f"/console/{path}").text
            assert [each for each in words if each not in page] == [], (language, path)
            assert not [each for each in ("explicit_consent", "vital_interest", "dispute<", "since:") if each in page]


def test_what_does_not_exist_is_a_page_too(maison, life, signed_in):
    officer = signed_in()
    for path in (
        "/nowhere",
        "/systems/nobody",
        "/policy/99",
        "/policy/x",
        "/log/999999",
        "/log/-1",
        "/reports/x",
        "/break-glass/00",
        "/break-glass/zz",
        "/requests/00",
        "/log?actor=<b>",
        "/log?since=tomorrow",
        "/log?below=x",
        "/log?act=a&act=b",
    ):
        page = officer.get(f"/console{path}")
        assert page.status in {400, 404}, path
        assert "<b>" not in page.answer.text


def test_the_log_is_searched_by_what_stands_in_the_address(maison, life, signed_in):
    officer = signed_in()
    vouch(maison)
    page = officer.get("/console/log?act=field.disclosed")
    assert "Fields given out" in page.text
    assert "phone:masked" in page.text
    for query, seen in (
        ("act=field&outcome=deny", False),
        ("actor=aurelle-pos", True),
        ("actor=nobody", False),
        ("field=phone", True),
        ("purpose=clienteling.in_store&act=field", True),
        ("until=2020-01-01", False),
        ("since=2026-09-21", True),
    ):
        shown = officer.get(f"/console/log?{query}").text
        assert ("phone:masked" in shown) == seen, query
    views = recorded(maison, "audit.viewed")
    assert len(views) == 8
    assert {each["actor"]["id"] for each in views} == {"compliance-1"}
    (first, *_) = [
        each for each in officer.get("/console/log?act=field.disclosed").links if re.search(r"/log/\d+$", each)
    ]
    line = officer.get(first)
    assert "Recomputed just now" in line.text
    assert "field.disclosed" in line.text


def test_a_long_log_is_leafed_through(maison, pos, life, signed_in):
    for _ in range(60):
        pos.search("client_number", "AU-0042")
    vouch(maison)
    officer = signed_in()
    seen, path = [], "/console/log?act=subject.searched"
    for _ in range(5):
        page = officer.get(path)
        seen += [int(each.rpartition("/")[2]) for each in page.links if re.search(r"/log/\d+$", each)]
        onward = [each for each in page.links if "below=" in each]
        if not onward:
            break
        path = onward[0]
    assert len(seen) == len(set(seen)) == 60
    assert seen == sorted(seen, reverse=True)


def test_a_line_whose_bytes_were_changed_is_not_proven(maison, life, signed_in):
    officer = signed_in("auditor")
    with maison.vault.engine.begin() as conn:
        conn.execute(text("UPDATE log_entry SET leaf = :leaf WHERE idx = 0"), {"leaf": bytes(32)})
    assert "does not lead to the signed root" in officer.get("/console/log/0").text
    page = officer.submit("/console/integrity")
    assert "does not hold" in page.text
    assert officer.get("/console/integrity").text.count("Not checked since") == 1


def test_the_panel_is_green_only_for_what_it_recomputed(maison, life, signed_in):
    officer = signed_in("auditor")
    vouch(maison)
    assert "The log holds" not in officer.get("/console/integrity").text
    assert "The log holds" in officer.submit("/console/integrity").text
    (entry,) = [each for each in recorded(maison, "audit.viewed") if each.get("pol") == ["audit.verified"]]
    assert entry["n"] > 5


def test_the_panel_says_when_the_log_was_last_looked_at_and_by_whom(maison, life, signed_in):
    officer = signed_in("auditor")
    vouch(maison)
    assert officer.get("/console/integrity").text.count(" never ") == 4
    scrubbing.run(maison.vault, scrubbing.FULL)
    page = officer.get("/console/integrity").text
    assert page.count(" never ") == 3
    assert "no fault" in page
    with maison.vault.engine.begin() as conn:
        conn.execute(text("UPDATE log_entry SET leaf = :leaf WHERE idx = 0"), {"leaf": bytes(32)})
    scrubbing.run(maison.vault, scrubbing.FULL)
    assert re.search(r"[0-9]+ faults", officer.get("/console/integrity").text)


def test_the_panel_opens_over_a_checkpoint_that_cannot_be_read(maison, life, signed_in):
    officer = signed_in("auditor")
    vouch(maison)
    while True:
        with maison.vault.engine.begin() as conn:
            conn.execute(text("UPDATE log_checkpoint SET note = 'no note'"))
        page = officer.get("/console/integrity")
        with maison.vault.engine.begin() as conn:
            notes = conn.execute(text("SELECT DISTINCT note FROM log_checkpoint")).scalars().all()
        if notes == ["no note"]:  # else the service signed what it logged meanwhile, and that can be read
            break
    assert "The newest checkpoint cannot be read." in page.text
    assert "does not hold" in officer.submit("/console/integrity").text


def test_an_export_takes_presence_and_is_recorded_before(maison, life, signed_in):
    officer = signed_in()
    maison.clock.advance(301)
    page = officer.submit("/console/log/export?act=field", format="csv")
    assert page.answer.headers["location"] == "/console/confirm?next=/console/log/export"
    assert not recorded(maison, "audit.exported")
    confirm(officer, officer.authenticator, maison.clock)
    answer = officer.submit("/console/log/export?act=field", format="csv").answer
    assert answer.headers["content-disposition"] == 'attachment; filename="ecrin-log.csv"'
    rows = list(csv.DictReader(io.StringIO(answer.text)))
    assert {each["act"] for each in rows} == {"field.disclosed"}
    document_ = officer.submit("/console/log/export?act=field", format="json").answer.json()
    assert [each["act"] for each in document_["lines"]] == ["field.disclosed"]
    assert [each["n"] for each in recorded(maison, "audit.exported")] == [1, 1]


def test_one_persons_lines_are_found_by_a_brands_reference_in_a_form_and_the_look_is_theirs(maison, life, signed_in):
    officer = signed_in()
    page = officer.submit("/console/person", brand="aurelle", reference=life, days="366")
    assert page.status == 200
    assert "Fields given out" in page.text
    assert "Person registered" in page.text
    assert not [each for each in (*PERSONAL, life) if each in page.answer.text]
    (look,) = [each for each in recorded(maison, "audit.viewed") if "audit.subject" in each.get("pol", ())]
    assert "sref" in look
    vouch(maison)
    assert "Audit log looked at" in officer.submit("/console/person", brand="aurelle", reference=life, days="366").text
    other = officer.submit("/console/person", brand="vantier", reference=life, days="366")
    assert (other.status, "knows nobody" in other.text) == (404, True)
    maison.clock.advance(301)
    away = officer.submit("/console/person", brand="aurelle", reference=life, days="366")
    assert away.answer.headers["location"] == "/console/confirm?next=/console/person"


def test_a_report_is_shown_taken_and_verified(maison, life, signed_in):
    officer = signed_in("auditor")
    page = officer.get("/console/reports/refusals?system=aurelle-pos")
    assert page.status == 200
    answer = officer.submit("/console/reports/access/files", format="json").answer
    content = json.loads(answer.content)
    from audit.note import vkey
    from vault.keys.service import SigningKey
    from vault.reports.running import report_key_name

    keys = maison.vault.keys
    key = vkey(report_key_name(maison.vault), keys.public_key(SigningKey.RECEIPT))
    assert document.verify(content["signature"], answer.content, [key], maison.vault.origin) == "access"
    assert officer.submit("/console/reports/access/files", format="exe").status == 400
    (exported,) = recorded(maison, "audit.exported")
    assert exported["pol"] == ["report:access"]


def test_a_raise_is_approved_by_another_officers_key_alone(maison, life, signed_in):
    from vault import budgetraises, systems

    with maison.vault.reading() as conn:
        (limit, *_) = systems.get(conn, "aurelle-pos").budgets.spelt
    where, _, rest = limit.rpartition(":")
    quota, window = rest.split("/")
    claire, other, auditor = signed_in("compliance", officer_id="claire"), signed_in("approver"), signed_in("auditor")
    keys = keyed(maison.vault, "claire", "approver-1")
    raised = (f"{where}:{int(quota) + 1}/{window}",)
    budgetraises.propose(maison.vault, "aurelle-pos", raised, 3600, "claire", keys["claire"].sign)
    own = claire.get("/console/budgets").form("form", action="/console/budgets/step")["fields"]
    assert own["step"] == "withdraw"
    assert "/console/budgets/step" not in auditor.get("/console/budgets").answer.text
    page = other.get("/console/budgets")
    text = text_to_sign(page, "raise.approve")
    form = page.form("thing")["fields"] | {"step": "approve"}
    for wrong in ("", signature(keys["claire"], text), signature(keys["approver-1"], text + "more\n")):
        assert other.post("/console/budgets/step", form | {"signature": wrong}).status in {400, 403, 422}
    # The session alone approves nothing, nor does who proposed it.
    mine = own | {"step": "approve", "signature": signature(keys["claire"], text)}
    assert claire.post("/console/budgets/step", mine).status in {403, 422}
    assert other.post("/console/budgets/step", form | {"signature": signature(keys["approver-1"], text)}).status == 303
    assert "approver-1" in other.get("/console/budgets").text
    (*denied, done) = recorded(maison, "budget.raised")
    assert (done["out"], done["actor"]["id"]) == ("allow", "approver-1")
    assert [each["out"] for each in denied] == ["deny"] * 3


def test_an_emergency_is_decided_with_the_officers_own_key_and_its_reason_is_read_on_record(maison, life, signed_in):
    from policies.levels import Level
    from policies.model import Wanted
    from vault.governance import breakglass
    from vault.governance.cases import Asked

    asker, approver = signed_in("compliance", officer_id="claire"), signed_in("approver")
    keys = keyed(maison.vault, "claire", "approver-1")
    reason = "She collapsed in the shop; <script>the doctor</script> asks for allergies."
    asked = Asked("aurelle", life, (Wanted("phone", Level.RAW),), "claire", 15, reason)
    case = breakglass.ask(maison.vault, asked, "claire", keys["claire"].sign)
    path = f"/console/break-glass/{case.name}"
    shown = approver.get(path)
    assert "collapsed" not in shown.text
    assert life not in shown.answer.text
    form = next(each for each in shown.forms if each["fields"].get("step") == "show")["fields"]
    text = text_to_sign(shown, "case.show")
    for wrong in ("", signature(keys["claire"], text)):  # being signed in is not enough
        refused = approver.post(f"{path}/step", form | {"signature": wrong})
        assert refused.status in {400, 403, 422}
        assert "collapsed" not in refused.text
    read = approver.post(f"{path}/step", form | {"signature": signature(keys["approver-1"], text)})
    assert "collapsed" in read.text
    assert "<script>the" not in read.answer.text
    assert life not in read.answer.text
    (entry,) = recorded(maison, "breakglass.shown")
    assert (entry["actor"]["id"], f"case:{case.name}" in entry["pol"], "sref" in entry) == ("approver-1", True, True)
    message = text_to_sign(read, "case.approve")
    good = signature(keys["approver-1"], message)
    for wrong in ("", "%%%", "00", signature(keys["claire"], message)):
        assert approver.post(f"{path}/step", form | {"step": "approve", "signature": wrong}).status in {400, 403, 422}
    assert asker.post(
        f"{path}/step",
        {
            "form": asker.get("/console").form("form", action="/console/sign-out")["fields"]["form"],
            "step": "approve",
            "signature": good,
        },
    ).status in {403, 422}
    assert approver.post(f"{path}/step", form | {"step": "approve", "signature": good}).status == 303
    assert "approved" in approver.get(path).text


def test_a_request_is_taken_step_by_step_and_what_was_written_opens_on_record(maison, pos, life, signed_in):
    officer = signed_in()
    made = pos_request(maison, life)
    listed = officer.get("/console/requests")
    assert "Access" in listed.text
    path = f"/console/requests/{made}"
    shown = officer.get(path)
    assert "please hurry" not in shown.text
    form = next(each for each in shown.forms if each["fields"].get("step") == "open")["fields"]
    opened = officer.post(path, form)
    assert "please hurry" in opened.text
    assert "<script>" not in opened.answer.text.replace('<script src="', "")
    assert recorded(maison, "request.viewed")
    tab = officer.get(f"{path}?tab=work")
    step = next(each for each in tab.forms if each["fields"].get("step") == "halt")["fields"] | {"reason": "counsel"}
    assert officer.post(path, step | {"reason": "Apolline Rousselin"}).status == 400
    assert officer.post(path, step).answer.headers["location"] == f"{path}?tab=work"
    assert officer.post(path, step).status == 409
    assert "on hold" in officer.get(path).text
    assert "reason:counsel" in officer.get(f"{path}?tab=steps").text
    for name in ("summary", "identity", "work", "answer", "steps"):
        assert officer.get(f"{path}?tab={name}").status == 200
    maison.clock.advance(301)
    assert officer.post(path, form).answer.headers["location"].startswith("/console/confirm")


def pos_request(maison, reference, *, proven=False):
    """A request that an officer took in, with words of the person."""
    from policies.rights import Assurance, Right
    from vault.requests import intake
    from vault.requests.content import Content
    from vault.requests.records import Source
    from vault.requests.steps import by_officer

    words = "My wedding is on Saturday, please hurry. <script>alert(1)</script>"
    ask = intake.Ask(
        reference, "aurelle", Right.ACCESS, by_officer("compliance-1"), Source.OFFICER,
        *([Assurance.DOCUMENT] if proven else []), content=Content(words),
    )  # fmt: skip
    with maison.vault.unit() as uow:
        (made,) = intake.receive(uow, [ask])
        uow.commit()
    return made.name


def test_an_erasure_is_rehearsed_by_one_officer_and_approved_by_another(maison, pos, life, signed_in):
    from policies.rights import Assurance, Right
    from vault.requests import intake
    from vault.requests.records import Source
    from vault.requests.steps import by_officer

    claire, ines = signed_in("compliance"), signed_in("approver", "fr")
    by = by_officer("compliance-1")
    ask = intake.Ask(life, "aurelle", Right.ERASURE, by, Source.OFFICER, Assurance.DOCUMENT)
    with maison.vault.unit() as uow:
        (made,) = intake.receive(uow, [ask])
        uow.commit()
    path = f"/console/requests/{made.name}"

    def step(officer, tab, name, **more):
        page = officer.get(f"{path}?tab={tab}")
        form = next((each["fields"] for each in page.forms if each["fields"].get("step") == name), None)
        assert form is not None, (name, page.text)
        return officer.post(path, form | more).status

    if "accept" in [each["fields"].get("step") for each in claire.get(f"{path}?tab=identity").forms]:
        assert step(claire, "identity", "accept", rung="document") == 303
    for tab, name in (("work", "collect"), ("work", "review"), ("answer", "check_holds")):
        assert step(claire, tab, name) == 303, name
        goes_on = "Work next" if name == "collect" else "Answer next"
        assert goes_on in claire.get(f"{path}?tab=summary").text
    assert "What a law keeps" in claire.get(f"{path}?tab=answer").text  # what the look at holds found
    assert step(claire, "answer", "rehearse") == 303
    assert step(claire, "answer", "approve") in {403, 422}
    assert step(ines, "answer", "approve") == 303
    page = ines.get(f"{path}?tab=answer")
    assert "Coordonnées" in page.text  # what the tick says that it was read
    form = page.form("sure")["fields"]
    untold = recorded(maison, "request.advanced")
    for unsure in ({"sure": ""}, {"sure": "no"}, {"sure": None}):
        given = {name: value for name, value in (form | unsure).items() if value is not None}
        refused = ines.post(path, given)
        assert (refused.status, "Pas confirmé" in refused.text) == (422, True)
    assert recorded(maison, "request.advanced") == untold
    assert pos.describe(life).status_code == 200  # nothing went
    # What follows of itself is no officer's to say.
    for forged in ("note_notified", "note_expired", "certify", "close"):
        assert ines.post(path, form | {"step": forged}).status == 409
    assert step(ines, "answer", "execute", without_letter="") == 422
    assert "La lettre n’est pas partie" in ines.post(path, form | {"without_letter": ""}).text
    assert pos.describe(life).status_code == 200
    assert step(ines, "answer", "execute", without_letter="yes") == 303
    assert pos.describe(life).status_code == 404
    for forged in ("execute", "note_notified", "note_expired", "certify", "close"):
        assert ines.post(path, form | {"step": forged}).status == 409
    assert recorded(maison, "request.denied")


def test_an_officer_reads_the_texts_of_a_package_and_keeps_one_back(maison, pos, signed_in):
    from maison_callers import CONSENT, PERSON
    from portal_visitor import signed_in as at_the_portal

    held = {"delivery_instructions": "the brother must not know <b>", "email": ["texts@example.com"], "phone": []}
    reference = pos.created(PERSON | held | {"client_number": "AU-77"}, CONSENT)
    claire = signed_in("compliance")
    path = f"/console/requests/{pos_request(maison, reference, proven=True)}"

    def send(name, tab="answer", **more):
        page = claire.get(f"{path}?tab={tab}")
        form = next(each["fields"] for each in page.forms if each["fields"].get("step") == name)
        return claire.post(path, form | more)

    assert send("collect", "work").answer.headers["location"] == f"{path}?tab=work"
    assert send("review", "work").answer.headers["location"] == f"{path}?tab=answer"  # where it goes on
    closed = claire.get(f"{path}?tab=answer")
    assert "brother" not in closed.text  # not before it is asked for
    assert "1 entry that may hold a text was read by nobody" in closed.text
    assert not recorded(maison, "request.viewed")
    read = send("texts")
    assert "the brother must not know &lt;b&gt;" in read.answer.text
    assert "read by nobody" not in read.text
    assert recorded(maison, "request.viewed")
    form = read.form("ground", "item")["fields"]
    for wrong in ({"ground": "because"}, {"ground": "unfounded"}, {"field": "email"}, {"item": "x"}, {"item": "7"}):
        assert claire.post(path, form | wrong).status in {400, 422}
    kept = claire.post(path, form | {"ground": "rights_of_others"})
    assert "kept back" in kept.text
    assert recorded(maison, "request.advanced")[-1]["fld"] == ["delivery_instructions"]
    me = at_the_portal(maison, address="texts@example.com")
    shown = me.submit("/me/held", category="address")
    assert "brother" not in shown.text
    assert "kept back, on this ground: Rights of others" in shown.text
    assert me.get("/me/ask/rectification?field=delivery_instructions").status == 200  # to be told anew, unseen
    given = claire.post(path, kept.form("field", "item")["fields"] | {"step": "give"})
    assert "kept back" not in given.text
    assert "brother" not in me.submit("/me/held", category="address").text  # while whoever reads may still keep it back
    assert send("prepare").status == 303
    assert "brother" in me.submit("/me/held", category="address").text


def ready_package(maison, claire, reference):
    """An access request of the person, ready to be handed over; the officer's page of it."""
    path = f"/console/requests/{pos_request(maison, reference, proven=True)}"
    for tab, name in (("work", "collect"), ("work", "review"), ("answer", "prepare")):
        page = claire.get(f"{path}?tab={tab}")
        form = next(each["fields"] for each in page.forms if each["fields"].get("step") == name)
        assert claire.post(path, form).status == 303, name
    return path


def test_a_package_is_handed_over_by_a_link_that_is_shown_once_and_works_once(maison, life, signed_in):
    claire, auditor = signed_in(), signed_in("auditor")
    path = ready_package(maison, claire, life)
    page = claire.get(f"{path}?tab=answer")
    form = next(each["fields"] for each in page.forms if each["fields"].get("step") == "link")
    assert "deliver" not in [each["fields"].get("step") for each in page.forms]  # by giving it out alone
    made = claire.post(path, form)
    (secret,) = re.findall(r'value="https://vault\.example/package#([\w-]{43})"', made.answer.text)
    assert secret not in claire.get(f"{path}?tab=answer").answer.text
    assert auditor.post(path, form).status == 403
    headers = {"Origin": PUBLIC, "Sec-Fetch-Site": "same-origin"}
    stranger = Browser(maison.http.app)
    answers = [stranger.http.post("/package", data={"code": secret}, headers=headers) for _ in range(2)]
    assert [each.status_code for each in answers] == [200, 403]
    assert answers[0].content[:2] == b"PK"
    assert "delivered" in claire.get(path).text
    assert recorded(maison, "subject.exported")
    maison.clock.advance(301)
    assert claire.post(path, form).answer.headers["location"].startswith("/console/confirm")


def test_an_officer_takes_a_package_sealed_to_the_persons_key_and_in_no_other_way(maison, life, signed_in):
    claire = signed_in()
    path = ready_package(maison, claire, life)
    form = next(
        each["fields"] for each in claire.get(f"{path}?tab=answer").forms if each["fields"].get("step") == "package"
    )
    key = OKPKey.generate_key("X25519")
    for wrong in ("", "{", "[]", "{}", "[1]", json.dumps(key.as_dict(private=True)), '{"kty":"oct","k":"AAAA"}'):
        refused = claire.post(path, form | {"key": wrong})
        assert (refused.status, "Not a key to seal to" in refused.text) == (422, True), wrong
    assert not recorded(maison, "subject.exported")
    answer = claire.post(path, form | {"key": json.dumps(key.as_dict(private=False))}).answer
    assert answer.headers["content-type"] == "application/jose"
    assert answer.headers["content-disposition"].endswith('.jwe"')
    opened = jwe.decrypt_compact(answer.content, key, algorithms=["ECDH-ES+A256KW", "A256GCM"])
    assert opened.plaintext[:2] == b"PK"
    assert {each["actor"]["id"] for each in recorded(maison, "subject.exported")} == {"compliance-1"}


def test_a_systems_matrix_is_of_purposes_and_fields_with_how_often_each_was_given(maison, pos, life, signed_in):
    for _ in range(6):
        pos.disclose(pos.granted(life, ("phone", "masked"), max_uses=5))
    vouch(maison)
    page = signed_in("auditor").get("/console/systems/aurelle-pos").answer.text
    (matrix,) = re.findall(r'<table class="matrix">.*?</table>', page, re.DOTALL)
    heads = re.findall(r'<th scope="col">([^<]+)</th>', matrix)[1:]
    at = heads.index("clienteling.in_store")
    rows = {
        title: re.findall(r"<td[^>]*>(.*?)</td>", cells, re.DOTALL)
        for title, cells in re.findall(r'<th scope="row" class="under">([^<]+)</th>(.*?)</tr>', matrix, re.DOTALL)
    }
    assert len(rows) > 50
    titles = {name: each.title["en"] for name, each in maison.vault.bundle.catalogue.fields.items()}
    assert rows[titles["phone"]][at] == "7"
    assert rows[titles["birth_date"]][at] == "&lt;5"
    assert "7" not in [cell for name, cells in rows.items() if name != titles["phone"] for cell in cells]


def test_systems_and_purposes_tell_what_was_given_since_they_were_last_asked(maison, pos, life, signed_in):
    def told():
        _, row = auditor.get("/console/systems").answer.text.split("/console/systems/aurelle-pos", 1)
        cells = re.findall(r'<td class="n">([^<]+)</td>', row.partition("</tr>")[0])
        purposes = auditor.get("/console/purposes").answer.text
        assert "Contact details: masked" in purposes  # categories by their titles, as everywhere
        _, purpose = purposes.split("<code>clienteling.in_store</code>", 1)
        return cells[-1], re.findall(r"<dd>([^<]+)</dd>", purpose.partition("</section>")[0])[-1]

    auditor = signed_in("auditor")
    assert told() == ("&lt;5", "&lt;5")
    for _ in range(6):
        pos.disclose(pos.granted(life, ("phone", "masked"), max_uses=5))
    vouch(maison)
    assert told() == ("8", "8")
    maison.clock.advance(30 * 86_400)
    auditor = signed_in("auditor", officer_id="paul")
    assert told()[1] in {"0", "&lt;5"}
    assert told()[0] == told()[1]


def pruned(maison):
    """Prune the first bundle, as a command would that was handed what holds it."""
    outside = maison.http.app.state.services.settings.checkpoint_file
    plan = Plan(0, 0, 256, 12, "ab" * 32, ())
    pruning.prune(maison.vault, plan, ["cd" * 32], outside, Actor(ActorKind.VAULT, "operator"))


def test_a_log_that_was_pruned_says_from_where_on_it_can_be_read(maison, pos, life, signed_in):
    vouch(maison)
    with maison.vault.unit() as uow:
        for _ in range(300):
            uow.record(Entry(Act.LOG_HEARTBEAT, Outcome.ALLOW, Actor(ActorKind.VAULT, "vault")))
        uow.commit()
    pruned(maison)
    officer = signed_in()
    page = officer.get("/console/log?act=log.pruned")
    assert "The log is read from entry 256 on" in page.text
    assert "Old entries of the log pruned" in page.text
    gone, there = officer.get("/console/log/3"), officer.get("/console/log/300")
    assert (gone.status, there.status) == (410, 200)
    assert "what was before was pruned and is not counted here" in officer.get("/console/reports/refusals").text
