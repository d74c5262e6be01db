"""The tree of purposes, and what consents mean along it."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from policies.consent import Standing, permitted, standing
from policies.errors import UnknownPurpose
from policies.levels import Level
from policies.model import ConsentStatus
from policies.purposes import DEFAULT, Basis, Purpose, Purposes

GIVEN, NONE = ConsentStatus.GIVEN, ConsentStatus.NONE
FELLING = (ConsentStatus.WITHDRAWN, ConsentStatus.OBJECTED)
statuses = st.sampled_from(list(ConsentStatus))


def purpose(key: str, basis: Basis, *, separate: bool = False) -> Purpose:
    parent = key.rpartition(".")[0] or None
    return Purpose(key, parent, 1, {}, {DEFAULT: basis}, separate, "", None, {}, "")


@st.composite
def trees(draw):
    """Grow a tree of up to three generations, with any bases and flags."""
    keys = ["a", "b"]
    for key in draw(st.lists(st.sampled_from(["a.a", "a.b", "b.a", "a.a.a", "a.a.b", "b.a.a"]), unique=True)):
        words = key.split(".")
        keys += [each for each in (".".join(words[: n + 1]) for n in range(len(words))) if each not in keys]
    return Purposes(
        tuple(purpose(key, draw(st.sampled_from(list(Basis))), separate=draw(st.booleans())) for key in keys)
    )


choices = st.dictionaries(st.sampled_from(["a", "b", "a.a", "a.b", "b.a", "a.a.a", "a.a.b", "b.a.a"]), statuses)


@given(trees(), choices, st.sampled_from(FELLING), st.data())
def test_withdrawal_or_objection_fells_the_subtree_and_nothing_else(purposes, consents, felling, data):
    node = data.draw(st.sampled_from(purposes.every))
    before = {each.key: permitted(each.key, consents, purposes) for each in purposes.every}
    felled = {each.key for each in purposes.subtree(node.key)}

    after = {**consents, node.key: felling}

    for each in purposes.every:
        stands = permitted(each.key, after, purposes)
        if each.key not in felled:
            assert stands == before[each.key]
        elif not each.basis_in(DEFAULT).withstands_objection:
            assert not stands


@given(trees(), choices)
def test_a_separate_purpose_never_inherits(purposes, consents):
    for each in purposes.every:
        if each.separate_consent and each.basis_in(DEFAULT).needs_consent and consents.get(each.key) is not GIVEN:
            assert not permitted(each.key, consents, purposes)


@given(trees(), choices)
def test_a_purpose_stands_only_if_every_consent_above_it_stands(purposes, consents):
    for each in purposes.every:
        if permitted(each.key, consents, purposes) and not each.basis_in(DEFAULT).withstands_objection:
            assert all(
                permitted(above.key, consents, purposes)
                for above in purposes.path(each.key)[:-1]
                if not above.basis_in(DEFAULT).withstands_objection
            )


@given(trees(), choices, st.data())
def test_giving_never_takes_away(purposes, consents, data):
    node = data.draw(st.sampled_from(purposes.every))
    for each in purposes.every:
        if permitted(each.key, consents, purposes):
            assert permitted(each.key, {**consents, node.key: GIVEN}, purposes)


@given(trees(), choices)
def test_consents_off_the_path_do_not_matter(purposes, consents):
    for each in purposes.every:
        path = {node.key for node in purposes.path(each.key)}
        on_path = {key: status for key, status in consents.items() if key in path}
        assert standing(each.key, consents, purposes) is standing(each.key, on_path, purposes)


@pytest.mark.parametrize(
    ("consents", "expected"),
    [
        ({}, Standing.MISSING),
        ({"clienteling": GIVEN}, Standing.STANDS),
        ({"clienteling.in_store": GIVEN}, Standing.MISSING),
        ({"clienteling": GIVEN, "clienteling.in_store": ConsentStatus.EXPIRED}, Standing.MISSING),
        ({"clienteling": ConsentStatus.WITHDRAWN, "clienteling.in_store": GIVEN}, Standing.WITHDRAWN),
        ({"clienteling": GIVEN, "clienteling.in_store": ConsentStatus.OBJECTED}, Standing.OBJECTED),
    ],
)
def test_standing_says_why(maisons, consents, expected):
    assert standing("clienteling.in_store", consents, maisons.purposes) is expected


def test_hospitality_is_asked_about_by_itself(maisons):
    given_above = {"clienteling": GIVEN}
    assert not permitted("clienteling.hospitality", given_above, maisons.purposes)
    assert permitted("clienteling.hospitality", {**given_above, "clienteling.hospitality": GIVEN}, maisons.purposes)


def test_basis_follows_the_jurisdiction(maisons):
    purposes = maisons.purposes
    assert purposes.jurisdiction("fr") == purposes.jurisdiction("DE") == "eu"
    assert purposes.jurisdiction("gb") == "uk"
    assert purposes.jurisdiction("jp") == "jp"
    assert not permitted("marketing.email", {}, purposes, "eu")
    assert permitted("marketing.email", {}, purposes, "us")
    assert not permitted("marketing.email", {"marketing": ConsentStatus.OBJECTED}, purposes, "us")
    assert not permitted("analytics.segments", {}, purposes, "cn")


def test_paths_subtrees_and_unknown_purposes(maisons):
    purposes = maisons.purposes
    assert [each.key for each in purposes.path("marketing.email")] == ["marketing", "marketing.email"]
    assert [each.key for each in purposes.path("marketing")] == ["marketing"]
    assert {each.key for each in purposes.subtree("marketing")} == {
        "marketing", "marketing.email", "marketing.post", "marketing.events",
    }  # fmt: skip
    for call in (purposes.get, purposes.path, purposes.subtree):
        with pytest.raises(UnknownPurpose):
            call("clientelin")
    with pytest.raises(UnknownPurpose):
        permitted("clientelin", {}, purposes)


def test_purposes_of_the_story(maisons):
    aftercare = maisons.purposes.get("clienteling.aftercare")
    assert aftercare.basis_in("eu") is Basis.CONSENT
    assert aftercare.max_level["measurements"] is Level.RAW
    assert aftercare.max_level["dates"] is Level.GENERALISED
    assert aftercare.max_level["contact"] is Level.MASKED
    assert maisons.purposes.get("service.repair").basis_in("eu") is Basis.CONTRACT
    sharing = maisons.purposes.get("group.profile_sharing")
    assert sharing.separate_consent
    assert set(sharing.basis.values()) == {Basis.CONSENT}


@settings(max_examples=20)
@given(st.sampled_from(["clienteling", "marketing", "analytics"]))
def test_no_child_is_open_further_than_a_person_could_read_off_its_own_line(maisons, root):
    """Ceilings are not inherited: what a purpose opens stands on its own lines of the file."""
    for each in maisons.purposes.subtree(root):
        assert each.max_level or each.basis_in(DEFAULT) is Basis.HEADING
