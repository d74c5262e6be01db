"""Key holder and services as real processes: shares open them, a seal closes them, and an epoch passes under their load."""

import json
import sqlite3
import threading
import time
from contextlib import ExitStack, closing
from itertools import count

import httpx2
import pytest
from keyd_processes import Host
from maison_callers import CONSENT, Caller, lines_of, ndjson, problem_of, register

from api import bootstrap
from api.middleware.body_limit import LEAST_RATE
from api.settings import load
from audit import checkpoint
from audit.merkle import root_hash
from audit.note import open_note
from vault.keys.keystore import Geometry
from vault.keys.providers.shamir import Quorum, ShamirProvider, deal
from vault.runtime import SystemEntropy

pytestmark = [pytest.mark.server, pytest.mark.xdist_group("keyd")]


class WallClock:
    @staticmethod
    def now():
        return int(time.time())


def registered(host, http, open_from):
    """A system of the maison, registered before anybody serves."""
    caller = Caller(http, WallClock(), public=host.url)
    vault = open_from(load(host._settings))
    try:
        register(vault, caller)
    finally:
        vault.close()
    host.own()
    return caller


@pytest.fixture
def shared():
    """A host whose root takes two of three SLIP-39 shares, and the shares."""
    shares = []

    def dealt(settings):
        shares.extend(share.encode() for share in deal(settings.root_folder, Quorum(2, 3), SystemEntropy()))
        return ShamirProvider(settings.root_folder, shares[:2], SystemEntropy())

    with Host(provider=dealt, root_provider="shamir") as host:
        yield host, shares


def test_shares_open_a_real_holder_and_a_sealed_service_still_serves_its_proofs(shared):
    host, shares = shared
    holder = host.keyd()
    service = host.serve(ready=False)
    assert host.get("/healthz")[0] == 200
    refused = host.get("/readyz")
    assert (refused[0], json.loads(refused[1])["code"]) == (503, "sealed")

    # Real mnemonics, each by its own command, in any order; a wrong one forgets what was given.
    assert host.command("unseal", stdin=shares[2]) == (0, "1 of 2 shares given. Still sealed.\n")
    wrong = b" ".join([*shares[0].split()[:-1], b"academic"])
    assert host.command("unseal", stdin=wrong)[0] == 1
    assert host.command("unseal", stdin=shares[2])[1].startswith("1 of 2")
    assert host.command("unseal", stdin=shares[0]) == (0, "Unsealed.\n")
    host.until(lambda: host.get("/readyz")[0] == 200, service)
    host.until(lambda: host.get("/audit/checkpoint")[0] == 200, service)
    log_key = json.loads(host.get("/audit/keys")[1])["log"]

    assert host.command("seal")[0] == 0
    host.until(lambda: host.get("/readyz")[0] == 503, service)
    # What needs no key is served by the sealed service, and is the log that was signed.
    status, note = host.get("/audit/checkpoint")
    assert status == 200
    signed = checkpoint.parse(open_note(note.decode(), [log_key]).text)
    status, tile = host.get(f"/audit/tile/0/000.p/{signed.size}")
    assert status == 200
    assert root_hash([tile[at : at + 32] for at in range(0, len(tile), 32)]) == signed.root
    assert host.get("/healthz")[0] == 200
    for path in ("/v1/catalogue", "/.well-known/oauth-authorization-server"):
        assert host.get(path)[0] == 200, path
    with httpx2.Client(base_url=host.url) as http:
        problem_of(
            http.post("/v1/disclosures", headers={"Authorization": "DPoP x", "DPoP": "x"}, json={}), 503, "sealed"
        )
    # An inclusion proof of the last entry that was signed for.
    with httpx2.Client(base_url=host.url) as http:
        proof = http.get(f"/audit/proof/{last_signed(host, signed.size)}")
    assert (proof.status_code, signed.origin in proof.text) == (200, True)

    assert host.command("unseal", stdin=shares[1])[0] == 0
    assert host.command("unseal", stdin=shares[0])[1] == "Unsealed.\n"
    host.until(lambda: host.get("/readyz")[0] == 200, service)
    assert holder.poll() is None
    kept = b"".join(path.read_bytes() for path in host.folder.rglob("*") if path.is_file())
    assert not [share for share in shares if share in kept]


def last_signed(host, size):
    with closing(sqlite3.connect(host.folder / "data" / "ecrin.db")) as db:
        return db.execute("SELECT entry_id FROM log_entry WHERE shard = 0 AND idx = ?", (size - 1,)).fetchone()[0].hex()


class Loads:
    """Callers in threads, each at one of the services; every answer is held to be a success."""

    def __init__(self):
        self.stop, self.wrong, self.turns, self._threads = threading.Event(), [], {}, []

    def work(self, name, turn):
        def run():
            try:
                for number in count():
                    if self.stop.is_set():
                        return
                    turn(number)
                    self.turns[name] = number + 1
            except BaseException as error:  # noqa: BLE001 - whatever it is, the test must see it
                self.wrong.append((name, repr(error)))

        self._threads.append(threading.Thread(target=run, name=name))

    def __enter__(self):
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self.stop.set()
        for thread in self._threads:
            thread.join(60)


@pytest.fixture(params=["file", pytest.param("postgresql", marks=pytest.mark.postgresql)])
def host(request):
    """A host whose keystore is a file, or a database of its own cluster."""
    settings = {}
    if request.param == "postgresql":
        request.getfixturevalue("second_postgres").home.chmod(0o711)
        settings["keystore_url"] = request.getfixturevalue("empty_base")().render_as_string(hide_password=False)
    with Host(geometry=Geometry(64, 3), **settings) as made:
        yield made


def test_two_services_on_one_holder_serve_reads_writes_searches_and_an_import_through_epochs(host):
    with ExitStack() as stack:
        client = lambda url: stack.enter_context(httpx2.Client(base_url=url, timeout=60))  # noqa: E731
        first = registered(host, client(host.url), bootstrap.open_from)
        host.keyd()
        host.serve()
        beside = host.serve_beside()
        people = [
            first.created({"client_number": f"N-{each}", "phone": [f"+3363998{each:04}"]}, CONSENT) for each in range(6)
        ]
        goes = [first.created({"client_number": f"G-{each}", "phone": [f"+3363997{each:04}"]}) for each in range(3)]
        tokens = [first.granted(each, ("phone", "masked"), max_uses=1000) for each in people]
        for scope in ("lookup", "subject.write", "import"):
            first.service(scope)

        def at(url):
            twin = first.twin(client(url))
            twin.kept.update(first.kept)
            return twin

        load_on, ended = Loads(), threading.Event()

        def reading(caller):
            def turn(number):
                answer = caller.disclose(tokens[number % len(people)])
                assert answer.status_code == 200, answer.text
                assert answer.json()["fields"][0]["value"], answer.text

            return turn

        def searching(caller):
            def turn(number):
                answer = caller.search("client_number", f"N-{number % len(people)}")
                assert answer.status_code == 200, answer.text
                assert len(answer.json()["candidates"]) == 1, answer.text

            return turn

        def writing(caller):
            def turn(number):
                who = people[number % len(people)]
                etag = caller.describe(who).headers["etag"]
                answer = caller.patch(who, {"set": {"preferred_language": ("fr", "it")[number % 2]}}, etag)
                assert answer.status_code == 200, answer.text

            return turn

        def rows():
            """One import, as long as the epochs take; with spaces after each row, or it would be too slow to be waited for."""
            for number in range(5000):
                row = ndjson({"ref": f"row-{number}", "fields": {"client_number": f"I-{number}"}})
                yield row.removesuffix(b"\n") + b" " * LEAST_RATE + b"\n"
                if ended.wait(0.05):
                    return

        imported = []
        importer = at(beside)
        load_on.work("read one", reading(at(host.url)))
        load_on.work("read two", reading(at(beside)))
        load_on.work("search one", searching(at(host.url)))
        load_on.work("search two", searching(at(beside)))
        load_on.work("write one", writing(at(host.url)))
        streaming = threading.Thread(target=lambda: imported.append(importer.bring(rows(), "stream-1")))
        with load_on:
            streaming.start()
            for epoch, gone in enumerate(goes):
                code, told = host.command("erase", "--brand", "aurelle", "--reference", gone)
                assert code == 0, told
                code, told = host.command("epoch", "run", "--json")
                assert code == 0, told
                assert [each["epoch"] for each in json.loads(told)["ended"]] == [epoch]
            ended.set()
            streaming.join(60)
        assert load_on.wrong == []
        assert len(load_on.turns) == 5
        (answer,) = imported
        outcomes = [each["status"] for each in lines_of(answer)]
        assert len(outcomes) > 3
        assert set(outcomes) == {"created"}
        for number, who in enumerate(people):
            (found,) = first.search("client_number", f"N-{number}").json()["candidates"]
            assert found["reference"] == who
        for gone in goes:
            assert first.describe(gone).status_code == 404
        assert "Traceback" not in host.lines.read_text()
