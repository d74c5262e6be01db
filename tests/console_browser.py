"""A browser without a screen: keeps cookies, reads forms, sends them as browsers do; and officers who sign in with it."""

import re
from base64 import b64encode
from html.parser import HTMLParser

from maison_callers import PUBLIC
from pyotp import TOTP
from starlette.testclient import TestClient

from api.cli.opened import OPERATOR
from vault import evidence, officers
from vault.officers import Role
from vault.signin import invitations

PASSWORD = "a long enough passphrase"


class Page(HTMLParser):
    """What is on a page: forms with their fields, links, and all text."""

    def __init__(self, answer):
        super().__init__()
        self.answer, self.status = answer, answer.status_code

    def __getattr__(self, name):
        """Read the page when something on it is asked for: most are only walked past."""
        if name not in {"forms", "links", "words"}:
            raise AttributeError(name)
        self.forms, self.links, self.words = [], [], []
        self.feed(self.answer.text)
        return getattr(self, name)

    def handle_starttag(self, tag, attributes):
        found = dict(attributes)
        if tag == "form":
            self.forms.append(
                {
                    "action": found.get("action"),
                    "fields": {},
                    "ceremony": found.get("data-ceremony"),
                    "options": found.get("data-options"),
                }
            )
        if tag in {"input", "select", "textarea"} and self.forms and found.get("name"):
            self.forms[-1]["fields"][found["name"]] = found.get("value", "")
        if tag == "a" and found.get("href"):
            self.links.append(found["href"])

    def handle_data(self, data):
        self.words.append(data)

    @property
    def text(self):
        return re.sub(r"\s+", " ", " ".join(self.words))

    def form(self, *names, action=None):
        """The form that has these fields."""
        for each in self.forms:
            if action is None and each["action"] in {"/console/sign-out", "/me/sign-out"}:
                continue
            if set(names) <= set(each["fields"]) and (action is None or each["action"] == action):
                return each
        raise AssertionError(f"no form with {names} in {self.text[:300]}")


class Browser:
    """One browser at the console of an application that runs in this process."""

    def __init__(self, app, language="en", address=PUBLIC):
        self.http = TestClient(app, base_url=address, raise_server_exceptions=False, follow_redirects=False)
        self.address, self.language = address, language

    def get(self, path, **headers):
        return Page(self.http.get(path, headers={"Accept-Language": self.language, **headers}))

    def open(self, path):
        """Get a page, and go where it sends us."""
        page = self.get(path)
        for _ in range(5):
            if page.status != 303:
                return page
            page = self.get(page.answer.headers["location"])
        raise AssertionError("sent around in circles")

    def post(self, path, fields, **headers):
        sent = {"Accept-Language": self.language, "Origin": self.address, "Sec-Fetch-Site": "same-origin"} | headers
        return Page(self.http.post(path, data=fields, headers={k: v for k, v in sent.items() if v is not None}))

    def submit(self, path, *names, **values):
        """Open a page, fill in its form that has these fields, send it."""
        page = self.get(path)
        form = page.form(*names, *values)
        return self.post(form["action"] or path, form["fields"] | values)

    @property
    def token(self):
        return self.http.cookies.get("__Host-ecrin-session")


def add_officer(vault, officer_id, role):
    """Add an officer and return a set-up code."""
    with vault.unit() as uow:
        officers.add(uow, officer_id, Role(role), PASSWORD, OPERATOR)
        code = invitations.invite(uow, officer_id, OPERATOR)
        uow.commit()
    return code


def set_up(browser, code, clock):
    """Come with a set-up code and choose password and code. Returns the authenticator."""
    page = browser.submit("/console/set-up", code=code)
    assert page.status == 303, page.text
    page = browser.get("/console/set-up")
    (spelt,) = re.findall(r'<code class="secret">([A-Z2-7 ]+)</code>', page.answer.text)
    authenticator = TOTP(spelt.replace(" ", ""))
    form = page.form("password", "code")
    done = browser.post(
        "/console/set-up", form["fields"] | {"password": PASSWORD, "code": authenticator.at(clock.now())}
    )
    assert done.status == 303, done.text
    return authenticator


def sign_in(browser, officer_id, authenticator, clock):
    """Sign in with password and a fresh code."""
    clock.advance(30)
    return browser.submit("/console/sign-in", officer=officer_id, password=PASSWORD, code=authenticator.at(clock.now()))


def confirm(browser, authenticator, clock):
    """Prove to be there still."""
    clock.advance(30)
    return browser.submit("/console/confirm", password=PASSWORD, code=authenticator.at(clock.now()))


def vouch(maison):
    """Have the log signed up to here."""
    settings = maison.http.app.state.services.settings
    evidence.sign_checkpoints(maison.vault, settings.checkpoint_file)


def recorded(maison, act):
    """The entries of an act, oldest first."""
    return [each.read for each in maison.entries() if each.act == act]


def text_to_sign(page, act):
    """The text that a page shows for an act."""
    return re.search(rf"<pre[^>]*>(ecrin-officer-act[^<]*?act: {act}\n.*?)</pre>", page.answer.text, re.DOTALL)[1]


def signature(key, text):
    return b64encode(key.sign(text.encode())).decode()
