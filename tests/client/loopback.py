"""A stand-in server on loopback for the client's tests: checks assertions and proofs with PyJWT, then follows a script."""

import base64
import hashlib
import http.server
import json
import threading
import urllib.parse
from collections.abc import Callable
from dataclasses import dataclass, field

import jwt

Answer = tuple[int, dict[str, str], bytes]


@dataclass
class Seen:
    method: str
    path: str
    headers: dict[str, str]
    body: bytes
    proof: dict


@dataclass
class Stub:
    registration: dict
    answers: dict[str, list[Answer | Callable[[Seen], Answer]]] = field(default_factory=dict)
    seen: list[Seen] = field(default_factory=list)
    jtis: set[str] = field(default_factory=set)
    nonce: str = ""
    tokens: int = 0
    leeway: int = 0
    url: str = ""

    def handle(self, method, path, headers, body) -> Answer | None:
        if method == "GET" and "dpop" not in headers:
            self.seen.append(Seen(method, path, headers, body, {}))
            return self._scripted(self.seen[-1])
        token = headers.get("authorization", "").removeprefix("DPoP ")
        claims = self.check_proof(headers["dpop"], method, path, token)
        seen = Seen(method, path, headers, body, claims)
        self.seen.append(seen)
        if self.nonce and claims.get("nonce") != self.nonce:
            status = 400 if path == "/oauth/token" else 401
            challenge = {"DPoP-Nonce": self.nonce, "WWW-Authenticate": 'DPoP error="use_dpop_nonce"'}
            return status, challenge, b'{"error":"use_dpop_nonce"}'
        if path == "/oauth/token" and path not in self.answers:
            return self.issue(seen)
        return self._scripted(seen)

    def _scripted(self, seen):
        script = self.answers[seen.path]
        answer = script.pop(0) if len(script) > 1 else script[0]
        return answer(seen) if callable(answer) else answer

    def issue(self, seen: Seen) -> Answer:
        form = dict(urllib.parse.parse_qsl(seen.body.decode()))
        key = jwt.PyJWK(self.registration["keys"][0])
        kid = jwt.get_unverified_header(form["client_assertion"])["kid"]
        assert kid == self.registration["keys"][0]["kid"]
        options = {"require": ["exp", "iat", "jti", "sub", "iss", "aud"]}
        claims = jwt.decode(
            form["client_assertion"],
            key,
            [key.algorithm_name],
            options=options,
            audience=self.url,
            leeway=self.leeway,
        )
        assert claims["iss"] == claims["sub"] == "aurelle-paris"
        assert claims["jti"] not in self.jtis
        self.jtis.add(claims["jti"])
        self.tokens += 1
        body = {"access_token": f"token-{self.tokens}", "token_type": "DPoP", "expires_in": 300}
        if "authorization_details" in form:
            body["authorization_details"] = json.loads(form["authorization_details"])
        return 200, {}, json.dumps(body).encode()

    def check_proof(self, proof, method, path, token):
        header = jwt.get_unverified_header(proof)
        assert header["typ"] == "dpop+jwt"
        assert "d" not in header["jwk"]
        claims = jwt.decode(proof, jwt.PyJWK(header["jwk"], algorithm=header["alg"]), [header["alg"]])
        assert claims["htm"] == method
        assert claims["htu"] == self.url + path
        assert claims["jti"] not in self.jtis
        self.jtis.add(claims["jti"])
        if token:
            digest = hashlib.sha256(token.encode()).digest()
            assert claims["ath"] == base64.urlsafe_b64encode(digest).rstrip(b"=").decode()
        else:
            assert "ath" not in claims
        return claims


class Loopback:
    """Runs a `Stub` on a loopback port for the length of a `with` block; a failed check ends the connection."""

    def __init__(self, stub: Stub) -> None:
        self.stub = stub
        self.failures: list[BaseException] = []

    def __enter__(self) -> Stub:
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            wbufsize = -1

            def answer(self):
                body = self.rfile.read(int(self.headers.get("content-length", 0)))
                headers = {name.lower(): value for name, value in self.headers.items()}
                try:
                    made = outer.stub.handle(self.command, self.path, headers, body)
                except BaseException as failure:  # noqa: BLE001 - shown when the block ends
                    outer.failures.append(failure)
                    made = None
                if made is None:
                    self.close_connection = True
                    return
                status, extra, content = made
                self.send_response(status)
                for name, value in {**extra, "Content-Length": str(len(content))}.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(content)

            do_GET = do_POST = do_PATCH = answer  # noqa: N815 - names set by http.server

            def log_message(self, *arguments):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.stub.url = f"http://127.0.0.1:{self.server.server_port}"
        self.thread = threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.01})
        self.thread.start()
        return self.stub

    def __exit__(self, *error):
        self.server.shutdown()
        self.thread.join()
        self.server.server_close()
        if self.failures:
            raise self.failures[0]
