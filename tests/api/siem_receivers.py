"""Receivers of events that are really there: HTTP that obeys orders, HTTP that never answers, syslog over TLS."""

import contextlib
import datetime as dt
import http.server
import ipaddress
import socket
import ssl
import threading

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID


class Receiver(http.server.ThreadingHTTPServer):
    """Keeps what it is sent; answers with `status`, and drops the connection unanswered while `mute`."""

    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), _Handler)
        self.bodies, self.headers_seen = [], []
        self.status = 200
        self.hang = threading.Event()  # set: nobody is answered until it is cleared
        self.reached = threading.Event()
        self.let_go = threading.Event()

    @property
    def url(self):
        return f"http://127.0.0.1:{self.server_address[1]}/events"


class _Handler(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.reached.set()
        if self.server.hang.is_set():
            self.server.let_go.wait(60)
        self.server.bodies.append(body)
        self.server.headers_seen.append(dict(self.headers))
        self.send_response(self.server.status)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_):
        pass


@contextlib.contextmanager
def receiving():
    server = Receiver()
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.let_go.set()
        server.shutdown()
        server.server_close()
        thread.join()


def certificate(folder):
    """A certificate of its own for the loopback address, and its key, in one file."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "loopback")])
    now = dt.datetime.now(dt.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(7)
        .not_valid_before(now - dt.timedelta(hours=1))
        .not_valid_after(now + dt.timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(x509.KeyUsage(True, False, False, False, False, True, True, False, False), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(key, hashes.SHA256())
    )
    public, private = folder / "receiver.pem", folder / "receiver.key"
    public.write_bytes(made.public_bytes(Encoding.PEM))
    private.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    return public, private


@contextlib.contextmanager
def syslog(folder):
    """A TLS listener that keeps all it is sent: address, certificate, what arrived, and when the peer has closed."""
    public, private = certificate(folder)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(public, private)
    arrived, closed = bytearray(), threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve():
            while True:
                try:
                    plain, _ = listener.accept()
                except OSError:
                    return
                with contextlib.suppress(OSError, ssl.SSLError), context.wrap_socket(plain, server_side=True) as peer:
                    while piece := peer.recv(65536):
                        arrived.extend(piece)
                closed.set()

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield listener.getsockname(), public, arrived, closed
        listener.shutdown(socket.SHUT_RDWR)
    thread.join()


def frames(stream):
    """Take octet-counted frames apart (RFC 5425 §4.3)."""
    found, at = [], 0
    while at < len(stream):
        space = stream.index(b" ", at)
        length = int(stream[at:space])
        found.append(bytes(stream[space + 1 : space + 1 + length]))
        at = space + 1 + length
    return found
