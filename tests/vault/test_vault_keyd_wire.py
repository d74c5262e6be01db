"""The key holder's wire: what cannot be meant is refused before it costs anything, and costs nobody else anything."""

import os
import re
import socket
import struct
import time
from contextlib import closing, contextmanager
from pathlib import Path
from threading import Thread

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from key_homes import DEPLOYMENT, HeldClient

from vault.errors import (
    KeyHolderUnavailable,
    KeyUnavailable,
    LeavesExhausted,
    Sealed,
    Unexpected,
    VaultError,
    WrongDeployment,
)
from vault.keys.keyd import wire
from vault.keys.keyd.client import KeydClient
from vault.keys.keyd.epochverbs import EPOCHS
from vault.keys.keyd.epochwork import EpochWork
from vault.keys.keyd.server import Happening, listen
from vault.keys.keyd.wire import Body, Malformed
from vault.keys.keystore import Geometry, create_keystore, open_keystore
from vault.keys.local import KeyFileProvider
from vault.keys.service import KeyService, KeyState, KeyStatus, SigningKey, Slot
from vault.runtime import SystemClock, SystemEntropy

GREETING = wire.HELLO.request((wire.VERSION, DEPLOYMENT))
DEK = bytes(range(32))

longs = st.integers(-(2**63), 2**63 - 1)
slots = st.lists(st.builds(Slot, longs, longs), max_size=8)
blobs = st.lists(st.binary(max_size=40), max_size=8)
optional = st.lists(st.none() | st.binary(max_size=40), max_size=8)
pairs = st.lists(st.tuples(st.builds(Slot, longs, longs), st.binary(max_size=40)), max_size=8)
statuses = st.builds(
    KeyStatus, st.sampled_from(KeyState), longs, longs, longs, longs, st.none() | longs, st.none() | st.text(max_size=9)
)


@pytest.fixture(scope="module")
def opener(tmp_path_factory):
    folder = tmp_path_factory.mktemp("keystore")
    provider = KeyFileProvider(folder / "root", SystemEntropy())
    shape = Geometry(8, 3)
    create_keystore(folder / "keys.db", provider, DEPLOYMENT, shape, entropy=SystemEntropy(), clock=SystemClock())
    return lambda: open_keystore(folder / "keys.db", provider, DEPLOYMENT)


@pytest.fixture(scope="module")
def held(opener):
    with closing(HeldClient(opener)) as client:
        yield client


@contextmanager
def line(held, *frames):
    """A bare connection to the holder, with some frames already sent."""
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(10)
        connection.connect(str(held.socket))
        connection.sendall(b"".join(frames))
        yield connection


def answer(connection):
    """The next answer's body, or nothing when the holder hung up."""
    try:
        head = connection.recv(4, socket.MSG_WAITALL)
        return connection.recv(struct.unpack(">I", head)[0], socket.MSG_WAITALL) if len(head) == 4 else b""
    except ConnectionError:
        return b""


def still_serves(held):
    return held.status().state is KeyState.UNSEALED


def read(column, content):
    body = Body(content)
    found = column.read(body)
    body.ended()
    return found


@pytest.mark.parametrize(
    ("column", "values"),
    [
        (wire.SLOTS, slots),
        (wire.BLOBS, blobs),
        (wire.OPTIONAL_BLOBS, optional),
        (wire.FLAGS, st.lists(st.booleans(), max_size=9)),
        (wire.LABEL, st.text(max_size=99)),
        (wire.INTEGER, longs),
        (wire.INTEGERS, st.lists(longs, max_size=9).map(tuple)),
        (wire.KEY, st.sampled_from(SigningKey)),
        (wire.BLOB, st.binary(max_size=99)),
        (wire.Table(wire.SLOTS, wire.BLOBS), pairs),
        (wire.STATUS.answered, statuses),
    ],
    ids=lambda each: type(each).__name__,
)
@given(data=st.data())
def test_what_was_packed_is_read(column, values, data):
    value = data.draw(values)
    packed = column.pack(value)
    assert read(column, packed) == value
    at = data.draw(st.integers(0, len(packed)))
    if at < len(packed):
        with pytest.raises(Malformed):
            read(column, packed[:at])
    with pytest.raises(Malformed):
        read(column, packed + b"\0")


@given(st.sampled_from(sorted(wire.SERVICE | wire.CONTROL | EPOCHS)), st.binary(max_size=200))
@example(wire.WRAP.number, b"\xff\xff\xff\xff")
@example(wire.WRAP.number, b"\0\1\0\0" + bytes(100))
@example(wire.MAC.number, b"\2\1" + b"a" * 0x201 + bytes(4))
def test_arbitrary_arguments_are_read_or_malformed(number, content):
    verb = (wire.SERVICE | wire.CONTROL | EPOCHS)[number]
    try:
        arguments = verb.arguments(Body(content))
    except Malformed:
        return
    assert len(arguments) == len(verb.asked)


@given(st.binary(min_size=1, max_size=200))
def test_arbitrary_answers_are_read_or_refused(content):
    for verb in (wire.UNWRAP, wire.STATUS, wire.RECALL, wire.RESERVE, wire.RETIRE):
        try:
            wire.result_of(verb, content)
        except VaultError:
            continue


def test_a_count_is_held_against_what_is_there_before_it_is_believed():
    for column in (wire.SLOTS, wire.BLOBS, wire.OPTIONAL_BLOBS, wire.FLAGS, wire.INTEGERS):
        for count in (1, wire.MAX_ITEMS, wire.MAX_ITEMS + 1, 2**32 - 1):
            with pytest.raises(Malformed):
                read(column, struct.pack(">I", count))
    with pytest.raises(Malformed):
        read(wire.BLOBS, struct.pack(">II", 1, 2**32 - 2) + b"x")
    with pytest.raises(ValueError, match="too long"):
        wire.BLOBS.pack([b""] * (wire.MAX_ITEMS + 1))


def test_every_verb_of_the_service_crosses_and_nothing_else():
    verbs = {name for name in KeyService.__dict__ if not name.startswith("_")}
    assert {verb.name for verb in wire.SERVICE.values()} == verbs - {"close", "refresh"}
    assert len({*wire.SERVICE, *wire.CONTROL, *EPOCHS}) == len(wire.SERVICE) + len(wire.CONTROL) + len(EPOCHS)
    assert all(verb.number == number for number, verb in (wire.SERVICE | wire.CONTROL | EPOCHS).items())
    assert all(hasattr(EpochWork, verb.name) for verb in EPOCHS.values())


def test_the_documented_verbs_and_errors_are_the_wires():
    text = (Path(__file__).parents[2] / "docs" / "formats.md").read_text(encoding="utf-8")
    table, _, errors = text.partition("<!-- verbs of the wire")[2].partition("<!-- end -->")
    listed = {int(number): name for number, name in re.findall(r"^\| (\d+) \| `(\w+)` \|", table, re.MULTILINE)}
    assert listed == {number: verb.name for number, verb in (wire.SERVICE | wire.CONTROL | EPOCHS).items()}
    told = dict(re.findall(r"(\d+) `(\w+)`", errors.partition("\n\n## ")[0]))
    assert {int(number): code for number, code in told.items()} == {n: kind.code for n, kind in wire._ERRORS.items()}


def test_every_error_of_a_key_service_crosses_as_itself_and_others_by_class_alone():
    for error in (
        Sealed("s"),
        KeyUnavailable("gone"),
        LeavesExhausted("exhausted"),
        WrongDeployment("w"),
        Unexpected("X"),
    ):
        with pytest.raises(type(error), match=str(error)):
            wire.result_of(wire.UNWRAP, wire.refusal(error)[4:])

    class Nearer(KeyUnavailable):
        pass

    with pytest.raises(KeyUnavailable):
        wire.result_of(wire.UNWRAP, wire.refusal(Nearer("x"))[4:])
    with pytest.raises(Unexpected):
        wire.result_of(wire.UNWRAP, b"\xfe")
    assert len(wire.refusal(Sealed("x" * 10_000))) < 300


FRAMES = {
    "no length": bytes(4),
    "too long": struct.pack(">I", wire.MAX_FRAME + 1),
    "far too long": b"\xff\xff\xff\xff",
    "no such verb": wire.framed(b"\x7f"),
    "cut arguments": wire.framed(bytes((wire.RESERVE.number,)) + b"\0\0"),
    "arguments and more": wire.framed(wire.STATUS.request(())[4:] + b"x"),
    "a count beyond the body": wire.framed(bytes((wire.WRAP.number,)) + b"\0\0\xff\xff" + bytes(9)),
    "no text": wire.framed(bytes((wire.MAC.number,)) + b"\0\1\xff" + wire.BLOBS.pack([])),
    "another version": wire.HELLO.request((wire.VERSION + 1, DEPLOYMENT)),
    "an http request": b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
}


@pytest.mark.parametrize("name", FRAMES)
def test_malformed_frames_cost_their_connection_and_nothing_else(held, name):
    with line(held, GREETING, FRAMES[name]) as connection:
        assert answer(connection) == b"\0"
        assert answer(connection) == b""
    assert still_serves(held)
    assert Happening.REFUSED in held.told


@given(st.binary(min_size=1, max_size=400))
def test_arbitrary_bytes_do_not_stop_the_holder(held, content):
    with line(held, GREETING, content) as connection:
        connection.shutdown(socket.SHUT_WR)
        while answer(connection):
            pass
    assert still_serves(held)


def test_nothing_is_answered_before_the_greeting(held):
    for frame in (wire.STATUS.request(()), wire.OFFER.request((b"secret",)), wire.SEAL_VAULT.request(())):
        with line(held, frame) as connection:
            assert answer(connection) == b""
    assert still_serves(held)


def test_another_deployments_process_is_refused(held):
    with closing(KeydClient(held.socket, "another")) as stranger, pytest.raises(WrongDeployment):
        stranger.status()


def test_another_account_is_refused_by_the_kernels_word(opener):
    with closing(HeldClient(opener, accounts=frozenset({os.geteuid() + 1}))) as client:
        with pytest.raises(KeyHolderUnavailable):
            client.status()
        assert Happening.REFUSED in client.told


def test_the_socket_is_its_owners_alone(held):
    assert held.socket.stat().st_mode & 0o777 == 0o600


def test_a_second_holder_does_not_take_a_living_ones_place(held, tmp_path):
    with pytest.raises(FileExistsError):
        listen(str(held.socket))
    dead = tmp_path / "dead"
    listen(str(dead)).close()
    listen(str(dead)).close()  # nobody answers there: its place is taken


def test_frames_in_pieces_and_several_at_once_are_answered_in_order(held):
    frames = GREETING + wire.STATUS.request(()) + wire.RESERVE.request((0,)) + wire.STATUS.request(())
    with line(held) as connection:
        for at in range(0, len(frames), 7):
            connection.sendall(frames[at : at + 7])
            time.sleep(0.0005)
        answers = [answer(connection) for _ in range(4)]
    assert answers[0] == b"\0"
    assert wire.result_of(wire.STATUS, answers[1]) == wire.result_of(wire.STATUS, answers[3])
    assert wire.result_of(wire.RESERVE, answers[2]) == []


def test_a_peer_that_does_not_take_its_answers_holds_nobody_up(held):
    asked = wire.MAC.request(("a", [b""] * 20_000))
    with line(held, GREETING) as deaf:
        deaf.settimeout(0.5)
        with pytest.raises(TimeoutError):
            for _ in range(100):
                deaf.sendall(asked)
        assert still_serves(held)


def test_a_batch_of_an_import_crosses_in_pieces(held):
    (slot,) = held.reserve(1)
    wrapped = held.wrap([(slot, DEK)] * 30_000)
    assert held.unwrap([(slot, each) for each in wrapped]) == [DEK] * 30_000
    assert held.alive([slot] * 30_000) == [True] * 30_000
    held.retire([Slot(400, 0)] * 10_000)


def test_a_request_too_large_is_refused_here(held):
    with pytest.raises(KeyHolderUnavailable, match="too large"):
        held.mac("a", [bytes(wire.MAX_FRAME)])
    with pytest.raises(KeyHolderUnavailable, match="too large"):
        held.mac("a" * 600, [b""])
    assert still_serves(held)


def test_a_defect_in_the_service_fails_its_request_and_says_the_class_alone(held):
    class Broken:
        def mac(self, label, messages):
            raise LookupError("a value that must stay here")

        def __getattr__(self, name):
            return getattr(real, name)

    real, held.holder._service = held.holder._service, Broken()
    try:
        with pytest.raises(Unexpected) as caught:
            held.mac("a", [b""])
        assert str(caught.value) == "LookupError"
    finally:
        held.holder._service = real
    assert still_serves(held)


@contextmanager
def impostor(folder, *says):
    """Somebody who listens in the holder's place and says what it is told to, whatever is asked."""
    path = Path(folder) / "impostor"
    listener = listen(str(path))
    kept = []

    def serve():
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            kept.append(connection)
            for said in says:
                try:
                    connection.recv(1 << 20)
                    connection.sendall(said)
                except OSError:
                    break

    thread = Thread(target=serve, daemon=True)
    thread.start()
    try:
        yield path
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join(5)
        for connection in kept:
            connection.close()


@pytest.mark.parametrize(
    "said",
    [b"\xff\xff\xff\xff", bytes(4), wire.framed(b"\0x"), wire.framed(b"\0" + b"\xff" * 40), b"HTTP/1.1 400\r\n\r\n"],
    ids=repr,
)
def test_a_holder_that_speaks_nonsense_is_unavailable(tmp_path, said):
    with (
        impostor(tmp_path, wire.framed(b"\0"), said) as path,
        closing(KeydClient(path, DEPLOYMENT)) as client,
        pytest.raises(KeyHolderUnavailable),
    ):
        client.unwrap([(Slot(0, 0), bytes(40))])


def test_an_answer_that_never_comes_is_an_error_in_time_and_then_at_once(tmp_path):
    with impostor(tmp_path, wire.framed(b"\0")) as path, closing(KeydClient(path, DEPLOYMENT, patience=0.3)) as client:
        for said in ("in time", "a moment ago"):
            with pytest.raises(KeyHolderUnavailable, match=said):
                client.mac("a", [b""])


def test_no_holder_at_all_is_an_error_at_once(tmp_path):
    with closing(KeydClient(tmp_path / "nobody", DEPLOYMENT)) as client:
        for verb in (client.status, client.progress, lambda: client.reserve(1)):
            with pytest.raises(KeyHolderUnavailable):
                verb()


def test_a_client_lives_through_the_going_and_coming_of_its_holder(opener, tmp_path):
    """Idle connections that broke are made anew, and what was asked is asked once more."""
    with closing(HeldClient(opener)) as first:
        client = KeydClient(tmp_path / "keyd.sock", DEPLOYMENT)
        (tmp_path / "keyd.sock").symlink_to(first.socket)
        before = client.mac("a", [b"m"])
    with pytest.raises(KeyHolderUnavailable):
        client.mac("a", [b"m"])
    with closing(HeldClient(opener)) as second:
        (tmp_path / "keyd.sock").unlink()
        (tmp_path / "keyd.sock").symlink_to(second.socket)
        assert client.mac("a", [b"m"]) == before
        client.close()


def test_public_keys_are_asked_for_once_and_known_while_sealed(opener):
    with closing(HeldClient(opener)) as client:
        known = client.public_key(SigningKey.LOG)
        client.holder.seal()
        assert client.public_key(SigningKey.LOG) == known
        with pytest.raises(Sealed):
            client.public_key(SigningKey.RECEIPT)


def test_a_forked_child_makes_connections_of_its_own(held):
    held.status()
    child = os.fork()
    if child == 0:
        ok = KeydClient.status(held).state is KeyState.UNSEALED
        os._exit(0 if ok else 1)
    assert still_serves(held)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert still_serves(held)


def test_a_sealed_holder_says_so_and_keeps_its_last_counts(opener):
    with closing(HeldClient(opener)) as client:
        total = client.status().slots_total
        client.holder.seal()
        assert (client.status().state, client.status().slots_total) == (KeyState.SEALED, total)
        with pytest.raises(Sealed):
            client.reserve(1)
        with pytest.raises(LeavesExhausted, match="exhausted"):
            client.reserve(1 << 20)
