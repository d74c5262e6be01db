"""The tables of standards: every requirement of the levels we claim has its line, and every line says how it stands.

That each test they name exists is held with all documents (`test_architecture_documents.py`).
"""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
ROW = re.compile(r"^\| (\S+) \| ([^|]+) \| (true|not applicable|\*open\*) \| ([^|]+) \| ([^|]*) \|$")
TEST_ID = re.compile(r"tests/\w+/test_\w+\.py::test_\w+")

# ASVS 5.0.0: the level of each requirement, section by section, in the order of their numbers.
LEVELS = {
    "1.1": "22", "1.2": "1111122223", "1.3": "112222222223", "1.4": "222", "1.5": "123",
    "2.1": "122", "2.2": "112", "2.3": "12223", "2.4": "23",
    "3.1": "3", "3.2": "113", "3.3": "12223", "3.4": "11222233", "3.5": "11122333", "3.6": "3", "3.7": "22333",
    "4.1": "12233", "4.2": "23333", "4.3": "22", "4.4": "1222",
    "5.1": "2", "5.2": "112333", "5.3": "113", "5.4": "222",
    "6.1": "222", "6.2": "111111112222", "6.3": "11223333", "6.4": "112233", "6.5": "22222333", "6.6": "2223", "6.7": "33",
    "6.8": "2222",
    "7.1": "222", "7.2": "1111", "7.3": "22", "7.4": "11222", "7.5": "223", "7.6": "22",
    "8.1": "1233", "8.2": "1123", "8.3": "133", "8.4": "23",
    "9.1": "111", "9.2": "1222",
    "10.1": "22", "10.2": "223", "10.3": "22223", "10.4": "1111122222233333", "10.5": "22222", "10.6": "22", "10.7": "222",
    "11.1": "2233", "11.2": "22233", "11.3": "11233", "11.4": "1222", "11.5": "23", "11.6": "23", "11.7": "33",
    "12.1": "12233", "12.2": "11", "12.3": "22223",
    "13.1": "2333", "13.2": "222223", "13.3": "2233", "13.4": "1222233",
    "14.1": "22", "14.2": "12223333", "14.3": "122",
    "15.1": "12233", "15.2": "12233", "15.3": "1222222", "15.4": "3333",
    "16.1": "2", "16.2": "22222", "16.3": "2222", "16.4": "222", "16.5": "2223",
    "17.1": "23", "17.2": "22223333", "17.3": "22",
}  # fmt: skip
ALL = 345  # of the whole standard
HIGHEST = {
    "6",
    "7",
    "8",
    "10",
    "11",
    "16",
}  # chapters at level 3: authentication to authorisation, cryptography, logging
TOP_TEN = [f"API{number}" for number in range(1, 11)]


def rows(document):
    lines = (ROOT / document).read_text(encoding="utf-8").splitlines()
    found = [line for line in lines if re.match(r"\| (\d|API\d)", line)]
    parsed = [ROW.match(line) for line in found]
    assert not [line for line, row in zip(found, parsed, strict=True) if row is None]
    return [row.groups() for row in parsed]


def wanted():
    return [
        f"{section}.{number}"
        for section, levels in LEVELS.items()
        for number, level in enumerate(levels, 1)
        if level != "3" or section.split(".")[0] in HIGHEST
    ]


def test_the_list_of_levels_is_the_whole_standard():
    assert sum(map(len, LEVELS.values())) == ALL


@pytest.mark.parametrize(("document", "numbers"), [("docs/asvs.md", wanted()), ("docs/api-top-ten.md", TOP_TEN)])
def test_every_requirement_has_its_line(document, numbers):
    assert [number for number, *_ in rows(document)] == numbers


@pytest.mark.parametrize("document", ["docs/asvs.md", "docs/api-top-ten.md"])
def test_what_is_true_names_its_tests_and_what_is_not_says_why(document):
    for number, _, state, control, tests in rows(document):
        assert control.strip(), number
        named = [each for each in tests.split(", ") if each]
        assert all(TEST_ID.fullmatch(each) for each in named), number
        assert named or state != "true", number


def test_the_counts_at_the_head_are_those_of_the_table():
    states = [state for _, _, state, _, _ in rows("docs/asvs.md")]
    text = " ".join((ROOT / "docs/asvs.md").read_text(encoding="utf-8").split())
    told = re.search(r"(\d+) are true, (\d+) not applicable, (\d+) open", text)
    assert [states.count(each) for each in ("true", "not applicable", "*open*")] == list(map(int, told.groups()))
