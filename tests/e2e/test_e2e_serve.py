"""A real `ecrin serve` on each engine, set up by the operator's own commands and called by ordinary clients."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

import httpx2
import pytest
from maison_callers import CONSENT, PERSON, Caller, lines_of, ndjson

from api import founders
from api.client.blocking import Ecrin
from api.client.errors import EcrinProblem
from api.client.identity import Identity, SigningKey
from api.client.receipts import verify_receipt
from api.settings import load

pytestmark = pytest.mark.server

ROOT = Path(__file__).parents[2]
ECRIN = [sys.executable, "-m", "api.cli.main"]
CANARY = "Canary-e2e-77"
FIELDS = PERSON | {"known_as": CANARY}


class WallClock:
    @staticmethod
    def now():
        return int(time.time())


@dataclass
class Deployment:
    """A served deployment: where it is, how its commands are run, its process and where its log lines go."""

    url: str
    environment: dict
    folder: Path
    process: subprocess.Popen
    lines: Path

    def command(self, *arguments):
        return subprocess.run(
            [*ECRIN, *map(str, arguments)],
            check=False,
            capture_output=True,
            text=True,
            env=self.environment,
            timeout=60,
        )

    def system(self, system_id, brand, *scopes, purposes=("clienteling.in_store", "service.repair")):
        """Register a system with `ecrin system add`, as an operator would."""
        identity = Identity(system_id, SigningKey.generate(), "k1")
        keys = self.folder / f"{system_id}.jwks"
        keys.write_text(json.dumps(identity.registration()))
        rights = [part for scope in scopes for part in ("--scope", scope)]
        rights += [part for purpose in purposes for part in ("--purpose", purpose)]
        made = self.command("system", "add", system_id, "--brand", brand, "--jwks", keys, *rights)
        assert made.returncode == 0, made.stderr
        return identity

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(30)


@pytest.fixture
def deployment(place, root_folder, databases, tmp_path):
    """`ecrin serve`: one process on SQLite, two on PostgreSQL."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    kept = {name: value for name, value in os.environ.items() if not name.startswith("ECRIN_")}
    url = f"http://127.0.0.1:{port}"
    environment = kept | {
        "PYTHONPATH": str(ROOT),
        "ECRIN_DATA_DIR": str(tmp_path),
        "ECRIN_DEPLOYMENT": "ecrin-test",
        "ECRIN_DATABASE_URL": place.database,
        "ECRIN_KEYSTORE_PATH": str(place.keystore),
        "ECRIN_ROOT_FOLDER": str(root_folder),
        "ECRIN_PORT": str(port),
        "ECRIN_PUBLIC_URL": url,
        "ECRIN_WORKERS": "2" if databases.backend == "postgresql" else "1",
        "ECRIN_IMPORT_BATCH_SIZE": "5",
    }
    chosen = {"data_dir": tmp_path, "deployment": "ecrin-test", "database_url": place.database}
    founders.found(load(chosen | {"keystore_path": place.keystore, "root_folder": root_folder}))
    lines = tmp_path / "lines"
    with lines.open("wb") as out:
        process = subprocess.Popen([*ECRIN, "serve"], env=environment, stdout=out, stderr=out, cwd=tmp_path)
    served = Deployment(url, environment, tmp_path, process, lines)
    try:
        until_ready(served)
        yield served
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def until_ready(served):
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline and served.process.poll() is None:
        try:
            with urlopen(f"{served.url}/readyz", timeout=1):  # noqa: S310 - our own
                return
        except (URLError, OSError):
            time.sleep(0.05)
    pytest.fail(f"not ready: {served.lines.read_text()}")


def test_the_main_job_over_a_socket(deployment):
    identity = deployment.system("aurelle-pos", "aurelle", "lookup", "subject.write", "consent.write")
    other = deployment.system("vantier-pos", "vantier", "lookup")
    with Ecrin(deployment.url, identity) as aurelle, Ecrin(deployment.url, other) as vantier:
        made = aurelle.create_subject({"region": "fr", "fields": FIELDS, "consents": [CONSENT]}, key="once")
        assert aurelle.create_subject(
            {"region": "fr", "fields": FIELDS, "consents": [CONSENT]}, key="once"
        ).reference == (made.reference)
        (found,) = aurelle.search("email", "apolline.rousselin@example.com").candidates
        assert found.reference == made.reference
        changed = aurelle.update_subject(made.reference, made.etag, {"set": {"preferred_language": "en"}})
        with pytest.raises(EcrinProblem) as late:
            aurelle.update_subject(made.reference, made.etag, {"set": {"preferred_language": "it"}})
        assert (late.value.status, late.value.code, changed.version) == (412, "version_conflict", 2)
        with pytest.raises(EcrinProblem) as wrong:
            aurelle.update_subject(made.reference, changed.etag, {"append": {"email": ["nobody"]}})
        assert wrong.value.fields.keys() == {"email"}
        token = aurelle.authorise(made.reference, "clienteling.in_store", [("phone", "masked")], max_uses=5)
        seen = aurelle.disclose(token)
        assert verify_receipt(seen.receipt, aurelle.verifier_keys().receipt).entry_id == seen.entry
        with pytest.raises(EcrinProblem) as unknown:
            vantier.get_subject(made.reference)
        assert unknown.value.code == "unknown_reference"
        assert aurelle.withdraw_consent(made.reference, {"purpose": "clienteling", "channel": "in_store"}).state == (
            "withdrawn"
        )
        with pytest.raises(EcrinProblem) as dead:
            aurelle.disclose(token)
        assert (dead.value.status, dead.value.code) == (401, "invalid_token")
    assert deployment.stop() in {0, -signal.SIGTERM}
    told = deployment.command("audit", "verify", "--json")
    assert told.returncode == 0, told.stdout + told.stderr
    lines = deployment.lines.read_text()
    for hidden in (CANARY, "Rousselin", "639981", made.reference, "aurelle-pos@"):
        assert hidden not in lines + told.stdout
    requests = [json.loads(line) for line in lines.splitlines() if '"http.request"' in line]
    assert {line["route"] for line in requests} >= {"/v1/subjects/{reference}", "/v1/disclosures"}


def test_the_last_use_goes_to_one_of_many_connections(deployment):
    identity = deployment.system("aurelle-pos", "aurelle", "lookup", "subject.write", "consent.write")
    key = SigningKey.generate()

    def connection():
        http = httpx2.Client(base_url=deployment.url)
        return Caller(http, WallClock(), "aurelle-pos", public=deployment.url, identity=identity, key=key)

    callers = [connection() for _ in range(6)]
    reference = callers[0].created(FIELDS, CONSENT)
    for _ in range(5):
        token = callers[0].granted(reference, ("phone", "masked"))
        with ThreadPoolExecutor(len(callers)) as pool:
            answers = list(pool.map(lambda caller: caller.disclose(token), callers))  # noqa: B023 - done within
        assert sorted(answer.status_code for answer in answers) == [200] + [403] * 5
        proof = callers[0].proof("GET", f"/v1/subjects/{reference}", callers[0].service("lookup"))
        for caller in callers[1:]:
            caller.kept["lookup"] = callers[0].kept["lookup"]
        with ThreadPoolExecutor(len(callers)) as pool:
            answers = list(pool.map(lambda caller: caller.describe(reference, proofs=[proof]), callers))  # noqa: B023
        assert sorted(answer.status_code for answer in answers) == [200] + [401] * 5
    for caller in callers:
        caller.http.close()


def test_a_line_cut_in_the_middle_of_an_import_is_resumed(deployment):
    identity = deployment.system("aurelle-crm", "aurelle", "import", "lookup")
    http = httpx2.Client(base_url=deployment.url)
    crm = Caller(http, WallClock(), "aurelle-crm", public=deployment.url, identity=identity)
    rows = [{"ref": str(number), "fields": {"client_number": f"AU-{number:03}"}} for number in range(40)]
    body = ndjson(*rows)
    token = crm.service("import")
    head = (
        f"POST /v1/imports HTTP/1.1\r\nHost: x\r\nAuthorization: DPoP {token}\r\n"
        f"DPoP: {crm.proof('POST', '/v1/imports', token)}\r\nContent-Type: application/x-ndjson\r\n"
        f"Idempotency-Key: load\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    host, port = deployment.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port))) as line:
        line.sendall(head.encode() + body[: len(body) // 2])
        deadline = time.monotonic() + 120
        while not crm.search("client_number", "AU-010").json()["candidates"]:  # until some of it is in
            assert time.monotonic() < deadline
            time.sleep(0.05)
    statuses = [each["status"] for each in lines_of(crm.bring(body, "load"))]
    assert 10 <= statuses.count("existing") < 40
    assert statuses == ["existing"] * statuses.count("existing") + ["created"] * statuses.count("created")
    assert [each["status"] for each in lines_of(crm.bring(body, "load"))] == ["existing"] * 40
    http.close()
    assert deployment.stop() in {0, -signal.SIGTERM}
    assert '"http.fault"' not in deployment.lines.read_text()


def test_http_that_is_none_is_refused_and_the_service_goes_on(deployment):
    host, port = deployment.url.removeprefix("http://").split(":")
    for sent in (
        b"nonsense\r\n\r\n",
        b"GET /healthz HTTP/9.9\r\n\r\n",
        b"POST /v1/subjects HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\nContent-Length: 11\r\n\r\n{}",
        b"POST /v1/subjects HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n",
        b"POST /v1/subjects HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n0\r\n\r\n",
        b"GET /" + b"a" * 100_000 + b" HTTP/1.1\r\nHost: x\r\n\r\n",
    ):
        with socket.create_connection((host, int(port)), timeout=10) as line:
            try:
                line.sendall(sent)
                line.shutdown(socket.SHUT_WR)
                answer = line.recv(4096)
            except OSError:
                answer = b""
            assert not answer or answer.split()[1][:1] == b"4", sent[:60]
            assert CANARY.encode() not in answer
    with urlopen(f"{deployment.url}/healthz", timeout=5) as answer:  # noqa: S310 - our own
        assert json.load(answer) == {"status": "ok"}
        assert "server" not in {name.lower() for name in answer.headers}
    assert "Traceback" not in deployment.lines.read_text()
