"""What an officer is told about the own ways in: every kind, counted until it is seen, and of nobody else."""

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from pyotp import TOTP

from api.cli.opened import OPERATOR
from vault import officers
from vault.governance import officerkeys
from vault.officers import Role
from vault.signin import codes, invitations, news, passkeys, sessions
from vault.signin.news import News
from vault.signin.sessions import Limits, Method

LIMITS = Limits(900, 36_000)
PASSWORD = "a long enough passphrase"


def run(vault, act):
    with vault.unit() as uow:
        made = act(uow)
        uow.commit()
    return made


def told(vault, officer_id):
    with vault.reading() as conn:
        return {each.kind: each.count for each in news.unseen(news.of(conn, officer_id))}


@pytest.fixture
def officer(vault):
    run(vault, lambda uow: officers.add(uow, "ines", Role.AUDITOR, PASSWORD, OPERATOR))
    return run(vault, lambda uow: officers.add(uow, "claire", Role.COMPLIANCE, PASSWORD, OPERATOR)).id


def test_every_change_of_a_way_in_is_told_to_its_officer_alone(vault, officer, clock):
    assert told(vault, officer) == {}
    secret = b"s" * 20
    code = TOTP(codes.spelt(secret)).at(clock.now())
    key = Ed25519PrivateKey.from_private_bytes(bytes(32)).public_key()
    public = officerkeys.read_public(key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
    for act, kind in (
        (lambda uow: invitations.invite(uow, officer, OPERATOR), News.INVITED),
        (lambda uow: codes.set_up(uow, officer, PASSWORD, secret, code), News.CODE_SET_UP),
        (lambda uow: passkeys.add(uow, officer, b"id-1", b"key", 0, ""), News.PASSKEY_ADDED),
        (lambda uow: passkeys.remove(uow, officer, b"id-1"), News.PASSKEY_REMOVED),
        (lambda uow: codes.change_password(uow, officer, "seven lamps by the quay"), News.PASSWORD_CHANGED),
        (lambda uow: officerkeys.register(uow, officer, public, OPERATOR), News.KEY_REGISTERED),
    ):
        run(vault, act)
        assert told(vault, officer) == {kind: 1}, kind
        run(vault, lambda uow: news.seen(uow, officer))
    assert told(vault, "ines") == {}


def test_failed_tries_are_counted_and_those_with_the_right_password_apart(vault, officer, clock):
    secret = b"s" * 20
    run(vault, lambda uow: codes.set_up(uow, officer, PASSWORD, secret, TOTP(codes.spelt(secret)).at(clock.now())))
    run(vault, lambda uow: news.seen(uow, officer))
    clock.advance(30)
    for password, code in (("wrong passphrase", "000000"), (PASSWORD, "000000"), (PASSWORD, "abc"), ("", "")):
        assert not codes.proves(vault, officer, password, code)
    assert not codes.proves(vault, "ines", "wrong passphrase", "000000")  # who has no code is told too
    assert not codes.proves(vault, "nobody", PASSWORD, "000000")
    assert not codes.knows(vault, officer, "wrong passphrase")
    assert told(vault, officer) == {News.TRIED: 3, News.HALF_PROVEN: 2}
    assert told(vault, "ines") == {News.TRIED: 1}
    assert told(vault, "nobody") == {}
    clock.advance(30)
    assert codes.proves(vault, officer, PASSWORD, TOTP(codes.spelt(secret)).at(clock.now()))
    assert told(vault, officer) == {News.TRIED: 3, News.HALF_PROVEN: 2}  # getting in makes nothing of it undone


def test_the_sign_in_before_this_one_is_told(vault, officer, clock):
    for _ in range(2):
        clock.advance(1000)
        door = run(vault, sessions.begin)
        run(vault, lambda uow, door=door: sessions.sign_in(uow, door, officer, Method.PASSKEY, LIMITS))
    with vault.reading() as conn:
        found = news.of(conn, officer)
    assert (found[News.SIGNED_IN].at, found[News.SIGNED_IN].before_at) == (clock.now(), clock.now() - 1000)
    assert news.unseen(found) == []
