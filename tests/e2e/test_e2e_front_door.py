"""The front door that ships: `deploy/nginx.conf` in the real nginx, in front of a real `ecrin serve`, called from outside.

What the file promises of TLS, names, headers, limits and logs is tried by clients that keep to nothing: their own TLS
library is opened as far as it goes, so that it is the door that refuses.
"""

import base64
import hashlib
import json
import re
import socket
import ssl
import threading
import time
import warnings
from contextlib import ExitStack, suppress
from urllib.parse import quote

import httpx2
import pytest
from console_browser import Browser, add_officer, set_up
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from front_door import API, CONF, CONSOLE, NAMES, PORTAL, FrontDoor, free_port, needed
from maison_callers import CONSENT, PERSON, Caller, ndjson, problem_of, register
from test_e2e_rights import WallClock, served

from api import listening
from api.cli.opened import OPERATOR
from api.cli.outside import look
from api.middleware import body_limit
from api.pages.mount import MOST_DRAINED, UPLOADS
from api.settings import load
from vault import systems

pytestmark = [pytest.mark.server, pytest.mark.xdist_group("front-door"), pytest.mark.timeout(600)]

PUBLIC = {API: f"https://{API}", CONSOLE: f"https://{CONSOLE}", PORTAL: f"https://{PORTAL}"}
PATIENCE = "client_body_timeout 30s", "client_header_timeout 20s"
SIX = {
    f"ECDHE-{kind}-{cipher}"
    for kind in ("ECDSA", "RSA")
    for cipher in ("AES128-GCM-SHA256", "AES256-GCM-SHA384", "CHACHA20-POLY1305")
}


@pytest.fixture(scope="module")
def house(tmp_path_factory):
    """The vault behind the door."""
    needed()
    from api import bootstrap
    from api.cli.deployment import initialise_from

    folder = tmp_path_factory.mktemp("door")
    (folder / "tmp").mkdir()
    settings = load(
        {
            "data_dir": folder / "data",
            "deployment": "ecrin-test",
            "port": free_port(),
            "public_url": PUBLIC[API],
            "console_url": PUBLIC[CONSOLE],
            "portal_url": PUBLIC[PORTAL],
            "trusted_proxies": "127.0.0.1",
            "client_certificate_header": "Client-Cert",
        }
    )
    settings.data_dir.mkdir()
    initialise_from(settings)
    vault = bootstrap.open_from(settings)
    try:
        with served(settings, folder):
            yield House(settings, vault, folder / "lines")
    finally:
        vault.close()


@pytest.fixture(scope="module")
def door(house):
    # It waits for less, so that the test does: that it waits for so long and no longer is what the numbers say.
    with FrontDoor(house.settings.port, changes={each: f"{each.split()[0]} 2s" for each in PATIENCE}) as made:
        house.door = made
        yield made


@pytest.fixture
def outside(door):
    """HTTP clients outside, by the name they ask for."""
    with ExitStack() as stack:
        yield lambda name=API, **options: stack.enter_context(door.client(name, **options))


@pytest.fixture
def system(house, outside):
    """Register a system that calls through the door; `how` it connects."""

    def make(system_id, **how):
        return register(house.vault, Caller(outside(**how), WallClock(), system_id, "aurelle", public=PUBLIC[API]))

    return make


class House:
    def __init__(self, settings, vault, lines):
        self.settings, self.vault, self.lines, self.door = settings, vault, lines, None


class Outside(Browser):
    """A browser that comes through the door."""

    def __init__(self, http, name):
        self.http, self.address, self.language = http, PUBLIC[name], "en"


def weak_context(door, ciphers="ALL:COMPLEMENTOFALL:@SECLEVEL=0", *versions):
    """A client that would take anything."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(door.public.file)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # what is asked for is out of date on purpose
        if versions:
            context.minimum_version, context.maximum_version = versions[0], versions[-1]
        context.set_ciphers(ciphers)
    return context


def agreed(door, context, name=API):
    """What a handshake comes to: version and cipher, or the reason of its failure."""
    try:
        with door.connected(name, context) as secure:
            return secure.version(), secure.cipher()[0]
    except ssl.SSLError as error:
        return error.reason


OLD = {ssl.TLSVersion.TLSv1: "TLSv1", ssl.TLSVersion.TLSv1_1: "TLSv1.1"}
NEW = {ssl.TLSVersion.TLSv1_2: "TLSv1.2", ssl.TLSVersion.TLSv1_3: "TLSv1.3"}


# --- TLS -------------------------------------------------------------------------------------------------------------


def test_old_versions_are_refused_and_by_the_door(door, house):
    for name in NAMES:
        for version in OLD:
            context = weak_context(door, "ALL:COMPLEMENTOFALL:@SECLEVEL=0", version)
            assert agreed(door, context, name) == "TLSV1_ALERT_PROTOCOL_VERSION", (name, version)
        for version, spelt in NEW.items():
            assert agreed(door, weak_context(door, "ALL:@SECLEVEL=0", version), name)[0] == spelt
        assert agreed(door, door.context(), name)[0] == "TLSv1.3"
    # A door that says otherwise takes the same client in: it is not the client that cannot.
    open_door = {
        "ssl_protocols TLSv1.2 TLSv1.3": "ssl_protocols TLSv1 TLSv1.1",
        "ssl_ciphers ": "ssl_ciphers ALL:@SECLEVEL=0:",
    }
    with FrontDoor(house.settings.port, changes=open_door) as weak:
        for version, spelt in OLD.items():
            assert agreed(weak, weak_context(weak, "ALL:@SECLEVEL=0", version))[0] == spelt


@pytest.mark.parametrize(("kind", "signed"), [("ec", "ECDSA"), ("rsa", "RSA")])
def test_of_all_ciphers_the_six_are_taken_strongest_first(house, kind, signed):
    twelve = (ssl.TLSVersion.TLSv1_2,)
    with FrontDoor(house.settings.port, kind=kind) as door:
        # Without those that need a secret in common, of which this client has none, and those of 1.3, which are all good.
        offered = weak_context(door).get_ciphers()
        known = {each["name"] for each in offered if not re.search("^TLS_|PSK|SRP", each["name"])}
        assert known > SIX
        taken = set()
        for cipher in sorted(known):
            if isinstance(got := agreed(door, weak_context(door, f"{cipher}:@SECLEVEL=0", *twelve)), tuple):
                taken.add(got[1])
            else:
                assert got == "SSLV3_ALERT_HANDSHAKE_FAILURE", (cipher, got)
        assert taken == {each for each in SIX if each.split("-")[1] == signed}
        backwards = ":".join(f"ECDHE-{signed}-{each}" for each in ("AES128-GCM-SHA256", "AES256-GCM-SHA384"))
        assert agreed(door, weak_context(door, backwards, *twelve))[1] == f"ECDHE-{signed}-AES256-GCM-SHA384"
        assert agreed(door, weak_context(door))[1] == "TLS_AES_256_GCM_SHA384"


def test_no_session_is_taken_up_again(door):
    for version in NEW:
        context = weak_context(door, "ALL:@SECLEVEL=0", version)
        with door.connected(API, context) as first:
            first.sendall(f"GET /audit/keys HTTP/1.1\r\nHost: {API}\r\nConnection: close\r\n\r\n".encode())
            while first.recv(65536):
                pass
            session = first.session
        with (
            socket.create_connection(("127.0.0.1", door.port), 60) as plain,
            context.wrap_socket(plain, server_hostname=API, session=session) as again,
        ):
            assert again.session_reused is False, version


def test_a_name_that_is_not_ours_gets_no_handshake_and_no_certificate(door):
    for name in ("evil.example", "vault.example", f"{API}.evil.example", "127.0.0.1", None):
        context = door.context()
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        with pytest.raises(ssl.SSLError) as refused, door.connected(name, context):
            pass
        assert refused.value.reason == "TLSV1_UNRECOGNIZED_NAME"


def test_one_name_in_the_handshake_and_another_in_the_request_is_neither(door, outside):
    for name in NAMES:
        for host in (*NAMES, "evil.example", "127.0.0.1", "localhost"):
            answer = outside(name).get("/nothing", headers={"Host": host})
            assert answer.status_code == (404 if host == name else 421), (name, host)
    # Two names in one request: that of the address counts (RFC 9112 §3.2.2), and the other reaches nobody.
    two = f"GET https://{API}/console/sign-in HTTP/1.1\r\nHost: {CONSOLE}\r\nConnection: close\r\n\r\n".encode()
    assert raw(door, API, two).startswith(b"HTTP/1.1 404 ")
    assert raw(door, CONSOLE, two).startswith(b"HTTP/1.1 421 ")


def test_the_operator_sees_whom_strangers_would_not_trust(door, house):
    def seen(now=0, settings=house.settings, **chosen):
        reach = lambda _, seconds: socket.create_connection(("127.0.0.1", door.port), seconds)  # noqa: E731
        return look(settings, int(time.time()) + now, **({"context": door.context(), "connect": reach} | chosen))

    result, words = seen()
    assert (result, words.count("TLSv1.3, certificate until 20")) == ("ok", 3)
    assert [each.partition(":")[0] for each in words.split("; ")] == ["public_url", "console_url", "portal_url"]
    assert seen(80 * 86_400)[0] == "overdue"
    # No authority of this machine knows the door's; nor is it for another name; nor is every address there.
    result, words = seen(context=None)
    assert (result, words.count("the certificate is not trusted")) == ("failed", 3)
    elsewhere = house.settings.model_copy(update={"portal_url": "https://me.vault.example"})
    result, words = seen(settings=elsewhere)
    assert (result, words.startswith("portal_url: no TLS connection; public_url: TLSv1.3")) == ("failed", True)
    with FrontDoor(house.settings.port, changes={PORTAL: "me.vault.example"}) as other:
        mistaken = {
            "context": other.context(),
            "connect": lambda _, s: socket.create_connection(("127.0.0.1", other.port), s),
        }
        result, words = seen(settings=elsewhere, **mistaken)
        assert (result, words.startswith("portal_url: the certificate is not trusted: Hostname mismatch")) == (
            "failed",
            True,
        )

    def nobody(_, seconds):
        raise TimeoutError

    assert seen(connect=nobody)[1].count("no TLS connection") == 3
    near = {"public_url": "http://127.0.0.1:1", "console_url": "http://localhost:1", "portal_url": "http://localhost:1"}
    assert seen(settings=house.settings.model_copy(update=near), connect=nobody)[0] == "ok"


# --- names -----------------------------------------------------------------------------------------------------------


def test_each_path_is_under_its_name_alone_and_every_answer_promises_tls(outside):
    own = {
        API: ("/.well-known/oauth-authorization-server", "/audit/keys"),
        CONSOLE: ("/console/sign-in", "/console/static/pages.css"),
        PORTAL: ("/me/sign-in", "/me/static/pages.css", "/package"),
    }
    for name, paths in own.items():
        http = outside(name)
        for path in paths:
            assert http.get(path).status_code == 200, (name, path)
        for other in own.keys() - {name}:
            for path in own[other]:
                problem_of(http.get(path), 404, "not_found")
        for path in (*paths, "/nothing", "/healthz", "/", "/v1/catalogue"):
            promised = http.get(path).headers.get_list("strict-transport-security")
            assert promised == ["max-age=63072000; includeSubDomains"], (name, path)
    assert outside(CONSOLE).get("/").headers["location"] == "/console"
    assert outside(PORTAL).get("/").headers["location"] == "/me"
    document = outside(API).get("/.well-known/oauth-authorization-server").json()
    assert document["issuer"] == PUBLIC[API]
    assert {each.partition("/oauth/")[0] for key, each in document.items() if key.endswith("_endpoint")} == {
        PUBLIC[API]
    }


def test_probes_are_not_for_the_world(door, house):
    assert httpx2.get(f"http://127.0.0.1:{house.settings.port}/readyz").status_code == 200
    ways = (
        "/healthz",
        "/readyz",
        "/metrics",
        "//healthz",
        "/%68ealthz",
        "/me/../readyz",
        "/./healthz",
        "/healthz?x",
        "/readyz/",
    )
    for name in NAMES:
        for path in ways:
            answer = raw(door, name, f"GET {path} HTTP/1.1\r\nHost: {name}\r\nConnection: close\r\n\r\n".encode())
            assert answer.startswith(b"HTTP/1.1 404 "), (name, path, answer)
            assert b'status":"' not in answer
        absolute = f"GET http://127.0.0.1/healthz HTTP/1.1\r\nHost: {name}\r\nConnection: close\r\n\r\n"
        assert raw(door, name, absolute.encode()).startswith(b"HTTP/1.1 421 ")


def test_in_clear_people_are_led_to_tls_and_systems_to_nothing(door):
    def plain(host, path):
        with socket.create_connection(("127.0.0.1", door.plain), 60) as connection:
            connection.sendall(f"GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode())
            return all_of(connection)

    for host in (API, "evil.example", "127.0.0.1", f"{CONSOLE}.evil.example"):
        assert plain(host, "/oauth/token") == b"", host
    for host, page in ((CONSOLE, "/console"), (PORTAL, "/me")):
        answer = plain(host, "/package?code=canary-of-a-link")
        assert answer.startswith(b"HTTP/1.1 308 ")
        assert f"\r\nLocation: https://{host}{page}\r\n".encode() in answer
        assert b"canary" not in answer
        assert b"strict-transport" not in answer.lower()
    # TLS is spoken where it is spoken.
    with socket.create_connection(("127.0.0.1", door.port), 60) as connection:
        connection.sendall(f"GET /audit/keys HTTP/1.1\r\nHost: {API}\r\n\r\n".encode())
        assert b"HTTP/1.1 400 " in connection.recv(65536)


def raw(door, name, sent):
    with door.connected(name) as secure:
        secure.sendall(sent)
        return all_of(secure)


def all_of(connection):
    """What comes until the door hangs up, by a goodbye or by a reset."""
    came = b""
    with suppress(ConnectionResetError):
        while part := connection.recv(65536):
            came += part
    return came


# --- who calls -------------------------------------------------------------------------------------------------------


def test_a_forged_address_is_nobodys(house, system, outside):
    near, far = "127.0.0.9", "192.0.2.9"
    pos = system("aurelle-net", address=near)
    with house.vault.unit() as uow:
        systems.allow(uow, pos.id, [f"{near}/32"], OPERATOR)
        uow.commit()
    assert pos.ask(scope="lookup").status_code == 200
    names = ("X-Forwarded-For", "x-forwarded-for", "X-Real-IP", "X_Forwarded_For", "X-Client-IP", "True-Client-IP")
    forged = [{}, {"Forwarded": f"for={near}"}, *({name: near} for name in names)]
    forged += [{"X-Forwarded-For": f"{near}, 127.0.0.1"}, {"X-Forwarded-For": f"127.0.0.1, {near}"}]
    for headers in forged:
        for address in ("127.0.0.7", "127.0.0.1"):  # the latter is that of the proxy itself, which the vault trusts
            elsewhere = pos.twin(outside(address=address, headers=headers))
            assert elsewhere.ask(scope="lookup").status_code == 401, (headers, address)
    # Nor can what is forged keep out who may come.
    assert pos.twin(outside(address=near, headers={"X-Forwarded-For": far})).ask(scope="lookup").status_code == 200


def test_a_token_is_bound_to_the_certificate_that_was_shown(door, system, outside):
    one, two = door.clients.certify("one"), door.clients.certify("two")
    mine = system("aurelle-mtls", certificate=one)
    reference = mine.created(PERSON, CONSENT)
    token = mine.granted(reference, ("phone", "masked"), max_uses=9)
    seen = mine.http.post("/oauth/introspect", data=mine.form(token=token)).json()
    der = x509.load_pem_x509_certificate(one[0].read_bytes()).public_bytes(Encoding.DER)
    thumbprint = base64.urlsafe_b64encode(hashlib.sha256(der).digest()).rstrip(b"=").decode()
    assert seen["cnf"] == {"jkt": mine.key.thumbprint, "x5t#S256": thumbprint}
    assert mine.disclose(token).status_code == 200
    problem_of(mine.twin(outside(certificate=two)).disclose(token), 401, "invalid_token")
    problem_of(mine.twin(outside()).disclose(token), 401, "invalid_token")
    # To say that one has it is not to have it, in whatever spelling.
    pem, spelt = quote(one[0].read_text()), f":{base64.b64encode(der).decode()}:"
    for name in ("Client-Cert", "client-cert", "CLIENT-CERT", "Client_Cert", "X-Client-Cert", "Client-Cert-Chain"):
        for value in (pem, spelt):
            for certificate in (None, two):
                liar = mine.twin(outside(certificate=certificate, headers={name: value}))
                problem_of(liar.disclose(token), 401, "invalid_token")
    liar = mine.twin(outside(headers={"Client-Cert": pem}), kept={})
    plain = liar.granted(reference, ("phone", "masked"))
    assert liar.http.post("/oauth/introspect", data=liar.form(token=plain)).json()["cnf"] == {
        "jkt": mine.key.thumbprint
    }
    assert mine.disclose(token).status_code == 200


def test_a_certificate_of_another_authority_is_refused_at_the_door(door, house, outside):
    stranger = door.public.certify("stranger")
    answer = outside(certificate=stranger).get("/audit/keys")
    assert (answer.status_code, answer.headers["content-type"]) == (400, "text/html")
    assert outside().get("/audit/keys").status_code == 200
    # Only the API asks for one: at the pages nobody is made to choose.
    for name in (CONSOLE, PORTAL):
        assert outside(name, certificate=stranger).get("/").status_code == 303


def test_an_officer_signs_in_without_a_passkey(house, outside):
    code = add_officer(house.vault, "claire", "compliance")
    browser = Outside(outside(CONSOLE), CONSOLE)
    page = browser.get("/console/sign-in")
    (style,) = re.findall(r'<link rel="stylesheet" href="([^"]+)"', page.answer.text)
    assert browser.http.get(style).headers["content-type"].startswith("text/css")
    wrong = browser.submit("/console/sign-in", officer="claire", password="not the passphrase", code="000000")
    assert (wrong.status, "That did not work." in wrong.text) == (403, True), wrong.text
    set_up(browser, code, WallClock)
    assert "claire" in browser.open("/console").text
    cookies = [each for each in page.answer.headers.get_list("set-cookie") if each.startswith("__Host-")]
    assert cookies
    assert all("secure" in each.lower() and "domain" not in each.lower() for each in cookies)
    foreign = browser.post("/console/sign-out", {}, Origin=PUBLIC[PORTAL], **{"Sec-Fetch-Site": "same-site"})
    assert foreign.status == 403
    assert "claire" in browser.open("/console").text


# --- how much, and how slowly ----------------------------------------------------------------------------------------


def test_the_limits_are_those_of_the_vault(house):
    text = CONF.read_text(encoding="utf-8")
    limits = dict(re.findall(r"location = (\S+) \{\s+client_max_body_size (\w+);", text))
    (general,) = re.findall(r"^    client_max_body_size (\w+);", text, re.MULTILINE)
    bytes_of = lambda size: int(size[:-1]) << {"k": 10, "m": 20, "g": 30}[size[-1]]  # noqa: E731
    assert bytes_of(general) == house.settings.max_body_bytes
    assert {path: bytes_of(size) for path, size in limits.items()} == {
        "/v1/imports": house.settings.max_import_bytes,
        UPLOADS: MOST_DRAINED,
    }
    waits = (("client_body_timeout", body_limit.PATIENCE), ("client_header_timeout", listening.HEAD_SECONDS))
    assert tuple(f"{name} {seconds:.0f}s" for name, seconds in waits) == PATIENCE
    (count, size) = re.findall(r"large_client_header_buffers (\d+) (\w+);", text)[0]
    assert int(count) * bytes_of(size) == listening.MOST_HEAD
    assert text.count("proxy_pass http://vault;") == 5


def test_what_is_too_large_is_refused_and_what_is_not_arrives(door, house, system, outside):
    most = house.settings.max_body_bytes
    pos = system("aurelle-large")
    row = {"ref": "row-1", "fields": {"client_number": "AU-9001"}}
    padded = ndjson(row) + b"\n" * (2 * most)
    assert pos.bring(padded, "stream-large").status_code == 200, "larger than other bodies may be, and never on a disk"
    for sized in (True, False):
        content = b" " * (most + 1)
        answer = outside().post("/v1/subjects", content=content if sized else iter([content]))
        assert answer.status_code == 413
    assert outside().post("/v1/subjects", content=b" " * most).status_code == 401
    for size, status in ((7_000, 404), (9_000, 400)):
        assert outside().get("/nothing", headers={"X-Long": "x" * size}).status_code == status
    many = {f"X-Long-{number}": "x" * 7_000 for number in range(6)}
    assert outside().get("/nothing", headers=many).status_code == 400


def test_what_stops_half_way_is_cut_off(door):
    for name, path in ((API, "/oauth/token"), (PORTAL, "/package")):
        answer = raw(door, name, posting(name, path) + b"grant_type=")
        assert answer == b"" or answer.startswith(b"HTTP/1.1 408 "), answer
        assert raw(door, name, f"GET {path} HTTP/1.1\r\nHost: {name}\r\nX-Slow: ".encode()) == b""
    with socket.create_connection(("127.0.0.1", door.port), 60) as silent:  # not even a handshake
        assert all_of(silent) == b""


def test_a_body_that_trickles_is_cut_off_by_the_vault_behind(door):
    ended = threading.Event()
    with door.connected(API) as secure:
        secure.sendall(posting(API, "/v1/subjects", "application/json"))
        trickle = threading.Thread(target=_trickle, args=(secure, ended))
        trickle.start()
        try:
            answer = secure.recv(65536)
        finally:
            ended.set()
            trickle.join()
        answer += all_of(secure)
    assert answer.startswith(b"HTTP/1.1 408 "), answer
    assert b'"code":"slow_body"' in answer


def posting(name, path, media_type="application/x-www-form-urlencoded"):
    """The head of a form from a page of ours, which promises more than comes."""
    ours = f"Origin: {PUBLIC[name]}\r\nSec-Fetch-Site: same-origin"
    about = f"Content-Type: {media_type}\r\nContent-Length: 100000"
    return f"POST {path} HTTP/1.1\r\nHost: {name}\r\n{ours}\r\n{about}\r\n\r\n".encode()


def _trickle(secure, ended):
    try:
        while not ended.wait(0.5):
            secure.sendall(b"x")
    except OSError:
        pass


# --- what is written down --------------------------------------------------------------------------------------------


def test_logs_hold_nothing_of_a_request_but_what_it_was(door, house, outside):
    canary = "canary-9f31"
    http = outside(
        PORTAL, address="127.0.0.77", headers={"User-Agent": canary, "Referer": f"https://{canary}.example/"}
    )
    for path in (f"/me/{canary}?q={canary}", f"/{canary}", f"/package?code={canary}", "/me/sign-in"):
        http.get(path)
    http.post("/package", data={"code": canary}, headers={"Origin": PUBLIC[PORTAL], "Sec-Fetch-Site": "same-origin"})
    http.request("ROUSSELIN", "/me")
    http.post(
        "/me/sign-in", content=canary.encode() * 200_000
    )  # refused at the door, which would tell of it at `error`
    seen = http.get("/me/sign-in").headers["x-request-id"]
    http.close()
    until(lambda: seen in door.log("access.log"))
    lines = [json.loads(line) for line in door.log("access.log").splitlines()]
    assert {each["method"] for each in lines} <= {"GET", "HEAD", "POST", "PATCH", "PUT", "DELETE", "OTHER"}
    assert {each["host"] for each in lines} <= {*NAMES, ""}
    (mine,) = [each for each in lines if each["request_id"] == seen]
    assert (mine["host"], mine["method"], mine["status"], mine["tls"]) == (PORTAL, "GET", 200, "TLSv1.3")
    until(lambda: seen in house.lines.read_text())  # the vault's line of the same request
    for log in (door.log("access.log"), door.log("error.log"), door.lines.read_text(), house.lines.read_text()):
        for told in (canary, "ROUSSELIN", "127.0.0.77", "/me/", "code="):
            assert told not in log or (told == "/me/" and '"route"' in log), told


def until(holds):
    deadline = time.monotonic() + 60
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.02)
