"""Rows for the benchmarks: clients of one maison with exactly 30 or 120 values each."""

import json
from typing import Any

from api.demo.group import Group, consent
from api.demo.people import DAY
from policies.catalogue import Catalogue, FieldKind

JOURNALS = ("visits", "advisor_notes", "purchases", "event_attendance")
DISCLOSED = (
    ("name", "masked"),
    ("phone", "masked"),
    ("birth_date", "generalised"),
    ("ring_size", "generalised"),
    ("lifetime_spend", "generalised"),
)
KEPT = ("client_number", "name", "phone", "email", "birth_date", "ring_size", "postal_address", "preferred_language")


def bodies(catalogue: Catalogue, people: int, values: int, start: int = 0, *, rows_per_body: int) -> list[bytes]:
    """NDJSON bodies with `people` rows of exactly `values` values."""
    group = Group()
    lines = []
    for number in range(start + 1, start + people + 1):
        person = group.person(number)
        fields = sized(group.fields(person, "aurelle"), catalogue, values)
        consents = [consent("clienteling", person, DAY)]
        row = {"ref": f"bench-{number}", "region": person.place.country.lower(), "fields": fields, "consents": consents}
        lines.append(json.dumps(row, ensure_ascii=False).encode() + b"\n")
    return [b"".join(lines[at : at + rows_per_body]) for at in range(0, len(lines), rows_per_body)]


def sized(fields: dict[str, Any], catalogue: Catalogue, values: int) -> dict[str, Any]:
    """Cut or pad to exactly `values` values: single fields count one, lists and journals one per item."""
    fields = {"lifetime_spend": {"amount": "12500.00", "currency": "EUR"}, **fields}
    fields = {name: [value[0]] if name in {"phone", "email"} else value for name, value in fields.items()}
    names = sorted(fields, key=lambda name: (name not in KEPT and name != "lifetime_spend", name))
    made: dict[str, Any] = {}
    left = values
    for name in names:
        single = catalogue.field(name).kind is FieldKind.SINGLE
        taken = fields[name] if single else fields[name][:left]
        if left and taken != []:
            made[name] = taken
            left -= 1 if single else len(taken)
    at = 0
    while left:
        name = JOURNALS[at % len(JOURNALS)]
        made.setdefault(name, []).append(_entry(name, at))
        left, at = left - 1, at + 1
    return made


def _entry(name: str, number: int) -> dict[str, Any]:
    day = DAY.replace(year=DAY.year - 1 - number % 9, month=1 + number % 12).isoformat()
    return {
        "visits": {"date": day, "boutique": "PAR1", "occasion": "appointment"},
        "advisor_notes": {
            "date": day,
            "topic": "taste",
            "text": f"Asked again about the piece seen in spring, no. {number}.",
        },
        "purchases": {
            "date": day,
            "family": "jewellery",
            "product": "Bague Orée",
            "price": {"amount": f"{1000 + number}.00", "currency": "EUR"},
        },
        "event_attendance": {"date": day, "boutique": "PAR1", "occasion": "preview"},
    }[name]
