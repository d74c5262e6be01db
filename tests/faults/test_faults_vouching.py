"""The fault table of those who vouch for the log: witnesses, a time-stamping authority, and the clock; on both engines.

A row is a way in which one of them fails: away, slow, wrong, malformed, stale, signed by another key, a clock that steps or
stands. Whatever the row: people are served meanwhile, nothing that is not true is kept or served, an answer that was good
before stays, the log verifies, and the first right answer afterwards is taken.
"""

import threading

import pytest
from fault_scene import ACTS, RING, Scene, act_of, added, assert_mute, errors_of
from strange_answers import Key, Other, nobody
from throwaway_tsa import ThrowawayTsa

from api import timestamps, witnesses
from api.timestamps import Timestamps
from audit import ledger
from audit.addcheckpoint import read_request
from audit.checkpoint import parse
from audit.cosignature import ED25519_COSIGNATURE, CosignerKey, cosign
from audit.entry import decode
from audit.findings import Verdict
from audit.note import parse_vkey, split_note, vkey
from audit.quorum import parse_policy
from audit.verify import verify_log
from audit.witness import Witness
from vault import clockwatch, evidence, timestamping, witnessing
from vault.clockwatch import ClockWatch
from vault.errors import StoreUnavailable, TimestampRefused, VaultError
from vault.keys.service import SigningKey
from vault.witnessing import Said

pytestmark = pytest.mark.xdist_group("faults")

QUICK = 0.5  # seconds that an answer may take in these tests


@pytest.fixture
def scene(vault):
    return Scene.on(vault)


@pytest.fixture
def pin(tmp_path):
    return tmp_path / "pin"


def grow(scene, pin):
    """Add an entry and sign."""
    served(scene)
    evidence.sign_checkpoints(scene.vault, pin)
    return evidence.latest_checkpoint(scene.vault)


def served(scene):
    """Somebody is looked up as ever."""
    (answer,) = scene.run(*scene.redeem())
    assert answer[0]["fields"][0]["value"] == {"value": RING, "system": "eu"}


# --- witnesses


class Watched:
    """The scene's log with one witness over HTTP; `stranger` is a key that nobody knows."""

    def __init__(self, scene, folder, pin):
        self.scene, self.pin = scene, pin
        self.key, self.stranger = Key("anna.example"), Key("anna.example")
        origin, public = scene.vault.origin, scene.vault.keys.public_key(SigningKey.LOG)
        self.log = vkey(origin, public)
        folder.mkdir()
        self.witness = Witness(self.key, [parse_vkey(self.log)], folder, lambda: 1_790_000_000)
        self.notes = []  # what was cosigned so far
        self.other = Other(self.right)
        self.url = self.other.url

    def right(self, body):
        answer = self.witness.add_checkpoint(body)
        if answer.status == 200:
            self.notes.append(read_request(body).note)
        return answer.status, answer.body

    @property
    def policy(self):
        cosigner = CosignerKey(self.key.name, ED25519_COSIGNATURE, self.key.public_key).vkey
        return parse_policy(f"log {self.log}\nwitness anna {cosigner} {self.url}\nquorum anna\n".encode())

    def turn(self):
        return witnessing.turn(self.scene.vault, self.policy, witnesses.ask)

    def told(self):
        kept = witnessing.newest(self.scene.vault)
        return None if kept is None else kept.note

    def line(self, text, key=None, at=1_790_000_000):
        return cosign(text, key or self.key, at).encode()

    def text_of(self, body):
        return split_note(read_request(body).note).text


@pytest.fixture
def watched(scene, tmp_path, pin, monkeypatch):
    monkeypatch.setattr(witnesses, "ASK_SECONDS", QUICK)
    made = Watched(scene, tmp_path / "witness", pin)
    yield made
    made.other.close()


def under_another_id(watched, body):
    """A stranger's signature in a line that bears the witness's own id."""
    mine, theirs = watched.line(watched.text_of(body)), watched.line(watched.text_of(body), watched.stranger)
    from base64 import b64decode, b64encode

    head, _, given = theirs.rstrip(b"\n").rpartition(b" ")
    own = b64decode(mine.rstrip(b"\n").rpartition(b" ")[2])
    return head + b" " + b64encode(own[:4] + b64decode(given)[4:]) + b"\n"


def of_another_log(watched, body):
    return watched.line(watched.text_of(body).replace(watched.scene.vault.origin, "other.example/audit", 1))


def at_another_size(watched, body):
    size = parse(watched.text_of(body)).size
    return watched.line(watched.text_of(body).replace(f"\n{size}\n", f"\n{size + 1}\n", 1))


WITNESS = {  # the row -> (how the answer is sent, the answer, what the turn may say of it)
    "away": ("away", None, {Said.UNREACHABLE}),
    "slow": ("trickles", lambda w, b: (200, w.line(w.text_of(b)) * 50), {Said.UNREACHABLE}),
    "hangs up in the middle": ("cut short", lambda w, b: (200, w.line(w.text_of(b))), {Said.UNREACHABLE}),
    "says more than there is to say": ("whole", lambda w, b: (200, b"x" * (65 << 10)), {Said.UNREACHABLE}),
    "busy": ("whole", lambda w, b: (503, b"busy\n"), {Said.REFUSED}),
    "sends elsewhere": ("whole", lambda w, b: (307, b""), {Said.REFUSED}),
    "does not know the log": ("whole", lambda w, b: (404, b"unknown\n"), {Said.REFUSED}),
    "does not believe the proof": ("whole", lambda w, b: (422, b"no\n"), {Said.REFUSED}),
    "is ahead": ("whole", lambda w, b: (409, b"999999\n"), {Said.AHEAD}),
    "tells no size": ("whole", lambda w, b: (409, b"many\n"), {Said.INVALID}),
    "tells the same size for ever": ("whole", lambda w, b: (409, b"1\n"), {Said.REFUSED}),
    "empty": ("whole", lambda w, b: (200, b""), {Said.INVALID}),
    "no text": ("whole", lambda w, b: (200, b"\xff\xfe\n"), {Said.INVALID}),
    "no line": ("whole", lambda w, b: (200, b"cosigned\n"), {Said.INVALID}),
    "half a line": ("whole", lambda w, b: (200, w.line(w.text_of(b))[:-20] + b"\n"), {Said.INVALID}),
    "another key": ("whole", lambda w, b: (200, w.line(w.text_of(b), w.stranger)), {Said.INVALID}),
    "another key under its id": ("whole", lambda w, b: (200, under_another_id(w, b)), {Said.INVALID}),
    "of another log": ("whole", lambda w, b: (200, of_another_log(w, b)), {Said.INVALID}),
    "of another size": ("whole", lambda w, b: (200, at_another_size(w, b)), {Said.INVALID}),
    "stale: of the checkpoint before": ("whole", lambda w, b: (200, w.line(split_note(w.notes[-1]).text)), {Said.INVALID}),
    "one changed bit": (
        "whole",
        lambda w, b: (200, w.line(w.text_of(b))[:-10] + b"A" * 6 + w.line(w.text_of(b))[-4:]),
        {Said.INVALID},
    ),
}  # fmt: skip


@pytest.mark.parametrize("row", WITNESS)
def test_a_witness_that_fails(watched, row):
    how, answer, may = WITNESS[row]
    scene = watched.scene
    grow(scene, watched.pin)
    assert watched.turn().quorum
    before = watched.told()
    grow(scene, watched.pin)
    if how == "away":
        watched.url = nobody()
    else:
        watched.other.way, watched.other.answer = how, lambda body: answer(watched, body)
    for _ in range(2):
        done = watched.turn()
        assert not done.quorum
        assert done.said["anna"] in may
        assert watched.told() == before  # what was witnessed stays, and nothing else is told
        served(scene)
    assert watched.other.asked <= 5  # sent elsewhere, nobody goes there; told a size, once more and no oftener
    scene.verify(watched.pin)
    watched.other.way, watched.other.answer, watched.url = "whole", watched.right, watched.other.url
    note = evidence.latest_checkpoint(scene.vault)
    assert watched.turn().quorum
    assert watched.told().startswith(note)


def test_nobody_waits_for_a_witness_that_does_not_answer(watched, monkeypatch):
    monkeypatch.setattr(witnesses, "ASK_SECONDS", 120.0)
    scene = watched.scene
    grow(scene, watched.pin)
    watched.other.held = True
    turns = []
    asking = threading.Thread(target=lambda: turns.append(watched.turn()))
    asking.start()
    assert watched.other.reached.wait(60)
    for name in ACTS:  # each of them writes
        assert not [each for each in errors_of(scene.run(*act_of(scene, name))) if isinstance(each, VaultError)]
    grow(scene, watched.pin)
    assert turns == []
    watched.other.released.set()
    asking.join()
    assert turns[0].quorum  # of the checkpoint that it was asked about
    assert turns[0].size < parse(split_note(evidence.latest_checkpoint(scene.vault)).text).size


# --- a time-stamping authority


@pytest.fixture(scope="module")
def authorities(tmp_path_factory):
    made = [ThrowawayTsa(tmp_path_factory.mktemp("tsa") / name) for name in ("one", "two")]
    yield made
    for each in made:
        each.close()


class Stamped:
    """The scene's log with an authority over HTTP, and another one that the reader does not trust."""

    def __init__(self, scene, authorities):
        self.scene, (self.authority, self.stranger) = scene, authorities
        self.before = None  # a response that was given earlier
        self.other = Other(self.right)
        self.url, self.roots = self.other.url, self.authority.roots

    def right(self, query):
        self.before = self.authority.answer(query)
        return 200, self.before

    def turn(self):
        return Timestamps(self.scene.vault, self.url, self.roots).turn()


@pytest.fixture
def stamped(scene, authorities, monkeypatch):
    monkeypatch.setattr(timestamps, "_SECONDS", 3.0)
    made = Stamped(scene, authorities)
    yield made
    made.other.close()


def flipped(content, place):
    at = int(len(content) * place)
    return content[:at] + bytes([content[at] ^ 1]) + content[at + 1 :]


AUTHORITY = {
    "away": ("away", None),
    "slow": ("trickles", lambda s, q: (200, s.authority.answer(q))),
    "hangs up in the middle": ("cut short", lambda s, q: (200, s.authority.answer(q))),
    "says more than there is to say": ("whole", lambda s, q: (200, b"x" * (65 << 10))),
    "busy": ("whole", lambda s, q: (503, b"busy")),
    "sends elsewhere": ("whole", lambda s, q: (302, b"")),
    "empty": ("whole", lambda s, q: (200, b"")),
    "no token": ("whole", lambda s, q: (200, b"no token")),
    "another key": ("whole", lambda s, q: (200, s.stranger.answer(q))),
    "stale: a token given before": ("whole", lambda s, q: (200, s.before)),
    "over other bytes": ("whole", lambda s, q: (200, s.authority.answer(flipped(q, 0.5)))),
    "a question that it refuses": ("whole", lambda s, q: (200, s.authority.answer(q[:8]))),
    "a changed token": ("whole", lambda s, q: (200, flipped(s.authority.answer(q), 0.9))),
    "half a token": ("whole", lambda s, q: (200, s.authority.answer(q)[:-40])),
}


@pytest.mark.parametrize("row", AUTHORITY)
def test_an_authority_that_fails(stamped, pin, row):
    how, answer = AUTHORITY[row]
    scene = stamped.scene
    grow(scene, pin)
    stamped.turn()
    before = timestamping.newest(scene.vault)
    assert before is not None
    grow(scene, pin)
    if how == "away":
        stamped.url = nobody()
    else:
        stamped.other.way, stamped.other.answer = how, lambda query: answer(stamped, query)
    for _ in range(2):
        with pytest.raises(TimestampRefused) as refused:
            stamped.turn()
        assert_mute(refused.value)
        assert timestamping.newest(scene.vault) == before
        served(scene)
    scene.verify(pin)
    stamped.other.way, stamped.other.answer, stamped.url = "whole", stamped.right, stamped.other.url
    stamped.turn()
    assert timestamping.newest(scene.vault).size > before.size


def test_nobody_waits_for_an_authority_that_does_not_answer(stamped, pin, monkeypatch):
    monkeypatch.setattr(timestamps, "_SECONDS", 120.0)
    scene = stamped.scene
    grow(scene, pin)
    stamped.other.held = True
    asking = threading.Thread(target=stamped.turn)
    asking.start()
    assert stamped.other.reached.wait(60)
    for name in ACTS:
        assert not [each for each in errors_of(scene.run(*act_of(scene, name))) if isinstance(each, VaultError)]
    assert timestamping.newest(scene.vault) is None
    stamped.other.released.set()
    asking.join()
    assert timestamping.newest(scene.vault) is not None


# --- the clock


class Steady:
    """A clock that nobody sets."""

    seconds = 5_000.0

    def __call__(self):
        return self.seconds


CLOCK = {  # the row -> how far the wall clock and the steady one go
    "steps back by ten minutes": (-600, 0),
    "steps back by a day": (-86_400, 0),
    "steps forward by ten minutes": (600, 0),
    "steps forward by a year": (365 * 86_400, 0),
    "stands still for an hour": (0, 3_600),
    "is set back and goes on": (-1_800, 900),
}
REFUSED = {"invalid_token", "invalid_grant", "invalid_client", "expired", "invalid_dpop_proof"}


def steps_of(scene):
    with scene.vault.reading() as conn:
        read = [decode(each.body) for each in ledger.read(conn, 0, 0, 10_000)]
    return [(each["pol"], each["n"]) for each in read if each["act"] == "log.clock"]


@pytest.mark.parametrize("row", CLOCK)
def test_a_clock_that_fails(scene, pin, clock, row):
    wall, steady_by = CLOCK[row]
    steady = Steady()
    watch = ClockWatch(scene.vault, steady)
    evidence.sign_checkpoints(scene.vault, pin)
    kept = pin.read_text()
    at = clock.now()
    clock.advance(wall)
    steady.seconds += steady_by
    acts = (
        ACTS if wall < 300 else [each for each in ACTS if each != "take_in"]
    )  # whose token is looked at before the act
    for name in acts:
        before = scene.stored()
        answers = errors_of(scene.run(*act_of(scene, name)))
        wrong = [each for each in answers if isinstance(each, VaultError)]
        assert {each.code for each in wrong} <= REFUSED, (name, wrong)
        assert_mute(*wrong)
        if wrong:  # what was given out before has run out: the refusal alone is on record
            assert set(added(before, scene.stored())) <= {"log_entry", "log_head", "seen_proof"}, name
    step = watch.look()
    assert step == wall - steady_by
    assert watch.look() == 0
    way = "clock.back" if step < 0 else "clock.forward"
    assert steps_of(scene) == [(sorted([way, "clock.running"]), abs(step))]
    scene.verify(pin)
    key = vkey(scene.vault.origin, scene.vault.keys.public_key(SigningKey.LOG))
    with scene.vault.reading() as conn:
        found = verify_log(ledger.stored_log(conn, 0), [key], [kept])
    assert found.verdict is Verdict.FINE  # order is the index's: the log goes on from what outsiders hold
    assert any("steps back" in each for each in found.notices) == (wall < 0)
    clock.seconds = at
    steady.seconds -= steady_by
    assert watch.look() == -step
    fresh = scene.token(scene.reference)
    (answer,) = scene.run(*scene.redeem(fresh))
    assert answer[0]["fields"][0]["value"] == {"value": RING, "system": "eu"}
    scene.verify(pin)


@pytest.mark.parametrize("behind", [3, 600, 86_400])
def test_a_process_that_starts_with_its_clock_behind_the_log_says_so(scene, pin, clock, behind):
    served(scene)
    clock.advance(-behind)
    clockwatch.note_start(scene.vault)
    assert steps_of(scene) == [(["clock.back", "clock.start"], behind)]
    fresh = scene.token(scene.reference)
    (answer,) = scene.run(*scene.redeem(fresh))
    assert answer[0]["fields"][0]["value"] == {"value": RING, "system": "eu"}
    scene.verify(pin)


def test_a_step_that_cannot_be_recorded_is_recorded_at_the_next_look(scene, pin, clock):
    """Clock and store fail together: the step is not lost with the unit that was to say so."""
    from sqlalchemy.exc import OperationalError

    class Gone:
        def connect(self):
            raise OperationalError("", {}, Exception("gone"))

    watch = ClockWatch(scene.vault, Steady())
    clock.advance(-900)
    whole = scene.vault.engine
    scene.vault.engine = Gone()
    with pytest.raises(StoreUnavailable):
        watch.look()
    scene.vault.engine = whole
    assert steps_of(scene) == []
    assert watch.look() == -900
    assert [count for _, count in steps_of(scene)] == [900]
    scene.verify(pin)


# --- the table can tell


def test_an_answer_that_is_taken_unchecked_would_be_seen(watched):
    """A mutant that keeps whatever came back: the table's row would then show something nobody signed."""
    scene = watched.scene
    grow(scene, watched.pin)
    watched.other.answer = lambda body: (200, watched.line(watched.text_of(body), watched.stranger))

    class Credulous(witnessing._Asking):
        def _checked(self, witness, body):
            from audit.cosignature import Cosignature

            return Said.COSIGNED, Cosignature(witness.key, 1, body.decode())

    real, witnessing._Asking = witnessing._Asking, Credulous
    try:
        watched.turn()
    finally:
        witnessing._Asking = real
    assert watched.told() is not None
