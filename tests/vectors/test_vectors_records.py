"""The frozen small records: what the vault writes is what docs/formats.md says, byte for byte."""

import datetime as dt
import json
from contextlib import closing

import generate_keystore_v2 as frozen
import generate_records_v1 as generator
import pytest
from generate_records_v1 import BITS, BRAND, CONSENT, CONSENT_V2, ENTRY_ID, LOG_KEY, NOW, REQUEST, SUBJECT, TOKEN

from api import trail
from api.client.receipts import verify_consent_record
from audit import checkpoint, note, receipt
from audit.entry import Act, Actor, ActorKind, Entry, Outcome, commitment, encode, sref
from audit.merkle import Frontier, leaf_hash
from vault import consentchain, consentrecord, logkeys, references, search, tokens, values
from vault.keys.local import KeyFileProvider
from vault.keys.pagefile import create_file
from vault.keys.service import SigningKey
from vault.runtime import SystemEntropy
from vault.search import Indexed
from vault.setup import Place, initialise, open_vault

DOCUMENT = json.loads(generator.FILE.read_text())


@pytest.fixture
def vault(tmp_path, bundle, clock):
    """A vault whose service keys are those of the frozen keystore."""
    kept = frozen.document()
    root = tmp_path / f"root-{kept['epoch']['root_ref']}"
    root.touch(mode=0o600)
    root.write_bytes(bytes.fromhex(kept["root"]))
    assert create_file(tmp_path / "keystore", "0", *frozen.stored(kept))
    provider = KeyFileProvider(tmp_path, SystemEntropy())
    place = Place(f"sqlite:///{tmp_path / 'data'}", tmp_path / "keystore", provider)
    initialise(place, "vectors", clock=clock, entropy=SystemEntropy())
    with closing(open_vault(place, bundle, clock=clock, entropy=SystemEntropy())) as opened:
        yield opened


@pytest.fixture
def keys(vault):
    return vault.keys


def one(uow, table):
    return uow.conn.exec_driver_sql(f"SELECT * FROM {table}").mappings().one()  # noqa: S608 - our own names


def test_the_second_implementation_still_writes_the_frozen_file():
    assert generator.text() == generator.FILE.read_text()


def test_value():
    value = {"system": "eu", "value": "52"}
    record = values.FieldValue(value, "aurelle-paris", NOW, valid_from=dt.date(2026, 9, 1))
    assert values.encode(record).hex() == DOCUMENT["value"]
    assert values.decode(bytes.fromhex(DOCUMENT["value"])) == record


def test_reference(vault):
    expected = DOCUMENT["reference"]
    with vault.unit() as uow:
        assert references.draft(uow, [(SUBJECT, BRAND)], [BITS], [0]) == [expected["text"]]
        stored, relation = one(uow, "reference"), one(uow, "relation")
    assert (stored["mac"].hex(), stored["pointer"].hex()) == (expected["mac"], expected["pointer"])
    assert relation["reference_sealed"].hex() == expected["relation"]


def test_search_token(vault):
    email = vault.bundle.catalogue.field("email")
    with vault.unit() as uow:
        message = search.message(email, "Someone@Example.com")
        search.index(uow, [Indexed(SUBJECT, 0, BRAND, email, 1, message)])
        assert one(uow, "search_token")["token"].hex() == DOCUMENT["search_token"]


def test_consent_event():
    assert tuple(CONSENT) == consentchain.HASHED[1]
    assert consentchain.event_hash(CONSENT | {"record": 1}).hex() == DOCUMENT["consent_hash"]


def test_consent_event_of_the_second_form():
    assert tuple(CONSENT_V2) == consentchain.HASHED[2]
    assert consentchain.event_hash(CONSENT_V2 | {"record": 2}).hex() == DOCUMENT["consent_hash_v2"]


def test_token():
    assert tokens.hash_of(TOKEN).hex() == DOCUMENT["token"]["hash"]


def test_entry(vault):
    with vault.unit() as uow:
        (hidden,) = trail.request_macs(uow, [REQUEST])
    entry = Entry(
        Act.FIELD_DISCLOSED,
        Outcome.ALLOW,
        Actor(ActorKind.SYSTEM, "aurelle-paris"),
        fld=("phone:masked", "birth_date:generalised"),
        pur="clienteling.in_store",
        bas="consent",
        pol=("clienteling.dates", "clienteling.contact_hint"),
        req=hidden,
    )
    body = encode(entry, ENTRY_ID, NOW, sref(LOG_KEY, ENTRY_ID))
    assert body.decode() == DOCUMENT["entry"]["body"]
    assert leaf_hash(body).hex() == DOCUMENT["entry"]["leaf"]
    assert commitment(LOG_KEY).hex() == DOCUMENT["entry"]["commitment"]


def test_checkpoint(keys):
    leaf = bytes.fromhex(DOCUMENT["entry"]["leaf"])
    root = Frontier().extend([leaf, leaf]).root()
    assert root.hex() == DOCUMENT["root"]
    signer = logkeys.LogSigner(keys, generator.ORIGIN)
    head = checkpoint.Checkpoint(generator.ORIGIN, 2, root)
    assert note.sign_note(checkpoint.format(head), (signer,)) == DOCUMENT["checkpoint"]
    assert checkpoint.open_checkpoint(DOCUMENT["checkpoint"], (DOCUMENT["checkpoint_key"],), generator.ORIGIN) == head


def test_receipt(keys):
    promised = receipt.Promised(ENTRY_ID, bytes.fromhex(DOCUMENT["entry"]["leaf"]))
    promise = receipt.Receipt(generator.ORIGIN, (promised,), NOW)
    public = keys.public_key(SigningKey.RECEIPT)
    assert receipt.issue([promise], public, lambda each: keys.sign(SigningKey.RECEIPT, each)) == [DOCUMENT["receipt"]]
    assert receipt.open_receipt(DOCUMENT["receipt"], (DOCUMENT["receipt_key"],)) == promise


def test_consent_receipt(keys):
    record, expected = DOCUMENT["consent_record"], DOCUMENT["consent_receipt"]
    text = consentrecord._text(generator.ORIGIN, ENTRY_ID.hex(), record.encode(), NOW)
    name, public = f"{generator.ORIGIN}/consent", keys.public_key(SigningKey.RECEIPT)
    (signature,) = keys.sign(SigningKey.RECEIPT, [text.encode()])
    assert note.assemble(text, (note.signature_line(name, public, signature),)) == expected
    checked = verify_consent_record(record, expected, DOCUMENT["receipt_key"])
    assert (checked.origin, checked.record_id, checked.time) == (generator.ORIGIN, ENTRY_ID.hex(), NOW)
