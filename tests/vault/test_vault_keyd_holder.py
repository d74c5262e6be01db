"""Sealing and unsealing a key holder: marks that outlive it, secrets that count, and what is forgotten."""

import os
import time
from contextlib import closing
from threading import Thread
from types import SimpleNamespace

import pytest
from key_homes import DEPLOYMENT, HeldClient

from api.keyholder import hand_over, handed_over
from vault.errors import Conflict, Sealed, StoreFull, StoreUnavailable
from vault.keys.keyd import hardening
from vault.keys.keyd.holder import MAX_SECRET, ByPassphrase, Holder, SealMark, Unattended
from vault.keys.keyd.server import Ended, Happening
from vault.keys.keystore import Geometry, create_keystore, open_keystore
from vault.keys.local import Cost, KeyFileProvider, PassphraseProvider
from vault.keys.service import KeyState
from vault.runtime import SystemClock, SystemEntropy

ENTROPY = SystemEntropy()
FLOOR = Cost(64 * 1024, 3, 4)
PASSPHRASE = b"six words nobody would guess"


class Shares:
    """Stands in for a root of shares: three of five, each one its own number."""

    needed, total = 3, 5

    def provider(self, secrets):
        if sorted(secrets) != [b"1", b"2", b"3"]:
            raise Sealed("the shares do not fit")
        return "root"


@pytest.fixture
def mark(tmp_path):
    return SealMark(tmp_path / "sealed", ENTROPY)


def opening(log):
    """An opener that notes which provider it was given, and makes a service that notes its closing."""

    def opener(provider):
        log.append(provider)
        return SimpleNamespace(close=lambda: log.append("closed"))

    return opener


def test_shares_count_one_by_one_and_the_last_one_opens(mark):
    log = []
    holder = Holder(Shares(), opening(log), mark)
    holder.start()
    assert [holder.offer(share).given for share in (b"1", b"1", b"", b"x" * (MAX_SECRET + 1), b"2")] == [1, 1, 1, 1, 2]
    with pytest.raises(Sealed):
        _ = holder.service
    progress = holder.offer(b"3")
    assert (progress.state, progress.given, progress.needed, progress.total) == (KeyState.UNSEALED, 3, 3, 5)
    assert log == ["root"]


def test_one_wrong_share_forgets_them_all(mark):
    holder = Holder(Shares(), opening([]), mark)
    holder.offer(b"1")
    holder.offer(b"2")
    with pytest.raises(Sealed):
        holder.offer(b"9")
    assert (holder.progress().given, holder.secrets) == (0, ())


def test_sealing_forgets_and_outlives_the_process(mark):
    log = []
    holder = Holder(Unattended("root"), opening(log), mark)
    holder.start()
    assert holder.seal().state is KeyState.SEALED
    assert log == ["root", "closed"]
    assert mark.is_set()
    for again in (holder, Holder(Unattended("root"), opening(log), mark)):
        assert not again.unattended
        again.start()
        with pytest.raises(Sealed):
            _ = again.service
    assert again.offer(b"").state is KeyState.UNSEALED
    assert not mark.is_set()
    holder.seal()
    holder.seal()


def test_a_keystore_that_is_away_for_a_moment_does_not_need_the_operators_again(tmp_path):
    """What they offered an earlier image of the process goes on counting."""
    away = [StoreUnavailable("the keystore did not answer")]

    def opener(provider):
        if away:
            raise away.pop()
        return opening([])(provider)

    holder = Holder(ByPassphrase(lambda _: "root"), opener, SealMark(tmp_path / "sealed", ENTROPY), [b"offered"])
    with pytest.raises(StoreUnavailable):
        holder.start()
    assert holder.unattended
    holder.start()
    assert holder.progress().state is KeyState.UNSEALED
    assert not Holder(ByPassphrase(lambda _: "root"), opener, SealMark(tmp_path / "sealed", ENTROPY)).unattended


def test_a_seal_that_cannot_be_written_down_is_no_seal(tmp_path):
    holder = Holder(Unattended("root"), opening([]), SealMark(tmp_path / "absent" / "sealed", ENTROPY))
    holder.start()
    with pytest.raises(StoreFull):
        holder.seal()
    assert holder.progress().state is KeyState.UNSEALED


def test_only_what_was_offered_goes_to_the_next_image(mark):
    holder = Holder(Shares(), opening([]), mark)
    for share in (b"1", b"2", b"3"):
        holder.offer(share)
    later = Holder(Shares(), opening([]), mark, holder.secrets)
    later.start()
    assert later.progress().state is KeyState.UNSEALED
    later.seal()
    assert later.secrets == ()


def test_two_offers_at_once_are_not_mixed(mark):
    holder = Holder(Shares(), opening([]), mark)
    with holder._lock, pytest.raises(Conflict):
        holder.offer(b"1")


@pytest.fixture
def attended(tmp_path):
    """A holder over a keystore whose root needs a passphrase."""

    def provider(passphrase):
        return PassphraseProvider(tmp_path / "root.sealed", passphrase, ENTROPY, FLOOR)

    made = provider(PASSPHRASE)
    create_keystore(tmp_path / "keys.db", made, DEPLOYMENT, Geometry(8, 2), entropy=ENTROPY, clock=SystemClock())
    client = HeldClient(lambda: None, unsealer=ByPassphrase(provider))
    client.holder._opener = lambda root: open_keystore(tmp_path / "keys.db", root, DEPLOYMENT)
    with closing(client):
        yield client


def test_a_passphrase_opens_over_the_socket_and_a_wrong_one_does_not(attended):
    assert attended.status().state is KeyState.SEALED
    for wrong in (b"not the passphrase at all", b"short"):
        with pytest.raises(Sealed):
            attended.offer(wrong)
        assert attended.progress().given == 0
    assert attended.offer(PASSPHRASE).state is KeyState.UNSEALED
    assert attended.status().state is KeyState.UNSEALED
    assert attended.reserve(1)
    assert Happening.OPEN in attended.told


def test_others_are_answered_while_one_unseals(attended):
    """An Argon2id of some tenths of a second runs beside the one thread that serves."""
    offering = Thread(target=attended.offer, args=(PASSPHRASE,))
    offering.start()
    turns = 0
    while offering.is_alive():
        attended.progress()
        turns += 1
    offering.join()
    assert turns > 1
    assert attended.status().state is KeyState.UNSEALED


def test_sealing_over_the_socket_ends_the_image(attended):
    attended.offer(PASSPHRASE)
    assert attended.seal_vault().state is KeyState.SEALED
    attended._thread.join(10)
    assert attended.ended == [Ended.RENEW]
    assert Happening.SEALED in attended.told


def test_an_epoch_that_is_over_ends_the_image(attended):
    attended.offer(PASSPHRASE)
    attended.status()
    attended.server._epoch -= 1  # as if the image had opened an epoch earlier
    deadline = time.monotonic() + 120
    while not attended.ended and time.monotonic() < deadline:
        time.sleep(0.05)
    assert attended.ended == [Ended.RENEW]
    assert Happening.RENEWED in attended.told


def test_a_root_that_needs_nobody_is_tried_again_by_itself(tmp_path):
    """As a file that comes back, or a provider that answers again."""
    provider = KeyFileProvider(tmp_path / "root", ENTROPY)
    create_keystore(tmp_path / "keys.db", provider, DEPLOYMENT, Geometry(8, 2), entropy=ENTROPY, clock=SystemClock())
    away = []

    def opener():
        if away:
            raise away.pop()
        return open_keystore(tmp_path / "keys.db", provider, DEPLOYMENT)

    with closing(HeldClient(opener)) as held:
        away.append(Sealed("away"))
        held.holder.close()
        held.server._epoch = None  # as an image that found its root away when it started
        held.server._next_try = 0.0
        deadline = time.monotonic() + 120
        while held.status().state is KeyState.SEALED and time.monotonic() < deadline:
            time.sleep(0.1)
        assert held.status().state is KeyState.UNSEALED
    assert not away


class Uncounted:
    """A root of shares of which nobody knows any more how many there are."""

    @property
    def needed(self):
        raise Sealed("it is not known how many shares there are")

    total = needed


def test_where_the_count_of_shares_is_lost_the_holder_stays_sealed_and_goes_on(mark):
    holder = Holder(Uncounted(), opening([]), mark)
    for act in (holder.start, lambda: holder.offer(b"1")):
        with pytest.raises(Sealed, match="not known"):
            act()
    assert not holder.unattended
    assert holder.progress().state is KeyState.SEALED
    assert holder.seal().state is KeyState.SEALED
    assert mark.is_set()


def test_what_operators_offered_goes_over_where_no_other_process_reaches():
    descriptor = hand_over([b"one share", b"another"])
    with pytest.raises(OSError, match="No such device"):  # a pipe there would open, for every process of the account
        os.open(f"/proc/self/fd/{descriptor}", os.O_RDONLY)
    assert handed_over(descriptor) == [b"one share", b"another"]
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(descriptor)
    assert handed_over(hand_over([])) == []
    assert handed_over(None) == ()


@pytest.mark.parametrize(("said", "attachable"), [("0\n", True), ("1\n", False), ("3\n", False), (None, True)])
def test_a_kernel_that_lets_processes_attach_is_told_of(tmp_path, said, attachable):
    scope = tmp_path / "ptrace_scope"
    if said is not None:
        scope.write_text(said)
    assert hardening._attachable(scope) is attachable
