"""Entries: canonical by a second and a third opinion, a closed schema, and nothing that names a person."""

import hashlib
import hmac
import json

import orjson
import pytest
import rfc8785
from hypothesis import given
from hypothesis import strategies as st

from audit.entry import Act, Actor, ActorKind, Entry, Outcome, commitment, decode, encode, sref
from audit.errors import InvalidEntry
from audit.grammar import MAX_ENTRY, read_form

ID = bytes(range(16))
T = 1_790_000_000
SREF = b"\x5a" * 32
CLIENT = Actor(ActorKind.SYSTEM, "sys-paris")
FULL = Entry(
    Act.SUBJECT_REGISTERED,
    Outcome.ALLOW,
    Actor(ActorKind.SYSTEM, "sys-paris", "sys-hub"),
    fld=("phone:masked", "birth_date:generalised"),
    pur="clienteling.in_store",
    bas="consent",
    pol=("store.contact", "floor.consent"),
    n=3,
    req=b"\x11" * 32,
    com=b"\x22" * 32,
)
GOOD = encode(FULL, ID, T, SREF)

token = st.text("ABCXYZabcxyz0189._:@/-", min_size=1, max_size=128)
names = st.lists(token, max_size=8).map(tuple)
entries = st.builds(
    Entry,
    act=st.sampled_from(sorted(set(Act) - {Act.SUBJECT_REGISTERED, Act.SUBJECT_ERASED})),
    out=st.sampled_from(Outcome),
    actor=st.builds(Actor, st.sampled_from(ActorKind), token, st.none() | token),
    fld=names,
    pur=st.just("") | token,
    bas=st.just("") | token,
    pol=names,
    n=st.none() | st.integers(0, (1 << 53) - 1),
    req=st.none() | st.binary(min_size=16, max_size=16) | st.binary(min_size=32, max_size=32),
)


def test_the_whole_form_byte_for_byte():
    assert GOOD == (
        b'{"act":"subject.registered","actor":{"id":"sys-paris","k":"system","via":"sys-hub"},"bas":"consent",'
        b'"com":"' + b"22" * 32 + b'","fld":["birth_date:generalised","phone:masked"],'
        b'"id":"000102030405060708090a0b0c0d0e0f","n":3,"out":"allow","pol":["floor.consent","store.contact"],'
        b'"pur":"clienteling.in_store","req":"' + b"11" * 32 + b'","sref":"' + b"5a" * 32 + b'",'
        b'"t":"2026-09-21T14:13:20Z","v":1}'
    )


def test_absent_parts_leave_no_trace():
    body = encode(Entry(Act.LOG_HEARTBEAT, Outcome.ALLOW, Actor(ActorKind.VAULT, "vault")), ID, 0, None)
    assert set(json.loads(body)) == {"act", "actor", "id", "out", "t", "v"}
    assert json.loads(body)["t"] == "1970-01-01T00:00:00Z"


NEW = {"dc": b"\x33" * 32, "stf": b"\x44" * 16, "tok": b"\x55" * 16}
new_keys = st.fixed_dictionaries({}, optional={key: st.just(value) for key, value in NEW.items()})


def test_what_version_2_added_stands_in_order_and_makes_it_version_2():
    body = encode(FULL, ID, T, SREF, **NEW)
    assert b'"com":"' + b"22" * 32 + b'","dc":"' + b"33" * 32 + b'","fld"' in body
    assert (
        b'"sref":"' + b"5a" * 32 + b'","stf":"' + b"44" * 16 + b'","t":"2026-09-21T14:13:20Z","tok":"' + b"55" * 16
    ) in body
    assert body.endswith(b'","v":2}')
    assert read_form(body) is not None


@pytest.mark.parametrize("key", NEW)
def test_an_entry_bears_the_lowest_version_that_has_its_keys(key):
    body = encode(FULL, ID, T, SREF, **{key: NEW[key]})
    assert read_form(body) is not None
    assert read_form(body.replace(b'"v":2}', b'"v":1}')) is None
    assert read_form(GOOD.replace(b'"v":1}', b'"v":2}')) is None
    assert read_form(GOOD.replace(b'"v":1}', b'"v":3}')) is None
    for size in (len(NEW[key]) - 1, len(NEW[key]) + 1, 0):
        with pytest.raises(InvalidEntry):
            encode(FULL, ID, T, SREF, **{key: bytes(size)})


def test_entries_of_version_1_are_read_as_ever():
    assert decode(GOOD)["v"] == 1


@given(
    entries,
    st.binary(min_size=16, max_size=16),
    st.integers(0, 253_402_300_799),
    st.none() | st.just(SREF),
    new_keys,
)
def test_other_implementations_write_the_same_bytes(entry, entry_id, t, reference, more):
    try:
        body = encode(entry, entry_id, t, reference, **more)
    except InvalidEntry as error:
        assert "4 KiB" in str(error)
        return
    content = decode(body)
    assert rfc8785.dumps(content) == body
    assert orjson.dumps(content, option=orjson.OPT_SORT_KEYS) == body
    assert json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode() == body
    assert content["fld"] == sorted(set(entry.fld)) if entry.fld else "fld" not in content


@given(st.dictionaries(st.text(max_size=4), st.integers() | st.text(max_size=4) | st.none() | st.floats(), max_size=5))
def test_other_json_is_not_an_entry(content):
    assert read_form(json.dumps(content).encode()) is None


@given(st.binary(max_size=300))
def test_arbitrary_bytes_are_not_an_entry(content):
    assert read_form(content) is None


def test_every_act_has_a_name_and_a_code_of_its_own():
    assert len({act.code for act in Act}) == len(Act)
    for act in Act:
        subject, dot, verb = act.partition(".")
        assert subject.isalpha() and dot and verb.replace("_", "").isalpha()
        com = bytes(32) if act in {Act.SUBJECT_REGISTERED, Act.SUBJECT_ERASED, Act.LOG_SUCCESSION} else None
        assert decode(encode(Entry(act, Outcome.ALLOW, CLIENT, com=com), ID, T, None))["act"] == act


# A code once given out is in somebody's alert rules.
def test_codes_already_given_out_do_not_move():
    given_out = {act.value: act.code for act in Act}
    assert (
        given_out.items()
        >= {
            "subject.registered": "S01",
            "subject.searched": "S02",
            "reference.read": "S08",
            "field.written": "F01",
            "field.disclosed": "F02",
            "field.denied": "F03",
            "consent.given": "C01",
            "consent.withdrawn": "C02",
            "token.issued": "T01",
            "token.refused": "T02",
            "token.revoked": "T03",
            "token.introspected": "T04",
            "auth.failed": "A02",
            "system.created": "I01",
            "system.disabled": "I02",
            "officer.created": "I05",
            "keys.sealed": "K01",
            "keys.unsealed": "K02",
            "keys.secret_offered": "K03",
            "keys.epoch_ended": "K04",
            "erasure.requested": "E01",
            "erasure.partial": "E02",
            "category.erased": "E03",
            "field.erased": "E04",
            "hold.placed": "H01",
            "hold.released": "H02",
            "subject.erased": "S05",
            "policy.loaded": "P01",
            "import.started": "B01",
            "import.completed": "B02",
            "deployment.initialised": "L01",
            "log.started": "L02",
            "log.heartbeat": "L03",
            "log.succession": "L07",
            "deployment.backed_up": "L08",
            "deployment.restored": "L09",
            "erasure.carried": "L10",
            "log.pruned": "L16",
            "detail.forgotten": "L17",
        }.items()
    )


@pytest.mark.parametrize(
    "changes",
    [
        {"act": "subject.adored"},
        {"act": ""},
        {"out": "perhaps"},
        {"actor": Actor("user", "sys-paris")},
        {"actor": Actor(ActorKind.SYSTEM, "")},
        {"actor": Actor(ActorKind.SYSTEM, "anna@house.example, Paris")},
        {"actor": Actor(ActorKind.SYSTEM, "sys-paris", "")},
        {"actor": Actor(ActorKind.SYSTEM, 'x","k":"officer')},
        {"fld": ("phone masked",)},
        {"fld": ("",)},
        {"fld": ('a","b',)},
        {"fld": ("t\u00e9l\u00e9phone",)},
        {"fld": ("x" * 129,)},
        {"pur": "two words"},
        {"pur": "line\n"},
        {"bas": "c\u043ensent"},
        {"pol": ("{}",)},
        {"n": -1},
        {"n": 1 << 53},
        {"n": 1.0},
        {"n": True},
        {"n": "1"},
        {"req": b"short"},
        {"req": bytes(17)},
        {"req": bytes(33)},
        {"com": bytes(31)},
        {"act": Act.FIELD_DISCLOSED},  # carries com
    ],
)
def test_what_does_not_fit_the_schema_cannot_be_written(changes):
    parts = {name: getattr(FULL, name) for name in FULL.__slots__} | changes
    with pytest.raises(InvalidEntry):
        encode(Entry(**parts), ID, T, SREF)


@pytest.mark.parametrize(
    ("entry_id", "t", "reference"),
    [
        (ID[:-1], T, SREF),
        (ID + b"x", T, SREF),
        (ID, -1, SREF),
        (ID, 253_402_300_800, SREF),
        (ID, T, SREF[:-1]),
        (ID, T, b""),
    ],
)
def test_ids_times_and_references_have_one_size(entry_id, t, reference):
    with pytest.raises(InvalidEntry):
        encode(FULL, entry_id, t, reference)


def test_errors_name_the_key_and_not_the_value():
    with pytest.raises(InvalidEntry) as caught:
        encode(Entry(Act.SUBJECT_SEARCHED, Outcome.ALLOW, CLIENT, pur="Anna Lindqvist"), ID, T, None)
    assert str(caught.value) == "pur: not a token"
    assert caught.value.__cause__ is None


def test_an_entry_longer_than_4_kib_cannot_be_written():
    parts = {name: getattr(FULL, name) for name in FULL.__slots__}
    longest = tuple(f"{number:03d}{'x' * 125}" for number in range(24))
    assert len(encode(Entry(**parts | {"fld": longest}), ID, T, SREF)) <= MAX_ENTRY
    with pytest.raises(InvalidEntry):
        encode(Entry(**parts | {"fld": (*longest, *(f"y{name}"[:128] for name in longest))}), ID, T, SREF)


def edited(old, new):
    assert GOOD.count(old) == 1
    return GOOD.replace(old, new)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{}",
        b"null",
        GOOD[:-1],
        GOOD + b"\n",
        b" " + GOOD,
        b"\xef\xbb\xbf" + GOOD,
        edited(b'"n":3', b'"n": 3'),
        edited(b'"n":3', b'"n":3.0'),
        edited(b'"n":3', b'"n":3e0'),
        edited(b'"n":3', b'"n":03'),
        edited(b'"n":3', b'"n":-3'),
        edited(b'"n":3', b'"n":null'),
        edited(b'"n":3', b'"n":"3"'),
        edited(b'"n":3', b'"n":9007199254740992'),
        edited(b'"n":3', b'"n":3,"n":3'),
        edited(b'"n":3', b'"n":3,"name":"x"'),
        edited(b'"v":1', b'"v":2'),
        edited(b'"v":1', b'"v":1,"w":1'),
        edited(b'"v":1', b'"value":1,"v":1'),
        edited(b'"out":"allow"', b'"out":"ALLOW"'),
        edited(b'"k":"system"', b'"k":"user"'),
        edited(b"sys-paris", b"sys\\u002dparis"),
        edited(b"sys-paris", b"sys paris"),
        edited(b"sys-paris", b""),
        edited(b"sys-paris", "sys-p\u00e4ris".encode()),
        edited(b"subject.registered", b"subject"),
        edited(b"subject.registered", b"Subject.registered"),
        edited(b"subject.registered", b"subject.adored"),
        edited(b"subject.registered", b"field.disclosed"),
        edited(b"000102030405060708090a0b0c0d0e0f", b"000102030405060708090A0B0C0D0E0F"),
        edited(b"000102030405060708090a0b0c0d0e0f", b"000102030405060708090a0b0c0d0e"),
        edited(b'["birth_date:generalised","phone:masked"]', b'["phone:masked","birth_date:generalised"]'),
        edited(b'["birth_date:generalised","phone:masked"]', b'["phone:masked","phone:masked"]'),
        edited(b'["birth_date:generalised","phone:masked"]', b"[]"),
        edited(b'["birth_date:generalised","phone:masked"]', b'["birth_date:generalised",]'),
        edited(b'["birth_date:generalised","phone:masked"]', b'"phone:masked"'),
        edited(b"2026-09-21T14:13:20Z", b"2026-09-21T14:13:20+00:00"),
        edited(b"2026-09-21T14:13:20Z", b"2026-09-21T24:13:20Z"),
        edited(b"2026-09-21T14:13:20Z", b"2026-02-30T14:13:20Z"),
        edited(b"2026-09-21T14:13:20Z", b"2026-09-21T14:13:20.0Z"),
        edited(b'"bas":"consent"', b'"bas":""'),
        edited(b'"act":"subject.registered","actor"', b'"actor"'),
        json.dumps(json.loads(GOOD)).encode(),
        json.dumps(json.loads(GOOD), separators=(",", ":")).encode()[::-1],
    ],
)
def test_what_encode_could_not_have_written_is_refused(body):
    with pytest.raises(InvalidEntry):
        decode(body)


def test_a_member_is_refused_where_it_does_not_belong_even_in_order():
    plain = encode(Entry(Act.FIELD_WRITTEN, Outcome.ALLOW, CLIENT), ID, T, None)
    for place in range(len(plain)):
        with pytest.raises(InvalidEntry):
            decode(plain[:place] + b" " + plain[place:])
        with pytest.raises(InvalidEntry):
            decode(plain[:place] + plain[place + 1 :] if plain[place : place + 1] in b'{}",:' else plain + b",")


@given(st.binary(min_size=32, max_size=32), st.binary(min_size=16, max_size=16))
def test_the_subject_reference_is_the_hmac_of_the_study(log_key, entry_id):
    expected = hmac.new(log_key, b"ecrin/audit/sref/v1\x00" + entry_id, hashlib.sha256).digest()
    assert sref(log_key, entry_id) == expected
    assert commitment(log_key) == hashlib.sha256(b"ecrin/audit/subject/v1\x00" + log_key).digest()


def test_the_same_subject_looks_different_in_each_entry():
    log_key = b"\x09" * 32
    assert len({sref(log_key, bytes([number]) * 16) for number in range(100)}) == 100


@pytest.mark.parametrize(("log_key", "entry_id"), [(b"", ID), (bytes(31), ID), (bytes(32), ID[:-1])])
def test_references_need_whole_keys(log_key, entry_id):
    with pytest.raises(InvalidEntry):
        sref(log_key, entry_id)


def test_commitments_need_whole_keys():
    with pytest.raises(InvalidEntry):
        commitment(bytes(16))
