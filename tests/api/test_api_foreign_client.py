"""A client we did not write, against a real server: Authlib for OAuth, joserfc for the proofs.

Authlib does not know DPoP, so a request hook adds the proof; everything else is what the library does for anybody.
"""

import base64
import hashlib
import json
import secrets
import socket
import ssl
import threading
import time
from contextlib import contextmanager

import pytest
import uvicorn
from authlib.integrations.base_client import OAuthError
from authlib.integrations.httpx_client import OAuth2Client
from authlib.oauth2.rfc7523 import PrivateKeyJWT
from authlib.oauth2.rfc8414 import AuthorizationServerMetadata
from joserfc import jwt
from joserfc.jwk import ECKey, OKPKey
from oauth_parties import OPERATOR, PURPOSES, SCOPES, consent, entry, person, take_in
from test_api_certificates import thumbprint
from tls_proxy import HEADER, Authority, tls_proxy

from api.app import create_app
from api.settings import load
from vault import systems
from vault.systems import NewSystem

pytestmark = [
    pytest.mark.server,
    # RFC 9864 renames EdDSA to Ed25519; most libraries still sign under the old name, and so may our callers.
    pytest.mark.filterwarnings("ignore:EdDSA is deprecated:joserfc.errors.SecurityWarning"),
]

CLIENT = "aurelle-repair"
COURIER = "aurelle-courier"
EXCHANGE = "urn:ietf:params:oauth:grant-type:token-exchange"
KIND = "urn:ietf:params:oauth:token-type:access_token"


@contextmanager
def serving(opener, listening, **settings):
    """A real server on a socket, until the block ends; gives its vault."""
    app = create_app(load({"log_level": "error", **settings}), opener=opener)
    server = uvicorn.Server(uvicorn.Config(app, log_config=None, access_log=False, ws="none", proxy_headers=False))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
    thread.start()
    while not server.started and thread.is_alive():
        time.sleep(0.01)
    try:
        yield app.state.services.vault
    finally:
        server.should_exit = True
        thread.join()


def address_of(listening):
    host, port = listening.getsockname()
    return f"{host}:{port}"


@pytest.fixture
def server(opening, bundle, clock, tmp_path, monkeypatch):
    """A real server on loopback; its base URL and its vault."""
    monkeypatch.chdir(tmp_path)
    clock.seconds = int(time.time())
    with socket.create_server(("127.0.0.1", 0)) as listening:
        url = f"http://{address_of(listening)}"
        own = {"public_url": url, "checkpoint_file": tmp_path / "checkpoint"}
        with serving(lambda _: opening(bundle), listening, **own) as vault:
            yield url, vault


@pytest.fixture
def behind_tls(opening, bundle, clock, tmp_path, monkeypatch):
    """The same behind a proxy that ends TLS and tells clients' certificates on; with who issues these."""
    monkeypatch.chdir(tmp_path)
    clock.seconds = int(time.time())
    authority = Authority(tmp_path)
    outer, inner = socket.create_server(("127.0.0.1", 0)), socket.create_server(("127.0.0.1", 0))
    with outer, inner:
        url = f"https://{address_of(outer)}"
        own = {"public_url": url, "checkpoint_file": tmp_path / "checkpoint"}
        own |= {"trusted_proxies": ("127.0.0.1/32",), "client_certificate_header": HEADER}
        with (
            serving(lambda _: opening(bundle), inner, **own) as vault,
            tls_proxy(authority, outer, inner.getsockname()),
        ):
            yield url, vault, authority


@pytest.fixture(params=["ES256", "EdDSA"])
def keys(request):
    """A client's assertion key and proof key of each supported kind."""
    draw = (
        (lambda: ECKey.generate_key("P-256")) if request.param == "ES256" else (lambda: OKPKey.generate_key("Ed25519"))
    )
    return request.param, draw(), draw()


def register(vault, key, name=CLIENT):
    jwks = {"keys": [key.as_dict(private=False) | {"kid": "k1"}]}
    with vault.unit() as uow:
        new = NewSystem(name, "aurelle", "Repair desk", jwks, SCOPES, PURPOSES)
        systems.register(uow, new, OPERATOR)
        uow.commit()


class FreshAssertion(PrivateKeyJWT):
    """Authlib's method with our audience and a short life; its own claims object would keep the first `jti` for ever."""

    def __init__(self, issuer, alg):
        super().__init__(alg=alg, headers={"kid": "k1"})
        self.issuer = issuer

    def sign(self, auth, token_endpoint):
        self.claims = {"aud": self.issuer, "exp": int(time.time()) + 60}
        return super().sign(auth, token_endpoint)


def client_of(metadata, algorithm, key, proof_key, name=CLIENT, **transport):
    given = {}  # the server's nonce, from its last answer (RFC 9449 §8)

    def keep(response):
        if "dpop-nonce" in response.headers:
            given["nonce"] = response.headers["dpop-nonce"]

    def prove(request):
        header = {"typ": "dpop+jwt", "alg": algorithm, "jwk": proof_key.as_dict(private=False)}
        claims = {
            "jti": secrets.token_urlsafe(16),
            "htm": request.method,
            "htu": str(request.url),
            "iat": int(time.time()),
            **given,
        }
        _, _, token = request.headers.get("authorization", "").partition(" ")
        if token:
            claims["ath"] = base64.urlsafe_b64encode(hashlib.sha256(token.encode()).digest()).rstrip(b"=").decode()
            request.headers["authorization"] = f"DPoP {token}"
        request.headers["dpop"] = jwt.encode(header, claims, proof_key, algorithms=[algorithm])

    client = OAuth2Client(
        name,
        key,
        token_endpoint_auth_method="private_key_jwt",
        revocation_endpoint_auth_method="private_key_jwt",
        token_endpoint=metadata["token_endpoint"],
        grant_type="client_credentials",
        event_hooks={"request": [prove], "response": [keep]},
        trust_env=False,
        **transport,
    )
    client.register_client_auth_method(FreshAssertion(metadata["issuer"], algorithm))
    return client


def look(client, url, token):
    headers = {"Authorization": f"DPoP {token['access_token']}"}
    return client.request("POST", f"{url}/v1/disclosures", json={}, headers=headers, withhold_token=True, auth=None)


def configured(url, algorithm, key, proof_key, **transport):
    """What the server says of itself, read as the library reads it."""
    with client_of({"issuer": url, "token_endpoint": ""}, algorithm, key, proof_key, **transport) as plain:
        where = f"{url}/.well-known/oauth-authorization-server"
        answer = plain.request("GET", where, withhold_token=True, auth=None)
    return AuthorizationServerMetadata(answer.json())


def with_nonce(fetch):
    """Ask once to be given the nonce, and once with it."""
    with pytest.raises(OAuthError, match="use_dpop_nonce"):
        fetch()
    return fetch()


def test_an_ordinary_oauth_client_configures_itself_gets_tokens_and_looks(server, keys):
    url, vault = server
    algorithm, key, proof_key = keys
    register(vault, key)
    (known,) = take_in(vault, person(consent("clienteling"), consent("clienteling.aftercare")))

    metadata = configured(url, algorithm, key, proof_key)
    assert metadata.issuer == url
    assert metadata.token_endpoint_auth_methods_supported == ["private_key_jwt"]

    with client_of(metadata, algorithm, key, proof_key) as client:
        service = with_nonce(lambda: client.fetch_token(scope="lookup"))
        assert service["token_type"] == "DPoP"
        assert service["scope"] == "lookup"
        assert client.introspect_token(metadata["introspection_endpoint"], service["access_token"]).json()["active"]
        assert client.revoke_token(metadata["revocation_endpoint"], service["access_token"]).status_code == 200
        dead = client.introspect_token(metadata["introspection_endpoint"], service["access_token"])
        assert dead.json() == {"active": False}

        # A narrower token (RFC 8693), made of one that is then good for one look less.
        wish = entry(
            known, ("ring_size", "generalised"), ("phone", "masked"), purpose="clienteling.aftercare", max_uses=2
        )
        parent = client.fetch_token(authorization_details=json.dumps([wish]))
        narrower = entry(known, ("phone", "masked"), purpose="clienteling.aftercare")
        child = client.fetch_token(
            grant_type=EXCHANGE,
            subject_token=parent["access_token"],
            subject_token_type=KIND,
            authorization_details=json.dumps([narrower]),
        )
        assert child["issued_token_type"] == KIND
        assert [field["name"] for field in child["authorization_details"][0]["fields"]] == ["phone"]

        # A raw value: its redemption needs the nonce too.
        wish = entry(known, ("ring_size", "raw"), ("phone", "raw"), purpose="clienteling.aftercare")
        token = client.fetch_token(authorization_details=json.dumps([wish]))
        granted = {field["name"]: field["level"] for field in token["authorization_details"][0]["fields"]}
        assert granted == {"ring_size": "raw", "phone": "masked"}
        looked = look(client, url, token)
        assert looked.status_code == 200, looked.text
        values = {field["name"]: field["value"] for field in looked.json()["fields"]}
        assert values["ring_size"] == {"value": "52", "system": "eu"}
        assert look(client, url, token).json()["code"] == "uses_exhausted"


def test_the_librarys_default_audience_is_refused(server, keys):
    """Authlib addresses the token endpoint unless told otherwise: the audience that another server could replay."""
    url, vault = server
    algorithm, key, proof_key = keys
    register(vault, key)
    metadata = {"issuer": f"{url}/oauth/token", "token_endpoint": f"{url}/oauth/token"}
    with client_of(metadata, algorithm, key, proof_key) as client:
        with pytest.raises(OAuthError, match="use_dpop_nonce"):
            client.fetch_token(scope="lookup")
        with pytest.raises(OAuthError, match="invalid_client"):
            client.fetch_token(scope="lookup")


def test_one_client_hands_a_narrower_token_over_to_another(server, keys):
    """RFC 8693 §2.1: `actor_token` names who shall act. The new token is the other's, under the other's key."""
    url, vault = server
    algorithm, key, proof_key = keys
    theirs, their_proof_key = type(key).generate_key(key.curve_name), type(key).generate_key(key.curve_name)
    register(vault, key)
    register(vault, theirs, COURIER)
    (known,) = take_in(vault, person(consent("clienteling"), consent("clienteling.aftercare")))
    metadata = configured(url, algorithm, key, proof_key)
    mine = client_of(metadata, algorithm, key, proof_key)
    other = client_of(metadata, algorithm, theirs, their_proof_key, COURIER)
    with mine, other:
        actor = with_nonce(lambda: other.fetch_token(scope="lookup"))
        wish = entry(
            known, ("ring_size", "generalised"), ("phone", "masked"), purpose="clienteling.aftercare", max_uses=2
        )
        parent = with_nonce(lambda: mine.fetch_token(authorization_details=json.dumps([wish])))
        narrower = json.dumps([entry(known, ("phone", "masked"), purpose="clienteling.aftercare")])
        handing = {"grant_type": EXCHANGE, "subject_token": parent["access_token"], "subject_token_type": KIND}
        handed = handing | {"actor_token": actor["access_token"], "actor_token_type": KIND}

        # Only the holder hands over: who shall act cannot fetch it.
        with pytest.raises(OAuthError, match="invalid_request"):
            other.fetch_token(**handed, authorization_details=narrower)
        with pytest.raises(OAuthError, match="invalid_request"):
            mine.fetch_token(**handed | {"actor_token": parent["access_token"]}, authorization_details=narrower)
        child = mine.fetch_token(**handed, authorization_details=narrower)
        assert child["issued_token_type"] == KIND

        assert look(mine, url, child).json()["code"] == "invalid_token"
        looked = look(other, url, child)
        assert looked.status_code == 200, looked.text
        assert [field["name"] for field in looked.json()["fields"]] == ["phone"]
        seen = other.introspect_token(metadata["introspection_endpoint"], child["access_token"]).json()
        assert not seen["active"]  # its one use is gone
        again = mine.fetch_token(**handed, authorization_details=narrower)
        told = other.introspect_token(metadata["introspection_endpoint"], again["access_token"]).json()
        assert (told["client_id"], told["sub"], told["act"]) == (COURIER, CLIENT, {"sub": COURIER})
        assert look(mine, url, parent).json()["code"] == "uses_exhausted"  # both went over with the tokens


def test_a_token_is_bound_to_the_certificate_of_the_clients_connection(behind_tls, keys):
    """RFC 8705 §3, over real TLS: another certificate, and none, is refused with the very same key and token."""
    url, vault, authority = behind_tls
    algorithm, key, proof_key = keys
    register(vault, key)
    (known,) = take_in(vault, person(consent("clienteling"), consent("clienteling.aftercare")))
    (own, certificate), (stranger, _) = authority.issue("own"), authority.issue("stranger")

    def trusting(file=None):
        context = ssl.create_default_context(cafile=authority.file)
        if file is not None:
            context.load_cert_chain(file)
        return context

    metadata = configured(url, algorithm, key, proof_key, verify=trusting())
    assert metadata["tls_client_certificate_bound_access_tokens"] is True
    wish = json.dumps([entry(known, ("phone", "masked"), purpose="clienteling.aftercare", max_uses=9)])
    with client_of(metadata, algorithm, key, proof_key, verify=trusting(own)) as client:
        token = with_nonce(lambda: client.fetch_token(authorization_details=wish))
        seen = client.introspect_token(metadata["introspection_endpoint"], token["access_token"]).json()
        assert seen["cnf"]["x5t#S256"] == thumbprint(certificate)
        assert look(client, url, token).status_code == 200
        narrower = json.dumps([entry(known, ("phone", "presence"), purpose="clienteling.aftercare")])
        child = client.fetch_token(
            grant_type=EXCHANGE,
            subject_token=token["access_token"],
            subject_token_type=KIND,
            authorization_details=narrower,
        )
        assert look(client, url, child).status_code == 200
    for file in (stranger, None):
        with client_of(metadata, algorithm, key, proof_key, verify=trusting(file)) as client:
            refused = look(client, url, token)
            assert (refused.status_code, refused.json()["code"]) == (401, "invalid_token")
            with pytest.raises(OAuthError, match="invalid_request"):
                with_nonce(
                    lambda held=client: held.fetch_token(
                        grant_type=EXCHANGE,
                        subject_token=token["access_token"],
                        subject_token_type=KIND,
                        authorization_details=narrower,
                    )
                )
