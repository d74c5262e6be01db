"""Officers sign in: sessions that are replaced, passkeys, one-time codes with a guard, set-up codes that are good once."""

import threading
import time
from hashlib import sha256

import pytest
from pyotp import TOTP

from api.cli.opened import OPERATOR
from vault import housekeeping, officers
from vault.errors import Conflict, InvalidRegistration, SessionOver, UnknownCredential, UnknownOfficer
from vault.officers import Role
from vault.signin import codes, invitations, passkeys, sessions
from vault.signin.passkeys import LastWayIn
from vault.signin.sessions import Limits, Method, Stage

LIMITS = Limits(900, 36_000)
PASSWORD = "a long enough passphrase"


def run(vault, act):
    with vault.unit() as uow:
        made = act(uow)
        uow.commit()
    return made


@pytest.fixture
def officer(vault):
    return run(vault, lambda uow: officers.add(uow, "claire", Role.COMPLIANCE, PASSWORD, OPERATOR)).id


def signed_in(vault, officer):
    door = run(vault, sessions.begin)
    return run(vault, lambda uow: sessions.sign_in(uow, door, officer, Method.PASSKEY, LIMITS))


def code_of(session, clock, steps=0):
    return TOTP(codes.spelt(session.enrolment)).at(clock.now() + 30 * steps)


def with_code(vault, officer, clock):
    session = signed_in(vault, officer)
    code = code_of(session, clock)
    run(vault, lambda uow: codes.set_up(uow, officer, PASSWORD, session.enrolment, code))
    return session


def acts(vault):
    with vault.engine.connect() as conn:
        bodies = conn.exec_driver_sql("SELECT body FROM log_entry ORDER BY idx").scalars().all()
    return [bytes(each) for each in bodies]


def test_a_token_is_stored_as_its_hash_alone(vault, officer):
    session = signed_in(vault, officer)
    with vault.engine.connect() as conn:
        rows = conn.exec_driver_sql("SELECT * FROM officer_session").all()
    stored = b"".join(bytes(part) if isinstance(part, bytes | memoryview) else str(part).encode() for part in rows[0])
    assert sha256(session.token).digest() in stored
    for secret in (session.token, session.challenge, session.enrolment):
        assert secret not in stored
        assert secret.hex() not in repr(session)
    assert session.csrf.encode() not in stored


def test_every_step_ends_the_session_before_it(vault, officer):
    door = run(vault, sessions.begin)
    opened = run(vault, lambda uow: sessions.sign_in(uow, door, officer, Method.PASSKEY, LIMITS))
    raised = run(vault, lambda uow: sessions.step_up(uow, opened, Method.PASSKEY))
    assert len({door.token, opened.token, raised.token}) == 3
    assert len({door.challenge, opened.challenge, raised.challenge}) == 3
    assert sessions.find(vault, door.token, LIMITS) is sessions.find(vault, opened.token, LIMITS) is None
    assert sessions.find(vault, raised.token, LIMITS).officer.id == officer
    for over in (door, opened):
        with pytest.raises(SessionOver):
            run(vault, lambda uow, over=over: sessions.sign_in(uow, over, officer, Method.PASSKEY, LIMITS))
        with pytest.raises(SessionOver):
            run(vault, lambda uow, over=over: sessions.step_up(uow, over, Method.PASSKEY))
    assert sum(b'"auth.succeeded"' in each for each in acts(vault)) == 2


def test_a_session_ends_when_it_is_not_used_and_at_last_in_any_case(vault, officer, clock):
    session = signed_in(vault, officer)
    for _ in range(39):
        clock.advance(899)
        assert sessions.find(vault, session.token, LIMITS) is not None
    clock.advance(898)
    assert sessions.find(vault, session.token, LIMITS) is not None
    clock.advance(41)
    assert sessions.find(vault, session.token, LIMITS) is None  # ten hours are over
    other = signed_in(vault, officer)
    clock.advance(900)
    assert sessions.find(vault, other.token, LIMITS) is None


def test_more_is_allowed_for_five_minutes_and_a_step_up_does_not_lengthen_a_session(vault, officer, clock):
    session = signed_in(vault, officer)
    clock.advance(299)
    assert session.is_raised(clock.now())
    clock.advance(1)
    assert not session.is_raised(clock.now())
    raised = run(vault, lambda uow: sessions.step_up(uow, session, Method.CODE))
    assert raised.is_raised(clock.now())
    assert raised.expires_at == session.expires_at


def test_a_disabled_officer_is_out_at_once(vault, officer):
    session = signed_in(vault, officer)
    run(vault, lambda uow: officers.disable(uow, officer, OPERATOR))
    assert sessions.find(vault, session.token, LIMITS) is None
    door = run(vault, sessions.begin)
    with pytest.raises(SessionOver):
        run(vault, lambda uow: sessions.sign_in(uow, door, officer, Method.PASSKEY, LIMITS))


def test_signing_out_is_final_and_in_the_log(vault, officer):
    session, other = signed_in(vault, officer), signed_in(vault, officer)
    run(vault, lambda uow: sessions.end(uow, session))
    run(vault, lambda uow: sessions.end(uow, session))
    assert sessions.find(vault, session.token, LIMITS) is None
    assert sessions.find(vault, other.token, LIMITS) is not None
    assert sum(b'"auth.ended"' in each for each in acts(vault)) == 1
    run(vault, lambda uow: sessions.end_others(uow, session))
    assert sessions.find(vault, other.token, LIMITS) is None


def test_a_door_leads_nowhere_by_itself_and_old_rows_go(vault, officer, clock):
    door = run(vault, sessions.begin)
    found = sessions.find(vault, door.token, LIMITS)
    assert (found.stage, found.officer) == (Stage.DOOR, None)
    with pytest.raises(SessionOver):
        run(vault, lambda uow: sessions.step_up(uow, door, Method.PASSKEY))
    clock.advance(sessions.DOOR_SECONDS + housekeeping.GRACE_SECONDS + 1)
    assert housekeeping.purge(vault).sessions == 1


def test_a_code_is_good_once_and_only_now(vault, officer, clock):
    session = with_code(vault, officer, clock)
    assert codes.is_set_up(vault, officer)
    assert not codes.proves(vault, officer, PASSWORD, code_of(session, clock))  # used to set up
    clock.advance(30)
    good = code_of(session, clock)
    assert not codes.proves(vault, officer, "another passphrase", good)
    assert codes.proves(vault, officer, PASSWORD, good)
    assert not codes.proves(vault, officer, PASSWORD, good)
    clock.advance(300)
    for wrong in (
        code_of(session, clock, -3),
        code_of(session, clock, 3),
        code_of(session, clock, -1),  # shown until a moment ago
        "",
        "12345",
        "abcdef",
        "\uff11\uff12\uff13\uff14\uff15\uff16",
    ):
        assert not codes.proves(vault, officer, PASSWORD, wrong)
    assert not codes.proves(vault, officer, PASSWORD, code_of(session, clock, 1))  # not shown yet
    assert codes.proves(vault, officer, PASSWORD, code_of(session, clock))
    assert not codes.proves(vault, officer, PASSWORD, code_of(session, clock))


def test_guessing_closes_this_way_for_a_quarter_of_an_hour(vault, officer, clock):
    session = with_code(vault, officer, clock)
    clock.advance(60)
    for _ in range(codes.MOST_FAILURES):
        assert not codes.proves(vault, officer, "wrong passphrase", "000000")
    assert not codes.proves(vault, officer, PASSWORD, code_of(session, clock))
    clock.advance(codes.WINDOW_SECONDS)
    assert codes.proves(vault, officer, PASSWORD, code_of(session, clock))


def test_whoever_has_no_code_or_does_not_exist_does_not_get_in(vault, officer):
    assert not codes.proves(vault, officer, PASSWORD, "123456")
    assert not codes.proves(vault, "nobody", PASSWORD, "123456")


def test_a_set_up_needs_a_code_of_that_secret_and_a_password(vault, officer, clock):
    session = signed_in(vault, officer)
    for password, code in ((PASSWORD, "000000"), ("short", code_of(session, clock))):
        with pytest.raises(InvalidRegistration):
            run(vault, lambda uow, p=password, c=code: codes.set_up(uow, officer, p, session.enrolment, c))
    assert not codes.is_set_up(vault, officer)
    assert "otpauth://totp/" in codes.link(session.enrolment, officer, "ecrin-test")


def test_a_set_up_code_is_good_once_for_a_day_and_replaces_the_one_before(vault, officer, clock):
    first = run(vault, lambda uow: invitations.invite(uow, officer, OPERATOR))
    code = run(vault, lambda uow: invitations.invite(uow, officer, OPERATOR))
    for wrong in (first, "", code[:-1], "é" * 26):
        with pytest.raises(UnknownCredential):
            run(vault, lambda uow, wrong=wrong: invitations.accept(uow, wrong))
    assert run(vault, lambda uow: invitations.accept(uow, f" {code.lower()} ")) == officer
    with pytest.raises(UnknownCredential):
        run(vault, lambda uow: invitations.accept(uow, code))
    late = run(vault, lambda uow: invitations.invite(uow, officer, OPERATOR))
    clock.advance(invitations.SECONDS)
    with pytest.raises(UnknownCredential):
        run(vault, lambda uow: invitations.accept(uow, late))
    with vault.engine.connect() as conn:
        assert code.replace("-", "") not in str(conn.exec_driver_sql("SELECT * FROM officer_invitation").all())


def test_a_set_up_code_is_none_once_its_officer_was_disabled(vault, officer):
    code = run(vault, lambda uow: invitations.invite(uow, officer, OPERATOR))
    run(vault, lambda uow: officers.disable(uow, officer, OPERATOR))
    with pytest.raises(UnknownCredential):
        run(vault, lambda uow: invitations.accept(uow, code))


def test_a_renewed_session_is_the_same_under_another_token(vault, officer, clock):
    session = signed_in(vault, officer)
    clock.advance(60)
    fresh = run(vault, lambda uow: sessions.renew(uow, session))
    assert sessions.find(vault, session.token, LIMITS) is None
    found = sessions.find(vault, fresh.token, LIMITS)
    assert (found.method, found.stepped_at, found.expires_at) == (
        session.method,
        session.stepped_at,
        session.expires_at,
    )
    with vault.reading() as conn:
        (listed,) = sessions.listed(conn, clock.now(), LIMITS, officer)
    assert listed.opened_at == clock.now() - 60
    with pytest.raises(SessionOver):
        run(vault, lambda uow: sessions.renew(uow, session))


def test_nobody_is_invited_who_may_not_come(vault, officer):
    run(vault, lambda uow: officers.disable(uow, officer, OPERATOR))
    run(vault, lambda uow: officers.add(uow, officers.FOUNDERS[0], Role.COMPLIANCE, PASSWORD, OPERATOR))
    for nobody in (officer, officers.FOUNDERS[0], "nobody"):
        with pytest.raises(UnknownOfficer):
            run(vault, lambda uow, nobody=nobody: invitations.invite(uow, nobody, OPERATOR))


def test_passkeys_are_kept_counted_and_removed_by_their_officer_alone(vault, officer, clock):
    run(vault, lambda uow: passkeys.add(uow, officer, b"id-1", b"key", 0, "  the  desk \n"))
    with pytest.raises(Conflict):
        run(vault, lambda uow: passkeys.add(uow, officer, b"id-1", b"key", 0, ""))
    with vault.reading() as conn:
        (kept,) = passkeys.of(conn, officer)
        assert passkeys.get(conn, b"id-2") is None
    assert (kept.label, kept.used_at) == ("the desk", None)
    assert "id-1" not in repr(kept)
    run(vault, lambda uow: passkeys.used(uow, kept, 7))
    with vault.reading() as conn:
        assert passkeys.get(conn, b"id-1").sign_count == 7
    with pytest.raises(UnknownCredential):
        run(vault, lambda uow: passkeys.remove(uow, "somebody", b"id-1"))
    with pytest.raises(LastWayIn):
        run(vault, lambda uow: passkeys.remove(uow, officer, b"id-1"))
    with_code(vault, officer, clock)
    run(vault, lambda uow: passkeys.remove(uow, officer, b"id-1"))
    with vault.reading() as conn:
        assert passkeys.of(conn, officer) == []


def test_two_passkeys_taken_away_at_once_leave_one(vault, officer):
    """The second one looks while the first is not committed; on PostgreSQL it would see both."""
    for each in (b"id-1", b"id-2"):
        run(vault, lambda uow, each=each: passkeys.add(uow, officer, each, b"key", 0, ""))
    outcomes = []

    def second():
        try:
            run(vault, lambda uow: passkeys.remove(uow, officer, b"id-2"))
            outcomes.append("gone")
        except LastWayIn:
            outcomes.append("refused")

    thread = threading.Thread(target=second)
    with vault.unit() as uow:
        passkeys.remove(uow, officer, b"id-1")
        thread.start()
        if vault.engine.dialect.name == "postgresql":
            while not outcomes and not waits(vault):  # as long as it takes to look, or to be made to wait
                time.sleep(0.01)
        uow.commit()
    thread.join()
    assert outcomes == ["refused"]
    with vault.reading() as conn:
        assert [each.credential_id for each in passkeys.of(conn, officer)] == [b"id-2"]


def waits(vault):
    with vault.reading() as conn:
        return conn.exec_driver_sql(
            "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
        ).scalar_one()


def test_a_changed_password_is_the_one_that_is_good_and_is_an_entry(vault, officer, clock):
    session = with_code(vault, officer, clock)
    assert not codes.knows(vault, officer, "another passphrase")
    assert codes.knows(vault, officer, PASSWORD)
    run(vault, lambda uow: codes.change_password(uow, officer, "seven lamps by the quay"))
    assert not codes.knows(vault, officer, PASSWORD)
    clock.advance(30)
    assert not codes.proves(vault, officer, PASSWORD, code_of(session, clock))
    assert codes.proves(vault, officer, "seven lamps by the quay", code_of(session, clock))
    (changed,) = [each for each in acts(vault) if b'"officer.credential_changed"' in each]
    assert b'"credential:password","officer:claire"' in changed
    assert b"lamps" not in changed


def test_guessing_the_present_password_closes_as_the_door_does(vault, officer, clock):
    session = with_code(vault, officer, clock)
    for _ in range(codes.MOST_FAILURES):
        assert not codes.knows(vault, officer, "wrong passphrase")
    clock.advance(30)
    assert not codes.knows(vault, officer, PASSWORD)
    assert not codes.proves(vault, officer, PASSWORD, code_of(session, clock))
    clock.advance(codes.WINDOW_SECONDS)
    assert codes.knows(vault, officer, PASSWORD)


def test_who_signs_in_with_passkeys_alone_has_no_password_to_change(vault, officer):
    assert not codes.knows(vault, officer, PASSWORD)
    assert not codes.knows(vault, "nobody", PASSWORD)


def test_an_enrolling_session_is_for_its_officer(vault, officer):
    door = run(vault, sessions.begin)
    enrolling = run(vault, lambda uow: sessions.enrol(uow, door, officer))
    assert sessions.find(vault, door.token, LIMITS) is None
    found = sessions.find(vault, enrolling.token, LIMITS)
    assert (found.stage, found.officer.id, found.stepped_at) == (Stage.ENROLLING, officer, None)
    with pytest.raises(SessionOver):
        run(vault, lambda uow: sessions.step_up(uow, found, Method.PASSKEY))


def test_sessions_are_listed_by_names_that_open_nothing(vault, officer, clock):
    first = signed_in(vault, officer)
    clock.advance(60)
    second = signed_in(vault, officer)
    run(vault, sessions.begin)
    with vault.reading() as conn:
        found = sessions.listed(conn, clock.now(), LIMITS, officer)
        assert sessions.listed(conn, clock.now(), LIMITS, "nobody") == []
        assert sessions.listed(conn, clock.now() + 900, LIMITS) == []
    assert [(each.opened_at, each.method) for each in found] == [
        (clock.now(), Method.PASSKEY), (clock.now() - 60, Method.PASSKEY)
    ]  # fmt: skip
    assert [sessions.is_named(second, each.name) for each in found] == [True, False]
    for each in found:
        assert sessions.find(vault, bytes.fromhex(each.name) * 4, LIMITS) is None
        assert each.name not in {first.token.hex()[:16], second.token.hex()[:16], second.csrf[:16]}
    clock.advance(60)
    run(vault, lambda uow: sessions.step_up(uow, second, Method.CODE))
    with vault.reading() as conn:
        (newest, *_) = sessions.listed(conn, clock.now(), LIMITS, officer)
    assert (newest.opened_at, newest.seen_at) == (clock.now() - 60, clock.now())  # it is the session that it was


def test_an_officer_ends_the_own_sessions_one_by_one_or_all_but_this(vault, officer, clock):
    stranger = run(vault, lambda uow: officers.add(uow, "ines", Role.AUDITOR, PASSWORD, OPERATOR)).id
    theirs = signed_in(vault, stranger)
    mine, lost, third = (signed_in(vault, officer) for _ in range(3))

    def name_of(session):
        return sha256(session.token).hexdigest()[:16]

    for nothing in ("", "zz", name_of(mine), name_of(theirs)):
        assert run(vault, lambda uow, name=nothing: sessions.end_named(uow, mine, name)) == 0
    assert run(vault, lambda uow: sessions.end_named(uow, mine, name_of(lost))) == 1
    alive = [sessions.find(vault, each.token, LIMITS) is not None for each in (mine, lost, third, theirs)]
    assert alive == [True, False, True, True]
    assert run(vault, lambda uow: sessions.end_others(uow, mine)) == 1
    alive = [sessions.find(vault, each.token, LIMITS) is not None for each in (mine, third, theirs)]
    assert alive == [True, False, True]
    ended = [each for each in acts(vault) if b'"auth.ended"' in each]
    assert len(ended) == 2
    assert all(b'"n":1' in each and b'"auth.others","officer:claire"' in each for each in ended)


def test_with_one_session_too_many_the_one_unused_longest_ends(vault, officer, clock):
    opened = []
    for _ in range(sessions.MOST):
        clock.advance(60)
        opened.append(signed_in(vault, officer))
    sessions.find(vault, opened[0].token, LIMITS)  # used now: not the one that goes
    clock.advance(60)
    opened.append(signed_in(vault, officer))
    alive = [sessions.find(vault, each.token, LIMITS) is not None for each in opened]
    assert alive == [True, False, *[True] * (sessions.MOST - 1)]
    (ended,) = [each for each in acts(vault) if b'"auth.ended"' in each]
    assert b'"auth.too_many_sessions"' in ended
    raised = run(vault, lambda uow: sessions.step_up(uow, opened[-1], Method.CODE))  # no session more
    assert sessions.find(vault, opened[0].token, LIMITS)
    assert sessions.find(vault, raised.token, LIMITS)


def test_an_operator_ends_one_officers_sessions_or_everybodys(vault, officer):
    stranger = run(vault, lambda uow: officers.add(uow, "ines", Role.AUDITOR, PASSWORD, OPERATOR)).id
    mine, theirs = signed_in(vault, officer), signed_in(vault, stranger)
    assert run(vault, lambda uow: sessions.end_all(uow, officer, OPERATOR)) == 1
    assert sessions.find(vault, mine.token, LIMITS) is None
    assert sessions.find(vault, theirs.token, LIMITS) is not None
    assert run(vault, lambda uow: sessions.end_all(uow, officer, OPERATOR)) == 0
    assert run(vault, lambda uow: sessions.end_all(uow, None, OPERATOR)) == 1
    assert sessions.find(vault, theirs.token, LIMITS) is None
    ended = [each for each in acts(vault) if b'"auth.ended"' in each]
    assert len(ended) == 2
    assert all(b'"auth.operator"' in each for each in ended)
    assert b"officer:claire" in ended[0]


@pytest.mark.parametrize("off", [-2, -1, 1, 2])
def test_a_clock_that_is_off_is_learnt_at_the_set_up_and_stays_off_by_as_much(vault, officer, clock, off):
    session = signed_in(vault, officer)
    run(vault, lambda uow: codes.set_up(uow, officer, PASSWORD, session.enrolment, code_of(session, clock, off)))
    clock.advance(90)
    assert not codes.proves(vault, officer, PASSWORD, code_of(session, clock))  # another clock's
    assert codes.proves(vault, officer, PASSWORD, code_of(session, clock, off))


@pytest.mark.parametrize("off", [-2, -1, 1, 2])
def test_a_clock_that_has_drifted_costs_one_more_try(vault, officer, clock, off):
    session = with_code(vault, officer, clock)
    clock.advance(900)
    assert not codes.proves(vault, officer, PASSWORD, code_of(session, clock, off))
    assert not codes.proves(vault, officer, PASSWORD, code_of(session, clock, off))  # the same one tells no more
    clock.advance(30)
    assert codes.proves(vault, officer, PASSWORD, code_of(session, clock, off))
    clock.advance(30)
    assert codes.proves(vault, officer, PASSWORD, code_of(session, clock, off))  # from now on it is expected there
    clock.advance(90)  # no step is taken again, also by a clock that is set back
    assert not codes.proves(vault, officer, PASSWORD, code_of(session, clock))
    clock.advance(30)
    assert codes.proves(vault, officer, PASSWORD, code_of(session, clock))  # and back: somebody set the clock


def test_one_stale_code_and_one_of_another_drift_open_nothing(vault, officer, clock):
    session = with_code(vault, officer, clock)
    clock.advance(900)
    assert not codes.proves(vault, officer, PASSWORD, code_of(session, clock, -1))
    clock.advance(30)
    assert not codes.proves(vault, officer, PASSWORD, code_of(session, clock, 1))
    clock.advance(30)
    assert not codes.proves(vault, officer, PASSWORD, code_of(session, clock, -1))
    clock.advance(30 * (codes.IN_A_ROW + 1))  # too late to be in a row
    assert not codes.proves(vault, officer, PASSWORD, code_of(session, clock, -1))
    clock.advance(30)
    assert not codes.proves(
        vault, officer, "wrong passphrase", code_of(session, clock, -1)
    )  # which forgets what was offered
    clock.advance(30)
    assert not codes.proves(vault, officer, PASSWORD, code_of(session, clock, -1))
