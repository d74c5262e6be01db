"""`ecrin erase`, `hold`, `epoch`, `retention`: an operator's day with somebody who wants to be forgotten."""

import pytest

FIELDS = {
    "client_number": "AU-0042",
    "email": ["apolline@example.com"],
    "phone": ["+33639981234"],
    "last_purchase_date": "2026-03-02",
}
UNKNOWN = "ref_" + "0" * 26


@pytest.fixture
def person(home, monkeypatch, tmp_path):
    """The reference of somebody taken in, in a deployment that may destroy its roots."""
    from api.cli.opened import opened
    from vault.subjects import Holding, NewSubject, ingest
    from vault.unit import execute

    copies = [tmp_path / "copies" / name for name in ("one", "two")]
    for folder in copies:
        folder.mkdir(parents=True)
    monkeypatch.setenv("ECRIN_KEYSTORE_COPIES", ",".join(map(str, copies)))
    with opened() as vault:
        (registered,) = execute(vault, ingest, [NewSubject("aurelle-crm", "fr", (Holding("aurelle", FIELDS),))])
    return registered.references["aurelle"]


def asked(reference, *more):
    return ("--brand", "aurelle", "--reference", reference, *more)


def test_from_the_request_to_a_certificate_that_anybody_can_check(ecrin, person, home, tmp_path):
    requested = ecrin("erase", *asked(person), "--json")
    assert requested.code == 0
    (kept,) = requested.json["kept"]
    assert (kept["category"], kept["because"], kept["until"][:4]) == ("purchases", "law", "2036")
    identifier = requested.json["erasure"]
    assert ecrin("erase", "certificate", identifier).code == 1
    waiting = ecrin("epoch", "status", "--json").json
    assert (waiting["epoch"], waiting["leaves_waiting"], waiting["erasures"]) == (0, 2, {"partial": 1})

    ran = ecrin("epoch", "run", "--json").json
    assert (ran["erasures"], ran["certificates"]) == (1, 1)
    assert [(each["epoch"], each["class"], each["copies"]) for each in ran["ended"]] == [(0, "C", 2)]
    assert ecrin("epoch", "run", "--json").json["ended"] == []
    (listed,) = ecrin("erase", "list", "--json").json["erasures"]
    assert (listed["id"], listed["what"], listed["kept"], listed["certified"]) == (
        identifier,
        "subject",
        "purchases",
        True,
    )
    note = ecrin("erase", "certificate", identifier)
    assert note.code == 0
    path = tmp_path / "certificate"
    path.write_text(note.out)
    verified = ecrin("erase", "verify", path, "--json")
    assert verified.code == 0
    assert verified.json["class"] == "C"
    assert "no copy of the deleted key file survives" in verified.json["en"]
    path.write_text(note.out.replace("class", "klass").replace("scope subject", "scope category contact"))
    assert ecrin("erase", "verify", path).code == 1
    for text in (*FIELDS["email"], *FIELDS["phone"], FIELDS["client_number"], person):
        assert text not in note.out


def test_a_hold_is_placed_told_and_released(ecrin, person):
    placed = ecrin("hold", "place", *asked(person), "--reason", "legal_claim", "--category", "contact", "--json")
    assert placed.code == 0
    assert ecrin("hold", "list", "--json").json["holds"][0]["reason"] == "legal_claim"
    requested = ecrin("erase", *asked(person, "--category", "contact"), "--json")
    assert requested.json["state"] == "partial"
    assert ecrin("epoch", "run", "--json").json["ended"] == []
    assert ecrin("hold", "release", placed.json["hold"]).code == 0
    assert ecrin("hold", "release", placed.json["hold"]).code == 1
    assert ecrin("hold", "list", "--json").json["holds"] == []
    assert len(ecrin("epoch", "run", "--json").json["ended"]) == 1
    (done,) = ecrin("erase", "list", "--all", "--json").json["erasures"]
    assert (done["what"], done["state"]) == ("category contact", "done")


def test_a_hold_stops_what_is_queued(ecrin, person):
    ecrin("erase", *asked(person))
    placed = ecrin("hold", "place", *asked(person), "--reason", "dispute", "--json")
    assert (placed.code, sorted(placed.json["saved"]), placed.json["late"]) == (0, ["contact", "identity"], [])


def test_a_restriction_is_placed_told_and_lifted_when_the_person_knows(ecrin, person):
    ground = ("--ground", "objection_pending")
    placed = ecrin("restriction", "place", *asked(person, *ground), "--json")
    assert (placed.code, placed.json) == (0, {"ground": "objection_pending", "restricted": True})
    (listed,) = ecrin("restriction", "list", "--json").json["restrictions"]
    assert (listed["brand"], listed["ground"], listed["lifted"]) == ("aurelle", "objection_pending", "")
    assert ecrin("restriction", "lift", *asked(person, *ground)).code == 2  # not without the person's knowing
    lifted = ecrin("restriction", "lift", *asked(person, *ground, "--informed"), "--json")
    assert (lifted.code, lifted.json["restricted"]) == (0, False)
    assert ecrin("restriction", "list", "--json").json["restrictions"] == []
    assert len(ecrin("restriction", "list", "--all", "--json").json["restrictions"]) == 1
    assert person not in placed.out + lifted.out


def test_retention_counts_before_it_asks(ecrin, person):
    dry = ecrin("retention", "--dry-run", "--json")
    assert (dry.code, dry.json["over"], dry.json["requested"]) == (0, {}, 0)
    assert ecrin("retention", "--json").json["requested"] == 0


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (("erase",), 2),
        (("erase", "--brand", "aurelle"), 2),
        (("erase", *asked(UNKNOWN)), 1),
        (("erase", *asked(UNKNOWN, "--category", "contact", "--field", "email")), 2),
        (("hold", "place", *asked(UNKNOWN), "--reason", "legal_claim"), 1),
        (("hold", "place", *asked(UNKNOWN), "--reason", "no_reason"), 2),
        (("hold", "release", "nonsense"), 1),
        (("restriction", "place", *asked(UNKNOWN), "--ground", "unlawful"), 1),
        (("restriction", "place", *asked(UNKNOWN), "--ground", "restored"), 2),
        (("restriction", "lift", *asked(UNKNOWN), "--ground", "unlawful", "--informed"), 1),
        (("erase", "certificate", "nonsense"), 1),
        (("erase", "verify", "no-such-file"), 2),
    ],
)
def test_a_wrong_call_changes_nothing_and_says_so(ecrin, person, arguments, code):
    ended = ecrin(*arguments)
    assert ended.code == code
    assert "Traceback" not in ended.err


def test_what_the_catalogue_does_not_have_is_refused(ecrin, person):
    assert ecrin("erase", *asked(person, "--category", "no_such")).code == 1
    assert ecrin("erase", *asked(person, "--field", "no_such")).code == 1
    assert ecrin("erase", *asked(person, "--category", "health")).code == 1
    assert ecrin("erase", "list", "--all", "--json").json["erasures"] == []


def test_without_two_copies_nothing_is_destroyed(ecrin, person, monkeypatch):
    monkeypatch.delenv("ECRIN_KEYSTORE_COPIES")
    ecrin("erase", *asked(person))
    ended = ecrin("epoch", "run")
    assert ended.code == 1
    assert "too_few_copies" in ended.err
    assert ecrin("epoch", "status", "--json").json["epoch"] == 0


def test_a_root_is_rotated_when_asked(ecrin, person):
    assert len(ecrin("epoch", "run", "--rotate", "--json").json["ended"]) == 1
    assert ecrin("epoch", "status", "--json").json["epoch"] == 1
