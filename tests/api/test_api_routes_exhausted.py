"""A keystore with no leaf left, over HTTP: nothing new is taken in, in words of their own, and all else is served."""

from contextlib import closing

import pytest
from maison_callers import CONSENT, PERSON, problem_of

from vault.errors import LeavesExhausted
from vault.keys.epochs import EpochChange
from vault.keys.pagefile import PageFile
from vault.runtime import SystemEntropy

NEW = PERSON | {"client_number": "AU-0777", "email": ["late@example.com"], "phone": ["+33639980777"]}


def use_up(keys):
    """Reserve every leaf that there is."""
    most = keys.status().slots_total
    while most:
        try:
            keys.reserve(most)
        except LeavesExhausted:
            most //= 2


@pytest.fixture
def vault(pos):
    return pos.http.app.state.services.vault


def test_who_is_new_is_refused_until_the_keystore_grows_and_nobody_else(pos, vault, place, clock):
    known = pos.created(PERSON, CONSENT)
    use_up(vault.keys)
    refused = pos.create(NEW)
    problem_of(refused, 503, "leaves_exhausted")
    assert refused.headers["Retry-After"] == "1"
    assert pos.describe(known).status_code == 200
    assert pos.disclose(pos.granted(known, ("phone", "masked"))).status_code == 200
    changed = pos.patch(known, {"set": {"known_as": "Line"}}, pos.describe(known).headers["ETag"])
    assert changed.status_code == 200  # into a compartment that has its leaf
    with closing(PageFile(place.keystore)) as store:  # as `ecrin grow` does beside the service
        EpochChange(store, place.provider, (), clock=clock, entropy=SystemEntropy()).grow()
    assert pos.create(NEW).status_code == 201  # and no restart
