"""A client we did not write, against a real server: Authlib for OAuth, joserfc for the proofs.

Authlib does not know DPoP, so a request hook adds the proof; everything else is what the library does for anybody.
"""

import base64
import hashlib
import json
import secrets
import socket
import threading
import time

import pytest
import uvicorn
from authlib.integrations.base_client import OAuthError
from authlib.integrations.httpx_client import OAuth2Client
from authlib.oauth2.rfc7523 import PrivateKeyJWT
from authlib.oauth2.rfc8414 import AuthorizationServerMetadata
from joserfc import jwt
from joserfc.jwk import ECKey, OKPKey
from oauth_parties import OPERATOR, PURPOSES, SCOPES, consent, entry, person, take_in

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


@pytest.fixture
def server(opening, bundle, clock, tmp_path, monkeypatch):
    """A real server on loopback; its base URL and its vault."""
    monkeypatch.chdir(tmp_path)
    clock.seconds = int(time.time())
    with socket.create_server(("127.0.0.1", 0)) as listening:
        url = f"http://127.0.0.1:{listening.getsockname()[1]}"
        settings = load({"public_url": url, "checkpoint_file": tmp_path / "checkpoint", "log_level": "error"})
        app = create_app(settings, opener=lambda _: opening(bundle))
        serving = uvicorn.Server(uvicorn.Config(app, log_config=None, access_log=False, ws="none"))
        thread = threading.Thread(target=serving.run, kwargs={"sockets": [listening]})
        thread.start()
        while not serving.started and thread.is_alive():
            time.sleep(0.01)
        yield url, app.state.services.vault
        serving.should_exit = True
        thread.join()


@pytest.fixture(params=["ES256", "EdDSA"])
def keys(request):
    """A client's assertion key and proof key of each supported kind."""
    draw = (
        (lambda: ECKey.generate_key("P-256")) if request.param == "ES256" else (lambda: OKPKey.generate_key("Ed25519"))
    )
    return request.param, draw(), draw()


def register(vault, key):
    jwks = {"keys": [key.as_dict(private=False) | {"kid": "k1"}]}
    with vault.unit() as uow:
        new = NewSystem(CLIENT, "aurelle", "Repair desk", jwks, SCOPES, PURPOSES)
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


def client_of(metadata, algorithm, key, proof_key):
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
        CLIENT,
        key,
        token_endpoint_auth_method="private_key_jwt",
        revocation_endpoint_auth_method="private_key_jwt",
        token_endpoint=metadata["token_endpoint"],
        grant_type="client_credentials",
        event_hooks={"request": [prove], "response": [keep]},
        trust_env=False,
    )
    client.register_client_auth_method(FreshAssertion(metadata["issuer"], algorithm))
    return client


def test_an_ordinary_oauth_client_configures_itself_gets_tokens_and_looks(server, keys):
    url, vault = server
    algorithm, key, proof_key = keys
    register(vault, key)
    (known,) = take_in(vault, person(consent("clienteling"), consent("clienteling.aftercare")))

    with client_of({"issuer": url, "token_endpoint": ""}, algorithm, key, proof_key) as plain:
        metadata = AuthorizationServerMetadata(
            plain.request("GET", f"{url}/.well-known/oauth-authorization-server", withhold_token=True, auth=None).json()
        )
    assert metadata.issuer == url
    assert metadata.token_endpoint_auth_methods_supported == ["private_key_jwt"]

    with client_of(metadata, algorithm, key, proof_key) as client:
        with pytest.raises(OAuthError, match="use_dpop_nonce"):
            client.fetch_token(scope="lookup")
        service = client.fetch_token(scope="lookup")
        assert service["token_type"] == "DPoP"
        assert service["scope"] == "lookup"
        assert client.introspect_token(metadata["introspection_endpoint"], service["access_token"]).json()["active"]
        assert client.revoke_token(metadata["revocation_endpoint"], service["access_token"]).status_code == 200
        dead = client.introspect_token(metadata["introspection_endpoint"], service["access_token"])
        assert dead.json() == {"active": False}

        # A narrower token (RFC 8693), made of one that is then good for one look less.
        kind = "urn:ietf:params:oauth:token-type:access_token"
        wish = entry(
            known, ("ring_size", "generalised"), ("phone", "masked"), purpose="clienteling.aftercare", max_uses=2
        )
        parent = client.fetch_token(authorization_details=json.dumps([wish]))
        narrower = entry(known, ("phone", "masked"), purpose="clienteling.aftercare")
        child = client.fetch_token(
            grant_type="urn:ietf:params:oauth:grant-type:token-exchange",
            subject_token=parent["access_token"],
            subject_token_type=kind,
            authorization_details=json.dumps([narrower]),
        )
        assert child["issued_token_type"] == kind
        assert [field["name"] for field in child["authorization_details"][0]["fields"]] == ["phone"]

        # A raw value: its redemption needs the nonce too.
        wish = entry(known, ("ring_size", "raw"), ("phone", "raw"), purpose="clienteling.aftercare")
        token = client.fetch_token(authorization_details=json.dumps([wish]))
        granted = {field["name"]: field["level"] for field in token["authorization_details"][0]["fields"]}
        assert granted == {"ring_size": "raw", "phone": "masked"}
        headers = {"Authorization": f"DPoP {token['access_token']}"}

        def look():
            where = f"{url}/v1/disclosures"
            return client.request("POST", where, json={}, headers=headers, withhold_token=True, auth=None)

        looked = look()
        assert looked.status_code == 200, looked.text
        values = {field["name"]: field["value"] for field in looked.json()["fields"]}
        assert values["ring_size"] == {"value": "52", "system": "eu"}
        assert look().json()["code"] == "uses_exhausted"


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
