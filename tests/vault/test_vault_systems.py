"""Systems and officers: public keys only, every act in the log."""

import json

import pytest

from audit import ledger
from audit.entry import Actor, ActorKind
from vault import officers, systems
from vault.errors import Conflict, InvalidRegistration, UnknownSystem
from vault.officers import Role
from vault.systems import NewSystem, SystemStatus

BY = Actor(ActorKind.OFFICER, "operator-1")
X, Y = "A" * 43, "B" * 42 + "A"
ED25519 = {"kty": "OKP", "crv": "Ed25519", "x": X, "kid": "a"}
P256 = {"kty": "EC", "crv": "P-256", "x": X, "y": Y, "kid": "b", "alg": "ES256", "use": "sig"}


def new(**changes):
    parts = {
        "id": "till",
        "brand": "aurelle",
        "name": "Boutique Paris, caisse n° 2",
        "jwks": {"keys": [ED25519, P256]},
        "scopes": frozenset({"lookup", "subject.write"}),
        "purposes": frozenset({"clienteling.in_store"}),
        "brands": frozenset({"vantier"}),
    }
    return NewSystem(**(parts | changes))


def last_entry(store):
    with store.reading() as conn:
        return json.loads(ledger.read(conn, 0, ledger.head(conn, 0).size - 1, 1)[0].body)


def register(store, registration):
    with store.unit() as unit:
        record = systems.register(unit, registration, BY)
        unit.commit()
    return record


def test_a_system_is_registered_read_and_logged(store):
    record = register(store, new())
    with store.reading() as conn:
        assert systems.get(conn, "till") == record
        assert systems.listed(conn) == [record]
        assert systems.get(conn, "crm") is None
    assert record.status is SystemStatus.ACTIVE
    assert record.brands == {"aurelle", "vantier"}
    assert record.jwks == {"keys": [ED25519, {k: P256[k] for k in ("kty", "crv", "x", "y", "kid")}]}
    entry = last_entry(store)
    assert (entry["act"], entry["actor"]["id"], entry["pol"]) == ("system.created", "operator-1", ["system:till"])


def test_an_id_is_given_once(store):
    register(store, new())
    with pytest.raises(Conflict):
        register(store, new(name="Another"))


@pytest.mark.parametrize(
    "key",
    [
        ED25519 | {"d": X},
        {"kty": "oct", "k": X, "kid": "a"},
        {"kty": "RSA", "n": X, "e": "AQAB", "kid": "a"},
        {"kty": "EC", "crv": "P-384", "x": X, "y": Y, "kid": "a"},
        ED25519 | {"x": X[:-4]},
        ED25519 | {"x": "!" * 43},
        ED25519 | {"x": 7},
        ED25519 | {"kid": ""},
        {k: v for k, v in ED25519.items() if k != "kid"},
        ED25519 | {"password": "x"},
        "not a key",
    ],
)
def test_keys_that_are_not_public_keys_of_ours_are_refused(store, key):
    with pytest.raises(InvalidRegistration, match="jwks"):
        register(store, new(jwks={"keys": [key]}))


@pytest.mark.parametrize(
    "changes",
    [
        {"id": "Till"},
        {"id": "t"},
        {"brand": "a b"},
        {"brands": frozenset({"Vantier"})},
        {"name": ""},
        {"name": "line\nbreak"},
        {"scopes": frozenset()},
        {"scopes": frozenset({"look up"})},
        {"purposes": frozenset({"Marketing"})},
        {"jwks": {"keys": []}},
        {"jwks": {}},
        {"jwks": {"keys": [ED25519, ED25519]}},
        {"jwks": {"keys": [ED25519 | {"kid": str(n)} for n in range(9)]}},
    ],
)
def test_registrations_out_of_shape_are_refused(store, changes):
    with pytest.raises(InvalidRegistration):
        register(store, new(**changes))
    with store.reading() as conn:
        assert systems.listed(conn) == []


def replaced(store, keys, **how):
    with store.unit() as unit:
        record = systems.replace_keys(unit, "till", {"keys": keys}, BY, **how)
        unit.commit()
    return record


def test_keys_rotate_and_tokens_live_on_unless_a_key_was_lost(store):
    before = register(store, new())
    both = replaced(store, [ED25519, P256 | {"kid": "next"}])
    assert ({key["kid"] for key in both.jwks["keys"]}, both.epoch) == ({"a", "next"}, before.epoch)
    assert last_entry(store)["pol"] == ["keys:rotated", "system:till"]
    alone = replaced(store, [P256 | {"kid": "next"}], compromised=True)
    with store.reading() as conn:
        assert systems.get(conn, "till") == alone
    assert ([key["kid"] for key in alone.jwks["keys"]], alone.epoch) == (["next"], before.epoch + 1)
    entry = last_entry(store)
    assert (entry["act"], entry["pol"]) == ("system.key_rotated", ["keys:compromised", "system:till"])


@pytest.mark.parametrize("keys", [[], "x", [ED25519, ED25519], [ED25519 | {"d": X}]])
def test_no_key_set_is_replaced_by_what_could_not_be_registered(store, keys):
    register(store, new())
    with pytest.raises(InvalidRegistration):
        replaced(store, keys)
    with store.unit() as unit, pytest.raises(UnknownSystem):
        systems.replace_keys(unit, "nobody", {"keys": [ED25519]}, BY)


def test_a_disabled_system_stays_listed(store):
    register(store, new())
    with store.unit() as unit:
        disabled = systems.disable(unit, "till", BY)
        unit.commit()
    assert (disabled.status, disabled.epoch) == (SystemStatus.DISABLED, 2)
    with store.reading() as conn:
        assert systems.listed(conn) == [disabled]
    assert last_entry(store)["act"] == "system.disabled"


def test_disabling_nobody_is_an_error_and_no_entry(store):
    with pytest.raises(UnknownSystem), store.unit() as unit:
        systems.disable(unit, "crm", BY)
    assert last_entry(store)["act"] != "system.disabled"


def test_an_officer_is_added_with_a_hash_alone(vault, hasher, monkeypatch):
    monkeypatch.setattr(officers, "_HASHER", hasher)
    monkeypatch.setattr(officers, "_nobody", officers._nobody.__wrapped__)  # what it remembers is of one hasher
    with vault.unit() as unit:
        record = officers.add(unit, "dpo-1", Role.COMPLIANCE, "violet kettle northward", BY)
        unit.commit()
    with vault.reading() as conn:
        assert officers.listed(conn) == [record]
        assert officers.password_fits(conn, "dpo-1", "violet kettle northward")
        assert not officers.password_fits(conn, "dpo-1", "violet kettle northwards")
        assert not officers.password_fits(conn, "dpo-2", "violet kettle northward")
        stored = conn.exec_driver_sql("SELECT password_hash FROM officer").scalar_one()
    assert stored.startswith("$argon2id$v=19$m=65536,t=3,p=4$")
    assert last_entry(vault)["pol"] == ["officer:dpo-1", "role:compliance"]


@pytest.mark.parametrize(("officer_id", "password"), [("D P O", "x" * 12), ("dpo", "x" * 11), ("dpo", "x" * 1025)])
def test_officers_out_of_shape_are_refused(vault, officer_id, password):
    with pytest.raises(InvalidRegistration), vault.unit() as unit:
        officers.add(unit, officer_id, Role.AUDITOR, password, BY)
