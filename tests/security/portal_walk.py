"""A person made of canaries goes through the portal, with officers at the console who answer; everything that is said is kept.

An exchange is `meant` if its purpose is to show the person's values to that very person, or what they wrote to the officer who
opened it. Of what is meant only the body may tell; addresses, headers, names of files and metadata of prints never.
"""

import io
import json
import re
import zipfile
from contextlib import contextmanager
from dataclasses import dataclass

from canary_hunter import phone, word
from canary_paths import everything
from console_browser import PASSWORD, Browser, add_officer, set_up, sign_in
from joserfc.jwk import ECKey
from letter_boxes import PLAIN, Box, relay
from maison_callers import CONSENT
from portal_visitor import HERE, listed, send

from api.console.reports import FORMATS
from api.observability.logs import Log
from api.post.carrier import Carrier
from api.post.sms import Gateway, Messages
from api.post.smtp import Mail
from vault import evidence, outbox
from vault.outbox import Told
from vault.requests import erasing

NEW_PASSWORD = "nine lanterns over the harbour"
WRONG_PASSWORD = "seven lamps by the other quay"


@dataclass(frozen=True)
class Heard:
    """One answer, as the wire would show it."""

    where: str
    meant: bool
    address: str
    headers: tuple
    body: bytes

    def header(self, name):
        return [value for key, value in self.headers if key.lower() == name]


class Walk:
    """`secrets`: name -> what must be nowhere but in the letter or on the page that is made to hand it over."""

    def __init__(self, maison, pos, serving, providing):
        self.maison, self.vault, self.clock = maison, maison.vault, maison.clock
        self.mail, self.phone = f"{word()}@example.com", phone()
        self.held = held = everything() | {"email": [self.mail], "phone": [self.phone], "identity_verified": True}
        self.reference = pos.created(held, CONSENT)
        pos.disclose(pos.granted(self.reference, ("phone", "masked"), ("name", "masked"), max_uses=5))
        self.heard, self.secrets, self._meant = [], {}, False
        self.box, self.gateway = Box(), providing()
        self.log = io.BytesIO()
        ports = {
            "email": Mail(relay(serving(self.box))),
            "phone": Messages(Gateway(self.gateway.url(), PLAIN)),
        }
        self.carrier = Carrier(
            self.vault, ports, Log(self.clock, level="debug", stream=self.log), "https://vault.example/me"
        )
        self.me = self.browser("me", "fr")
        self.secrets |= {"password": PASSWORD, "new password": NEW_PASSWORD, "wrong password": WRONG_PASSWORD}
        self.officers = {}

    def browser(self, who, language="en"):
        made = Browser(self.maison.http.app, language)

        def note(response):
            response.read()
            where = f"{who} {response.request.method} {response.request.url.path[:40]} {response.status_code}"
            headers = tuple((key.decode(), value.decode("latin-1")) for key, value in response.headers.raw)
            self.heard.append(Heard(where, self._meant, str(response.request.url), headers, response.content))

        made.http.event_hooks = {"response": [note]}
        return made

    @contextmanager
    def meant(self):
        self._meant = True
        yield
        self._meant = False

    def officer(self, name, role):
        if name not in self.officers:
            made = self.browser(name)
            made.authenticator = set_up(made, add_officer(self.vault, name, role), self.clock)
            self.officers[name] = made
            self.secrets[f"{name} seed"] = made.authenticator.secret
        return self.officers[name]

    # --- letters

    def letters(self):
        """Everything that arrived: (who it went to, what it says with all its headers but who it is to)."""
        for to, letter, _ in self.box.letters:
            told = [f"{name}: {value}" for name, value in letter.items() if name.lower() != "to"]
            yield to, "\n".join([*told, letter.get_content()])
        for _, _, content in self.gateway.asked:
            sent = json.loads(content)
            yield [sent.pop("to")], json.dumps(sent, ensure_ascii=False)

    def code(self):
        """Carry what waits; return the code of the newest letter that has one."""
        before = len(list(self.letters()))
        while self.carrier.turn():
            pass
        fresh = [text for _, text in list(self.letters())[before:]]
        (code,) = [found[1] for text in fresh if (found := re.search(r"code (?:is|est) (\d{8})", text))]
        self.secrets[f"code {len(self.secrets)}"] = code
        return code

    # --- what the person does

    def sign_in(self):
        for address in (self.mail, self.phone):
            self.me = self.browser("me", "fr")
            self.me.submit("/me/sign-in", brand="aurelle", address=f"{word()}@example.com")  # nobody's
            self.me = self.browser("me", "fr")
            self.me.submit("/me/sign-in", brand="aurelle", address=word())  # none at all
            asked = self.me.submit("/me/sign-in", brand="aurelle", address=address)
            assert asked.status == 303
            code = self.code()
            assert self.me.submit("/me/code", code=word()).status == 403
            assert self.me.submit("/me/code", code=code).status == 303
            self.secrets[f"session {len(self.secrets)}"] = self.me.http.cookies.get("__Host-ecrin-portal")
        for path in ("", "/held", "/looks", "/consents", "/requests", "/sessions", "/erased", "/ask/access"):
            self.me.get(f"/me{path}")
        with self.meant():  # what the person is given here to change
            self.me.get("/me/preferences")
        ended = [each for each in self.me.get("/me/sessions").forms if each["action"] != "/me/sign-out"]
        assert self.me.post("/me/sessions", ended[0]["fields"]).status == 303

    def ask(self, right, **more):
        """Send a request with words; return what came in."""
        before = {each.name for each in listed(self.maison)}
        assert send(self.me, right, words=word(), **more).status == 303
        (made,) = [each for each in listed(self.maison) if each.name not in before]
        return made

    def show(self, category):
        with self.meant():
            return self.me.submit("/me/held", category=category)

    def corrections(self):
        """One entry of a journal and one item of a list, seen, corrected wrongly, corrected, contested meanwhile."""
        for category, field, right, wrong in (
            ("purchases", "purchases", {"value:product": word()}, {"value:date": word()}),
            ("contact", "email", {"value": f"{word()}@example.com"}, {"value": word()}),
        ):
            page = self.show(category)
            link = next(each for each in page.links if each.startswith(f"/me/ask/rectification?field={field}"))
            page = self.me.get(link)
            for show in [each for each in page.forms if "show" in each["fields"]]:
                with self.meant():
                    assert self.me.post("/me/ask/rectification", show["fields"]).status == 200
            form = page.form("words")["fields"]
            form.pop("out", None)
            with self.meant():  # what was typed is given back to whoever typed it
                assert self.me.post("/me/ask/rectification", form | wrong | {"words": word()}).status == 422
            assert self.me.post("/me/ask/rectification", form | right | {"words": word()}).status == 303
            assert "contest" in self.show(category).text
        (one, other) = [each for each in listed(self.maison) if each.right == "rectification"]
        for request in (one, other):
            self.review(request)
            self.opened(request)
        self.step(one, "answer", "carry_out")
        self.show("purchases")

    def texts(self):
        """What staff wrote freely: on no page of hers, also where values are meant, until an officer has read it."""
        held = self.held
        written = {
            "notes": held["advisor_notes"][0]["text"],
            "service": held["repairs"][0]["work"],
            "address": held["delivery_instructions"].split("\n")[0],
        }
        for category in written:
            page = self.show(category)
            assert "un responsable" in page.text.lower()
            assert page.form(f"category:{category}", action="/me/ask/access")
        unread = [each for each in self.heard if each.where.startswith("me ")]
        assert not [each.where for each in unread for text in written.values() if text.encode() in each.body]
        before = {each.name for each in listed(self.maison)}
        form = self.show("notes").form("category:notes", action="/me/ask/access")["fields"]
        assert self.me.post("/me/ask/access", form).status == 303
        (request,) = [each for each in listed(self.maison) if each.name not in before]
        self.review(request)
        with self.meant():
            assert written["notes"] in self.step(request, "answer", "texts").text
        assert written["notes"] not in self.show("notes").text
        self.step(request, "answer", "prepare")
        assert written["notes"] in self.show("notes").text
        assert written["service"] not in self.show("service").text

    def words(self):
        """What is written along: an objection keeps none of it, a complaint is answered in words."""
        send(self.me, "objection", words=word())
        request = self.ask("complaint")
        self.review(request)
        self.opened(request)
        self.step(request, "summary", "note", note=word())
        assert self.step(request, "answer", "carry_out", reason="upheld", answer=word()).status == 303
        form = self.of(request, "/me/answer")
        with self.meant():
            assert self.me.post("/me/answer", form).status == 200
        self.taken("/me/answer", form | {"take": "on"})

    def package(self):
        """The package of everything: at the portal, by a link, sealed to a key."""
        request = self.ask("access", key=json.dumps(ECKey.generate_key("P-256").as_dict(private=False)))
        self.review(request)
        self.step(request, "answer", "prepare")
        made = self.step(request, "answer", "link")
        self.secrets["link"] = re.search(r"/package#([\w-]{43})", made.answer.text)[1]
        stranger = self.browser("stranger")
        assert stranger.http.post("/package", data={"code": word()}, headers=HERE).status_code == 403
        taken = stranger.http.post("/package", data={"code": self.secrets["link"]}, headers=HERE)
        assert taken.headers["content-type"] == "application/jose"  # sealed: not even what is meant lies open
        assert self.step(request, "answer", "package").answer.headers["content-type"] == "application/jose"
        self.me.http.post("/me/package", data=self.of(request, "/me/package"), headers=HERE)
        assert self.step(request, "answer", "close").status == 303
        request = self.ask("portability")
        self.review(request)
        self.step(request, "answer", "prepare")
        self.taken("/me/package", self.of(request, "/me/package"))

    def whole_package(self):
        request = self.ask("access")
        self.review(request)
        self.step(request, "answer", "prepare")
        return self.taken("/me/package", self.of(request, "/me/package"))

    def taken(self, path, form):
        """Take a file along; its contents are meant."""
        with self.meant():
            answer = self.me.http.post(path, data=form, headers=HERE)
        assert (answer.status_code, answer.headers["content-type"]) == (200, "application/zip"), answer.text
        return answer.content

    def of(self, request, action):
        """The fields of a request's form on the page of requests."""
        forms = self.me.get("/me/requests").forms
        return next(
            each["fields"]
            for each in forms
            if each["action"] == action and each["fields"].get("request") == request.name
        )

    def receipts(self):
        """Receipts and proofs: of the person's acts, with nothing in them of what was seen."""
        evidence.sign_checkpoints(self.vault, self.maison.http.app.state.services.settings.checkpoint_file)
        self.me.get("/me/receipts")
        for path in ("/me/receipts", "/me/proof"):
            csrf = self.me.get(path).form("form", action="/me/sign-out")["fields"]
            answer = self.me.http.post(path, data=csrf, headers=HERE)
            assert answer.headers["content-type"] == "application/zip"
        self.me.http.post("/me/receipts", data=csrf | {"entry": word()}, headers=HERE)

    def erased(self, scene):
        """Erased as a whole, by request; the certificate is taken by its number, when there is nobody any more."""
        request = self.ask("erasure", **{"category:preferences": ""})
        self.review(request)
        for name in ("check_holds", "rehearse"):
            assert self.step(request, "answer", name).status == 303
        self.officer("ines", "approver")
        for name in ("approve", "execute"):
            assert self.step(request, "answer", name, officer="ines").status == 303, name
            while self.carrier.turn():
                pass
        outbox.settle(self.vault, [Told(each, "") for each in outbox.claim(self.vault, 50)])
        erasing.follow(self.vault)
        scene.run()
        stranger = self.browser("stranger")
        assert stranger.submit("/me/erased", request=word()).status == 404
        assert stranger.submit("/me/erased", request=request.name).answer.headers["content-type"] == "application/zip"
        assert self.me.get("/me/held").status == 303  # the session is nobody's

    # --- what officers do

    def step(self, request, tab, name, officer="claire", **more):
        browser, path = self.officers[officer], f"/console/requests/{request.name}"
        page = browser.get(f"{path}?tab={tab}")
        form = next((each["fields"] for each in page.forms if each["fields"].get("step") == name), None)
        assert form is not None, (name, page.text)
        return browser.post(path, form | more)

    def review(self, request):
        self.officer("claire", "compliance")
        for name in ("collect", "review"):
            assert self.step(request, "work", name).status == 303

    def opened(self, request):
        with self.meant():
            assert self.step(request, "summary", "open").status == 200

    def account(self):
        """An officer's password is changed, wrongly and rightly; sessions are seen and ended."""
        officer = self.officer("claire", "compliance")
        other = self.browser("claire elsewhere")
        assert sign_in(other, "claire", officer.authenticator, self.clock).status == 303
        self.secrets["officer session"] = other.token
        assert officer.submit("/console/account", old=WRONG_PASSWORD, new=NEW_PASSWORD).status == 403
        assert officer.submit("/console/account", old=PASSWORD, new=WRONG_PASSWORD[:9]).status == 422
        named = [each for each in officer.get("/console/account").forms if "end" in each["fields"]]
        assert officer.post(named[0]["action"] or "/console/account", named[0]["fields"]).status == 303
        assert officer.submit("/console/account", old=PASSWORD, new=NEW_PASSWORD).status == 303
        officer.get("/console/account?done=password")
        csrf = {"form": officer.get("/console/account").form("form", action="/console/sign-out")["fields"]["form"]}
        for kind, _ in FORMATS:
            made = officer.http.post("/console/reports/requests/files", data=csrf | {"format": kind}, headers=HERE)
            assert made.status_code == 200, kind


def archives(content):
    """The files of an archive: (name, bytes)."""
    with zipfile.ZipFile(io.BytesIO(content)) as files:
        assert not files.comment
        return [(each.filename, files.read(each)) for each in files.infolist()]
