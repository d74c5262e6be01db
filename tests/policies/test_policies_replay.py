"""Replaying an entry: certain where every request that can have left it flips, possible where some do, else unsaid."""

from collections import Counter

import pytest

from policies.bundle import parse_bundle
from policies.replay import Recorded, Replay, Verdict


def draft(files, path, old, new):
    text = files[path].decode()
    assert old in text
    return parse_bundle("draft", files | {path: text.replace(old, new, 1).encode()})


def record(field, level, *, granted=True, purpose="clienteling.in_store", basis="consent", floor=False):
    return Recorded("till", "aurelle", purpose, basis, field, level, granted, floor)


NO_NOTES = (
    "access.cedar",
    "// ----",
    '@id("x") @title("x") @basis("x") forbid (principal, action, resource == Category::"notes");\n// ----',
)
STAFF = (
    "access.cedar",
    'Purpose::"clienteling.aftercare" && context.consented }',
    'Purpose::"clienteling.aftercare" && context.consented && context.staffed }',
)
MORE = ("purposes.toml", 'contact = "masked"', 'contact = "raw"')
CHINA = ("access.cedar", "&& !context.consented };", "};")


@pytest.mark.parametrize(
    ("change", "asked", "verdict", "after"),
    [
        (NO_NOTES, record("advisor_notes", "raw"), Verdict.FLIPS, ("refused",)),
        (NO_NOTES, record("phone", "masked"), Verdict.SAME, ("masked",)),
        # nobody knows whether staff stood behind it
        (STAFF, record("ring_size", "raw", purpose="clienteling.aftercare"), Verdict.MAY_FLIP, ("raw", "refused")),
        # a higher ceiling alone opens nothing: no rule goes that far
        (MORE, record("phone", "masked"), Verdict.SAME, ("masked",)),
        (CHINA, record("postal_address", "generalised", purpose="analytics.segments", basis="consent"), Verdict.MAY_FLIP, ("generalised", "refused")),
        (CHINA, record("postal_address", "generalised", purpose="analytics.segments", basis="legitimate_interest"), Verdict.SAME, ("generalised",)),
        # a refusal by rules comes out otherwise; one by a floor is not replayed
        (STAFF, record("advisor_notes", "raw", granted=False, purpose="clienteling"), Verdict.SAME, ("refused",)),
        (NO_NOTES, record("name", "raw", granted=False, floor=True), Verdict.FLOOR, ()),
        # what the bundle in force would not have answered
        (NO_NOTES, record("phone", "raw"), Verdict.UNKNOWN, ()),
        (NO_NOTES, record("shoe_colour", "raw"), Verdict.UNKNOWN, ()),
        (NO_NOTES, record("phone", "masked", purpose="gossip"), Verdict.UNKNOWN, ()),
        (NO_NOTES, record("phone", "masked", basis="contract"), Verdict.UNKNOWN, ()),
        (NO_NOTES, record("phone", "naked"), Verdict.UNKNOWN, ()),
        (NO_NOTES, record("birth_date", "predicate"), Verdict.SAME, ("predicate",)),
    ],
)  # fmt: skip
def test_an_entry_is_replayed(maisons, shipped_files, change, asked, verdict, after):
    replayed = Replay(maisons, draft(shipped_files, *change)).answer(asked)
    assert (replayed.verdict, replayed.after) == (verdict, after)
    assert replayed.before == (asked.level if asked.granted else "refused")


def test_a_refusal_that_the_draft_would_grant_flips(maisons, shipped_files):
    wider = draft(shipped_files, "access.cedar", 'resource == Category::"measurements")\nwhen { context.purpose in Purpose::"clienteling.in_store" && context.consented && context.staffed };', 'resource == Category::"measurements")\nwhen { context.purpose in Purpose::"clienteling.in_store" && context.consented };')  # fmt: skip
    replayed = Replay(maisons, wider).answer(record("ring_size", "raw", granted=False))
    assert (replayed.verdict, replayed.before, replayed.after) == (Verdict.FLIPS, "refused", ("raw",))


def test_a_field_or_purpose_that_the_draft_drops_is_refused(maisons, shipped_files):
    files = dict(shipped_files)
    catalogue = files["catalogue.toml"].decode()
    start = catalogue.index("[notes.field.visits]")
    end = catalogue.index("[notes.field.advisor]")
    files["catalogue.toml"] = (catalogue[:start] + catalogue[end:]).encode()
    assert Replay(maisons, parse_bundle("less", files)).answer(record("visits", "raw")).verdict is Verdict.FLIPS


def test_nothing_flips_against_the_bundle_itself(maisons):
    machine = Replay(maisons, maisons)
    same = Counter()
    for purpose in ("clienteling.in_store", "service.repair", "marketing.email"):
        for field in maisons.catalogue.fields:
            for level in ("presence", "generalised", "masked", "raw"):
                for granted in (True, False):
                    basis = maisons.purposes.get(purpose).basis_in("default")
                    asked = record(field, level, granted=granted, purpose=purpose, basis=basis)
                    verdict = machine.answer(asked).verdict
                    assert verdict in {Verdict.SAME, Verdict.UNKNOWN}
                    same[granted] += verdict is Verdict.SAME
    assert all(same[granted] for granted in (True, False)), same
