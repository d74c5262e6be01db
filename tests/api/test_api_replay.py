"""Replaying a real log: decisions of a served maison against a draft, counted, and nothing written."""

from pathlib import Path

import pytest
from maison_callers import CONSENT, PERSON

from audit import ledger
from policies.bundle import parse_bundle
from policies.replay import Verdict
from vault.governance import replays

FOLDER = Path(__file__).resolve().parents[2] / "policies" / "bundles" / "maisons"
FILES = {path.relative_to(FOLDER).as_posix(): path.read_bytes() for path in FOLDER.rglob("*") if path.is_file()}
NO_SIZES = """
@id("x") @title("x") @basis("x")
forbid (principal, action, resource == Category::"measurements");
"""


@pytest.fixture
def draft():
    return parse_bundle("draft", FILES | {"access.cedar": FILES["access.cedar"] + NO_SIZES.encode()})


def test_last_months_requests_are_replayed_against_a_draft(maison, pos, draft, clock):
    known = pos.created(PERSON, CONSENT)
    staff = {"staff": "staff_1", "reason": "fitting"}
    pos.disclose(pos.granted(known, ("ring_size", "raw"), **staff))
    clock.advance(40 * 86_400)
    start = clock.now()
    for _ in range(2):
        pos.disclose(pos.granted(known, ("ring_size", "raw"), ("phone", "masked"), **staff))
    assert pos.wish(known, ("allergies", "raw")).status_code == 400
    assert pos.wish(known, ("delivery_instructions", "raw"), purpose="clienteling").status_code == 400

    def size():
        with maison.vault.reading() as conn:
            return ledger.head(conn, 0).size

    before = size()
    report = replays.replay(maison.vault, draft, start)
    assert size() == before
    assert report.entries == 4
    assert report.fields == {Verdict.SAME: 3, Verdict.FLIPS: 2, Verdict.FLOOR: 1}
    ((flip, count),) = report.flips
    assert (flip.record.system_id, flip.record.brand, flip.record.field, count) == (
        "aurelle-pos",
        "aurelle",
        "ring_size",
        2,
    )
    assert (flip.replayed.before, flip.replayed.after) == ("raw", ("refused",))
    whole = replays.replay(maison.vault, draft, 0)
    assert whole.entries == 5
    assert replays.replay(maison.vault, maison.vault.bundle, 0).flips == ()
