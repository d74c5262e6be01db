"""Proof: receipts of the person's own acts, and that the log is whole as far as they are concerned.

What a press costs is bounded: the log is read backwards for so many entries, so many proofs are made, and so often in five
minutes. That all of it fits is not hashed anew for anybody who asks: it is scrubbed every day, the result is an entry
like any other, and the person gets that entry proven under the same signature as their own.
"""

from typing import Final

from starlette.responses import Response

from api.packages.archive import zipped
from api.pages import render
from api.portal.call import Call, person
from api.portal.words import README
from api.problems import Problem
from audit.entry import Act, Entry, Outcome
from audit.errors import VerificationError
from audit.ledger import Record
from vault import evidence, logkeys, receipts, scrubbing
from vault.requests.ownlines import OwnLine, OwnLines, last_scrub, own_line, own_lines
from vault.requests.steps import by_person
from vault.unit import Vault

MOST_PROOFS: Final = 6  # archives of proofs in five minutes
MOST_RECEIPTS: Final = 30


def receipts_page(call: Call) -> Response:
    """Show what the person did, newest first and a stretch of the log at a time."""
    before = call.place()
    lines = _lines(call, _looked(call), before, own=True)
    purposes = {each.key: each.title for each in call.vault.bundle.purposes.every}
    return call.page(
        "me_receipts.html", lines=lines.found, reached=lines.reached, kept=lines.kept, before=before, purposes=purposes
    )


def receipt(call: Call) -> Response:
    """Give the receipt of one act, or those of a stretch."""
    call.bounded("receipt", MOST_RECEIPTS)
    given, log_key = call.form.get("entry", ""), _looked(call)
    if not given:
        return _archive(call, _lines(call, log_key, None, own=True), "receipts")
    if not given.isascii() or not given.isdigit() or len(given) > 18:  # noqa: PLR2004 - digits of 2^63
        raise Problem("bad_request")
    with call.vault.reading() as conn:
        line = own_line(conn, 0, log_key, int(given))
    if line is None or not line.own:
        raise Problem("entries_pruned" if int(given) < evidence.kept_from(call.vault) else "not_found")
    return _archive(call, OwnLines((line,), line.record.idx), f"receipt-{line.record.idx}")


def proof_page(call: Call) -> Response:
    """Say what was last found when the log was checked, and offer the proof of what concerns the person."""
    with call.vault.unit() as uow:
        person(uow, call)
    try:
        integrity = scrubbing.integrity(call.vault)
    except VerificationError:  # the newest checkpoint is none: that is no log to vouch for
        integrity = None
    return call.page("me_proof.html", integrity=integrity)


def proof(call: Call) -> Response:
    """Give the proof that the person's newest lines are in the log, and the last scrub with them."""
    call.bounded("prove", MOST_PROOFS)
    with call.vault.reading() as conn:
        scrub = last_scrub(conn, 0)
    return _archive(call, _lines(call, _looked(call), None, own=None), "proof", scrub)


def _looked(call: Call) -> bytes:
    """Put on record that the person looks at their lines; return the key that tells which are theirs."""
    with call.vault.unit() as uow:
        me = person(uow, call)
        entry = Entry(Act.AUDIT_VIEWED, Outcome.ALLOW, by_person(call.vault).actor, pol=("audit.own",))
        uow.record(entry, log_key=me.log_key)
        uow.commit()
    return me.log_key


def _lines(call: Call, log_key: bytes, before: int | None, *, own: bool | None) -> OwnLines:
    with call.vault.reading() as conn:
        return own_lines(conn, 0, log_key, before=before, own=own)


def _archive(call: Call, lines: OwnLines, name: str, scrub: Record | None = None) -> Response:
    vault = call.vault
    own = [each for each in lines.found if each.own]
    files = {
        "README.txt": README[call.tag].encode(),
        "log.vkey": f"{_log_key(vault)}\n".encode(),
        "receipts.vkey": f"{receipts.verifier_key(vault)}\n".encode(),
    }
    for line, note in zip(own, receipts.anew(vault, [each.record for each in own]), strict=True):
        files[f"{line.record.idx}.receipt"] = note.encode()
        files[f"{line.record.idx}.json"] = line.record.body
    for line in lines.found:
        files |= _proven(call, line)
    if scrub is not None:
        proven = _proven(call, OwnLine(scrub, {}, own=False))
        files |= {f"scrub.{each.partition('.')[2]}": content for each, content in proven.items()}
        files["scrub.json"] = scrub.body
    return render.download(zipped(files), f"ecrin-{name}.zip")


def _log_key(vault: Vault) -> str:
    """Return the key that the newest checkpoint verifies under: of those that sign now the one that has for longest."""
    return [each.key.vkey for each in logkeys.shown(vault) if each.in_use][-1]


def _proven(call: Call, line: OwnLine) -> dict[str, bytes]:
    """Prove one entry: by its leaf hash, and against the newest checkpoint if that covers it by now."""
    found = {f"{line.record.idx}.leaf": f"{line.record.leaf.hex()}\n".encode()}
    text = evidence.proof_of(call.vault, line.record.entry_id)
    return found if text is None else found | {f"{line.record.idx}.tlog-proof": text.encode()}
