"""Ending sessions at the command line: one officer's, all officers', one person's, everybody's; whose must be said."""

from contextlib import closing

import pytest

from api import bootstrap
from api.cli.opened import OPERATOR
from api.settings import load
from vault import officers
from vault.officers import Role
from vault.signin import sessions, visitors
from vault.signin.sessions import Limits, Method

LIMITS = Limits(900, 36_000)
REFERENCE = "ref_of_somebody"


@pytest.fixture
def signed_in(home):
    """Two officers and one person, each signed in once."""
    with closing(bootstrap.open_from(load())) as vault, vault.unit() as uow:
        for name in ("claire", "ines"):
            officers.add(uow, name, Role.AUDITOR, "seven lamps by the quay", OPERATOR)
            sessions.sign_in(uow, sessions.begin(uow), name, Method.PASSKEY, LIMITS)
        visitors.opened(uow, visitors.begin(uow), "aurelle", REFERENCE)
        uow.commit()


@pytest.mark.usefixtures("signed_in")
def test_an_operator_ends_sessions_and_says_whose(ecrin, tmp_path):
    listed = ecrin("session", "list", "--json").json["sessions"]
    assert {(each["officer"], each["with"]) for each in listed} == {("claire", "passkey"), ("ines", "passkey")}
    assert [each["officer"] for each in ecrin("session", "list", "--officer", "ines", "--json").json["sessions"]] == [
        "ines"
    ]
    whom = tmp_path / "whom"
    whom.write_text(f"{REFERENCE}\n")
    for arguments, count in (
        (("--officer", "claire"), 1), (("--officer", "claire"), 0), (("--officers",), 1),
        (("--brand", "solenne", "--reference-file", whom), 0), (("--brand", "aurelle", "--reference-file", whom), 1),
        (("--persons",), 0),
    ):  # fmt: skip
        ended = ecrin("session", "end", *arguments, "--json")
        assert (ended.code, ended.json) == (0, {"ended": count}), arguments
        assert REFERENCE not in ended.out + ended.err


@pytest.mark.usefixtures("signed_in")
def test_nobody_is_signed_out_by_mistake(ecrin, tmp_path):
    empty = tmp_path / "empty"
    empty.write_text(" \n")
    for arguments in (
        (), ("--officers", "--persons"), ("--officer", "claire", "--officers"), ("--brand", "aurelle"),
        ("--persons", "--brand", "aurelle"), ("--reference-file", empty), ("--brand", "aurelle", "--reference-file", empty),
        ("--brand", "aurelle", "--reference-file", tmp_path / "none"),
    ):  # fmt: skip
        assert ecrin("session", "end", *arguments).code == 2, arguments
    assert len(ecrin("session", "list", "--json").json["sessions"]) == 2
