"""A served vault with somebody in it, and two officers with keys."""

import pytest
from maison_callers import CONSENT, PERSON
from policy_officers import Officers
from served_maison import maison, pos

__all__ = ["maison", "pos"]


@pytest.fixture
def reference(pos):
    return pos.created(PERSON, CONSENT)


@pytest.fixture
def officers(maison):
    return Officers(maison.vault)
