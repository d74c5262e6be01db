"""Who on the brand's side stands behind a request: one header, refused where it is ill-formed or says two things."""

import pytest
from maison_callers import CONSENT, PERSON, STRANGER, details, lines_of, ndjson, problem_of

from api.authn.staff import agreed, named
from audit.pseudonym import veiled
from vault import systems
from vault.budgetlimits import Budgets
from vault.errors import Refused
from vault.staff import staff_keys, staff_told

WHO = {"Ecrin-Staff": "advisor-1"}
OTHER = {"Ecrin-Staff": "advisor-2"}


@pytest.fixture
def reference(pos):
    return pos.created(PERSON, CONSENT)


def said(maison, entries, brand="aurelle"):
    """Whom each entry names, as reports tell it; "" for nobody."""
    key = staff_keys(maison.vault.keys, [brand])[brand]
    return [
        veiled(key, bytes.fromhex(each.read["id"]), bytes.fromhex(each.read["stf"])).hex() if "stf" in each.read else ""
        for each in entries
    ]


def as_told(maison, word, brand="aurelle"):
    return staff_told(maison.vault.keys, brand, word)


@pytest.mark.parametrize(
    "values",
    [[""], [" "], ["Mme Aubin"], ["a@b"], ["a/b"], ["é"], ["a\n"], ["a" * 129], ["a", "a"], ["a", "b"], ["a,b"]],
)
def test_what_is_not_one_pseudonym_is_none(values):
    refused = named(values)
    assert isinstance(refused, Refused)
    assert refused.code == "invalid_staff"


def test_a_header_and_a_body_may_say_the_same_and_nothing_else():
    assert [named([]), named(["adv-PAR1:7_x.y"]), named(["a" * 128])] == ["", "adv-PAR1:7_x.y", "a" * 128]
    assert [agreed("", ""), agreed("a", ""), agreed("", "a"), agreed("a", "a")] == ["", "a", "a", "a"]
    refused = agreed("a", "b")
    assert isinstance(refused, Refused)
    assert refused.code == "staff_mismatch"


def test_a_token_that_is_no_good_is_told_first_and_an_ill_formed_name_burns_no_proof(maison, pos, reference):
    wrong = {"Ecrin-Staff": "Mme Aubin"}
    problem_of(pos.send("GET", f"/v1/subjects/{reference}", "", headers=wrong), 401, "token_required")
    proof = pos.proof("GET", f"/v1/subjects/{reference}", pos.service("lookup"))
    problem_of(pos.describe(reference, headers=wrong, proofs=[proof]), 400, "invalid_staff")
    assert pos.describe(reference, headers=WHO, proofs=[proof]).status_code == 200


def test_the_token_endpoint_takes_the_header_as_it_takes_the_body(maison, pos, reference):
    def ask(headers, **grant):
        proof = pos.proof("POST", "/oauth/token")
        return pos.http.post("/oauth/token", data=pos.form(**grant), headers={"DPoP": proof, **headers})

    def error_of(answer):
        return answer.status_code, answer.json()["error"], answer.json()["code"]

    pos.service("lookup")  # draws the nonce
    plain, named_so = (details(reference, ("phone", "masked"), purpose="clienteling.in_store", **more) for more in ({}, {"staff": "advisor-1"}))  # fmt: skip
    for grant in ({"scope": "lookup"}, {"authorization_details": plain}):
        assert error_of(ask({"Ecrin-Staff": "Mme Aubin"}, **grant)) == (400, "invalid_request", "invalid_staff")
    assert error_of(ask(OTHER, authorization_details=named_so)) == (400, "invalid_request", "staff_mismatch")
    before = len(maison.entries())
    for headers, grant in (
        (WHO, {"authorization_details": plain}),
        (WHO, {"authorization_details": named_so}),
        ({}, {"authorization_details": named_so}),
        (WHO, {"scope": "lookup"}),
        ({}, {"scope": "lookup"}),
    ):
        assert ask(headers, **grant).status_code == 200
    entries = maison.entries()[before:]
    assert [each.act for each in entries] == ["token.issued"] * 5
    assert said(maison, entries) == [as_told(maison, "advisor-1")] * 4 + [""]


def test_a_disclosure_names_who_the_token_names_and_nobody_else(maison, pos, reference):
    token = pos.granted(reference, ("phone", "masked"), staff="advisor-1", max_uses=3)
    problem_of(pos.disclose(token, headers=OTHER), 400, "staff_mismatch")
    problem_of(pos.send("POST", "/v1/disclosures/bulk", token, {"references": [reference]}, headers=OTHER), 400, "staff_mismatch")  # fmt: skip
    refused = maison.entries()[-2:]
    assert [(each.act, each.read["pol"]) for each in refused] == [("field.denied", ["token.staff_mismatch"])] * 2
    assert pos.disclose(token).status_code == pos.disclose(token, headers=WHO).status_code == 200
    mine = as_told(maison, "advisor-1")
    assert said(maison, maison.entries()[-2:]) == [mine, mine]


def test_a_token_without_a_name_is_redeemed_by_whoever_is_named_then(maison, pos, reference):
    token = pos.granted(reference, ("phone", "masked"), max_uses=3)
    assert [pos.disclose(token, headers=each).status_code for each in (WHO, OTHER, {})] == [200] * 3
    assert said(maison, maison.entries()[-3:]) == [as_told(maison, "advisor-1"), as_told(maison, "advisor-2"), ""]


def test_contact_is_asked_by_one_person(maison, pos, reference):
    body = {"reference": reference, "purpose": "clienteling", "channel": "phone"}

    def ask(headers, **more):
        return pos.send("POST", "/v1/contact/evaluation", pos.service("lookup"), body | more, headers=headers)

    problem_of(ask(OTHER, staff="advisor-1"), 400, "staff_mismatch")
    advised = pos.created(
        PERSON | {"client_number": "AU-9", "discretion": ["own_advisor_only"], "advisor": "advisor-1"}, CONSENT
    )
    for headers, more in ((WHO, {}), (WHO, {"staff": "advisor-1"}), ({}, {"staff": "advisor-1"})):
        assert ask(headers, reference=advised, **more).json()["why"] == []
    assert said(maison, maison.entries()[-3:]) == [as_told(maison, "advisor-1")] * 3
    assert ask(OTHER, reference=advised).json()["why"] == ["advisor"]


def test_a_name_in_the_header_stands_behind_an_evaluation_as_behind_a_disclosure(maison, pos, reference):
    def may(headers, **more):
        body = {
            "subject": {"type": "system", "id": pos.id},
            "action": {"name": "disclose", "properties": {
                "purpose": "legal.claims", "fields": [{"name": "name", "level": "raw"}], **more}},
            "resource": {"type": "subject", "id": reference},
        }  # fmt: skip
        answer = pos.send("POST", "/access/v1/evaluation", pos.service("lookup"), body, headers=headers)
        assert answer.status_code == 200, answer.text
        return answer.json()["decision"]

    assert [may({}), may({}, staff=True), may(WHO)] == [False, True, True]
    assert said(maison, maison.entries()[-3:]) == ["", "", as_told(maison, "advisor-1")]


def test_whoever_is_named_has_one_budget_for_searches_evaluations_and_disclosures(maison, pos):
    people = [pos.created(PERSON | {"client_number": f"AU-{n}"}, CONSENT) for n in range(3)]
    with maison.vault.unit() as unit:
        systems.change_budgets(unit, pos.id, Budgets(("staff:people:2/hour",)))
        unit.commit()
    assert pos.search("client_number", "AU-0", headers=WHO).status_code == 200
    assert pos.disclose(pos.granted(people[1], ("phone", "masked"), staff="advisor-1")).status_code == 200
    problem_of(pos.search("client_number", "AU-2", headers=WHO), 429, "budget_exhausted")
    problem_of(pos.search("client_number", "AU-none", headers=WHO), 429, "budget_exhausted")
    contact = {"reference": people[2], "purpose": "clienteling", "channel": "phone"}
    asked = pos.send("POST", "/v1/contact/evaluation", pos.service("lookup"), contact, headers=WHO)
    problem_of(asked, 429, "budget_exhausted")
    assert pos.search("client_number", "AU-2", headers=OTHER).status_code == 200
    assert pos.search("client_number", "AU-2").status_code == 200


def test_a_search_that_is_refused_or_finds_nobody_names_who_searched(maison, pos, reference):
    assert pos.search("client_number", "AU-none", headers=WHO).status_code == 200
    problem_of(pos.search("ring_size", "52", headers=WHO), 422, "unsearchable_field")
    problem_of(pos.describe(STRANGER, headers=WHO), 404, "unknown_reference")
    assert said(maison, maison.entries()[-3:]) == [as_told(maison, "advisor-1")] * 3


def test_an_import_names_one_person_in_every_entry_and_a_repetition_writes_none(maison, pos):
    before = len(maison.entries())
    pos.service("import")
    rows = ndjson(*[{"ref": f"{n}", "fields": PERSON | {"client_number": f"AU-{n}"}, "consents": [CONSENT]} for n in range(2)])  # fmt: skip
    assert len(lines_of(pos.bring(rows, "k", headers=list(WHO.items())))) == 2
    brought = [each for each in maison.entries()[before:] if each.act != "token.issued"]
    acts = [each.act for each in brought]
    assert acts.count("subject.registered") == acts.count("consent.given") == 2
    assert {"import.started", "import.completed"} <= set(acts)
    assert set(said(maison, brought)) == {as_told(maison, "advisor-1")}
    count = len(maison.entries())
    lines_of(pos.bring(rows, "k", headers=list(OTHER.items())))
    assert [each.act for each in maison.entries()[count:]] == ["import.started", "import.completed"]


def test_the_same_word_is_another_person_at_another_maison(maison, pos, sister):
    pos.created(PERSON, headers=WHO)
    sister.created(PERSON, headers=WHO)
    made = [each for each in maison.entries() if each.act == "subject.registered"]
    assert said(maison, made[:1]) == [as_told(maison, "advisor-1")]
    assert said(maison, made[1:], "vantier") == [as_told(maison, "advisor-1", "vantier")]
    assert as_told(maison, "advisor-1") != as_told(maison, "advisor-1", "vantier")
