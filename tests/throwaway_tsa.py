"""A real time-stamping authority for tests: `openssl ts` behind a small HTTP server on the loopback interface."""

import datetime as dt
import subprocess
import tempfile
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa

CONFIG = """
[ tsa ]
default_tsa = it
[ it ]
serial = {folder}/serial
crypto_device = builtin
signer_cert = {folder}/tsa.pem
signer_key = {folder}/tsa.key
signer_digest = sha256
default_policy = 1.3.6.1.4.1.99999.1
digests = sha256
accuracy = secs:1
ess_cert_id_alg = sha256
"""


class ThrowawayTsa:
    """Serves until closed. `roots` is the PEM file to trust; `wrong` makes it answer something else."""

    def __init__(self, folder):
        self.folder = Path(folder)
        self.folder.mkdir(parents=True)
        self.roots = self.folder / "root.pem"
        self._certificates()
        (self.folder / "serial").write_text("01\n")
        (self.folder / "config").write_text(CONFIG.format(folder=self.folder))
        self.wrong = None  # (status, body): what it answers instead
        self.replay = None  # a response that it gives again
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self):
                query = self.rfile.read(int(self.headers["Content-Length"]))
                status, body = outer.wrong or (200, outer.replay or outer.answer(query))
                self.send_response(status)
                self.send_header("Content-Type", "application/timestamp-reply")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_):
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}/"
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()

    def close(self):
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def answer(self, query):
        with tempfile.TemporaryDirectory() as folder:
            asked, told = Path(folder) / "q", Path(folder) / "r"
            asked.write_bytes(query)
            command = ["openssl", "ts", "-reply", "-queryfile", asked, "-out", told, "-config", self.folder / "config"]
            subprocess.run(command, check=True, capture_output=True)
            return told.read_bytes()

    def _certificates(self):
        root_key, key = (rsa.generate_private_key(65537, 2048) for _ in range(2))
        now = dt.datetime.now(dt.UTC)
        name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "Throw-away root")])

        def certificate(subject, public, ca):
            builder = x509.CertificateBuilder().subject_name(subject).issuer_name(name).public_key(public)
            builder = builder.serial_number(x509.random_serial_number()).not_valid_before(now - dt.timedelta(days=1))
            builder = builder.not_valid_after(now + dt.timedelta(days=2))
            builder = builder.add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
            builder = builder.add_extension(
                x509.SubjectKeyIdentifier.from_public_key(public), critical=False
            ).add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(root_key.public_key()), critical=False)
            if ca:
                usage = x509.KeyUsage(
                    digital_signature=False, content_commitment=False, key_encipherment=False, data_encipherment=False,
                    key_agreement=False, key_cert_sign=True, crl_sign=True, encipher_only=False, decipher_only=False,
                )  # fmt: skip
                builder = builder.add_extension(usage, critical=True)
            else:
                stamping = x509.ExtendedKeyUsage([x509.ExtendedKeyUsageOID.TIME_STAMPING])
                builder = builder.add_extension(stamping, critical=True)
            return builder.sign(root_key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)

        self.roots.write_bytes(certificate(name, root_key.public_key(), ca=True))
        own = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "Throw-away TSA")])
        (self.folder / "tsa.pem").write_bytes(certificate(own, key.public_key(), ca=False))
        (self.folder / "tsa.key").write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            )
        )
