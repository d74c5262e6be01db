"""The seal: pulled by one officer, taken off by an operator, never by a share in a form."""

from contextlib import closing

import pytest
from console_browser import Browser, add_officer, set_up
from key_homes import HeldClient
from maison_callers import CONSENT, ELSEWHERE, PERSON, Maison, app_of
from starlette.testclient import TestClient

from api import roots
from vault.errors import Sealed
from vault.keys.service import KeyState

PATH = "/console/seal"


def keys_said(maison):
    return [
        (each.act, each.read["out"], each.read["actor"]["id"]) for each in maison.entries() if each.act[:5] == "keys."
    ]


def form_of(officer, step):
    """The fields of a step's form, or of another form of the session with the step put into it."""
    forms = officer.get(PATH).forms
    token = forms[0]["fields"]["form"]
    return {"form": token, "step": step, "sure": "yes"}


def steps(officer):
    return [each["fields"]["step"] for each in officer.get(PATH).forms if "step" in each["fields"]]


def test_who_may_seal_does_it_alone_and_brands_are_refused_at_once(maison, pos, signed_in):
    reference = pos.created(PERSON, CONSENT)
    claire, auditor, ines = signed_in(), signed_in("auditor"), signed_in("approver")
    for other in (auditor, ines):
        assert steps(other) == []
        assert other.post(f"{PATH}/step", form_of(other, "seal")).status == 403
    assert claire.post(f"{PATH}/step", form_of(claire, "seal") | {"sure": ""}).status == 400
    assert claire.post(f"{PATH}/step", form_of(claire, "open sesame")).status == 400
    assert keys_said(maison) == []
    assert pos.describe(reference).status_code == 200
    assert claire.post(f"{PATH}/step", form_of(claire, "seal")).answer.headers["location"] == PATH
    assert pos.describe(reference).status_code == 503
    assert keys_said(maison) == [("keys.sealed", "allow", "compliance-1")]
    page = claire.get(PATH)
    assert "sealed" in page.text
    assert steps(claire) == []  # to take it off is an operator's
    assert claire.post(f"{PATH}/step", form_of(claire, "unseal")).status == 403
    assert roots.seal_mark(maison.http.app.state.services.settings).is_set()
    assert "The vault is sealed" in claire.get("/console").text


def test_sealing_takes_presence(maison, signed_in):
    claire = signed_in()
    form = form_of(claire, "seal")
    maison.clock.advance(301)
    assert claire.post(f"{PATH}/step", form).answer.headers["location"] == "/console/confirm?next=/console/seal"
    assert keys_said(maison) == []


def test_a_root_that_does_not_open_leaves_the_seal_and_an_entry(maison, signed_in):
    """The settings of this application name a folder without roots, as where a mount is missing."""
    operator = signed_in("operator")
    operator.post(f"{PATH}/step", form_of(operator, "seal"))
    assert steps(operator) == ["unseal"]
    answer = operator.post(f"{PATH}/step", form_of(operator, "unseal"))
    assert (answer.status, "did not open" in answer.text) == (422, True)
    assert keys_said(maison)[1:] == [("keys.unsealed", "deny", "operator-1")]
    assert roots.seal_mark(maison.http.app.state.services.settings).is_set()


@pytest.fixture
def shared(opening, bundle, tmp_path, clock):
    """The application beside a key holder whose root takes three shares of five."""

    class Shares:
        needed, total = 3, 5

        def provider(self, secrets):
            if len(secrets) < 3:
                raise Sealed("too few")
            return object()

    vault = opening(bundle)
    with closing(HeldClient(lambda: vault.keys, vault.deployment, unsealer=Shares())) as holder:
        app = app_of(lambda _: vault, tmp_path, keyd_socket=holder.socket, deployment=vault.deployment)
        with TestClient(app, base_url=ELSEWHERE, raise_server_exceptions=False) as http:
            yield Maison(http, vault, clock), holder


def test_shares_are_never_asked_for_or_taken_by_a_page(shared):
    maison, holder = shared
    operator = Browser(maison.http.app)
    set_up(operator, add_officer(maison.vault, "operator-1", "operator"), maison.clock)
    page = operator.get(PATH)
    assert "3 of 5 shares; 0 given" in page.text
    assert "Shares are not given here" in page.text
    assert steps(operator) == []
    assert "<textarea" not in page.answer.text
    for more in ({}, {"share": "share-amber"}, {"secret": "share-amber"}):
        assert operator.post(f"{PATH}/step", form_of(operator, "unseal") | more).status == 400
    assert holder.progress().given == 0
    assert holder.progress().state is KeyState.SEALED
    assert keys_said(maison) == []
