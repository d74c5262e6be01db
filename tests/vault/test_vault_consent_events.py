"""Every state of a consent, what its evidence holds, and the addresses it covers."""

from pathlib import Path

import pytest
from maison_people import AURELLE, VANTIER, given, one, person, rows, take_in

from policies.bundle import parse_bundle
from policies.decision import decide
from policies.model import Caller, ConsentStatus, DecisionRequest, Level, Wanted
from vault import amendments, consentsignal, facts, guardians
from vault.amendments import Update
from vault.consentchain import events
from vault.consents import Change, ConsentAct, ConsentEvent, Method, Notice, Who, record, statuses, verify_chain
from vault.consentsignal import Signal
from vault.errors import InvalidFields, UnknownReference
from vault.guardians import Link, Proof
from vault.unit import execute

KEY, MAIL = "clienteling", "marketing.email"
FOLDER = Path(__file__).parents[2] / "policies" / "bundles" / "maisons"
FIRST, SECOND = "someone@example.com", "another@example.com"


def bundle_with(**changed):
    files = {path.relative_to(FOLDER).as_posix(): path.read_bytes() for path in FOLDER.rglob("*") if path.is_file()}
    return parse_bundle("maisons", files | {name.replace("__", "/"): content for name, content in changed.items()})


def files_with_new_notice(identifier, *, carry=None):
    files = {f"notices/{identifier}.2.{each}.md": b"Other words.\n" for each in ("fr", "en")}
    if carry is not None:
        text = (FOLDER / "purposes.toml").read_text()
        line = f'notice = "{identifier}"\n'
        files["purposes.toml"] = text.replace(line, f"{line}notice_from = {carry}\n").encode()
    return files


@pytest.fixture
def known(vault):
    return one(take_in(vault, person({"email": [FIRST]}, vantier={})))


def did(act, purpose=KEY, **more):
    return ConsentEvent(purpose, act, "boutique", **more)


def tell(vault, known, *told, brand=AURELLE):
    return execute(vault, record, [Change(known.references[brand], brand, f"{brand}-crm", each) for each in told])


def now(vault, known, brand=AURELLE):
    with vault.unit() as uow:
        return dict(statuses(uow, brand, [known.subject])[known.subject])


def chain(vault, known, brand=AURELLE):
    with vault.unit() as uow:
        verify_chain(uow, known.subject, brand)
        return events(uow, known.subject, brand)


def points(vault, purpose=MAIL):
    found = rows(vault, "SELECT points FROM consent_state WHERE purpose = ?", purpose)
    return found[0][0].split() if found else []


def append(vault, known, **changes):
    (done,) = execute(vault, amendments.update, [Update(known.references[AURELLE], AURELLE, "s", None, **changes)])
    return done


# --- refused ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("event", "problem"),
    [
        (given(actor=Who.GUARDIAN), ("actor", "guardian_not_linked")),
        (given(actor=Who.AGENT), ("evidence_hash", "mandate_missing")),
        (given(evidence_hash=b"short"), ("evidence_hash", "not_a_hash")),
        (given(contact=FIRST), ("contact", "takes_no_contact")),
        (given(MAIL, "marketing_email", contact=SECOND), ("contact", "unknown_contact")),
        (given(MAIL, "marketing_email", contact="no address"), ("contact", "unknown_contact")),
        (did(ConsentAct.RENEWED, notice=Notice(KEY, 1, "fr")), ("act", "nothing_to_renew")),
        (did(ConsentAct.REFUSED, "service.repair"), ("purpose", "takes_no_consent")),
        (did(ConsentAct.ENDED, KEY), ("purpose", "has_no_such_basis")),
        (given("clienteling.hospitality", "hospitality", explicit=False), ("explicit", "not_explicit")),
    ],
)
def test_what_no_evidence_bears_out_is_refused(vault, known, event, problem):
    (error,) = tell(vault, known, event)
    assert isinstance(error, InvalidFields)
    assert error.problems == (problem,)
    assert rows(vault, "SELECT count(*) FROM consent_event") == [(0,)]
    assert FIRST not in repr(event)


def test_a_withdrawal_is_not_renewed_only_given_anew(vault, known):
    renewal = did(ConsentAct.RENEWED, notice=Notice(KEY, 1, "fr"))
    *_, refused, anew = tell(vault, known, given(), did(ConsentAct.WITHDRAWN), renewal, given())
    assert refused.problems == (("act", "nothing_to_renew"),)
    assert anew.state is ConsentStatus.GIVEN


# --- states ----------------------------------------------------------------------------------------------------------


def test_each_act_and_what_it_leaves(vault, known):
    story = [
        (did(ConsentAct.REQUESTED), "requested"),
        (did(ConsentAct.REFUSED), "refused"),
        (given(), "given"),
        (did(ConsentAct.REQUESTED), "given"),  # asked for a renewal: what stands goes on standing
        (did(ConsentAct.RENEWED, notice=Notice(KEY, 1, "en")), "given"),
        (did(ConsentAct.INVALIDATED), "invalidated"),
        (given(), "given"),
        (did(ConsentAct.WITHDRAWN), "withdrawn"),
        (did(ConsentAct.REFUSED), "withdrawn"),  # a refusal says less than a withdrawal
        (did(ConsentAct.INVALIDATED), "withdrawn"),
    ]
    answers = tell(vault, known, *(event for event, _ in story))
    assert [each.state for each in answers] == [state for _, state in story]
    assert [each["state"] for each in chain(vault, known)] == [event.act for event, _ in story]


def test_a_contract_that_ended_opens_nothing_until_there_is_one_again(vault, known, bundle):
    def allowed():
        with vault.unit() as uow:
            (found,) = facts.load(uow, AURELLE, [known.subject])
        caller = Caller("aurelle-repairs", AURELLE, frozenset({"service.repair"}), staffed=True)
        request = DecisionRequest(caller, found.facts, "service.repair", (Wanted("phone", Level.RAW),))
        return decide(request, bundle).answers[0]

    assert allowed().granted is Level.RAW
    tell(vault, known, did(ConsentAct.ENDED, "service.repair"))
    assert allowed().policies == ("floor.basis_ended",)
    tell(vault, known, did(ConsentAct.ESTABLISHED, "service.repair"))
    assert allowed().granted is Level.RAW
    assert [each["basis"] for each in chain(vault, known)] == ["contract", "contract"]


def test_the_event_holds_what_27560_asks_for(vault, known):
    proof = bytes(range(32))
    sharing = given(
        "group.profile_sharing", "group_profile_sharing", method=Method.SIGNATURE, actor=Who.AGENT, evidence_hash=proof
    )
    tell(vault, known, sharing)
    (event,) = chain(vault, known)
    assert (event["record"], event["method"], event["explicit"], event["actor"]) == (2, "signature", False, "agent")
    assert (bytes(event["evidence_hash"]), event["recipients"]) == (proof, "aurelle solenne vantier")
    assert event["valid_until"] - event["event_at"] == 730 * 86_400


# --- notices ---------------------------------------------------------------------------------------------------------


def test_new_words_need_a_new_consent(vault, known):
    tell(vault, known, given())
    vault.bundle = bundle_with(**files_with_new_notice(KEY))
    assert now(vault, known) == {KEY: ConsentStatus.NEEDS_RENEWAL}
    old, new = (did(ConsentAct.RENEWED, notice=Notice(KEY, version, "fr")) for version in (1, 2))
    tell(vault, known, old)
    assert now(vault, known) == {KEY: ConsentStatus.NEEDS_RENEWAL}
    tell(vault, known, new)
    assert now(vault, known) == {KEY: ConsentStatus.GIVEN}
    assert len(chain(vault, known)) == 3


def test_consents_are_carried_over_new_words_only_where_the_file_says_so(vault, known):
    tell(vault, known, given())
    vault.bundle = bundle_with(**files_with_new_notice(KEY, carry=1))
    assert now(vault, known) == {KEY: ConsentStatus.GIVEN}
    vault.bundle = bundle_with(**files_with_new_notice(KEY, carry=2))
    assert now(vault, known) == {KEY: ConsentStatus.NEEDS_RENEWAL}


# --- addresses -------------------------------------------------------------------------------------------------------


def test_a_new_address_does_not_inherit_an_old_consent(vault, known):
    (answer,) = tell(vault, known, given(MAIL, "marketing_email"))
    assert answer.contacts == 1
    before = points(vault)
    append(vault, known, append={"email": [SECOND]})
    assert points(vault) == before
    (second,) = tell(vault, known, given(MAIL, "marketing_email", contact=SECOND.upper()))
    assert second.contacts == 2
    assert len(chain(vault, known)) == 2


def test_a_correction_puts_another_address_there_and_not_its_consent(vault, known):
    tell(vault, known, given(MAIL, "marketing_email"))
    ((item,),) = rows(vault, "SELECT item FROM field_value WHERE field_id = 202")
    append(vault, known, correct={"email": [{"item": item, "value": SECOND}]})
    ((now_there,),) = rows(vault, "SELECT version FROM field_value WHERE field_id = 202 AND current")
    assert f"202:{now_there}" not in points(vault)


def test_one_address_is_withdrawn_and_then_the_other(vault, known):
    append(vault, known, append={"email": [SECOND]})
    both, one_left, none_left = tell(
        vault,
        known,
        given(MAIL, "marketing_email"),
        did(ConsentAct.WITHDRAWN, MAIL, contact=FIRST),
        did(ConsentAct.WITHDRAWN, MAIL, contact=SECOND),
    )
    assert [each.contacts for each in (both, one_left, none_left)] == [2, 1, 0]
    assert (one_left.state, none_left.state) == (ConsentStatus.GIVEN, ConsentStatus.WITHDRAWN)
    assert len(chain(vault, known)) == 3


def test_a_consent_for_another_address_does_not_lengthen_the_first(vault, known, clock):
    (first,) = tell(vault, known, given(MAIL, "marketing_email"))
    ((until,),) = rows(vault, "SELECT until_at FROM consent_state WHERE purpose = ?", MAIL)
    clock.advance(86_400)
    append(vault, known, append={"email": [SECOND]})
    tell(vault, known, given(MAIL, "marketing_email", contact=SECOND))
    assert rows(vault, "SELECT until_at FROM consent_state WHERE purpose = ?", MAIL) == [(until,)]
    assert first.contacts == 1


def test_those_taken_in_together_belong_together(vault):
    born = person({"email": [FIRST, SECOND]}, consents=[given(MAIL, "marketing_email", contact=SECOND)])
    registered = one(take_in(vault, born))
    assert len(points(vault)) == 1
    assert len(chain(vault, registered)) == 1
    stranger = person({"email": [FIRST]}, consents=[given(MAIL, "marketing_email", contact=SECOND)])
    (refused,) = take_in(vault, stranger)
    assert refused.problems == (("consents[0].contact", "unknown_contact"),)


# --- a browser's signal ----------------------------------------------------------------------------------------------


def signal(vault, known, *, on=True, brand=AURELLE):
    reference = known.references[brand]
    (answer,) = execute(vault, consentsignal.record, [Signal(reference, brand, f"{brand}-web", "web", on)])
    return answer


def test_the_signal_objects_once_and_a_consent_after_it_stands(vault, known):
    sharing = "group.profile_sharing"
    assert signal(vault, known, on=False) == ()
    assert chain(vault, known) == []
    assert signal(vault, known) == ("analytics.segments", sharing)
    assert now(vault, known)[sharing] is ConsentStatus.OBJECTED
    assert now(vault, known, VANTIER) == {}
    assert signal(vault, known) == ()
    assert {(each["source"], each["actor"], each["method"]) for each in chain(vault, known)} == {
        ("gpc", "self", "signal")
    }
    tell(vault, known, given(sharing, "group_profile_sharing"))
    assert signal(vault, known) == ()
    assert now(vault, known)[sharing] is ConsentStatus.GIVEN


def test_the_signal_overrules_a_consent_that_knew_nothing_of_it(vault, known):
    tell(vault, known, given("group.profile_sharing", "group_profile_sharing"))
    assert "group.profile_sharing" in signal(vault, known)
    assert now(vault, known)["group.profile_sharing"] is ConsentStatus.OBJECTED


# --- guardians -------------------------------------------------------------------------------------------------------


@pytest.fixture
def family(vault):
    return take_in(vault, person({"birth_date": "2012-03-04"}), person())


def linked(vault, family, **changes):
    import datetime as dt

    child, parent = (each.references[AURELLE] for each in family)
    asked = {"of_age_on": dt.date(2030, 3, 4), "proof_hash": bytes(32), "reference": child, "guardian": parent}
    asked |= changes
    (answer,) = execute(vault, guardians.links, [Link(brand=AURELLE, system_id="s", proof=Proof.COURT_ORDER, **asked)])
    return answer


def may(vault, known, bundle, purpose=KEY):
    with vault.unit() as uow:
        (found,) = facts.load(uow, AURELLE, [known.subject])
    caller = Caller("aurelle-pos", AURELLE, frozenset({purpose}), staffed=True)
    request = DecisionRequest(caller, found.facts, purpose, (Wanted("preferred_language", Level.PRESENCE),))
    return decide(request, bundle).answers[0].granted is not None


def test_a_guardian_speaks_for_a_minor_but_not_for_marketing(vault, family, bundle):
    child, _ = family
    tell(vault, child, given())
    assert not may(vault, child, bundle)
    linked(vault, family)
    (given_for,) = tell(vault, child, given(actor=Who.GUARDIAN))
    assert given_for.state is ConsentStatus.GUARDED
    assert may(vault, child, bundle)
    tell(vault, child, given(MAIL, "marketing_email", actor=Who.GUARDIAN))
    assert not may(vault, child, bundle, MAIL)
    assert len(chain(vault, child)) == 3


def test_what_a_guardian_gave_means_nothing_for_an_adult(vault, family, bundle):
    child, _ = family
    linked(vault, family)
    tell(vault, child, given(actor=Who.GUARDIAN))
    rows(vault, "UPDATE subject SET minor = ? WHERE id = ?", False, child.subject)
    assert not may(vault, child, bundle)


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"proof_hash": b"x"}, ("proof_hash", "not_a_hash")),
        ({"of_age_on": "past"}, ("of_age_on", "not_in_a_minors_future")),
        ({"of_age_on": "far"}, ("of_age_on", "not_in_a_minors_future")),
        ({"guardian": "self"}, ("guardian", "not_another_person")),
    ],
)
def test_a_link_that_cannot_be_is_refused(vault, family, changes, problem):
    import datetime as dt

    days = {"past": dt.date(2020, 1, 1), "far": dt.date(2090, 1, 1)}
    changes = {name: days.get(value, value) if isinstance(value, str) else value for name, value in changes.items()}
    changes |= {"guardian": family[0].references[AURELLE]} if "guardian" in changes else {}
    assert linked(vault, family, **changes).problems == (problem,)
    assert isinstance(linked(vault, family, guardian="ref_00000000000000000000000000"), UnknownReference)
    assert rows(vault, "SELECT count(*) FROM guardian_link") == [(0,)]


def test_the_age_of_majority_is_the_one_of_the_place_and_day(vault):
    seventeen_and_a_half, eighteen_and_a_half = "2009-03-01", "2008-03-01"
    for region, born, minor in (
        ("fr", seventeen_and_a_half, True),
        ("fr", eighteen_and_a_half, False),
        ("jp", eighteen_and_a_half, False),
        ("kr", eighteen_and_a_half, True),
    ):
        registered = one(take_in(vault, person({"birth_date": born}, region=region)))
        assert rows(vault, "SELECT minor FROM subject WHERE id = ?", registered.subject) == [(minor,)]
