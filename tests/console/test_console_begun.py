"""What officers begin at the console: a change of policy, a raise, an emergency. By a signature over a text that is shown."""

import io
import re
import zipfile

import pytest
from busy_group import higher, keyed
from console_browser import Browser, Page, confirm, recorded, signature, text_to_sign, vouch
from maison_callers import PUBLIC
from policy_officers import FILES, Officers, changed
from sqlalchemy import text

from api import bundles
from api.console import raising
from api.console.site import PAGES
from api.pages.mount import UPLOADS
from vault import budgetraises, housekeeping
from vault.governance import beginning, cases, uploads, versions
from vault.governance.cases import CASE

PROPOSE = "/console/policy/propose"
RAISE = "/console/budgets/raise"
ASK = "/console/break-glass/ask"
REASON = "Elle s’est évanouie en boutique ; le médecin demande son téléphone."
STRICTER = """
@id("refuse.nobody_rings")
@title("Nobody rings this month")
@basis("GDPR 5(1)(c)")
forbid (principal, action, resource == Category::"contact");
"""


def packed(files, folder="maisons/", **odd):
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in {**{f"{folder}{name}": each for name, each in files.items()}, **odd}.items():
            archive.writestr(name, content)
    return out.getvalue()


def csrf(officer):
    return re.search(r'name="form" value="([0-9a-f]+)"', officer.get("/console/account").answer.text)[1]


def send(officer, content, fields=None, path=PROPOSE, **headers):
    """Send a file as a browser does."""
    sent = {"Accept-Language": officer.language, "Origin": officer.address, "Sec-Fetch-Site": "same-origin"} | headers
    fields = {"form": csrf(officer), "step": "file"} if fields is None else fields
    files = {} if content is None else {"bundle": ("anything.zip", content, "application/zip")}
    parts = {name: (None, value) for name, value in fields.items()} | files
    return Page(officer.http.post(path, files=parts, headers=sent))


def brought(officer, files):
    """Bring a bundle, return its page's address."""
    answer = send(officer, packed(files))
    assert answer.status == 303, answer.text
    return answer.answer.headers["location"]


def policy_text(page):
    return re.search(r"<pre[^>]*>(ecrin-policy-signature[^<]*?part: author\n.*?)</pre>", page.answer.text, re.DOTALL)[1]


@pytest.fixture
def claire(maison, signed_in):
    officer = signed_in("compliance", officer_id="claire")
    officer.key = keyed(maison.vault, "claire")["claire"]
    return officer


@pytest.fixture
def ines(maison, signed_in):
    officer = signed_in("approver", officer_id="ines")
    officer.key = keyed(maison.vault, "ines")["ines"]
    return officer


# ------------------------------------------------------------------------------------------------------ a change of policy


BOMB = packed({"catalogue.toml": bytes(60 << 20)})


@pytest.mark.parametrize(
    "content",
    [
        None,
        b"",
        b"PK\x03\x04 no archive at all",
        packed({}),
        packed({"catalogue.toml": b"[[["}),
        packed(FILES | {"../access.cedar": b"permit (principal, action, resource);"}),
        packed(FILES, **{"maisons/notes.txt": b"x"}),
        packed(FILES, **{"other/access.cedar": FILES["access.cedar"]}),
        packed(FILES | {"access.cedar": FILES["access.cedar"] + b"\n}"}),
        packed({f"notices/n{each}.1.en.md": b"x" for each in range(bundles.MOST_FILES + 1)}),
        BOMB,
    ],
    ids=[
        "nothing", "empty", "garbage", "no-files", "no-catalogue", "climbing", "stray", "two-folders", "no-rules", "many", "bomb",
    ],
)  # fmt: skip
def test_a_bundle_that_does_not_parse_is_refused_in_words_and_not_kept(maison, claire, content):
    assert len(BOMB) < bundles.MOST_ZIPPED  # it is the unpacking that is bounded, not only the sending
    page = send(claire, content)
    assert page.status == 422
    assert "cannot be proposed" in page.text
    with maison.vault.reading() as conn:
        assert uploads.listed(conn, "claire", maison.clock.now()) == []
        assert len(versions.listed(conn)) == 0


def test_a_zip_that_is_encrypted_or_lies_about_itself_is_refused(maison, claire):
    good = packed(FILES)
    encrypted = bytearray(good)
    for mark, offset in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        at = -1
        while (at := encrypted.find(mark, at + 1)) >= 0:
            encrypted[at + offset] |= 1
    broken = bytearray(good)
    broken[good.index(b"PK\x01\x02") - 400] ^= 0xFF
    twice = packed({})
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive, pytest.warns(UserWarning, match="Duplicate"):
        archive.writestr("access.cedar", "a")
        archive.writestr("access.cedar", "b")
    for content in (bytes(encrypted), bytes(broken), good[:-30], twice, out.getvalue()):
        assert send(claire, content).status == 422


def test_a_bundle_that_breaks_with_the_one_before_is_refused_before_anybody_signs(maison, claire):
    Officers(maison.vault).adopt(FILES)
    page = send(claire, packed(changed("catalogue.toml", "id = 106", "id = 198")))
    assert (page.status, "standing" in page.text) == (422, True)
    with maison.vault.reading() as conn:
        assert uploads.listed(conn, "claire", maison.clock.now()) == []


def test_a_file_that_is_too_large_is_told_so_on_a_page(maison, claire):
    page = send(claire, bytes(bundles.MOST_ZIPPED + 8192))
    assert (page.status, "Too large" in page.text) == (413, True)
    assert claire.get(PROPOSE).status == 200
    (most,) = [each.most for each in PAGES if f"/console{each.path}" == UPLOADS]
    assert most > bundles.MOST_ZIPPED


@pytest.mark.parametrize(
    "headers",
    [{"Origin": "https://evil.example", "Sec-Fetch-Site": "cross-site"}, {"Origin": None, "Sec-Fetch-Site": "none"}],
)
def test_a_file_from_elsewhere_or_of_another_session_is_not_taken(maison, claire, signed_in, headers):
    good = packed(changed())
    sent = {name: value for name, value in headers.items() if value is not None}
    page = send(claire, good, **({"Origin": ""} | sent))
    assert (page.status, "foreign_form" in page.text) == (403, True)
    for token in ("", "0" * 64, csrf(signed_in("compliance", officer_id="renee"))):
        page = send(claire, good, {"form": token, "step": "file"})
        assert (page.status, "stale_form" in page.text) == (403, True)
    assert send(claire, good, {"step": "file"}).status == 403
    with maison.vault.reading() as conn:
        assert uploads.listed(conn, "claire", maison.clock.now()) == []


def test_only_a_form_with_a_file_is_read_where_one_is_asked_for(maison, claire):
    headers = {"Origin": PUBLIC, "Sec-Fetch-Site": "same-origin"}
    token = csrf(claire)
    assert claire.http.post(PROPOSE, data={"form": token, "step": "file"}, headers=headers).status_code == 415
    start = b'--b\r\nContent-Disposition: form-data; name="'
    field = start + b'form"\r\n\r\n' + token.encode() + b"\r\n"
    for body, status in (
        (field + field + b"--b--\r\n", 400),  # given twice
        (field, 400),  # cut off
        (field + start + b'step"\r\n\r\nfi', 400),
        (b"--c\r\n", 400),
        (b"", 400),
        (start + b'"\r\n\r\nx\r\n--b--\r\n', 400),  # nameless
        (b"--b\r\n\r\nx\r\n--b--\r\n", 400),
        (field + start + b'step"\r\n\r\n' + b"x" * 2000 + b"\r\n--b--\r\n", 400),
        (field + start + b'step"\r\n\r\n\xff\r\n--b--\r\n', 400),
        (field + b"".join(start + b'a%d"\r\n\r\nx\r\n' % each for each in range(20)) + b"--b--\r\n", 400),
        (field + b"--b--\r\n", 400),  # whole, but it says no step
    ):
        sent = headers | {"Content-Type": "multipart/form-data; boundary=b"}
        assert claire.http.post(PROPOSE, content=body, headers=sent).status_code == status, body[:80]
    for kind in ("multipart/form-data", "multipart/form-data; boundary=", "multipart/mixed; boundary=b"):
        sent = headers | {"Content-Type": kind}
        assert claire.http.post(PROPOSE, content=field + b"--b--\r\n", headers=sent).status_code == 415, kind


def test_a_change_is_brought_read_replayed_proposed_signed_and_in_force(maison, pos, life, claire, ines):
    for _ in range(6):
        pos.disclose(pos.granted(life, ("phone", "masked"), max_uses=5))
    vouch(maison)
    path = brought(claire, changed(new=STRICTER))
    page = claire.get(path)
    assert "refuse.nobody_rings" in page.text
    assert "the category is contact" in page.text
    replayed = claire.submit(path, "days", days="7")
    assert "Decisions that come out otherwise" in replayed.text
    assert recorded(maison, "policy.proposed") == []  # nothing is decided by it
    done = claire.submit(path, "signature", signature=signature(claire.key, policy_text(page)))
    (number,) = re.findall(r"^/console/policy/(\d+)$", done.answer.headers["location"])
    assert "waits for another officer" in claire.open(done.answer.headers["location"]).text
    assert claire.get(path).status == 404  # it is a version now
    (proposed,) = recorded(maison, "policy.proposed")
    assert (proposed["out"], proposed["actor"]["id"]) == ("allow", "claire")
    # The same act as the command line's: it stands in the same row, under the same signature, for the same next step.
    with maison.vault.reading() as conn:
        made = versions.get(conn, int(number))
        assert versions.stored(conn, int(number))[1] == changed(new=STRICTER)
    assert (made.state, dict(made.signers)) == ("draft", {"author": "claire"})
    shown = ines.get(f"/console/policy/{number}")
    (words,) = re.findall(r"<pre[^>]*>([^<]*part: approver\n.*?)</pre>", shown.answer.text, re.DOTALL)
    step = ines.post(
        f"/console/policy/{number}/step",
        {"form": csrf(ines), "step": "approve", "signature": signature(ines.key, words)},
    )
    assert "Approved." in ines.open(step.answer.headers["location"]).text
    step = ines.post(f"/console/policy/{number}/step", {"form": csrf(ines), "step": "activate"})
    assert "in force" in ines.open(step.answer.headers["location"]).text
    maison.http.app.state.services.watch.look()
    assert "Nobody rings" in claire.get("/console/policy").text


def test_no_signature_but_the_authors_own_over_this_text_proposes_it(maison, claire, ines):
    path = brought(claire, changed(new=STRICTER))
    page = claire.get(path)
    words = policy_text(page)
    wrong = (
        signature(ines.key, words),
        signature(claire.key, words.rstrip("\n")),
        signature(claire.key, words.replace("part: author", "part: approver")),
        signature(claire.key, "anything"),
    )
    for each in wrong:
        refused = claire.submit(path, "signature", signature=each)
        assert (refused.status, "Not signed" in refused.text) == (422, True)
        assert policy_text(refused) == words
    assert claire.submit(path, "signature", signature="%%%").status == 400
    with maison.vault.reading() as conn:
        assert versions.listed(conn) == []
    denied = [each for each in recorded(maison, "policy.refused") if each["out"] == "deny"]
    assert [each["actor"]["id"] for each in denied] == ["claire"] * len(wrong)


def test_nobody_sees_proposes_or_discards_anothers_draft(maison, claire, signed_in):
    path = brought(claire, changed(new=STRICTER))
    words = policy_text(claire.get(path))
    renee = signed_in("compliance", officer_id="renee")
    renee.key = keyed(maison.vault, "renee")["renee"]
    assert renee.get(path).status == 404
    form = {"form": csrf(renee), "step": "propose", "signature": signature(renee.key, words)}
    assert renee.post(f"{path}/step", form).status == 404
    assert renee.post(path, {"form": csrf(renee), "days": "7"}).status == 404
    renee.post(f"{path}/step", {"form": csrf(renee), "step": "discard"})
    assert claire.get(path).status == 200
    # And who proposed does not approve, whatever their role has become since: the draft is still there to sign.
    claire.submit(path, "signature", signature=signature(claire.key, words))
    with maison.vault.engine.begin() as conn:
        conn.execute(text("UPDATE officer SET role = 'approver' WHERE id = 'claire'"))
    shown = claire.get("/console/policy/1")
    (words,) = re.findall(r"<pre[^>]*>([^<]*part: approver\n.*?)</pre>", shown.answer.text, re.DOTALL)
    form = {"form": csrf(claire), "step": "approve", "signature": signature(claire.key, words)}
    assert claire.post("/console/policy/1/step", form).status in {403, 422}
    with maison.vault.reading() as conn:
        assert versions.get(conn, 1).state == "draft"


def test_a_draft_that_is_sent_twice_is_proposed_once_and_a_text_that_moved_on_is_shown_anew(maison, claire):
    first, second = brought(claire, changed(new=STRICTER)), brought(claire, changed())
    words = policy_text(claire.get(first))
    form = {"form": csrf(claire), "step": "propose", "signature": signature(claire.key, words)}
    assert claire.post(f"{first}/step", form).status == 303
    assert claire.post(f"{first}/step", form).status == 404
    # Both drafts would have been version 1: the second one's text has changed.
    late = claire.post(f"{second}/step", form | {"signature": signature(claire.key, words)})
    assert late.status == 422
    assert "version: 2" in policy_text(late)
    with maison.vault.reading() as conn:
        assert [each.number for each in versions.listed(conn)] == [1]


def test_drafts_are_few_end_by_themselves_and_are_discarded(maison, claire):
    paths = []
    for each in range(uploads.MOST + 2):
        maison.clock.advance(1)
        paths.append(brought(claire, changed(new=STRICTER.replace("this month", f"{each}"))))
    assert [claire.get(path).status for path in paths] == [404, 404] + [200] * uploads.MOST
    gone = claire.post(f"{paths[-1]}/step", {"form": csrf(claire), "step": "discard"})
    assert "Discarded" in claire.open(gone.answer.headers["location"]).text
    assert claire.get(paths[-1]).status == 404
    assert claire.post(f"{paths[-2]}/step", {"form": csrf(claire), "step": "anything"}).status == 400
    with maison.vault.engine.begin() as conn:
        conn.execute(text("UPDATE bundle_upload SET expires_at = :now"), {"now": maison.clock.now()})
    assert claire.get(paths[-2]).status == 404
    maison.clock.advance(housekeeping.GRACE_SECONDS + 1)
    assert housekeeping.purge(maison.vault).uploads == uploads.MOST - 1


def test_to_go_back_is_a_new_version_of_what_there_was(maison, claire):
    for chosen in ("shipped", "1"):
        answer = send(claire, None, {"form": csrf(claire), "step": "version", "version": chosen})
        assert answer.status == 303, answer.text
        path = answer.answer.headers["location"]
        page = claire.get(path)
        done = claire.submit(path, "signature", signature=signature(claire.key, policy_text(page)))
        assert done.status == 303
    with maison.vault.reading() as conn:
        assert {each.hash for each in versions.listed(conn)} == {maison.vault.bundle.hash}
        assert [each.number for each in versions.listed(conn)] == [1, 2]
    for chosen in ("99", "", "x"):
        answer = send(claire, None, {"form": csrf(claire), "step": "version", "version": chosen})
        assert answer.status in {400, 404}, chosen


def test_a_versions_files_come_as_they_were_signed_and_go_back_in(maison, claire):
    path = brought(claire, changed(new=STRICTER))
    claire.submit(path, "signature", signature=signature(claire.key, policy_text(claire.get(path))))
    content = claire.get("/console/policy/1/files").answer.content
    assert bundles.unzipped(content) == changed(new=STRICTER)
    assert send(claire, content).status == 303


def test_bringing_and_proposing_take_presence(maison, claire):
    path = brought(claire, changed(new=STRICTER))
    words = policy_text(claire.get(path))
    form = {"form": csrf(claire), "step": "propose", "signature": signature(claire.key, words)}
    maison.clock.advance(301)
    for answer in (send(claire, packed(changed())), claire.post(f"{path}/step", form)):
        assert answer.answer.headers["location"].startswith("/console/confirm?next=/console/policy/propose")
    with maison.vault.reading() as conn:
        assert versions.listed(conn) == []
        assert len(uploads.listed(conn, "claire", maison.clock.now())) == 1


# ---------------------------------------------------------------------------------------------------------------- a raise


def filled(officer, maison, **more):
    """A raise of the first limit by one, as the page takes it."""
    (limit,) = higher(maison.vault, "aurelle-pos")
    page = officer.get(f"{RAISE}?system=aurelle-pos")
    form = page.form("step", "hours", action=RAISE)["fields"]
    scope, _, rest = limit.rpartition(":")
    quota, window = rest.split("/")
    return form | {f"limit {scope}/{window}": quota, "hours": "2"} | more


def test_a_raise_is_proposed_by_a_signature_over_the_text_that_is_shown_and_approved_by_another(
    maison, life, claire, ines
):
    page = claire.post(RAISE, filled(claire, maison))
    assert page.status == 200, page.text
    with maison.vault.reading() as conn:
        assert budgetraises.listed(conn) == []  # nothing is kept before it is signed
    form = page.form("signature", action=RAISE)["fields"]
    words = text_to_sign(page, "raise.propose")
    done = claire.post(RAISE, form | {"signature": signature(claire.key, words)})
    assert "waits for another officer" in claire.open(done.answer.headers["location"]).text
    with maison.vault.reading() as conn:
        (made,) = budgetraises.listed(conn)
    assert (made.proposed_by, made.seconds, made.state, made.limits) == (
        "claire", 7200, "proposed", higher(maison.vault, "aurelle-pos"),
    )  # fmt: skip
    (entry,) = recorded(maison, "budget.proposed")
    assert (entry["out"], entry["actor"]["id"], f"raise:{made.id}" in entry["pol"]) == ("allow", "claire", True)
    # Not by who proposed it, with their own key, whether the page offers it or not.
    own = {"form": csrf(claire), "step": "approve", "thing": made.id}
    assert claire.post("/console/budgets/step", own | {"signature": signature(claire.key, "x")}).status in {403, 422}
    page = ines.get("/console/budgets")
    approval = {"form": csrf(ines), "step": "approve", "thing": made.id}
    words = text_to_sign(page, "raise.approve")
    assert ines.post("/console/budgets/step", approval | {"signature": signature(ines.key, words)}).status == 303
    with maison.vault.reading() as conn:
        assert budgetraises.listed(conn)[0].state == "approved"


def test_a_raise_that_is_sent_twice_is_proposed_once(maison, life, claire):
    page = claire.post(RAISE, filled(claire, maison))
    form = page.form("signature", action=RAISE)["fields"]
    form |= {"signature": signature(claire.key, text_to_sign(page, "raise.propose"))}
    assert claire.post(RAISE, form).status == 303
    assert claire.post(RAISE, form).status == 409
    with maison.vault.reading() as conn:
        assert len(budgetraises.listed(conn)) == 1
    assert [each["out"] for each in recorded(maison, "budget.proposed")] == ["allow"]


def test_no_signature_but_ones_own_over_just_this_raise_proposes_it(maison, life, claire, ines):
    page = claire.post(RAISE, filled(claire, maison))
    form = page.form("signature", action=RAISE)["fields"]
    words = text_to_sign(page, "raise.propose")
    good = signature(claire.key, words)
    tickets = (form["ticket"], "", "A" * len(form["ticket"]), form["ticket"][:-4] + "AAAA", "é" * len(form["ticket"]))
    wrong = [{"signature": signature(ines.key, words)}, {"signature": "%%%"}, {"signature": ""}]
    wrong += [{"ticket": each, "signature": good} for each in tickets[1:]]
    wrong += [{"hours": "168", "signature": good}]  # more than was signed
    for each in wrong:
        refused = claire.post(RAISE, form | each)
        assert (refused.status, "Not signed" in refused.text) == (422, True), each
    # Another officer's session brings the ticket and a signature of their own over this text.
    theirs = form | {"form": csrf(ines), "signature": signature(ines.key, words)}
    assert ines.post(RAISE, theirs).status == 422
    maison.clock.advance(beginning.GOOD_FOR)
    with maison.vault.reading() as conn:
        assert budgetraises.listed(conn) == []
    with pytest.raises(beginning.NotSigned):
        beginning.resume(maison.vault, budgetraises.RAISES.matter, "claire", form["ticket"])
    assert {each["out"] for each in recorded(maison, "budget.proposed")} == {"deny"}


def test_a_ticket_names_one_officers_thing_of_one_kind_for_an_hour(maison):
    vault, matter = maison.vault, budgetraises.RAISES.matter
    begun, ticket = beginning.begin(vault, matter, "claire")
    assert beginning.resume(vault, matter, "claire", ticket) == begun
    assert begun.salt.hex() not in repr(begun)
    for officer, of in (("ines", matter), ("claire", CASE)):
        with pytest.raises(beginning.NotSigned):
            beginning.resume(vault, of, officer, ticket)
    maison.clock.advance(beginning.GOOD_FOR - 1)
    assert beginning.resume(vault, matter, "claire", ticket) == begun
    maison.clock.advance(1)
    with pytest.raises(beginning.NotSigned):
        beginning.resume(vault, matter, "claire", ticket)
    assert beginning.begin(vault, matter, "claire")[0] != begun


@pytest.mark.parametrize("more", [{"hours": "0"}, {"hours": "169"}, {"hours": ""}, {"none": ""}, {"lower": ""}])
def test_a_raise_that_is_none_is_asked_for_again_and_keeps_what_was_filled_in(maison, life, claire, more):
    form = filled(claire, maison)
    (name,) = [each for each in form if each.startswith("limit ") and form[each]]
    form |= {name: "" if "none" in more else "1" if "lower" in more else form[name], **more}
    page = claire.post(RAISE, {each: value for each, value in form.items() if each not in {"none", "lower"}})
    assert (page.status, "Nothing was done" in page.text) == (422, True)
    assert page.form("hours", action=RAISE)["fields"][name] == form[name]


def test_what_no_page_of_ours_sends_is_refused(maison, life, claire):
    form = filled(claire, maison)
    for wrong in ({"step": "x"}, {"system": "<b>"}, {"hours": "-1"}, {"hours": "1e9"}):
        assert claire.post(RAISE, form | wrong).status == 400, wrong
    assert claire.post(RAISE, form | {"system": "nobody"}).status == 404
    assert claire.get(f"{RAISE}?system=nobody").status == 404
    assert raising.MOST_HOURS == 168


# ---------------------------------------------------------------------------------------------------------- an emergency


def asking(officer, reference, **more):
    form = officer.get(ASK).form("reason", action=ASK)["fields"]
    chosen = {"brand": "aurelle", "reference": reference, "minutes": "15", "reason": REASON, "field phone": "raw"}
    return {
        name: value for name, value in (form | {"bearer": officer.name} | chosen | more).items() if value is not None
    }


@pytest.fixture
def asker(claire):
    claire.name = "claire"
    return claire


def test_an_emergency_is_asked_for_by_a_signature_and_decided_by_another(maison, life, asker, ines):
    page = asker.post(
        ASK,
        asking(asker, life, **{"field allergies": "predicate:has_any", "field name": "masked"})
        | {"field allergies": "raw"},
    )
    assert page.status == 200, page.text
    with maison.vault.reading() as conn:
        assert cases.listed(conn) == []
    form = page.form("signature", action=ASK)["fields"]
    done = asker.post(ASK, form | {"signature": signature(asker.key, text_to_sign(page, "case.ask"))})
    assert done.status == 303, done.text
    location = done.answer.headers["location"]
    assert life not in location
    assert "waits for another officer" in asker.open(location).text
    with maison.vault.reading() as conn:
        (case,) = cases.listed(conn)
        asked = cases.opened(maison.vault, conn, case)
    assert (asked.reference, asked.reason, asked.bearer, asked.minutes) == (life, REASON, "claire", 15)
    assert {(each.field, each.level.value) for each in case.wanted} == {
        ("phone", "raw"),
        ("name", "masked"),
        ("allergies", "raw"),
    }
    (entry,) = recorded(maison, "breakglass.asked")
    assert (entry["out"], entry["actor"]["id"]) == ("allow", "claire")
    # The same sequel as a case of the command line: by another officer's key, and not by one's own.
    own = {"form": csrf(asker), "step": "approve", "signature": signature(asker.key, "x")}
    assert asker.post(f"/console/break-glass/{case.name}/step", own).status in {403, 422}
    shown = ines.get(f"/console/break-glass/{case.name}")
    approval = {"form": csrf(ines), "step": "approve"}
    approval |= {"signature": signature(ines.key, text_to_sign(shown, "case.approve"))}
    assert ines.post(f"/console/break-glass/{case.name}/step", approval).status == 303
    with maison.vault.reading() as conn:
        assert cases.get(conn, case.id).state is cases.State.APPROVED


def test_an_emergency_that_is_sent_twice_is_one_and_another_signature_is_none(maison, life, asker, ines):
    page = asker.post(ASK, asking(asker, life))
    form = page.form("signature", action=ASK)["fields"]
    words = text_to_sign(page, "case.ask")
    good = signature(asker.key, words)
    for wrong in (
        {"signature": signature(ines.key, words)},
        {"signature": ""},
        {"signature": good, "reason": REASON + " And more."},
        {"signature": good, "reference": f"{life}x"},
        {"signature": good, "bearer": "ines"},
        {"signature": good, "field phone": "masked"},
        {"signature": good, "field name": "raw"},
        {"signature": good, "ticket": form["ticket"][::-1]},
    ):
        refused = asker.post(ASK, form | wrong)
        assert (refused.status, "Not signed" in refused.text) == (422, True), wrong
        assert refused.form("signature", action=ASK)["fields"]["reason"].startswith(
            REASON
        )  # what was written is not lost
    assert asker.post(ASK, form | {"signature": good}).status == 303
    assert asker.post(ASK, form | {"signature": good}).status == 409
    with maison.vault.reading() as conn:
        assert len(cases.listed(conn)) == 1
    assert {each["out"] for each in recorded(maison, "breakglass.denied")} == {"deny"}
    assert life not in str(maison.entries())
    assert "évanouie" not in str(maison.entries())


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ({"minutes": "0"}, "minutes"),
        ({"minutes": "61"}, "minutes"),
        ({"reason": "too short"}, "reason"),
        ({"reason": " " * 40}, "reason"),
        ({"field phone": ""}, "at least one field"),
        ({"bearer": "nobody"}, "not an active one"),
        ({"bearer": "founder-author"}, "not an active one"),
    ],
)  # fmt: skip
def test_an_emergency_that_cannot_be_one_is_asked_for_again_and_keeps_what_was_written(
    maison, life, asker, wrong, told
):
    page = asker.post(ASK, asking(asker, life, **wrong))
    assert (page.status, told in page.text, "Nothing was done" in page.text) == (422, True, True)
    form = page.form("reason", action=ASK)["fields"]
    assert form["reference"] == life
    with maison.vault.reading() as conn:
        assert cases.listed(conn) == []


def test_fields_and_levels_that_nobody_offers_are_refused(maison, life, asker):
    for wrong in (
        {"field nothing": "raw"}, {"field phone": "x"}, {"step": "x"}, {"brand": "<b>"}, {"minutes": "a"}, {"bearer": "<b>"},
    ):  # fmt: skip
        assert asker.post(ASK, asking(asker, life, **wrong)).status == 400, wrong


def test_what_was_written_survives_the_question_whether_it_is_you(maison, life, asker):
    form = asking(asker, life)
    maison.clock.advance(301)
    page = asker.post(ASK, form)
    assert page.status == 200
    assert "What you filled in is kept" in page.text
    with maison.vault.reading() as conn:
        assert cases.listed(conn) == []
    fields = page.form("kept", "password")["fields"]
    from console_browser import PASSWORD

    wrong = asker.post("/console/confirm", fields | {"password": "not the passphrase", "code": "000000"})
    assert wrong.status == 403
    fields = wrong.form("kept", "password")["fields"]
    maison.clock.advance(30)
    fields |= {"password": PASSWORD, "code": asker.authenticator.at(maison.clock.now())}
    page = asker.post("/console/confirm", fields)
    assert "Nothing has been done yet" in page.text
    onward = page.form("reason", action=ASK)["fields"]
    assert (onward["reason"], onward["reference"]) == (REASON, life)
    assert text_to_sign(asker.post(ASK, onward), "case.ask")
    assert confirm(asker, asker.authenticator, maison.clock).status == 303  # without a form it goes on as it always did


def test_a_kept_form_goes_nowhere_else(maison, asker):
    from console_browser import PASSWORD

    page = asker.get("/console/confirm")
    fields = page.form("password")["fields"]
    maison.clock.advance(30)
    fields |= {
        "password": PASSWORD,
        "code": asker.authenticator.at(maison.clock.now()),
        "kept": "a=b",
        "next": "https://evil.example/x",
    }
    page = asker.post("/console/confirm", fields)
    assert {each["action"] for each in page.forms} == {"/console/sign-out", "/console"}


def test_an_officer_without_a_key_is_told_so_before_they_fill_in_a_signature(maison, life, signed_in):
    officer = signed_in("operator", officer_id="oscar")
    officer.name = "oscar"
    page = officer.post(ASK, asking(officer, life))
    assert "none is registered" in page.text
    assert "signature" not in {name for form in page.forms for name in form["fields"]}


def test_a_page_says_once_what_was_done_and_no_address_can_make_it_say_so(maison, claire):
    path = brought(claire, changed(new=STRICTER))
    gone = claire.post(f"{path}/step", {"form": csrf(claire), "step": "discard"})
    assert gone.answer.headers["location"] == PROPOSE
    (line,) = [each for each in gone.answer.headers.get_list("set-cookie") if "done" in each]
    parts = {part.strip().lower() for part in line.split(";")[1:]}
    assert {"httponly", "path=/", "samesite=strict", "secure"} < parts
    assert "Discarded." in claire.get(PROPOSE).text
    assert "Discarded." not in claire.get(PROPOSE).text
    assert "Discarded." not in claire.get(f"{PROPOSE}?done=discarded").text
    claire.http.cookies.set("__Host-ecrin-done", "<b>", domain="vault.example")
    page = claire.get(PROPOSE)
    assert (page.status, "<b>" in page.answer.text) == (200, False)


def test_an_auditor_begins_nothing(maison, signed_in, browser):
    auditor = signed_in("auditor")
    for path in (PROPOSE, RAISE, ASK):
        assert auditor.get(path).status == 403
        assert auditor.post(path, {"form": csrf(auditor)}).status == 403
        assert browser.get(path).status == 303
    assert isinstance(browser, Browser)
