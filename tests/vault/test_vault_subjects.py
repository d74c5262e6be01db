"""Taking subjects in: all of a person or nothing, an item's failure fails that item alone."""

from maison_people import AURELLE, FIELDS, VANTIER, given, one, person, rows, take_in, value

import audit.entry
from vault.errors import InvalidFields, UnknownReference
from vault.subjects import Holding, NewSubject, describe, ingest
from vault.unit import execute, settled

TABLES = (
    "subject",
    "relation",
    "reference",
    "compartment",
    "field_value",
    "search_token",
    "consent_event",
    "consent_state",
)


def counts(vault):
    return {
        table: rows(vault, f"SELECT count(*) FROM {table}")[0][0]  # noqa: S608 - names of our own tables
        for table in TABLES
    }


def entries(vault):
    """All but the first, which says that the deployment began."""
    return [audit.entry.decode(bytes(body)) for (body,) in rows(vault, "SELECT body FROM log_entry ORDER BY idx")][1:]


def test_a_person_goes_in_and_comes_out_canonical(vault):
    registered = one(take_in(vault))
    assert registered.version == 1
    assert set(registered.references) == {AURELLE}
    assert value(vault, registered.subject, "phone") == ["+33639981234", "+971501234567"]
    assert value(vault, registered.subject, "name") == FIELDS["name"]
    assert value(vault, registered.subject, "ring_size") == {"value": "52", "system": "eu"}


def test_one_item_fails_alone_and_leaves_no_row(vault):
    good, bad, unknown, other = take_in(
        vault,
        person(),
        person(FIELDS | {"email": ["nobody"], "birth_date": "17/05/1984"}),
        person({"shoe_colour_of_the_aunt": "x"}),
        person({"client_number": "AU-0043"}),
    )
    assert isinstance(bad, InvalidFields)
    assert set(bad.problems) == {("email", "not_an_email"), ("birth_date", "not_a_date")}
    assert isinstance(unknown, InvalidFields)
    assert unknown.problems == (("fields[0]", "unknown_field"),)
    assert "nobody" not in f"{bad} {bad!r} {bad.problems}"
    assert counts(vault)["subject"] == 2
    assert counts(vault)["field_value"] == 8
    assert value(vault, good.subject, "client_number") == "AU-0042"
    assert value(vault, other.subject, "client_number") == "AU-0043"


def test_a_refused_batch_stores_nothing(vault):
    before = counts(vault)
    results = take_in(vault, person({"email": [""]}), NewSubject("aurelle-crm", "fr", ()))
    assert all(isinstance(each, InvalidFields) for each in results)
    assert counts(vault) == before


def test_every_problem_of_an_item_is_found_at_once(vault):
    refused = NewSubject(
        "aurelle-crm",
        "France!",
        (
            Holding(AURELLE, {"email": ["x"]}, (given("no.such"), given(notice="hospitality"))),
            Holding(AURELLE, {"phone": ["12"]}),
        ),
    )
    (error,) = take_in(vault, refused)
    assert set(error.problems) == {
        ("region", "not_a_region"),
        ("holdings", "not_one_per_brand"),
        ("email", "not_an_email"),
        ("phone", "region_needed"),
        ("consents[0].purpose", "unknown_purpose"),
        ("consents[1].notice", "not_for_this_purpose"),
    }


def test_validity_is_checked_and_an_empty_input_is_a_person_without_values(vault):
    bad, empty = take_in(
        vault,
        person({"profession": {"value": "notary", "valid_from": "2020-01-01", "valid_until": "2019-01-01"}}),
        person({}),
    )
    assert bad.problems == (("profession", "ends_before_it_begins"),)
    assert value(vault, empty.subject, "profession") is None


def test_minority_is_known_without_opening_a_value(vault, clock):
    day = 86_400 * 365
    child, adult = take_in(vault, person({"birth_date": "2015-01-01"}), person({"birth_date": "1970-01-01"}))
    minors = dict(rows(vault, "SELECT id, minor FROM subject"))
    assert (bool(minors[child.subject]), bool(minors[adult.subject])) == (True, False)
    clock.advance(30 * day)
    (late,) = take_in(vault, person({"birth_date": "2015-01-01"}))
    assert not dict(rows(vault, "SELECT id, minor FROM subject"))[late.subject]


def test_a_sister_brand_that_knows_of_a_minor_makes_the_subject_one(vault):
    registered = one(take_in(vault, person({"birth_date": "1970-01-01"}, vantier={"birth_date": "2015-01-01"})))
    assert bool(dict(rows(vault, "SELECT id, minor FROM subject"))[registered.subject])


def test_one_entry_per_subject_names_fields_and_commits_to_its_key(vault):
    take_in(vault, person(), person({"client_number": "AU-7"}, consents=[given()]))
    written = entries(vault)
    assert [each["act"] for each in written] == ["subject.registered", "subject.registered", "consent.given"]
    assert written[0]["fld"] == sorted(FIELDS)
    assert len({each["com"] for each in written[:2]}) == 2
    assert len({each["sref"] for each in written}) == 3
    assert written[2]["pur"] == "clienteling"


def test_names_that_do_not_fit_one_entry_go_into_further_ones(vault):
    names = sorted(vault.bundle.catalogue.fields)
    inputs = {name: [] for name in names if vault.bundle.catalogue.field(name).kind != "single"}
    inputs |= {"client_number": "A"}
    take_in(vault, person({**inputs, "languages": ["fr", "en"]}))
    assert entries(vault)[0]["fld"] == ["client_number", "languages"]


def test_each_brand_has_its_own_reference_and_holdings(vault):
    registered = one(take_in(vault, person(vantier={"client_number": "V-1"})))
    assert len(set(registered.references.values())) == 2
    assert value(vault, registered.subject, "client_number") == "AU-0042"
    assert value(vault, registered.subject, "client_number", brand=VANTIER) == "V-1"
    assert value(vault, registered.subject, "phone", brand=VANTIER) is None


def test_describe_tells_a_brand_of_its_own_reference_only(vault):
    registered = one(take_in(vault, person(vantier={})))
    asked = [
        (AURELLE, registered.references[AURELLE]),
        (VANTIER, registered.references[AURELLE]),
        (AURELLE, "ref_00000000000000000000000000"),
        (VANTIER, registered.references[VANTIER]),
    ]
    own, others, nobodys, sisters = execute(vault, settled(describe), asked)
    assert (own.reference, own.version, own.since) == (asked[0][1], 1, "2026-09")
    assert isinstance(others, UnknownReference)
    assert isinstance(nobodys, UnknownReference)
    assert (type(others), others.args) == (type(nobodys), nobodys.args)
    assert sisters.version == 1


def test_a_reserved_leaf_is_never_shared(vault):
    take_in(vault, *[person({"client_number": f"N{each}", "birth_date": "1990-01-01"}) for each in range(4)])
    slots = [slot for (slot,) in rows(vault, "SELECT slot FROM compartment UNION ALL SELECT log_slot FROM subject")]
    assert len(slots) == len(set(slots)) == 12


def test_what_ingest_returns_shows_no_identifier_in_its_repr(vault):
    registered = one(take_in(vault))
    assert repr(registered.subject) not in repr(registered)
    assert "Rousselin" not in repr(person())


def test_an_empty_batch_is_no_work(vault):
    assert execute(vault, ingest, []) == []
