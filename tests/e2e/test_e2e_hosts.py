"""Two hosts, each with a key holder and a service of its own, on one database and one keystore, both in PostgreSQL.

People are read, searched, changed and imported at both while epochs end by the lease of one; then the holder of the other is
killed, whose service says so in clean answers, while the first goes on; and brought back, it serves again.
"""

import signal
import threading
from contextlib import ExitStack

import httpx2
import pytest
from keyd_processes import Host
from maison_callers import CONSENT, lines_of, ndjson
from test_e2e_epochs import Loads, registered

from api import bootstrap
from vault.keys.keystore import Geometry

pytestmark = [pytest.mark.server, pytest.mark.postgresql, pytest.mark.xdist_group("keyd")]

AWAY = {"key_holder_unavailable", "sealed"}


@pytest.fixture
def hosts(postgres, second_postgres, empty_base):
    """Data in one cluster, keys in the other; roots and copies in folders that both hosts mount."""
    for cluster in (postgres, second_postgres):
        cluster.home.chmod(0o711)
    postgres.make("hosts")
    shared = {
        "database_url": postgres.url("hosts"),
        "keystore_url": empty_base().render_as_string(hide_password=False),
    }
    try:
        with Host(geometry=Geometry(64, 3), **shared) as one:
            shared |= {"root_folder": one.folder / "data" / "roots", "keystore_copies": ",".join(map(str, one.copies))}
            with Host(geometry=Geometry(64, 3), public_url=one.url, **shared) as two:
                yield one, two
    finally:
        postgres.drop("hosts")


class Answers:
    """What the service of the host that is struck answers: as it should, or, once it is struck, that its holder is away."""

    def __init__(self):
        self.struck, self.good, self.away = threading.Event(), 0, 0

    def take(self, answer):
        if answer.status_code < 300:
            self.good += 1
            return True
        assert self.struck.is_set(), answer.text
        assert (answer.status_code, answer.json()["code"] in AWAY) == (503, True), answer.text
        assert answer.headers["content-type"] == "application/problem+json"
        self.away += 1
        return False


def test_two_hosts_serve_while_epochs_end_and_one_loses_its_key_holder(hosts):
    one, two = hosts
    with ExitStack() as stack:
        client = lambda url: stack.enter_context(httpx2.Client(base_url=url, timeout=60))  # noqa: E731
        first = registered(one, client(one.url), bootstrap.open_from)
        holder = None
        for host in hosts:
            process = host.keyd()
            holder = process if host is two else holder
            host.own()
            host.serve()
        people = [
            first.created({"client_number": f"N-{each}", "phone": [f"+3363998{each:04}"]}, CONSENT) for each in range(6)
        ]
        goes = [first.created({"client_number": f"G-{each}", "phone": [f"+3363997{each:04}"]}) for each in range(3)]
        tokens = [first.granted(each, ("phone", "masked"), max_uses=1000) for each in people]
        for scope in ("lookup", "subject.write", "import"):
            first.service(scope)

        def at(host):
            twin = first.twin(client(host.url))
            twin.kept.update(first.kept)
            return twin

        there = Answers()

        def held(caller, answer):
            """Whatever is asked at the first host succeeds; at the other one until it is struck."""
            if caller.http.base_url == two.url:
                return there.take(answer)
            assert answer.status_code < 300, answer.text
            return True

        def reading(caller):
            def turn(number):
                answer = caller.disclose(tokens[number % len(people)])
                if held(caller, answer):
                    assert answer.json()["fields"][0]["value"], answer.text

            return turn

        def searching(caller):
            def turn(number):
                answer = caller.search("client_number", f"N-{number % len(people)}")
                if held(caller, answer):
                    assert len(answer.json()["candidates"]) == 1, answer.text

            return turn

        def writing(caller):
            def turn(number):
                who = people[number % len(people)]
                etag = caller.describe(who).headers["etag"]
                assert (
                    caller.patch(who, {"set": {"preferred_language": ("fr", "it")[number % 2]}}, etag).status_code
                    == 200
                )

            return turn

        def importing(caller):
            def turn(number):
                row = ndjson({"ref": f"row-{number}", "fields": {"client_number": f"I-{number}"}})
                (made,) = lines_of(caller.bring(row, "stream-1"))
                assert made["status"] == "created", made

            return turn

        loads = Loads()
        loads.work("read", reading(at(one)))
        loads.work("search", searching(at(one)))
        loads.work("write", writing(at(one)))
        loads.work("import", importing(at(one)))
        loads.work("read there", reading(at(two)))
        loads.work("search there", searching(at(two)))
        with loads:
            for epoch, gone in enumerate(goes):
                changing = (one, two, one)[epoch]  # whoever has the lease; the last time the other is struck
                if epoch == 2:
                    there.struck.set()
                    holder.send_signal(signal.SIGKILL)
                    holder.wait()
                    one.until(lambda: there.away > 0)
                code, told = changing.command("erase", "--brand", "aurelle", "--reference", gone)
                assert code == 0, told
                code, told = changing.command("epoch", "run")
                assert code == 0, told
                assert f"Epoch {epoch} ended" in told
            before = dict(loads.turns)
            one.until(lambda: all(loads.turns[name] > before[name] for name in ("read", "search", "write", "import")))
            two.keyd()
            good = there.good
            one.until(lambda: there.good > good + 5)
        assert loads.wrong == []
        assert len(loads.turns) == 6
        assert there.away > 0
        for host in hosts:
            caller = at(host)
            for number, who in enumerate(people):
                (found,) = caller.search("client_number", f"N-{number}").json()["candidates"]
                assert found["reference"] == who
            for gone in goes:
                assert caller.describe(gone).status_code == 404
            assert "Traceback" not in host.lines.read_text()
