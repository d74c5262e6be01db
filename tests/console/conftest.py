"""A served vault, and officers of each role signed in to its console."""

import pytest
from console_browser import Browser, add_officer, set_up
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
