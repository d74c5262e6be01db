"""A served vault, and officers of each role signed in to its console."""

import pytest
from console_browser import Browser, add_officer, set_up, vouch
from maison_callers import CONSENT, PERSON
from served_maison import maison, pos

__all__ = ["maison", "pos"]


@pytest.fixture
def signed_in(maison):
    """Make a browser in which an officer of a role is signed in; its authenticator comes along."""

    def make(role="compliance", language="en", officer_id=None):
        browser = Browser(maison.http.app, language)
        code = add_officer(maison.vault, officer_id or f"{role}-1", role)
        browser.authenticator = set_up(browser, code, maison.clock)
        return browser

    return make


@pytest.fixture
def browser(maison):
    return Browser(maison.http.app)


@pytest.fixture
def life(maison, pos, tmp_path):
    """Somebody came, agreed, was looked at and was refused; the log is signed."""
    reference = pos.created(PERSON, CONSENT)
    pos.disclose(pos.granted(reference, ("phone", "masked"), ("birth_date", "generalised"), max_uses=5))
    pos.wish(reference, ("phone", "masked"), purpose="marketing.email")
    vouch(maison)
    return reference
