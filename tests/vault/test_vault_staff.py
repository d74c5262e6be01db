"""Members of a brand's staff: a keyed hash per brand, veiled in the log, so that a log without keys relates none of them."""

from maison_people import rows
from report_scene import OPERATOR

from audit.entry import Act, Actor, ActorKind, Asker, Entry, Outcome, decode
from audit.pseudonym import veiled
from vault.staff import staff_hashes, staff_keys, staff_told

WORD = "adv-PAR1-7"


def bodies(vault):
    return [bytes(body) for (body,) in rows(vault, "SELECT body FROM log_entry ORDER BY idx")]


def test_the_same_word_is_another_person_at_another_brand(vault):
    one, two, none, again = staff_hashes(
        vault.keys, [("aurelle", WORD), ("vantier", WORD), ("aurelle", ""), ("aurelle", WORD)]
    )
    assert one == again and none == "" and len(one) == 32
    assert one != two
    assert staff_told(vault.keys, "aurelle", WORD) == one
    assert staff_told(vault.keys, "aurelle", one) == one
    assert staff_told(vault.keys, "aurelle", "") == ""
    keys = staff_keys(vault.keys, ["aurelle", "vantier"])
    assert keys["aurelle"] != keys["vantier"]


def test_two_entries_of_one_member_of_staff_and_one_token_share_nothing_that_tells(vault):
    (who,) = staff_hashes(vault.keys, [("aurelle", WORD)])
    asker = Asker("aurelle", bytes.fromhex(who), b"\x07" * 32)
    actor = Actor(ActorKind.SYSTEM, "aurelle-crm", asker=asker)
    assert actor == Actor(ActorKind.SYSTEM, "aurelle-crm")  # whoever is behind it, it is the same one that acts
    with vault.unit() as uow:
        for _ in range(2):
            uow.record(Entry(Act.FIELD_DISCLOSED, Outcome.ALLOW, actor), log_key=b"\x03" * 32)
        uow.record(Entry(Act.TOKEN_ISSUED, Outcome.ALLOW, actor))  # about a list: nobody's key
        uow.record(Entry(Act.LOG_HEARTBEAT, Outcome.ALLOW, OPERATOR))
        uow.commit()
    written = bodies(vault)[-4:]
    one, two, listed, none = [decode(each) for each in written]
    assert (one["v"], two["v"], none["v"]) == (2, 2, 1)
    for key in ("sref", "stf", "tok"):
        assert one[key] != two[key]
    assert "tok" not in listed  # it could not be erased with anybody
    key = staff_keys(vault.keys, ["aurelle"])["aurelle"]
    for entry in (one, two, listed):
        assert veiled(key, bytes.fromhex(entry["id"]), bytes.fromhex(entry["stf"])).hex() == who
    everything = b"".join(written)
    for secret in (WORD.encode(), who.encode(), asker.token.hex().encode()):
        assert secret not in everything
    assert who not in repr(asker) + repr(actor) and "07" not in repr(asker)
