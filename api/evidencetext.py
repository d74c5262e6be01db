"""What people read in an evidence bundle: the README that a lawyer can follow, and the print of its rows."""

import csv
import io
from collections.abc import Sequence
from html import escape

from api import pdf
from audit import bundleparts as parts
from audit.reports.lines import told
from vault.export import Exported
from vault.logkeys import KnownKey

_PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>Evidence from {origin}</title>
<style>body{{font:16px/1.5 Georgia,serif;max-width:46em;margin:2em auto;padding:0 1em}}code,pre{{font:14px monospace}}
pre{{background:#f4f2ee;padding:.8em;overflow-wrap:anywhere;white-space:pre-wrap}}th{{text-align:left;padding-right:1em}}
td,th{{vertical-align:top}}</style></head><body>
<h1>Evidence from the audit log {origin}</h1>
<p>This archive was made for <b>{recipient}</b> at {at} by {by}. It holds a range of the log, whole and in order, and what
was asked of it: {rows} rows. It can be checked without trusting whoever made it.</p>
<h2>What was asked</h2><table>{filter}</table>
<h2>What each file is</h2><table>
<tr><th>rows.csv</th><td>the entries that were asked for, one a line; report.pdf is its print</td></tr>
<tr><th>filter.json</th><td>what was asked, exactly</td></tr>
<tr><th>tile/entries/</th><td>every entry of the range, those that were not asked for too: so that nothing can have been left
out</td></tr>
<tr><th>checkpoint</th><td>the log's signed statement of its size and of one number (the root) that depends on every
entry</td></tr>
<tr><th>tile/0/, tile/1/</th><td>the numbers that lead from the entries to that root</td></tr>
<tr><th>export/</th><td>the log's own entry that says that this was handed out, to whom and how much</td></tr>
<tr><th>proofs/</th><td>for single rows, the way from that row to the root</td></tr>
<tr><th>keychange/</th><td>if there: the log's own statements of changes of its key</td></tr>
<tr><th>schema.json</th><td>how to read an entry</td></tr>
<tr><th>SHA256SUMS, SHA256SUMS.note</th><td>a fingerprint of every file, and the seal over them</td></tr>
<tr><th>policy, timestamp.tsr, timestamp.pem</th><td>if there: who must have witnessed, and a time-stamping authority's word on
when the log had this root</td></tr>
<tr><th>verify.py</th><td>the program that checks all this</td></tr></table>
<h2>How to check it</h2><ol>
<li>Ask for the two keys below <b>by another way than this archive</b>: by telephone, on paper, from the log's public page
(<code>/audit/keys</code>). Whoever can change this archive can change this page.</li>
<li>Witnesses are other houses that have signed the checkpoint too. Ask for the file that names them (<code>policy</code> is a
copy), and add <code>--policy FILE</code>. Best also ask another house or a witness for a checkpoint that they kept, and obtain <code>verify.py</code> elsewhere.</li>
<li>With Python 3.11 and the package <code>cryptography</code>:
<pre>python verify.py THIS-ARCHIVE.zip --key "{log_key}" --key "{seal_key}"{subject}</pre></li>
<li>It ends with one word. <b>verified</b>: the archive is as it was sealed, the entries are those that the log signed, and
rows.csv is all that was asked for and nothing else. <b>TAMPERED</b>: something was changed, and it says what.
<b>cannot decide</b>: something is missing, such as a key.</li></ol>
<h2>What it does not prove</h2><p>That the log knew of everything that happened: what never became an entry is in no log. Ask
the witnesses of the log, and callers for their receipts. Names of people are not in it: an entry calls a person by another
word each time, which only the person's own key relates.</p>
<h2>The log</h2><table><tr><th>size</th><td>{size}</td></tr><tr><th>root</th><td><code>{root}</code></td></tr>
<tr><th>range</th><td>entries {first} to {last}</td></tr><tr><th>policies</th><td><code>{policies}</code></td></tr>
<tr><th>key of the log</th><td><code>{log_key}</code></td></tr><tr><th>key of the seal</th><td><code>{seal_key}</code></td></tr>
</table>{older}
<h2>Keys of the log</h2><table><tr><th>key</th><th>signs from</th><th>until</th></tr>{keys}</table></body></html>
"""
_OLDER = """
<h2>If you were given another key of the log</h2><p>The log has had more than one key. Whoever was given an older one need not
take the newer one from this page: give the key that you have. <code>keychange/</code> holds the log's own statement of each change,
under a checkpoint that the old key and the new one both signed; <code>verify.py</code> takes up the other keys on that word and
says so in a note. A statement of an end (it names the key that ended) is no way round it: what a key signed after its end does not
hold. A certificate of erasure or a single proof that bears another key than yours is checked with the same statements: unpack them and add
<code>--keychange FILE</code> for each. The key of the seal, and the keys of receipts and of certificates, have not changed.</p>"""


def readme(exported: Exported, log_keys: Sequence[KnownKey], seal_key: str, *, stamped: bool = False) -> bytes:
    """Return the README as one HTML file that fetches nothing. `log_keys` are all that the log ever had, newest first."""
    selection, upto = exported.selection, exported.upto
    rows = "".join(f"<tr><th>{escape(name)}</th><td>{escape(value)}</td></tr>" for name, value in asked(exported))
    said = {
        "origin": upto.origin,
        "recipient": exported.recipient,
        "at": told(exported.at),
        "by": exported.by.id,
        "log_key": log_keys[0].key.vkey,
        "seal_key": seal_key,
        "subject": (" --subject-key KEY-OF-THE-PERSON" if selection.subject else "")
        + (" --stamp-roots ROOTS-OF-THE-AUTHORITY.pem" if stamped else ""),
        "policies": exported.policies,
        "root": upto.root.hex(),
    }
    numbers = {"rows": exported.rows, "size": upto.size, "first": selection.first, "last": selection.end - 1}
    keys = "".join(map(_key_row, log_keys))
    return _PAGE.format(
        filter=rows,
        keys=keys,
        older=_OLDER if len(log_keys) > 1 else "",
        **{name: escape(value) for name, value in said.items()},
        **numbers,
    ).encode()


def _key_row(each: KnownKey) -> str:
    since = "the beginning" if each.since is None else told(each.since)
    until = "" if each.until is None else told(each.until)
    return f"<tr><td><code>{escape(each.key.vkey)}</code></td><td>{since}</td><td>{until}</td></tr>"


def printed(exported: Exported, rows: bytes) -> bytes:
    """Return the print of the rows: presentation alone, with the checkpoint on every page."""
    header, *found = csv.reader(io.StringIO(rows.decode(), newline=""))
    upto = exported.upto
    facts = [*asked(exported), ("recipient", exported.recipient), ("by", exported.by.id), ("at", told(exported.at))]
    footer = f"{upto.origin} at {upto.size}, root {upto.root.hex()}"
    keep = [at for at, name in enumerate(header) if name not in {"actor_kind", "id", "subject"}]
    return pdf.draw(
        pdf.Sheet(
            f"Evidence from {upto.origin}",
            [*facts, ("rows", str(exported.rows))],
            [f"A print of {parts.ROWS}: what counts is the archive, see README.html."],
            [pdf.Part(columns=[header[at] for at in keep], rows=[[row[at] for at in keep] for row in found])],
            footer,
        )
    )


def asked(exported: Exported) -> list[tuple[str, str]]:
    """Return the filter in words."""
    selection = exported.selection
    words = [
        ("from", selection.since),
        ("until", selection.until),
        ("brand", selection.brand),
        ("actors", " ".join(selection.actors)),
        ("acts", " ".join(selection.acts)),
        ("purpose", selection.purpose),
        ("outcome", selection.outcome),
        ("person", "one, whose key is handed over beside" if selection.subject else ""),
    ]
    return [(name, value) for name, value in words if value]
