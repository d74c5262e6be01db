"""Time stamps of a real authority: asked, checked, kept, published, and verified offline by another library."""

import io
import json

import pytest
from throwaway_tsa import ThrowawayTsa

from api.observability.logs import Log
from api.settings import InvalidSettings, load
from api.timestamps import Timestamps
from api.vouching import Vouching
from audit import verify
from audit.note import vkey
from vault import evidence, timestamping
from vault.errors import TimestampRefused
from vault.keys.service import SigningKey


class OpenDoor:
    open = True


@pytest.fixture(scope="module")
def authority(tmp_path_factory):
    made = ThrowawayTsa(tmp_path_factory.mktemp("tsa") / "one")
    yield made
    made.close()


@pytest.fixture
def tsa(authority):
    authority.wrong = authority.replay = None
    return authority


@pytest.fixture
def stamps(store, tsa, tmp_path):
    evidence.sign_checkpoints(store, tmp_path / "kept")
    return Timestamps(store, tsa.url, tsa.roots)


@pytest.fixture
def published(store, stamps, tmp_path):
    """A folder with a stamped checkpoint; and the arguments that verify it."""
    stamps.turn()
    evidence.publish(store, tmp_path / "public", entries=False)
    return tmp_path / "public"


def ask(folder, tsa, store, **changed):
    key = vkey(store.origin, store.keys.public_key(SigningKey.LOG))
    given = {"note": folder / "timestamp.checkpoint", "token": folder / "timestamp.tsr", "roots": tsa.roots} | changed
    arguments = ["timestamp", given["note"], "--token", given["token"], "--roots", given["roots"], "--key", key]
    return verify.main([str(each) for each in arguments])


def test_a_checkpoint_is_stamped_kept_published_and_verified_offline(store, tsa, published, capsys):
    kept = timestamping.newest(store)
    assert kept.note == evidence.latest_checkpoint(store)
    assert (published / "timestamp.tsr").read_bytes() == kept.response
    assert ask(published, tsa, store) == 0
    assert f"at {kept.size} {'entry' if kept.size == 1 else 'entries'} was signed by " in capsys.readouterr().out


def test_one_stamp_is_enough_until_the_log_grows(store, stamps, tmp_path, clock):
    stamps.turn()
    kept = timestamping.newest(store)
    stamps.turn()
    assert timestamping.newest(store) == kept
    from vault import clockwatch

    clockwatch.heartbeat(store)
    evidence.sign_checkpoints(store, tmp_path / "kept")
    stamps.turn()
    assert timestamping.newest(store).size == kept.size + 1


def test_a_token_of_other_bytes_is_no_stamp_of_these(store, tsa, stamps, published, tmp_path):
    (tmp_path / "other").write_bytes(stamps.stamp(b"another text"))
    assert ask(published, tsa, store, token=tmp_path / "other") == 1
    changed = (published / "timestamp.checkpoint").read_text().replace("\n1\n", "\n2\n")
    (tmp_path / "note").write_text(changed)
    assert ask(published, tsa, store, note=tmp_path / "note") == 1


def test_no_changed_byte_of_a_token_verifies(store, tsa, published, tmp_path):
    content = (published / "timestamp.tsr").read_bytes()
    path = tmp_path / "changed"
    for place in range(0, len(content), 67):
        path.write_bytes(content[:place] + bytes([content[place] ^ 1]) + content[place + 1 :])
        assert ask(published, tsa, store, token=path) in {1, 2}, place


def test_what_is_missing_or_of_another_authority_decides_nothing(store, tsa, published, tmp_path, monkeypatch):
    stranger = ThrowawayTsa(tmp_path / "two")
    stranger.close()
    assert ask(published, tsa, store, roots=stranger.roots) == 2
    assert ask(published, tsa, store, roots=tmp_path / "none") == 2
    assert ask(published, tsa, store, token=tmp_path / "none") == 2
    (tmp_path / "text").write_text("no token")
    assert ask(published, tsa, store, token=tmp_path / "text") == 2
    monkeypatch.setenv("PATH", str(tmp_path))
    assert ask(published, tsa, store) == 2


@pytest.mark.parametrize(
    "wrong", [(500, b"busy"), (404, b""), (200, b""), (200, b"no token"), (200, b"x" * (65 << 10)), (302, b"")]
)
def test_an_authority_that_does_not_answer_leaves_nothing(store, tsa, stamps, wrong):
    tsa.wrong = wrong
    with pytest.raises(TimestampRefused):
        stamps.turn()
    assert timestamping.newest(store) is None


def test_an_answer_given_before_is_not_taken_again(store, tsa, stamps):
    tsa.replay = stamps.stamp(b"the same bytes")
    with pytest.raises(TimestampRefused, match="does not verify"):
        stamps.stamp(b"the same bytes")  # another nonce


def test_an_authority_that_is_away_not_trusted_or_may_not_be_called(store, tsa, stamps, tmp_path):
    stranger = ThrowawayTsa(tmp_path / "two")
    stranger.close()
    for url, roots in (
        (stranger.url, tsa.roots),
        (tsa.url, stranger.roots),
        (tsa.url, tmp_path / "none"),
        ("http://tsa.example/", tsa.roots),
    ):
        with pytest.raises(TimestampRefused):
            Timestamps(store, url, roots).turn()
    assert timestamping.newest(store) is None


def test_before_the_first_checkpoint_and_while_sealed_nobody_is_asked(store, tsa, tmp_path, clock):
    class Shut:
        open = False

    assert timestamping.turn(store, lambda _: pytest.fail("asked")) is None
    evidence.sign_checkpoints(store, tmp_path / "kept")
    lines = io.BytesIO()
    where = {"timestamp_url": "http://127.0.0.1:1/", "timestamp_roots": tsa.roots}
    chosen = load({"data_dir": tmp_path, **where})
    for door, told in ((Shut(), []), (OpenDoor(), ["TimestampRefused"])):
        *_, stamp = Vouching(chosen, store, door, Log(clock, stream=lines)).jobs
        stamp.turn()
        assert [json.loads(line)["error"] for line in lines.getvalue().splitlines()] == told


def test_an_address_without_certificates_is_refused_at_the_start(tmp_path):
    for chosen in ({"timestamp_url": "https://tsa.example/"}, {"timestamp_roots": tmp_path / "roots"}):
        with pytest.raises(InvalidSettings, match="timestamp_url"):
            load({"data_dir": tmp_path} | chosen)
