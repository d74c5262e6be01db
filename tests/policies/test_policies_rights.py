"""Which rights ask for how much certainty, and what a bundle may not say about them."""

import pytest

from policies.bundle import RIGHTS, parse_bundle
from policies.deadlines import Period
from policies.errors import InvalidBundle
from policies.rights import STRICTEST, Assurance, Right

RULE = 'jurisdiction = "eu"\nsince = 2018-05-25\nanswer = { months = 1 }\nzone = "UTC"\nsource = "x"\n'


def with_rights(shipped_files, text):
    return parse_bundle("changed", {**shipped_files, RIGHTS: text.encode()})


def test_without_a_file_there_is_a_month_and_a_code(shipped_files):
    bundle = parse_bundle("bare", {name: content for name, content in shipped_files.items() if name != RIGHTS})
    assert bundle.rights.deadline(Right.ERASURE, "eu", STRICTEST.since) == STRICTEST
    assert STRICTEST.answer == Period(months=1)
    assert {bundle.rights.required(each) for each in Right} == {Assurance.CODE}


def test_to_say_no_needs_no_proof(maisons):
    assert maisons.rights.required(Right.OBJECTION) is Assurance.NONE
    assert maisons.rights.required(Right.CONSENT_WITHDRAWAL) is Assurance.NONE
    assert maisons.rights.required(Right.ACCESS) is Assurance.CODE


@pytest.mark.parametrize("right", [Right.ACCESS, Right.PORTABILITY, Right.ERASURE])
@pytest.mark.parametrize("rung", [Assurance.NONE, Assurance.PURCHASE])
def test_no_file_gives_out_or_destroys_on_less_than_a_code(shipped_files, right, rung):
    with pytest.raises(InvalidBundle, match="needs at least `code`"):
        with_rights(shipped_files, f'[assurance]\n{right} = "{rung}"\n')


def test_a_file_may_ask_for_more(shipped_files):
    assert (
        with_rights(shipped_files, '[assurance]\nerasure = "document"\n').rights.required(Right.ERASURE)
        is Assurance.DOCUMENT
    )


def test_a_remark_of_a_version_from_before_is_said_in_english(shipped_files):
    rights = with_rights(shipped_files, "[[deadline]]\n" + RULE + 'counsel = "to be read"\n').rights
    assert any(each.counsel == {"en": "to be read"} for each in rights.deadlines)


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("[[deadline]]\n" + RULE.replace("months = 1", "months = 0"), "`answer` is a number"),
        ("[[deadline]]\n" + RULE.replace("months = 1", "months = 1, days = 3"), "`answer` is a number"),
        ("[[deadline]]\n" + RULE.replace("answer = { months = 1 }\n", ""), "how long an answer may take"),
        ("[[deadline]]\n" + RULE + 'holidays = "QQ"\n', "no calendar of holidays"),
        ("[[deadline]]\n" + RULE + 'holidays = "GB/NOWHERE"\n', "no calendar of holidays"),
        ("[[deadline]]\n" + RULE.replace('"UTC"', '"Mars/Olympus"'), "no time zone"),
        ("[[deadline]]\n" + RULE.replace('"UTC"', '"../secrets"'), "no time zone"),
        ("[[deadline]]\n" + RULE + 'kinds = ["acces"]\n', "`kinds` lists rights"),
        ("[[deadline]]\n" + RULE + "prompt_days = 30\n", "`prompt_days`"),
        ("[[deadline]]\n" + RULE + "rolls = 1\n", "`rolls` must be given as bool"),
        ("[[deadline]]\n" + RULE + "counsel = 3\n", "`counsel` needs"),
        ("[[deadline]]\n" + RULE + 'voluntary = { en = "our own word" }\n', "`voluntary` needs"),
        ("[[deadline]]\n" + RULE + "roles = true\n", "unknown key `roles`"),
        ("[[deadline]]\n" + RULE + "[[deadline]]\n" + RULE, "begin on one day"),
        ("[[deadline]]\n" + RULE.replace('"eu"', '"EU 27"'), "`jurisdiction`"),
        ("deadline = 3\n", "list of tables"),
        ("assurance = 3\n", "maps a right"),
        ('[assurance]\naccess = "sworn"\n', "maps a right"),
        ('[assurance]\nluck = "code"\n', "maps a right"),
        ("[deadlines]\n", "unknown key"),
    ],
)
def test_what_a_file_may_not_say(shipped_files, text, fault):
    with pytest.raises(InvalidBundle, match=fault):
        with_rights(shipped_files, text)
