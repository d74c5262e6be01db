"""The nine rights by both doors, against a real server and a real mail server, each to an artefact that a stranger checks.

One `ecrin serve` process with its own SQLite files and keystore; letters go out by SMTP and codes are read from the letter box; a
brand's system signs its requests as any other does. Officers act on the same data from this process. What a person ends up
with is verified by the one-file verifiers, run by themselves without anything of Ecrin beside them.
"""

import io
import itertools
import json
import re
import subprocess
import sys
import time
import zipfile
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from email import message_from_bytes, policy
from types import SimpleNamespace
from typing import ClassVar

import httpx2
import pytest
from aiosmtpd.controller import Controller
from console_browser import Page
from maison_callers import CONSENT, PERSON, Caller, register
from policy_officers import APPROVER, AUTHOR, Officers
from portal_visitor import FILLED

from api.client.receipts import verify_consent_record
from api.settings import child_environment, load
from policies.rights import Right
from vault.requests import acts, delivering, erasing, handling, records
from vault.requests.states import Move
from vault.requests.steps import by_officer

pytestmark = [pytest.mark.server, pytest.mark.xdist_group("rights"), pytest.mark.timeout(600)]

DOORS = ("portal", "api")
PATIENCE = 90
HANDED_IN = {
    "rectification": {"values": {"ring_size": {"value": "54", "system": "eu"}}},
    "erasure": {"names": ["preferences"]},
    "restriction": {"names": ["accuracy_contested"]},
    "objection": {"names": ["clienteling"]},
    "consent_withdrawal": {"names": ["clienteling"]},
    "decision_review": {"names": ["clienteling"], "words": "A machine said no."},
    "complaint": {"words": "Nobody answered."},
}


class WallClock:
    @staticmethod
    def now():
        return int(time.time())


class Letters:
    """A mail server that keeps what it takes, by address."""

    def __init__(self):
        self.taken = {}

    async def handle_DATA(self, server, session, envelope):  # noqa: N802 - the library's name
        letter = message_from_bytes(envelope.content, policy=policy.default)
        for address in envelope.rcpt_tos:
            self.taken.setdefault(address.lower(), []).append(letter.get_content())
        return "250 taken"

    def find(self, address, pattern):
        """The first group of the newest letter to an address that says this; waits for the post."""
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            for text in reversed(self.taken.get(address.lower(), [])):
                if found := re.search(pattern, " ".join(text.split())):
                    return found[1]
            time.sleep(0.2)
        raise AssertionError(f"no letter says {pattern}")


class Mailing(Controller):
    def __init__(self, box):
        super().__init__(box, hostname="127.0.0.1", port=0)

    def _trigger_server(self):  # the port is the system's choice, and known when it listens
        self.port = self.server.sockets[0].getsockname()[1]
        super()._trigger_server()


class Telephone:
    """A person's browser: keeps its cookie as it was given, sends forms as browsers do, from a place of its own."""

    opened: ClassVar = []
    places: ClassVar = itertools.count(
        2
    )  # networks of the loopback interface: tries are counted by where they come from

    def __init__(self, settings):
        way = httpx2.HTTPTransport(local_address=f"127.0.{next(self.places)}.1")
        self.http = httpx2.Client(base_url=settings.public_url, timeout=120, transport=way)
        self.opened.append(self.http)
        self.origin, self.cookies = settings.console_url, {}

    def _send(self, method, path, **how):
        headers = {"Accept-Language": "en", "Origin": self.origin, "Sec-Fetch-Site": "same-origin"}
        headers["Cookie"] = "; ".join(f"{name}={value}" for name, value in self.cookies.items())
        answer = self.http.request(method, path, headers=headers, **how)
        for line in answer.headers.get_list("set-cookie"):
            name, _, rest = line.partition("=")
            self.cookies[name] = rest.partition(";")[0]
        return answer

    def get(self, path):
        return Page(self._send("GET", path))

    def post(self, path, fields):
        return self._send("POST", path, data=fields)

    def submit(self, path, *names, action=None, **values):
        form = self.get(path).form(*names, *values, action=action)
        return self.post(form["action"] or path, form["fields"] | values)


class House:
    """The served deployment, its letter box, its officers, and a brand's system."""

    def __init__(self, settings, vault, letters, folder):
        self.settings, self.vault, self.letters, self.folder = settings, vault, letters, folder
        self.officers = Officers(vault)
        self.http = httpx2.Client(base_url=settings.public_url, timeout=120)
        self.pos = register(vault, Caller(self.http, WallClock(), public=settings.public_url))
        self.count, self.process, self.start = 0, None, None
        for kind, arguments in (("log", ()), ("certificate", ("certificate",))):
            made = subprocess.run(
                [sys.executable, "-m", "audit.standalone", *arguments], check=True, capture_output=True, text=True
            )
            (folder / f"verify-{kind}.py").write_text(made.stdout)

    def client(self):
        """A new client of the house, with an address of their own."""
        self.count += 1
        email = f"client{self.count}@example.com"
        fields = PERSON | {"client_number": f"AU-{self.count:04}", "email": [email], "phone": []}
        return SimpleNamespace(email=email, reference=self.pos.created(fields, CONSENT), house=self)

    def by(self, officer=AUTHOR):
        return by_officer(officer, self.officers.signing(officer))

    def verify(self, kind, *arguments):
        """Run a verifier as a stranger would: one file, isolated, no path to anything else."""
        command = [sys.executable, "-I", self.folder / f"verify-{kind}.py", *map(str, arguments)]
        return subprocess.run(command, check=False, capture_output=True, text=True, cwd="/").returncode

    def key(self, name):
        return self.http.get("/audit/keys").json()[name]

    def signed_in(self, client):
        phone = Telephone(self.settings)
        assert phone.submit("/me/sign-in", brand="aurelle", address=client.email).status_code == 303
        code = self.letters.find(client.email, r"code is (\d{8})")
        self.letters.taken[client.email.lower()].clear()
        assert phone.submit("/me/code", code=code).headers["location"] == "/me"
        return phone

    def handled(self, request, client):
        """Let officers do what a request asks for."""
        if not request.is_open:
            return
        vault, right = self.vault, request.right
        for move in (Move.COLLECT, Move.REVIEW):
            handling.advance(vault, request.id, move, self.by())
        if right in {Right.ACCESS, Right.PORTABILITY}:
            delivering.prepare(vault, request.id, self.by())
        elif right is Right.RECTIFICATION:
            acts.rectify(vault, request.id, self.by())
        elif right is Right.RESTRICTION:
            acts.restrict(vault, request.id, self.by())
        elif right is Right.ERASURE:
            erasing.check_holds(vault, request.id, self.by())
            erasing.rehearse(vault, request.id, self.by())
            erasing.approve(vault, request.id, self.by(APPROVER))
            # The letter with the number goes while there is somebody to write to: officers wait for it. That the carrier
            # has noted it already is not waited for here.
            self.letters.find(client.email, f"request ({request.name}) is about to be carried out")
            erasing.execute(vault, request.id, self.by(), without_letter=True)
            self.end_epoch()
        else:
            handling.decide(vault, request.id, self.by(), "upheld", "You are right, and we have mended it.")

    def end_epoch(self):
        command = [sys.executable, "-m", "api.cli.main", "epoch", "run", "--json"]
        ended = subprocess.run(
            command, check=False, capture_output=True, text=True, env=child_environment(self.settings), timeout=300
        )
        assert ended.returncode == 0, ended.stdout + ended.stderr

    def proven(self, request, act, code):
        """A step of a request is in the log that the house signs: proven to anybody, offline."""
        (entry,) = [
            (body, read)
            for body, read in self.entries()
            if read["act"] == act and {f"request:{request.name}", code} <= set(read.get("pol", ()))
        ]
        body, read = entry
        deadline = time.monotonic() + PATIENCE
        while (answer := self.http.get(f"/audit/proof/{read['id']}")).status_code != 200:
            assert time.monotonic() < deadline, answer.text
            time.sleep(0.2)
        proof, kept = self.folder / "proof", self.folder / "entry"
        proof.write_text(answer.text)
        kept.write_bytes(body)
        assert self.verify("log", "proof", proof, "--key", self.key("log"), "--entry", kept) == 0
        kept.write_bytes(body.replace(b"request:", b"requesT:"))
        assert self.verify("log", "proof", proof, "--key", self.key("log"), "--entry", kept) == 1

    def entries(self):
        from audit.entry import decode

        with self.vault.engine.connect() as conn:
            rows = conn.exec_driver_sql("SELECT body FROM log_entry ORDER BY idx").all()
        return [(bytes(body), decode(bytes(body))) for (body,) in rows]

    def package(self, answer):
        """A signed archive as it was downloaded, held against the key of receipts; and no other."""
        assert answer.status_code == 200, answer.text
        assert answer.headers["cache-control"] == "no-store"
        path = self.folder / "taken.zip"
        path.write_bytes(answer.content)
        assert self.verify("log", "package", path, "--key", self.key("receipt")) == 0
        assert self.verify("log", "package", path, "--key", self.key("log")) != 0
        return zipfile.ZipFile(io.BytesIO(answer.content))


@pytest.fixture(autouse=True)
def _closed():
    yield
    while Telephone.opened:
        Telephone.opened.pop().close()


@pytest.fixture(scope="module")
def house(tmp_path_factory):
    from api import bootstrap
    from api.cli.deployment import initialise_from

    folder = tmp_path_factory.mktemp("rights")
    letters = Letters()
    mailing = Mailing(letters)
    mailing.start()
    post = folder / "post.toml"
    post.write_text(
        f'[smtp]\nhost = "127.0.0.1"\nport = {mailing.port}\nsecurity = "none"\nfrom = "privacy@aurelle.example"\n'
    )
    post.chmod(0o600)
    import socket

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    chosen = {"data_dir": folder / "data", "log_level": "warning", "deployment": "ecrin-test", "port": port}
    chosen |= {"keystore_copies": f"{folder / 'one'},{folder / 'two'}"}
    settings = load(chosen | {"public_url": f"http://127.0.0.1:{port}", "post_file": post, "epoch_seconds": 0})
    for name in ("data", "one", "two"):
        (folder / name).mkdir()
    initialise_from(settings)
    vault = bootstrap.open_from(settings)
    made = House(settings, vault, letters, folder)
    try:
        (folder / "tmp").mkdir()
        with ExitStack() as stack:
            made.start = lambda: stack.enter_context(served(settings, folder))
            made.process = made.start()
            yield made
    finally:
        made.http.close()
        vault.close()
        mailing.stop()


@contextmanager
def served(settings, folder):
    """`ecrin serve` in a process of its own, from when it is ready. What it writes beside its data goes to `tmp`."""
    probe = f"http://{settings.host}:{settings.port}/readyz"
    environment, lines = child_environment(settings) | {"TMPDIR": str(folder / "tmp")}, folder / "lines"
    with lines.open("wb") as out:
        process = subprocess.Popen(
            [sys.executable, "-m", "api.cli.main", "serve"], env=environment, stdout=out, stderr=out
        )
    try:
        deadline = time.monotonic() + 300
        while True:
            assert process.poll() is None, lines.read_text()
            assert time.monotonic() < deadline, lines.read_text()
            try:
                if httpx2.get(probe).status_code == 200:
                    break
            except httpx2.TransportError:
                time.sleep(0.1)
        yield process
    finally:
        process.terminate()
        process.wait(60)


def asked(house, client, right, door):
    """Ask for a right by a door; return the request, and the person's browser if they are signed in."""
    if door == "api":
        body = {"reference": client.reference, "right": right, "assurance": "signed_in"} | HANDED_IN.get(right, {})
        made = house.pos.send("POST", "/v1/requests", house.pos.service("rights.write"), body)
        assert made.status_code == 201, made.text
        return named(house, made.json()["request"])
    phone = house.signed_in(client)
    fields, path = FILLED[right], f"/me/ask/{right}"
    form = phone.get(f"{path}?field={fields['field']}" if "field" in fields else path).form("words", action=path)[
        "fields"
    ]
    unticked = {name for name in form if name.startswith(("category:", "purpose:")) or name == "ground"}
    sent = phone.post(path, {name: value for name, value in form.items() if name not in unticked} | fields)
    assert sent.headers["location"] == "/me/requests?done=sent", sent.text
    (name,) = re.findall(r"<code>([0-9a-f]{32})</code>", phone.get("/me/requests").answer.text)
    return named(house, name)


def named(house, name):
    return handling.history(house.vault, records.identifier(name))[0]


def taken(house, client, request, action):
    """What the person takes at the portal, signed in with a fresh code."""
    phone = house.signed_in(client)
    form = phone.get("/me/requests").form("request", action=action)["fields"]
    return phone, phone.post(action, form | ({"take": "on"} if action == "/me/answer" else {}))


@pytest.mark.parametrize("door", DOORS)
@pytest.mark.parametrize("right", ["access", "portability"])
def test_access_and_portability_end_in_a_signed_package(house, right, door):
    client = house.client()
    request = asked(house, client, right, door)
    house.handled(request, client)
    assert house.letters.find(client.email, r"answer to your request ([0-9a-f]{32})") == request.name
    _, answer = taken(house, client, request, "/me/package")
    with house.package(answer) as files:
        data = json.loads(files.read("data.json" if right == "access" else "portable/data.json"))
        assert client.email in str(data).lower()
        assert ("package.pdf" in files.namelist()) == (right == "access")
    assert named(house, request.name).state.value == "delivered"


@pytest.mark.parametrize("door", DOORS)
def test_a_rectification_ends_in_the_value_that_the_person_gave(house, door):
    client = house.client()
    request = asked(house, client, "rectification", door)
    house.handled(request, client)
    house.letters.find(client.email, f"request ({request.name}) has been done")
    shown = house.pos.seen(client.reference, "ring_size")
    assert shown == {"ring_size": {"value": "54", "system": "eu"}}
    assert "54 (eu)" in Page(house.signed_in(client).submit("/me/held", category="measurements")).text
    house.proven(request, "request.advanced", "move:carry_out")


@pytest.mark.parametrize("door", DOORS)
def test_a_restriction_ends_in_a_person_whom_nobody_is_given(house, door):
    client = house.client()
    request = asked(house, client, "restriction", door)
    token = house.pos.granted(client.reference, ("name", "masked"), max_uses=9)
    house.handled(request, client)
    assert house.pos.disclose(token).status_code == 401
    assert "is restricted" in house.signed_in(client).get("/me").text
    house.proven(request, "request.advanced", "move:carry_out")


@pytest.mark.parametrize("door", DOORS)
@pytest.mark.parametrize(("right", "state"), [("objection", "objected"), ("consent_withdrawal", "withdrawn")])
def test_an_objection_and_a_withdrawal_end_in_a_signed_record_at_once(house, right, state, door):
    client = house.client()
    token = house.pos.granted(client.reference, ("name", "masked"), max_uses=9)
    request = asked(house, client, right, door)
    assert (request.state.value, request.outcome.value) == ("closed", "granted")
    assert house.pos.disclose(token).status_code == 401
    record = house.pos.send("GET", f"/v1/consents/{client.reference}", house.pos.service("consent.write")).json()
    checked = verify_consent_record(record["record"], record["receipt"], house.key("receipt"))
    told = json.loads(record["record"])
    assert checked.record_id == told["record_id"]
    assert told["pii_processing"][0]["events"][-1]["event_state"]["id"] == state
    house.proven(request, "request.advanced", "move:carry_out")


@pytest.mark.parametrize("door", DOORS)
@pytest.mark.parametrize("right", ["decision_review", "complaint"])
def test_a_review_and_a_complaint_end_in_a_signed_answer(house, right, door):
    client = house.client()
    request = asked(house, client, right, door)
    house.handled(request, client)
    assert house.letters.find(client.email, r"answer to your request ([0-9a-f]{32})") == request.name
    assert not [text for text in house.letters.taken[client.email] if "mended" in text]
    _, answer = taken(house, client, request, "/me/answer")
    with house.package(answer) as files:
        assert "mended" in files.read("answer.txt").decode()


@pytest.mark.parametrize("door", DOORS)
def test_an_erasure_in_part_ends_in_a_certificate(house, door):
    client = house.client()
    assert house.pos.patch(
        client.reference, {"set": {"favourite_colours": ["blue"]}}, house.pos.describe(client.reference).headers["etag"]
    ).status_code == 200  # fmt: skip
    request = asked(house, client, "erasure", door)
    house.handled(request, client)
    house.letters.find(client.email, f"request ({request.name}) is about to be carried out")
    _, answer = taken(house, client, request, "/me/certificate")
    certificate_of(house, answer, client, scope="category")


@pytest.mark.parametrize("door", DOORS)
def test_an_erasure_of_everything_ends_in_a_certificate_without_signing_in(house, door, monkeypatch):
    client = house.client()
    if door == "portal":
        monkeypatch.setitem(FILLED, "erasure", {})
    else:
        monkeypatch.setitem(HANDED_IN, "erasure", {})
    request = asked(house, client, "erasure", door)
    house.handled(request, client)
    number = house.letters.find(client.email, r"request ([0-9a-f]{32}) is about to be carried out")
    assert number == request.name
    stranger = Telephone(house.settings)
    assert house.pos.describe(client.reference).status_code == 404
    certificate_of(house, stranger.submit("/me/erased", request=number), client, scope="subject")
    assert stranger.submit("/me/erased", request="0" * 32).status_code == 404


def certificate_of(house, answer, client, scope):
    """A real certificate of a real epoch change, checked by the verifier that outsiders have."""
    assert answer.status_code == 200, answer.text
    with zipfile.ZipFile(io.BytesIO(answer.content)) as files:
        notes = [name for name in files.namelist() if name.endswith(".note")]
        assert notes
        (house.folder / "certificate.note").write_bytes(files.read(notes[0]))
        theirs = files.read("certificate.vkey").decode().strip()
    checked = ["--key", theirs, "--log-key", house.key("log"), house.folder / "certificate.note"]
    assert house.verify("certificate", *checked) == 0
    text = (house.folder / "certificate.note").read_text()
    assert f"scope {scope}" in text or scope in text
    for private in (client.email, client.reference, "Rousselin"):
        assert private not in text
    (house.folder / "certificate.note").write_text(text.replace(scope, "nobody", 1))
    assert house.verify("certificate", *checked) == 1


def test_no_letter_says_more_than_that_something_was_asked(house):
    """Every letter of this module: no value, no reason, no ground, no name of a person."""
    for letters in house.letters.taken.values():
        for text in letters:
            for private in (
                "Rousselin",
                "Apolline",
                "complaint",
                "erasure",
                "restriction",
                "ref_",
                "upheld",
                "A machine said no",
            ):
                assert private not in text


def test_a_package_that_dies_half_way_leaves_nothing_on_the_disk(house):
    """The server is killed while it makes a package of personal data; another one serves the tests that follow."""
    client = house.client()
    request = asked(house, client, "access", "portal")
    house.handled(request, client)
    phone = house.signed_in(client)
    form = phone.get("/me/requests").form("request", action="/me/package")["fields"]
    with ThreadPoolExecutor(1) as pool:
        coming = pool.submit(phone.post, "/me/package", form)
        deadline = time.monotonic() + PATIENCE
        while named(house, request.name).state.value != "delivered":  # on record: from here on it is made
            assert time.monotonic() < deadline
        house.process.kill()
        house.process.wait(60)
        with suppress(httpx2.TransportError):
            coming.result(60)
    left = list((house.folder / "tmp").rglob("*"))
    house.process = house.start()
    assert left == []
    mine = {house.folder / name for name in ("taken.zip", "certificate.note", "entry", "proof")}
    files = [path for path in house.folder.rglob("*") if path.is_file() and path not in mine]
    assert len(files) > 3
    for path in files:
        kept = path.read_bytes()
        for private in ("Rousselin", client.email, "Apolline"):
            for coded in (private.encode(), private.encode("utf-16-le"), private.encode().hex().encode()):
                assert coded not in kept, path
        assert b"%PDF-1" not in kept, path
        assert not kept.startswith(b"PK"), path
