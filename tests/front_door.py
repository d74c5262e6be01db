"""nginx with the file that ships (`deploy/nginx.conf`), as an unprivileged account on the loopback interface, gone afterwards.

Only what belongs to a machine is put in place of what the file says: addresses, paths, and how long it waits. What calls
through it thinks that it is outside: it asks for the names in the file, and trusts the authority that certified them.
"""

import contextlib
import ctypes
import datetime as dt
import os
import re
import shutil
import signal
import socket
import ssl
import subprocess
import tempfile
import time
from pathlib import Path

import httpx2
import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID
from throwaway_postgres import _account as unprivileged_account

CONF = Path(__file__).parents[1] / "deploy" / "nginx.conf"
API, CONSOLE, PORTAL = "api.vault.example", "console.vault.example", "privacy.vault.example"
NAMES = (API, CONSOLE, PORTAL)
NGINX = next(filter(None, (shutil.which("nginx"), shutil.which("nginx", path="/usr/sbin:/usr/local/sbin"))), None)
START_SECONDS = 60


def needed():
    """Skip where there is no nginx; under CI that is an error."""
    if NGINX is None:
        if os.environ.get("CI"):
            pytest.fail("CI must have nginx", pytrace=False)
        pytest.skip("*** FRONT DOOR NOT TESTED *** no nginx")


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Authority:
    """Certifies servers and clients, in PEM files of a folder."""

    def __init__(self, folder, name):
        self.folder, self.name = folder, x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.file = folder / f"{name}.pem"
        self._write(self.file, self._sign(self.name, self.key, (x509.BasicConstraints(ca=True, path_length=0), True)))

    def certify(self, name, *hosts, kind="ec"):
        """A certificate and its key; for these hosts, or a client's. Returns their paths."""
        key = ec.generate_private_key(ec.SECP256R1()) if kind == "ec" else rsa.generate_private_key(65537, 2048)
        extensions = [(x509.SubjectAlternativeName([x509.DNSName(each) for each in hosts]), False)] if hosts else []
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        made = self._sign(subject, key, (x509.BasicConstraints(ca=False, path_length=None), True), *extensions)
        certificate, private = self.folder / f"{name}-{kind}.crt", self.folder / f"{name}-{kind}.key"
        self._write(certificate, made)
        private.touch(mode=0o600)
        private.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
        return certificate, private

    def _sign(self, subject, key, *extensions):
        now = dt.datetime.now(dt.UTC)
        built = x509.CertificateBuilder(self.name, subject, key.public_key(), x509.random_serial_number())
        built = built.not_valid_before(now - dt.timedelta(hours=1)).not_valid_after(now + dt.timedelta(days=90))
        extensions += (
            (x509.SubjectKeyIdentifier.from_public_key(key.public_key()), False),
            (x509.AuthorityKeyIdentifier.from_issuer_public_key(self.key.public_key()), False),
        )
        for extension, critical in extensions:
            built = built.add_extension(extension, critical=critical)
        return built.sign(self.key, SHA256())

    @staticmethod
    def _write(path, certificate):
        path.write_bytes(certificate.public_bytes(Encoding.PEM))


class FrontDoor:
    """Context manager: nginx in front of what listens at `vault` on the loopback interface.

    `changes` are replacements in the shipped text beside those that every machine needs; each must be found.
    """

    def __init__(self, vault, *, kind="ec", changes=()):
        self.vault, self.kind, self.changes = vault, kind, dict(changes)
        self.process = None

    def __enter__(self):
        self.home = Path(tempfile.mkdtemp(prefix="ecrin-door-"))
        try:
            self._lay_out()
            self._start()
        except BaseException:
            self.__exit__()
            raise
        return self

    def _lay_out(self):
        """Certificates, the shipped file with this machine's places in it, and all of it the account's."""
        self.port, self.plain = free_port(), free_port()
        self.public, self.clients = Authority(self.home, "public"), Authority(self.home, "clients")
        certificate, key = self.public.certify("door", *NAMES, kind=self.kind)
        places = {
            "/etc/ecrin/tls/fullchain.pem": certificate,
            "/etc/ecrin/tls/privkey.pem": key,
            "/etc/ecrin/tls/clients.pem": self.clients.file,
            "/run/nginx.pid": self.home / "pid",
            "/var/log/nginx/error.log": self.home / "error.log",
            "/var/log/nginx/ecrin.log": self.home / "access.log",
            "server 127.0.0.1:8420;": f"server 127.0.0.1:{self.vault};",
            "listen 443 ssl": f"listen 127.0.0.1:{self.port} ssl",
            "listen 80": f"listen 127.0.0.1:{self.plain}",
        }
        text = re.sub(r"^ *listen \[::\]:.*\n", "", CONF.read_text(encoding="utf-8"), flags=re.MULTILINE)
        for said, here in (places | self.changes).items():
            assert said in text, said
            text = text.replace(said, str(here))
        # Debian's nginx puts these where only root may write.
        temporary = [f"{each}_temp_path {self.home}/{each};" for each in ("proxy", "fastcgi", "uwsgi", "scgi")]
        text = text.replace("http {\n", f"http {{\nclient_body_temp_path {self.home}/body; {' '.join(temporary)}\n")
        (self.home / "nginx.conf").write_text(text)
        account, self._identity = unprivileged_account(), {}
        if account:
            self._identity = {"user": account.pw_uid, "group": account.pw_gid, "extra_groups": []}
            for path in (self.home, *self.home.rglob("*")):
                os.chown(path, account.pw_uid, account.pw_gid)

    def __exit__(self, *_):
        if self.process and self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(30)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        with contextlib.suppress(FileNotFoundError):
            self._kept(0o700)
        shutil.rmtree(self.home, ignore_errors=True)

    def _start(self):
        self.lines = self.home / "lines"
        with self.lines.open("wb") as out:
            command = [NGINX, "-p", self.home, "-c", self.home / "nginx.conf", "-e", self.home / "error.log"]
            self.process = subprocess.Popen(
                [*command, "-g", "daemon off;"],
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=out,
                cwd=self.home,
                preexec_fn=_die_with_parent,  # noqa: PLW1509 - one system call between fork and exec, no lock taken
                **self._identity,
            )
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline and self.process.poll() is None:
            with contextlib.suppress(OSError):
                socket.create_connection(("127.0.0.1", self.port), 1).close()
                self._kept(0)  # from here on whatever would be put on a disk on its way is an error
                return
            time.sleep(0.02)
        raise AssertionError(self.lines.read_text() + self.log("error.log"))

    def _kept(self, mode):
        for folder in (self.home / "body", self.home / "proxy"):
            folder.chmod(mode)

    def log(self, name):
        path = self.home / name
        return path.read_text(errors="replace") if path.exists() else ""

    # --- what calls through it

    def context(self, certificate=None):
        """What a careful client uses; with a certificate of its own, if it has one."""
        context = ssl.create_default_context(cafile=self.public.file)
        if certificate:
            context.load_cert_chain(*certificate)
        return context

    def client(self, name, *, certificate=None, address="127.0.0.1", **options):
        """An HTTP client outside that asks for a name."""
        transport = _Through(self.port, verify=self.context(certificate), local_address=address)
        return httpx2.Client(
            base_url=f"https://{name}", transport=transport, timeout=120, follow_redirects=False, **options
        )

    @contextlib.contextmanager
    def connected(self, name, context=None):
        """A TLS connection to a name, for what no client library would send."""
        with (
            socket.create_connection(("127.0.0.1", self.port), 60) as plain,
            (context or self.context()).wrap_socket(plain, server_hostname=name) as secure,
        ):
            yield secure


class _Through(httpx2.HTTPTransport):
    """Finds every host at one port of this machine; names in the handshake, in `Host` and in the certificate stay."""

    def __init__(self, port, **options):
        super().__init__(**options)
        self._port = port

    def handle_request(self, request):
        here = request.url.copy_with(host="127.0.0.1", port=self._port)
        named = {"sni_hostname": request.url.host} | request.extensions
        # Another request: the client's own goes on knowing the name, to which cookies belong.
        return super().handle_request(
            httpx2.Request(request.method, here, headers=request.headers, stream=request.stream, extensions=named)
        )


def _die_with_parent():
    pr_set_pdeathsig = 1
    ctypes.CDLL(None).prctl(pr_set_pdeathsig, signal.SIGTERM)
