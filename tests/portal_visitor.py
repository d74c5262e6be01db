"""Somebody at the portal: signs in with the code that was sent, asks for each right, finds their entries."""

from console_browser import PUBLIC, Browser
from policy_officers import AUTHOR, Officers

from vault.requests import delivering, handling, letters, records
from vault.requests.records import Wanted
from vault.requests.states import Move
from vault.requests.steps import by_officer

ADDRESS = "Apolline.Rousselin@example.com"
HERE = {"Origin": PUBLIC, "Sec-Fetch-Site": "same-origin"}
# What each right needs beside the button, as its page asks for it.
FILLED = {
    "access": {},
    "portability": {},
    "rectification": {"field": "ring_size", "value:value": "54", "value:system": "eu"},
    "erasure": {"category:preferences": "on"},
    "restriction": {"ground": "accuracy_contested"},
    "objection": {"purpose:clienteling": "on"},
    "consent_withdrawal": {"purpose:clienteling": "on"},
    "decision_review": {"words": "A machine said no."},
    "complaint": {"words": "Nobody answered."},
}


def code_of(maison):
    found = [each for each in letters.claim(maison.vault, 50) if each.kind is letters.LetterKind.CODE]
    return found[-1].words["code"] if found else None


def signed_in(maison, browser=None, address=ADDRESS):
    """Sign a browser in, a new one if none is given."""
    browser = browser or Browser(maison.http.app)
    asked = browser.submit("/me/sign-in", brand="aurelle", address=address)
    assert asked.answer.headers["location"] == "/me/code"
    done = browser.submit("/me/code", code=code_of(maison))
    assert done.answer.headers["location"] == "/me", done.text
    return browser


def send(browser, right, **more):
    """Open the page of a right and send what it needs."""
    fields = FILLED[right] | more
    path = f"/me/ask/{right}"
    opened = f"{path}?field={fields['field']}" if "field" in fields else path
    form = browser.get(opened).form("words", action=path)["fields"]
    unticked = {name for name in form if name.startswith(("category:", "purpose:")) or name == "ground"}
    return browser.post(path, {name: value for name, value in form.items() if name not in unticked} | fields)


def sent(browser, right, **more):
    answer = send(browser, right, **more)
    assert answer.answer.headers.get("location") == "/me/requests?done=sent", answer.text


def take(browser, path, **fields):
    """Send the form of a page that leads to a file, and return the answer as bytes."""
    page = browser.get("/me/requests")
    csrf = page.form("form", action="/me/sign-out")["fields"]["form"]
    return browser.http.post(path, data={"form": csrf, **fields}, headers=HERE)


def acts(maison, act):
    return [each.read for each in maison.entries() if each.act == act]


def listed(maison):
    with maison.vault.reading() as conn:
        return records.listed(conn, Wanted())


def package_of(maison, me, request):
    """The access package of a request, through review and taken at the portal: the archive as it was downloaded."""
    by = by_officer(AUTHOR, Officers(maison.vault).signing(AUTHOR))
    for move in (Move.COLLECT, Move.REVIEW):
        handling.advance(maison.vault, request.id, move, by)
    delivering.prepare(maison.vault, request.id, by)
    (form,) = [each for each in me.get("/me/requests").forms if each["action"] == "/me/package"]
    return me.http.post("/me/package", data=form["fields"], headers=HERE).content
