"""What officers signed before there was one table for it: policies stand, what waited is void, and words about people go."""

import json

import pytest
from alembic import command
from alembic.config import Config
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from policy_officers import public_of
from sqlalchemy import text

from vault.errors import NotSigned
from vault.governance import cases, officerkeys, signatures
from vault.governance.cases import State
from vault.governance.versionsigning import BOTH, POLICY, version_of
from vault.store.engine import open_engine
from vault.store.schema import MIGRATIONS, check_head

BEFORE = "0027"
HASH = bytes(range(32))
KEYS = {"ada": Ed25519PrivateKey.from_private_bytes(b"a" * 32), "ben": Ed25519PrivateKey.from_private_bytes(b"b" * 32)}
CASES = [("asked", "", {"ask": "ada"}), ("approved", "", {"ask": "ada", "approve": "ben"}),
         ("reviewed", "justified", {"ask": "ada", "approve": "ben", "review": "ben"})]  # fmt: skip


def bring(url, revision):
    engine = open_engine(url, pool_size=1)
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    with engine.begin() as conn:
        config.attributes["connection"] = conn
        command.upgrade(config, revision)
    engine.dispose()


def put(conn, table, **row):
    names, values = ", ".join(row), ", ".join(f":{name}" for name in row)
    conn.execute(text(f"INSERT INTO {table} ({names}) VALUES ({values})"), row)  # noqa: S608


@pytest.fixture
def upgraded(databases, tmp_path):
    """A database with a signed policy, three cases, two joins and a raise, brought to this release."""
    databases.template("before_signatures", lambda url: bring(url, BEFORE))
    url, drop = databases.cut("before_signatures", tmp_path)
    engine = open_engine(url)
    with engine.begin() as conn:
        fingerprints = {}
        for name, key in KEYS.items():
            fingerprints[name] = officerkeys.fingerprint_of(public_of(key))
            put(conn, "officer", id=name, role="approver", status="active", password_hash="", created_at=1)
            put(conn, "officer_key", fingerprint=fingerprints[name], officer_id=name, public_key=public_of(key),
                added_at=1, retired_at=None)  # fmt: skip
        put(
            conn,
            "policy_version",
            number=7,
            hash=HASH,
            name="m",
            content=b"",
            state="active",
            proposed_at=5,
            changed_at=5,
        )
        for role, name in (("author", "ada"), ("approver", "ben")):
            said = f"ecrin-policy-signature v1\ndeployment: d\nversion: 7\npart: {role}\nbundle: {HASH.hex()}\n"
            put(conn, "policy_signature", number=7, role=role, officer_id=name, fingerprint=fingerprints[name],
                signature=KEYS[name].sign(said.encode()), signed_at=5)  # fmt: skip
        for number, (state, finding, steps) in enumerate(CASES):
            signed = {step: [name, fingerprints[name], "00"] for step, name in steps.items()}
            put(conn, "break_glass_case", id=bytes([number]) * 16, state=state, brand="aurelle", fields="[]",
                bearer="ada", minutes=15, digest=HASH, sealed=b"words about somebody", signatures=json.dumps(signed),
                asked_at=10 + number, expires_at=None if state == "asked" else 99, disclosures=0, finding=finding)  # fmt: skip
        for number, state in enumerate(("proposed", "approved")):
            put(conn, "brand_join", id=bytes([number]) * 8, brand="aurelle", other="vantier", reason="merger",
                named=b"references", count=1, state=state, proposed_by="ada", proposed_at=1, approved_by=None,
                approved_at=None)  # fmt: skip
        put(conn, "budget_raise", id=bytes(8), system_id="till", limits="x", seconds=1, state="proposed",
            proposed_by="ada", proposed_at=1, approved_by=None, approved_at=None, until_at=None)  # fmt: skip
    bring(url, "head")
    check_head(engine)
    yield engine
    engine.dispose()
    drop()


def test_a_policy_in_force_stands_on_the_signatures_it_had(upgraded):
    with upgraded.begin() as conn:
        signatures.check(conn, "d", version_of(7, HASH), BOTH)
        assert signatures.signers(conn, POLICY) == {"7": {"author": "ada", "approver": "ben"}}
        for deployment, number, digest in (("e", 7, HASH), ("d", 8, HASH), ("d", 7, bytes(32))):
            with pytest.raises(NotSigned):
                signatures.check(conn, deployment, version_of(number, digest), BOTH)


def test_each_officer_counts_on_from_what_they_had_signed(upgraded):
    with upgraded.begin() as conn:
        rows = conn.execute(text("SELECT officer_id, number FROM officer_signature ORDER BY officer_id, number")).all()
        assert [tuple(row) for row in rows] == [(name, number) for name in ("ada", "ben") for number in range(1, 5)]
        assert signatures.next_number(conn, "ada") == 5


def test_what_waited_is_void_and_words_about_people_are_gone(upgraded):
    with upgraded.begin() as conn:
        found = {each.asked_at: each for each in cases.listed(conn)}
        assert [found[at].state for at in sorted(found)] == [State.EXPIRED, State.APPROVED, State.REVIEWED]
        assert [each.sealed for each in found.values()] == [None] * 3
        assert found[12].reviewed_by == "ben"
        assert [each.asked_at for each in cases.overdue(conn, 10**9)] == [11]  # that review is still due
        assert [bytes(each) for each in conn.scalars(text("SELECT named FROM brand_join"))] == [b"", b""]
        assert sorted(conn.scalars(text("SELECT state FROM brand_join"))) == ["approved", "expired"]
        assert conn.scalar(text("SELECT state FROM budget_raise")) == "expired"
