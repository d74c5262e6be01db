"""A served vault with somebody in it, and that person's browser."""

import pytest
from console_browser import Browser
from maison_callers import CONSENT, PERSON
from served_maison import maison, pos, sister

__all__ = ["maison", "pos", "sister"]


@pytest.fixture
def reference(pos):
    return pos.created(PERSON, CONSENT)


@pytest.fixture
def browser(maison, reference):
    return Browser(maison.http.app)
