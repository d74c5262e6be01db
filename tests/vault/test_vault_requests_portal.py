"""What a person does at the portal, below its pages: own values on demand, wishes, own lines of the log, receipts."""

import datetime as dt

import pytest
from maison_people import AURELLE, VANTIER, one, person, take_in

from audit import ledger
from audit.entry import Act, Actor, ActorKind, Entry, Outcome, decode
from audit.receipt import open_receipt
from vault import disclosure, evidence, locked, receipts
from vault.errors import InvalidFields, UnknownReference, UnrecordedDisclosure
from vault.requests import looks, ownlines, revealing, wishes
from vault.requests.ownlines import own_lines
from vault.requests.revealing import REVEALED
from vault.requests.wishes import Silence

FIELDS = {
    "client_number": "AU-0042",
    "name": {"family": "Rousselin", "given": "Apolline"},
    "email": ["Apolline.Rousselin@example.com"],
    "contact_channel": ["email"],
    "advisor": "adv-7781",
    "preferred_language": "fr",
    "purchases": [
        {
            "date": "2026-01-05", "family": "jewellery", "product": "Bague Écrin", "for": "Capucine Delorme",
            "price": {"amount": "3200.00", "currency": "EUR"},
        }
    ],
}  # fmt: skip


@pytest.fixture
def lady(vault):
    return one(
        take_in(
            vault, person(FIELDS, vantier={"client_number": "VA-SECRET", "ring_size": {"value": "52", "system": "eu"}})
        )
    )


def log(vault):
    with vault.reading() as conn:
        return [decode(each.body) for each in ledger.read(conn, 0, 0, 10_000)]


def revealed(vault):
    return [each for each in log(vault) if REVEALED in each.get("pol", ())]


def category(vault, name):
    return vault.bundle.catalogue.category(name)


def locked_of(uow, lady, brand=AURELLE):
    (found,) = locked.by_reference(uow, [(brand, lady.references[brand])])
    return found


def test_categories_are_counted_without_opening_or_recording_anything(vault, lady):
    before = len(log(vault))
    with vault.unit() as uow:
        assert revealing.counts(uow, locked_of(uow, lady), AURELLE) == {
            "identity": 2, "contact": 2, "notes": 1, "preferences": 1, "purchases": 1,
        }  # fmt: skip
        assert revealing.counts(uow, locked_of(uow, lady), VANTIER) == {"identity": 1, "measurements": 1}
    assert len(log(vault)) == before


def test_a_category_is_revealed_on_record_without_other_people_and_without_other_houses(vault, lady):
    own = revealing.reveal(vault, AURELLE, lady.references[AURELLE], category(vault, "purchases"))
    ((of, (bought,)),) = own.held.items()
    assert (of.name, bought.cut, bought.source) == ("purchases", True, "aurelle-crm")
    assert "for" not in bought.value
    assert revealing.reveal(vault, AURELLE, lady.references[AURELLE], category(vault, "measurements")).held == {}
    first, second = revealed(vault)
    assert first["fld"] == [
        f"{each.name}:raw" for each in sorted(category(vault, "purchases").fields, key=lambda x: x.name)
    ]
    assert (first["act"], first["out"], first["actor"]["via"]) == ("subject.exported", "allow", "portal")
    assert "sref" in first
    assert "Bague" not in str(first | second)


def test_nothing_is_revealed_to_a_reference_of_another_house_or_of_nobody(vault, lady):
    for brand, reference in ((VANTIER, lady.references[AURELLE]), (AURELLE, "ref_00000000000000000000000000")):
        with pytest.raises(UnknownReference):
            revealing.reveal(vault, brand, reference, category(vault, "identity"))
    assert revealed(vault) == []


def test_own_values_need_a_durable_entry_and_a_grant_of_ones_own(vault, lady):
    from policies.decision import grant_own
    from vault import facts

    actor = Actor(ActorKind.VAULT, vault.deployment)
    with vault.unit() as uow:
        (known,) = facts.load(uow, AURELLE, [lady.subject])
        grant = grant_own(known.facts, AURELLE, lady.subject, [vault.bundle.catalogue.field("name")])
        selection = disclosure.select(uow, [grant])
        other = uow.record(Entry(Act.AUDIT_VIEWED, Outcome.ALLOW, actor))
        commit = uow.commit()
    with pytest.raises(UnrecordedDisclosure):
        disclosure.reveal_own(vault, commit, selection, [b"\0" * 16])
    from maison_people import grant as made_by_hand

    foreign = disclosure.Selection(
        (made_by_hand(vault, lady.subject, "name"),), selection.rows, selection.today, (None,)
    )
    with pytest.raises(UnrecordedDisclosure):
        disclosure.reveal_own(vault, commit, foreign, [other])


def test_wishes_are_set_and_weighed_and_what_is_sent_unchanged_writes_nothing(vault, lady, clock):
    reference = lady.references[AURELLE]
    same = {
        "contact_channel": ["email"],
        "contact_hours": [],
        "discretion": [],
        "contact_zone": [],
        "preferred_language": ["fr"],
    }
    written = len([each for each in log(vault) if each["act"] == "field.written"])
    assert not wishes.write(vault, AURELLE, reference, same)
    assert len([each for each in log(vault) if each["act"] == "field.written"]) == written
    wanted = same | {
        "contact_channel": ["letter", "phone"],
        "discretion": ["gifts_kept_secret"],
        "contact_zone": ["Asia/Tokyo"],
    }
    assert wishes.write(vault, AURELLE, reference, wanted)
    shown = {
        of.name: [each.value for each in values] for of, values in wishes.read(vault, AURELLE, reference).held.items()
    }
    assert sorted(shown["contact_channel"]) == ["letter", "phone"]
    assert (shown["discretion"], shown["contact_zone"]) == (["gifts_kept_secret"], ["Asia/Tokyo"])
    assert wishes.write(vault, AURELLE, reference, wanted | {"contact_zone": [], "contact_channel": []})
    shown = wishes.read(vault, AURELLE, reference).held
    assert {of.name for of in shown} == {"advisor", "discretion", "preferred_language"}
    entry = [each for each in log(vault) if each["act"] == "field.written"][-1]
    assert entry["actor"]["id"] == "data_subject.own"


@pytest.mark.parametrize(
    "wanted",
    [{"advisor": ["x"]}, {"name": ["x"]}, {"discretion": ["shout"]}, {"contact_zone": ["\N{RIGHT-TO-LEFT OVERRIDE}x"]}],
)
def test_what_is_no_wish_or_no_value_of_it_changes_nothing(vault, lady, wanted):
    with pytest.raises(InvalidFields):
        wishes.write(vault, AURELLE, lady.references[AURELLE], wanted)
    assert "discretion" not in {of.name for of in wishes.read(vault, AURELLE, lady.references[AURELLE]).held}


def test_a_time_of_silence_is_seen_before_it_begins_holds_and_ends(vault, lady, clock):
    reference = lady.references[AURELLE]
    today = dt.datetime.fromtimestamp(clock.now(), dt.UTC).date()
    later = Silence(today + dt.timedelta(days=10), today + dt.timedelta(days=20))
    wishes.keep_silence(vault, AURELLE, reference, later)
    wishes.keep_silence(vault, AURELLE, reference, Silence(today, today))

    def silences():
        held = {of.name: values for of, values in wishes.read(vault, AURELLE, reference).held.items()}
        return {each.valid_from: each.item for each in held.get(wishes.SILENCE, ())}

    assert set(silences()) == {today, later.begins}
    wishes.end_silence(vault, AURELLE, reference, silences()[later.begins])
    assert set(silences()) == {today}
    clock.advance(2 * 86_400)
    assert silences() == {}
    with pytest.raises(InvalidFields):
        wishes.keep_silence(vault, AURELLE, reference, Silence(today, today - dt.timedelta(days=1)))
    with pytest.raises(InvalidFields):
        wishes.end_silence(vault, AURELLE, reference, 9_999)


def test_an_advisor_is_let_go_once(vault, lady):
    reference = lady.references[AURELLE]
    wishes.let_advisor_go(vault, AURELLE, reference)
    assert "advisor" not in {of.name for of in wishes.read(vault, AURELLE, reference).held}
    with pytest.raises(InvalidFields):
        wishes.let_advisor_go(vault, AURELLE, reference)


def seen(vault, lady):
    """A system of the house is given something of her."""
    with vault.unit() as uow:
        actor = Actor(ActorKind.SYSTEM, "aurelle-crm")
        entry = Entry(Act.FIELD_DISCLOSED, Outcome.ALLOW, actor, ("phone:masked",), "clienteling.in_store", "consent")
        uow.record(entry, log_key=locked_of(uow, lady).log_key)
        uow.commit()


def lines(vault, lady, **how):
    with vault.unit() as uow:
        key = locked_of(uow, lady).log_key
    with vault.reading() as conn:
        return own_lines(conn, 0, key, **how)


def test_own_lines_are_mine_alone_newest_first_and_know_whose_act_it_was(vault, lady):
    other = one(take_in(vault, person({"client_number": "AU-7"})))
    seen(vault, lady)
    seen(vault, other)
    revealing.reveal(vault, AURELLE, lady.references[AURELLE], category(vault, "identity"))
    found = lines(vault, lady)
    assert [(each.content["act"], each.own) for each in found.found] == [
        ("subject.exported", True), ("field.disclosed", False), ("subject.registered", False),
    ]  # fmt: skip
    assert found.reached == 0
    assert [each.content["act"] for each in lines(vault, lady, own=True).found] == ["subject.exported"]
    with vault.unit() as uow:
        key = locked_of(uow, lady).log_key
    with vault.reading() as conn:
        newest = looks.recent(conn, 0, key, AURELLE, looks.Numbering({"aurelle-crm": AURELLE}, bytes(32)))
    assert [each.by for each in newest.looks] == ["aurelle-crm"]


def test_one_step_reads_so_much_and_says_how_far_it_came(vault, lady, monkeypatch):
    monkeypatch.setattr(ownlines, "MOST_READ", 4)
    monkeypatch.setattr(ownlines, "_PIECE", 3)
    for _ in range(6):
        seen(vault, lady)
    size = len(log(vault))
    first = lines(vault, lady)
    assert (len(first.found), first.reached) == (4, size - 4)
    second = lines(vault, lady, before=first.reached)
    assert {each.record.idx for each in first.found}.isdisjoint(each.record.idx for each in second.found)
    assert second.reached == max(0, size - 8)
    assert lines(vault, lady, before=0).found == ()
    assert lines(vault, lady, before=10**9).reached == size - 4
    monkeypatch.setattr(ownlines, "MOST_FOUND", 2)
    assert lines(vault, lady).reached == size - 2


def test_the_newest_whole_scrub_is_found_whatever_followed_it_within_one_step(vault, lady, tmp_path, monkeypatch):
    from vault import scrubbing

    def found():
        with vault.reading() as conn:
            return ownlines.last_scrub(conn, 0)

    evidence.sign_checkpoints(vault, tmp_path / "checkpoint")
    assert found() is None
    scrubbing.run(vault, "full")
    monkeypatch.setattr(ownlines, "MOST_FOUND", 2)
    for _ in range(4):
        seen(vault, lady)
    assert decode(found().body)["act"] == "log.scrubbed"
    monkeypatch.setattr(ownlines, "MOST_READ", 4)
    assert found() is None


def test_a_receipt_of_an_entry_read_back_promises_its_bytes(vault, lady):
    revealing.reveal(vault, AURELLE, lady.references[AURELLE], category(vault, "identity"))
    (line,) = lines(vault, lady, own=True).found
    (note,) = receipts.anew(vault, [line.record])
    promised = open_receipt(note, [receipts.verifier_key(vault)])
    assert promised.entries == ((line.record.entry_id, line.record.leaf),)
    assert receipts.anew(vault, []) == []
