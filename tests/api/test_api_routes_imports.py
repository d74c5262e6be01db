"""Imports over HTTP: each row answered for itself by the caller's own name for it, and taken in once."""

import csv
import io
import json

import anyio
import pytest
from maison_callers import (
    CONSENT,
    CSV,
    ELSEWHERE,
    PERSON,
    Maison,
    app_of,
    disable,
    fresh,
    lines_of,
    ndjson,
    problem_of,
)
from starlette.testclient import TestClient

CANARY = "canary-c0ffee"


def row(number, **more):
    return {
        "ref": f"row-{number}",
        "fields": {"client_number": f"AU-{number:04}", "phone": [f"+3363998{number:04}"]},
    } | more


def holding(brand, **more):
    return {"brand": brand, "fields": {"client_number": "AU-0042", "phone": ["+33639981234"]}} | more


def outcomes(answer):
    """ref -> status, or the code of a refusal."""
    return {each["ref"]: each.get("code") or each["status"] for each in lines_of(answer)}


def table(*rows):
    """Rows as CSV, quoted where needed."""
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(rows)
    return text.getvalue().encode()


# --- refused ---------------------------------------------------------------------------------------------------------


def test_an_import_without_a_key_in_another_form_or_with_a_foreign_header_is_refused(maison, pos):
    body = ndjson(row(1))
    problem_of(pos.bring(body, ""), 400, "idempotency_key_required")
    problem_of(pos.bring(body, "k" * 256), 400, "bad_request")
    for media_type in ("application/json", "text/plain", "", "application/x-ndjson+gzip"):
        problem_of(pos.bring(body, "key", media_type), 415, "unsupported_media_type")
    for header in (
        b"client_number,phone\n",
        b"ref,shoe_color\n",
        f"ref,{CANARY}\n".encode(),
        b'ref,"x\n',
        b"\xff\xfe\n",
    ):
        answer = pos.bring(header + b"1,2\n", "key", CSV)
        problem_of(answer, 400, "malformed_body")
        assert CANARY not in answer.text
    assert "subject.registered" not in [entry.act for entry in maison.entries()]


def test_a_bad_row_fails_alone_and_is_never_repeated(pos):
    bad = (
        f'{{"ref": "broken", "fields": "{CANARY}',
        f'"{CANARY}"',
        "null",
        "[]",
        json.dumps(row(2, fields={"email": [CANARY]})),
        json.dumps(row(3, fields={CANARY: 1})),
        json.dumps(row(4, fields={CANARY.replace("-", "_"): 1})),
        json.dumps(row(5, consents=[CONSENT | {"purpose": "marketing.telepathy"}])),
        json.dumps(row(6, holdings=[holding("aurelle")])),
        json.dumps({"ref": "row-7"}),
        json.dumps(row(8, ref=CANARY * 11)),
        json.dumps(row(9, **{CANARY: 1})),
        json.dumps(row(10, region=CANARY)),
        b'{"ref": "\xff"}',
    )
    good = [row(100 + place) for place in range(len(bad) + 1)]
    mixed = [good[0], *[part for pair in zip(bad, good[1:], strict=True) for part in pair]]
    answer = pos.bring(ndjson(*mixed), fresh())
    assert CANARY not in answer.text
    told = lines_of(answer)
    assert len(told) == len(mixed)
    assert [each["status"] for each in told] == ["created", *["refused", "created"] * len(bad)]
    assert [each["ref"] for each in told[::2]] == [each["ref"] for each in good]
    refused = [(each["ref"], each["code"]) for each in told[1::2]]
    assert refused == [
        ("#2", "malformed_row"),
        ("#4", "invalid_row"),
        ("#6", "invalid_row"),
        ("#8", "invalid_row"),
        ("row-2", "invalid_fields"),
        ("row-3", "invalid_row"),
        ("row-4", "invalid_fields"),
        ("row-5", "invalid_fields"),
        ("row-6", "invalid_row"),
        ("row-7", "invalid_row"),
        ("#22", "invalid_row"),
        ("row-9", "invalid_row"),
        ("row-10", "invalid_row"),
        ("#28", "malformed_row"),
    ]
    fields = {each["ref"]: each["fields"] for each in told if "fields" in each}
    assert fields["row-2"][0]["name"] == "email"
    assert fields["row-2"][0]["reason"]
    assert fields["row-4"] == [{"name": "fields[0]", "reason": "unknown_field"}]


def test_nobody_brings_people_for_a_brand_it_is_not_registered_for(maison, pos, migration):
    answer = pos.bring(ndjson({"ref": "a", "holdings": [holding("aurelle"), holding("vantier")]}, row(1)), fresh())
    assert outcomes(answer) == {"a": "foreign_brand", "row-1": "created"}
    rows = ({"ref": brand, "holdings": [holding(brand)]} for brand in ("aurelle", "vantier", "solenne", "no_such"))
    assert outcomes(migration.bring(ndjson(*rows), fresh())) == {
        "aurelle": "created",
        "vantier": "created",
        "solenne": "foreign_brand",
        "no_such": "foreign_brand",
    }
    assert [entry.act for entry in maison.entries()].count("subject.registered") == 3


def test_a_ref_with_other_content_is_refused_and_may_be_mended_while_refused(maison, pos):
    key = fresh()
    body = ndjson(row(1), row(2, fields={"email": ["nobody"]}))
    assert outcomes(pos.bring(body, key)) == {"row-1": "created", "row-2": "invalid_fields"}
    other = pos.bring(ndjson(row(1, region="it"), row(2)), key)
    assert outcomes(other) == {"row-1": "row_mismatch", "row-2": "created"}
    twice = lines_of(pos.bring(ndjson(row(3), row(3)), key))
    assert [each["status"] for each in twice] == ["created", "refused"]
    assert [entry.act for entry in maison.entries()].count("subject.registered") == 3


def test_a_record_of_no_end_is_refused(pos):
    problem_of(pos.bring(b'{"ref": "' + b"x" * (1 << 18) + b'"}\n', fresh()), 413, "body_too_large")
    quoted = b'ref,client_number\n1,"' + b"x\n" * (1 << 17) + b'"\n'
    problem_of(pos.bring(quoted, fresh(), CSV), 413, "body_too_large")


# --- limits and broken lines, in pieces ------------------------------------------------------------------------------


@pytest.fixture
def small(opening, bundle, tmp_path, clock):
    """A service that takes in two rows to a transaction and 64 KiB to an import."""
    app = app_of(lambda _: opening(bundle), tmp_path, import_batch_size=2, max_import_bytes=1 << 16)
    with TestClient(app, base_url=ELSEWHERE, raise_server_exceptions=False) as http:
        maison = Maison(http, app.state.services.vault, clock)
        yield maison, maison.system("aurelle-pos", "aurelle"), app


def in_pieces(app, caller, key, pieces, *, then=None):
    """Send a body piece by piece. `then` is called before the last piece; a `None` piece hangs up. The answer, if any."""
    token, path = caller.service("import"), "/v1/imports"
    headers = {
        "authorization": f"DPoP {token}",
        "dpop": caller.proof("POST", path, token),
        "content-type": "application/x-ndjson",
        "idempotency-key": key,
    }
    scope = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": "POST",
        "scheme": "http",
        "path": path,
        "raw_path": path.encode(),
        "query_string": b"",
        "root_path": "",
        "headers": [(name.encode(), value.encode()) for name, value in headers.items()],
        "client": None,
        "server": ("10.0.0.9", 8420),
        "app": app,
    }
    waiting, answered = list(pieces), []

    async def receive():
        if len(waiting) == 1 and then is not None:
            then()
        piece = waiting.pop(0) if waiting else None
        if piece is None:
            return {"type": "http.disconnect"}
        return {"type": "http.request", "body": piece, "more_body": bool(waiting)}

    async def send(message):
        answered.append(message)

    async def serve():
        await app(scope, receive, send)

    anyio.run(serve)
    status = answered[0]["status"] if answered else None
    return status, b"".join(message.get("body", b"") for message in answered)


def test_a_broken_connection_is_resumed_under_its_key(small, capfdbinary):
    maison, pos, app = small
    people, key = [row(number) for number in range(7)], fresh()
    body = ndjson(*people)
    cut = body.index(b"row-5") + 2  # in the middle of a line, two whole transactions in
    assert in_pieces(app, pos, key, [body[:40], body[40:cut], None]) == (None, b"")
    assert b"fault" not in capfdbinary.readouterr().err  # whoever hangs up is no fault of ours
    registered = [entry.act for entry in maison.entries()].count("subject.registered")
    assert registered == 4
    again = lines_of(pos.bring(body, key))
    assert [each["status"] for each in again] == ["existing"] * 4 + ["created"] * 3
    once_more = lines_of(pos.bring(body, key))
    assert [each["status"] for each in once_more] == ["existing"] * 7
    assert [each["references"] for each in once_more] == [each["references"] for each in again]
    assert [entry.act for entry in maison.entries()].count("subject.registered") == 7
    # Under another key the same people are other rows: the key is what names the import.
    assert outcomes(pos.bring(ndjson(people[0]), fresh())) == {"row-0": "created"}


def test_a_system_disabled_half_way_brings_nothing_more(small):
    maison, pos, app = small
    body = ndjson(*(row(number) for number in range(6)))
    cut = body.index(b'{"ref": "row-4"')
    status, answer = in_pieces(app, pos, fresh(), [body[:cut], body[cut:]], then=lambda: disable(maison.vault, pos))
    assert (status, json.loads(answer)["code"]) == (401, "invalid_token")
    assert [entry.act for entry in maison.entries()].count("subject.registered") == 4


def test_a_body_beyond_the_limit_is_refused_announced_or_not(small):
    maison, pos, app = small
    body = ndjson(*(row(number, fields={"known_as": "x" * 60}) for number in range(800)))
    assert len(body) > 1 << 16
    problem_of(pos.bring(body, fresh()), 413, "body_too_large")
    assert "subject.registered" not in [entry.act for entry in maison.entries()]
    key = fresh()
    status, answer = in_pieces(app, pos, key, [body[start : start + 8192] for start in range(0, len(body), 8192)])
    assert (status, json.loads(answer)["code"]) == (413, "body_too_large")
    # What came before the limit is in; the caller sends smaller bodies under the same key.
    half = body[: body.index(b"\n", 20_000) + 1]
    assert set(outcomes(pos.bring(half, key)).values()) == {"existing"}


def test_the_limit_of_imports_is_not_the_limit_of_others(maison, pos):
    body = ndjson(*(row(number, fields={"known_as": "x" * 100}) for number in range(8000)))
    assert len(body) > 1 << 20
    problem_of(pos.send("POST", "/v1/subjects", pos.service("subject.write"), content=body), 413, "body_too_large")


# --- done ------------------------------------------------------------------------------------------------------------


def test_rows_become_people_with_references_values_and_consents(maison, pos, sister, migration):
    both = {"ref": "both", "holdings": [holding("aurelle", consents=[CONSENT]), holding("vantier")]}
    (told,) = lines_of(migration.bring(ndjson(both), fresh()))
    assert told["references"].keys() == {"aurelle", "vantier"}
    mine, theirs = told["references"]["aurelle"], told["references"]["vantier"]
    assert mine != theirs
    assert pos.search("phone", "+33639981234").json()["candidates"][0]["reference"] == mine
    assert sister.search("phone", "+33639981234").json()["candidates"][0]["reference"] == theirs
    assert pos.disclose(pos.granted(mine, ("phone", "masked"))).status_code == 200
    assert sister.wish(theirs, ("phone", "masked")).status_code == 400  # consent was aurelle's alone
    assert [entry.act for entry in maison.entries()].count("import.completed") == 1


def test_blank_lines_line_ends_and_a_missing_last_one_are_no_rows(pos):
    body = b"\r\n" + ndjson(row(1)).replace(b"\n", b"\r\n") + b"\n  \n" + ndjson(row(2)).rstrip()
    assert outcomes(pos.bring(body, fresh())) == {"row-1": "created", "row-2": "created"}
    assert lines_of(pos.bring(b"", fresh())) == []


def test_csv_with_structured_repeated_and_quoted_cells(pos):
    head = ("ref", "region", "client_number", "name.family", "name.given", "phone", "phone", "ring_size.value")
    head += ("ring_size.system", "delivery_instructions", "children_count", "identity_verified")
    rows = (
        ("1", "fr", "AU-1", 'Rousselin "Lina"', "Apolline", "+33639981234", "+971501234567", "52", "eu", "Ring\ntwice,\n\nplease", "2", "true"),
        ("2", "", "AU-2", "Marchetti", "Livia", "", "", "", "", "", "", ""),
    )  # fmt: skip
    answer = lines_of(pos.bring(b"\xef\xbb\xbf" + table(head, *rows), fresh(), f"{CSV}; charset=utf-8"))
    assert [each["status"] for each in answer] == ["created", "created"]
    first, second = (each["references"]["aurelle"] for each in answer)
    seen = pos.seen(first, "name", "phone", "ring_size", "delivery_instructions", "children_count", "identity_verified")
    assert seen["name"] == {"family": 'Rousselin "Lina"', "given": "Apolline"}
    assert [each["value"] for each in seen["phone"]] == ["+33639981234", "+971501234567"]
    assert seen["ring_size"] == {"value": "52", "system": "eu"}
    assert seen["delivery_instructions"] == "Ring\ntwice,\n\nplease"
    assert (seen["children_count"], seen["identity_verified"]) == (2, True)
    assert pos.seen(second, "phone", "name") == {"phone": None, "name": {"family": "Marchetti", "given": "Livia"}}


def test_a_bad_csv_record_fails_alone(pos):
    head = b"ref,client_number,phone,children_count\r\n"
    records = (
        b"1,AU-1,+33639981201,1",
        f"2,AU-2,{CANARY},1".encode(),
        b"3,AU-3",
        b"4,AU-4,+33639981204,many",
        b'5,"AU-5"x,+33639981205,1',
        b"6,AU-6,\xff\xfe,1",
        b",AU-7,+33639981207,1",
        b"8,AU-8,+33639981208,2",
    )
    answer = pos.bring(head + b"\r\n".join(records) + b"\r\n", fresh(), CSV)
    assert CANARY not in answer.text
    assert outcomes(answer) == {
        "1": "created",
        "2": "invalid_fields",
        "#3": "malformed_row",
        "4": "invalid_fields",
        "#5": "malformed_row",
        "#6": "malformed_row",
        "#7": "invalid_row",
        "8": "created",
    }


def test_an_address_may_come_in_columns(pos):
    head = ("ref", "postal_address.lines", "postal_address.locality", "postal_address.country", "postal_address.use")
    body = table(head, ("1", "Porte B\n12 rue de la Paix", "Paris", "FR", "home"))
    (told,) = lines_of(pos.bring(body, fresh(), CSV))
    assert told["status"] == "created", told
    (held,) = pos.seen(told["references"]["aurelle"], "postal_address")["postal_address"]
    lines = ["Porte B", "12 rue de la Paix"]
    assert held["value"] == {"lines": lines, "locality": "Paris", "country": "FR", "use": "home"}


def test_the_callers_own_reference_goes_in_no_log(maison, pos):
    key = f"key-{CANARY}"
    assert outcomes(pos.bring(ndjson(row(1, ref=CANARY)), key)) == {CANARY: "created"}
    assert not any(CANARY.encode() in entry.raw for entry in maison.entries())


def test_people_brought_by_one_key_are_another_systems_other_rows(pos, sister):
    key = fresh()
    assert (
        outcomes(pos.bring(ndjson(row(1)), key)) == outcomes(sister.bring(ndjson(row(1)), key)) == {"row-1": "created"}
    )
    assert outcomes(sister.bring(ndjson(row(1)), key)) == {"row-1": "existing"}
    assert pos.created(PERSON)
