"""A system that was disabled acts again on one officer's signature, for that one time."""

import pytest
from maison_people import AURELLE
from policy_officers import APPROVER, AUTHOR, OPERATOR, Officers, acts

from vault import systems
from vault.errors import NotSigned, UnknownOfficer, UnknownProposal, UnknownSystem
from vault.governance import desk, enabling, founding
from vault.governance.desk import Elsewhere
from vault.officers import Role
from vault.systems import NewSystem, SystemStatus

KEY = {"kty": "OKP", "crv": "Ed25519", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo", "kid": "1"}


@pytest.fixture
def two(vault):
    made = Officers(vault)
    with vault.unit() as uow:
        systems.register(uow, NewSystem("a-pos", AURELLE, "a", {"keys": [KEY]}, frozenset({"lookup"})), OPERATOR)
        uow.commit()
    disable(vault)
    return made


def disable(vault):
    with vault.unit() as uow:
        systems.disable(uow, "a-pos", OPERATOR)
        uow.commit()


def enable(two, by, sign=None):
    return enabling.enable(two.vault, "a-pos", by, sign or two.signing(by))


def test_who_may_not_is_refused_and_in_the_log(vault, two):
    two.add("o.desk", Role.OPERATOR)
    two.add(founding.APPROVER, Role.APPROVER)
    for by, sign, error in (
        ("o.desk", None, NotSigned),
        (founding.APPROVER, None, NotSigned),
        (APPROVER, two.signing(AUTHOR), NotSigned),
        ("jeanne.martin", two.signing(AUTHOR), UnknownOfficer),
    ):
        with pytest.raises(error):
            enable(two, by, sign)
    with pytest.raises(UnknownSystem):
        enabling.enable(vault, "no such system", AUTHOR, two.signing(AUTHOR))
    denied = [(by, pol) for act, out, by, pol in acts(vault, "system.changed") if out == "deny"]
    assert [by for by, _ in denied] == ["o.desk", founding.APPROVER, APPROVER, "unknown", AUTHOR]
    assert denied[-1][1] == ("system.unknown_system",)
    with vault.reading() as conn:
        assert systems.get(conn, "a-pos").status is SystemStatus.DISABLED


def test_a_signature_lets_it_act_again_once(vault, two):
    with vault.reading() as conn:
        text = desk.text(vault, conn, Elsewhere.SYSTEM_ENABLE, "a-pos", APPROVER)
    signature = two.signing(APPROVER)(text)  # made at another desk
    assert enable(two, APPROVER, lambda _: signature).status is SystemStatus.ACTIVE
    ((_, _, by, pol),) = [each for each in acts(vault, "system.changed") if each[1] == "allow"]
    assert (by, {"system:a-pos", "change:enabled", "number:1"} <= set(pol)) == (APPROVER, True)
    disable(vault)
    with pytest.raises(NotSigned):  # it was good for that time
        enable(two, APPROVER, lambda _: signature)
    assert enable(two, AUTHOR).status is SystemStatus.ACTIVE


def test_there_is_no_text_for_what_there_is_not(vault, two):
    with vault.reading() as conn:
        with pytest.raises(UnknownSystem):
            desk.text(vault, conn, Elsewhere.SYSTEM_ENABLE, "b-pos", APPROVER)
        for act in set(Elsewhere) - {Elsewhere.SYSTEM_ENABLE}:
            with pytest.raises(UnknownProposal):
                desk.text(vault, conn, act, "00" * 8, APPROVER)
