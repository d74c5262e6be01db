"""What left the EEA (GDPR Art. 44 to 49): recipients outside, on what ground, and how much went to them.

A flow leaves in two ways: a brand outside the EEA reads through its own systems, or a purpose names a recipient outside
it. A flow without a ground is told first.
"""

from typing import Final

from audit.reports.table import Body, Column, Kind, Table, Words, total
from audit.reports.uses import ACTS, MARKS, Times, Use, uses
from policies.errors import UnknownPurpose
from policies.parties import EEA, Party
from vault.reports.view import View

COLUMNS: Final = (
    Column("recipient"),
    Column("country"),
    Column("safeguard"),
    Column("assessment"),
    Column("assessed"),
    Column("controller"),
    Column("purpose"),
    Column("way"),
    Column("fields", Kind.LIST),
    Column("disclosures", Kind.COUNT),
    Column("last", Kind.TIME),
    Column("without_ground", Kind.FLAG),
)


_FOR_COUNSEL: Final[Words] = (
    "Whether a ground holds for a flow is for counsel: the report repeats what the policy bundle declares.",
    (
        "Il revient au conseil juridique de dire si un fondement vaut pour un flux\u00a0: le rapport reprend ce que déclare le "
        "paquet de règles."
    ),
)


def transfers(view: View) -> Body:
    """List the flows of the period that leave the EEA."""
    parties = view.bundle.parties
    flows: dict[tuple[str, str, str, str], tuple[Party, Times, set[str]]] = {}
    for use, times in uses(view.lines(ACTS, marks=(*MARKS, *view.asked.marks)), view.actors, view.asked).items():
        for recipient, way in _recipients(view, use):
            party = parties.named(recipient)
            if not party.is_outside:
                continue
            key = (recipient, use.brand, use.purpose, way)
            _, counted, fields = flows.setdefault(key, (party, Times(0, times.first, times.last), set()))
            counted.add(times.first, times.count)
            counted.add(times.last, 0)
            fields.add(f"{use.field}:{use.level}")
    table = Table(COLUMNS, view.asked.most)
    for (recipient, brand, purpose, way), (party, times, fields) in sorted(
        flows.items(), key=lambda each: (bool(each[1][0].safeguard), each[0])
    ):
        table.add(
            recipient,
            party.country or "unknown",
            party.safeguard,
            party.assessment,
            party.assessed,
            brand,
            purpose,
            way,
            tuple(sorted(fields)),
            times.count,
            times.last,
            not party.safeguard,
        )
    stored = " ".join([each for each in parties.storage if each not in EEA])
    notes = [(f"Stored outside the EEA: {stored}.", f"Conservation hors de l’EEE\u00a0: {stored}.")] if stored else []
    return table.body(
        [
            ("disclosures", total(times.count for _, times, _ in flows.values())),
            ("flows_without_ground", sum(not party.safeguard for party, _, _ in flows.values())),
        ],
        [*notes, _FOR_COUNSEL],
    )


def _recipients(view: View, use: Use) -> list[tuple[str, str]]:
    """Name to whom a use goes: the brand that read, and those that the purpose names."""
    found = [(use.brand, "own systems")] if use.brand else []
    try:
        named = view.bundle.purposes.get(use.purpose).recipients
    except UnknownPurpose:
        return found
    return found + [(each, "named recipient") for each in named if each != use.brand]
