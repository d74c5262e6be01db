"""What is declared beside what is done: the record of processing, transfers, dormant grants, the figures of a DPIA."""

import pytest
from maison_people import AURELLE, VANTIER
from policy_officers import FILES
from report_scene import OPERATOR

from audit.entry import Act, Outcome
from policies.bundle import parse_bundle
from vault import systems

STORE = "clienteling.in_store"


def said(*fields, purpose=STORE):
    return {"fld": fields, "pur": purpose, "bas": "consent", "pol": ("store.contact",)}


@pytest.fixture
def used(reporting):
    """Two maisons at work: one uses part of what it may, the other what nothing declares."""
    reporting.system("aurelle-crm", purposes=(STORE, "service.repair"))
    reporting.system("vantier-pos", VANTIER, purposes=(STORE,))
    reporting.did("aurelle-crm", times=8, **said("phone:masked", "ring_size:raw"))
    reporting.did("aurelle-crm", times=3, out=Outcome.ERROR, **said("email:masked"))
    reporting.did("aurelle-crm", act=Act.FIELD_DENIED, out=Outcome.DENY, times=9, **said("advisor_notes:raw"))
    reporting.did("vantier-pos", times=2, **said("phone:raw"))
    reporting.did("vantier-pos", times=6, **said("phone:masked", purpose="gone.purpose"))
    return reporting


def one(rows, **wanted):
    (row,) = [each for each in rows if all(each[name] == value for name, value in wanted.items())]
    return row


def test_the_record_of_processing_holds_declared_against_used(used):
    rows = used.rows("processing")
    store = one(rows, controller=AURELLE, purpose=STORE)
    assert store["contact"] == "privacy@aurelle.example"
    assert "identity:raw" in store["categories"]
    assert "identity:1095d" in store["retention"]
    assert store["systems"] == ("aurelle-crm",)
    assert store["uses"] == 16
    assert "notes" in store["declared_not_used"]
    assert "contact" not in store["declared_not_used"]
    assert store["used_not_declared"] == ()
    # Contact is declared up to masked for this purpose: a raw value is more than that.
    assert one(rows, controller=VANTIER, purpose=STORE)["used_not_declared"] == ("phone:raw",)
    assert one(rows, controller=VANTIER, purpose=STORE)["uses"] == "<5"
    gone = one(rows, controller=VANTIER, purpose="gone.purpose")
    assert (gone["used_not_declared"], gone["title"], gone["title_fr"], gone["version"]) == (
        ("phone:masked",),
        "",
        "",
        0,
    )
    titles = used.vault.bundle.purposes.get(STORE).title
    assert (store["title"], store["title_fr"]) == (titles["en"], titles["fr"])
    repair = one(rows, controller=AURELLE, purpose="service.repair")
    assert (repair["uses"], set(repair["declared_not_used"])) == (
        0,
        {each.partition(":")[0] for each in repair["categories"]},
    )


def test_every_purpose_of_the_bundle_is_in_the_record_and_headings_are_not(used):
    purposes = {row["purpose"] for row in used.rows("processing")}
    bundle = used.vault.bundle
    headings = {each.key for each in bundle.purposes.every if set(each.basis.values()) == {"heading"}}
    assert purposes == {each.key for each in bundle.purposes.every} - headings | {"gone.purpose"}
    assert headings
    assert {row["controller"] for row in used.rows("processing", brand=AURELLE)} == {AURELLE}


def test_refusals_and_errors_are_no_use(used):
    assert "email" not in str(used.rows("transfers"))
    assert one(used.rows("dpia"), controller=AURELLE, category="contact")["masked"] == 8


def test_a_flow_out_of_the_eea_is_told_with_its_ground(used):
    (first, second) = used.rows("transfers")
    assert {first["purpose"], second["purpose"]} == {STORE, "gone.purpose"}
    assert {each["recipient"] for each in (first, second)} == {VANTIER}
    assert (first["country"], first["safeguard"], first["without_ground"]) == ("CH", "adequacy", False)
    assert one((first, second), purpose=STORE)["disclosures"] == "<5"
    assert one((first, second), purpose="gone.purpose")["fields"] == ("phone:masked",)


def test_a_flow_without_a_ground_comes_first_and_is_counted(used):
    stripped = FILES["parties.toml"].decode().replace('safeguard = "adequacy"', "")
    assert stripped != FILES["parties.toml"].decode()
    used.vault.bundle = parse_bundle("maisons", FILES | {"parties.toml": stripped.encode()})
    report = used.run("transfers")
    assert dict(report.body.totals)["flows_without_ground"] == 2
    assert all(row[-1] is True for row in report.body.rows)


def test_inside_the_eea_nothing_is_a_transfer(used):
    assert used.rows("transfers", brand=AURELLE) == []


def test_a_dormant_grant_is_proposed_to_go_and_one_used_below_its_ceiling_to_be_lowered(used):
    rows = used.rows("dormant")
    assert {row["proposal"] for row in rows if row["purpose"] == "service.repair"} == {"drop the purpose"}
    crm = [row for row in rows if row["system"] == "aurelle-crm" and row["purpose"] == STORE]
    assert not [row for row in crm if row["category"] in {"contact", "measurements"}]  # used up to the ceiling
    assert one(crm, category="identity")["proposal"] == "close"
    used.did("aurelle-crm", times=5, **said("name:masked"))
    lower = one(used.rows("dormant", system="aurelle-crm", purpose=STORE), category="identity")
    assert (lower["proposal"], lower["ceiling"], lower["highest_used"], lower["uses"]) == (
        "lower to masked",
        "raw",
        "masked",
        5,
    )


def test_a_grant_for_a_purpose_that_is_gone_is_told_and_a_disabled_systems_are_not(used):
    used.system("old-till", purposes=("gone.purpose",))
    assert one(used.rows("dormant"), system="old-till")["proposal"].startswith("drop")
    with used.vault.unit() as uow:
        systems.disable(uow, "old-till", OPERATOR)
        uow.commit()
    assert not [row for row in used.rows("dormant") if row["system"] == "old-till"]


def test_the_figures_of_an_impact_assessment(used):
    used.person()
    report = used.run("dpia")
    totals = dict(report.body.totals)
    assert totals["given_out_masked"] == 14
    assert totals["given_out_raw"] == ">=8"  # 8 and 2: an exact sum would tell the 2
    assert (totals["people"], totals["minors"], totals["policy_version"]) == ("<5", 0, 0)
    assert one(used.rows("dpia"), controller=AURELLE, category="measurements")["sensitivity"]
