"""AWS KMS and a transit engine as they are documented, on loopback: what the real clients are held against.

Both refuse what the real services refuse. `StrictKms` does not use a key that is disabled or about to be deleted, where
moto would; what it says of deletion can therefore prove something.
"""

import base64
import json
import os
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Lock, Thread

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

DAY = 86_400
ACCOUNT = "arn:aws:kms:eu-west-3:111122223333"


class Refusal(Exception):
    """An error answer."""

    def __init__(self, code, status=400):
        super().__init__(code)
        self.code, self.status = code, status


@contextmanager
def served(service):
    """Serve it; yield its URL."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        wbufsize = -1  # one packet per answer

        def answer(self):
            content = self.rfile.read(int(self.headers.get("content-length") or 0))
            with service.lock:
                status, headers, body = service.respond(self.command, self.path, self.headers, content)
            self.send_response(status)
            for name, value in (headers | {"content-length": str(len(body))}).items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

        do_GET = do_POST = do_PUT = do_DELETE = do_LIST = answer  # noqa: N815 - named by the base class

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join(10)


class StrictKms:
    """The ten actions of the JSON protocol that matter here."""

    def __init__(self, clock):
        self.clock = clock
        self.lock = Lock()
        self.keys = {}  # ARN -> metadata, with its secret under "_key"
        self.aliases = {}
        self.requests = []

    def respond(self, _method, _path, headers, content):
        action = headers["x-amz-target"].partition(".")[2]
        asked = json.loads(content)
        self.requests.append((action, asked))
        try:
            status, answer = 200, getattr(self, action)(**asked)
        except Refusal as refusal:
            status, answer = refusal.status, {"__type": refusal.code, "message": f"refused: {asked}"}
        return status, {"content-type": "application/x-amz-json-1.1"}, json.dumps(answer or {}).encode()

    def make(self, description="", **metadata):
        """Draw a key as an administrator might; return its ARN."""
        arn = f"{ACCOUNT}:key/{len(self.keys):08d}-0000-4000-8000-000000000000"
        self.keys[arn] = {
            "Arn": arn,
            "KeyId": arn.rpartition("/")[2],
            "Description": description,
            "KeyState": "Enabled",
            "KeyManager": "CUSTOMER",
            "KeyUsage": "ENCRYPT_DECRYPT",
            "KeySpec": "SYMMETRIC_DEFAULT",
            "Origin": "AWS_KMS",
            "MultiRegion": False,
            "_key": os.urandom(32),
        } | metadata
        return arn

    def CreateKey(self, Description="", Tags=(), **asked):  # noqa: N802, N803
        assert asked == {
            "KeyUsage": "ENCRYPT_DECRYPT",
            "KeySpec": "SYMMETRIC_DEFAULT",
            "Origin": "AWS_KMS",
            "MultiRegion": False,
        }
        return {"KeyMetadata": self._public(self.make(Description))}

    def CreateAlias(self, AliasName, TargetKeyId):  # noqa: N802, N803
        if AliasName in self.aliases:
            raise Refusal("AlreadyExistsException")
        self.aliases[AliasName] = self._arn(TargetKeyId)

    def DescribeKey(self, KeyId):  # noqa: N802, N803
        return {"KeyMetadata": self._public(self._arn(KeyId))}

    def Encrypt(self, KeyId, Plaintext, EncryptionContext):  # noqa: N802, N803
        arn, key = self._usable(KeyId)
        nonce = os.urandom(12)
        sealed = AESGCM(key).encrypt(nonce, base64.b64decode(Plaintext), self._aad(arn, EncryptionContext))
        return {"KeyId": arn, "CiphertextBlob": _text(arn.encode() + b"\0" + nonce + sealed)}

    def Decrypt(self, CiphertextBlob, EncryptionContext, KeyId=None):  # noqa: N802, N803
        arn, _, blob = base64.b64decode(CiphertextBlob).partition(b"\0")
        arn = arn.decode("utf-8", "replace")
        if arn not in self.keys:
            raise Refusal("InvalidCiphertextException")
        if KeyId is not None and self._arn(KeyId) != arn:
            raise Refusal("IncorrectKeyException")
        arn, key = self._usable(arn)
        try:
            opened = AESGCM(key).decrypt(blob[:12], blob[12:], self._aad(arn, EncryptionContext))
        except (InvalidTag, ValueError):
            raise Refusal("InvalidCiphertextException") from None
        return {"KeyId": arn, "Plaintext": _text(opened)}

    def ScheduleKeyDeletion(self, KeyId, PendingWindowInDays):  # noqa: N802, N803
        arn = self._arn(KeyId)
        if not 7 <= PendingWindowInDays <= 30:
            raise Refusal("ValidationException")
        if self.keys[arn]["KeyState"] == "PendingDeletion":
            raise Refusal("KMSInvalidStateException")
        until = self.clock.now() + PendingWindowInDays * DAY
        self.keys[arn] |= {"KeyState": "PendingDeletion", "DeletionDate": until}
        return {"KeyId": arn, "KeyState": "PendingDeletion", "DeletionDate": until}

    def _usable(self, key_id):
        arn = self._arn(key_id)
        if self.keys[arn]["KeyState"] == "Disabled":
            raise Refusal("DisabledException")
        if self.keys[arn]["KeyState"] != "Enabled":
            raise Refusal("KMSInvalidStateException")
        return arn, self.keys[arn]["_key"]

    def _arn(self, key_id):
        for arn in [arn for arn, key in self.keys.items() if key.get("DeletionDate", 1 << 40) <= self.clock.now()]:
            del self.keys[arn]
            self.aliases = {name: to for name, to in self.aliases.items() if to != arn}
        arn = self.aliases.get(key_id, key_id)
        arn = next((each for each, key in self.keys.items() if key["KeyId"] == arn), arn)
        if arn not in self.keys:
            raise Refusal("NotFoundException")
        return arn

    def _public(self, arn):
        return {name: value for name, value in self.keys[arn].items() if not name.startswith("_")}

    def _aad(self, arn, context):
        return json.dumps([arn, sorted(context.items())]).encode()


class StrictTransit:
    """A transit mount: named keys, AES-GCM with associated data, deletion only once it is allowed."""

    def __init__(self, token, mount="transit"):
        self.token, self.mount = token, mount
        self.lock = Lock()
        self.keys = {}
        self.elsewhere = None  # an address to redirect to
        self.seen = []

    def respond(self, method, path, headers, content):
        self.seen.append((method, path, dict(headers), content))
        if self.elsewhere:
            return 307, {"location": self.elsewhere + path}, b""
        try:
            if headers.get("x-vault-token") != self.token:
                raise Refusal("permission denied", 403)  # noqa: TRY301 - one place turns refusals into answers
            answer = self._answer(method, path, json.loads(content or b"{}"))
        except Refusal as refusal:
            return refusal.status, {"content-type": "application/json"}, json.dumps({"errors": [str(refusal)]}).encode()
        if answer is None:
            return 204, {}, b""
        return 200, {"content-type": "application/json"}, json.dumps({"data": answer}).encode()

    def _answer(self, method, path, asked):
        prefix = f"/v1/{self.mount}/"
        if not path.startswith(prefix):
            raise Refusal("no handler for route", 404)
        match path.removeprefix(prefix).split("/"), method:
            case ["keys", name], "GET":
                found = self._key(name, 404)
                return {key: value for key, value in found.items() if not key.startswith("_")}
            case ["keys", name], "POST" | "PUT":
                self.keys.setdefault(name, self.drawn(**asked))
            case ["keys", name, "config"], "POST" | "PUT":
                self._key(name).update(asked)
            case ["keys", name], "DELETE":
                if not self._key(name)["deletion_allowed"]:
                    raise Refusal("deletion is not allowed for this key")
                del self.keys[name]
            case ["encrypt", name], "POST" | "PUT":
                # A real engine makes a missing key here, where the token's policy lets it.
                key, nonce = self._key(name)["_key"], os.urandom(12)
                sealed = AESGCM(key).encrypt(nonce, *_decoded(asked, "plaintext", "associated_data"))
                return {"ciphertext": "vault:v1:" + _text(nonce + sealed), "key_version": 1}
            case ["decrypt", name], "POST" | "PUT":
                key = self._key(name)["_key"]
                if not asked["ciphertext"].startswith("vault:v1:"):
                    raise Refusal("invalid ciphertext: no prefix")
                asked["ciphertext"] = asked["ciphertext"].removeprefix("vault:v1:")
                try:
                    blob, aad = _decoded(asked, "ciphertext", "associated_data")
                    opened = AESGCM(key).decrypt(blob[:12], blob[12:], aad)
                except (InvalidTag, ValueError):
                    raise Refusal("cipher: message authentication failed") from None
                return {"plaintext": _text(opened)}
            case _:
                raise Refusal("unsupported path", 404)
        return None

    @staticmethod
    def drawn(**asked):
        return {
            "type": asked["type"],
            "exportable": asked["exportable"],
            "allow_plaintext_backup": asked["allow_plaintext_backup"],
            "derived": asked["derived"],
            "deletion_allowed": False,
            "imported_key": False,
            "latest_version": 1,
            "_key": os.urandom(32),
        }

    def _key(self, name, status=400):
        if name not in self.keys:
            raise Refusal("encryption key not found", status)
        return self.keys[name]


def _decoded(asked, *names):
    return [base64.b64decode(asked[name], validate=True) for name in names]


def _text(content):
    return base64.b64encode(content).decode()
