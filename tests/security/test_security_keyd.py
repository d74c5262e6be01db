"""The key holder as a real process: what others of its account can see of it, and what the service never holds."""

import json
import os
import pwd
import signal
import socket
import time
from pathlib import Path

import httpx2
import pytest
from keyd_processes import DEPLOYMENT, PYTHON, Host, found_in
from maison_callers import CONSENT, Caller

from vault.keys.copies import FolderPlace
from vault.keys.epochs import EpochChange
from vault.keys.keyd import wire
from vault.keys.local import Cost, PassphraseProvider
from vault.keys.pagefile import PageFile
from vault.keys.pagetree import Geometry
from vault.runtime import SystemClock, SystemEntropy

pytestmark = [pytest.mark.server, pytest.mark.xdist_group("keyd")]

# Looks at a process of its own that is closed to nobody, then at the one it was told of; says what it could do.
ONLOOKER = """
import ctypes, os, subprocess, sys

libc = ctypes.CDLL(None, use_errno=True)
ATTACH, DETACH = 16, 17


class Piece(ctypes.Structure):
    _fields_ = [("base", ctypes.c_void_p), ("length", ctypes.c_size_t)]


def looks(pid):
    done = []
    for name in ("mem", "maps", "environ", "auxv"):
        try:
            with open(f"/proc/{pid}/{name}", "rb", buffering=0) as file:
                done.append(name)
        except OSError:
            pass
    try:
        os.readlink(f"/proc/{pid}/cwd")
        done.append("cwd")
    except OSError:
        pass
    try:
        os.close(os.open(f"/proc/{pid}/fd/2", os.O_WRONLY))
        done.append("fd")
    except OSError:
        pass
    here = ctypes.create_string_buffer(8)
    local, remote = Piece(ctypes.addressof(here), 8), Piece(ctypes.addressof(here), 8)
    libc.process_vm_readv(pid, ctypes.byref(local), 1, ctypes.byref(remote), 1, 0)
    if ctypes.get_errno() != 1:
        done.append("readv")
    if libc.ptrace(ATTACH, pid, 0, 0) == 0:
        os.waitpid(pid, 0)
        libc.ptrace(DETACH, pid, 0, 0)
        done.append("ptrace")
    return done


with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as open_one:
    print(looks(open_one.pid))
    open_one.kill()
print(looks(int(sys.argv[1])))
"""

VICTIM = """
import time
print("up", flush=True)
time.sleep(60)
"""


@pytest.fixture
def host():
    with Host() as made:
        yield made


def client_of(host):
    return httpx2.Client(base_url=host.url, timeout=20)


@pytest.fixture
def http(host):
    with client_of(host) as made:
        yield made


def core_of(host, process, fatal):
    """Kill a process by a signal that asks for a core; whether the kernel wrote one."""
    process.send_signal(fatal)
    _, status = os.waitpid(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    assert process.returncode == -fatal
    return os.WCOREDUMP(status) or bool(list(host.folder.glob("core*")))


@pytest.mark.parametrize("fatal", [signal.SIGSEGV, signal.SIGABRT, signal.SIGQUIT], ids=lambda each: each.name)
def test_a_killed_holder_leaves_no_core(host, fatal):
    holder = host.keyd()
    assert not core_of(host, holder, fatal)
    assert "Current thread" not in host.lines.read_text(errors="replace")  # faulthandler, asked for, is off
    # Positive control: the same account, folder, limits and signal, and a process that did not close itself.
    if not core_of(host, host.start(*PYTHON[:1], "-c", VICTIM), fatal):
        pytest.skip("this machine writes no core of any process: the test could not have failed")


def test_others_of_the_account_cannot_look_into_the_holder(host):
    holder = host.keyd()
    code, told = host.run(*PYTHON[:1], "-c", ONLOOKER, holder.pid)
    assert code == 0, told
    own, others = (json.loads(line.replace("'", '"')) for line in told.splitlines())
    assert {"mem", "maps", "environ", "cwd", "readv"} <= set(own)  # the onlooker knows how to look
    assert others == []


def test_what_the_holder_did_to_itself(host):
    holder = host.keyd()
    host.until(lambda: "keyd.open" in host.lines.read_text())
    lines = Path(f"/proc/{holder.pid}/status").read_text().splitlines()
    status = dict(line.split(":\t", 1) for line in lines if ":\t" in line)
    assert status["NoNewPrivs"].strip() == "1"
    limits = Path(f"/proc/{holder.pid}/limits").read_text()
    assert next(line for line in limits.splitlines() if line.startswith("Max core file size")).split()[4:6] == [
        "0",
        "0",
    ]
    # It says so when its memory is not locked, and only then.
    assert (int(status["VmLck"].split()[0]) == 0) == ("keyd.unlocked" in host.lines.read_text())


def test_a_holder_under_a_debugger_takes_no_key(host):
    """Who attached before the first line would stay attached after it."""
    code, told = host.run(*PYTHON[:1], "-c", TRACED, timeout=60)
    assert code == 0, told
    assert "attached" in told
    assert not host.socket.exists()


TRACED = """
import ctypes, os, signal, sys

libc = ctypes.CDLL(None)
child = os.fork()
if child == 0:
    libc.ptrace(0, 0, 0, 0)
    os.execv(sys.executable, [sys.executable, "-m", "api.keyholder"])
while True:
    _, status = os.waitpid(child, 0)
    if not os.WIFSTOPPED(status):
        break
    stopped = os.WSTOPSIG(status)
    libc.ptrace(7, child, 0, 0 if stopped == signal.SIGTRAP else stopped)
sys.exit(0 if os.waitstatus_to_exitcode(status) == 3 else 1)
"""


class WallClock:
    @staticmethod
    def now():
        return int(time.time())


def a_days_work(host, http):
    """Register a system as the operator does; enrol somebody, find and show them."""
    caller = Caller(http, WallClock(), public=host.url)
    jwks = host.folder / "till.jwks"
    jwks.write_text(json.dumps(caller.identity.registration()))
    host.own()
    rights = [part for scope in ("lookup", "subject.write", "consent.write") for part in ("--scope", scope)]
    purposes = ("--purpose", "clienteling.in_store", "--purpose", "service.repair")
    code, told = host.command("system", "add", caller.id, "--brand", caller.brand, "--jwks", jwks, *rights, *purposes)
    assert code == 0, told
    reference = caller.created({"phone": ["+33639981234"]}, CONSENT)
    token = caller.granted(reference, ("phone", "masked"), max_uses=1000)
    assert caller.disclose(token).status_code == 200
    assert caller.search("phone", "+33639981234").json()["candidates"]
    return caller, reference, token


def test_the_service_never_holds_what_opens_everything():
    """Leaf keys, page keys, service keys and the root: each was drawn where the test could see it."""
    with Host(geometry=Geometry(4, 2)) as host, client_of(host) as http:
        sentinels = {key for key in host.entropy.keys if len(set(key)) > 8}
        sentinels |= {path.read_bytes() for path in host.roots if path.stat().st_size == 32}
        assert len(sentinels) > 16 + 4
        holder = host.keyd()
        service = host.serve()
        caller, _, token = a_days_work(host, http)
        assert not found_in(service.pid, sentinels)
        if os.geteuid() == 0:  # nobody else may look
            assert found_in(holder.pid, sentinels)
        for process in (service, holder):
            process.send_signal(signal.SIGTERM)
            process.wait(20)
        # Positive control: a service that has its keys itself holds them where this search finds them.
        alone = host.serve(holder=False)
        with client_of(host) as caller.http:
            assert caller.disclose(token).status_code == 200
        assert found_in(alone.pid, sentinels)


def change_epoch(host, folder):
    """Run a whole change of epoch beside the holder, as another process of the host does."""
    places = []
    for name in ("one", "two"):
        (folder / name).mkdir(exist_ok=True)
        places.append(FolderPlace(folder / name, SystemEntropy()))
    store = PageFile(host.keystore)
    try:
        change = EpochChange(store, host.provider, places, clock=SystemClock(), entropy=SystemEntropy())
        return change.run()
    finally:
        store.close()
        host.own()


def test_the_holder_starts_anew_after_an_epoch_and_nobody_notices(host, http, tmp_path):
    holder = host.keyd()
    service = host.serve()
    caller, reference, token = a_days_work(host, http)
    before = Path(f"/proc/{holder.pid}/cmdline").read_bytes()
    for turn in range(2):
        renewed = host.lines.read_text().count("keyd.renewed")
        change_epoch(host, tmp_path)
        while host.lines.read_text().count("keyd.open") < 2 + turn:
            assert caller.disclose(token).status_code == 200
            assert caller.describe(reference).status_code == 200
        assert host.lines.read_text().count("keyd.renewed") == renewed + 1
    assert holder.poll() is None  # the same process, another image
    assert Path(f"/proc/{holder.pid}/cmdline").read_bytes() != before
    assert service.poll() is None
    assert '"service.keys_lost"' not in host.lines.read_text()
    code, told = host.run(*PYTHON[:1], "-c", ONLOOKER, holder.pid)
    assert (code, told.splitlines()[1]) == (0, "[]")


PASSPHRASE = b"six words nobody would guess"


def test_what_the_operators_brought_goes_over_to_the_next_image_and_not_past_a_seal(tmp_path):
    """A passphrase is asked for once, not once an epoch; and it is in no argument, variable or file."""

    def sealed_by_passphrase(settings):
        return PassphraseProvider(settings.root_folder, PASSPHRASE, SystemEntropy(), Cost(64 * 1024, 3, 4))

    with Host(provider=sealed_by_passphrase, root_provider="passphrase") as host:
        holder = host.keyd()
        assert "keyd.open" not in host.lines.read_text()
        assert host.command("unseal", stdin=b"not the passphrase at all")[0] == 1
        code, told = host.command("unseal", stdin=PASSPHRASE)
        assert (code, told.strip()) == (0, "Unsealed.")
        change_epoch(host, tmp_path)
        host.until(lambda: host.lines.read_text().count("keyd.open") == 2, holder)
        for shown in ("cmdline", "environ") if os.geteuid() == 0 else ("cmdline",):  # nobody else may look
            assert PASSPHRASE not in Path(f"/proc/{holder.pid}/{shown}").read_bytes()
        assert not [path for path in host.folder.rglob("*") if path.is_file() and PASSPHRASE in path.read_bytes()]
        assert host.command("seal")[0] == 0
        host.until(lambda: host.command("unseal", stdin=b"not the passphrase at all")[0] == 1, holder)
        assert host.command("unseal", stdin=PASSPHRASE)[0] == 0
        if os.geteuid() == 0:
            assert host.command("seal")[0] == 0
            host.until(lambda: b"secrets-fd" in Path(f"/proc/{holder.pid}/cmdline").read_bytes(), holder)
            time.sleep(2)  # until the next image is up
            assert not found_in(holder.pid, {PASSPHRASE})


def test_a_renewal_gives_back_what_was_not_used(host, tmp_path):
    """At most a block of slots is lost by a crash, and none by a new image."""
    host.keyd()
    script = (
        "import sys; from pathlib import Path; from vault.keys.keyd.client import KeydClient\n"
        f"client = KeydClient(Path({str(host.socket)!r}), 'keyd-host')\n"
        "print([slot.number for slot in client.reserve(3)])"
    )
    first = json.loads(host.run(*PYTHON[:1], "-c", script)[1])
    change_epoch(host, tmp_path)
    host.until(lambda: host.lines.read_text().count("keyd.open") == 2)
    second = json.loads(host.run(*PYTHON[:1], "-c", script)[1])
    assert first + second == list(range(first[0], first[0] + 6))


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another account")
def test_another_account_is_not_answered_even_where_the_socket_lets_it_in(host):
    """The mode of the socket keeps others out; behind it the kernel's word on who connects does."""
    host.keyd()
    stranger = pwd.getpwnam("nobody").pw_uid
    host.folder.chmod(0o755)
    for mode, heard in ((0o600, {"refused"}), (0o666, {"closed"})):
        host.socket.chmod(mode)
        assert heard == {heard_by(stranger, host.socket)}
    host.until(lambda: "keyd.refused" in host.lines.read_text())


def heard_by(account, path):
    """What a process of an account hears when it greets the holder."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.setgroups([])
            os.setgid(account)
            os.setuid(account)
            with socket.socket(socket.AF_UNIX) as line:
                line.connect(str(path))
                line.sendall(wire.HELLO.request((wire.VERSION, DEPLOYMENT)))
                os.write(writing, b"answered" if line.recv(1) else b"closed")
        except PermissionError:
            os.write(writing, b"refused")
        except ConnectionError:
            os.write(writing, b"closed")
        finally:
            os._exit(0)
    os.waitpid(child, 0)
    os.close(writing)
    with open(reading) as told:  # noqa: PTH123 - a descriptor
        return told.read()
