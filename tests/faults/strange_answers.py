"""Others whom the vault asks for evidence, and all the ways in which their answers can be wrong; over real sockets."""

import socket
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey


class Key:
    """A signing key under a name."""

    def __init__(self, name):
        self.name, self._key = name, Ed25519PrivateKey.generate()
        self.public_key = self._key.public_key().public_bytes_raw()

    def sign(self, message):
        return self._key.sign(message)


class Other:
    """Somebody behind an address. `answer` gives (status, body) for the bytes of a question; `way` bends how it is sent.

    `reached` is set when a question has come; where `held`, nothing is sent before `released` is set.
    """

    def __init__(self, answer):
        self.answer, self.way, self.held = answer, "whole", False
        self.asked = 0
        self.reached, self.released = threading.Event(), threading.Event()
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self):
                question = self.rfile.read(int(self.headers["Content-Length"]))
                outer.asked += 1
                outer.reached.set()
                if outer.held:
                    outer.released.wait()
                status, body = outer.answer(question)
                self.send_response(status)
                if status in {301, 302, 307, 308}:
                    self.send_header("Location", f"{outer.url}elsewhere")
                if outer.way == "whole":
                    self.send_header("Content-Length", str(len(body)))
                elif outer.way == "cut short":
                    self.send_header("Content-Length", str(len(body) + 100))
                self.end_headers()
                if outer.way == "trickles":
                    for at in range(len(body)):
                        if outer.released.wait(0.02):
                            return
                        self.wfile.write(body[at : at + 1])
                else:
                    self.wfile.write(body)

            def log_message(self, *_):
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._server.handle_error = lambda *_: None  # who asked has hung up
        self.url = f"http://127.0.0.1:{self._server.server_port}/"
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()

    def close(self):
        self.released.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


@contextmanager
def serving(answer):
    made = Other(answer)
    try:
        yield made
    finally:
        made.close()


def nobody():
    """An address at which nobody listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{probe.getsockname()[1]}/"
