"""A brand's system that takes events on the loopback interface, and answers as the test says."""

import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Receiver:
    """`taken` holds (content type, token) of each request; `answers` the statuses to come, then 202. None: never."""

    def __init__(self):
        self.taken, self.answers, self.arrived = [], [], threading.Event()
        self.released = threading.Event()
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self):
                content = self.rfile.read(int(self.headers["Content-Length"]))
                outer.taken.append((self.headers["Content-Type"], content.decode()))
                outer.arrived.set()
                status = outer.answers.pop(0) if outer.answers else 202
                if status is None:
                    outer.released.wait(60)
                    return
                self.send_response(status)
                if status in {301, 302, 307, 308}:
                    self.send_header("Location", f"{outer.url}/elsewhere")
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"

    @property
    def tokens(self):
        return [token for _, token in self.taken]


@contextmanager
def receiving():
    receiver = Receiver()
    thread = threading.Thread(target=receiver.server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield receiver
    finally:
        receiver.released.set()
        receiver.server.shutdown()
        thread.join()
        receiver.server.server_close()
