"""Bundles under two signatures: who may sign what, what is refused, and how processes take up a new one."""

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from policy_officers import APPROVER, AUTHOR, FILES, OPERATOR, Officers, acts, changed, public_of
from sqlalchemy import text

from policies.bundle import bundle_hash, pack, unpack
from policies.errors import InvalidBundle
from vault import officers
from vault.errors import Conflict, InvalidRegistration, NoPolicy, NotSigned, UnknownOfficer, UnknownVersion
from vault.governance import founding, officerkeys, versions
from vault.governance.signatures import Signed
from vault.governance.versions import State
from vault.governance.versionsigning import Part, version_of
from vault.governance.watch import BundleWatch, Noticed
from vault.officers import Role
from vault.setup import bundle_in_force


@pytest.fixture
def two(vault):
    return Officers(vault)


def test_two_officers_put_a_bundle_in_force_and_every_act_is_logged(vault, two):
    number = two.propose(FILES)
    with vault.reading() as conn:
        assert versions.get(conn, number).state is State.DRAFT
        assert versions.active_number(conn) is None
    assert two.approve(number).state is State.APPROVED
    active = versions.activate(vault, number, OPERATOR)
    assert (active.state, active.signers) == (State.ACTIVE, {"author": AUTHOR, "approver": APPROVER})
    with vault.reading() as conn:
        assert versions.in_force(conn, vault.deployment).hash == bundle_hash(FILES)
    assert [(act, out, actor) for act, out, actor, _ in acts(vault, "policy.")] == [
        ("policy.proposed", "allow", AUTHOR),
        ("policy.signed", "allow", AUTHOR),
        ("policy.signed", "allow", APPROVER),
        ("policy.activated", "allow", "operator"),
    ]
    assert all(f"bundle:{bundle_hash(FILES).hex()}" in pol for *_, pol in acts(vault, "policy."))


def test_the_next_version_retires_the_one_before_and_one_alone_is_active(vault, two):
    first = two.adopt(FILES)
    second = two.adopt(changed())
    back = two.adopt(FILES)  # going back is a version of its own
    with vault.reading() as conn:
        states = {each.number: each.state for each in versions.listed(conn)}
    assert states == {first.number: State.RETIRED, second.number: State.RETIRED, back.number: State.ACTIVE}
    for number in (first.number, second.number, back.number):
        with pytest.raises(UnknownVersion):
            versions.activate(vault, number, OPERATOR)


# ------------------------------------------------------------------------------------------------- who may sign what


def test_nobody_approves_their_own(vault, two):
    number = two.propose(FILES)
    with pytest.raises(NotSigned, match="their own"):
        versions.approve(vault, number, AUTHOR, two.signing(AUTHOR))
    with vault.unit() as uow:  # not by changing roles in between either
        uow.conn.execute(text("UPDATE officer SET role = 'approver' WHERE id = :id"), {"id": AUTHOR})
        uow.commit()
    with pytest.raises(NotSigned, match="their own"):
        versions.approve(vault, number, AUTHOR, two.signing(AUTHOR))
    with pytest.raises(UnknownVersion):
        versions.activate(vault, number, OPERATOR)
    assert acts(vault, "policy.refused")[0][:3] == ("policy.refused", "deny", AUTHOR)


def test_only_an_approver_approves(vault, two):
    number = two.propose(FILES)
    for role in (Role.AUDITOR, Role.OPERATOR, Role.COMPLIANCE):
        two.add(f"n.{role}", role)
        with pytest.raises(NotSigned, match="role"):
            two.approve(number, f"n.{role}")
        with pytest.raises(NotSigned, match="role"):
            versions.refuse(vault, number, f"n.{role}", two.signing(f"n.{role}"))


def test_only_compliance_proposes(two):
    with pytest.raises(NotSigned, match="role"):
        two.propose(FILES, APPROVER)


def text_of(deployment, number, digest, part):
    return Signed(version_of(number, digest), part, "", 0).text(deployment)


def test_signatures_of_another_key_text_part_version_or_vault_are_refused(vault, two):
    number = two.propose(FILES)
    digest = bundle_hash(FILES)
    other = bundle_hash(changed())
    wrong = [
        text_of("elsewhere", number, digest, Part.APPROVER),
        text_of(vault.deployment, number + 1, digest, Part.APPROVER),
        text_of(vault.deployment, number, other, Part.APPROVER),
        text_of(vault.deployment, number, digest, Part.AUTHOR),
        text_of(vault.deployment, number, digest, Part.REFUSAL),
    ]
    for message in wrong:
        with pytest.raises(NotSigned):
            versions.approve(vault, number, APPROVER, lambda _, said=message: two.signing(APPROVER)(said))
    for made in (b"", b"x" * 64, Ed25519PrivateKey.generate().sign(b"x")):
        with pytest.raises(NotSigned):
            versions.approve(vault, number, APPROVER, lambda _, said=made: said)
    assert two.approve(number).state is State.APPROVED
    assert len(acts(vault, "policy.refused")) == 8


def test_who_is_disabled_or_has_no_key_signs_nothing_and_what_they_signed_stands(vault, two):
    number = two.propose(FILES)
    two.add("g.one", Role.APPROVER)
    with vault.unit() as uow:
        officers.disable(uow, AUTHOR, OPERATOR)
        officers.disable(uow, "g.one", OPERATOR)
        officers.add(uow, "k.eyless", Role.APPROVER, "seven lamps by the quay", OPERATOR)
        uow.commit()
    for nobody in ("g.one", "k.eyless", "nobody"):
        with pytest.raises(UnknownOfficer):
            versions.approve(vault, number, nobody, two.signing(AUTHOR))
    with pytest.raises(UnknownOfficer):
        two.propose(FILES)
    with pytest.raises(UnknownOfficer):
        versions.propose(vault, FILES, "m", "No Officer", two.signing(AUTHOR))
    denied = [(actor, said) for act, out, actor, said in acts(vault, "policy.refused") if out == "deny"]
    assert [actor for actor, _ in denied] == ["g.one", "k.eyless", "unknown", AUTHOR, "unknown"]
    assert all("policy.unknown_officer" in said for _, said in denied)
    two.approve(number)
    assert versions.activate(vault, number, OPERATOR).state is State.ACTIVE


def test_a_replaced_key_signs_no_more_and_what_it_signed_stands(vault, two):
    number = two.propose(FILES)
    before, two.keys[AUTHOR] = two.keys[AUTHOR], Ed25519PrivateKey.generate()
    with vault.unit() as uow:
        officerkeys.register(uow, AUTHOR, public_of(two.keys[AUTHOR]), OPERATOR)
        uow.commit()
    with pytest.raises(NotSigned):
        versions.propose(vault, FILES, "maisons", AUTHOR, before.sign)
    two.approve(number)
    assert versions.activate(vault, number, OPERATOR).state is State.ACTIVE


def test_a_key_belongs_to_one_officer(vault, two):
    with pytest.raises(Conflict), vault.unit() as uow:
        officerkeys.register(uow, APPROVER, public_of(two.keys[AUTHOR]), OPERATOR)


def test_public_keys_of_two_kinds_and_nothing_else_are_taken(two):
    private = two.keys[AUTHOR].private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    large = rsa.generate_private_key(65537, 2048).public_key()
    for refused in (private, b"", b"text", large.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)):
        with pytest.raises(InvalidRegistration) as caught:
            officerkeys.read_public(refused)
        assert "MC" not in str(caught.value)
    pem = two.keys[APPROVER].public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    assert officerkeys.read_public(pem) == officerkeys.read_public(public_of(two.keys[APPROVER]))


# --------------------------------------------------------------------------------------------- what is never taken


@pytest.mark.parametrize("files", [changed(new="\npermit ("), FILES | {"access.txt": b""}])
def test_a_bundle_that_does_not_stand_is_never_stored(vault, two, files):
    with pytest.raises(InvalidBundle):
        two.propose(files)
    with vault.reading() as conn:
        assert not versions.listed(conn)
    assert acts(vault, "policy.refused")[-1][:3] == ("policy.refused", "deny", AUTHOR)


def test_what_may_not_change_is_checked_against_the_version_in_force(vault, two):
    two.adopt(FILES)
    with pytest.raises(InvalidBundle, match="keeps it"):
        two.propose(changed("catalogue.toml", "id = 302\n", "id = 399\n"))


def test_a_damaged_version_in_force_is_no_way_round_the_comparison(vault, two):
    first = two.adopt(FILES)
    second = two.adopt(changed())
    renumbered = changed("catalogue.toml", "id = 302\n", "id = 399\n")

    def damage(number):
        with vault.unit() as uow:
            uow.conn.execute(text("UPDATE policy_version SET content = :c WHERE number = :n"), {"c": b"", "n": number})
            uow.commit()

    damage(second.number)
    with pytest.raises(InvalidBundle, match="keeps it"):
        two.propose(renumbered)
    third = two.adopt(FILES)
    told = {f"follows:{first.number}", f"damaged:{second.number}"}
    for act in ("policy.proposed", "policy.activated"):
        assert told <= set(acts(vault, act)[-1][3])
    assert f"replaces:{second.number}" in acts(vault, "policy.activated")[-1][3]
    assert not any("damaged" in said for said in acts(vault, "policy.activated")[-2][3])
    for each in (first, third):
        damage(each.number)
    with pytest.raises(InvalidBundle, match="restore"):
        two.propose(renumbered)
    assert acts(vault, "policy.refused")[-1][1] == "deny"


def test_a_refused_version_stays_out_and_the_old_one_in_force(vault, two):
    first = two.adopt(FILES)
    number = two.propose(changed())
    assert versions.refuse(vault, number, APPROVER, two.signing(APPROVER)).state is State.REFUSED
    with pytest.raises(UnknownVersion):
        two.approve(number)
    with pytest.raises(UnknownVersion):
        versions.activate(vault, number, OPERATOR)
    altered = two.propose(changed())
    two.approve(altered)
    with vault.unit() as uow:
        uow.conn.execute(
            text("UPDATE policy_version SET content = :content WHERE number = :number"),
            {"content": pack(changed(new="\n// no more than this\n")), "number": altered},
        )
        uow.commit()
    with pytest.raises(InvalidBundle):
        versions.activate(vault, altered, OPERATOR)
    with vault.reading() as conn:
        assert versions.get(conn, altered).state is State.REFUSED
        assert versions.active_number(conn) == first.number
    assert acts(vault, "policy.refused")[-1][3][-1] == f"version:{altered}"


ALTERATIONS = [
    "UPDATE officer_signature SET officer_id = 'm.lefevre', number = 77 WHERE part = 'approver'",
    "DELETE FROM officer_signature WHERE part = 'approver'",
    "UPDATE officer_signature SET fingerprint = 'other' WHERE part = 'author'",
    "UPDATE policy_version SET hash = :other",
    "UPDATE policy_version SET number = 9",
    "DELETE FROM officer_key",
]


def test_what_is_altered_in_the_database_is_not_loaded(vault, two, place):
    two.adopt(FILES)
    assert bundle_in_force(place).hash == bundle_hash(FILES)
    for statement in ALTERATIONS:
        with pytest.raises(NotSigned if "hash" not in statement else InvalidBundle), vault.unit() as uow:
            uow.conn.execute(text(statement), {"other": bytes(32)} if ":other" in statement else {})
            versions.verified(uow.conn, vault.deployment, 9 if "number = 9" in statement else 1)
    with vault.unit() as uow:
        uow.conn.execute(text(ALTERATIONS[0]))
        uow.commit()
    with pytest.raises(NoPolicy):
        bundle_in_force(place)


def test_no_version_no_service(place, vault):
    with pytest.raises(NoPolicy):
        bundle_in_force(place)


# ------------------------------------------------------------------------------------------------------ taking it up


def test_every_process_takes_up_the_version_in_force_at_its_next_look(opening, bundle, two):
    processes = [opening(bundle), opening(bundle)]
    told = [[], []]
    watches = [BundleWatch(each, into.append) for each, into in zip(processes, told, strict=True)]
    two.adopt(FILES)
    for watch in watches:
        watch.look()
    assert all(each.bundle is bundle for each in processes)
    two.adopt(changed())
    assert all(each.bundle is bundle for each in processes)
    for watch in watches:
        watch.look()
        watch.look()
    assert {each.bundle.hash for each in processes} == {bundle_hash(changed())}
    assert [len(each) for each in told] == [1, 1]
    assert [out for _, out, _, _ in acts(two.vault, "policy.loaded")] == ["allow", "allow"]


def test_a_version_that_does_not_stand_is_not_taken_up(opening, bundle, two):
    serving = opening(bundle)
    told = []
    watch = BundleWatch(serving, told.append)
    first = two.adopt(FILES)
    watch.look()
    two.adopt(changed())
    with two.vault.unit() as uow:
        uow.conn.execute(text("DELETE FROM officer_signature WHERE part = 'approver' AND thing = '2'"))
        uow.commit()
    watch.look()
    watch.look()
    assert serving.bundle is bundle
    assert told == [Noticed.REFUSED]
    with two.vault.unit() as uow:  # nor is an older number, put back by hand
        uow.conn.execute(text("UPDATE policy_version SET state = 'retired' WHERE number = 2"))
        uow.commit()
    third = two.adopt(changed())
    watch.look()
    assert serving.bundle.hash == bundle_hash(changed())
    with two.vault.unit() as uow:
        uow.conn.execute(text("UPDATE policy_version SET state = 'retired' WHERE number = :n"), {"n": third.number})
        uow.conn.execute(text("UPDATE policy_version SET state = 'active' WHERE number = :n"), {"n": first.number})
        uow.commit()
    watch.look()
    assert serving.bundle.hash == bundle_hash(changed())
    assert [out for _, out, _, _ in acts(two.vault, "policy.refused")] == ["deny", "deny"]


def test_that_no_version_is_in_force_any_more_is_told_once_and_so_is_its_end(opening, bundle, two):
    never = BundleWatch(two.vault, pytest.fail)
    never.look()
    assert not never.lost  # nothing is lost that never was
    first = two.adopt(FILES)
    serving, told = opening(bundle), []
    watch = BundleWatch(serving, told.append)
    put = text("UPDATE policy_version SET state = :state WHERE number = :n")

    def make(state):
        with two.vault.unit() as uow:
            uow.conn.execute(put, {"state": state, "n": first.number})
            uow.commit()
        watch.look()
        watch.look()

    make("retired")  # before its first look, too
    assert (watch.lost, told) == (True, [Noticed.LOST])
    assert serving.bundle is bundle  # the last one stays
    make("active")
    assert (watch.lost, told) == (False, [Noticed.LOST])
    make("retired")
    two.adopt(changed())
    watch.look()
    assert (watch.lost, told) == (False, [Noticed.LOST, Noticed.LOST, Noticed.TAKEN])


# ----------------------------------------------------------------------------------------------------------- founding


def test_a_deployment_is_founded_by_two_signatures_that_say_what_they_are(vault, place):
    keys = {each: Ed25519PrivateKey.generate() for each in founding.ROLES}
    assert founding.is_unfounded(vault)
    made = founding.found(vault, FILES, "maisons", keys)
    assert versions.is_founding(made)
    assert not founding.is_unfounded(vault)
    assert bundle_in_force(place).hash == bundle_hash(FILES)
    assert [act for act, *_ in acts(vault, "policy.") + acts(vault, "officer.")] == [
        "policy.proposed", "policy.signed", "policy.signed", "policy.activated",
        "officer.created", "officer.key_registered", "officer.created", "officer.key_registered",
    ]  # fmt: skip
    assert not versions.is_founding(Officers(vault).adopt(changed()))


def test_the_founders_are_disabled_with_the_first_version_of_the_house(vault):
    keys = {each: Ed25519PrivateKey.generate() for each in founding.ROLES}
    founding.found(vault, FILES, "maisons", keys)
    house = Officers(vault)
    mixed = house.propose(changed())
    versions.approve(vault, mixed, founding.APPROVER, keys[founding.APPROVER].sign)
    versions.activate(vault, mixed, OPERATOR)
    with vault.reading() as conn:
        assert officers.active_founders(conn) == [founding.APPROVER, founding.AUTHOR]  # half a house is none
    number = house.propose(FILES)
    house.approve(number)
    with vault.reading() as conn:
        assert officers.active_founders(conn)
    versions.activate(vault, number, OPERATOR)
    with vault.reading() as conn:
        assert officers.active_founders(conn) == []
        assert versions.in_force(conn, vault.deployment).hash == bundle_hash(FILES)
    assert sorted(pol for *_, pol in acts(vault, "officer.disabled")) == [
        ("officer:founder-approver",),
        ("officer:founder-author",),
    ]
    with pytest.raises(UnknownOfficer):
        versions.propose(vault, changed(), "maisons", founding.AUTHOR, keys[founding.AUTHOR].sign)
    house.adopt(changed())  # disables nobody again
    assert len(acts(vault, "officer.disabled")) == 2


# -------------------------------------------------------------------------------------------------------------- names


def test_a_version_is_named_by_number_hash_or_state(vault, two):
    first, second = two.adopt(FILES), two.adopt(changed())
    with vault.reading() as conn:
        assert versions.named(conn, "active") == second
        assert versions.named(conn, str(first.number)).number == first.number
        assert versions.named(conn, second.hash.hex()[:12]) == second
        for nobody in ("99", "", "ffffffff", "9" * 400, second.hash.hex()[:4] + "x"):
            with pytest.raises(UnknownVersion):
                versions.named(conn, nobody)


def test_what_is_packed_unpacks_and_nothing_else_does():
    assert unpack(pack(FILES)) == FILES
    packed = pack(FILES)
    for damaged in (packed[:-1], packed + b"x", packed[8:], b"\xff" * 16, pack({"b": b"", "a": b""})[::-1]):
        with pytest.raises(InvalidBundle):
            unpack(damaged)
