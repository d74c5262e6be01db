"""Decisions in process: five fields of one person for one purpose, decided anew, and looked up as one seen before."""

import time
from collections.abc import Callable

from api import bundles
from policies import decision
from policies.decision import decide
from policies.levels import Level
from policies.model import Caller, ConsentStatus, DecisionRequest, SubjectFacts, Wanted
from tests.bench.clients import DISCLOSED
from tests.bench.deployments import PURPOSE
from tests.bench.report import Line


def measure(*, quick: bool) -> list[Line]:
    """Return decisions per second: every rule asked, and remembered."""
    bundle = bundles.load()
    wanted = tuple(Wanted(name, Level(level)) for name, level in DISCLOSED)
    caller = Caller("aurelle-bench", "aurelle", frozenset({PURPOSE}), staffed=True)
    facts = SubjectFacts(
        known_to_brand=True, erased=False, restricted=False, minor=False, region="fr",
        consents={"clienteling": ConsentStatus.GIVEN},
    )  # fmt: skip
    asked = DecisionRequest(caller, facts, PURPOSE, wanted)
    assert all(each.granted for each in decide(asked, bundle).answers)

    def anew() -> None:
        decision._decided.cache_clear()
        decision._answered.cache_clear()
        decide(asked, bundle)

    count = 200 if quick else 4000
    what = {"fields": len(wanted)}
    return [
        Line("decision, every rule asked", _rate(anew, count), "/s", extra=what),
        Line("  same, seen before by this process", _rate(lambda: decide(asked, bundle), 50 * count), "/s", extra=what),
    ]


def _rate(act: Callable[[], object], count: int) -> float:
    began = time.perf_counter()
    for _ in range(count):
        act()
    return count / (time.perf_counter() - began)
