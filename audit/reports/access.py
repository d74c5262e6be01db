"""Who saw what, when and why: a row per look, refused ones too, as the log has it.

The subject is the pseudonym of that one entry. With one person's log key the rows are all of that person's, and only
theirs: so a subject's own list is made, without a name anywhere.
"""

from collections.abc import Iterable
from typing import Final

from audit.entry import Act
from audit.reports.asked import Actors, Asked
from audit.reports.lines import Line
from audit.reports.table import Body, Column, Kind, Table, few

ACTS: Final = frozenset(
    {
        Act.FIELD_DISCLOSED,
        Act.FIELD_DENIED,
        Act.FIELD_EVALUATED,
        Act.BREAKGLASS_DISCLOSED,
        Act.BREAKGLASS_DENIED,
        Act.SUBJECT_SEARCHED,
        Act.SUBJECT_LISTED,
        Act.SUBJECT_EXPORTED,
        Act.REFERENCE_READ,
        Act.CONSENT_EXPORTED,
        Act.CONTACT_EVALUATED,
        Act.ATTESTATION_ISSUED,
    }
)

COLUMNS: Final = (
    Column("index", Kind.NUMBER),
    Column("time", Kind.TIME),
    Column("brand"),
    Column("actor"),
    Column("through"),
    Column("staff"),
    Column("act"),
    Column("outcome"),
    Column("fields", Kind.LIST),
    Column("purpose"),
    Column("basis"),
    Column("rules", Kind.LIST),
    Column("subject"),
)


def access(lines: Iterable[Line], actors: Actors, asked: Asked) -> Body:
    """List the looks among `lines`."""
    table = Table(COLUMNS, asked.most)
    outcomes: dict[str, int] = {}
    for line in lines:
        if not actors.concern(line, asked):
            continue
        content = line.content
        actor = content["actor"]
        outcome = content["out"]
        outcomes[outcome] = outcomes.get(outcome, 0) + 1
        if table.full:
            table.count()
            continue
        table.add(
            line.idx,
            line.at,
            actors.brand_of(line),
            actor["id"],
            actor.get("via", ""),
            actors.staff_of(line),
            content["act"],
            content["out"],
            tuple(content.get("fld", ())),
            content.get("pur", ""),
            content.get("bas", ""),
            tuple(content.get("pol", ())),
            content.get("sref", ""),
        )
    return table.body([(name, few(count)) for name, count in sorted(outcomes.items())])
