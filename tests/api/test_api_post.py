"""Letters by mail, to telephones and on the demo's terminal: one contract; over TLS or not at all; what settings may not say."""

import io
import json
import ssl
import subprocess
from urllib.parse import parse_qs

import pytest
from aiosmtpd.smtp import AuthResult
from letter_boxes import PLAIN, Box, providing, relay, serving

from api.observability.logs import Log
from api.post.carrier import Carrier
from api.post.errors import InvalidPost
from api.post.sms import Gateway, Messages
from api.post.smtp import Mail
from api.post.terminal import Terminal
from api.post.ways import read_ways
from api.post.words import written
from api.requestjobs import ports
from api.settings import InvalidSettings, load
from policies.parties import Party
from vault.requests import codes
from vault.requests.codes import Wish
from vault.requests.letters import Due, LetterKind

__all__ = ["providing", "serving"]


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


class BySms:
    """The port that asks a gateway, and what the gateway was asked to send."""

    channel, address, on_file = "phone", "+33639981234", "+33639981234"

    def __init__(self, serving, providing):
        self.provider = providing()
        self.port = Messages(Gateway(self.provider.url(), PLAIN))
        self.away = Messages(Gateway("http://127.0.0.1:1/", PLAIN))

    def arrived(self):
        return [tuple(json.loads(content)["text"].split("\n\n", 1)) for _, _, content in self.provider.asked]


class ByMail:
    """The port that mails, and what reached the letter box behind it."""

    channel, address, on_file = "email", "apolline@example.com", "apolline.rousselin@example.com"

    def __init__(self, serving, providing):
        self.box = Box()
        self.port = Mail(relay(serving(self.box)))
        self.away = Mail(relay(1))

    def arrived(self):
        return [(letter["Subject"], letter.get_content().replace("\r\n", "\n")) for _, letter, _ in self.box.letters]


class ByTerminal:
    """The port that prints, and what stands on the screen."""

    channel, address, on_file = "email", "apolline@example.com", "apolline.rousselin@example.com"

    def __init__(self, serving, providing):
        self.screen = io.StringIO()
        self.port = Terminal(self.screen)
        gone = io.StringIO()
        gone.close()
        self.away = Terminal(gone)

    def arrived(self):
        parts = self.screen.getvalue().split("-" * 60 + "\n")
        letters = [each.split("\n\n", 1) for each in parts if each]
        return [(head.split("Subject: ")[1], text) for head, text in letters]


@pytest.fixture(params=[ByMail, BySms, ByTerminal])
def way(request, serving, providing):
    return request.param(serving, providing)


def test_a_letter_arrives_as_it_was_written(way):
    text = "Votre code est 12345678, à saisir.\n"
    assert way.port.send(way.address, "Votre code", text) == ""
    assert way.arrived() == [("Votre code", text)]


def test_what_is_in_the_way_is_a_code_and_no_exception(way):
    assert way.away.send(way.address, "x", "y") == "unreachable"
    assert way.arrived() == []


@pytest.mark.parametrize("more", ["\r\nBcc: all@example.com", "\nX: y"])
def test_no_address_and_no_subject_adds_a_header(way, more):
    assert way.port.send(way.address + more, "x", "y") == "unwritable"
    assert way.port.send(way.address, "x\r\nBcc: all@example.com", "y") == "unwritable"
    assert way.arrived() == []


def test_a_code_goes_from_the_vault_to_the_letter_box(way, vault, clock):
    from maison_people import AURELLE, one, take_in

    one(take_in(vault))
    carrier = Carrier(vault, {way.channel: way.port}, Log(clock, level="error"), PORTAL)
    handle = codes.begin(vault, Wish(AURELLE, way.channel, way.on_file, "fr"))
    codes.begin(vault, Wish(AURELLE, way.channel, "nobody@example.com" if way.channel == "email" else "+33639980000"))
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


PORTAL = "https://me.example/me"
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


# ---------------------------------------------------------------------------------------------------------- telephones

TO = "+33639981234"


def test_a_gateway_is_asked_as_it_wants_to_be(providing):
    provider = providing()
    nested = {"messages": [{"from": "AURELLE", "to": ["{to}"], "body": {"text": "{text}", "unicode": True}}]}
    gateway = Gateway(provider.url(), nested, headers={"X-Key": "hush"}, user="ecrin", password="secret", plus=False)
    assert Messages(gateway).send(TO, "Code", "É {to} {text} 12345678\n") == ""
    ((path, headers, content),) = provider.asked
    assert (path, headers["X-Key"], headers["Authorization"]) == ("/v1/messages", "hush", "Basic ZWNyaW46c2VjcmV0")
    told = {"from": "AURELLE", "to": [TO[1:]], "body": {"text": "Code\n\nÉ {to} {text} 12345678\n", "unicode": True}}
    assert json.loads(content) == {"messages": [told]}


def test_a_gateway_may_want_a_form(providing):
    provider = providing(status=200)
    gateway = Gateway(provider.url(), {"recipient": "{to}", "content": "{text}"}, is_json=False)
    assert Messages(gateway).send(TO, "Code", "a&b=c\n") == ""
    ((_, headers, content),) = provider.asked
    assert headers["Content-Type"] == "application/x-www-form-urlencoded"
    assert parse_qs(content.decode()) == {"recipient": [TO], "content": ["Code\n\na&b=c\n"]}


@pytest.mark.parametrize(
    ("status", "problem"),
    [
        (200, ""), (202, ""), (400, "recipient_refused"), (401, "server_refused"), (422, "recipient_refused"),
        (429, "server_refused"), (500, "server_refused"), (302, "server_refused"),
    ],
)  # fmt: skip
def test_what_a_gateway_says_becomes_a_code(providing, status, problem):
    other = providing()
    provider = providing(status=status, headers=[("Location", other.url())])
    assert Messages(Gateway(provider.url(), PLAIN)).send(TO, "x", "y") == problem
    assert other.asked == []  # a redirect is not followed


def test_a_gateway_that_says_yes_to_everything_is_read(providing):
    said = providing(status=200, body=b'{"messages": [{"status": "0"}]}')
    gateway = Gateway(said.url(), PLAIN, expect='"status": "0"')
    assert Messages(gateway).send(TO, "x", "y") == ""
    refused = providing(status=200, body=b'{"messages": [{"status": "4"}]}' + b" " * 200_000 + b'"status": "0"')
    assert Messages(Gateway(refused.url(), PLAIN, expect='"status": "0"')).send(TO, "x", "y") == "server_refused"


@pytest.mark.parametrize(
    "address", ["", "0639981234", "+0639981234", "+33 6", "+3363998123456789", "33639981234", "a@b.example"]
)
def test_what_is_no_number_is_not_asked_for(providing, address):
    provider = providing()
    assert Messages(Gateway(provider.url(), PLAIN)).send(address, "x", "y") == "unwritable"
    assert provider.asked == []


def test_a_gateway_nobody_vouches_for_is_not_told_anything(providing, certificate):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate / "cert", certificate / "key")
    provider = providing(context=context)
    gateway = Gateway(provider.url("https"), PLAIN)
    assert Messages(gateway).send(TO, "x", "y") == "unreachable"
    assert provider.asked == []
    trusting = ssl.create_default_context(cafile=certificate / "cert")
    assert Messages(gateway, trusting).send(TO, "x", "y") == ""


def test_nothing_of_a_message_is_logged(providing, caplog):
    caplog.set_level(0)
    provider = providing(status=500)
    Messages(Gateway(provider.url(), PLAIN, user="ecrin", password="secret")).send(TO, "Votre code", "12345678")
    for each in (TO, TO[1:], "12345678", "secret"):
        assert each not in caplog.text


# -------------------------------------------------------------------------------------------------------------- mail


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
    assert Carrier(vault, {"email": Mail(relay(1))}, log, PORTAL).turn() == 0
    clock.advance(11)
    box = Box()
    assert Carrier(vault, {"email": Mail(relay(serving(box)))}, log, PORTAL).turn() == 1
    assert len(box.letters) == 1


@pytest.mark.parametrize("kind", list(LetterKind))
@pytest.mark.parametrize("language", ["en", "fr", "de"])
def test_every_letter_can_be_written(kind, language):
    due = Due(b"", kind, "aurelle", "email", "a@example.com", {"code": "12345678", "request": "ab"}, language)
    subject, text = written(
        due, Party("aurelle", "Aurelle SA", "", "", "privacy@aurelle.example", "controller"), PORTAL
    )
    assert "Aurelle SA" in subject
    assert "{" not in subject + text
    if kind is LetterKind.CODE:  # beside a code no address at which to type it in: that is what a thief would send
        assert "://" not in text
        assert "@" not in text
    else:
        assert text.endswith(f"\n\nAurelle SA\nprivacy@aurelle.example\n{PORTAL}\n")


def test_a_house_without_a_contact_leaves_no_gap():
    due = Due(b"", LetterKind.READY, "aurelle", "email", "a@example.com", {"request": "ab"}, "en")
    _, text = written(due, Party("aurelle", "Aurelle SA", "", "", "", "controller"), PORTAL)
    assert text.endswith(f"fetch it.\n\nAurelle SA\n{PORTAL}\n")


GOOD = '[smtp]\nhost = "mail.example"\nport = 587\nsecurity = "starttls"\nfrom = "privacy@aurelle.example"\n'


SMS = '[sms]\nurl = "https://gateway.example/v1"\nmembers = { to = "{to}", text = "{text}" }\n'


def read(tmp_path, text):
    path = tmp_path / "post.toml"
    path.write_text(text)
    return read_ways(path)


def test_a_file_says_how_to_send(tmp_path):
    made = read(tmp_path, GOOD + 'user = "ecrin"\npassword = "hush"\n')["email"]._relay
    assert (made.host, made.port, made.user) == ("mail.example", 587, "ecrin")
    assert "hush" not in repr(made)
    plain = read(tmp_path, GOOD.replace("mail.example", "127.0.0.1").replace("starttls", "none"))["email"]
    assert plain._relay.security == "none"


def test_one_file_may_set_up_both_ways_or_either(tmp_path):
    assert set(read(tmp_path, GOOD + SMS)) == {"email", "phone"}
    assert set(read(tmp_path, SMS)) == {"phone"}
    secret = read(tmp_path, SMS + 'user = "ecrin"\npassword = "hush"\nheaders = { X-Key = "hush" }\n')["phone"]
    assert "hush" not in repr(secret._gateway)


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
        GOOD + "[fax]\n",
        "sms = 1\n",
        SMS.replace("https://", "http://"),
        SMS.replace("https://", "https://user@"),
        SMS.replace('{ to = "{to}", text', "{ text"),
        SMS.replace('"{text}"', '"{to} {text}"'),
        SMS.replace('"{to}"', "7"),
        SMS + 'body = "xml"\n',
        SMS + 'body = "form"\n' + "[sms.members.more]\n",
        SMS + 'password = "hush"\n',
        SMS + "verify = false\n",
        SMS + 'headers = { Host = "x" }\n',
        SMS + 'headers = { X = "a\\nb" }\n',
        SMS + 'headers = { "X Y" = "a" }\n',
        SMS + "headers = { X = 7 }\n",
        GOOD + 'verify = "no"\n',
        GOOD.replace("mail.example", "127.0.0.1").replace("starttls", "none") + 'user = "a"\npassword = "b"\n',
    ],
)
def test_what_a_file_may_not_say(tmp_path, text):
    with pytest.raises(InvalidPost):
        read(tmp_path, text)
