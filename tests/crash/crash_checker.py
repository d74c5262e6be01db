"""The coroner: holds what a vault stores after a crash against what was acknowledged before it.

`examine` returns findings as sentences, empty if every promise holds. It believes notes, stored bytes and keys, and no
answer of the service that wrote them.
"""

from collections import Counter
from dataclasses import dataclass, field

from sqlalchemy import text

from audit import ledger
from audit.checkpoint import open_checkpoint
from audit.findings import Verdict
from audit.note import vkey
from audit.pin import read_pin
from policies.decision import Grant, GrantedField
from policies.levels import Level
from vault import disclosure, evidence, references
from vault.consentchain import verify_chain
from vault.errors import VaultError
from vault.keys.service import SigningKey

BRAND = "aurelle"

# Each counts rows that a part of a unit of work would leave behind.
ORPHANS = {
    "compartment without its subject": """
        SELECT count(*) FROM compartment c LEFT JOIN subject s ON s.id = c.subject_id WHERE s.id IS NULL""",
    "compartment without a value": """
        SELECT count(*) FROM compartment c WHERE NOT EXISTS (SELECT 1 FROM field_value v
            WHERE v.subject_id = c.subject_id AND v.category_id = c.category_id)""",
    "value without its compartment": """
        SELECT count(*) FROM field_value v WHERE NOT EXISTS (SELECT 1 FROM compartment c
            WHERE v.subject_id = c.subject_id AND v.category_id = c.category_id)""",
    "value newer than its compartment knows": """
        SELECT count(*) FROM field_value v JOIN compartment c
            ON v.subject_id = c.subject_id AND v.category_id = c.category_id WHERE v.version > c.writes""",
    "two current values of a single field": """
        SELECT count(*) FROM (SELECT 1 FROM field_value WHERE current AND item = 0
            GROUP BY subject_id, field_id, holder HAVING count(*) > 1) AS twice""",
    "subject without a relation": """
        SELECT count(*) FROM subject s LEFT JOIN relation r ON r.subject_id = s.id WHERE r.subject_id IS NULL""",
    "relation without its subject": """
        SELECT count(*) FROM relation r LEFT JOIN subject s ON s.id = r.subject_id WHERE s.id IS NULL""",
    "references and relations differ in number": """
        SELECT abs((SELECT count(*) FROM reference) - (SELECT count(*) FROM relation))""",
    "search token without its value": """
        SELECT count(*) FROM search_token t WHERE NOT EXISTS (SELECT 1 FROM field_value v
            WHERE v.subject_id = t.subject_id AND v.field_id = t.field_id AND v.item = t.item AND v.current)""",
    "consent state without its event": """
        SELECT count(*) FROM consent_state c LEFT JOIN consent_event e ON e.id = c.event_id WHERE e.id IS NULL""",
    "consent event without a state": """
        SELECT count(*) FROM consent_event e WHERE NOT EXISTS (SELECT 1 FROM consent_state c
            WHERE c.subject_id = e.subject_id AND c.brand = e.brand AND c.purpose = e.purpose)""",
    "disclosure token that names nobody": """
        SELECT count(*) FROM access_token a WHERE kind = 'disclosure' AND NOT EXISTS
            (SELECT 1 FROM token_subject t WHERE t.token_hash = a.hash)""",
    "use counted of no token": """
        SELECT count(*) FROM token_subject t LEFT JOIN access_token a ON a.hash = t.token_hash WHERE a.hash IS NULL""",
}


@dataclass
class Examination:
    """What one examination found; `size` is the log's."""

    findings: list = field(default_factory=list)
    size: int = 0

    def hold(self, truth, sentence):
        if not truth:
            self.findings.append(sentence)


def examine(vault, notes, pin, *, tolerated=(), most_uses=3):
    """Hold the vault against all `notes` taken so far. `tolerated`: codes of errors that this crash may cause."""
    seen = Examination()
    acts = {}
    for note in notes:
        acts.setdefault(note["act"], []).append(note)
    for note in acts.get("error", ()):
        seen.hold(note["code"] in tolerated, f"a writer met {note['code']}: {note['text']}")
    _log(vault, acts, pin, seen)
    _rows(vault, acts, seen)
    _subjects(vault, acts, seen)
    _tokens(vault, acts, seen, most_uses)
    return seen


def _log(vault, acts, pin, seen):
    key = vkey(vault.origin, vault.keys.public_key(SigningKey.LOG))
    outside = read_pin(pin)
    result = evidence.verify(vault, 0, [] if outside is None else [outside])
    seen.size = result.size
    seen.hold(result.verdict is Verdict.FINE, f"the log: {result.verdict.name} {result.findings} {result.doubts}")
    published = max((note["size"] for note in acts.get("checkpoint", ())), default=0)
    seen.hold(
        result.signed >= published, f"a checkpoint at {published} was published; the database knows {result.signed}"
    )
    if published:
        pinned = 0 if outside is None else open_checkpoint(outside, (key,), vault.origin).size
        seen.hold(pinned >= published, f"a checkpoint at {published} was published; the pin says {pinned}")
    with vault.reading() as conn:
        places = list(conn.scalars(text("SELECT idx FROM log_entry WHERE shard = 0 ORDER BY idx")))
        entries = {bytes(each).hex() for each in conn.scalars(text("SELECT entry_id FROM log_entry"))}
        head = ledger.head(conn, 0).size
    seen.hold(places == list(range(head)), "indexes are not contiguous up to the head")
    promised = [note["entry"] for kind in ("register", "consent", "disclose") for note in acts.get(kind, ())]
    promised += [entry for note in acts.get("amend", ()) for entry in note["entries"]]
    lost = [entry for entry in promised if entry not in entries]
    seen.hold(not lost, f"{len(lost)} acknowledged acts have no entry")


def _rows(vault, acts, seen):
    with vault.reading() as conn:
        for sentence, statement in ORPHANS.items():
            count = conn.scalar(text(statement))
            seen.hold(count == 0, f"{sentence}: {count}")
        slots = list(conn.scalars(text("SELECT slot FROM compartment")))
        slots += list(conn.scalars(text("SELECT log_slot FROM subject")))
        events = {bytes(each).hex() for each in conn.scalars(text("SELECT id FROM consent_event"))}
    slots += [slot for note in acts.get("slots", ()) for slot in note["slots"]]
    twice = [slot for slot, count in Counter(slots).items() if count > 1]
    seen.hold(not twice, f"{len(twice)} key slots were given out twice")
    seen.hold(len(slots) <= vault.keys.status().slots_reserved, "more slots are in use than were reserved")
    lost = [note for note in acts.get("consent", ()) if note["event"] not in events]
    seen.hold(not lost, f"{len(lost)} acknowledged consents are gone")


def _subjects(vault, acts, seen):
    """Every acknowledged value opens and is the last one acknowledged, or the one that was under way."""
    registered = acts.get("register", [])
    steps = Counter(note["reference"] for note in acts.get("amend", ()))
    with vault.unit() as uow:
        located = references.locate(uow, [(BRAND, note["reference"]) for note in registered])
        for note, subject in zip(registered, located, strict=True):
            seen.hold(subject is not None and subject.hex() == note["subject"], "an acknowledged reference is gone")
        known = [(note, subject) for note, subject in zip(registered, located, strict=True) if subject is not None]
        for note in {note["reference"]: note for note in acts.get("consent", ())}.values():
            (subject,) = [each for of, each in known if of["reference"] == note["reference"]] or [None]
            if subject is not None:
                try:
                    verify_chain(uow, subject, BRAND)
                except VaultError:
                    seen.hold(False, "a consent chain is broken")
    for (note, _), shown in zip(known, _opened(vault, [subject for _, subject in known]), strict=True):
        last = steps[note["reference"]]
        seen.hold(shown.get("client_number") == note["number"], "an acknowledged client number does not read back")
        at = shown.get("profession")
        seen.hold(at in {f"n{last}", f"n{last + 1}"}, f"a value reads {at} after {last} acknowledged amendments")
        ring = shown.get("ring_size")
        seen.hold(
            at is None or ring == {"value": str(40 + int(at[1:])), "system": "eu"}, "half of an amendment is there"
        )


def _opened(vault, subjects):
    names = ("client_number", "profession", "ring_size")
    wanted = tuple(GrantedField(vault.bundle.catalogue.field(name), Level.RAW, "") for name in names)
    grants = [Grant(subject, BRAND, "coroner", "legal.claims", "legal_claim", wanted, False) for subject in subjects]
    with vault.unit() as uow:
        selection = disclosure.select(uow, grants)
        commit = uow.commit()  # no entry: what it reveals is read below the gate that asks for one
    rows = [row for per_grant in selection.rows for group in per_grant.values() for row in group]
    opened = iter(disclosure._open(vault, rows))  # the examination must not write to the log it examines
    assert not commit.entries
    for grant, per_grant in zip(grants, selection.rows, strict=True):
        shown = {}
        for granted in grant.fields:
            for _ in per_grant[granted.field.id]:
                value = next(opened)
                shown[granted.field.name] = None if value is None else value.value
        yield shown


def _tokens(vault, acts, seen, most_uses):
    with vault.reading() as conn:
        rows = conn.execute(text("SELECT token_hash, uses_left FROM token_subject"))
        left = {bytes(token).hex(): uses for token, uses in rows}
    used = Counter(note["token"] for note in acts.get("disclose", ()))
    for note in acts.get("token", ()):
        token = note["token"]
        seen.hold(token in left, "an acknowledged token is gone")
        spent = most_uses - left.get(token, most_uses)
        # One more may have been under way; never fewer than were acknowledged.
        seen.hold(used[token] <= spent <= used[token] + 1, f"{used[token]} uses acknowledged, {spent} counted")
