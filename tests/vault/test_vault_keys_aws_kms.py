"""AWS KMS: what an alias leads to, what deletion means until its date, and what a service that is away means.

On a fake that refuses disabled and pending keys, behind the real client. moto opens with both, so that a green
destruction test on moto would say nothing.
"""

import json
from contextlib import ExitStack
from datetime import UTC, datetime

import pytest
from root_homes import credentials, home_of
from strict_services import DAY, Refusal, StrictKms, served

from vault.errors import IntegrityFailure, Sealed
from vault.keys.provider import RootState, RootStatus
from vault.keys.providers import aws_kms

REF = "00112233445566778899aabbccddeeff"
ALIAS = f"alias/ecrin-root-{REF}"
KEY = bytes(range(32))
CONTEXT = b"deployment and epoch"


@pytest.fixture
def home(request, tmp_path, clock):
    with ExitStack() as stack:
        yield home_of("strict kms", tmp_path, clock, request, stack)


@pytest.fixture
def kms(home):
    return home.service


@pytest.fixture
def made(home):
    provider = home.open()
    provider.create(REF)
    return provider


FRAMED = b"\x01" + bytes.fromhex(REF) + bytes(60)


def refuses(provider, wrapped=FRAMED):
    for verb in (
        lambda: provider.create(REF),
        lambda: provider.wrap(REF, KEY, CONTEXT),
        lambda: provider.unwrap(REF, wrapped, CONTEXT),
    ):
        with pytest.raises(Sealed):
            verb()
    return True


def test_a_key_is_made_once_and_named(made, home, kms):
    home.open().create(REF)
    assert list(kms.aliases) == [ALIAS]
    assert len(kms.keys) == 1


def test_an_alias_pointed_at_the_groups_own_key_is_refused_by_every_verb(made, kms):
    """The mistake that would cancel every erasure."""
    wrapped = made.wrap(REF, KEY, CONTEXT)
    kms.aliases[ALIAS] = kms.make("the group's key, since 2019")
    assert refuses(made, wrapped)
    with pytest.raises(Sealed):
        made.destroy(REF)
    assert made.status(REF).state is RootState.UNKNOWN
    assert {key["KeyState"] for key in kms.keys.values()} == {"Enabled"}


@pytest.mark.parametrize(
    "metadata",
    [
        {"Origin": "EXTERNAL"},  # deleted material can be imported again
        {"Origin": "AWS_CLOUDHSM", "CustomKeyStoreId": "cks-1"},
        {"CustomKeyStoreId": "cks-1"},
        {"MultiRegion": True},
        {"KeyManager": "AWS"},
        {"KeyUsage": "GENERATE_VERIFY_MAC"},
        {"KeySpec": "RSA_4096"},
        {"Description": "ecrin root " + "f" * 32},  # another epoch's
    ],
)
def test_a_key_of_another_make_is_refused(home, kms, metadata):
    kms.aliases[ALIAS] = kms.make(f"ecrin root {REF}", **metadata)
    assert refuses(home.open())


def test_a_disabled_key_opens_nothing_and_is_not_gone(made, kms):
    wrapped = made.wrap(REF, KEY, CONTEXT)
    kms.keys[kms.aliases[ALIAS]]["KeyState"] = "Disabled"
    assert refuses(made, wrapped)
    assert made.status(REF) == RootStatus(RootState.LIVE)
    kms.keys[kms.aliases[ALIAS]]["KeyState"] = "Enabled"
    assert made.unwrap(REF, wrapped, CONTEXT) == KEY


def test_the_service_itself_refuses_a_key_about_to_be_deleted(made, kms):
    """Not only our look beforehand: the fake is asked directly, with the client's own call."""
    wrapped = made.wrap(REF, KEY, CONTEXT)
    arn = kms.aliases[ALIAS]
    made.destroy(REF)
    asked = json.loads(json.dumps(kms.requests[-1][1]))  # the last request was a look
    assert asked == {"KeyId": ALIAS}
    with pytest.raises(Refusal, match="KMSInvalidStateException"):
        kms.Encrypt(arn, "", {})
    assert refuses(made, wrapped)


def test_deletion_takes_effect_on_the_day_the_service_says(made, home, kms):
    wrapped = made.wrap(REF, KEY, CONTEXT)
    told = made.destroy(REF)
    assert told.effective_at == home.clock.now() + 7 * DAY
    home.clock.advance(7 * DAY - 1)
    assert made.status(REF) == RootStatus(RootState.PENDING, told.effective_at)
    assert made.destroy(REF).effective_at == told.effective_at
    home.clock.advance(1)
    assert made.status(REF) == RootStatus(RootState.GONE)
    assert not kms.keys
    assert "has no key" in made.destroy(REF).evidence
    with pytest.raises(Sealed):
        made.unwrap(REF, wrapped, CONTEXT)


def test_a_cancelled_deletion_is_told(made, kms):
    """Why the class is B and not A: until the date, an administrator may take the order back."""
    made.destroy(REF)
    key = kms.keys[kms.aliases[ALIAS]]
    key["KeyState"] = "Disabled"
    del key["DeletionDate"]
    assert made.status(REF) == RootStatus(RootState.LIVE)
    assert made.destroy(REF).effective_at > 0


@pytest.mark.parametrize("days", [-1, 0, 1, 6, 31, 365])
def test_a_window_that_the_service_does_not_have_is_refused(clock, days):
    with pytest.raises(ValueError, match="7 to 30"):
        aws_kms.AwsKmsProvider(None, clock, days)


def test_the_window_is_the_one_that_was_set(home, made, kms):
    provider = aws_kms.AwsKmsProvider(made._kms, home.clock, 30)
    assert provider.capabilities.minimum_delay == 30 * DAY
    assert provider.destroy(REF).effective_at == home.clock.now() + 30 * DAY


def test_of_two_that_create_at_once_one_key_remains(home, kms):
    """The slower one finds the alias taken, orders its own key deleted and uses the other."""
    fast, slow = home.open(), home.open()
    plain = kms.CreateKey

    def overtaken(**asked):
        answer = plain(**asked)
        kms.CreateKey = plain
        kms.lock.release()  # the fake answers one request at a time
        fast.create(REF)
        kms.lock.acquire()
        return answer

    kms.CreateKey = overtaken
    slow.create(REF)
    assert slow.unwrap(REF, fast.wrap(REF, KEY, CONTEXT), CONTEXT) == KEY
    (live,) = [arn for arn, key in kms.keys.items() if key["KeyState"] == "Enabled"]
    assert kms.aliases == {ALIAS: live}
    assert len(kms.keys) == 2


def test_what_the_service_may_write_to_its_trail_says_nothing(made, kms):
    made.wrap(REF, KEY, CONTEXT)
    ((_, asked),) = [each for each in kms.requests if each[0] == "Encrypt"]
    assert set(asked["EncryptionContext"]) == {"ecrin-root", "ecrin-context"}
    assert CONTEXT.decode() not in str(asked)
    assert len(asked["EncryptionContext"]["ecrin-context"]) == 64


@pytest.mark.parametrize(
    "code", ["AccessDeniedException", "LimitExceededException", "NotFoundException", "KMSInternalException"]
)
def test_a_refusal_between_two_calls_is_sealed_and_quotes_nothing(made, kms, code):
    def refuse(**asked):
        raise Refusal(code)

    wrapped = made.wrap(REF, KEY, CONTEXT)
    kms.Encrypt = kms.Decrypt = kms.ScheduleKeyDeletion = refuse
    for verb in (
        lambda: made.wrap(REF, KEY, CONTEXT),
        lambda: made.unwrap(REF, wrapped, CONTEXT),
        lambda: made.destroy(REF),
    ):
        with pytest.raises(Sealed) as caught:
            verb()
        assert caught.value.__suppress_context__
        assert code not in str(caught.value)


def test_a_service_that_is_away_tells_no_status(clock):
    with credentials(), served(StrictKms(clock)) as url:
        pass
    with credentials():
        provider = aws_kms.AwsKmsProvider(aws_kms.connect("eu-west-3", url), clock)
        assert refuses(provider)
        assert provider.status(REF).state is RootState.UNKNOWN
        with pytest.raises(Sealed):
            provider.destroy(REF)


def test_an_order_that_the_service_forgot_is_no_destruction(made, kms):
    kms.ScheduleKeyDeletion = lambda **asked: {}
    with pytest.raises(Sealed, match="did not take the order"):
        made.destroy(REF)


@pytest.mark.parametrize("answer", [{}, {"KeyId": "x"}])
def test_an_answer_that_is_none_is_sealed(made, kms, answer):
    wrapped = made.wrap(REF, KEY, CONTEXT)
    kms.Encrypt = kms.Decrypt = lambda **asked: answer
    for verb in (lambda: made.wrap(REF, KEY, CONTEXT), lambda: made.unwrap(REF, wrapped, CONTEXT)):
        with pytest.raises(Sealed):
            verb()
    kms.DescribeKey = lambda **asked: answer
    assert refuses(made)
    assert made.status(REF).state is RootState.UNKNOWN


def test_a_key_of_another_length_is_not_taken(made, kms):
    wrapped = made.wrap(REF, KEY, CONTEXT)
    kms.Decrypt = lambda **asked: {"Plaintext": "AAAA", "KeyId": "x"}
    with pytest.raises(IntegrityFailure):
        made.unwrap(REF, wrapped, CONTEXT)


def test_the_date_is_the_services_and_not_ours(made, home, kms):
    told = made.destroy(REF)
    date = kms.keys[kms.aliases[ALIAS]]["DeletionDate"]
    assert datetime.fromtimestamp(told.effective_at, UTC) == datetime.fromtimestamp(date, UTC)
