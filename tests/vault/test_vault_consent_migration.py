"""Consents recorded before the second form: their chains go on verifying, and go on."""

from types import SimpleNamespace

import pytest
from alembic import command
from alembic.config import Config
from sqlalchemy import text

from vault.consentchain import GENESIS, HASHED, event_hash, events, verify_chain
from vault.errors import IntegrityFailure
from vault.store.engine import open_engine
from vault.store.schema import MIGRATIONS, check_head

SUBJECT, BRAND = bytes(range(16)), "aurelle"


def first_form(state, previous, number):
    event = {
        "id": bytes([number]) * 16,
        "subject_id": SUBJECT,
        "brand": BRAND,
        "purpose": "clienteling",
        "purpose_version": 1,
        "state": state,
        "basis": "consent",
        "jurisdiction": "eu",
        "notice": "clienteling" if state == "given" else "",
        "notice_version": 3 if state == "given" else 0,
        "notice_language": "fr" if state == "given" else "",
        "notice_hash": bytes(32),
        "channel": "boutique",
        "place": "",
        "collector": "",
        "system_id": "aurelle-pos",
        "event_at": 1000 + number,
        "recorded_at": 1000 + number,
        "valid_until": 9_000_000 if state == "given" else None,
        "previous_hash": previous,
    }
    return event | {"shard": 0, "hash": event_hash(event | {"record": 1})}


@pytest.fixture
def upgraded(databases, tmp_path):
    """A database that held two events of the first form when it was brought to this release."""
    databases.template("before_consent", lambda url: bring(url, "0011"))
    url, drop = databases.cut("before_consent", tmp_path)
    engine = open_engine(url)
    withdrawn = first_form("withdrawn", GENESIS, 1)
    given = first_form("given", withdrawn["hash"], 2)
    state = {
        "subject_id": SUBJECT, "brand": BRAND, "purpose": "clienteling", "shard": 0, "state": "given",
        "since_at": 1002, "until_at": 9_000_000, "epoch": 2, "event_id": given["id"],
    }  # fmt: skip
    with engine.begin() as conn:
        for table, row in (("consent_event", withdrawn), ("consent_event", given), ("consent_state", state)):
            names = ", ".join(row)
            values = ", ".join(f":{name}" for name in row)
            conn.execute(text(f"INSERT INTO {table} ({names}) VALUES ({values})"), row)  # noqa: S608
    bring(url, "head")
    check_head(engine)
    yield engine
    engine.dispose()
    drop()


def bring(url, revision):
    engine = open_engine(url, pool_size=1)
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    with engine.begin() as conn:
        config.attributes["connection"] = conn
        command.upgrade(config, revision)
    engine.dispose()


def test_the_chain_of_before_still_verifies(upgraded):
    with upgraded.begin() as conn:
        uow = SimpleNamespace(conn=conn)
        assert verify_chain(uow, SUBJECT, BRAND) == 2
        assert [each["record"] for each in events(uow, SUBJECT, BRAND)] == [1, 1]
        (shown,) = conn.execute(text("SELECT notice_version, points FROM consent_state")).all()
        assert tuple(shown) == (3, "")


@pytest.mark.parametrize(
    "tampering",
    [
        "UPDATE consent_event SET record = 2",
        "UPDATE consent_event SET actor = 'guardian'",
        "UPDATE consent_event SET points = '202:1'",
        "UPDATE consent_event SET method = 'signature'",
        "UPDATE consent_state SET notice_version = 4",
        "UPDATE consent_state SET points = '202:1'",
        "UPDATE consent_state SET state = 'guarded'",
        "UPDATE consent_state SET until_at = until_at + 1",
    ],
)
def test_what_the_first_form_did_not_hash_says_nothing_either(upgraded, tampering):
    with upgraded.begin() as conn:
        conn.execute(text(tampering))
        with pytest.raises(IntegrityFailure):
            verify_chain(SimpleNamespace(conn=conn), SUBJECT, BRAND)


def test_a_form_there_is_not_is_no_event():
    with pytest.raises(IntegrityFailure):
        event_hash(dict.fromkeys(HASHED[2], "") | {"record": 3})
