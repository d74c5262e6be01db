"""Where letters arrive: a mail server and a gateway to telephones, both real, on this machine, with what they were given."""

import threading
from email import message_from_bytes, policy
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP

from api.post.smtp import Relay

PLAIN = {"from": "AURELLE", "to": "{to}", "text": "{text}"}


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


def relay(port, security="none", **more):
    return Relay("127.0.0.1", port, security, "privacy@aurelle.example", **more)


class Provider:
    """A gateway to telephones as providers have it: a real HTTP server, and what it was asked."""

    def __init__(self, status=202, body=b"{}", context=None, headers=()):
        self.asked = asked = []

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self):
                content = self.rfile.read(int(self.headers["Content-Length"]))
                asked.append((self.path, dict(self.headers), content))
                self.send_response(status)
                for name, value in headers:
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        if context is not None:
            self.server.socket = context.wrap_socket(self.server.socket, server_side=True)
        self.port = self.server.server_address[1]
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def url(self, scheme="http"):
        return f"{scheme}://127.0.0.1:{self.port}/v1/messages"

    def stop(self):
        self.server.shutdown()
        self.server.server_close()


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


@pytest.fixture
def providing():
    started = []

    def start(**options):
        started.append(Provider(**options))
        return started[-1]

    yield start
    for each in started:
        each.stop()


__all__ = ["PLAIN", "Box", "Provider", "Server", "providing", "relay", "serving"]
