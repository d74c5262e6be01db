"""Break-glass: two officers, minutes, a reason, loud in the log, reviewed by a third; and floors that stay."""

import json
from dataclasses import replace

import pytest
from maison_people import AURELLE, VANTIER, one, person, rows, take_in
from policy_officers import APPROVER, AUTHOR, Officers, acts
from sqlalchemy import text

from audit.detail import detail_commitment
from audit.entry import decode
from policies.errors import UnknownField
from policies.levels import Level
from policies.model import Wanted
from vault import details, disclosure, housekeeping, locked, officers, systems
from vault.erasure import requests
from vault.errors import (
    CaseClosed,
    CaseRunning,
    Conflict,
    IntegrityFailure,
    InvalidCase,
    InvalidRegistration,
    KeyUnavailable,
    NotSigned,
    Refused,
    UnknownCase,
    UnknownOfficer,
    UnknownReference,
)
from vault.governance import breakglass, cases, founding, signatures
from vault.governance.cases import CASE, Asked, Finding, State, Step
from vault.governance.signatures import Signed
from vault.officers import Role
from vault.store.bulk import insert_rows
from vault.store.tables import OfficerSignature
from vault.systems import NewSystem

REASON = "Found unconscious in the boutique; the hospital asks for allergies and whom to call."
WANTED = (Wanted("allergies", Level.RAW), Wanted("phone", Level.RAW), Wanted("lifetime_spend", Level.RAW))
FIELDS = {"allergies": [{"family": "medicine", "substance": "penicillin"}], "phone": ["+33639981234"]}
AUDITOR = "c.auditor"


@pytest.fixture
def two(vault):
    made = Officers(vault)
    made.add(AUDITOR, Role.AUDITOR)
    return made


@pytest.fixture
def guest(vault):
    return one(take_in(vault, person(FIELDS)))


@pytest.fixture
def asked(guest):
    return Asked(AURELLE, guest.references[AURELLE], WANTED, AUTHOR, 15, REASON)


def ask(two, asked, by=AUTHOR):
    return breakglass.ask(two.vault, asked, by, two.signing(by)).id


def approve(two, case, by=APPROVER):
    return breakglass.approve(two.vault, case, by, two.signing(by))


def show(two, case, by=APPROVER):
    return breakglass.show(two.vault, case, by, two.signing(by))[1]


def look(two, case, by=AUTHOR):
    return breakglass.disclose(two.vault, case, by, two.signing(by))


def review(two, case, finding=Finding.JUSTIFIED, by=AUDITOR):
    return breakglass.review(two.vault, case, finding, by, two.signing(by))


def kinds(vault):
    return [(act.removeprefix("breakglass."), out, actor) for act, out, actor, _ in acts(vault, "breakglass.")]


def test_an_emergency_from_the_question_to_the_review(vault, two, asked, clock):
    case = ask(two, asked)
    assert approve(two, case).expires_at == clock.now() + 15 * 60
    assert show(two, case) == asked
    decision, seen = look(two, case)
    assert seen["allergies"].value[0]["value"] == {"family": "medicine", "substance": "penicillin"}
    assert [each.granted for each in decision.answers] == [Level.RAW, Level.RAW, None]  # spend saves no life
    clock.advance(15 * 60)
    with pytest.raises(CaseClosed):
        look(two, case)
    made = review(two, case)
    assert (made.state, made.finding, made.disclosures) == (State.REVIEWED, Finding.JUSTIFIED, 1)
    assert kinds(vault) == [
        ("asked", "allow", AUTHOR),
        ("approved", "allow", APPROVER),
        ("shown", "allow", APPROVER),
        ("disclosed", "allow", AUTHOR),
        ("denied", "deny", AUTHOR),
        ("reviewed", "allow", AUDITOR),
    ]
    disclosed = acts(vault, "breakglass.disclosed")[0][3]
    assert {"break_glass.emergency", f"case:{case.hex()}"} <= set(disclosed)


def test_nobody_approves_reviews_or_looks_for_themselves_alone(vault, two, asked, clock):
    case = ask(two, asked)
    for nobody in (AUTHOR, AUDITOR):
        with pytest.raises(NotSigned):
            approve(two, case, nobody)
    with pytest.raises(CaseClosed):
        look(two, case)
    bearer = ask(two, replace(asked, bearer=APPROVER))
    with pytest.raises(NotSigned, match="their own"):
        approve(two, bearer)  # who is to look does not vouch for it either
    approve(two, case)
    with pytest.raises(NotSigned):
        look(two, case, APPROVER)
    clock.advance(15 * 60 - 1)
    for nobody in (AUTHOR, AUDITOR):
        with pytest.raises(CaseRunning):
            review(two, case, by=nobody)  # to its last second
    clock.advance(1)
    with pytest.raises(NotSigned, match="their own"):
        review(two, case, by=AUTHOR)
    assert [out for _, out, _ in kinds(vault)].count("deny") == 8
    told = [said for _, out, _, said in acts(vault, "breakglass.") if "breakglass.case_running" in said]
    assert len(told) == 2


def test_a_founder_has_no_part_in_it(vault, two, asked, clock):
    for founder, role in founding.ROLES.items():
        two.add(founder, role)
        with pytest.raises(NotSigned, match="founder"):
            ask(two, asked, founder)
        with pytest.raises(UnknownOfficer):
            ask(two, replace(asked, bearer=founder))
    case = ask(two, asked)
    with pytest.raises(NotSigned, match="founder"):
        approve(two, case, founding.APPROVER)
    with pytest.raises(NotSigned, match="founder"):
        breakglass.refuse(vault, case, founding.APPROVER, two.signing(founding.APPROVER))
    approve(two, case)
    with vault.unit() as uow:  # not even if the case named one
        uow.conn.execute(text("UPDATE break_glass_case SET bearer = 'founder-author'"))
        uow.commit()
    with pytest.raises((IntegrityFailure, NotSigned)):
        look(two, case, founding.AUTHOR)
    clock.advance(3600)
    with pytest.raises(NotSigned, match="founder"):
        review(two, case, by=founding.APPROVER)
    assert [out for _, out, _ in kinds(vault)].count("deny") == 8


def test_what_is_refused_stays_refused(two, asked, clock):
    case = ask(two, asked)
    assert breakglass.refuse(two.vault, case, APPROVER, two.signing(APPROVER)).state is State.REFUSED
    for act in (approve, look, review):
        with pytest.raises(CaseClosed):
            act(two, case)
    with pytest.raises(UnknownCase):
        approve(two, bytes(16))


WRONG = [
    ({"reason": ""}, InvalidCase),
    ({"reason": "urgent"}, InvalidCase),
    ({"reason": "x" * 2001}, InvalidCase),
    ({"minutes": 0}, InvalidCase),
    ({"minutes": 61}, InvalidCase),
    ({"wanted": ()}, InvalidCase),
    ({"wanted": (Wanted("shoe_colour", Level.RAW),)}, UnknownField),
    ({"bearer": "nobody"}, UnknownOfficer),
]


def test_a_case_says_what_why_for_whom_and_how_long(vault, two, asked):
    for change, error in WRONG:
        with pytest.raises(error):
            ask(two, replace(asked, **change))
    with vault.reading() as conn:
        assert cases.listed(conn) == []
    assert kinds(vault) == [("denied", "deny", AUTHOR)] * len(WRONG)


def test_signatures_are_of_this_officer_case_step_and_vault(vault, two, asked):
    case = ask(two, asked)
    with vault.reading() as conn:
        thing = signatures.said(conn, CASE, case.hex(), Step.ASK)
    right = Signed(thing, Step.APPROVE, APPROVER, 1)
    for wrong in (
        right.text("elsewhere"),
        replace(right, thing=replace(thing, id="00" * 16)).text(vault.deployment),
        replace(right, thing=replace(thing, says=bytes(32))).text(vault.deployment),
        replace(right, part=Step.REFUSE).text(vault.deployment),
        replace(right, officer_id=AUTHOR).text(vault.deployment),
        replace(right, number=2).text(vault.deployment),
    ):
        with pytest.raises(NotSigned):
            breakglass.approve(vault, case, APPROVER, lambda _, said=wrong: two.signing(APPROVER)(said))
    with pytest.raises(NotSigned):
        breakglass.approve(vault, case, APPROVER, two.signing(AUTHOR))
    with vault.unit() as uow:
        officers.disable(uow, APPROVER, uow_by(APPROVER))
        uow.commit()
    with pytest.raises(UnknownOfficer):
        approve(two, case)


def test_a_signature_is_good_for_one_act(vault, two, asked):
    case = ask(two, asked)
    approve(two, case)
    made = []

    def kept(message):
        made.append((message, two.signing(AUTHOR)(message)))
        return made[-1][1]

    breakglass.disclose(vault, case, AUTHOR, kept)
    with pytest.raises(NotSigned):  # in the same window, for the same case
        breakglass.disclose(vault, case, AUTHOR, lambda _: made[0][1])
    breakglass.disclose(vault, case, AUTHOR, kept)
    numbers = [message.decode().splitlines()[-1] for message, _ in made]
    assert numbers == ["number: 2", "number: 3"]  # asking was the first
    with pytest.raises(Conflict), vault.unit() as uow:  # and no number is taken twice
        row = uow.conn.execute(text("SELECT * FROM officer_signature LIMIT 1")).mappings().one()
        insert_rows(uow.conn, OfficerSignature, [dict(row)])


def test_who_reads_a_case_proves_it_and_is_in_the_log_and_in_the_persons(vault, two, guest, asked):
    case = ask(two, asked)
    for nobody in (AUTHOR, "nobody", "Jeanne Martin"):  # not by asking alone, and nobody unknown
        role = Role.OPERATOR if nobody == AUTHOR else None
        if role is not None:
            with vault.unit() as uow:
                uow.conn.execute(text("UPDATE officer SET role = 'operator' WHERE id = :id"), {"id": AUTHOR})
                uow.commit()
        with pytest.raises((NotSigned, UnknownOfficer)):
            breakglass.show(vault, case, nobody, two.signing(AUTHOR))
    with pytest.raises(NotSigned):
        breakglass.show(vault, case, AUDITOR, two.signing(APPROVER))
    assert show(two, case, AUDITOR).reason == REASON
    with vault.reading() as conn:
        found = [decode(bytes(body)) for body in conn.scalars(text("SELECT body FROM log_entry ORDER BY idx"))][-5:]
    assert [(each["act"], each["out"], each["actor"]["id"]) for each in found] == [
        ("breakglass.denied", "deny", AUTHOR),
        ("breakglass.denied", "deny", "unknown"),
        ("breakglass.denied", "deny", "unknown"),
        ("breakglass.denied", "deny", AUDITOR),
        ("breakglass.shown", "allow", AUDITOR),
    ]
    assert "sref" in found[-1]
    assert "Martin" not in str(found)


def test_what_does_not_open_after_an_allowed_look_is_a_second_entry(vault, two, asked):
    case = ask(two, asked)
    approve(two, case)
    with vault.unit() as uow:
        uow.conn.execute(text("UPDATE field_value SET schema_version = schema_version + 1"))
        uow.commit()
    _, seen = look(two, case)
    assert isinstance(seen["phone"], IntegrityFailure)
    allowed, failed = acts(vault, "breakglass.disclosed")
    assert (allowed[1], failed[1]) == ("allow", "error")
    assert {"failed.integrity_failure", f"case:{case.hex()}"} == set(failed[3])


def test_keys_that_go_after_an_allowed_look_are_a_second_entry_too(vault, two, asked, monkeypatch):
    case = ask(two, asked)
    approve(two, case)

    def gone(*_):
        raise KeyUnavailable

    monkeypatch.setattr(disclosure, "reveal", gone)
    with pytest.raises(KeyUnavailable):
        look(two, case)
    (*_, failed) = acts(vault, "breakglass.disclosed")
    assert (failed[1], "failed.key_unavailable" in failed[3]) == ("error", True)
    assert acts(vault, "breakglass.denied") == []


def uow_by(officer_id):
    from vault.governance.signatures import actor

    return actor(officer_id)


ALTERATIONS = [
    "UPDATE break_glass_case SET minutes = 60",
    'UPDATE break_glass_case SET fields = \'[["name","raw",""]]\'',
    "UPDATE break_glass_case SET brand = 'vantier'",
    "UPDATE break_glass_case SET bearer = 'a.moreau'",
    "UPDATE break_glass_case SET sealed = id",
    "UPDATE break_glass_case SET slot = slot + 1",
    "UPDATE officer_signature SET says = :zero WHERE part = 'ask'",
    "UPDATE officer_signature SET part = 'show' WHERE part = 'approve'",
]


def test_a_case_altered_in_the_database_opens_nothing(vault, two, asked):
    case = ask(two, asked)
    with vault.unit() as uow:
        uow.conn.execute(text("UPDATE break_glass_case SET state = 'approved', expires_at = 9999999999"))
        uow.commit()
    with pytest.raises(NotSigned):
        look(two, case)
    assert kinds(vault)[-1] == ("denied", "deny", AUTHOR)
    honest = ask(two, asked)
    approve(two, honest)
    for statement in ALTERATIONS:
        with pytest.raises((IntegrityFailure, NotSigned, CaseClosed)), vault.unit() as uow:
            uow.conn.execute(text(statement), {"zero": bytes(32)} if ":zero" in statement else {})
            altered = cases.get(uow.conn, honest)
            cases.check_signatures(vault, uow.conn, altered)
            cases.opened(vault, uow.conn, altered)
    assert look(two, honest)


def test_erased_people_other_houses_people_and_strangers_are_nobody(vault, two, guest, asked):
    erased, theirs, stranger = (
        ask(two, asked),
        ask(two, replace(asked, brand=VANTIER)),
        ask(two, replace(asked, reference="ref_00000000000000000000000000")),
    )
    for case in (erased, theirs, stranger):
        approve(two, case)
    with vault.unit() as uow:
        uow.conn.execute(text("UPDATE subject SET state = 'erasing' WHERE id = :id"), {"id": guest.subject})
        uow.commit()
    for case in (erased, theirs, stranger):
        with pytest.raises(UnknownReference):
            look(two, case)
    assert [pol[0] for *_, pol in acts(vault, "breakglass.denied")] == ["breakglass.unknown_reference"] * 3


def test_a_restricted_person_stays_restricted(vault, two, guest, asked):
    case = ask(two, asked)
    approve(two, case)
    with vault.unit() as uow:
        uow.conn.execute(text("UPDATE subject SET restricted = true WHERE id = :id"), {"id": guest.subject})
        uow.commit()
    with pytest.raises(Refused):
        look(two, case)


def test_no_system_is_ever_registered_for_it(vault):
    key = {"kty": "OKP", "crv": "Ed25519", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo", "kid": "1"}
    new = NewSystem("a-pos", AURELLE, "a", {"keys": [key]}, frozenset({"lookup"}), frozenset({"break_glass"}))
    with pytest.raises(InvalidRegistration), vault.unit() as uow:
        systems.register(uow, new, uow_by("operator"))


def test_reference_and_reason_are_nowhere_in_clear(vault, two, asked):
    ask(two, asked)
    with vault.reading() as conn:
        row = conn.execute(text("SELECT * FROM break_glass_case")).one()
    stored = b"".join(bytes(each) if isinstance(each, bytes | memoryview) else str(each).encode() for each in row)
    assert asked.reference.encode() not in stored
    assert b"hospital" not in stored
    assert REASON not in repr(asked)
    assert asked.reference not in repr(asked)


def sealed(vault):
    with vault.reading() as conn:
        return list(conn.execute(text("SELECT sealed, slot, subject_id FROM break_glass_case ORDER BY asked_at")))


def test_the_same_words_are_another_hash_each_time(vault, two, asked):
    first, second = ask(two, asked), ask(two, asked)
    with vault.reading() as conn:
        hashes = [signatures.said(conn, CASE, each.hex(), Step.ASK).says for each in (first, second)]
    assert hashes[0] != hashes[1]
    assert asked.says(b"") not in hashes


def test_what_a_case_said_goes_a_month_after_it_was_closed_and_its_leaf_with_it(vault, two, asked, clock):
    reviewed, refused, forgotten = ask(two, asked), ask(two, asked), ask(two, asked)
    approve(two, reviewed)
    breakglass.refuse(vault, refused, APPROVER, two.signing(APPROVER))
    clock.advance(3600)
    review(two, reviewed)
    clock.advance(cases.WAITING_SECONDS)
    with pytest.raises(CaseClosed):
        approve(two, forgotten)  # void before anybody swept
    housekeeping.purge(vault)
    with vault.reading() as conn:
        assert {each.id: each.state for each in cases.listed(conn)}[forgotten] is State.EXPIRED
    ran_out = ("breakglass.expired", "allow", vault.deployment, (f"case:{forgotten.hex()}",))
    housekeeping.purge(vault)
    assert acts(vault, "breakglass.expired") == [ran_out]  # once
    assert all(row.sealed is not None for row in sealed(vault))
    assert show(two, reviewed).reason == REASON  # a review may itself be asked about
    clock.advance(cases.KEPT_SECONDS)
    housekeeping.purge(vault)
    assert sealed(vault) == [(None, None, None)] * 3
    with vault.reading() as conn:
        assert conn.scalar(text("SELECT count(*) FROM left_leaf")) == 3
    with pytest.raises(CaseClosed, match="gone"):
        show(two, reviewed)
    with vault.reading() as conn:
        kept = cases.get(conn, reviewed)
    assert (kept.finding, kept.disclosures, kept.steps["approve"]) == (Finding.JUSTIFIED, 0, APPROVER)


def test_what_a_case_said_goes_with_the_person(vault, two, guest, asked):
    theirs = one(take_in(vault, person({"client_number": "AU-77"})))
    case = ask(two, asked)
    other = ask(two, replace(asked, reference=theirs.references[AURELLE]))
    approve(two, case)
    (done,) = requests.erase(vault, [requests.Erase(guest.subject, uow_by("operator"))])
    assert done.erasure
    rows = {row.subject_id: row.sealed for row in sealed(vault)}
    assert rows.pop(None) is None
    assert list(rows) == [theirs.subject]
    for act in (look, show):
        with pytest.raises(CaseClosed):
            act(two, case)
    assert show(two, other).reason == REASON


def test_a_review_is_due_three_days_after_the_minutes_are_over(vault, two, asked, clock):
    case = ask(two, asked)
    with vault.reading() as conn:
        assert cases.overdue(conn, clock.now() + 10**9) == []  # nobody looked, nobody can
    approve(two, case)
    clock.advance(15 * 60 + cases.REVIEW_SECONDS)
    with vault.reading() as conn:
        assert [each.id for each in cases.overdue(conn, clock.now())] == [case]
        assert cases.overdue(conn, clock.now() - 1) == []
    review(two, case, Finding.UNJUSTIFIED)
    with vault.reading() as conn:
        assert cases.overdue(conn, clock.now()) == []


def test_the_reason_stays_beside_the_look_sealed_for_the_person_when_the_case_forgets_it(
    vault, two, guest, asked, clock
):
    case = ask(two, asked)
    approve(two, case)
    look(two, case)
    entries = [decode(bytes(body)) for (body,) in rows(vault, "SELECT body FROM log_entry ORDER BY idx")]
    (looked,) = [each for each in entries if each["act"] == "breakglass.disclosed"]
    with vault.unit() as uow:
        key = locked.by_id(uow, {guest.subject})[guest.subject].log_key
        ((entry_id, found),) = details.opened(uow.conn, vault.deployment, key, [bytes.fromhex(looked["id"])]).items()
    assert json.loads(found.detail) == {"case": case.hex(), "reason": asked.reason}
    assert detail_commitment(found.salt, found.detail).hex() == looked["dc"]
    assert looked["id"] == entry_id.hex()
