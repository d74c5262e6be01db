"""A log at a glance counts what reading every entry counts, whatever is in it."""

from collections import Counter

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import create_engine

from audit import ledger, tables
from audit.entry import Act, Actor, ActorKind, Entry, Outcome, encode
from audit.reports import glance as glancing
from audit.reports import lines as reading
from audit.reports.glance import glance
from audit.reports.lines import Vouched, lines

LOUD = (Act.SYSTEM_FROZEN, Act.KEYS_SEALED)
DAY = 1_790_000_000 // 86_400 * 86_400

words = st.from_regex(r"[a-z][a-z0-9_.:-]{0,20}", fullmatch=True)
entries = st.builds(
    Entry,
    act=st.sampled_from([Act.FIELD_DISCLOSED, Act.FIELD_DENIED, Act.AUTH_FAILED, *LOUD]),
    out=st.sampled_from(list(Outcome)),
    actor=st.builds(Actor, st.just(ActorKind.OFFICER), words),
    fld=st.lists(words, max_size=3, unique=True).map(tuple),
    pol=st.lists(words, max_size=3, unique=True).map(tuple),
)


@given(st.lists(st.tuples(entries, st.integers(-7200, 93_600)), max_size=40), st.integers(1, 5))
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_it_counts_what_reading_counts(found, most):
    bodies = [
        (index.to_bytes(16), encode(each, index.to_bytes(16), DAY + at, None))
        for index, (each, at) in enumerate(sorted(found, key=lambda one: one[1]))
    ]
    upto = [Vouched(0, "origin", len(bodies), b"", "")]
    with create_engine("sqlite://").connect() as conn, pytest.MonkeyPatch.context() as patch:
        tables.metadata.create_all(conn)
        ledger.create_head(conn, 0, "origin", DAY)
        ledger.append(conn, 0, bodies, DAY)
        for module in (glancing, reading):
            patch.setattr(module, "PIECE", 7)
        seen = glance(conn, upto, DAY, DAY + 86_400, LOUD, most)
        expected = list(lines(conn, upto, DAY, DAY + 86_400))
    assert seen.hours == Counter(int(each.at[11:13]) for each in expected)
    assert seen.entries == len(expected)
    assert seen.refused == sum(each.content["out"] == "deny" for each in expected)
    loud = [each.idx for each in expected if each.content["act"] in LOUD]
    assert [each.idx for each in seen.loud] == sorted(loud, reverse=True)[:most]  # the log is in the order of its times
