"""Letters by mail and on the demo's terminal: one contract; over TLS or not at all; and what settings may not say."""

import io
import ssl
import subprocess
from email import message_from_bytes, policy

import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, AuthResult

from api.observability.logs import Log
from api.post.carrier import Carrier
from api.post.smtp import InvalidPost, Mail, Relay, read_relay
from api.post.terminal import Terminal
from api.post.words import written
from api.requestjobs import ports
from api.settings import InvalidSettings, load
from vault.requests import codes
from vault.requests.codes import Wish
from vault.requests.letters import Due, LetterKind


class Box:
    """What the server took."""

    def __init__(self, refuse=""):
        self.letters, self.refuse = [], refuse

    async def handle_RCPT(self, server, session, envelope, address, options):  # noqa: N802 - the library's name
        if self.refuse:
            return self.refuse
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server, session, envelope):  # noqa: N802
        self.letters.append(
            (envelope.rcpt_tos, message_from_bytes(envelope.content, policy=policy.default), session.ssl)
        )
        return "250 taken"


class Server(Controller):
    def __init__(self, box, **options):
        self.options = options
        super().__init__(box, hostname="127.0.0.1", port=0)

    def factory(self):
        return SMTP(self.handler, **self.options)

    def _trigger_server(self):  # the port is the system's choice, and known when it listens
        self.port = self.server.sockets[0].getsockname()[1]
        super()._trigger_server()


@pytest.fixture
def serving():
    started = []

    def start(box, **options):
        started.append(Server(box, **options))
        started[-1].start()
        return started[-1].port

    yield start
    for each in started:
        each.stop()


@pytest.fixture(scope="module")
def certificate(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tls")
    command = [
        "openssl",
        "req",
        "-x509",
        "-newkey",
        "ec",
        "-pkeyopt",
        "ec_paramgen_curve:P-256",
        "-nodes",
        "-days",
        "1",
    ]
    command += ["-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1"]
    subprocess.run([*command, "-keyout", folder / "key", "-out", folder / "cert"], check=True, capture_output=True)
    return folder


def relay(port, security="none", **more):
    return Relay("127.0.0.1", port, security, "privacy@aurelle.example", **more)


class ByMail:
    """The port that mails, and what reached the letter box behind it."""

    def __init__(self, serving):
        self.box = Box()
        self.port = Mail(relay(serving(self.box)))
        self.away = Mail(relay(1))

    def arrived(self):
        return [(letter["Subject"], letter.get_content().replace("\r\n", "\n")) for _, letter, _ in self.box.letters]


class ByTerminal:
    """The port that prints, and what stands on the screen."""

    def __init__(self, serving):
        self.screen = io.StringIO()
        self.port = Terminal(self.screen)
        gone = io.StringIO()
        gone.close()
        self.away = Terminal(gone)

    def arrived(self):
        parts = self.screen.getvalue().split("-" * 60 + "\n")
        letters = [each.split("\n\n", 1) for each in parts if each]
        return [(head.split("Subject: ")[1], text) for head, text in letters]


@pytest.fixture(params=[ByMail, ByTerminal])
def way(request, serving):
    return request.param(serving)


def test_a_letter_arrives_as_it_was_written(way):
    text = "Votre code est 12345678, à saisir.\n"
    assert way.port.send("apolline@example.com", "Votre code", text) == ""
    assert way.arrived() == [("Votre code", text)]


def test_what_is_in_the_way_is_a_code_and_no_exception(way):
    assert way.away.send("a@example.com", "x", "y") == "unreachable"
    assert way.arrived() == []


@pytest.mark.parametrize("address", ["a@example.com\r\nBcc: all@example.com", "a@example.com\nX: y"])
def test_no_address_and_no_subject_adds_a_header(way, address):
    assert way.port.send(address, "x", "y") == "unwritable"
    assert way.port.send("a@example.com", "x\r\nBcc: all@example.com", "y") == "unwritable"
    assert way.arrived() == []


def test_a_code_goes_from_the_vault_to_the_letter_box(way, vault, clock):
    from maison_people import AURELLE, one, take_in

    one(take_in(vault))
    carrier = Carrier(vault, {"email": way.port}, Log(clock, level="error"))
    handle = codes.begin(vault, Wish(AURELLE, "email", "apolline.rousselin@example.com", "fr"))
    codes.begin(vault, Wish(AURELLE, "email", "nobody@example.com"))
    assert carrier.turn() == 1
    ((subject, text),) = way.arrived()
    assert subject == "Votre code pour Aurelle SA"
    assert codes.check(vault, handle, text.split("est ")[1][:8]).brand == AURELLE
    assert carrier.turn() == 0


def test_mail_says_from_whom_and_that_a_machine_wrote_it(serving):
    box = Box()
    assert Mail(relay(serving(box))).send("apolline@example.com", "Votre code", "12345678") == ""
    ((to, letter, _),) = box.letters
    assert to == ["apolline@example.com"]
    assert (letter["From"], letter["Auto-Submitted"]) == ("privacy@aurelle.example", "auto-generated")


@pytest.mark.parametrize(
    ("address", "shown"),
    [
        ("apolline@example.com", "a…@example.com"),
        ("+33639981234", "…34"),
        ("x", "…x"),
        ("@example.com", "…@example.com"),
    ],
)
def test_the_terminal_shows_no_address_and_no_control(address, shown):
    screen = io.StringIO()
    assert Terminal(screen).send(address, "Code", "\x1b[2JYour code\x07\n") == ""
    assert f"To: {shown}\n" in screen.getvalue()
    assert address not in screen.getvalue().replace(shown, "")
    assert "\x1b" not in screen.getvalue()
    assert "\x07" not in screen.getvalue()


DEMO = {"deployment": "ecrin-demo", "post_terminal": True}


@pytest.mark.parametrize(
    "chosen",
    [
        {"deployment": "ecrin"},
        {"deployment": "aurelle-demo"},
        {"public_url": "https://vault.example"},
        {"console_url": "https://vault.example"},
        {"host": "10.0.0.9", "trusted_proxies": "10.0.0.2", "public_url": "https://vault.example"},
        {"post_file": "/nowhere/post.toml"},
    ],
)
def test_only_the_demo_on_its_own_machine_prints_letters(chosen):
    with pytest.raises(InvalidSettings, match="post_terminal"):
        load(DEMO | chosen)


def test_the_demo_prints_to_mail_addresses_and_telephones_and_nobody_else_does():
    assert set(ports(load(DEMO))) == {"email", "phone"}
    assert ports(load({})) == {}


def test_over_tls_with_a_certificate_that_holds_and_a_password(serving, certificate):
    box, seen = Box(), []
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate / "cert", certificate / "key")

    def login(server, session, envelope, mechanism, data):
        seen.append((data.login, data.password))
        return AuthResult(success=True)

    port = serving(box, tls_context=context, require_starttls=True, authenticator=login, auth_required=True)
    trusting = ssl.create_default_context(cafile=certificate / "cert")
    sent = Mail(relay(port, "starttls", user="ecrin", password="secret"), trusting).send("a@example.com", "x", "y")
    assert sent == ""
    assert box.letters[0][2] is not None
    assert seen == [(b"ecrin", b"secret")]
    assert Mail(relay(port, "starttls")).send("a@example.com", "x", "y") == "unreachable"  # nobody vouches for it
    assert len(box.letters) == 1


def test_what_asks_for_tls_never_goes_in_clear(serving):
    box = Box()
    assert Mail(relay(serving(box), "starttls")).send("a@example.com", "x", "y") == "server_refused"
    assert box.letters == []


def test_a_recipient_that_is_refused_is_told_by_a_code(serving):
    refusing = serving(Box("550 nobody here"))
    assert Mail(relay(refusing)).send("a@example.com", "x", "y") == "recipient_refused"


def test_a_server_that_is_away_is_tried_again(serving, vault, clock):
    from maison_people import AURELLE, one, take_in

    one(take_in(vault))
    codes.begin(vault, Wish(AURELLE, "email", "apolline.rousselin@example.com"))
    log = Log(clock, level="error")
    assert Carrier(vault, {"email": Mail(relay(1))}, log).turn() == 0
    clock.advance(11)
    box = Box()
    assert Carrier(vault, {"email": Mail(relay(serving(box)))}, log).turn() == 1
    assert len(box.letters) == 1


@pytest.mark.parametrize("kind", list(LetterKind))
@pytest.mark.parametrize("language", ["en", "fr", "de"])
def test_every_letter_can_be_written(kind, language):
    due = Due(b"", kind, "aurelle", "email", "a@example.com", {"code": "12345678", "request": "ab"}, language)
    subject, text = written(due, "Aurelle SA")
    assert "Aurelle SA" in subject
    assert "{" not in subject + text


GOOD = '[smtp]\nhost = "mail.example"\nport = 587\nsecurity = "starttls"\nfrom = "privacy@aurelle.example"\n'


def read(tmp_path, text):
    path = tmp_path / "post.toml"
    path.write_text(text)
    return read_relay(path)


def test_a_file_says_how_to_send(tmp_path):
    made = read(tmp_path, GOOD + 'user = "ecrin"\npassword = "hush"\n')
    assert (made.host, made.port, made.user) == ("mail.example", 587, "ecrin")
    assert "hush" not in repr(made)
    assert read(tmp_path, GOOD.replace("mail.example", "127.0.0.1").replace("starttls", "none")).security == "none"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "smtp = 1\n",
        "[smtp\n",
        GOOD.replace("587", '"587"'),
        GOOD.replace("587", "70000"),
        GOOD.replace("starttls", "maybe"),
        GOOD.replace("starttls", "none"),
        GOOD.replace("privacy@aurelle.example", "nobody"),
        GOOD + 'user = "ecrin"\n',
        GOOD + 'verify = "no"\n',
        GOOD.replace("mail.example", "127.0.0.1").replace("starttls", "none") + 'user = "a"\npassword = "b"\n',
    ],
)
def test_what_a_file_may_not_say(tmp_path, text):
    with pytest.raises(InvalidPost):
        read(tmp_path, text)
