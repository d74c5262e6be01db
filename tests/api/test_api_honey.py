"""Honey subjects and networks: who looks at nobody is frozen in the same transaction; who calls from elsewhere is no one."""

import json
import math
from collections import Counter

import pytest
from maison_callers import CONSENT, ELSEWHERE, NDJSON, PERSON, STRANGER, app_of, disable, lines_of, ndjson, problem_of
from starlette.testclient import TestClient

from api import intakes, rows
from api.cli.opened import OPERATOR
from vault import honey, systems
from vault.budgetlimits import Budgets
from vault.errors import InvalidRegistration
from vault.runtime import SystemEntropy
from vault.subjects import LOG_KEY_BYTES
from vault.systems import SystemStatus
from vault.unit import execute, settled

TRAP = PERSON | {"client_number": "AU-0666", "phone": ["06 39 98 66 60"], "email": ["nobody@example.com"]}
TRAP["phone"] = [{"number": "06 39 98 66 60", "region": "FR"}]


def baited(maison, migration, number="AU-0666"):
    """A honey subject of Aurelle's, made as `ecrin honey add` does, and its reference."""
    row = {
        "ref": f"h-{number}",
        "region": "fr",
        "holdings": [{"brand": "aurelle", "fields": TRAP | {"client_number": number}, "consents": [CONSENT]}],
    }
    with maison.vault.reading() as conn:
        acting = systems.get(conn, migration.id)
    read = rows.read_line(json.dumps(row).encode(), 1)
    take = settled(lambda uow, chunks: [intakes.take_in_rows(uow, acting, "k", each, honey=True) for each in chunks])
    ((answer,),) = execute(maison.vault, take, [[read]])
    assert answer["status"] == "created", answer
    return answer["references"]["aurelle"]


def told(answer):
    return answer.status_code, {name: value for name, value in answer.json().items() if name != "request_id"}


def state(maison, caller):
    with maison.vault.reading() as conn:
        return systems.get(conn, caller.id)


@pytest.fixture
def alarms(maison):
    raised = []
    maison.vault.alarm = raised.append
    return raised


def frozen(maison, caller, alarms):
    """The system is disabled with a new epoch, the entry is of its own kind, the alarm has rung once."""
    now = state(maison, caller)
    assert (now.status, now.epoch) == (SystemStatus.DISABLED, 2)
    found = [each.read for each in maison.entries() if each.act == "system.frozen"]
    assert [each["pol"] for each in found] == [[f"system:{caller.id}"]]
    assert "sref" in found[0]
    assert [(each.code, each.system_id) for each in alarms] == [("system_frozen", caller.id)]
    return True


def test_asking_for_a_token_for_nobody_freezes_and_looks_like_a_disabled_system(maison, pos, sister, migration, alarms):
    reference = baited(maison, migration)
    known = pos.created(PERSON, CONSENT)
    held = pos.granted(known, ("phone", "masked"))
    answer = pos.wish(reference, ("phone", "masked"))
    assert frozen(maison, pos, alarms)
    disable(maison.vault, sister)
    ordinary = sister.wish(STRANGER, ("phone", "masked"))
    assert told(answer) == told(ordinary)
    problem_of(pos.disclose(held), 401, "invalid_token")


def test_redeeming_for_nobody_freezes_and_gives_nothing_of_the_batch(maison, pos, migration, alarms, monkeypatch):
    reference, known = baited(maison, migration), pos.created(PERSON, CONSENT)
    with monkeypatch.context() as blind:  # a token from before: the trap is sprung at its use too
        blind.setattr(honey, "is_honey", lambda key: False)
        token = pos.granted([known, reference], ("phone", "masked"))
    answer = pos.bulk(token, [known, reference])
    problem_of(answer, 401, "invalid_token")
    assert frozen(maison, pos, alarms)
    assert not [each for each in maison.entries() if each.act == "field.disclosed"]


def test_finding_nobody_freezes(maison, pos, migration, alarms):
    baited(maison, migration)
    problem_of(pos.search("client_number", "AU-0666"), 401, "invalid_token")
    assert frozen(maison, pos, alarms)
    problem_of(pos.search("client_number", "AU-0001"), 401, "invalid_token")


def test_nothing_of_a_dump_tells_them_apart(maison, pos, migration):
    """Every column of every row of honey subjects and of others has the same form: lengths, states, counts."""
    baited(maison, migration)
    row = {
        "ref": "r1",
        "region": "fr",
        "holdings": [{"brand": "aurelle", "fields": TRAP | {"client_number": "AU-0042"}, "consents": [CONSENT]}],
    }
    lines_of(migration.bring(ndjson(row), "k2", NDJSON))
    with maison.vault.engine.connect() as conn:
        for table, key in (
            ("subject", "id"),
            ("relation", "subject_id"),
            ("field_value", "subject_id"),
            ("search_token", "subject_id"),
        ):
            found = conn.exec_driver_sql(f"SELECT * FROM {table}").mappings().all()  # noqa: S608
            shapes = {}
            for each in found:
                known = {k: len(v) if isinstance(v, bytes) else v for k, v in each.items() if k not in {key, "epoch"}}
                numbers = {k: v for k, v in known.items() if not k.endswith("slot") and k not in {"item", "version"}}
                shapes.setdefault(bytes(each[key]), []).append(str(sorted(numbers.items(), key=str)))
            first, second = (Counter(each) for each in shapes.values())
            assert first == second, table
    registered = [each.read for each in maison.entries() if each.act == "subject.registered"]
    assert len(registered) == 2
    one, other = ({k: v for k, v in each.items() if k not in {"id", "sref", "com"}} for each in registered)
    assert one == other


def test_no_ordinary_key_is_honey_and_every_honey_key_is():
    entropy = SystemEntropy()
    assert not any(honey.is_honey(entropy.bytes(LOG_KEY_BYTES)) for _ in range(2000))
    keys = {honey.log_key(entropy) for _ in range(50)}
    assert len(keys) == 50
    assert all(honey.is_honey(each) and len(each) == LOG_KEY_BYTES for each in keys)
    assert math.log2(256 ** (LOG_KEY_BYTES // 2)) == 128


def test_a_unit_that_is_not_durable_raises_no_alarm(maison, alarms):
    with maison.vault.unit() as uow:
        uow.alarm(None)
    assert alarms == []


# --- networks


def network(maison, caller, *networks):
    with maison.vault.unit() as uow:
        systems.allow(uow, caller.id, networks, OPERATOR)
        uow.commit()


def at(maison, address):
    return TestClient(maison.http.app, base_url=ELSEWHERE, client=(address, 50_000))


@pytest.mark.parametrize(
    ("address", "admitted"),
    [
        ("192.0.2.7", True),
        ("::ffff:192.0.2.7", True),
        ("2001:db8::5", True),
        ("192.0.3.7", False),
        ("2001:db9::5", False),
        ("testclient", False),
        ("", False),
    ],
)
def test_a_system_is_admitted_from_its_networks_alone(maison, pos, address, admitted):
    network(maison, pos, "192.0.2.0/24", "2001:db8::/32")
    assert state(maison, pos).admits(address) is admitted


def test_from_elsewhere_a_good_token_and_a_good_key_are_like_none(maison, pos, sister):
    reference = pos.created(PERSON, CONSENT)
    token = pos.granted(reference, ("phone", "masked"))
    pos.service("lookup")
    network(maison, pos, "192.0.2.0/24")
    stranger, home = (pos.twin(at(maison, address), kept=dict(pos.kept)) for address in ("198.51.100.1", "192.0.2.9"))
    problem_of(stranger.disclose(token), 401, "invalid_token")
    problem_of(stranger.describe(reference), 401, "invalid_token")
    disable(maison.vault, sister)
    refused, ordinary = stranger.ask(scope="lookup"), sister.ask(scope="lookup")
    assert told(refused) == told(ordinary)
    assert {"auth.address_not_allowed"} <= {each for entry in maison.entries() for each in entry.read.get("pol", ())}
    assert home.disclose(token).status_code == 200  # no use and no proof was spent on the stranger
    assert home.ask(scope="lookup").status_code == 200


def test_a_forwarded_address_counts_behind_a_trusted_proxy_only(maison, pos, opening, bundle, tmp_path):
    network(maison, pos, "192.0.2.0/24")
    proxied = app_of(lambda _: opening(bundle), tmp_path, trusted_proxies="10.1.1.1")
    for peer, forwarded, status in (
        ("10.1.1.1", "192.0.2.9", 200),
        ("10.1.1.1", "192.0.2.9, 198.51.100.1", 401),  # what the proxy saw is last; the rest is the caller's word
        ("198.51.100.1", "192.0.2.9", 401),
        ("10.1.1.1", "198.51.100.1", 401),
    ):
        http = TestClient(proxied, base_url=ELSEWHERE, client=(peer, 50_000), headers={"X-Forwarded-For": forwarded})
        with http:
            assert pos.twin(http, kept={}).ask(scope="lookup").status_code == status, (peer, forwarded)


@pytest.mark.parametrize("text", ["192.0.2.1/24", "nowhere", "192.0.2.0/33", ""])
def test_what_is_no_network_is_refused(maison, pos, text):
    with maison.vault.unit() as uow, pytest.raises(InvalidRegistration):
        systems.allow(uow, pos.id, [text], OPERATOR)


def test_an_enabled_system_starts_with_new_tokens(maison, pos):
    old = pos.service("lookup")
    disable(maison.vault, pos)
    with maison.vault.unit() as uow:
        systems.enable(uow, pos.id, OPERATOR)
        uow.commit()
    problem_of(pos.send("GET", f"/v1/subjects/{STRANGER}", old), 401, "invalid_token")
    pos.kept.clear()
    problem_of(pos.describe(STRANGER), 404, "unknown_reference")


@pytest.mark.parametrize(
    ("path", "asks"),
    [
        ("/v1/contact/evaluation", lambda pos, who: {"reference": who, "purpose": "clienteling", "channel": "phone"}),
        (
            "/access/v1/evaluation",
            lambda pos, who: {
                "subject": {"type": "system", "id": pos.id},
                "action": {
                    "name": "disclose",
                    "properties": {
                        "purpose": "clienteling.in_store",
                        "fields": [{"name": "phone", "level": "masked"}],
                    },
                },
                "resource": {"type": "subject", "id": who},
            },
        ),
    ],
)
def test_a_question_without_values_springs_the_trap_and_counts(maison, pos, migration, alarms, path, asks):
    reference = baited(maison, migration)
    people = [pos.created(PERSON, CONSENT) for _ in range(3)]
    with maison.vault.unit() as unit:
        systems.change_budgets(unit, pos.id, Budgets(("system:people:2/day",)))
        unit.commit()
    token = pos.service("lookup")
    asked = [pos.send("POST", path, token, asks(pos, who)) for who in (*people, people[0])]
    assert [each.status_code for each in asked] == [200, 200, 429, 200], [each.text for each in asked]
    problem_of(asked[2], 429, "budget_exhausted")
    assert maison.entries()[-2].read["out"] == "deny"
    problem_of(pos.send("POST", path, token, asks(pos, reference)), 401, "invalid_token")
    assert frozen(maison, pos, alarms)


@pytest.mark.parametrize("semantic", ["execute_all", "permit_on_first_permit", "deny_on_first_deny"])
def test_several_questions_of_which_one_springs_the_trap_are_answered_with_nothing(
    maison, pos, migration, alarms, semantic
):
    """Neither what was decided before it nor, under the same request, anything behind it."""
    reference = baited(maison, migration)
    people = [pos.created(PERSON, CONSENT) for _ in range(2)]
    action = {
        "name": "disclose",
        "properties": {"purpose": "clienteling.in_store", "fields": [{"name": "phone", "level": "masked"}]},
    }
    before = len(maison.entries())
    order = (
        (STRANGER, reference, *people) if semantic == "permit_on_first_permit" else (people[0], reference, people[1])
    )
    body = {
        "subject": {"type": "system", "id": pos.id},
        "action": action,
        "evaluations": [{"resource": {"type": "subject", "id": each}} for each in order],
        "options": {"evaluations_semantic": semantic},
    }
    problem_of(pos.send("POST", "/access/v1/evaluations", pos.service("lookup"), body), 401, "invalid_token")
    assert frozen(maison, pos, alarms)
    allowed = [
        each.read for each in maison.entries()[before:] if (each.act, each.read["out"]) == ("field.evaluated", "allow")
    ]
    assert len(allowed) == (semantic == "deny_on_first_deny")
