"""Consent evidence: for one person every event with the text that was shown, for a campaign what was collected.

Of one person the chain is checked hash by hash first, and each notice's hash against the text of the bundle in force,
which keeps every version of a text. Of many people only counts are told.
"""

from typing import Any, Final

from sqlalchemy import func, select

from audit.reports.lines import told
from audit.reports.table import Body, Column, Kind, Table, Words, total
from vault import consentchain
from vault.errors import IntegrityFailure
from vault.reports.view import Person, View
from vault.store.tables import metadata

OF_PERSON: Final = (
    Column("event"),
    Column("time", Kind.TIME),
    Column("recorded", Kind.TIME),
    Column("purpose"),
    Column("purpose_version", Kind.NUMBER),
    Column("state"),
    Column("basis"),
    Column("jurisdiction"),
    Column("notice"),
    Column("notice_hash"),
    Column("notice_as_shown", Kind.FLAG),
    Column("channel"),
    Column("place"),
    Column("collector"),
    Column("system"),
    Column("method"),
    Column("actor"),
    Column("source"),
    Column("evidence_hash"),
    Column("valid_until", Kind.TIME),
)
OF_MANY: Final = (
    Column("brand"),
    Column("purpose"),
    Column("state"),
    Column("notice"),
    Column("notice_as_shown", Kind.FLAG),
    Column("channel"),
    Column("method"),
    Column("events", Kind.COUNT),
    Column("first", Kind.TIME),
    Column("last", Kind.TIME),
)
WITHDRAWAL: Final[Words] = (
    "Withdrawal: in any boutique, or POST /v1/consents/withdraw of the brand's systems, which needs no more than giving did.",
    (
        "Retrait\u00a0: dans toute boutique, ou par POST /v1/consents/withdraw des systèmes de la maison\u00a0; il ne demande rien "
        "de plus que le consentement n’a demandé."
    ),
)
_BROKEN: Final[Words] = (
    "THE CHAIN DOES NOT VERIFY: an event was changed, added, moved or is missing. Nothing is told of it.",
    (
        "LA CHAÎNE N’EST PAS INTÈGRE\u00a0: un événement a été modifié, ajouté, déplacé, ou il en manque un. Rien n’en est "
        "rapporté."
    ),
)
_EVENT: Final = metadata.tables["consent_event"]


def consents(view: View) -> Body:
    """Give the evidence for the person asked about, or for everybody in the period."""
    return _of_many(view) if view.person is None else _of_person(view, view.person)


def _of_person(view: View, person: Person) -> Body:
    table = Table(OF_PERSON, view.asked.most)
    try:
        checked = consentchain.verify_chain(view, person.subject, view.asked.brand)
        note = _recomputed(checked)
        events = consentchain.events(view, person.subject, view.asked.brand)
    except IntegrityFailure:
        note, events = _BROKEN, []
    for event in events:
        if view.asked.purpose not in {"", event["purpose"]}:
            continue
        table.add(
            event["id"].hex(),
            told(event["event_at"]),
            told(event["recorded_at"]),
            event["purpose"],
            event["purpose_version"],
            event["state"],
            event["basis"],
            event["jurisdiction"],
            _name(event),
            event["notice_hash"].hex() if event["notice"] else "",
            _as_shown(view, event),
            event["channel"],
            event["place"],
            event["collector"],
            event["system_id"],
            event["method"],
            event["actor"],
            event["source"],
            event["evidence_hash"].hex() if any(event["evidence_hash"]) else "",
            "" if event["valid_until"] is None else told(event["valid_until"]),
        )
    return table.body([("events", table.size)], [note, WITHDRAWAL])


def _of_many(view: View) -> Body:
    asked, columns = view.asked, _EVENT.c
    by = (
        columns.brand, columns.purpose, columns.state, columns.notice, columns.notice_version, columns.notice_language,
        columns.notice_hash, columns.channel, columns.method,
    )  # fmt: skip
    wanted = (
        select(
            *by,
            func.count().label("events"),
            func.min(columns.event_at).label("first"),
            func.max(columns.event_at).label("last"),
        )
        .where(columns.event_at >= asked.since, columns.event_at < asked.until)
        .group_by(*by)
        .order_by(*by)
    )
    for column, word in (
        (columns.brand, asked.brand),
        (columns.purpose, asked.purpose),
        (columns.system_id, asked.system),
    ):
        if word:
            wanted = wanted.where(column == word)
    table = Table(OF_MANY, asked.most)
    counts = []
    for row in view.conn.execute(wanted):
        event = row._asdict()
        counts.append(row.events)
        table.add(
            row.brand,
            row.purpose,
            row.state,
            _name(event),
            _as_shown(view, event),
            row.channel,
            row.method,
            row.events,
            told(row.first),
            told(row.last),
        )
    return table.body([("events", total(counts))], [WITHDRAWAL])


def _recomputed(events: int) -> Words:
    return (
        f"The chain was recomputed: {events} events, each with its hash, and what holds now is what they fold to.",
        (
            f"La chaîne a été recalculée\u00a0: nombre d’événements, {events}, chacun avec son empreinte\u00a0; ce qui vaut "
            "aujourd’hui est bien ce qui en résulte."
        ),
    )


def _name(event: Any) -> str:
    return f"{event['notice']}.{event['notice_version']}.{event['notice_language']}" if event["notice"] else ""


def _as_shown(view: View, event: Any) -> bool:
    """Whether the bundle still has the very text that was shown; an event without a notice was shown none."""
    if not event["notice"]:
        return True
    kept = view.bundle.notices.get((event["notice"], event["notice_version"], event["notice_language"]))
    return kept is not None and kept.hash == bytes(event["notice_hash"])
