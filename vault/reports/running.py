"""Runs a report: one snapshot, a log entry that it was run, then the signed report.

The entry is durable before a row is handed out, as with every look. What the log says is read up to the newest signed
checkpoint, so that a reader can have all of it verified; what the tables say is of the same snapshot, which may be a
second ahead of it.
"""

from dataclasses import replace
from hashlib import sha256

import orjson

from audit.entry import Act, Actor, Entry, Outcome
from audit.note import assemble, signature_line
from audit.reports.asked import Asked
from audit.reports.document import SUFFIX, Report, signed_text
from audit.reports.lines import vouched
from vault import locked, systems
from vault.errors import InvalidReport, UnknownReference
from vault.keys.service import SigningKey
from vault.reports.catalog import definition
from vault.reports.view import Person, View
from vault.setup import log_origin
from vault.unit import Vault


def run(vault: Vault, name: str, asked: Asked, actor: Actor) -> Report:
    """Run one report for an officer or operator and return it signed.

    Raises `UnknownReport`, `InvalidReport` for a filter it does not know, and `UnknownReference`.
    """
    wanted = definition(name)
    unknown = asked.said().keys() - {"since", "until"} - wanted.knows
    if unknown:
        raise InvalidReport(f"this report does not filter by {', '.join(sorted(unknown))}")
    person = person_of(vault, asked)
    with vault.reading() as conn:
        now = vault.clock.now()
        upto = vouched(conn)
        register = {each.id: each for each in systems.listed(conn)}
        body = wanted.query(View(vault, conn, asked, upto, register, now, person))
    report = Report(name, wanted.question, asked.said(), now, vault.bundle.hash.hex(), upto, body)
    # Why safe: a filter holds times, words of the register and at most a random reference of 128 bits.
    digest = sha256(orjson.dumps(report.filter, option=orjson.OPT_SORT_KEYS)).hexdigest()
    said = (f"report:{name}", f"filter:{digest}")
    with vault.unit() as uow:
        entry = Entry(Act.AUDIT_VIEWED, Outcome.ALLOW, actor, pol=said, n=len(body.rows) + body.more)
        uow.record(entry, log_key=None if person is None else person.log_key)
        uow.commit()
    return replace(report, signature=_signed(vault, report))


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
