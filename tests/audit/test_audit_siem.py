"""The four shapes: frozen vectors, the rules of each schema as published, and nothing in them that the log does not say.

OCSF and ECS are held against the published schemas of the releases that events name (tests/vectors/ocsf_1_6_0.json,
tests/vectors/ecs_9_4_0.json). The classes and activities below are transcribed from the public schema repository; the
CloudEvents rules from its 1.0 specification.
"""

import json
import re
from pathlib import Path

import jsonschema_rs
import pytest
from tamperable_log import body, entry_id

from audit.entry import Act, Actor, ActorKind, Entry, Outcome, encode, sref
from audit.errors import InvalidEntry
from audit.ledger import Record
from audit.merkle import leaf_hash
from audit.siem import cef, event
from audit.siem.cef import to_cef
from audit.siem.cloudevents import to_cloudevent
from audit.siem.ecs import ECS_VERSION, EXPECTED, to_ecs
from audit.siem.event import event_of
from audit.siem.ocsf import OCSF_VERSION, to_ocsf

VECTORS = json.loads((Path(__file__).parents[1] / "vectors" / "siem_v1.json").read_text())

BASE = {"activity_id", "category_uid", "class_uid", "metadata", "severity_id", "time", "type_uid"}
CLASSES = {  # class -> activities, attributes that it requires, attributes of which it requires one
    6005: ({1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 99}, {"actor", "src_endpoint"}, {"database", "databucket", "table"}),
    6003: ({1, 2, 3, 4, 99}, {"actor", "api", "src_endpoint"}, {"api"}),
    6002: ({1, 2, 3, 4, 99}, {"app"}, {"app"}),
    3004: ({1, 2, 3, 4, 99}, {"entity"}, {"entity"}),
    3002: ({1, 2, 3, 4, 5, 99}, {"user"}, {"service", "dst_endpoint"}),
}


def made(act, out=Outcome.ALLOW, kind=ActorKind.SYSTEM, **more):
    content = encode(Entry(act, out, Actor(kind, "sys-paris", "sys-desk"), **more), entry_id(1), 1_790_000_000, None)
    return event_of("vault.example/audit", Record(7, entry_id(1), leaf_hash(content), content))


EVERY = [(act, out) for act in Act for out in Outcome]


@pytest.mark.parametrize("name", ["ocsf", "ecs", "cef", "cloudevents"])
def test_frozen_vectors(name):
    content = VECTORS["entry"].encode()
    found = event_of(VECTORS["origin"], Record(VECTORS["index"], b"", leaf_hash(content), content))
    shapes = {"ocsf": to_ocsf, "ecs": to_ecs, "cef": lambda each: to_cef(each, "0.1.0"), "cloudevents": to_cloudevent}
    assert json.loads(json.dumps(shapes[name](found))) == VECTORS[name]


@pytest.mark.parametrize("kind", ActorKind)
def test_every_event_fits_the_published_schema_of_its_class(kind):
    """The whole schema of the release that we name, not what we read in it: it refuses what it does not know."""
    published = json.loads((Path(__file__).parents[1] / "vectors" / "ocsf_1_6_0.json").read_text())
    assert OCSF_VERSION == "1.6.0"
    fits = {
        int(uid): jsonschema_rs.validator_for(each | {"$defs": published["defs"]})
        for uid, each in published["classes"].items()
    }
    more = {"fld": ("phone:masked",), "pur": "clienteling", "bas": "consent", "pol": ("store.contact",), "n": 3}
    for act, out in EVERY:
        found = to_ocsf(made(act, out, kind, **more))
        assert [each.message for each in fits[found["class_uid"]].iter_errors(found)] == [], act
    assert not fits[6005].is_valid(to_ocsf(made(Act.FIELD_DISCLOSED)) | {"severity_id": 77})
    assert not fits[6005].is_valid(to_ocsf(made(Act.FIELD_DISCLOSED)) | {"invented": 1})


ECS = json.loads((Path(__file__).parents[1] / "vectors" / "ecs_9_4_0.json").read_text())
OWN = ("ecrin.", "labels.")  # ours, and the place that the schema leaves to everybody
SHAPES = {
    "keyword": lambda value: isinstance(value, str),
    "long": lambda value: isinstance(value, int) and not isinstance(value, bool) and abs(value) < 1 << 63,
    "date": lambda value: isinstance(value, str) and re.fullmatch(r"[-0-9]{10}T[:0-9]{8}Z", value),
}


def leaves(document, path=""):
    for name, value in document.items():
        if isinstance(value, dict):
            yield from leaves(value, f"{path}{name}.")
        else:
            yield f"{path}{name}", value


def unfit(document):
    """What in a document the published schema does not know, or knows otherwise."""
    found = []
    for name, value in leaves(document):
        if name.startswith(OWN):
            continue
        kind, *several = ECS["fields"].get(name, ["none"])
        if kind not in SHAPES or isinstance(value, list) is not bool(several):
            found.append(name)
            continue
        values = value if several else [value]
        allowed = ECS["allowed"].get(name)
        found += [name for each in values if not SHAPES[kind](each) or (allowed is not None and each not in allowed)]
    event = document["event"]
    expected = {kind for category in event["category"] for kind in ECS["allowed"]["event.category"].get(category, [])}
    return found + [f"event.type: {kind}" for kind in event["type"] if kind not in expected]


@pytest.mark.parametrize("kind", ActorKind)
def test_every_event_fits_the_published_common_schema(kind):
    assert ECS["about"].startswith(f"Elastic Common Schema {ECS_VERSION} ")
    more = {"fld": ("phone:masked",), "pur": "clienteling", "bas": "consent", "pol": ("store.contact",), "n": 3}
    for act, out in EVERY:
        for each in (made(act, out, kind), made(act, out, kind, **more)):
            assert unfit(to_ecs(each)) == [], (act, out)
    for category, kinds in EXPECTED.items():
        assert kinds <= set(ECS["allowed"]["event.category"][category])


def test_what_the_common_schema_does_not_know_would_be_seen():
    good = to_ecs(made(Act.FIELD_DISCLOSED))
    for change, named in (
        ({"invented": "x"}, "event.invented"),
        ({"kind": "happening"}, "event.kind"),
        ({"severity": "3"}, "event.severity"),
        ({"category": "database"}, "event.category"),
        ({"type": ["deletion"]}, "event.type: deletion"),
    ):
        assert named in unfit(good | {"event": good["event"] | change}), change
    assert unfit(good | {"unknown": {"deep": 1}}) == ["unknown.deep"]


@pytest.mark.parametrize(("act", "out"), EVERY, ids=str)
def test_every_event_is_well_formed_in_every_shape(act, out):
    each = made(act, out)
    ocsf = to_ocsf(each)
    activities, required, one_of = CLASSES[ocsf["class_uid"]]
    assert ocsf.keys() >= BASE | required
    assert ocsf.keys() & one_of
    assert ocsf["activity_id"] in activities
    assert ocsf["type_uid"] == ocsf["class_uid"] * 100 + ocsf["activity_id"]
    assert ocsf["category_uid"] == ocsf["class_uid"] // 1000
    assert ocsf["severity_id"] in range(1, 7)
    assert {"version", "product"} <= ocsf["metadata"].keys()
    ecs = to_ecs(each)
    (category,) = ecs["event"]["category"]
    assert set(ecs["event"]["type"]) <= EXPECTED[category]
    assert ecs["event"]["outcome"] in {"success", "failure", "unknown"}
    cloud = to_cloudevent(each)
    assert {"specversion", "id", "source", "type"} <= cloud.keys()
    assert all(re.fullmatch(r"[a-z0-9]{1,20}", name) for name in cloud)
    assert cloud["specversion"] == "1.0"
    assert "subject" not in cloud
    header = re.split(r"(?<!\\)\|", to_cef(each, "0.1.0"), maxsplit=7)
    assert (len(header), header[0], header[4]) == (8, "CEF:0", act.code)
    assert 0 <= int(header[6]) <= 10


def test_every_object_of_the_taxonomy_has_its_place():
    """A new kind of act must be given a place here, or it would be told as configuration."""
    assert {act.partition(".")[0] for act in Act} <= event._OBJECTS.keys()


def test_what_a_receiver_drops_by_is_the_logs_name_and_the_index():
    each = made(Act.FIELD_DISCLOSED)
    assert to_ocsf(each)["metadata"]["uid"] == to_ecs(each)["event"]["id"] == "vault.example/audit#7"
    assert "externalId=vault.example/audit#7" in to_cef(each, "1")
    assert (to_cloudevent(each)["source"], to_cloudevent(each)["id"]) == ("https://vault.example/audit", "7")


def test_no_shape_carries_the_keyed_request_id_or_the_entrys_own_id():
    content = encode(
        Entry(Act.FIELD_DISCLOSED, Outcome.ALLOW, Actor(ActorKind.SYSTEM, "x"), req=b"\xab" * 16),
        entry_id(3),
        1_790_000_000,
        sref(b"\x07" * 32, entry_id(3)),
    )
    each = event_of("vault.example/audit", Record(0, entry_id(3), leaf_hash(content), content))
    for shape in (to_ocsf, to_ecs, to_cloudevent, lambda one: to_cef(one, "1")):
        told = json.dumps(shape(each))
        assert "ab" * 16 not in told
        assert entry_id(3).hex() not in told
        assert each.content["sref"] in told


def test_cef_escapes_each_part_in_its_way():
    assert cef._header("a|b\\c\nd") == "a\\|b\\\\c d"
    assert cef._escaped("a=b\\c\nd\re|f") == "a\\=b\\\\c\\nd\\re|f"
    line = to_cef(made(Act.POLICY_SIGNED, pol=("version:1",)), "0|1")
    assert line.startswith("CEF:0|Ecrin|Vault|0\\|1|P04|policy.signed|2|")


def test_what_is_no_entry_is_refused():
    with pytest.raises(InvalidEntry):
        event_of(
            "vault.example/audit",
            Record(0, entry_id(0), b"\0" * 32, body(0).replace(b"log.heartbeat", b"log.hartbeat")),
        )
