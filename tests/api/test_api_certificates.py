"""Tokens bound to TLS certificates behind a proxy (RFC 8705 §3): believed from the proxy alone, and beside the DPoP key."""

import base64
import datetime as dt
import hashlib
from urllib.parse import quote

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID
from maison_callers import CONSENT, ELSEWHERE, PERSON, Maison, app_of, problem_of
from starlette.testclient import TestClient

from api.settings import InvalidSettings, load

HEADER = "Client-Cert"
PROXY, STRANGER = "10.0.0.1", "10.9.9.9"


def certificate(name):
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    day = dt.datetime(2026, 9, 1, tzinfo=dt.UTC)
    builder = x509.CertificateBuilder(subject, subject, key.public_key(), 1, day, day + dt.timedelta(days=90))
    return builder.sign(key, SHA256())


ONE, TWO = certificate("one"), certificate("two")


def spelt(cert):
    """As RFC 9440 §2.2 has it."""
    return f":{base64.b64encode(cert.public_bytes(Encoding.DER)).decode()}:"


def thumbprint(cert):
    return base64.urlsafe_b64encode(hashlib.sha256(cert.public_bytes(Encoding.DER)).digest()).rstrip(b"=").decode()


@pytest.fixture
def app(opening, bundle, tmp_path):
    return app_of(
        lambda _: opening(bundle), tmp_path, trusted_proxies=(f"{PROXY}/32",), client_certificate_header=HEADER
    )


class Behind:
    """Callers as they reach the application: through the proxy, with a certificate or none, or around it."""

    def __init__(self, http, app, clock):
        self.http, self.app, self.clock = http, app, clock
        self.pos = Maison(http, app.state.services.vault, clock).system("aurelle-pos", "aurelle")
        self.pos.service("subject.write")

    def caller(self, header=None, peer=PROXY):
        http = TestClient(self.app, base_url=ELSEWHERE, client=(peer, 4711), raise_server_exceptions=False)
        http.headers["X-Forwarded-For"] = "192.0.2.7"
        if header is not None:
            http.headers[HEADER] = header
        return self.pos.twin(http)


@pytest.fixture
def behind(app, clock):
    with TestClient(app, base_url=ELSEWHERE, client=(PROXY, 4711), raise_server_exceptions=False) as http:
        yield Behind(http, app, clock)


def test_a_token_is_good_with_its_certificate_and_its_key(behind):
    reference = behind.pos.created(PERSON, CONSENT)
    mine = behind.caller(spelt(ONE))
    token = mine.granted(reference, ("phone", "masked"), max_uses=9)
    seen = mine.http.post("/oauth/introspect", data=mine.form(token=token)).json()
    assert seen["cnf"] == {"jkt": mine.key.thumbprint, "x5t#S256": thumbprint(ONE)}
    assert mine.disclose(token).status_code == 200
    for other in (behind.caller(spelt(TWO)), behind.caller()):
        problem_of(other.disclose(token), 401, "invalid_token")
    # The same certificate in the other spelling is the same certificate.
    escaped = behind.caller(quote(ONE.public_bytes(Encoding.PEM).decode()))
    assert escaped.disclose(token).status_code == 200
    # And the key is asked for as always.
    stolen = mine.twin(key=type(mine.key).generate())
    problem_of(stolen.disclose(token), 401, "invalid_token")
    service = mine.service("lookup")
    problem_of(behind.caller(spelt(TWO)).send("GET", f"/v1/subjects/{reference}", service), 401, "invalid_token")


def test_a_token_without_a_certificate_needs_none(behind):
    reference = behind.pos.created(PERSON, CONSENT)
    plain = behind.caller()
    token = plain.granted(reference, ("phone", "masked"), max_uses=2)
    assert plain.disclose(token).status_code == 200
    assert behind.caller(spelt(ONE)).disclose(token).status_code == 200


def test_the_header_is_believed_from_the_proxy_alone(behind):
    reference = behind.pos.created(PERSON, CONSENT)
    token = behind.caller(spelt(ONE)).granted(reference, ("phone", "masked"))
    around = behind.caller(spelt(ONE), peer=STRANGER)
    problem_of(around.disclose(token), 400, "certificate_refused")
    asked = around.ask(scope="lookup")
    assert (asked.status_code, asked.json()["code"]) == (400, "certificate_refused")
    # An address that was forwarded does not make anybody the proxy.
    around.http.headers["X-Forwarded-For"] = PROXY
    problem_of(around.disclose(token), 400, "certificate_refused")


@pytest.mark.parametrize("value", ["rubbish", ":AAAA:", "::", ":", "-----BEGIN CERTIFICATE-----", "x" * 20_000])
def test_what_is_no_certificate_is_refused(behind, value):
    caller = behind.caller(value)
    assert caller.ask(scope="lookup").json()["code"] == "certificate_refused"


def test_a_narrower_token_keeps_the_binding(behind):
    reference = behind.pos.created(PERSON, CONSENT)
    mine = behind.caller(spelt(ONE))
    parent = mine.granted(reference, ("phone", "masked"), max_uses=4)
    for other in (behind.caller(spelt(TWO)), behind.caller()):
        refused = other.exchange(parent, reference, ("phone", "masked"))
        assert refused.json()["code"] == "subject_token_refused"
    child = mine.exchange(parent, reference, ("phone", "masked")).json()["access_token"]
    problem_of(behind.caller().disclose(child), 401, "invalid_token")
    assert mine.disclose(child).status_code == 200


def test_metadata_say_so_where_it_is_so_and_nowhere_else(behind, maison):
    for path in ("/.well-known/oauth-authorization-server", "/.well-known/oauth-protected-resource"):
        assert behind.http.get(path).json()["tls_client_certificate_bound_access_tokens"] is True
        assert "tls_client_certificate_bound_access_tokens" not in maison.http.get(path).json()


def test_off_by_default_the_header_is_nothing(maison, pos):
    maison.http.headers[HEADER] = spelt(ONE)
    reference = pos.created(PERSON, CONSENT)
    token = pos.granted(reference, ("phone", "masked"))
    seen = pos.http.post("/oauth/introspect", data=pos.form(token=token)).json()
    assert seen["cnf"] == {"jkt": pos.key.thumbprint}


def test_a_header_without_a_proxy_is_refused_at_start(tmp_path):
    for chosen in ({"client_certificate_header": HEADER}, {"client_certificate_header": "a b"}):
        with pytest.raises(InvalidSettings, match="client_certificate_header"):
            load({"data_dir": tmp_path, **chosen})
