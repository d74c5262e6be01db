"""A proxy that ends TLS and tells the client's certificate on, as docs/operations.md asks of one; and certificates for it."""

import base64
import datetime as dt
import http.client
import ipaddress
import ssl
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

HEADER = "Client-Cert"
_HOP_BY_HOP = {"connection", "keep-alive", "transfer-encoding", "te", "upgrade", "content-length", "host"}


class Authority:
    """Issues certificates for loopback and for clients, into files under a folder."""

    def __init__(self, folder):
        self.folder = folder
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "test authority")])
        self.file = folder / "authority.pem"
        made = self._made(
            self.name, self.key.public_key(), x509.BasicConstraints(ca=True, path_length=0), critical=True
        )
        self.file.write_bytes(made.public_bytes(Encoding.PEM))

    def issue(self, name):
        """Return the file of a certificate with its key behind it, and the certificate."""
        key = ec.generate_private_key(ec.SECP256R1())
        loopback = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        made = self._made(subject, key.public_key(), loopback, critical=False)
        file = self.folder / f"{name}.pem"
        secret = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        file.write_bytes(secret + made.public_bytes(Encoding.PEM))
        return file, made

    def _made(self, subject, public_key, extension, *, critical):
        begins = dt.datetime.now(dt.UTC) - dt.timedelta(days=1)
        ends = begins + dt.timedelta(days=30)
        serial = x509.random_serial_number()
        builder = x509.CertificateBuilder(self.name, subject, public_key, serial, begins, ends)
        builder = builder.add_extension(extension, critical=critical)
        own = x509.SubjectKeyIdentifier.from_public_key(public_key)
        issuer = x509.AuthorityKeyIdentifier.from_issuer_public_key(self.key.public_key())
        builder = builder.add_extension(own, critical=False).add_extension(issuer, critical=False)
        return builder.sign(self.key, SHA256())


@contextmanager
def tls_proxy(authority, listening, backend):
    """Serve TLS on a listening socket, asking for a certificate and taking none for an answer; pass all on to `backend`."""
    file, _ = authority.issue("proxy")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(file)
    context.load_verify_locations(authority.file)
    context.verify_mode = ssl.CERT_OPTIONAL

    class Passing(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _pass(self):
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            # What a caller sends under our names is dropped: only the proxy says who called.
            dropped = _HOP_BY_HOP | {HEADER.lower(), "x-forwarded-for"}
            headers = {name: value for name, value in self.headers.items() if name.lower() not in dropped}
            headers["X-Forwarded-For"] = self.client_address[0]
            der = self.connection.getpeercert(binary_form=True)
            if der:
                headers[HEADER] = f":{base64.b64encode(der).decode()}:"
            inner = http.client.HTTPConnection(*backend, timeout=30)
            inner.request(self.command, self.path, body, headers)
            answer = inner.getresponse()
            content = answer.read()
            inner.close()
            self.send_response(answer.status)
            for name, value in answer.getheaders():
                if name.lower() not in _HOP_BY_HOP:
                    self.send_header(name, value)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        do_GET = do_POST = _pass  # noqa: N815 - named by the base class

        def log_message(self, *_):
            """Say nothing."""

    server = ThreadingHTTPServer(listening.getsockname(), Passing, bind_and_activate=False)
    server.socket.close()
    server.socket = context.wrap_socket(listening, server_side=True)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
