"""One contract for every provider of roots: whatever holds them, this is what the keystore relies on."""

import secrets
from contextlib import ExitStack

import pytest
from root_homes import CLASSES, KINDS, WEEK, home_of

from vault.errors import IntegrityFailure, Sealed, VaultError
from vault.keys.provider import DestructionClass, RootState, RootStatus

KEY = bytes(range(32))
CONTEXT = b"deployment and epoch"
REFUSED = (Sealed, IntegrityFailure)
NO_NAMES = (
    "",
    "0" * 31,
    "0" * 33,
    "G" * 32,
    "A" * 32,
    "0" * 32 + "\n",
    "../" + "0" * 29,
    "alias/the-group-key",
    "arn:aws:kms:eu-west-3:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab",
    "1234abcd-12ab-34cd-56ef-1234567890ab",
)


@pytest.fixture(params=KINDS)
def home(request, tmp_path, clock):
    with ExitStack() as stack:
        yield home_of(request.param, tmp_path / "roots", clock, request, stack)


@pytest.fixture
def ref():
    return secrets.token_hex(16)  # one token serves the whole session


@pytest.fixture
def made(home, ref):
    provider = home.open()
    provider.create(ref)
    return provider


def test_what_is_wrapped_is_unwrapped_also_after_reopening(home, made, ref):
    wrapped = made.wrap(ref, KEY, CONTEXT)
    for provider in (made, home.open()):
        assert provider.unwrap(ref, wrapped, CONTEXT) == KEY
        assert provider.unwrap(ref, provider.wrap(ref, bytes(32), b""), b"") == bytes(32)
    assert KEY not in wrapped
    assert made.wrap(ref, KEY, CONTEXT) != wrapped


def test_creating_again_keeps_the_root(home, made, ref):
    wrapped = made.wrap(ref, KEY, CONTEXT)
    for provider in (made, home.open()):
        provider.create(ref)
        assert provider.unwrap(ref, wrapped, CONTEXT) == KEY


def test_another_root_is_sealed_and_another_context_an_integrity_failure(home, made, ref):
    other = secrets.token_hex(16)
    made.create(other)
    wrapped = made.wrap(ref, KEY, CONTEXT)
    with pytest.raises(Sealed):
        made.unwrap(other, wrapped, CONTEXT)
    for context in (b"", CONTEXT[:-1], CONTEXT + b"\0", b"deployment and epocH"):
        with pytest.raises(IntegrityFailure) as caught:
            made.unwrap(ref, wrapped, context)
        assert caught.value.__suppress_context__


def test_no_altered_byte_passes(made, ref):
    wrapped = made.wrap(ref, KEY, CONTEXT)
    altered = [wrapped[:at] + bytes([wrapped[at] ^ 1]) + wrapped[at + 1 :] for at in range(len(wrapped))]
    altered += [wrapped[:at] for at in range(0, len(wrapped), 7)]
    altered += [wrapped + b"\0", b"\0" + wrapped, bytes(len(wrapped)), bytes(100_000)]
    for each in altered:
        with pytest.raises(REFUSED):
            made.unwrap(ref, each, CONTEXT)
    assert made.unwrap(ref, wrapped, CONTEXT) == KEY


def test_a_root_that_was_never_made_is_not_made_by_using_it(home, ref):
    provider = home.open()
    for verb in (lambda: provider.wrap(ref, KEY, CONTEXT), lambda: provider.unwrap(ref, bytes(136), CONTEXT)):
        with pytest.raises(Sealed):
            verb()
    never = RootState.UNKNOWN if provider.capabilities.remembers else RootState.GONE
    assert provider.status(ref) == RootStatus(never)


def test_nothing_but_32_bytes_crosses(made, ref):
    for size in (0, 16, 31, 33, 64, 4096):
        with pytest.raises(ValueError, match="32 bytes"):
            made.wrap(ref, bytes(size), CONTEXT)


@pytest.mark.parametrize("name", NO_NAMES)
def test_nothing_but_a_roots_own_name_names_it(home, name):
    """No path, no alias, no address of a key that somebody else made."""
    provider = home.open()
    for verb in (
        lambda: provider.create(name),
        lambda: provider.wrap(name, KEY, CONTEXT),
        lambda: provider.unwrap(name, bytes(136), CONTEXT),
        lambda: provider.status(name),
        lambda: provider.destroy(name),
    ):
        with pytest.raises(ValueError, match="32 hexadecimal digits"):
            verb()


def test_a_destroyed_root_opens_nothing_ever_again(home, made, ref):
    wrapped = made.wrap(ref, KEY, CONTEXT)
    before = home.open()  # another process, which has the root open
    assert before.unwrap(ref, wrapped, CONTEXT) == KEY
    made.destroy(ref)
    for provider in (made, before, home.open()):
        for verb in (lambda p=provider: p.unwrap(ref, wrapped, CONTEXT), lambda p=provider: p.wrap(ref, KEY, CONTEXT)):
            with pytest.raises(Sealed) as caught:
                verb()
            assert caught.value.__cause__ is None
    again = home.open()
    try:
        again.create(ref)
    except Sealed:
        assert again.status(ref).state in {RootState.GONE, RootState.PENDING}
    else:  # a provider that does not remember draws another root: it must not open what the first one wrapped
        assert not again.capabilities.remembers
        with pytest.raises(REFUSED):
            again.unwrap(ref, wrapped, CONTEXT)


def test_destroying_leaves_every_other_root(home, made, ref):
    other = secrets.token_hex(16)
    made.create(other)
    wrapped = made.wrap(other, KEY, CONTEXT)
    made.destroy(ref)
    for provider in (made, home.open()):
        assert provider.unwrap(other, wrapped, CONTEXT) == KEY
        assert provider.status(other) == RootStatus(RootState.LIVE)


def test_destruction_is_told_with_its_class_its_date_and_evidence(home, made, ref):
    told = made.destroy(ref)
    assert told.destruction_class is CLASSES.get(home.kind, DestructionClass.BEST_EFFORT)
    assert told.destruction_class is made.capabilities.destruction_class
    assert ref in told.evidence or "arn:" in told.evidence
    if home.kind != "moto kms":  # which lives in another time
        assert told.effective_at == home.clock.now() + made.capabilities.minimum_delay


def test_destroying_again_is_success_and_does_not_move_the_date(home, made, ref):
    first = made.destroy(ref)
    home.clock.advance(3600)
    for provider in (made, home.open()):
        again = provider.destroy(ref)
        assert again.destruction_class is first.destruction_class
        if provider.capabilities.remembers or provider.capabilities.minimum_delay:
            assert again.effective_at == first.effective_at


def test_status_goes_one_way(home, made, ref):
    assert made.status(ref) == RootStatus(RootState.LIVE)
    told = made.destroy(ref)
    for provider in (made, home.open()):
        if provider.capabilities.minimum_delay:
            assert provider.status(ref) == RootStatus(RootState.PENDING, told.effective_at)
        else:
            assert provider.status(ref) == RootStatus(RootState.GONE)


def test_destroying_what_never_was_is_no_destruction_where_that_can_be_told(home, ref):
    provider = home.open()
    if provider.capabilities.remembers:
        with pytest.raises(Sealed):
            provider.destroy(ref)
        assert provider.status(ref).state is RootState.UNKNOWN
    else:
        assert "has no key" in provider.destroy(ref).evidence


def test_capabilities_say_what_the_certificate_repeats(home):
    said = home.open().capabilities
    delay = WEEK if home.kind.endswith("kms") else 0
    keeps = home.kind in {"file", "passphrase", "shamir"}
    assert said.destruction_class is CLASSES.get(home.kind, DestructionClass.BEST_EFFORT)
    assert (said.minimum_delay, said.exportable) == (delay, keeps)
    assert said.provider_copies is (said.destruction_class is DestructionClass.BEST_EFFORT)


def test_nothing_shows_a_secret(home, made, ref):
    wrapped = made.wrap(ref, KEY, CONTEXT)
    shown = [repr(made), str(made), repr(made.capabilities), repr(made.destroy(ref))]
    for verb in (
        lambda: made.unwrap(ref, wrapped, CONTEXT),
        lambda: made.unwrap("0" * 32, wrapped, CONTEXT),
        lambda: made.wrap(ref, KEY, CONTEXT),
        lambda: made.create(ref),
    ):
        try:
            verb()
        except VaultError as error:
            shown.append(f"{error!r} {error.__cause__!r}")
            assert error.__suppress_context__ or error.__context__ is None
    for secret in (*home.secrets, KEY, CONTEXT, wrapped):
        for form in (repr(secret)[2:-1], secret.hex(), secret.decode("latin-1")):
            assert not [text for text in shown if form in text]
