"""What officers sign, byte for byte: the texts and hashes of docs/formats.md, built here from its words alone."""

import re
from hashlib import sha256
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from policies.levels import Level
from policies.model import Wanted
from vault import budgetraises, joins
from vault.governance import enabling
from vault.governance.cases import CASE, Asked, Step
from vault.governance.proposals import Part
from vault.governance.signatures import Signed, Thing
from vault.governance.versionsigning import Part as As
from vault.governance.versionsigning import version_of
from vault.requests import records

SALT = bytes(range(32))
KEY = Ed25519PrivateKey.from_private_bytes(SALT)  # published, and so nobody's
FORMATS = "".join((Path(__file__).parents[2] / "docs" / "formats.md").read_text(encoding="utf-8").split())


def says(*parts):
    """SHA-256 over the SHA-256 of each part, each behind its length (32) in two bytes."""
    return sha256(b"".join(b"\x00\x20" + sha256(part).digest() for part in parts)).digest()


RAISE = says(b"aurelle-paris", b"system:people:3000/day", b"43200")
JOIN = says(b"aurelle", b"vantier", b"merger", SALT + b"ref_00000000000000000000000000")
CASE_SAYS = says(
    SALT, b"aurelle", b"ref_00000000000000000000000000", b'[["phone","raw",""]]', b"o.desk", b"15",
    b"Found unconscious in the boutique.",
)  # fmt: skip
SYSTEM = says(b"aurelle-paris", b"2")
STEP = says(b"ground:unfounded", b"kept:purchases")
TEXT = f"""ecrin-officer-act v1
deployment: ecrin
act: raise.approve
on: 5f0c8b1e2a90d3c4
says: {RAISE.hex()}
officer: a.moreau
number: 7
""".encode()


def shown(value):
    return "".join(value.split()) in FORMATS


def test_an_act():
    signed = Signed(Thing(budgetraises.RAISES.matter, "5f0c8b1e2a90d3c4", RAISE), Part.APPROVE, "a.moreau", 7)
    assert signed.text("ecrin") == TEXT
    assert shown(TEXT.decode())
    assert shown(KEY.sign(TEXT).hex())


def test_a_policy_version():
    text = f"ecrin-policy-signature v1\ndeployment: ecrin\nversion: 2\npart: approver\nbundle: {SALT.hex()}\n".encode()
    assert Signed(version_of(2, SALT), As.APPROVER, "a.moreau", 7).text("ecrin") == text
    assert shown(text.decode())
    assert shown(KEY.sign(text).hex())


def test_what_things_say():
    asked = Asked(
        "aurelle", "ref_00000000000000000000000000", (Wanted("phone", Level.RAW),), "o.desk", 15,
        "Found unconscious in the boutique.",
    )  # fmt: skip
    assert asked.says(SALT) == CASE_SAYS
    row = {"system_id": "aurelle-paris", "limits": "system:people:3000/day", "seconds": 43200}
    assert budgetraises._says(row) == RAISE
    row = {"brand": "aurelle", "other": "vantier", "reason": "merger"}
    assert joins._says(row, SALT + b"ref_00000000000000000000000000") == JOIN
    step = records.step(bytes(16), 7, ("ground:unfounded", "kept:purchases"))
    assert step == Thing(records.REQUESTS, f"{'00' * 16}.7", STEP)
    for each in (CASE_SAYS, RAISE, JOIN, SYSTEM, STEP):
        assert shown(each.hex())


def test_a_system_says_its_id_and_epoch():
    from vault.systems import SystemRecord, SystemStatus

    fields = dict.fromkeys(SystemRecord.__slots__)
    system = SystemRecord(**fields | {"id": "aurelle-paris", "epoch": 2, "status": SystemStatus.DISABLED})
    assert enabling.thing_of(system) == Thing(enabling.SYSTEM, "aurelle-paris", SYSTEM)


def test_every_part_is_listed():
    table = (Path(__file__).parents[2] / "docs" / "formats.md").read_text(encoding="utf-8")
    for matter in (CASE, joins.JOINS.matter, budgetraises.RAISES.matter, enabling.SYSTEM, records.REQUESTS):
        for part in matter.may:
            assert re.search(rf"`{matter.name}\.{part}`", table), part
    assert {str(each) for each in CASE.may} == {str(each) for each in Step}
