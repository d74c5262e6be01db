"""Token exchange (RFC 8693): whatever is asked, the new token allows no more than the one it was made from."""

import json
from collections import Counter
from itertools import pairwise

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from maison_callers import CONSENT, PERSON, STRANGER, disable, problem_of

from api import rar
from api.client.identity import SigningKey
from api.oauth.detail import read
from api.oauth.narrowing import Narrowed, is_within
from audit.pseudonym import veiled
from policies.levels import Level
from policies.model import Wanted
from vault import tokens
from vault.staff import staff_keys, staff_told

WIDE = (("phone", "masked"), ("birth_date", "generalised"), ("name", "masked"))


@pytest.fixture
def reference(pos):
    return pos.created(PERSON, CONSENT)


@pytest.fixture
def desk(maison):
    """Another system of the same maison."""
    return maison.system("aurelle-desk", "aurelle")


def taken(answer):
    assert answer.status_code == 200, answer.text
    body = answer.json()
    assert body["issued_token_type"] == "urn:ietf:params:oauth:token-type:access_token"
    assert body["token_type"] == "DPoP"
    return body["access_token"]


def told(answer):
    assert answer.status_code == 400, answer.text
    return answer.json()["error"], answer.json()["code"]


def introspected(caller, token):
    return caller.http.post("/oauth/introspect", data=caller.form(token=token)).json()


def levels(answer):
    assert answer.status_code == 200, answer.text
    return {field["name"]: field["level"] for field in answer.json()["fields"]}


# --- granted ---------------------------------------------------------------------------------------------------------


def test_a_holder_narrows_its_own_token(maison, pos, reference):
    parent = pos.granted(reference, *WIDE, max_uses=3)
    child = taken(pos.exchange(parent, reference, ("phone", "generalised"), max_uses=2))
    assert levels(pos.disclose(child)) == {"phone": "generalised"}
    assert levels(pos.disclose(child)) == {"phone": "generalised"}
    problem_of(pos.disclose(child), 403, "uses_exhausted")
    # Two of the three uses went to the child.
    assert levels(pos.disclose(parent)).keys() == {"phone", "birth_date", "name"}
    problem_of(pos.disclose(parent), 403, "uses_exhausted")
    problem_of(pos.disclose(child, {"fields": ["birth_date"]}), 403, "insufficient_scope")


def test_who_stands_behind_a_token_stands_behind_the_narrower_one_named_again_or_not(maison, pos, reference):
    parent = pos.granted(reference, *WIDE, staff="advisor-1")
    child = taken(pos.exchange(parent, reference, ("phone", "generalised")))
    assert pos.disclose(child).status_code == 200
    exchanged, looked = [each.read for each in maison.entries()][-2:]
    key = staff_keys(maison.vault.keys, ["aurelle"])["aurelle"]
    who = {veiled(key, bytes.fromhex(each["id"]), bytes.fromhex(each["stf"])).hex() for each in (exchanged, looked)}
    assert who == {staff_told(maison.vault.keys, "aurelle", "advisor-1")}


def test_a_narrower_token_is_handed_on_to_a_system_of_the_brand(maison, pos, desk, reference):
    parent = pos.granted(reference, *WIDE)
    child = taken(pos.exchange(parent, reference, ("phone", "masked"), actor=desk.service("lookup")))
    problem_of(pos.disclose(child), 401, "invalid_token")  # it is bound to the other's key
    assert levels(desk.disclose(child)) == {"phone": "masked"}
    exchanged, looked = [
        entry.read for entry in maison.entries() if entry.act in {"token.exchanged", "field.disclosed"}
    ]
    assert exchanged["actor"] == {"id": "aurelle-pos", "k": "system"}
    assert {"act.0:aurelle-pos", "act.1:aurelle-desk"} <= set(exchanged["pol"])
    assert looked["actor"] == {"id": "aurelle-desk", "k": "system", "via": "aurelle-pos"}


def test_the_chain_of_actors_is_told_and_ends_at_two(maison, pos, desk, reference):
    third = maison.system("aurelle-van", "aurelle")
    parent = pos.granted(reference, *WIDE, max_uses=9)
    child = taken(pos.exchange(parent, reference, ("phone", "masked"), actor=desk.service("lookup"), max_uses=6))
    grandchild = taken(desk.exchange(child, reference, ("phone", "masked"), actor=third.service("lookup"), max_uses=3))
    seen = introspected(third, grandchild)
    assert (seen["client_id"], seen["sub"]) == ("aurelle-van", "aurelle-pos")
    assert seen["act"] == {"sub": "aurelle-van", "act": {"sub": "aurelle-desk"}}
    assert introspected(desk, child)["act"] == {"sub": "aurelle-desk"}
    assert "act" not in introspected(pos, parent)
    assert seen["exp"] <= introspected(desk, child)["exp"] <= introspected(pos, parent)["exp"]
    refused = third.exchange(grandchild, reference, ("phone", "presence"))
    assert told(refused) == ("invalid_request", "exchange_too_deep")
    assert levels(third.disclose(grandchild)) == {"phone": "masked"}


def test_the_purpose_may_go_down_and_the_subjects_may_be_fewer(pos, reference):
    other = pos.created(PERSON | {"client_number": "AU-0043"}, CONSENT)
    parent = pos.granted(
        [reference, other], ("phone", "generalised"), ("birth_date", "presence"), purpose="clienteling"
    )
    answer = pos.exchange(parent, other, ("phone", "generalised"), purpose="clienteling.aftercare")
    assert levels(pos.disclose(taken(answer))) == {"phone": "generalised"}
    # The other subject's use is still there, this one's is gone.
    assert pos.disclose(parent, {"reference": reference}).status_code == 200
    problem_of(pos.disclose(parent, {"reference": other}), 403, "uses_exhausted")


def test_a_child_ends_no_later_than_its_parent(pos, reference, clock):
    parent = pos.granted(reference, *WIDE)  # masked: 15 minutes
    clock.advance(880)
    answer = pos.exchange(parent, reference, ("birth_date", "presence"))  # alone it would live an hour
    assert answer.json()["expires_in"] == 20
    clock.advance(20)
    problem_of(pos.disclose(taken(answer)), 401, "invalid_token")


# --- refused ---------------------------------------------------------------------------------------------------------


def test_nothing_wider_is_exchanged(maison, pos, reference):
    other = pos.created(PERSON | {"client_number": "AU-0043"}, CONSENT)
    parent = pos.granted(reference, *WIDE, max_uses=2)
    beyond = ("invalid_authorization_details", "beyond_parent")
    for asked in (
        (("phone", "raw"),),
        (("birth_date", "masked"),),
        (("birth_date", "predicate", "over_18"),),
        (("email", "presence"),),
        (("phone", "masked"), ("ring_size", "presence")),
        (("ring_size", "generalised"),),
    ):
        assert told(pos.exchange(parent, reference, *asked)) == beyond, asked
    for purpose in ("clienteling", "clienteling.aftercare", "service.repair", "legal.claims"):
        assert told(pos.exchange(parent, reference, ("phone", "masked"), purpose=purpose)) == beyond
    assert told(pos.exchange(parent, reference, ("phone", "masked"), staff="advisor-1")) == beyond
    # Who the token does not name and who does not exist are one answer.
    uniform = ("invalid_authorization_details", "not_granted")
    assert told(pos.exchange(parent, other, ("phone", "masked"))) == uniform
    assert told(pos.exchange(parent, STRANGER, ("phone", "masked"))) == uniform
    more = pos.exchange(parent, reference, ("phone", "masked"), max_uses=3)
    assert told(more) == ("invalid_authorization_details", "uses_beyond_parent")
    # None of it took a use or made a token.
    assert levels(pos.disclose(parent))
    assert levels(pos.disclose(parent))
    acts = [entry.act for entry in maison.entries()]
    assert acts.count("token.refused") == 14
    assert "token.exchanged" not in acts


def test_only_the_holder_with_its_key_exchanges(maison, pos, sister, desk, reference):
    parent = pos.granted(reference, *WIDE)
    refused = ("invalid_request", "subject_token_refused")
    for thief in (desk, sister, pos.twin(key=SigningKey.generate())):
        assert told(thief.exchange(parent, reference, ("phone", "masked"))) == refused
    assert told(pos.exchange("x" * 43, reference, ("phone", "masked"))) == refused
    assert told(pos.exchange("x" * 600, reference, ("phone", "masked"))) == refused
    assert told(pos.exchange(pos.service("lookup"), reference, ("phone", "masked"))) == refused
    for actor in ("x" * 43, sister.service("lookup"), parent):
        answer = pos.exchange(parent, reference, ("phone", "masked"), actor=actor)
        assert told(answer) == ("invalid_request", "actor_token_refused")


def test_the_actor_must_be_registered_for_the_purpose(maison, pos, reference):
    lesser = maison.system("aurelle-gate", "aurelle", purposes={"service.repair"})
    parent = pos.granted(reference, *WIDE)
    answer = pos.exchange(parent, reference, ("phone", "masked"), actor=lesser.service("lookup"))
    assert told(answer) == ("invalid_authorization_details", "purpose_not_registered")


def test_what_an_exchange_does_not_offer_is_refused(pos, reference):
    parent = pos.granted(reference, *WIDE)
    refusals = {
        ("requested_token_type", "urn:ietf:params:oauth:token-type:jwt"): ("invalid_request", "invalid_token_type"),
        ("subject_token_type", "urn:ietf:params:oauth:token-type:jwt"): ("invalid_request", "invalid_token_type"),
        ("subject_token_type", ""): ("invalid_request", "invalid_token_type"),
        ("subject_token", ""): ("invalid_request", "invalid_token_type"),
        ("actor_token_type", "urn:ietf:params:oauth:token-type:jwt"): ("invalid_request", "invalid_token_type"),
        ("actor_token", "x" * 43): ("invalid_request", "invalid_token_type"),
        ("scope", "lookup"): ("invalid_scope", "exchange_without_scope"),
        ("audience", "https://elsewhere.example"): ("invalid_target", "invalid_target"),
        ("resource", "https://elsewhere.example"): ("invalid_target", "invalid_target"),
        ("authorization_details", ""): ("invalid_authorization_details", "malformed"),
    }
    for (name, value), refusal in refusals.items():
        assert told(pos.exchange(parent, reference, ("phone", "masked"), form={name: value})) == refusal, name
    none = {"subject_token": "", "subject_token_type": ""}
    refused = pos.exchange(parent, reference, ("phone", "masked"), form=none)
    assert told(refused) == ("invalid_request", "subject_token_required")
    for name in ("audience", "resource"):
        parent = pos.granted(reference, *WIDE)
        taken(pos.exchange(parent, reference, ("phone", "masked"), form={name: "https://vault.example"}))


# --- the child dies with its parent ----------------------------------------------------------------------------------


def family(pos, desk, reference):
    parent = pos.granted(reference, *WIDE, max_uses=20)
    child = taken(pos.exchange(parent, reference, ("phone", "masked"), actor=desk.service("lookup"), max_uses=15))
    grandchild = taken(desk.exchange(child, reference, ("phone", "masked"), max_uses=10))
    return parent, child, grandchild


def test_a_revoked_parent_takes_its_line_with_it(pos, desk, reference):
    parent, child, grandchild = family(pos, desk, reference)
    assert desk.disclose(grandchild).status_code == 200
    # Only the system whose token it is may take it back.
    assert desk.http.post("/oauth/revoke", data=desk.form(token=parent)).status_code == 200
    assert desk.disclose(grandchild).status_code == 200
    assert pos.http.post("/oauth/revoke", data=pos.form(token=parent)).status_code == 200
    for token in (child, grandchild):
        problem_of(desk.disclose(token), 401, "invalid_token")
        assert introspected(desk, token) == {"active": False}
    assert told(desk.exchange(child, reference, ("phone", "masked"))) == ("invalid_request", "subject_token_refused")


def test_a_revoked_child_leaves_its_parent(pos, desk, reference):
    parent, child, grandchild = family(pos, desk, reference)
    assert desk.http.post("/oauth/revoke", data=desk.form(token=child)).status_code == 200
    problem_of(desk.disclose(grandchild), 401, "invalid_token")
    assert pos.disclose(parent).status_code == 200


def test_a_disabled_system_takes_down_what_it_handed_on(maison, pos, desk, reference):
    _, child, grandchild = family(pos, desk, reference)
    disable(maison.vault, pos)
    for token in (child, grandchild):
        problem_of(desk.disclose(token), 401, "invalid_token")
    assert maison.entries()[-1].read["pol"] == ["auth.parent_dead"]


def test_a_withdrawal_ends_the_whole_line(pos, desk, reference):
    parent, child, grandchild = family(pos, desk, reference)
    assert pos.withdraw(reference).status_code == 201
    problem_of(pos.disclose(parent), 401, "invalid_token")
    for token in (child, grandchild):
        problem_of(desk.disclose(token), 401, "invalid_token")


def test_a_token_that_lost_its_consent_is_not_exchanged(pos, reference):
    parent = pos.granted(reference, *WIDE)
    pos.withdraw(reference)
    pos.give(reference)  # consent stands again, but this token was granted before
    refused = pos.exchange(parent, reference, ("phone", "masked"))
    assert told(refused) == ("invalid_authorization_details", "not_granted")


# --- never wider -----------------------------------------------------------------------------------------------------

NAMES = ("phone", "birth_date", "name")
LEVELS = st.sampled_from(Level)
PREDICATES = st.sampled_from(("over_18", "over_65"))
WISHES = st.builds(
    lambda name, level, predicate: Wanted(name, level, predicate if level is Level.PREDICATE else ""),
    st.sampled_from(NAMES),
    LEVELS,
    PREDICATES,
)
ENTRIES = st.lists(WISHES, min_size=1, max_size=3, unique_by=lambda each: each.field).map(tuple)
STAFF = st.sampled_from(("", "hash-1", "hash-2"))
PURPOSES = st.sampled_from(("clienteling", "clienteling.in_store", "clienteling.aftercare", "service.repair"))
SHOWS = {  # what each level of a field answers, beside what it is asked for by name
    Level.PRESENCE: {"presence"},
    Level.GENERALISED: {"presence", "generalised"},
    Level.MASKED: {"presence", "generalised", "masked"},
    Level.RAW: {"presence", "generalised", "masked", "raw", "over_18", "over_65"},
}


def shown(wish):
    return SHOWS[wish.level] if wish.level is not Level.PREDICATE else {"presence", wish.predicate}


class Held:
    """As much of a parent as the comparison looks at."""

    def __init__(self, purpose, wanted, staff):
        self.purpose = purpose
        stored = [{"name": w.field, "level": w.level, "predicate": w.predicate} for w in wanted]
        self.detail = json.dumps({"fields": stored, "staff": staff})


def test_what_lies_within_shows_nothing_more(bundle):
    within = Counter()

    # How long it takes to draw examples is the machine's, and no finding.
    @settings(max_examples=200, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
    @given(PURPOSES, ENTRIES, STAFF, PURPOSES, ENTRIES, STAFF)
    def shows_nothing_more(purpose, parent, behind, wanted, fields, staff):
        held = Held(purpose, parent, behind)
        asked = rar.Disclosure(("ref",), True, wanted, fields, 1, "", "", None)
        answer = is_within(asked, staff, Narrowed(held, read(held.detail), None, "", ""), bundle.purposes)
        within[answer] += 1
        if not answer:
            return
        allowed = {each.field: shown(each) for each in parent}
        assert all(shown(each) <= allowed.get(each.field, set()) for each in fields)
        assert wanted == purpose or wanted.startswith(f"{purpose}.")
        assert staff in {"", behind}

    shows_nothing_more()
    assert within[True] > 0
    assert within[False] > 0


def test_no_line_of_exchanges_ever_widens(maison, pos, desk, reference):
    """Through the whole of the service: fields, levels, uses and end of every token made, against its parent's."""
    lengths = Counter()

    @settings(max_examples=20, deadline=None, derandomize=True)
    @given(ENTRIES, st.integers(1, 4), st.lists(st.tuples(ENTRIES, st.integers(1, 5), st.booleans()), max_size=3))
    def never_widens(entry, uses, steps):
        named = [(w.field, w.level.value, w.predicate) if w.predicate else (w.field, w.level.value) for w in entry]
        first = pos.wish(reference, *named, max_uses=uses)
        if first.status_code != 200:
            return
        line, holder, budget = [first.json()], pos, uses
        for fields, wanted_uses, hand_on in steps:
            asked = [(w.field, w.level.value, w.predicate) if w.predicate else (w.field, w.level.value) for w in fields]
            to = desk if hand_on else holder
            actor = desk.service("lookup") if hand_on else None
            answer = holder.exchange(line[-1]["access_token"], reference, *asked, actor=actor, max_uses=wanted_uses)
            if answer.status_code == 200:
                line.append(answer.json())
                holder = to
        with maison.vault.unit() as uow:
            hashes = [tokens.hash_of(each["access_token"]) for each in line]
            sessions = tokens.presented(uow, hashes)
            left = [next(iter(tokens.named(uow, [each])[each].values())).uses_left for each in hashes]
        assert sum(left) == budget
        for parent, child in pairwise(sessions):
            above = {each.field: shown(each) for each in read(parent.detail).wanted}
            assert all(shown(each) <= above.get(each.field, set()) for each in read(child.detail).wanted)
            assert child.expires_at <= parent.expires_at
            assert child.purpose == parent.purpose
            assert child.system.brand == parent.system.brand
            assert child.actors == (*parent.actors, parent.system.id)
        assert len(line) <= 3
        lengths[len(line)] += 1

    never_widens()
    assert sum(count for length, count in lengths.items() if length > 1) > 0, lengths
