"""Who said no to marketing, or was erased, does not come back by a list; and the list is no dictionary."""

import datetime as dt
import hmac
from hashlib import sha256

import pytest
from erasure_scene import DPO
from maison_people import AURELLE, VANTIER, change, given, one, person, rows, take_in
from test_vault_consent_events import MAIL, bundle_with, chain, did, now, tell

from policies.decision import decide
from policies.model import Caller, ConsentStatus, DecisionRequest, Level, Wanted
from vault import consentsignal, consentterms, facts, imports, leftleaves, references
from vault.consents import ConsentAct
from vault.consentsignal import Signal
from vault.erasure.records import Cause
from vault.erasure.requests import Erase
from vault.errors import IntegrityFailure
from vault.imports import Row
from vault.keys.message import bind, open_message
from vault.keys.service import Slot
from vault.rotation.rekeying import rekey_all
from vault.subjects import Registered
from vault.suppression import HALF_YEAR
from vault.unit import execute

POST, EVENTS = "marketing.post", "marketing.events"
EVERY = [MAIL, EVENTS, POST]
ADDRESS, PHONE = "odette.lancret@example.com", "+33639985544"
WHO = {"client_number": "AU-77", "email": [ADDRESS], "phone": [PHONE]}
AGAIN = {"client_number": "AU-78", "email": ["Odette.Lancret@EXAMPLE.com"]}
DAY, YEAR = 86_400, 365 * 86_400
NO = ConsentStatus.OBJECTED


def mail(**more):
    return given(MAIL, "marketing_email", **more)


def listed(vault, fields, *consents, key="list-1", **more):
    """A row of an import."""

    def batch(uow, asked):
        taken = imports.take_in(uow, "aurelle-crm", key, asked)
        return lambda _: taken

    new = person(fields, consents=consents, **more)
    taken = one(execute(vault, batch, [Row(str(fields), repr(new).encode(), new)]))
    with vault.unit() as uow:
        (subject,) = references.resolve(uow, AURELLE, [taken.references[AURELLE]])
    return Registered(subject, taken.references, 1, b"")


def entered(vault):
    return sorted(row[0] for row in rows(vault, "SELECT purpose FROM suppression"))


# --- who comes back ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("act", [ConsentAct.OBJECTED, ConsentAct.WITHDRAWN, ConsentAct.REFUSED])
def test_whoever_said_no_is_not_solicited_again_by_a_list(vault, clock, act):
    who = one(take_in(vault, person(WHO, consents=[mail()])))
    assert entered(vault) == []
    tell(vault, who, did(act, MAIL))
    assert entered(vault) == [MAIL, MAIL]  # both addresses
    clock.advance(30 * DAY)
    again = listed(vault, AGAIN, mail(event_at=clock.now() - DAY), mail())
    assert now(vault, again)[MAIL] is NO
    *_, last = chain(vault, again)
    assert (last["state"], last["actor"], last["source"], last["method"]) == (
        "objected",
        "system",
        "suppression",
        "rule",
    )
    by_phone = listed(vault, {"client_number": "AU-79", "phone": [PHONE]}, mail(), key="list-2")
    assert now(vault, by_phone)[MAIL] is NO
    elsewhere = listed(vault, {"client_number": "AU-80", "email": ["x@example.com"]}, mail(), key="list-3")
    assert now(vault, elsewhere)[MAIL] is ConsentStatus.GIVEN


def test_whoever_was_erased_is_not_solicited_again_by_a_list(scene, clock):
    vault = scene.vault
    who = one(take_in(vault, person(WHO, consents=[mail()], vantier={"email": [ADDRESS]})))
    asked = scene.whole(who.subject)
    scene.run()
    assert entered(vault) == sorted(EVERY * 3)  # two addresses here, one at the sister
    (requested,) = [each for each in scene.entries() if each["act"] == "erasure.requested"]
    assert "erasure.suppressed" in requested["pol"]
    # The certificate says so too, with the day from which on not even we can tell: three years after its half-year.
    begun = clock.now() - clock.now() % HALF_YEAR
    until = dt.datetime.fromtimestamp(begun + HALF_YEAR + DAY + 1095 * DAY, dt.UTC)
    assert scene.certificate(asked).listed == until.strftime("%Y-%m-%dT%H:%M:%SZ")
    clock.advance(DAY)
    again = listed(vault, AGAIN, mail(event_at=clock.now()), region="us")
    assert now(vault, again) == {EVENTS: NO, MAIL: NO, POST: NO}
    with vault.unit() as uow:
        (each,) = facts.load(uow, AURELLE, [again.subject])
    # An opt-out law would let it pass: nobody consents to it there, and nobody has to.
    caller = Caller("aurelle-crm", AURELLE, frozenset({POST}), staffed=False)
    asked = DecisionRequest(caller, each.facts, POST, (Wanted("postal_address", Level.RAW),))
    (answer,) = decide(asked, vault.bundle).answers
    assert (answer.granted, answer.policies) == (None, ("floor.objected",))
    stranger = one(take_in(vault, person(AGAIN, VANTIER)))
    assert now(vault, stranger, VANTIER) == {EVENTS: NO, MAIL: NO, POST: NO}


def test_of_a_sister_brand_the_list_says_nothing(vault, clock):
    who = one(take_in(vault, person(WHO, consents=[mail()])))
    tell(vault, who, did(ConsentAct.OBJECTED, MAIL))
    clock.advance(DAY)
    again = one(take_in(vault, person(AGAIN, VANTIER, consents=[mail()])))
    assert now(vault, again, VANTIER)[MAIL] is ConsentStatus.GIVEN


def test_no_to_all_of_marketing_is_no_to_each(vault, clock):
    who = one(take_in(vault, person(WHO)))
    tell(vault, who, did(ConsentAct.OBJECTED, "marketing"))
    assert entered(vault) == sorted(EVERY * 2)


@pytest.mark.parametrize("purpose", ["clienteling", "analytics.segments"])
def test_no_to_something_else_enters_nothing(vault, purpose):
    who = one(take_in(vault, person(WHO, consents=[given()])))
    tell(vault, who, did(ConsentAct.OBJECTED, purpose))
    assert entered(vault) == []
    assert rows(vault, "SELECT count(*) FROM suppression_key")[0][0] == 0


def test_a_browsers_signal_is_not_about_marketing(vault):
    who = one(take_in(vault, person(WHO)))
    execute(vault, consentsignal.record, [Signal(who.references[AURELLE], AURELLE, "aurelle-web", "web")])
    assert entered(vault) == []


def test_a_person_who_says_yes_later_is_heard(vault, clock):
    who = one(take_in(vault, person(WHO, consents=[mail()])))
    tell(vault, who, did(ConsentAct.WITHDRAWN, MAIL))
    clock.advance(DAY)
    again = one(take_in(vault, person(AGAIN, consents=[mail()])))
    assert now(vault, again)[MAIL] is ConsentStatus.GIVEN
    # The first record says no still: whoever shares the address with it does not take it off the list.
    assert entered(vault) == [MAIL, MAIL]
    tell(vault, who, mail())
    assert entered(vault) == []


def test_a_consent_of_the_day_of_the_no_or_before_is_no_later_word(vault, clock):
    who = one(take_in(vault, person(WHO)))
    tell(vault, who, did(ConsentAct.OBJECTED, MAIL))
    same_day = one(take_in(vault, person(AGAIN, consents=[mail()])))
    assert now(vault, same_day)[MAIL] is NO
    clock.advance(2 * DAY)
    before = one(
        take_in(vault, person(AGAIN | {"client_number": "A"}, consents=[mail(event_at=clock.now() - 3 * DAY)]))
    )
    assert now(vault, before)[MAIL] is NO
    tell(vault, before, mail(event_at=clock.now() - DAY))
    assert now(vault, before)[MAIL] is NO  # older than the objection that came with the address
    tell(vault, before, mail())
    assert now(vault, before)[MAIL] is ConsentStatus.GIVEN


def test_a_consent_for_one_address_leaves_the_other_on_the_list(vault, clock):
    fields = {"client_number": "AU-77", "email": [ADDRESS, "other@example.com"]}
    who = one(take_in(vault, person(fields)))
    tell(vault, who, did(ConsentAct.OBJECTED, MAIL))
    assert entered(vault) == [MAIL, MAIL]
    clock.advance(DAY)
    tell(vault, who, mail(contact="other@example.com"))
    assert entered(vault) == [MAIL]
    again = listed(vault, AGAIN, mail())
    assert now(vault, again)[MAIL] is NO


def test_a_withdrawal_for_one_address_enters_that_one(vault, clock):
    fields = {"client_number": "AU-77", "email": [ADDRESS, "other@example.com"]}
    who = one(take_in(vault, person(fields, consents=[mail()])))
    tell(vault, who, did(ConsentAct.WITHDRAWN, MAIL, contact=ADDRESS))
    assert now(vault, who)[MAIL] is ConsentStatus.GIVEN
    assert entered(vault) == [MAIL]
    clock.advance(DAY)
    assert now(vault, listed(vault, AGAIN, mail()))[MAIL] is NO


def test_an_address_that_is_added_brings_its_no_along(vault, clock):
    who = one(take_in(vault, person(WHO)))
    tell(vault, who, did(ConsentAct.OBJECTED, MAIL))
    clock.advance(DAY)
    other = one(take_in(vault, person({"client_number": "AU-90"})))
    change(vault, other, append={"email": ADDRESS})
    assert now(vault, other) == {MAIL: NO}
    chain(vault, other)
    consenting = one(take_in(vault, person({"client_number": "AU-91", "email": ["y@example.com"]}, consents=[mail()])))
    change(vault, consenting, append={"email": ADDRESS})
    assert now(vault, consenting) == {MAIL: ConsentStatus.GIVEN}  # for the address it was given for, and later


def test_a_new_address_of_somebody_who_said_no_is_entered_too(vault, clock):
    who = one(take_in(vault, person({"client_number": "AU-77"})))
    tell(vault, who, did(ConsentAct.OBJECTED, "marketing"))
    assert entered(vault) == []
    change(vault, who, append={"email": ADDRESS})
    assert entered(vault) == EVERY
    change(vault, who, end={"email": [1]})
    clock.advance(DAY)
    assert now(vault, listed(vault, AGAIN, mail()))[MAIL] is NO


def test_one_field_erased_on_request_is_entered_and_what_is_over_its_time_is_not(scene):
    vault = scene.vault
    who, over = take_in(vault, person(WHO), person({"client_number": "AU-8", "email": ["z@example.com"]}))
    scene.field(who.subject, "email")
    assert entered(vault) == EVERY
    scene.erase(Erase(over.subject, DPO, cause=Cause.RETENTION))
    assert entered(vault) == EVERY


# --- what the list gives away -------------------------------------------------------------------------------------------


def macs(vault):
    return {bytes(row[0]) for row in rows(vault, "SELECT mac FROM suppression")}


def test_the_list_is_no_dictionary(scene, clock):
    """Everything in the database, and every key that is no leaf of this list, confirm no guess."""
    vault = scene.vault
    who = one(take_in(vault, person(WHO)))
    scene.whole(who.subject)
    scene.run()
    held = macs(vault)
    assert len(held) == 2
    message = bind(AURELLE.encode(), b"email/1", ADDRESS.encode())
    (sealed, slot, generation) = rows(vault, "SELECT sealed, slot, generation FROM suppression_key")[0]
    guesses = [ADDRESS.encode(), message]
    for guess in guesses:
        assert sha256(guess).digest()[:16] not in held
        for label in ("suppression", "suppression/1", f"search/{AURELLE}/202/email/1"):
            assert vault.keys.mac(label, [guess])[0][:16] not in held
            assert not set(vault.keys.blind(label, [guess], vault.keys.index_epochs()[0])) & held
        assert hmac.digest(bytes(sealed)[:32], guess, "sha256")[:16] not in held
    # The one key that does confirm it hangs on a leaf, and that is what whoever has the keys can do: it is said.
    (dek,) = vault.keys.unwrap([(Slot(slot, generation), bytes(sealed)[:40])])
    context = bind(
        b"suppression/1",
        vault.deployment.encode(),
        bytes(rows(vault, "SELECT id FROM suppression_key")[0][0]),
    )
    key = open_message(dek, context, bytes(sealed)[40:])
    assert hmac.digest(key, message, "sha256")[:16] in held


def test_when_its_time_is_over_the_row_goes_then_the_key_and_no_backup_opens_it(scene, clock):
    vault = scene.vault
    who = one(take_in(vault, person(WHO)))
    asked = scene.whole(who.subject)
    scene.run()
    (sealed, slot, generation) = rows(vault, "SELECT sealed, slot, generation FROM suppression_key")[0]
    clock.advance(3 * YEAR - DAY)
    assert consentterms.sweep(vault).unlisted == 0
    assert now(vault, listed(vault, AGAIN, mail()))[MAIL] is NO  # which does not begin the time anew
    clock.advance(3 * DAY)
    assert consentterms.sweep(vault, dry_run=True).unlisted == 0
    after = listed(vault, AGAIN | {"client_number": "B"}, mail(), key="late")  # before the sweep has come round
    assert now(vault, after)[MAIL] is ConsentStatus.GIVEN
    assert consentterms.sweep(vault).unlisted == 6
    assert entered(vault) == []
    assert rows(vault, "SELECT count(*) FROM suppression_key")[0][0] == 1
    promised = int(dt.datetime.fromisoformat(scene.certificate(asked).listed).timestamp())
    clock.seconds = promised - 1
    consentterms.sweep(vault)
    assert rows(vault, "SELECT count(*) FROM suppression_key")[0][0] == 1
    clock.seconds = promised
    consentterms.sweep(vault)
    assert rows(vault, "SELECT count(*) FROM suppression_key")[0][0] == 0
    leftleaves.retire_left(vault)
    scene.run()
    # A thief of an old backup has the row of the key, and no leaf to open it with.
    assert vault.keys.unwrap([(Slot(slot, generation), bytes(sealed)[:40])]) == [None]


def test_half_a_year_later_another_key_is_used_and_both_are_asked(vault, clock):
    who = one(take_in(vault, person(WHO)))
    tell(vault, who, did(ConsentAct.OBJECTED, MAIL))
    clock.advance(200 * DAY)
    other = one(take_in(vault, person({"client_number": "AU-6", "email": ["later@example.com"]})))
    tell(vault, other, did(ConsentAct.OBJECTED, MAIL))
    assert rows(vault, "SELECT count(*) FROM suppression_key")[0][0] == 2
    clock.advance(DAY)
    assert now(vault, listed(vault, AGAIN, mail()))[MAIL] is NO
    assert (
        now(vault, listed(vault, {"client_number": "C", "email": ["later@example.com"]}, mail(), key="b"))[MAIL] is NO
    )


def test_without_a_rule_of_law_no_list_is_kept(scene):
    vault = scene.vault
    vault.bundle = bundle_with(**{"law.toml": b""})
    who = one(take_in(vault, person(WHO)))
    tell(vault, who, did(ConsentAct.OBJECTED, MAIL))
    scene.whole(who.subject)
    assert entered(vault) == []


def test_a_key_that_was_altered_lets_nobody_in(vault, clock):
    who = one(take_in(vault, person(WHO)))
    tell(vault, who, did(ConsentAct.OBJECTED, MAIL))
    (sealed,) = rows(vault, "SELECT sealed FROM suppression_key")[0]
    spoilt = bytes(sealed)[:-1] + bytes([bytes(sealed)[-1] ^ 1])
    rows(vault, "UPDATE suppression_key SET sealed = ?", spoilt)
    with pytest.raises(IntegrityFailure):
        listed(vault, AGAIN, mail())


def test_nothing_of_an_address_shows_in_the_list_or_the_log(scene):
    vault = scene.vault
    who = one(take_in(vault, person(WHO)))
    scene.whole(who.subject)
    text = repr(rows(vault, "SELECT * FROM suppression")) + repr(scene.entries())
    for secret in (ADDRESS, PHONE, "odette", who.references[AURELLE]):
        assert secret not in text
    days = {row[0] % DAY for row in rows(vault, "SELECT day_at FROM suppression")}
    assert days == {0}


def test_rekeying_moves_the_lists_key_and_the_list_still_knows(vault, clock):
    who = one(take_in(vault, person(WHO)))
    tell(vault, who, did(ConsentAct.OBJECTED, MAIL))
    before = rows(vault, "SELECT slot FROM suppression_key")
    *_, last = rekey_all(vault)
    assert last.lists == 1
    assert rows(vault, "SELECT slot FROM suppression_key") != before
    clock.advance(DAY)
    assert now(vault, listed(vault, AGAIN, mail()))[MAIL] is NO
