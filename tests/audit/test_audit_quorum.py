"""Policy files: the example of the specification, its rules one by one, and checkpoints held against a policy."""

import itertools

import pytest
from tamperable_log import ORIGIN, START, Ed25519Signer, signed

from audit.cosignature import ED25519_COSIGNATURE, cosign
from audit.errors import VerificationError
from audit.note import split_note, vkey
from audit.quorum import parse_policy

LOG = Ed25519Signer(ORIGIN)
NAMES = ("X1", "X2", "X3", "Y1", "Y2", "Y3")
WITNESSES = {name: Ed25519Signer(f"{name.lower()}.example", bytes([50 + at]) * 32) for at, name in enumerate(NAMES)}
NOTE = signed(LOG, ORIGIN, 7, bytes(32))
TEXT = split_note(NOTE).text


def key(name):
    return vkey(WITNESSES[name].name, WITNESSES[name].public_key, ED25519_COSIGNATURE)


# The shape of the specification's own example.
EXAMPLE = f"""
# one log, two organisations
log {LOG.vkey}

witness X1 {key("X1")}
\twitness  X2\t{key("X2")} https://x2.example/
witness X3 {key("X3")}
group X-witnesses 2 X1 X2 X3

witness Y1 {key("Y1")}
witness Y2 {key("Y2")}
witness Y3 {key("Y3")}
group Y-witnesses any Y1 Y2 Y3

group X-and-Y all X-witnesses Y-witnesses
quorum X-and-Y
"""


def test_the_example_of_the_specification():
    policy = parse_policy(EXAMPLE.encode())
    assert [each.name for each in policy.witnesses] == list(NAMES)
    assert policy.witnesses[1].url == "https://x2.example/"
    for count in range(len(NAMES) + 1):
        for names in itertools.combinations(NAMES, count):
            enough = sum(name[0] == "X" for name in names) >= 2 and any(name[0] == "Y" for name in names)
            assert policy.met_by(names) is enough, names
    assert not policy.met_by(["X-and-Y", "quorum", "X-witnesses"])


def test_a_checkpoint_is_judged_by_who_cosigned_it():
    policy = parse_policy(EXAMPLE.encode())
    note = NOTE
    assert not policy.judge(note, ORIGIN).quorum
    for name in ("X1", "Y2"):
        note += cosign(TEXT, WITNESSES[name], START)
    note += cosign(TEXT, Ed25519Signer("stranger.example", b"\x99" * 32), START)
    seen = policy.judge(note, ORIGIN)
    assert ([name for name, _ in seen.by], seen.quorum, seen.checkpoint.size) == (["X1", "Y2"], False, 7)
    assert policy.judge(note + cosign(TEXT, WITNESSES["X3"], START), ORIGIN).quorum
    with pytest.raises(VerificationError):
        policy.judge(note.replace("\n7\n", "\n8\n"), ORIGIN)
    with pytest.raises(VerificationError):
        policy.judge(note, "vault.example/other")


def test_one_witness_many_times_is_one_witness():
    policy = parse_policy(EXAMPLE.encode())
    note = NOTE + "".join(cosign(TEXT, WITNESSES["X1"], START + each) for each in range(5))
    assert [name for name, _ in policy.judge(note, ORIGIN).by] == ["X1"]


def test_cosignatures_without_the_log_are_nothing():
    policy = parse_policy(EXAMPLE.encode())
    stranger = Ed25519Signer(ORIGIN, b"\x98" * 32)
    note = signed(stranger, ORIGIN, 7, bytes(32)) + cosign(TEXT, WITNESSES["X1"], START)
    with pytest.raises(VerificationError):
        policy.judge(note, ORIGIN)


def test_no_quorum_asks_for_none():
    policy = parse_policy(f"log {LOG.vkey}\nquorum none\n".encode())
    assert policy.met_by([])
    assert policy.judge(NOTE, ORIGIN).quorum


def test_names_are_bytes_and_not_characters():
    content = f"witness \u212a {key('X1')}\nquorum \u212a\n".encode()
    (witness,) = parse_policy(content).witnesses
    assert parse_policy(content).met_by([witness.name])
    with pytest.raises(VerificationError, match="line 2"):
        parse_policy(f"witness \u212a {key('X1')}\nquorum K\n".encode())


@pytest.mark.parametrize(
    "lines",
    [
        "",
        "quorum missing",
        "quorum none\nquorum none",
        f"witness none {key('X1')}\nquorum none",
        f"witness a {key('X1')}\nwitness a {key('X2')}\nquorum a",
        f"witness a {key('X1')}\nwitness b {key('X1')}\nquorum a",
        f"log {LOG.vkey}\nlog {LOG.vkey}\nquorum none",
        f"log {key('X1')}\nquorum none",
        f"witness a {LOG.vkey}\nquorum a",
        f"witness a {key('X1')[:-4]}AAA=\nquorum a",
        f"quorum a\nwitness a {key('X1')}",
        f"group g any a\nwitness a {key('X1')}\nquorum g",
        f"witness a {key('X1')}\ngroup g 0 a\nquorum g",
        f"witness a {key('X1')}\ngroup g 2 a\nquorum g",
        f"witness a {key('X1')}\ngroup g 01 a\nquorum g",
        f"witness a {key('X1')}\ngroup g {'9' * 5000} a\nquorum g",
        f"witness a {key('X1')}\ngroup g any a a\nquorum g",
        f"witness a {key('X1')}\ngroup g any a\ngroup h any a g\nquorum h",
        f"witness a {key('X1')}\ngroup g any none\nquorum g",
        f"witness a {key('X1')}\ngroup g any\nquorum g",
        f"witness a {key('X1')} https://a one-too-many\nquorum a",
        f"witness a {key('X1')}\x0b\nquorum a",
        f"witness a {key('X1')}\r\nquorum a",
        "wittness a b\nquorum none",
        "# \x00\nquorum none",
        "# long\n" * 50_000 + "quorum none",
    ],
)
def test_a_file_that_breaks_a_rule_is_no_policy(lines):
    with pytest.raises(VerificationError):
        parse_policy(f"{lines}\n".encode())
