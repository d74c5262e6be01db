"""Runs a report: one snapshot, a log entry that it was run, then the signed report.

The entry is durable before a row is handed out, as with every look. What the log says is read up to a signed checkpoint,
the newest or one of a size that was asked for, so that a reader can have all of it verified; what the tables say is of the same snapshot, which may be a
second ahead of it.
"""

from collections.abc import Mapping
from dataclasses import replace
from hashlib import sha256
from typing import Final

import orjson

from audit import pruning
from audit.checkpoint import MAX_SIZE
from audit.entry import Act, Actor, Entry, Outcome
from audit.note import assemble, signature_line
from audit.reports.asked import Asked
from audit.reports.document import SUFFIX, Report, signed_text
from audit.reports.lines import second, vouched
from audit.reports.table import Words
from vault import locked, systems
from vault.errors import InvalidReport, UnknownReference
from vault.keys.service import SigningKey
from vault.reports.catalog import definition
from vault.reports.people import LogKeys
from vault.reports.view import Beat, Person, View
from vault.setup import log_origin
from vault.unit import Vault

_BEGINS: Final[Words] = (
    "The log is read from entry {first} on, of {since}: what was before was pruned and is not counted here.",
    (
        "Le journal est lu à partir de l’écriture {first}, du {since}\u00a0: ce qui précédait a été élagué et n’est pas compté "
        "ici."
    ),
)


def run(vault: Vault, name: str, asked: Asked, actor: Actor, beat: Beat | None = None) -> Report:
    """Run one report for an officer or operator and return it signed. `beat` hears how far it is.

    Raises `UnknownReport`, `InvalidReport` for a filter it does not know, and `UnknownReference`.
    """
    check(name, asked)
    person = person_of(vault, asked)
    report = made(vault, name, asked, beat, person)
    with vault.unit() as uow:
        uow.record(entry_of(report, actor), log_key=None if person is None else person.log_key)
        uow.commit()
    return report


def check(name: str, asked: Asked) -> None:
    """Raise `UnknownReport`, or `InvalidReport` for a filter that the report does not know."""
    unknown = asked.said().keys() - {"since", "until", "upto"} - definition(name).knows
    if unknown:
        raise InvalidReport(f"this report does not filter by {', '.join(sorted(unknown))}")


def made(
    vault: Vault,
    name: str,
    asked: Asked,
    beat: Beat | None,
    person: Person | None = None,
    log_keys: LogKeys | None = None,
) -> Report:
    """Make a report and sign it. Whoever calls this records `entry_of` it, durably, before anybody sees it.

    `log_keys` gives people's log keys where the vault has no keys of its own.
    """
    wanted = definition(name)
    with vault.reading() as conn:
        now = vault.clock.now()
        upto = vouched(conn, asked.upto or MAX_SIZE)
        register = {each.id: each for each in systems.listed(conn)}
        view = View(vault, conn, asked, upto, register, now, person, log_keys)
        body = wanted.query(view if beat is None else replace(view, beat=beat))
        begins = [kept for each in upto if (kept := pruning.beginning(conn, each.shard)) is not None]
    for kept in begins:
        if asked.since < second(kept.since):
            english, french = (each.format(first=kept.first, since=kept.since) for each in _BEGINS)
            body = replace(body, notes=(*body.notes, (english, french)))
    report = Report(name, wanted.question, asked.said(), now, vault.bundle.hash.hex(), upto, body)
    return replace(report, signature=_signed(vault, report))


def entry_of(report: Report, actor: Actor) -> Entry:
    """Return the entry that a report was run, by whom and by which filter."""
    return entry(report.name, report.filter, len(report.body.rows) + report.body.more, actor)


def entry(name: str, asked: Mapping[str, str], rows: int, actor: Actor, *more: str) -> Entry:
    """Return the same for a report of which only its name, its filter and its number of rows are at hand."""
    # Why safe: a filter holds times, words of the register and at most a random reference or hash of 128 bits.
    digest = sha256(orjson.dumps(dict(asked), option=orjson.OPT_SORT_KEYS)).hexdigest()
    said = (f"report:{name}", f"filter:{digest}", *more)
    return Entry(Act.AUDIT_VIEWED, Outcome.ALLOW, actor, pol=said, n=rows)


def report_key_name(vault: Vault) -> str:
    """Return the name under which reports are signed, with the key of receipts."""
    return log_origin(vault.origin, 0) + SUFFIX


def person_of(vault: Vault, asked: Asked) -> Person | None:
    """Resolve the reference that was asked for. Raises `InvalidReport` without a brand, and `UnknownReference`."""
    if not asked.reference:
        return None
    if not asked.brand:
        raise InvalidReport("a reference is of a brand: name it")
    with vault.unit() as uow:  # resolves only; nothing is written
        (row,) = locked.by_reference(uow, [(asked.brand, asked.reference)])
    if isinstance(row, UnknownReference):
        raise row
    return Person(row.subject, row.log_key)


def _signed(vault: Vault, report: Report) -> str:
    text, keys, name = signed_text(report, log_origin(vault.origin, 0)), vault.keys, report_key_name(vault)
    (signature,) = keys.sign(SigningKey.RECEIPT, [text.encode()])
    return assemble(text, (signature_line(name, keys.public_key(SigningKey.RECEIPT), signature),))
